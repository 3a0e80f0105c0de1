/* Bytes that nobody can guess: for names of temporary files and the keys of hash tables. Nothing
 * that a run must repeat may depend on them; for that there is base/random.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_BASE_SECRET_H
#define CLM_BASE_SECRET_H

#include <stddef.h>

/* From the system; where it has none to give, from what differs between threads and moments. */
void clm_secret_bytes(void *bytes, size_t count);

#endif
