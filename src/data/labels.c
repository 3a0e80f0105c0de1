/* SPDX-License-Identifier: Apache-2.0 */
#include "data/labels.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "data/names.h"

void clm_classes_free(clm_classes *classes) {
    clm_free(classes->names);
    clm_free(classes->numbers);
    *classes = (clm_classes){0};
}

/* --- The column Name --- */

/* A row's label as a number, and its name. */
typedef struct numbered_name {
    int number;
    const char *name;
    size_t row;
} numbered_name;

static int compare_rows(const numbered_name *a, const numbered_name *b) {
    return (a->row > b->row) - (a->row < b->row);
}

static int compare_by_name(const void *a, const void *b) {
    const numbered_name *left = a;
    const numbered_name *right = b;
    const int order = strcmp(left->name, right->name);
    return order != 0 ? order : compare_rows(left, right);
}

static int compare_by_number(const void *a, const void *b) {
    const numbered_name *left = a;
    const numbered_name *right = b;
    const int order = (left->number > right->number) - (left->number < right->number);
    return order != 0 ? order : compare_rows(left, right);
}

static clm_status fail_contradiction(const clm_table_entry *entries, const numbered_name *first,
                                     const numbered_name *second, const char *where) {
    return clm_fail(
        CLM_ERROR_FORMAT,
        "%s:%zu:%zu: Label %d has the Name \"%.40s\", but in line %zu %d has \"%.40s\"; "
        "correct one of them, or take one column by --label-column Label or Name",
        where, entries[second->row].label_line, entries[second->row].label_column, second->number,
        second->name, entries[first->row].label_line, first->number, first->name);
}

/* Each number must have one name, and each name one number. Leaves `names` in the order of their
 * numbers. */
static clm_status check_names(numbered_name *names, size_t count, const clm_table_entry *entries,
                              const char *where) {
    qsort(names, count, sizeof *names, compare_by_name);
    for (size_t i = 1; i < count; i++) {
        if (strcmp(names[i - 1].name, names[i].name) == 0 &&
            names[i - 1].number != names[i].number) {
            return fail_contradiction(entries, &names[i - 1], &names[i], where);
        }
    }
    qsort(names, count, sizeof *names, compare_by_number);
    for (size_t i = 1; i < count; i++) {
        if (names[i - 1].number == names[i].number &&
            strcmp(names[i - 1].name, names[i].name) != 0) {
            return fail_contradiction(entries, &names[i - 1], &names[i], where);
        }
    }
    return CLM_OK;
}

static bool labels_are_integers(const clm_table_entry *entries, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (clm_name_integer(entries[i].label) < 0) {
            return false;
        }
    }
    return true;
}

/* Makes the names of the column Name the labels. When `classes` is not NULL, its names become
 * those, in the order of their numbers. Does nothing when the labels are no numbers: then the table
 * is not clm's, and Name is the name of something else. */
static clm_status take_names(clm_classes *classes, clm_table_entry *entries, size_t count,
                             const char *where, clm_origin *origin) {
    if (entries[0].name == NULL) {
        return CLM_OK;
    }
    if (!labels_are_integers(entries, count)) {
        return clm_origin_guess(origin, "columns: Name was left alone, because Label is no number");
    }
    clm_status status = CLM_OK;
    numbered_name *names = NULL;
    CLM_TRY(clm_allocate(&names, count, sizeof *names, "the names of classes"));
    for (size_t i = 0; i < count; i++) {
        if (entries[i].name[0] == '\0') {
            status = clm_fail(CLM_ERROR_FORMAT, "%s:%zu:%zu: the Name of row %zu is empty", where,
                              entries[i].label_line, entries[i].label_column, i + 1);
            goto cleanup;
        }
        names[i] = (numbered_name){clm_name_integer(entries[i].label), entries[i].name, i};
    }
    CLM_TRY(check_names(names, count, entries, where));
    for (size_t i = 0; i < count; i++) {
        entries[i].label = entries[i].name;
    }
    if (classes != NULL) {
        CLM_TRY(clm_allocate(&classes->names, count, sizeof *classes->names, "classes"));
        for (size_t i = 0; i < count; i++) {
            if (i == 0 || names[i - 1].number != names[i].number) {
                classes->names[classes->count++] = names[i].name;
            }
        }
    }
cleanup:
    clm_free(names);
    return status;
}

/* --- Classes that the file has --- */

static int compare_names(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Whether the names are the integers 0..count-1 (they differ, so in range is enough). */
static bool are_numbers(const clm_classes *classes) {
    for (int k = 0; k < classes->count; k++) {
        const int value = clm_name_integer(classes->names[k]);
        if (value < 0 || value >= classes->count) {
            return false;
        }
    }
    return true;
}

static int compare_numbers(const void *a, const void *b) {
    const int left = clm_name_integer(*(const char *const *)a);
    const int right = clm_name_integer(*(const char *const *)b);
    return (left > right) - (left < right);
}

/* The distinct labels of the entries, in the order of their numbers. */
static clm_status find_classes(clm_classes *classes, const clm_table_entry *entries, size_t count,
                               clm_origin *origin) {
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
        return clm_origin_guess(origin,
                                "classes: the labels are the integers 0 to %d and keep their "
                                "numbers",
                                classes->count - 1);
    }
    return clm_origin_guess(origin,
                            "classes: %d, numbered in the order of their names' bytes, from 0 for "
                            "\"%.60s\" to %d for \"%.60s\"",
                            classes->count, classes->names[0], classes->count - 1,
                            classes->names[classes->count - 1]);
}

