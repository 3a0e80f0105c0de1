/* Unpredictable bytes, for names of temporary files and keys of hash tables. Nothing that must be
 * reproducible may depend on them; use base/random.h for that.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_BASE_SECRET_H
#define CLM_BASE_SECRET_H

#include <stddef.h>

/* From the system; if it has none, derived from thread and time. */
void clm_secret_bytes(void *bytes, size_t count);

#endif
