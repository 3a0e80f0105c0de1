/* Tables from files: CSV, TSV, JSON Lines.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/string.h"
#include "data/csv.h"
#include "data/table.h"

const char *const clm_table_text_columns[] = {"text", "message", "sms", NULL};
const char *const clm_table_label_columns[] = {"label", "class", "category", "target", NULL};

/* Line and column (1-based, in bytes) of a byte, lines counted as clm_csv_parse() does. */
static void find_place(const char *text, size_t offset, size_t *line, size_t *column) {
    size_t start = 0;
    *line = 1;
    for (size_t i = 0; i < offset; i++) {
        if (text[i] == '\n' || (text[i] == '\r' && text[i + 1] != '\n')) {
            (*line)++;
            start = i + 1;
        }
    }
    *column = offset - start + 1;
}

static clm_status check_bytes(const char *text, size_t size_bytes, const char *where) {
    size_t line = 0;
    size_t column = 0;
    if (size_bytes == 0) {
        return clm_fail(CLM_ERROR_FORMAT, "%s: the file is empty", where);
    }
    const char *nul = memchr(text, '\0', size_bytes);
    size_t valid = clm_utf8_check(text, size_bytes);
    if (nul != NULL && (size_t)(nul - text) < valid) {
        find_place(text, (size_t)(nul - text), &line, &column);
        return clm_fail(CLM_ERROR_ENCODING,
                        "%s:%zu:%zu: a NUL byte: this is no table, or one in UTF-16; save it as "
                        "text in UTF-8",
                        where, line, column);
    }
    if (valid < size_bytes) {
        find_place(text, valid, &line, &column);
        return clm_fail(CLM_ERROR_ENCODING,
                        "%s:%zu:%zu: byte 0x%02X is not valid UTF-8; save the table as UTF-8",
                        where, line, column, (unsigned)(unsigned char)text[valid]);
    }
    return CLM_OK;
}

/* --- Columns --- */

/* The first field of the header that has this name exactly, else in any case; `count` for none. */
static size_t find_name(const clm_csv *csv, const clm_csv_field *header, size_t count,
                        const char *name) {
    size_t found = count;
    for (size_t i = count; i-- > 0;) {
        const char *text = clm_csv_text(csv, &header[i]);
        if (strcmp(text, name) == 0) {
            found = i;
        } else if (clm_equal_ignoring_case(text, name) &&
                   (found == count || strcmp(clm_csv_text(csv, &header[found]), name) != 0)) {
            found = i;
        }
    }
    return found;
}

/* The column that was asked for, else the first of the usual names that is there. */
static size_t find_column(const clm_csv *csv, const clm_csv_field *header, size_t count,
                          const char *asked, const char *const *usual) {
    if (asked != NULL) {
        return find_name(csv, header, count, asked);
    }
    size_t found = count;
    for (; *usual != NULL && found == count; usual++) {
        found = find_name(csv, header, count, *usual);
    }
    return found;
}

static clm_status fail_no_column(const clm_csv *csv, const clm_csv_field *header, size_t count,
                                 const char *kind, const char *asked, const char *const *usual,
                                 const char *where) {
    clm_string there = {0};
    clm_string wanted = {0};
    for (size_t i = 0; i < count && i < 20; i++) {
        clm_string_add_format(&there, "%s\"%.40s\"", i > 0 ? ", " : "",
                              clm_csv_text(csv, &header[i]));
    }
    clm_string_add(&wanted, asked != NULL ? asked : "");
    for (; asked == NULL && *usual != NULL; usual++) {
        clm_string_add_format(&wanted, "%s%s", wanted.length > 0 ? ", " : "", *usual);
    }
    clm_status status = clm_string_status(&there) != CLM_OK ? there.status : wanted.status;
    if (status == CLM_OK) {
        status = clm_fail(CLM_ERROR_FORMAT,
                          "%s:%zu:%zu: no %s column (%s) in the first row, which has %s; name the "
                          "column to take",
                          where, header->line, header->column, kind, wanted.text, there.text);
    }
    clm_string_free(&there);
    clm_string_free(&wanted);
    return status;
}

