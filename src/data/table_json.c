/* Tables from JSON: an object a line (JSON Lines), or one value in one of the forms that pandas'
 * and datasets' to_json write (orient): records, columns, index, split, table.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/lines.h"
#include "base/memory.h"
#include "data/columns.h"
#include "data/json_walk.h"
#include "data/table.h"

/* The rows so far. Strings that were decoded stay until the table is made. */
typedef struct reader {
    const clm_table_options *options;
    const char *where;
    clm_table_entry *entries;
    size_t count;
    size_t capacity;
    char **owned;
    size_t owned_count;
    size_t owned_capacity;
    const char *counted; /* up to here lines were counted */
    size_t line;         /* of `counted` */
    clm_origin origin;
} reader;

static void reader_free(reader *r) {
    for (size_t i = 0; i < r->owned_count; i++) {
        clm_free(r->owned[i]);
    }
    clm_free(r->owned);
    clm_free(r->entries);
    clm_origin_free(&r->origin);
}

/* The line of a place; quick when places come in their order. */
static size_t line_of(reader *r, const char *start, const char *place) {
    if (place < r->counted) {
        r->counted = start;
        r->line = 1;
    }
    for (; r->counted < place; r->counted++) {
        r->line += *r->counted == '\n' || (*r->counted == '\r' && r->counted[1] != '\n');
    }
    return r->line;
}

/* --- Strings --- */

/* A NUL that is written as an escape would cut the text off without a word. */
static clm_status refuse_escaped_nul(const char *text, size_t length, size_t first_line,
                                     const char *where) {
    for (size_t i = 0; i + 1 < length; i++) {
        if (text[i] != '\\') {
            continue;
        }
        if (length - i >= 6 && memcmp(text + i, "\\u0000", 6) == 0) {
            size_t line = 0;
            size_t column = 0;
            clm_text_place(text, i, &line, &column);
            return clm_fail(CLM_ERROR_ENCODING, "%s:%zu:%zu: a NUL character", where,
                            first_line + line - 1, column);
        }
        i++;
    }
    return CLM_OK;
}

/* The characters of a string through *text, for clm_free. */
static clm_status decode(char **text, clm_json_value value, const char *where) {
    cJSON *json = NULL;
    *text = NULL;
    clm_status status = clm_json_parse(&json, value.text, value.length_bytes, where);
    if (status == CLM_OK && !cJSON_IsString(json)) {
        status = clm_fail(CLM_ERROR_FORMAT, "%s: is not a string", where);
    }
    if (status == CLM_OK) {
        status = clm_duplicate(text, json->valuestring);
    }
    cJSON_Delete(json);
    return status;
}

static clm_status own(reader *r, char *text) {
    clm_status status = clm_reserve(&r->owned, &r->owned_capacity, r->owned_count + 1,
                                    sizeof *r->owned, "the texts of a table");
    if (status == CLM_OK) {
        r->owned[r->owned_count++] = text;
    } else {
        clm_free(text);
    }
    return status;
}

static clm_status take_string(reader *r, const char **text, clm_json_value value) {
    char *decoded = NULL;
    clm_status status = decode(&decoded, value, r->where);
    *text = decoded;
    return status == CLM_OK ? own(r, decoded) : status;
}

/* A label is the characters of a string, or a number, true or false as it is written, which is
 * what it would be in CSV. */
static clm_status take_label(reader *r, const char **label, clm_json_value value) {
    const char kind = clm_json_kind(value);
    if (kind == '"') {
        return take_string(r, label, value);
    }
    clm_string written = {0};
    clm_string_add_bytes(&written, value.text, value.length_bytes);
    clm_status status = clm_string_status(&written);
    *label = written.text;
    if (status != CLM_OK) {
        clm_string_free(&written);
        return status;
    }
    return own(r, written.text);
}

/* --- Columns --- */

/* Which of several keys are the text and the label; none where there is none. */
typedef struct pair {
    clm_json_value text;
    clm_json_value label;
    size_t text_rank;
    size_t label_rank;
    size_t text_place;
    size_t label_place;
} pair;