/* What is allowed, but seldom meant. */
static clm_status warn_of_small_classes(const clm_classes *classes, size_t count,
                                        clm_origin *origin) {
    enum { too_few_to_tell = 20 };
    clm_status status = CLM_OK;
    int *rows = NULL;
    int single = 0;
    int example = 0;
    if (count < too_few_to_tell) {
        return CLM_OK;
    }
    CLM_TRY(clm_allocate(&rows, (size_t)classes->count, sizeof *rows, "classes"));
    for (size_t i = 0; i < count; i++) {
        rows[classes->numbers[i]]++;
    }
    for (int k = classes->count - 1; k >= 0; k--) {
        example = rows[k] == 1 ? k : example;
        single += rows[k] == 1;
    }
    if ((size_t)classes->count > count / 2) {
        CLM_TRY(clm_origin_warn(origin,
                                "%d classes for %zu rows: is this the column of the labels? "
                                "--label-column names another",
                                classes->count, count));
    } else if (single > 0) {
        CLM_TRY(clm_origin_warn(origin, "%d of %d classes have a single row, such as \"%.60s\"",
                                single, classes->count, classes->names[example]));
    }
cleanup:
    clm_free(rows);
    return status;
}

/* --- Classes that were given --- */

static clm_status fail_unknown_label(const clm_table_entry *entry, const clm_classes *classes,
                                     bool names_have_number, const char *where) {
    clm_string known = {0};
    for (int k = 0; k < classes->count && k < 20; k++) {
        clm_string_add_format(&known, "%s%.40s", k > 0 ? ", " : "", classes->names[k]);
    }
    if (classes->count > 20) {
        clm_string_add(&known, ", ...");
    }
    if (names_have_number && clm_name_integer(entry->label) >= 0) {
        clm_string_add(&known, " (names here, not numbers of classes)");
    }
    clm_status status =
        clm_fail(CLM_ERROR_FORMAT, "%s:%zu:%zu: unknown label \"%.64s\"; the labels are %s", where,
                 entry->label_line, entry->label_column, entry->label,
                 known.text != NULL ? known.text : "none");
    clm_string_free(&known);
    return status;
}

static clm_status use_given_labels(clm_classes *classes, const clm_table_options *options) {
    clm_status status = clm_allocate(&classes->names, (size_t)options->label_count,
                                     sizeof *classes->names, "the names of classes");
    for (; status == CLM_OK && classes->count < options->label_count; classes->count++) {
        classes->names[classes->count] = options->labels[classes->count];
    }
    return status;
}

/* The number of the class of each entry, once the classes are known. */
static clm_status number_entries(clm_classes *classes, const clm_table_entry *entries, size_t count,
                                 const char *where) {
    clm_status status = CLM_OK;
    clm_name_index index = {0};
    const bool names_have_number =
        clm_names_have_number((const char *const *)classes->names, classes->count);
    CLM_TRY(clm_allocate(&classes->numbers, count, sizeof *classes->numbers, "labels"));
    CLM_TRY(clm_name_index_make(&index, (const char *const *)classes->names, classes->count));
    for (size_t i = 0; i < count; i++) {
        classes->numbers[i] = clm_name_index_resolve(&index, names_have_number, entries[i].label);
        if (classes->numbers[i] < 0) {
            status = fail_unknown_label(&entries[i], classes, names_have_number, where);
            goto cleanup;
        }
    }
cleanup:
    clm_name_index_free(&index);
    return status;
}

clm_status clm_classes_of(clm_classes *classes, clm_table_entry *entries, size_t count,
                          const clm_table_options *options, const char *where, clm_origin *origin) {
    clm_status status = CLM_OK;
    const bool given = options->labels != NULL;
    *classes = (clm_classes){0};
    CLM_TRY(take_names(given ? NULL : classes, entries, count, where, origin));
    if (given) {
        CLM_TRY(use_given_labels(classes, options));
    } else if (classes->names == NULL) {
        CLM_TRY(find_classes(classes, entries, count, origin));
    }
    if (!given && classes->count < 2) {
        status = clm_fail(CLM_ERROR_FORMAT,
                          "%s: every row has the label \"%.64s\"; a table to learn from needs at "
                          "least two classes",
                          where, classes->names[0]);
        goto cleanup;
    }
    CLM_TRY(number_entries(classes, entries, count, where));
    if (!given) {
        CLM_TRY(warn_of_small_classes(classes, count, origin));
    }
cleanup:
    return status;
}
