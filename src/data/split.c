/* Balance, split, and the folder that holds a split.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/random.h"
#include "data/csv.h"
#include "data/table.h"

/* --- Balance and split --- */

/* The rows of a class in their order; returns how many. `rows` has room for all. */
static size_t rows_of_class(int64_t *rows, const clm_table *table, int label) {
    size_t count = 0;
    for (size_t row = 0; row < table->count; row++) {
        if (table->rows[row].label == label) {
            rows[count++] = (int64_t)row;
        }
    }
    return count;
}

clm_status clm_table_balance(clm_table **balanced, const clm_table *table, uint32_t seed) {
    *balanced = NULL;
    clm_status status = CLM_OK;
    int64_t *members = NULL;
    int64_t *order = NULL;
    int64_t *chosen = NULL;
    size_t least = SIZE_MAX;
    size_t chosen_count = 0;
    int smallest = 0;
    for (int k = 0; k < table->name_count; k++) {
        size_t count = clm_table_label_rows(table, k);
        if (count == 0) {
            return clm_fail(CLM_ERROR_FORMAT, "no text has the label \"%.64s\": nothing to balance",
                            table->names[k]);
        }
        if (count <= least) {
            least = count;
            smallest = k;
        }
    }
    CLM_TRY(clm_allocate(&members, table->count, sizeof *members, "the rows of a class"));
    CLM_TRY(clm_allocate(&order, table->count, sizeof *order, "a permutation"));
    CLM_TRY(clm_allocate(&chosen, table->count, sizeof *chosen, "the rows of a balanced table"));
    for (int k = 0; k < table->name_count; k++) {
        size_t count = rows_of_class(members, table, k);
        clm_numpy_random random;
        clm_numpy_random_seed(&random, seed);
        clm_numpy_random_permutation(&random, order, count);
        for (size_t i = 0; i < least; i++) {
            chosen[chosen_count++] = members[k == smallest ? (int64_t)i : order[i]];
        }
    }
    CLM_TRY(clm_table_select(balanced, table, chosen, chosen_count));
cleanup:
    clm_free(members);
    clm_free(order);
    clm_free(chosen);
    return status;
}

clm_status clm_table_split(clm_split *split, const clm_table *table, double train_fraction,
                           double validation_fraction, uint32_t seed) {
    *split = (clm_split){0};
    if (!(train_fraction > 0 && validation_fraction > 0 &&
          train_fraction + validation_fraction < 1)) {
        return clm_fail(CLM_ERROR_ARGUMENT,
                        "cannot split %g to train and %g to validate: both must be positive and "
                        "leave some to test",
                        train_fraction, validation_fraction);
    }
    size_t count = table->count;
    size_t train = (size_t)((double)count * train_fraction);
    size_t validation = (size_t)((double)count * validation_fraction);
    if (train == 0 || validation == 0 || train + validation >= count) {
        return clm_fail(
            CLM_ERROR_SHAPE,
            "%zu rows are too few to split %g, %g and the rest: that gives %zu, %zu and "
            "%zu",
            count, train_fraction, validation_fraction, train, validation,
            count - train - validation);
    }
    clm_status status = CLM_OK;
    int64_t *order = NULL;
    clm_numpy_random random;
    CLM_TRY(clm_allocate(&order, count, sizeof *order, "a permutation"));
    clm_numpy_random_seed(&random, seed);
    clm_numpy_random_permutation(&random, order, count);
    CLM_TRY(clm_table_select(&split->train, table, order, train));
    CLM_TRY(clm_table_select(&split->validation, table, order + train, validation));
    CLM_TRY(clm_table_select(&split->test, table, order + train + validation,
                             count - train - validation));
cleanup:
    clm_free(order);
    if (status != CLM_OK) {
        clm_split_free(split);
    }
    return status;
}

void clm_split_free(clm_split *split) {
    clm_table_free(split->train);
    clm_table_free(split->validation);
    clm_table_free(split->test);
    *split = (clm_split){0};
}

/* --- Files --- */

void clm_table_add_csv(clm_string *out, const clm_table *table) {
    clm_string_add(out, "Label,Text\n");
    for (size_t row = 0; row < table->count; row++) {
        size_t length_bytes = 0;
        const char *text = clm_table_text(table, row, &length_bytes);
        clm_string_add_format(out, "%d,", clm_table_label(table, row));
        clm_csv_add_field(out, text, length_bytes);
        clm_string_add(out, "\n");
    }
}

