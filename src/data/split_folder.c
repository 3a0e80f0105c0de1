/* The folder that holds a split: three tables, the names of the classes, and where they come from.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/json.h"
#include "base/memory.h"
#include "data/csv.h"
#include "data/table.h"

/* --- Tables --- */

/* A file with only numbers reads back correctly only if no number is the name of another class; and
 * if any name is a number, labels are read as names. */
static clm_status check_numbers_read_back(const clm_table *table) {
    const bool numbers = clm_names_have_number(clm_table_label_names(table), table->name_count);
    for (int k = 0; numbers && k < table->name_count; k++) {
        if (clm_name_integer(table->names[k]) != k) {
            return clm_fail(CLM_ERROR_FORMAT,
                            "%s%sthe class %d is named \"%.60s\", and numbers of classes could not "
                            "be told from names in the files of 'clm data spam'; 'clm data "
                            "classes' writes the names as well",
                            table->origin.source != NULL ? table->origin.source : "",
                            table->origin.source != NULL ? ": " : "", k, table->names[k]);
        }
    }
    return CLM_OK;
}

clm_status clm_table_add_csv(clm_string *out, const clm_table *table, clm_table_columns columns) {
    const bool names = columns == CLM_TABLE_LABEL_TEXT_NAME;
    clm_status status = names ? CLM_OK : check_numbers_read_back(table);
    if (status != CLM_OK) {
        return status;
    }
    clm_string_add(out, names ? "Label,Text,Name\n" : "Label,Text\n");
    for (size_t row = 0; row < table->count; row++) {
        size_t length_bytes = 0;
        const char *text = clm_table_text(table, row, &length_bytes);
        const int label = clm_table_label(table, row);
        clm_string_add_format(out, "%d,", label);
        clm_csv_add_field(out, text, length_bytes);
        if (names) {
            clm_string_add(out, ",");
            clm_csv_add_field(out, table->names[label], strlen(table->names[label]));
        }
        clm_string_add(out, "\n");
    }
    return clm_string_status(out);
}

clm_status clm_table_write_csv(const clm_table *table, const char *path,
                               clm_table_columns columns) {
    clm_string text = {0};
    clm_status status = clm_table_add_csv(&text, table, columns);
    if (status == CLM_OK) {
        status = clm_file_write(path, text.text, text.length);
    }
    clm_string_free(&text);
    return status;
}

/* --- data.json --- */

static void add_member(clm_string *out, const char *name, const char *value) {
    clm_string_add_format(out, ",\n  \"%s\": ", name);
    if (value != NULL) {
        clm_json_add_string(out, value);
    } else {
        clm_string_add(out, "null");
    }
}

static void add_notes(clm_string *out, const char *name, const clm_origin *origin, bool warnings) {
    bool first = true;
    clm_string_add_format(out, ",\n  \"%s\": [", name);
    for (size_t i = 0; i < origin->note_count; i++) {
        if (origin->note_is_warning[i] == warnings) {
            clm_string_add(out, first ? "\n    " : ",\n    ");
            clm_json_add_string(out, origin->notes[i]);
            first = false;
        }
    }
    clm_string_add(out, first ? "]" : "\n  ]");
}

static void add_classes(clm_string *out, const clm_split *split) {
    const clm_origin *origin = &split->train->origin;
    clm_string_add(out, ",\n  \"classes\": [");
    for (int k = 0; k < split->train->name_count; k++) {
        clm_string_add(out, k > 0 ? ",\n    {\"name\": " : "\n    {\"name\": ");
        clm_json_add_string(out, split->train->names[k]);
        if (origin->class_rows != NULL) {
            clm_string_add_format(out, ", \"source\": %zu", origin->class_rows[k]);
        }
        clm_string_add_format(out, ", \"train\": %zu, \"validation\": %zu, \"test\": %zu}",
                              split->train->label_rows[k], split->validation->label_rows[k],
                              split->test->label_rows[k]);
    }
    clm_string_add(out, "\n  ]");
}

/* include/clm/data.h describes it. */
static void add_origin(clm_string *out, const clm_split *split) {
    const clm_origin *origin = &split->train->origin;
    const char separator[2] = {origin->separator, '\0'};
    clm_string_add(out, "{\n  \"schema\": \"clm data 1\"");
    add_member(out, "source", origin->source);
    add_member(out, "format", origin->format);
    add_member(out, "separator", origin->separator != '\0' ? separator : NULL);
    clm_string_add_format(out, ",\n  \"header\": %s", origin->has_header ? "true" : "false");
    add_member(out, "label_column", origin->label_column);
    add_member(out, "text_column", origin->text_column);
    clm_string_add_format(out, ",\n  \"balanced\": %s", origin->is_balanced ? "true" : "false");
    add_classes(out, split);
    add_notes(out, "guesses", origin, false);
    add_notes(out, "warnings", origin, true);
    clm_string_add(out, "\n}\n");
}

/* Adds the strings of a list to the split's notes. */
static clm_status read_notes(clm_split *split, size_t *capacity, const cJSON *json,
                             const char *name, const char *where) {
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(json, name);
    clm_status status = CLM_OK;
    if (list == NULL || cJSON_IsNull(list)) {
        return CLM_OK;
    }
    if (!cJSON_IsArray(list)) {
        return clm_fail(CLM_ERROR_FORMAT, "%s: \"%s\" is not a list of sentences", where, name);
    }
    for (const cJSON *item = list->child; item != NULL; item = item->next) {
        if (!cJSON_IsString(item)) {
            return clm_fail(CLM_ERROR_FORMAT, "%s: \"%s\" is not a list of sentences", where, name);
        }
        CLM_TRY(clm_reserve(&split->notes, capacity, split->note_count + 1, sizeof *split->notes,
                            "notes on a table"));
        CLM_TRY(clm_duplicate(&split->notes[split->note_count], item->valuestring));
        split->note_count++;
    }
cleanup:
    return status;
}

