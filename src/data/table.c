/* Tables in memory: made, selected from.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "data/table.h"

#include <string.h>

#include "base/memory.h"

void clm_table_free(clm_table *table) {
    if (table == NULL) {
        return;
    }
    for (int k = 0; k < table->name_count; k++) {
        clm_free(table->names[k]);
    }
    clm_free(table->names);
    clm_free(table->label_rows);
    clm_name_index_free(&table->by_name);
    clm_origin_free(&table->origin);
    clm_free(table->texts);
    clm_free(table->rows);
    clm_free(table);
}

size_t clm_table_count(const clm_table *table) {
    return table->count;
}

const char *clm_table_text(const clm_table *table, size_t row, size_t *length_bytes) {
    if (length_bytes != NULL) {
        *length_bytes = table->rows[row].length_bytes;
    }
    return table->texts + table->rows[row].offset;
}

int clm_table_label(const clm_table *table, size_t row) {
    return table->rows[row].label;
}

int clm_table_label_count(const clm_table *table) {
    return table->name_count;
}

const char *clm_table_label_name(const clm_table *table, int label) {
    return table->names[label];
}

const char *const *clm_table_label_names(const clm_table *table) {
    return (const char *const *)table->names;
}

int clm_table_label_by_name(const clm_table *table, const char *name) {
    return clm_name_index_find(&table->by_name, name);
}

size_t clm_table_label_rows(const clm_table *table, int label) {
    return table->label_rows[label];
}

const char *const *clm_table_notes(const clm_table *table, size_t *count) {
    *count = table->origin.note_count;
    return (const char *const *)table->origin.notes;
}

bool clm_table_note_is_warning(const clm_table *table, size_t note) {
    return table->origin.note_is_warning[note];
}

/* A table with room for `count` rows and `size_bytes` of texts, and copies of the names. */
static clm_status make_table(clm_table **table, size_t count, size_t size_bytes,
                             const char *const *names, int name_count) {
    *table = NULL;
    clm_status status = CLM_OK;
    clm_table *fresh = NULL;
    CLM_TRY(clm_allocate(&fresh, 1, sizeof *fresh, "a table"));
    CLM_TRY(clm_allocate(&fresh->rows, count, sizeof *fresh->rows, "the rows of a table"));
    CLM_TRY(clm_allocate(&fresh->texts, size_bytes, 1, "the texts of a table"));
    CLM_TRY(clm_allocate(&fresh->names, (size_t)name_count + 1, sizeof *fresh->names,
                         "the names of classes"));
    CLM_TRY(clm_allocate(&fresh->label_rows, (size_t)name_count, sizeof *fresh->label_rows,
                         "the rows of classes"));
    for (; fresh->name_count < name_count; fresh->name_count++) {
        CLM_TRY(clm_duplicate(&fresh->names[fresh->name_count], names[fresh->name_count]));
    }
    CLM_TRY(clm_name_index_make(&fresh->by_name, clm_table_label_names(fresh), name_count));
    *table = fresh;
    fresh = NULL;
cleanup:
    clm_table_free(fresh);
    return status;
}

/* make_table() left room for it. *used_bytes counts what the texts take. */
static void add_row(clm_table *table, const char *text, size_t length_bytes, int label,
                    size_t *used_bytes) {
    table->rows[table->count++] =
        (clm_table_row){.offset = *used_bytes, .length_bytes = length_bytes, .label = label};
    table->label_rows[label]++;
    memcpy(table->texts + *used_bytes, text, length_bytes);
    table->texts[*used_bytes + length_bytes] = '\0';
    *used_bytes += length_bytes + 1;
}

