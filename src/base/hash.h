/* Hashes: one for names and fingerprints, which never changes, and one for tables, which nobody
 * outside the process can predict.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_BASE_HASH_H
#define CLM_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* The start of a hash. */
#define CLM_HASH_START 0xCBF29CE484222325U

/* FNV-1a with 64 bits (Fowler, Noll and Vo): continues from `hash` over `count` bytes, so that
 * consecutive pieces hash like the whole. For names and against accidents, not against attackers:
 * bytes with a given hash are easy to construct, so no table filled from a file may use it. */
uint64_t clm_hash(uint64_t hash, const void *bytes, size_t count);

/* Under a key that is drawn once per process: SipHash-1-3 (Aumasson and Bernstein), or two products
 * with secret words for up to 16 bytes. No output, and no visible order, may depend on it. */
uint64_t clm_keyed_hash(const void *bytes, size_t count);

/* Part of that key, for tables of numbers: hash `number ^ clm_hash_key()`. */
uint64_t clm_hash_key(void);

#endif