typedef struct columns {
    size_t text;
    size_t label;
    bool header;
} columns;

static clm_status choose_columns(columns *chosen, const clm_csv *csv, char separator,
                                 const clm_table_options *options, const char *where) {
    size_t count = 0;
    const clm_csv_field *header = clm_csv_row(csv, 0, &count);
    size_t text = find_column(csv, header, count, options->text_column, clm_table_text_columns);
    size_t label = find_column(csv, header, count, options->label_column, clm_table_label_columns);
    bool asked = options->text_column != NULL || options->label_column != NULL;
    bool absent = options->header == CLM_TABLE_HEADER_ABSENT ||
                  (options->header == CLM_TABLE_HEADER_AUTO && separator == '\t' && count == 2 &&
                   !asked && text == count && label == count);
    if (absent && count != 2) {
        return clm_fail(CLM_ERROR_FORMAT,
                        "%s:%zu:%zu: %zu columns; a table without a header has two: label, text",
                        where, header->line, header->column, count);
    }
    if (absent) {
        *chosen = (columns){.text = 1, .label = 0, .header = false};
        return CLM_OK;
    }
    if (text == count) {
        return fail_no_column(csv, header, count, "text", options->text_column,
                              clm_table_text_columns, where);
    }
    if (label == count) {
        return fail_no_column(csv, header, count, "label", options->label_column,
                              clm_table_label_columns, where);
    }
    if (text == label) {
        return clm_fail(CLM_ERROR_FORMAT, "%s:%zu:%zu: one column cannot be both text and label",
                        where, header[text].line, header[text].column);
    }
    *chosen = (columns){.text = text, .label = label, .header = true};
    return CLM_OK;
}

/* --- CSV and TSV --- */

static clm_status take_row(clm_table_entry *entry, const clm_csv *csv, size_t row, size_t width,
                           const columns *chosen, const char *where) {
    size_t count = 0;
    const clm_csv_field *fields = clm_csv_row(csv, row, &count);
    if (count != width) {
        const clm_csv_field *place = &fields[count > width ? width : count - 1];
        return clm_fail(CLM_ERROR_FORMAT,
                        "%s:%zu:%zu: row %zu has %zu columns, but the first has %zu; a text with a "
                        "separator in it needs quotes around it",
                        where, place->line, place->column, row + 1, count, width);
    }
    const clm_csv_field *text = &fields[chosen->text];
    const clm_csv_field *label = &fields[chosen->label];
    *entry = (clm_table_entry){.text = clm_csv_text(csv, text),
                               .length_bytes = text->length_bytes,
                               .label = clm_csv_text(csv, label),
                               .line = text->line,
                               .column = text->column,
                               .label_line = label->line,
                               .label_column = label->column};
    return CLM_OK;
}

/* By the first line that is not blank. */
static char guess_separator(const char *text, size_t size_bytes) {
    bool blank = true;
    bool tab = false;
    for (size_t i = 0; i < size_bytes; i++) {
        bool line_end = text[i] == '\n' || text[i] == '\r';
        if (line_end && !blank) {
            break;
        }
        tab = (tab && !line_end) || text[i] == '\t';
        blank = blank && strchr(" \t\r\n", text[i]) != NULL;
    }
    return tab ? '\t' : ',';
}

