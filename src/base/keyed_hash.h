/* A hash for tables, which nobody outside the process can predict.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_BASE_KEYED_HASH_H
#define CLM_BASE_KEYED_HASH_H

#include <stddef.h>
#include <stdint.h>

/* Under a key that is drawn once per process: SipHash-1-3 (Aumasson and Bernstein), or two products
 * with secret words for up to 16 bytes. No output, and no visible order, may depend on it. */
uint64_t clm_keyed_hash(const void *bytes, size_t count);

/* Part of that key, for tables of numbers: hash `number ^ clm_hash_key()`. */
uint64_t clm_hash_key(void);

#endif
