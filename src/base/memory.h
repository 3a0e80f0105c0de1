/* Host memory. All of clm allocates through these, so that a test build can make each
 * allocation fail in turn.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_BASE_MEMORY_H
#define CLM_BASE_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* `count * size` zeroed bytes through *memory. At least one byte is allocated, so a count of 0 does
 * not return NULL. CLM_ERROR_MEMORY, with a static message naming `what`, when the product
 * overflows or there is not enough; *memory is NULL then. */
clm_status clm_allocate(void *memory, size_t count, size_t size, const char *what);

/* Resizes *memory to `count * size` bytes. On failure *memory is unchanged and still owned.
 * New bytes are not zeroed. */
clm_status clm_reallocate(void *memory, size_t count, size_t size, const char *what);

/* Makes room for at least `need` elements of `size` bytes in the growing array *memory with
 * *capacity elements, doubling. */
clm_status clm_reserve(void *memory, size_t *capacity, size_t need, size_t size, const char *what);

/* NULL is fine. */
void clm_free(void *memory);

/* Zeroed memory for large arrays, aligned to 2 MiB, in pages of that size where the system has
 * them, which means fewer page faults and fewer TLB misses. Unused parts take no memory. NULL if
 * there is not enough memory, without an error, because callers have a fallback. */
void *clm_pages_allocate(size_t size_bytes);
void clm_pages_free(void *memory); /* NULL is fine */

/* The memory that this process could still use without swapping; half of the machine's memory if
 * the system does not say. */
uint64_t clm_memory_available_bytes(void);

/* The machine's memory; 0 if the system does not say. */
uint64_t clm_memory_total_bytes(void);

/* A copy of a string through *copy. */
clm_status clm_duplicate(char **copy, const char *text);

#endif