clm_status clm_table_parse_separated(clm_table **table, const char *text, size_t size_bytes,
                                     const clm_table_options *options, const char *where) {
    *table = NULL;
    clm_status status = CLM_OK;
    clm_csv csv = {0};
    clm_table_entry *entries = NULL;
    columns chosen = {0};
    size_t count = 0;
    size_t width = 0;
    char separator =
        options->separator != 0 ? options->separator : guess_separator(text, size_bytes);
    if (separator == '"' || separator == '\n' || separator == '\r') {
        return clm_fail(CLM_ERROR_ARGUMENT,
                        "a quote or an end of line cannot stand between columns");
    }
    CLM_TRY(clm_csv_parse(&csv, text, size_bytes, separator, where));
    if (csv.row_count == 0) {
        status = clm_fail(CLM_ERROR_FORMAT, "%s: the table has no rows", where);
        goto cleanup;
    }
    CLM_TRY(choose_columns(&chosen, &csv, separator, options, where));
    CLM_TRY(clm_allocate(&entries, csv.row_count, sizeof *entries, "the rows of a table"));
    (void)clm_csv_row(&csv, 0, &width);
    for (size_t row = chosen.header ? 1 : 0; row < csv.row_count; row++) {
        CLM_TRY(take_row(&entries[count++], &csv, row, width, &chosen, where));
    }
    CLM_TRY(clm_table_from_entries(table, entries, count, options, where));
cleanup:
    clm_free(entries);
    clm_csv_free(&csv);
    return status;
}

/* --- JSON Lines --- */

static const cJSON *find_member(const cJSON *object, const char *asked, const char *const *usual) {
    if (asked != NULL) {
        return cJSON_GetObjectItemCaseSensitive(object, asked);
    }
    const cJSON *found = NULL;
    for (; *usual != NULL && found == NULL; usual++) {
        found = cJSON_GetObjectItem(object, *usual);
    }
    return found;
}

/* A number's label, when it is an integer that a double holds exactly. */
static clm_status label_of_number(char label[24], double value, const char *where, size_t line) {
    if (!(value >= 0 && value < 1e15) || value != (double)(long long)value) {
        return clm_fail(CLM_ERROR_FORMAT,
                        "%s:%zu:1: the label %g is neither a string nor an "
                        "integer from 0",
                        where, line, value);
    }
    (void)snprintf(label, 24, "%lld", (long long)value);
    return CLM_OK;
}

/* The lines that were parsed, and the labels that were numbers, stay until the table is made. */
typedef struct json_rows {
    cJSON **objects;
    char (*labels)[24];
    clm_table_entry *entries;
    size_t count;
} json_rows;

/* A NUL that is written as an escape would cut the text off without a word. */
static clm_status refuse_escaped_nul(const char *text, size_t length, size_t line,
                                     const char *where) {
    for (size_t i = 0; i + 1 < length; i++) {
        if (text[i] == '\\') {
            if (length - i >= 6 && memcmp(text + i, "\\u0000", 6) == 0) {
                return clm_fail(CLM_ERROR_ENCODING, "%s:%zu:%zu: a NUL character", where, line,
                                i + 1);
            }
            i++;
        }
    }
    return CLM_OK;
}

static clm_status parse_line(cJSON **object, const char *text, size_t length, size_t line,
                             const char *where) {
    clm_status status = CLM_OK;
    clm_string place = {0};
    clm_string_add_format(&place, "%s:%zu", where, line);
    CLM_TRY(clm_string_status(&place));
    CLM_TRY(refuse_escaped_nul(text, length, line, where));
    CLM_TRY(clm_json_parse(object, text, length, place.text));
cleanup:
    clm_string_free(&place);
    return status;
}