clm_status clm_table_write_csv(const clm_table *table, const char *path) {
    clm_string text = {0};
    clm_table_add_csv(&text, table);
    clm_status status = clm_string_status(&text);
    if (status == CLM_OK) {
        status = clm_file_write(path, text.text, text.length);
    }
    clm_string_free(&text);
    return status;
}

enum { split_file_count = 4 };

static const char *const split_files[split_file_count] = {"train.csv", "validation.csv", "test.csv",
                                                          "labels.json"};

static clm_status compose_files(clm_string contents[split_file_count], const clm_split *split) {
    clm_table_add_csv(&contents[0], split->train);
    clm_table_add_csv(&contents[1], split->validation);
    clm_table_add_csv(&contents[2], split->test);
    clm_string_add(&contents[3], "[");
    for (int k = 0; k < split->train->name_count; k++) {
        clm_string_add(&contents[3], k > 0 ? "," : "");
        clm_json_add_string(&contents[3], split->train->names[k]);
    }
    clm_string_add(&contents[3], "]\n");
    for (int i = 0; i < split_file_count; i++) {
        if (clm_string_status(&contents[i]) != CLM_OK) {
            return clm_string_status(&contents[i]);
        }
    }
    return CLM_OK;
}

/* How many entries a folder has, "." and ".." not counted. */
static clm_status count_entries(size_t *count, const char *folder) {
    *count = 0;
    DIR *open_folder = opendir(folder);
    if (open_folder == NULL) {
        return clm_fail_errno(errno, "%s: the folder cannot be read", folder);
    }
    for (struct dirent *entry = readdir(open_folder); entry != NULL; entry = readdir(open_folder)) {
        *count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    }
    (void)closedir(open_folder);
    return CLM_OK;
}

/* Whether the folder holds exactly these four files with these bytes. */
static bool holds_the_same(const char *folder, const clm_string contents[split_file_count]) {
    bool same = true;
    for (int i = 0; same && i < split_file_count; i++) {
        char *path = NULL;
        char *bytes = NULL;
        size_t size_bytes = 0;
        same = clm_path_join(&path, folder, split_files[i]) == CLM_OK && clm_file_exists(path) &&
               clm_file_read(path, CLM_FILE_TABLE, &bytes, &size_bytes) == CLM_OK &&
               size_bytes == contents[i].length && memcmp(bytes, contents[i].text, size_bytes) == 0;
        clm_free(bytes);
        clm_free(path);
    }
    return same;
}

/* Whether there is nothing to write (*done), and whether the folder may be written to. */
static clm_status check_target(bool *done, bool *empty, const char *folder, bool replace,
                               const clm_string contents[split_file_count]) {
    *done = false;
    *empty = true;
    if (!clm_file_exists(folder)) {
        return CLM_OK;
    }
    if (!clm_file_is_folder(folder)) {
        return clm_fail(CLM_ERROR_EXISTS, "%s: is a file, not a folder", folder);
    }
    size_t entries = 0;
    clm_status status = count_entries(&entries, folder);
    if (status != CLM_OK) {
        return status;
    }
    *empty = entries == 0;
    *done = entries == split_file_count && holds_the_same(folder, contents);
    if (!*done && !*empty && !replace) {
        return clm_fail(CLM_ERROR_EXISTS,
                        "%s: the folder has something else in it, which is left alone; choose "
                        "another, or force the replacement of train.csv, validation.csv, test.csv "
                        "and labels.json",
                        folder);
    }
    return CLM_OK;
}

/* Takes the four files out of the folder aside and, when it then is empty, the folder away. Says
 * nothing: it cleans up. */
static void remove_aside(clm_folder *aside) {
    clm_error_hold();
    for (int i = 0; i < split_file_count; i++) {
        (void)clm_folder_remove(aside, split_files[i]);
    }
    clm_folder_close_and_remove(aside);
    clm_error_release();
}

static clm_status move_files(const clm_folder *aside, const char *path) {
    clm_folder folder = {0};
    clm_status status = clm_folder_open(&folder, path);
    for (int i = 0; status == CLM_OK && i < split_file_count; i++) {
        if (renameat(aside->descriptor, split_files[i], folder.descriptor, split_files[i]) != 0) {
            status = clm_fail_errno(errno, "%s/%s: cannot be put in place", path, split_files[i]);
        }
    }
    clm_folder_close(&folder);
    return status;
}

