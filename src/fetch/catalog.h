/* The files of each name, and their URLs.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_FETCH_CATALOG_H
#define CLM_FETCH_CATALOG_H

#include <stddef.h>
#include <stdint.h>

enum { CLM_FETCH_MAX_FILES = 4 };

typedef struct clm_fetch_file {
    const char *name;
    const char *url;
    uint64_t size_bytes; /* 0 if unknown */
    uint64_t most_bytes; /* if so, the largest plausible size */
    const char *sha256;  /* NULL if not known for certain */
    /* The file to extract, if this is a zip archive; otherwise NULL. */
    const char *member;
    uint64_t member_bytes;
    const char *member_sha256;
} clm_fetch_file;

typedef struct clm_fetch_item {
    const char *name;
    const char *about;
    size_t file_count;
    clm_fetch_file files[CLM_FETCH_MAX_FILES];
} clm_fetch_item;

/* NULL past the last. */
const clm_fetch_item *clm_fetch_item_at(size_t index);

#endif
