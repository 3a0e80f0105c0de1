/* What a table is inside, for the files of this room.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_DATA_TABLE_H
#define CLM_DATA_TABLE_H

#include "base/string.h"
#include "clm/data.h"

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
};

/* A row of a file before its label has a number. All is lent. */
typedef struct clm_table_entry {
    const char *text;
    size_t length_bytes;
    const char *label;
    size_t line; /* of the text; columns in bytes, 1-based */
    size_t column;
    size_t label_line;
    size_t label_column;
} clm_table_entry;

/* Numbers the labels as clm_table_read() says and copies all. `where` names the file. */
clm_status clm_table_from_entries(clm_table **table, const clm_table_entry *entries, size_t count,
                                  const clm_table_options *options, const char *where);

/* The given rows of a table, in that order, with all of its classes. */
clm_status clm_table_select(clm_table **table, const clm_table *source, const int64_t *rows,
                            size_t count);

/* The rows as clm_table_write_csv() writes them, added to `out`. */
void clm_table_add_csv(clm_string *out, const clm_table *table);

/* The readers behind clm_table_read(); `text` is valid UTF-8 without NUL bytes, and a NUL follows
 * it. */
clm_status clm_table_parse_separated(clm_table **table, const char *text, size_t size_bytes,
                                     const clm_table_options *options, const char *where);
clm_status clm_table_parse_json_lines(clm_table **table, const char *text, size_t size_bytes,
                                      const clm_table_options *options, const char *where);

/* Any of them, by the name of the file, after the bytes were checked. */
clm_status clm_table_parse(clm_table **table, const char *text, size_t size_bytes,
                           const clm_table_options *options, const char *where);

/* The names that a column may have when none is asked for, ending in NULL. */
extern const char *const clm_table_text_columns[];
extern const char *const clm_table_label_columns[];

#endif
