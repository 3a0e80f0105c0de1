/* The internals of a table, for the files of this room.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_DATA_TABLE_H
#define CLM_DATA_TABLE_H

#include "base/string.h"
#include "clm/data.h"
#include "data/labels.h"
#include "data/names.h"
#include "data/origin.h"

typedef struct clm_table_row {
    size_t offset; /* of the text in clm_table.texts; a NUL follows it */
    size_t length_bytes;
    int label;
} clm_table_row;

struct clm_table {
    clm_table_row *rows;
    size_t count;
    char *texts;
    char **names; /* name_count, then a NULL */
    int name_count;
    size_t *label_rows;     /* (name_count) rows of each class */
    clm_name_index by_name; /* of `names` */
    clm_origin origin;
};

/* Numbers the labels as documented for clm_table_read() and copies everything. `where` names the
 * file. In entries with names, the names become the labels. The table takes over `origin`, also on
 * failure. */
clm_status clm_table_from_entries(clm_table **table, clm_table_entry *entries, size_t count,
                                  const clm_table_options *options, const char *where,
                                  clm_origin *origin);

/* The given rows of a table, in that order, with all of its classes. */
clm_status clm_table_select(clm_table **table, const clm_table *source, const int64_t *rows,
                            size_t count);

/* Gives the split the notes of its table. */
clm_status clm_split_copy_notes(clm_split *split, const clm_origin *origin);

/* The rows as clm_table_write_csv() writes them, added to `out`. */
clm_status clm_table_add_csv(clm_string *out, const clm_table *table, clm_table_columns columns);

/* The readers behind clm_table_read(); `text` is valid UTF-8 without NUL bytes, and a NUL follows
 * it. */
clm_status clm_table_parse_separated(clm_table **table, const char *text, size_t size_bytes,
                                     const clm_table_options *options, const char *where);
clm_status clm_table_parse_json(clm_table **table, const char *text, size_t size_bytes,
                                const clm_table_options *options, const char *where);

/* Any of them, after checking the bytes. `where` is the name of the file. */
clm_status clm_table_parse(clm_table **table, const char *text, size_t size_bytes,
                           const clm_table_options *options, const char *where);

#endif