static void consider(pair *p, const reader *r, const char *key, clm_json_value value,
                     size_t place) {
    size_t rank = clm_column_rank(key, r->options->text_column, clm_table_text_columns);
    if (rank < p->text_rank) {
        p->text_rank = rank;
        p->text = value;
        p->text_place = place;
    }
    rank = clm_column_rank(key, r->options->label_column, clm_table_label_columns);
    if (rank < p->label_rank) {
        p->label_rank = rank;
        p->label = value;
        p->label_place = place;
    }
}

/* The members of an object, or (`keys_are_elements`) the elements of a list of names, that are the
 * columns wanted. */
static clm_status find_pair(pair *p, const reader *r, clm_json_value container,
                            bool keys_are_elements) {
    *p = (pair){.text_rank = SIZE_MAX, .label_rank = SIZE_MAX};
    clm_json_walk walk = clm_json_walk_begin(container);
    clm_json_value key;
    clm_json_value value;
    for (size_t place = 0; clm_json_walk_next(&walk, &key, &value); place++) {
        const clm_json_value name = keys_are_elements ? value : key;
        char *decoded = NULL;
        if (clm_json_kind(name) != '"') {
            continue;
        }
        clm_status status = decode(&decoded, name, r->where);
        if (status != CLM_OK) {
            return status;
        }
        consider(p, r, decoded, value, place);
        clm_free(decoded);
    }
    return CLM_OK;
}

/* --- Rows --- */

static clm_status take_row(reader *r, clm_json_value text, clm_json_value label, size_t line) {
    const clm_table_options *options = r->options;
    const char kind = clm_json_kind(label);
    if (clm_json_kind(text) != '"') {
        return clm_fail(CLM_ERROR_FORMAT,
                        "%s:%zu:1: no text: the object has no string \"%s\"; --text-column names "
                        "another",
                        r->where, line,
                        options->text_column != NULL ? options->text_column : "text");
    }
    if (kind == '\0' || strchr("\"-0123456789tf", kind) == NULL) {
        return clm_fail(CLM_ERROR_FORMAT,
                        "%s:%zu:1: no label: the object has no string or number \"%s\"; "
                        "--label-column names another",
                        r->where, line,
                        options->label_column != NULL ? options->label_column : "label");
    }
    clm_status status = CLM_OK;
    CLM_TRY(clm_reserve(&r->entries, &r->capacity, r->count + 1, sizeof *r->entries,
                        "the rows of a table"));
    clm_table_entry *entry = &r->entries[r->count];
    *entry = (clm_table_entry){.line = line, .column = 1, .label_line = line, .label_column = 1};
    CLM_TRY(take_string(r, &entry->text, text));
    CLM_TRY(take_label(r, &entry->label, label));
    entry->length_bytes = strlen(entry->text);
    r->count++;
cleanup:
    return status;
}

static clm_status note_columns(reader *r, const char *text, const char *label) {
    clm_status status = clm_origin_set_columns(&r->origin, label, text);
    return status == CLM_OK ? clm_origin_guess_columns(&r->origin, r->options) : status;
}

/* The name of the first row's column, for the notes. */
static clm_status note_columns_of(reader *r, clm_json_value object, const pair *p) {
    clm_json_walk walk = clm_json_walk_begin(object);
    clm_json_value key;
    clm_json_value value;
    char *names[2] = {NULL, NULL};
    clm_status status = CLM_OK;
    for (size_t place = 0; clm_json_walk_next(&walk, &key, &value); place++) {
        const clm_json_value name = walk.object ? key : value;
        if (place == p->text_place) {
            CLM_TRY(decode(&names[0], name, r->where));
        } else if (place == p->label_place) {
            CLM_TRY(decode(&names[1], name, r->where));
        }
    }
    if (names[0] != NULL && names[1] != NULL) {
        CLM_TRY(note_columns(r, names[0], names[1]));
    }
cleanup:
    clm_free(names[0]);
    clm_free(names[1]);
    return status;
}

