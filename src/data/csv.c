/* SPDX-License-Identifier: Apache-2.0 */
#include "data/csv.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/lines.h"
#include "base/memory.h"

/* A place in the text; `line_start` is where its line begins. */
typedef struct reader {
    clm_csv *csv;
    const char *at;
    const char *end;
    const char *line_start;
    size_t line;
    char separator;
    const char *where;
} reader;

static bool at_line_end(const reader *r) {
    return r->at < r->end && (*r->at == '\n' || *r->at == '\r');
}

/* Goes on by one byte. Of a CRLF only the LF begins a line. */
static void advance(reader *r) {
    char c = *r->at++;
    if (c == '\n' || (c == '\r' && (r->at == r->end || *r->at != '\n'))) {
        r->line++;
        r->line_start = r->at;
    }
}

static void skip_line_end(reader *r) {
    bool carriage_return = *r->at == '\r';
    advance(r);
    if (carriage_return && r->at < r->end && *r->at == '\n') {
        advance(r);
    }
}

/* Skips lines of nothing but spaces and tabs, as pandas' skip_blank_lines does. */
static void skip_blank_lines(reader *r) {
    for (;;) {
        const char *ahead = r->at;
        while (ahead < r->end && (*ahead == ' ' || *ahead == '\t') && *ahead != r->separator) {
            ahead++;
        }
        if (ahead < r->end && *ahead != '\n' && *ahead != '\r') {
            return;
        }
        r->at = ahead;
        if (ahead == r->end) {
            return;
        }
        skip_line_end(r);
    }
}

/* csv->bytes has room for all of the text and a NUL for each field: see clm_csv_parse(). */
static void take(reader *r) {
    r->csv->bytes[r->csv->length_bytes++] = *r->at;
    advance(r);
}

/* Takes the inside of a quoted field and its closing quote. */
static clm_status read_quoted(reader *r) {
    size_t line = r->line;
    size_t column = (size_t)(r->at - r->line_start) + 1;
    advance(r);
    for (;;) {
        if (r->at == r->end) {
            return clm_fail(CLM_ERROR_FORMAT,
                            "%s:%zu:%zu: the quote that opens this field is never closed; a field "
                            "that begins with a quote ends with one, and has those within doubled",
                            r->where, line, column);
        }
        if (*r->at != '"') {
            take(r);
        } else if (r->at + 1 < r->end && r->at[1] == '"') {
            advance(r);
            take(r);
        } else {
            advance(r);
            return CLM_OK;
        }
    }
}

static clm_status read_field(reader *r) {
    clm_csv *csv = r->csv;
    clm_status status = clm_reserve(&csv->fields, &csv->field_capacity, csv->field_count + 1,
                                    sizeof *csv->fields, "the fields of a table");
    if (status != CLM_OK) {
        return status;
    }
    clm_csv_field *field = &csv->fields[csv->field_count++];
    *field = (clm_csv_field){.offset = csv->length_bytes,
                             .line = r->line,
                             .column = (size_t)(r->at - r->line_start) + 1};
    if (r->at < r->end && *r->at == '"') {
        status = read_quoted(r);
    }
    /* What follows a closing quote still belongs to the field, quotes included. */
    while (status == CLM_OK && r->at < r->end && *r->at != r->separator && !at_line_end(r)) {
        take(r);
    }
    field->length_bytes = csv->length_bytes - field->offset;
    csv->bytes[csv->length_bytes++] = '\0';
    return status;
}

static clm_status end_row(clm_csv *csv) {
    clm_status status = clm_reserve(&csv->row_start, &csv->row_capacity, csv->row_count + 2,
                                    sizeof *csv->row_start, "the rows of a table");
    if (status == CLM_OK) {
        csv->row_start[0] = 0;
        csv->row_start[++csv->row_count] = csv->field_count;
    }
    return status;
}

clm_status clm_csv_parse(clm_csv *csv, const char *text, size_t size_bytes, char separator,
                         const char *where) {
    return clm_csv_parse_part(csv, text, size_bytes, separator, 1, SIZE_MAX, where);
}

clm_status clm_csv_parse_part(clm_csv *csv, const char *text, size_t size_bytes, char separator,
                              size_t first_line, size_t most_rows, const char *where) {
    *csv = (clm_csv){0};
    clm_status status = CLM_OK;
    const size_t mark = clm_text_mark(text, size_bytes);
    text += mark;
    size_bytes -= mark;
    reader r = {.csv = csv,
                .at = text,
                .end = text + size_bytes,
                .line_start = text,
                .line = first_line,
                .separator = separator,
                .where = where};
    /* Each field ends with a separator, an end of line or the end, which leaves room for its NUL.
     */
    CLM_TRY(clm_allocate(&csv->bytes, size_bytes + 2, 1, where));
    for (;;) {
        skip_blank_lines(&r);
        if (r.at == r.end || csv->row_count == most_rows) {
            break;
        }
        CLM_TRY(read_field(&r));
        while (r.at < r.end && *r.at == separator) {
            advance(&r);
            CLM_TRY(read_field(&r));
        }
        CLM_TRY(end_row(csv));
        if (r.at < r.end) {
            skip_line_end(&r);
        }
    }
cleanup:
    return status;
}

void clm_csv_free(clm_csv *csv) {
    clm_free(csv->bytes);
    clm_free(csv->fields);
    clm_free(csv->row_start);
    *csv = (clm_csv){0};
}

const clm_csv_field *clm_csv_row(const clm_csv *csv, size_t row, size_t *count) {
    *count = csv->row_start[row + 1] - csv->row_start[row];
    return csv->fields + csv->row_start[row];
}

const char *clm_csv_text(const clm_csv *csv, const clm_csv_field *field) {
    return csv->bytes + field->offset;
}

void clm_csv_add_field(clm_string *out, const char *text, size_t length_bytes) {
    bool quoted = false;
    for (size_t i = 0; i < length_bytes && !quoted; i++) {
        quoted = text[i] == ',' || text[i] == '"' || text[i] == '\n' || text[i] == '\r';
    }
    if (!quoted) {
        clm_string_add_bytes(out, text, length_bytes);
        return;
    }
    clm_string_add(out, "\"");
    for (size_t i = 0; i < length_bytes;) {
        const char *quote = memchr(text + i, '"', length_bytes - i);
        size_t upto = quote != NULL ? (size_t)(quote - text) + 1 : length_bytes;
        clm_string_add_bytes(out, text + i, upto - i);
        if (quote != NULL) {
            clm_string_add(out, "\"");
        }
        i = upto;
    }
    clm_string_add(out, "\"");
}
