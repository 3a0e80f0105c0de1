/* Separated values as pandas.read_csv reads them and to_csv writes them.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_DATA_CSV_H
#define CLM_DATA_CSV_H

#include <stddef.h>

#include "base/error.h"
#include "base/string.h"

typedef struct clm_csv_field {
    size_t offset; /* of its first byte in clm_csv.bytes; a NUL follows its last */
    size_t length_bytes;
    size_t line; /* where it begins in the file, 1-based; columns in bytes */
    size_t column;
} clm_csv_field;

/* Row r has the fields row_start[r] .. row_start[r + 1] - 1. Rows may differ in width. */
typedef struct clm_csv {
    char *bytes;
    clm_csv_field *fields;
    size_t *row_start; /* row_count + 1 */
    size_t field_count;
    size_t row_count;
    size_t length_bytes;
    size_t field_capacity;
    size_t row_capacity;
} clm_csv;

/* Splits text (valid UTF-8 without NUL bytes) into rows and fields; the caller calls
 * clm_csv_free() in any case. CLM_ERROR_FORMAT, with `where`, line and column, for a quote that is
 * not closed. */
clm_status clm_csv_parse(clm_csv *csv, const char *text, size_t size_bytes, char separator,
                         const char *where);

/* The same for a part of a file: lines are counted from `first_line`, and it stops after
 * `most_rows`. */
clm_status clm_csv_parse_part(clm_csv *csv, const char *text, size_t size_bytes, char separator,
                              size_t first_line, size_t most_rows, const char *where);

void clm_csv_free(clm_csv *csv); /* fine on a zeroed one */

const clm_csv_field *clm_csv_row(const clm_csv *csv, size_t row, size_t *count);
const char *clm_csv_text(const clm_csv *csv, const clm_csv_field *field);

/* Adds a field to a line of comma-separated values, quoted when it has a comma, a quote or an end
 * of line. */
void clm_csv_add_field(clm_string *out, const char *text, size_t length_bytes);

#endif