static clm_status take_object(reader *r, clm_json_value object, size_t line) {
    pair p;
    clm_status status = find_pair(&p, r, object, false);
    if (status == CLM_OK) {
        status = take_row(r, p.text, p.label, line);
    }
    if (status == CLM_OK && r->count == 1) {
        status = note_columns_of(r, object, &p);
    }
    return status;
}

/* --- JSON Lines --- */

static clm_status take_line(reader *r, const char *text, size_t length, size_t line) {
    clm_status status = CLM_OK;
    clm_string place = {0};
    cJSON *json = NULL;
    clm_string_add_format(&place, "%s:%zu", r->where, line);
    CLM_TRY(clm_string_status(&place));
    CLM_TRY(refuse_escaped_nul(text, length, line, r->where));
    CLM_TRY(clm_json_parse(&json, text, length, place.text));
    CLM_TRY(take_object(r, clm_json_first(text, text + length), line));
cleanup:
    cJSON_Delete(json);
    clm_string_free(&place);
    return status;
}

static clm_status take_lines(reader *r, const char *text, const char *end) {
    const char *at = text;
    const char *line = NULL;
    size_t length = 0;
    r->origin.format = "JSON Lines";
    for (size_t number = 1; clm_text_next_line(&at, end, &line, &length); number++) {
        if (clm_json_first(line, line + length).length_bytes > 0) {
            clm_status status = take_line(r, line, length, number);
            if (status != CLM_OK) {
                return status;
            }
        }
    }
    return CLM_OK;
}

/* --- One value --- */

/* An array of objects, or an object of objects. */
static clm_status take_objects(reader *r, const char *text, clm_json_value container) {
    clm_json_walk walk = clm_json_walk_begin(container);
    clm_json_value key;
    clm_json_value value;
    while (clm_json_walk_next(&walk, &key, &value)) {
        const size_t line = line_of(r, text, value.text);
        if (clm_json_kind(value) == '[') {
            return clm_fail(CLM_ERROR_FORMAT,
                            "%s:%zu:1: rows without the names of their columns; write the file as "
                            "an array of objects (orient=\"records\")",
                            r->where, line);
        }
        clm_status status = take_object(r, value, line);
        if (status != CLM_OK) {
            return status;
        }
    }
    return CLM_OK;
}

/* {"text": {"0": ..., "1": ...}, "label": {"0": ..., "1": ...}}, or arrays. */
static clm_status take_columns(reader *r, const char *text, const pair *p) {
    clm_json_walk texts = clm_json_walk_begin(p->text);
    clm_json_walk labels = clm_json_walk_begin(p->label);
    for (;;) {
        clm_json_value keys[2];
        clm_json_value values[2];
        const bool more = clm_json_walk_next(&texts, &keys[0], &values[0]);
        const bool as_well = clm_json_walk_next(&labels, &keys[1], &values[1]);
        if (!more && !as_well) {
            return CLM_OK;
        }
        const size_t line = more ? line_of(r, text, values[0].text) : r->line;
        if (more != as_well || keys[0].length_bytes != keys[1].length_bytes ||
            (keys[0].length_bytes > 0 &&
             memcmp(keys[0].text, keys[1].text, keys[0].length_bytes) != 0)) {
            return clm_fail(CLM_ERROR_FORMAT,
                            "%s:%zu:1: row %zu of the texts has no label of the same key", r->where,
                            line, r->count + 1);
        }
        clm_status status = take_row(r, values[0], values[1], line);
        if (status != CLM_OK) {
            return status;
        }
    }
}

/* {"columns": ["text", "label"], "data": [["...", 0], ...]} */
static clm_status take_split(reader *r, const char *text, clm_json_value columns,
                             clm_json_value data) {
    pair p;
    clm_json_walk rows = clm_json_walk_begin(data);
    clm_json_value key;
    clm_json_value row;
    clm_status status = CLM_OK;
    CLM_TRY(find_pair(&p, r, columns, true));
    CLM_TRY(note_columns_of(r, columns, &p));
    while (clm_json_walk_next(&rows, &key, &row)) {
        clm_json_walk walk = clm_json_walk_begin(row);
        clm_json_value value;
        pair values = {0};
        for (size_t place = 0; clm_json_walk_next(&walk, &key, &value); place++) {
            values.text = place == p.text_place && p.text.text != NULL ? value : values.text;
            values.label = place == p.label_place && p.label.text != NULL ? value : values.label;
        }
        CLM_TRY(take_row(r, values.text, values.label, line_of(r, text, row.text)));
    }
cleanup:
    return status;
}

