/* The rows of a file, and which classes they have.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_DATA_LABELS_H
#define CLM_DATA_LABELS_H

#include "clm/data.h"
#include "data/origin.h"

/* A row of a file before its label has a number. Everything is lent. */
typedef struct clm_table_entry {
    const char *text;
    size_t length_bytes;
    const char *label;
    const char *name; /* of the column Name that clm writes, else NULL */
    size_t line;      /* of the text; columns in bytes, 1-based */
    size_t column;
    size_t label_line;
    size_t label_column;
} clm_table_entry;

/* The classes of the entries, and the class of each entry. */
typedef struct clm_classes {
    const char **names; /* (count), lent by the entries or the options */
    int count;
    int *numbers; /* one for each entry */
} clm_classes;

clm_status clm_classes_of(clm_classes *classes, clm_table_entry *entries, size_t count,
                          const clm_table_options *options, const char *where, clm_origin *origin);
void clm_classes_free(clm_classes *classes); /* fine on a zeroed one */

#endif
