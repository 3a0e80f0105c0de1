/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_BASE_HASH_H
#define CLM_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* The start of a hash. */
#define CLM_HASH_START 0xCBF29CE484222325U

/* FNV-1a with 64 bits (Fowler, Noll and Vo): goes on from `hash` over `count` bytes, so that pieces
 * one after the other hash like the whole. For names and against accidents, not against people. */
uint64_t clm_hash(uint64_t hash, const void *bytes, size_t count);

#endif
