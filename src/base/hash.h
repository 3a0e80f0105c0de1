/* A hash for names and fingerprints, which never changes.
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

#endif