static clm_status read_origin(clm_split *split, const char *path) {
    cJSON *json = NULL;
    size_t capacity = 0;
    clm_status status = clm_json_read(&json, path, CLM_FILE_CONFIG);
    if (status == CLM_OK && !cJSON_IsObject(json)) {
        status = clm_fail(CLM_ERROR_FORMAT, "%s: is not a JSON object", path);
    }
    if (status == CLM_OK) {
        status = read_notes(split, &capacity, json, "guesses", path);
    }
    if (status == CLM_OK) {
        status = read_notes(split, &capacity, json, "warnings", path);
    }
    cJSON_Delete(json);
    return status;
}

/* --- The folder --- */

enum { train_file, validation_file, test_file, labels_file, origin_file, split_file_count };

static const char *const split_files[split_file_count] = {"train.csv", "validation.csv", "test.csv",
                                                          "labels.json", "data.json"};

static clm_status compose_files(clm_string contents[split_file_count], const clm_split *split,
                                clm_table_columns columns) {
    const clm_table *const tables[] = {split->train, split->validation, split->test};
    for (int i = train_file; i <= test_file; i++) {
        clm_status status = clm_table_add_csv(&contents[i], tables[i], columns);
        if (status != CLM_OK) {
            return status;
        }
    }
    add_origin(&contents[origin_file], split);
    clm_string_add(&contents[labels_file], "[");
    for (int k = 0; k < split->train->name_count; k++) {
        clm_string_add(&contents[labels_file], k > 0 ? "," : "");
        clm_json_add_string(&contents[labels_file], split->train->names[k]);
    }
    clm_string_add(&contents[labels_file], "]\n");
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

/* Whether the folder holds exactly these files with these bytes. */
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
                        "another, or replace train.csv, validation.csv, test.csv, labels.json and "
                        "data.json by --force",
                        folder);
    }
    return CLM_OK;
}

/* Takes the files out of the folder aside and, when it then is empty, the folder away. Says
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

/* Puts the folder's name for that of its part into the message. */
static clm_status name_target(clm_status status, const clm_folder *aside, const char *folder) {
    char message[1024];
    const size_t length = aside->path != NULL ? strlen(aside->path) : 0;
    (void)snprintf(message, sizeof message, "%s", clm_error_message());
    if (status == CLM_OK || length == 0 || strncmp(message, aside->path, length) != 0) {
        return status;
    }
    return clm_fail(status, "%s%s", folder, message + length);
}

/* Writes the files into a folder of their own beside `folder`, through *aside. */
static clm_status write_aside(clm_folder *aside, const char *folder,
                              const clm_string contents[split_file_count]) {
    clm_status status = clm_part_make_folder(aside, folder);
    for (int i = 0; status == CLM_OK && i < split_file_count; i++) {
        status = clm_folder_write(aside, split_files[i], contents[i].text, contents[i].length);
        status = name_target(status, aside, folder);
    }
    return status;
}

clm_status clm_split_write(const clm_split *split, const char *folder, clm_table_columns columns,
                           bool replace) {
    clm_status status = CLM_OK;
    clm_string contents[split_file_count] = {{0}};
    clm_folder aside = {0};
    bool done = false;
    bool empty = true;
    CLM_TRY(compose_files(contents, split, columns));
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
    clm_name_index index = {0};
    int first = 0;
    int second = 0;
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
        (*names)[k++] = item->valuestring;
    }
    if (status == CLM_OK) {
        status = clm_name_index_make(&index, *names, *count);
    }
    if (status == CLM_OK && clm_name_index_repeats(&index, &first, &second)) {
        status = clm_fail(CLM_ERROR_FORMAT, "%s: entries %d and %d are the same name", where, first,
                          second);
    }
    clm_name_index_free(&index);
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

/* Notes of data.json; where there is none, those of reading train.csv. */
static clm_status take_notes(clm_split *split, const char *folder) {
    clm_status status = CLM_OK;
    char *path = NULL;
    CLM_TRY(clm_path_join(&path, folder, split_files[origin_file]));
    if (clm_file_exists(path)) {
        CLM_TRY(read_origin(split, path));
    } else {
        CLM_TRY(clm_split_copy_notes(split, &split->train->origin));
    }
cleanup:
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
    CLM_TRY(clm_path_join(&path, folder, split_files[labels_file]));
    if (clm_file_exists(path)) {
        CLM_TRY(clm_json_read(&json, path, CLM_FILE_CONFIG));
        CLM_TRY(names_of(&names, &options.label_count, json, path));
        options.labels = names;
    }
    CLM_TRY(read_table(&split->train, folder, split_files[train_file], &options));
    options.labels = clm_table_label_names(split->train);
    options.label_count = clm_table_label_count(split->train);
    CLM_TRY(read_table(&split->validation, folder, split_files[validation_file], &options));
    CLM_TRY(read_table(&split->test, folder, split_files[test_file], &options));
    CLM_TRY(take_notes(split, folder));
cleanup:
    clm_free(path);
    clm_free(names);
    cJSON_Delete(json);
    if (status != CLM_OK) {
        clm_split_free(split);
    }
    return status;
}
