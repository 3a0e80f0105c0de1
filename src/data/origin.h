/* Where a table comes from, and what was assumed about it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_DATA_ORIGIN_H
#define CLM_DATA_ORIGIN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/string.h"

/* Zeroed for a table that was made in memory. A table owns its origin, and tables selected from it
 * get a copy. */
typedef struct clm_origin {
    char *source;       /* the file, as named by the caller */
    const char *format; /* static */
    char separator;     /* 0 in JSON */
    bool has_header;
    bool is_balanced;
    char *label_column; /* names, or numbers from 1 without a header */
    char *text_column;
    size_t *class_rows; /* (class_count) rows of the file */
    int class_count;
    /* Sentences in the order in which they were found. */
    char **notes;
    bool *note_is_warning; /* else a guess */
    size_t note_count;
    size_t note_capacity;
    size_t flag_capacity;
} clm_origin;

void clm_origin_free(clm_origin *origin); /* fine on a zeroed one */
clm_status clm_origin_copy(clm_origin *copy, const clm_origin *origin);

/* "tab", or the character itself. */
const char *clm_separator_name(char separator, char name[2]);

clm_status clm_origin_set_columns(clm_origin *origin, const char *label, const char *text);
clm_status clm_origin_guess(clm_origin *origin, const char *format, ...) CLM_PRINTF(2, 3);

/* Also goes to the log, after the name of the source. */
clm_status clm_origin_warn(clm_origin *origin, const char *format, ...) CLM_PRINTF(2, 3);

#endif
