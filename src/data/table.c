/* Tables in memory: made, numbered, selected from.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "data/table.h"

#include <limits.h>
#include <stdlib.h>
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
    for (int k = 0; k < table->name_count; k++) {
        if (strcmp(table->names[k], name) == 0) {
            return k;
        }
    }
    return -1;
}

size_t clm_table_label_rows(const clm_table *table, int label) {
    size_t count = 0;
    for (size_t row = 0; row < table->count; row++) {
        count += table->rows[row].label == label;
    }
    return count;
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
    for (; fresh->name_count < name_count; fresh->name_count++) {
        CLM_TRY(clm_duplicate(&fresh->names[fresh->name_count], names[fresh->name_count]));
    }
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
    size_t size_bytes = 0;
    for (size_t i = 0; i < count; i++) {
        size_bytes += source->rows[rows[i]].length_bytes + 1;
    }
    clm_status status = make_table(table, count, size_bytes, clm_table_label_names(source),
                                   clm_table_label_count(source));
    size_t used_bytes = 0;
    for (size_t i = 0; status == CLM_OK && i < count; i++) {
        const clm_table_row *row = &source->rows[rows[i]];
        add_row(*table, source->texts + row->offset, row->length_bytes, row->label, &used_bytes);
    }
    return status;
}

/* --- Numbers for labels --- */

/* The classes of a file: the names in their order; index[k] is the number of names[k]. */
typedef struct class_list {
    const char **names;
    int count;
} class_list;

/* The value of "0", "7", "12" (no sign, no leading zero); -1 for anything else. */
static int integer_of(const char *label) {
    int value = 0;
    if (*label == '\0' || (*label == '0' && label[1] != '\0')) {
        return -1;
    }
    for (; *label != '\0'; label++) {
        if (*label < '0' || *label > '9' || value > (INT_MAX - (*label - '0')) / 10) {
            return -1;
        }
        value = value * 10 + (*label - '0');
    }
    return value;
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Whether the names are the integers 0..count-1 (they differ, so in range is enough). */
static bool are_numbers(const class_list *classes) {
    for (int k = 0; k < classes->count; k++) {
        int value = integer_of(classes->names[k]);
        if (value < 0 || value >= classes->count) {
            return false;
        }
    }
    return true;
}

static int compare_numbers(const void *a, const void *b) {
    int left = integer_of(*(const char *const *)a);
    int right = integer_of(*(const char *const *)b);
    return (left > right) - (left < right);
}

/* The distinct labels of the entries, in the order of their numbers. */
static clm_status find_classes(class_list *classes, const clm_table_entry *entries, size_t count) {
    clm_status status =
        clm_allocate(&classes->names, count, sizeof *classes->names, "the labels of a table");
    if (status != CLM_OK) {
        return status;
    }
    for (size_t i = 0; i < count; i++) {
        classes->names[i] = entries[i].label;
    }
    qsort(classes->names, count, sizeof *classes->names, compare_names);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || strcmp(classes->names[i], classes->names[classes->count - 1]) != 0) {
            classes->names[classes->count++] = classes->names[i];
        }
    }
    if (are_numbers(classes)) {
        qsort(classes->names, (size_t)classes->count, sizeof *classes->names, compare_numbers);
    }
    return CLM_OK;
}

/* The number of a label among classes that were found: by bisection, or by its value. */
static int number_among_found(const class_list *classes, bool numbers, const char *label) {
    if (numbers) {
        return integer_of(label);
    }
    const char **found = bsearch(&label, classes->names, (size_t)classes->count,
                                 sizeof *classes->names, compare_names);
    return (int)(found - classes->names);
}

/* The number of a label among names that were given, or -1. */
static int number_among_given(const clm_table_options *options, const char *label) {
    for (int k = 0; k < options->label_count; k++) {
        if (strcmp(options->labels[k], label) == 0) {
            return k;
        }
    }
    int value = integer_of(label);
    return value < options->label_count ? value : -1;
}

static clm_status fail_unknown_label(const clm_table_entry *entry, const clm_table_options *options,
                                     const char *where) {
    clm_string known = {0};
    for (int k = 0; options->labels != NULL && k < options->label_count && k < 20; k++) {
        clm_string_add_format(&known, "%s%s", k > 0 ? ", " : "", options->labels[k]);
    }
    if (options->label_count > 20) {
        clm_string_add(&known, ", ...");
    }
    clm_status status =
        clm_fail(CLM_ERROR_FORMAT, "%s:%zu:%zu: unknown label \"%.64s\"; the labels are %s", where,
                 entry->label_line, entry->label_column, entry->label,
                 known.text != NULL ? known.text : "none");
    clm_string_free(&known);
    return status;
}

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

clm_status clm_table_from_entries(clm_table **table, const clm_table_entry *entries, size_t count,
                                  const clm_table_options *options, const char *where) {
    *table = NULL;
    clm_status status = CLM_OK;
    clm_table *fresh = NULL;
    class_list classes = {0};
    size_t size_bytes = 0;
    size_t used_bytes = 0;
    bool given = options->labels != NULL;
    CLM_TRY(check_entries(entries, count, &size_bytes, where));
    if (given) {
        CLM_TRY(make_table(&fresh, count, size_bytes, options->labels, options->label_count));
    } else {
        CLM_TRY(find_classes(&classes, entries, count));
        if (classes.count < 2) {
            status = clm_fail(CLM_ERROR_FORMAT,
                              "%s: every row has the label \"%.64s\"; a table to learn from needs "
                              "at least two classes",
                              where, classes.names[0]);
            goto cleanup;
        }
        CLM_TRY(make_table(&fresh, count, size_bytes, classes.names, classes.count));
    }
    bool numbers = !given && are_numbers(&classes);
    for (size_t i = 0; i < count; i++) {
        int label = given ? number_among_given(options, entries[i].label)
                          : number_among_found(&classes, numbers, entries[i].label);
        if (label < 0) {
            status = fail_unknown_label(&entries[i], options, where);
            goto cleanup;
        }
        add_row(fresh, entries[i].text, entries[i].length_bytes, label, &used_bytes);
    }
    *table = fresh;
    fresh = NULL;
cleanup:
    clm_free(classes.names);
    clm_table_free(fresh);
    return status;
}
