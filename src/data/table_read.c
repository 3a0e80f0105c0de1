/* Tables from files: what form they have, and what holds for all forms.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <string.h>

#include "base/file.h"
#include "base/lines.h"
#include "base/memory.h"
#include "data/table.h"

static clm_status check_bytes(const char *text, size_t size_bytes, const char *where) {
    if (size_bytes == 0) {
        return clm_fail(CLM_ERROR_FORMAT, "%s: the file is empty", where);
    }
    const size_t valid = clm_utf8_check(text, size_bytes);
    clm_status status = clm_text_refuse_nul(text, valid, where);
    if (status == CLM_OK && valid < size_bytes) {
        size_t line = 0;
        size_t column = 0;
        clm_text_place(text, valid, &line, &column);
        status = clm_fail(CLM_ERROR_ENCODING,
                          "%s:%zu:%zu: byte 0x%02X is not valid UTF-8; save the table as UTF-8",
                          where, line, column, (unsigned)(unsigned char)text[valid]);
    }
    return status;
}

static bool ends_with(const char *text, const char *end) {
    const size_t length = strlen(text);
    const size_t end_length = strlen(end);
    return length >= end_length && clm_equal_ignoring_case(text + length - end_length, end);
}

static const char *skip_space(const char *at, const char *end) {
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r')) {
        at++;
    }
    return at;
}

/* JSON begins with a brace or a bracket. Without a name that says so, what follows must look like
 * the inside of an object, or like a list of objects or lists. */
static bool is_json(const char *text, size_t size_bytes, const char *where) {
    const char *end = text + size_bytes;
    const char *at = skip_space(text + clm_text_mark(text, size_bytes), end);
    if (at == end || (*at != '{' && *at != '[')) {
        return false;
    }
    const char *next = skip_space(at + 1, end);
    const char second = next < end ? *next : '\0';
    return ends_with(where, ".jsonl") || ends_with(where, ".ndjson") || ends_with(where, ".json") ||
           (*at == '{' ? second == '"' || second == '}' : second == '{' || second == '[');
}

clm_status clm_table_parse(clm_table **table, const char *text, size_t size_bytes,
                           const clm_table_options *options, const char *where) {
    *table = NULL;
    clm_status status = check_bytes(text, size_bytes, where);
    if (status != CLM_OK) {
        return status;
    }
    return is_json(text, size_bytes, where)
               ? clm_table_parse_json(table, text, size_bytes, options, where)
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