/* Writes the four into a folder of their own beside `folder`, through *aside. */
static clm_status write_aside(clm_folder *aside, const char *folder,
                              const clm_string contents[split_file_count]) {
    clm_status status = clm_part_make_folder(aside, folder);
    for (int i = 0; status == CLM_OK && i < split_file_count; i++) {
        status = clm_folder_write(aside, split_files[i], contents[i].text, contents[i].length);
    }
    return status;
}

clm_status clm_split_write(const clm_split *split, const char *folder, bool replace) {
    clm_status status = CLM_OK;
    clm_string contents[split_file_count] = {{0}};
    clm_folder aside = {0};
    bool done = false;
    bool empty = true;
    CLM_TRY(compose_files(contents, split));
    CLM_TRY(check_target(&done, &empty, folder, replace, contents));
    if (done) {
        goto cleanup;
    }
    CLM_TRY(write_aside(&aside, folder, contents));
    /* A rename takes the place of an empty folder, unless that is in use (".", a mount point). */
    if (empty && rename(aside.path, folder) == 0) {
        clm_folder_close(&aside);
        goto cleanup;
    }
    const int error_number = errno; /* of the rename, which looking would overwrite */
    if (empty && !clm_file_is_folder(folder)) {
        status = clm_fail_errno(error_number, "%s: the folder cannot be put in place", folder);
        goto cleanup;
    }
    CLM_TRY(move_files(&aside, folder));
cleanup:
    if (aside.path != NULL) {
        remove_aside(&aside);
    }
    for (int i = 0; i < split_file_count; i++) {
        clm_string_free(&contents[i]);
    }
    return status;
}

/* --- Reading a folder --- */

/* The strings of a JSON array through *names, lent by the array; the caller frees *names. */
static clm_status names_of(const char ***names, int *count, const cJSON *array, const char *where) {
    *names = NULL;
    *count = cJSON_GetArraySize(array);
    if (!cJSON_IsArray(array) || *count < 2) {
        return clm_fail(CLM_ERROR_FORMAT, "%s: is not a list of at least two names of classes",
                        where);
    }
    clm_status status = clm_allocate(names, (size_t)*count, sizeof **names, "the names of classes");
    int k = 0;
    for (const cJSON *item = array->child; status == CLM_OK && item != NULL; item = item->next) {
        if (!cJSON_IsString(item) || item->valuestring[0] == '\0') {
            return clm_fail(CLM_ERROR_FORMAT, "%s: entry %d is not the name of a class", where, k);
        }
        for (int j = 0; j < k; j++) {
            if (strcmp((*names)[j], item->valuestring) == 0) {
                return clm_fail(CLM_ERROR_FORMAT, "%s: entries %d and %d are the same name", where,
                                j, k);
            }
        }
        (*names)[k++] = item->valuestring;
    }
    return status;
}

static clm_status read_table(clm_table **table, const char *folder, const char *name,
                             const clm_table_options *options) {
    char *path = NULL;
    clm_status status = clm_path_join(&path, folder, name);
    if (status == CLM_OK) {
        status = clm_table_read(table, path, options);
    }
    clm_free(path);
    return status;
}

clm_status clm_split_read(clm_split *split, const char *folder) {
    *split = (clm_split){0};
    clm_status status = CLM_OK;
    clm_table_options options = CLM_TABLE_OPTIONS_DEFAULT;
    cJSON *json = NULL;
    const char **names = NULL;
    char *path = NULL;
    CLM_TRY(clm_path_join(&path, folder, split_files[3]));
    if (clm_file_exists(path)) {
        CLM_TRY(clm_json_read(&json, path, CLM_FILE_CONFIG));
        CLM_TRY(names_of(&names, &options.label_count, json, path));
        options.labels = names;
    }
    CLM_TRY(read_table(&split->train, folder, split_files[0], &options));
    options.labels = clm_table_label_names(split->train);
    options.label_count = clm_table_label_count(split->train);
    CLM_TRY(read_table(&split->validation, folder, split_files[1], &options));
    CLM_TRY(read_table(&split->test, folder, split_files[2], &options));
cleanup:
    clm_free(path);
    clm_free(names);
    cJSON_Delete(json);
    if (status != CLM_OK) {
        clm_split_free(split);
    }
    return status;
}