/* The value of a member with this name, which has no escapes. */
static clm_json_value member(clm_json_value object, const char *name) {
    clm_json_walk walk = clm_json_walk_begin(object);
    clm_json_value key;
    clm_json_value value;
    while (clm_json_walk_next(&walk, &key, &value)) {
        if (key.length_bytes == strlen(name) + 2 &&
            memcmp(key.text + 1, name, key.length_bytes - 2) == 0) {
            return value;
        }
    }
    return (clm_json_value){0};
}

static bool holds_only(clm_json_value container, char kind) {
    clm_json_walk walk = clm_json_walk_begin(container);
    clm_json_value key;
    clm_json_value value;
    size_t count = 0;
    for (; clm_json_walk_next(&walk, &key, &value); count++) {
        if (clm_json_kind(value) != kind) {
            return false;
        }
    }
    return count > 0;
}

static bool is_container(clm_json_value value) {
    return clm_json_kind(value) == '{' || clm_json_kind(value) == '[';
}

static clm_status take_value(reader *r, const char *text, clm_json_value whole) {
    pair p;
    const clm_json_value data = member(whole, "data");
    const clm_json_value columns = member(whole, "columns");
    clm_status status = find_pair(&p, r, whole, false);
    if (status != CLM_OK) {
        return status;
    }
    if (clm_json_kind(whole) == '[') {
        r->origin.format = "JSON, an array of objects";
        return take_objects(r, text, whole);
    }
    if (is_container(p.text) && is_container(p.label)) {
        r->origin.format = "JSON, columns";
        status = note_columns_of(r, whole, &p);
        return status == CLM_OK ? take_columns(r, text, &p) : status;
    }
    if (clm_json_kind(data) == '[' && clm_json_kind(columns) == '[') {
        r->origin.format = "JSON, columns and data";
        return take_split(r, text, columns, data);
    }
    if (clm_json_kind(data) == '[') {
        r->origin.format = "JSON, an array of objects in \"data\"";
        return take_objects(r, text, data);
    }
    if (holds_only(whole, '{')) {
        r->origin.format = "JSON, an object of objects";
        return take_objects(r, text, whole);
    }
    r->origin.format = "JSON Lines";
    return take_object(r, whole, 1);
}

/* Whether nothing but one value is there. */
static bool is_one_value(clm_json_value first, const char *end) {
    const char last = first.text[first.length_bytes - 1];
    return (last == '}' || last == ']') &&
           clm_json_first(first.text + first.length_bytes, end).length_bytes == 0;
}

static clm_status check_whole(const char *text, size_t size_bytes, const char *where) {
    cJSON *json = NULL;
    clm_status status = refuse_escaped_nul(text, size_bytes, 1, where);
    if (status == CLM_OK) {
        status = clm_json_parse(&json, text, size_bytes, where);
    }
    cJSON_Delete(json);
    return status;
}

clm_status clm_table_parse_json(clm_table **table, const char *text, size_t size_bytes,
                                const clm_table_options *options, const char *where) {
    *table = NULL;
    clm_status status = CLM_OK;
    const size_t mark = clm_text_mark(text, size_bytes);
    const char *end = text + size_bytes;
    text += mark;
    reader r = {.options = options, .where = where, .counted = text, .line = 1};
    const clm_json_value first = clm_json_first(text, end);
    CLM_TRY(clm_duplicate(&r.origin.source, where));
    if (clm_json_kind(first) == '[' || is_one_value(first, end)) {
        CLM_TRY(check_whole(text, size_bytes - mark, where));
        CLM_TRY(take_value(&r, text, first));
    } else {
        CLM_TRY(take_lines(&r, text, end));
    }
    CLM_TRY(clm_table_from_entries(table, r.entries, r.count, options, where, &r.origin));
cleanup:
    reader_free(&r);
    return status;
}