static clm_status take_object(json_rows *rows, const char *text, size_t length, size_t line,
                              const clm_table_options *options, const char *where) {
    clm_status status = parse_line(&rows->objects[rows->count], text, length, line, where);
    if (status != CLM_OK) {
        return status;
    }
    size_t row = rows->count++;
    const cJSON *object = rows->objects[row];
    const cJSON *body = find_member(object, options->text_column, clm_table_text_columns);
    const cJSON *label = find_member(object, options->label_column, clm_table_label_columns);
    if (!cJSON_IsString(body)) {
        return clm_fail(CLM_ERROR_FORMAT, "%s:%zu:1: no text: the object has no string \"%s\"",
                        where, line, options->text_column != NULL ? options->text_column : "text");
    }
    if (!cJSON_IsString(label) && !cJSON_IsNumber(label)) {
        return clm_fail(CLM_ERROR_FORMAT,
                        "%s:%zu:1: no label: the object has no string or integer "
                        "\"%s\"",
                        where, line,
                        options->label_column != NULL ? options->label_column : "label");
    }
    rows->entries[row] = (clm_table_entry){.text = body->valuestring,
                                           .length_bytes = strlen(body->valuestring),
                                           .label = label->valuestring,
                                           .line = line,
                                           .column = 1,
                                           .label_line = line,
                                           .label_column = 1};
    if (cJSON_IsNumber(label)) {
        rows->entries[row].label = rows->labels[row];
        return label_of_number(rows->labels[row], label->valuedouble, where, line);
    }
    return CLM_OK;
}

static bool is_blank(const char *text, size_t length) {
    for (size_t i = 0; i < length; i++) {
        if (strchr(" \t\r", text[i]) == NULL) {
            return false;
        }
    }
    return true;
}

clm_status clm_table_parse_json_lines(clm_table **table, const char *text, size_t size_bytes,
                                      const clm_table_options *options, const char *where) {
    *table = NULL;
    clm_status status = CLM_OK;
    json_rows rows = {0};
    const char *end = text + size_bytes;
    size_t lines = 1;
    for (const char *at = text; at < end; at++) {
        lines += *at == '\n';
    }
    CLM_TRY(clm_allocate(&rows.objects, lines, sizeof *rows.objects, where));
    CLM_TRY(clm_allocate(&rows.labels, lines, sizeof *rows.labels, where));
    CLM_TRY(clm_allocate(&rows.entries, lines, sizeof *rows.entries, where));
    const char *at = text;
    for (size_t line = 1; at < end; line++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t length = newline != NULL ? (size_t)(newline - at) : (size_t)(end - at);
        if (!is_blank(at, length)) {
            CLM_TRY(take_object(&rows, at, length, line, options, where));
        }
        at += length + (newline != NULL ? 1 : 0);
    }
    CLM_TRY(clm_table_from_entries(table, rows.entries, rows.count, options, where));
cleanup:
    for (size_t i = 0; i < rows.count; i++) {
        cJSON_Delete(rows.objects[i]);
    }
    clm_free(rows.objects);
    clm_free(rows.labels);
    clm_free(rows.entries);
    return status;
}

/* --- Any --- */

static bool ends_with(const char *text, const char *end) {
    size_t length = strlen(text);
    size_t end_length = strlen(end);
    return length >= end_length && clm_equal_ignoring_case(text + length - end_length, end);
}

clm_status clm_table_parse(clm_table **table, const char *text, size_t size_bytes,
                           const clm_table_options *options, const char *where) {
    *table = NULL;
    clm_status status = check_bytes(text, size_bytes, where);
    if (status != CLM_OK) {
        return status;
    }
    bool json = ends_with(where, ".jsonl") || ends_with(where, ".ndjson");
    return json ? clm_table_parse_json_lines(table, text, size_bytes, options, where)
                : clm_table_parse_separated(table, text, size_bytes, options, where);
}

clm_status clm_table_read(clm_table **table, const char *path, const clm_table_options *options) {
    static const clm_table_options usual = CLM_TABLE_OPTIONS_DEFAULT;
    *table = NULL;
    char *text = NULL;
    size_t size_bytes = 0;
    clm_status status = clm_file_read(path, CLM_FILE_TABLE, &text, &size_bytes);
    if (status == CLM_OK) {
        status = clm_table_parse(table, text, size_bytes, options != NULL ? options : &usual, path);
    }
    clm_free(text);
    return status;
}
