/* Hashes: one for names and fingerprints, which is the same everywhere and always, and one for
 * tables, which nobody outside the process can foresee.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_BASE_HASH_H
#define CLM_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* The start of a hash. */
#define CLM_HASH_START 0xCBF29CE484222325U

/* FNV-1a with 64 bits (Fowler, Noll and Vo): goes on from `hash` over `count` bytes, so that pieces
 * one after the other hash like the whole. For names and against accidents, not against people: it
 * is easy to make bytes of any hash, so no table of what a file says may use it. */
uint64_t clm_hash(uint64_t hash, const void *bytes, size_t count);

/* SipHash-1-3 (Aumasson and Bernstein) under a key that is drawn once a process. Nothing that is
 * written, or whose order is seen, may depend on it. */
uint64_t clm_keyed_hash(const void *bytes, size_t count);

/* Part of that key, for tables of numbers: hash `number ^ clm_hash_key()`. */
uint64_t clm_hash_key(void);

#endif