clm_status clm_table_create(clm_table **table, const char *const *texts, const int *labels,
                            size_t count, const char *const *names, int name_count) {
    *table = NULL;
    size_t size_bytes = 0;
    for (size_t row = 0; row < count; row++) {
        size_t length_bytes = strlen(texts[row]);
        if (length_bytes == 0) {
            return clm_fail(CLM_ERROR_ARGUMENT, "text %zu is empty", row);
        }
        if (labels[row] < 0 || labels[row] >= name_count) {
            return clm_fail(CLM_ERROR_ARGUMENT, "text %zu has the label %d, but there are %d names",
                            row, labels[row], name_count);
        }
        size_t valid = clm_utf8_check(texts[row], length_bytes);
        if (valid < length_bytes) {
            return clm_fail(CLM_ERROR_ENCODING, "text %zu is not valid UTF-8 at byte %zu", row,
                            valid);
        }
        size_bytes += length_bytes + 1;
    }
    clm_status status = make_table(table, count, size_bytes, names, name_count);
    size_t used_bytes = 0;
    for (size_t row = 0; status == CLM_OK && row < count; row++) {
        add_row(*table, texts[row], strlen(texts[row]), labels[row], &used_bytes);
    }
    return status;
}

clm_status clm_table_select(clm_table **table, const clm_table *source, const int64_t *rows,
                            size_t count) {
    *table = NULL;
    clm_status status = CLM_OK;
    clm_table *fresh = NULL;
    size_t size_bytes = 0;
    size_t used_bytes = 0;
    for (size_t i = 0; i < count; i++) {
        size_bytes += source->rows[rows[i]].length_bytes + 1;
    }
    CLM_TRY(make_table(&fresh, count, size_bytes, clm_table_label_names(source),
                       clm_table_label_count(source)));
    CLM_TRY(clm_origin_copy(&fresh->origin, &source->origin));
    for (size_t i = 0; i < count; i++) {
        const clm_table_row *row = &source->rows[rows[i]];
        add_row(fresh, source->texts + row->offset, row->length_bytes, row->label, &used_bytes);
    }
    *table = fresh;
    fresh = NULL;
cleanup:
    clm_table_free(fresh);
    return status;
}

/* --- From a file --- */

static clm_status check_entries(const clm_table_entry *entries, size_t count, size_t *size_bytes,
                                const char *where) {
    *size_bytes = 0;
    if (count == 0) {
        return clm_fail(CLM_ERROR_FORMAT, "%s: the table has no rows", where);
    }
    for (size_t i = 0; i < count; i++) {
        const clm_table_entry *entry = &entries[i];
        if (entry->length_bytes == 0) {
            return clm_fail(CLM_ERROR_FORMAT, "%s:%zu:%zu: the text of row %zu is empty", where,
                            entry->line, entry->column, i + 1);
        }
        if (entry->label[0] == '\0') {
            return clm_fail(CLM_ERROR_FORMAT, "%s:%zu:%zu: the label of row %zu is empty", where,
                            entry->label_line, entry->label_column, i + 1);
        }
        *size_bytes += entry->length_bytes + 1;
    }
    return CLM_OK;
}

static clm_status count_class_rows(clm_table *table) {
    clm_origin *origin = &table->origin;
    const size_t count = (size_t)table->name_count;
    clm_status status =
        clm_allocate(&origin->class_rows, count, sizeof *origin->class_rows, "classes");
    if (status == CLM_OK) {
        memcpy(origin->class_rows, table->label_rows, count * sizeof *origin->class_rows);
        origin->class_count = table->name_count;
    }
    return status;
}

clm_status clm_table_from_entries(clm_table **table, clm_table_entry *entries, size_t count,
                                  const clm_table_options *options, const char *where,
                                  clm_origin *origin) {
    *table = NULL;
    clm_status status = CLM_OK;
    clm_table *fresh = NULL;
    clm_classes classes = {0};
    size_t size_bytes = 0;
    size_t used_bytes = 0;
    CLM_TRY(check_entries(entries, count, &size_bytes, where));
    CLM_TRY(clm_classes_of(&classes, entries, count, options, where, origin));
    CLM_TRY(make_table(&fresh, count, size_bytes, classes.names, classes.count));
    for (size_t i = 0; i < count; i++) {
        add_row(fresh, entries[i].text, entries[i].length_bytes, classes.numbers[i], &used_bytes);
    }
    fresh->origin = *origin;
    *origin = (clm_origin){0};
    CLM_TRY(count_class_rows(fresh));
    *table = fresh;
    fresh = NULL;
cleanup:
    clm_origin_free(origin);
    clm_classes_free(&classes);
    clm_table_free(fresh);
    return status;
}
