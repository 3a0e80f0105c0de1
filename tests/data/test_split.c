/* SPDX-License-Identifier: Apache-2.0 */
#include "support/test_support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/memory.h"
#include "clm/data.h"
#include "golden/split_golden.h"

static const char *const split_files[] = {"train.csv", "validation.csv", "test.csv", "labels.json",
                                          "data.json"};

static const char *in_folder(const char *folder, const char *name) {
    static char path[1200];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* Compares with sha256sum's (or macOS's shasum's) answer, an implementation that is not ours. */
static void assert_sha256(const char *path, const char *expected) {
    char command[1400];
    char got[65] = "";
    (void)snprintf(command, sizeof command,
                   "f='%s'; sha256sum \"$f\" 2>/dev/null || shasum -a 256 \"$f\"", path);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    assert_int_equal(fread(got, 1, 64, pipe), 64);
    assert_int_equal(pclose(pipe), 0);
    assert_string_equal(got, expected);
}

static clm_table *read_messages(void) {
    clm_table *table = NULL;
    assert_ok(clm_table_read(&table, clm_test_source("data/messages.tsv"), NULL));
    return table;
}

static void recipe_gives_the_bytes_of_pandas(const char *path, size_t golden) {
    clm_table *table = NULL;
    clm_table *balanced = NULL;
    clm_split split;
    assert_ok(clm_table_read(&table, path, NULL));
    assert_int_equal(clm_table_count(table), golden_splits[golden].rows);
    assert_int_equal(clm_table_label_rows(table, 0), golden_splits[golden].label_rows[0]);
    assert_int_equal(clm_table_label_rows(table, 1), golden_splits[golden].label_rows[1]);
    assert_ok(clm_table_balance(&balanced, table, 123));
    assert_ok(clm_table_split(&split, balanced, 0.7, 0.1, 123));
    assert_int_equal(clm_table_count(split.train), golden_splits[golden].split_rows[0]);
    assert_int_equal(clm_table_count(split.validation), golden_splits[golden].split_rows[1]);
    assert_int_equal(clm_table_count(split.test), golden_splits[golden].split_rows[2]);
    const char *folder = clm_test_path(golden_splits[golden].name);
    assert_ok(clm_split_write(&split, folder, CLM_TABLE_LABEL_TEXT, false));
    for (int i = 0; i < 3; i++) {
        assert_sha256(in_folder(folder, split_files[i]), golden_splits[golden].sha256[i]);
    }
    clm_split_free(&split);
    clm_table_free(balanced);
    clm_table_free(table);
}

static void own_messages_split_as_in_pandas(void **state) {
    (void)state;
    recipe_gives_the_bytes_of_pandas(clm_test_source("data/messages.tsv"), 0);
}

static void the_collection_splits_as_in_pandas(void **state) {
    (void)state;
    const char *path = clm_test_shared_data("sms/SMSSpamCollection");
    if (path == NULL) {
        skip();
    }
    recipe_gives_the_bytes_of_pandas(path, 1);
}

static void any_number_of_classes_is_balanced(void **state) {
    (void)state;
    enum { count = 30 };
    static const char *const names[] = {"a", "b", "c"};
    const char *texts[count];
    char letters[count][2];
    int labels[count];
    for (int i = 0; i < count; i++) { /* 15 a, 5 b, 10 c */
        labels[i] = i % 2 == 0 ? 0 : i % 3 == 0 ? 1 : 2;
        letters[i][0] = (char)('A' + i);
        letters[i][1] = '\0';
        texts[i] = letters[i];
    }
    clm_table *table = NULL;
    clm_table *balanced = NULL;
    assert_ok(clm_table_create(&table, texts, labels, count, names, 3));
    assert_ok(clm_table_balance(&balanced, table, 1));
    assert_int_equal(clm_table_count(balanced), 15);
    bool seen[count] = {false};
    for (size_t row = 0; row < 15; row++) {
        int original = clm_table_text(balanced, row, NULL)[0] - 'A';
        assert_int_equal(clm_table_label(balanced, row), row / 5);
        assert_int_equal(clm_table_label(balanced, row), labels[original]);
        assert_false(seen[original]);
        seen[original] = true;
    }
    assert_string_equal(clm_table_text(balanced, 5, NULL), "D"); /* the smallest, in its order */
    assert_string_equal(clm_table_text(balanced, 9, NULL), "\\");
    clm_table_free(balanced);
    clm_table_free(table);
    assert_ok(clm_table_create(&table, texts, labels, 1, names, 2));
    assert_status(CLM_ERROR_FORMAT, clm_table_balance(&balanced, table, 1));
    assert_message_has("\"b\"");
    clm_table_free(table);
}

static void impossible_splits_are_refused(void **state) {
    (void)state;
    clm_table *table = read_messages();
    clm_split split;
    assert_status(CLM_ERROR_ARGUMENT, clm_table_split(&split, table, 0.9, 0.1, 1));
    assert_status(CLM_ERROR_ARGUMENT, clm_table_split(&split, table, 0.9, -0.1, 1));
    assert_status(CLM_ERROR_ARGUMENT, clm_table_split(&split, table, (double)NAN, 0.1, 1));
    assert_status(CLM_ERROR_SHAPE, clm_table_split(&split, table, 0.7, 0.01, 1));
    assert_message_has("49 rows are too few");
    assert_null(split.train);
    clm_table_free(table);
}

static void assert_same_table(const clm_table *a, const clm_table *b) {
    assert_int_equal(clm_table_count(a), clm_table_count(b));
    assert_int_equal(clm_table_label_count(a), clm_table_label_count(b));
    for (int k = 0; k < clm_table_label_count(a); k++) {
        assert_string_equal(clm_table_label_name(a, k), clm_table_label_name(b, k));
    }
    for (size_t row = 0; row < clm_table_count(a); row++) {
        assert_string_equal(clm_table_text(a, row, NULL), clm_table_text(b, row, NULL));
        assert_int_equal(clm_table_label(a, row), clm_table_label(b, row));
    }
}

static void a_folder_reads_back(void **state) {
    (void)state;
    clm_table *table = read_messages();
    clm_split split;
    clm_split back;
    const char *folder = clm_test_path("back/below");
    assert_ok(clm_table_split(&split, table, 0.6, 0.2, 9));
    assert_ok(clm_split_write(&split, folder, CLM_TABLE_LABEL_TEXT, false));
    assert_ok(clm_split_read(&back, folder));
    assert_same_table(split.train, back.train);
    assert_same_table(split.validation, back.validation);
    assert_same_table(split.test, back.test);
    clm_split_free(&back);

    /* Without the names the numbers are names. */
    assert_int_equal(remove(in_folder(folder, "labels.json")), 0);
    assert_ok(clm_split_read(&back, folder));
    assert_string_equal(clm_table_label_name(back.test, 1), "1");
    clm_split_free(&back);

    static const char *const bad_names[] = {"{}", "[\"ham\"]", "[\"ham\",1]", "[\"a\",\"a\"]", "["};
    for (size_t i = 0; i < sizeof bad_names / sizeof *bad_names; i++) {
        clm_test_write(in_folder(folder, "labels.json"), bad_names[i], strlen(bad_names[i]));
        assert_status(CLM_ERROR_FORMAT, clm_split_read(&back, folder));
        assert_message_has("labels.json");
        assert_null(back.train);
    }
    assert_int_equal(remove(in_folder(folder, "labels.json")), 0);
    assert_int_equal(remove(in_folder(folder, "test.csv")), 0);
    assert_status(CLM_ERROR_NOT_FOUND, clm_split_read(&back, folder));
    assert_message_has("test.csv");
    clm_split_free(&split);
    clm_table_free(table);
}

static void assert_file(const char *path, const char *expected) {
    char *text = NULL;
    size_t size_bytes = 0;
    assert_ok(clm_file_read(path, CLM_FILE_TEXT, &text, &size_bytes));
    assert_string_equal(text, expected);
    clm_free(text);
}

static void existing_files_are_not_overwritten(void **state) {
    (void)state;
    clm_table *table = read_messages();
    clm_split first;
    clm_split second;
    assert_ok(clm_table_split(&first, table, 0.6, 0.2, 1));
    assert_ok(clm_table_split(&second, table, 0.6, 0.2, 2));
    const char *folder = clm_test_path("kept");
    assert_int_equal(mkdir(folder, 0777), 0);
    assert_ok(
        clm_split_write(&first, folder, CLM_TABLE_LABEL_TEXT, false)); /* an empty folder is fine */
    assert_ok(
        clm_split_write(&first, folder, CLM_TABLE_LABEL_TEXT, false)); /* so is the same again */
    assert_status(CLM_ERROR_EXISTS, clm_split_write(&second, folder, CLM_TABLE_LABEL_TEXT, false));
    assert_message_has("kept");
    clm_split back;
    assert_ok(clm_split_read(&back, folder));
    assert_same_table(back.test, first.test);
    clm_split_free(&back);

    clm_test_write(in_folder(folder, "notes"), "mine", 4);
    assert_status(CLM_ERROR_EXISTS, clm_split_write(&first, folder, CLM_TABLE_LABEL_TEXT, false));
    assert_ok(clm_split_write(&second, folder, CLM_TABLE_LABEL_TEXT, true));
    assert_file(in_folder(folder, "notes"), "mine");
    assert_file(in_folder(folder, "labels.json"), "[\"ham\",\"spam\"]\n");
    assert_ok(clm_split_read(&back, folder));
    assert_same_table(back.test, second.test);
    clm_split_free(&back);

    assert_status(CLM_ERROR_EXISTS,
                  clm_split_write(&first, in_folder(folder, "notes"), CLM_TABLE_LABEL_TEXT, true));
    const char *parent = clm_test_path("readonly/x");
    assert_ok(clm_folder_make(clm_test_path("readonly")));
    clm_test_write(parent, "", 0);
    assert_true(clm_split_write(&first, clm_test_path("readonly/x/y"), CLM_TABLE_LABEL_TEXT,
                                false) != CLM_OK);
    clm_split_free(&first);
    clm_split_free(&second);
    clm_table_free(table);
    /* Nothing that was written aside is left. */
    char command[1400];
    (void)snprintf(command, sizeof command, "test -z \"$(find '%s' -name '*-part-*')\"",
                   clm_test_folder());
    assert_int_equal(system(command), 0);
}

static void a_table_without_room_is_an_error(void **state) {
    (void)state;
    clm_table *table = read_messages();
    assert_ok(clm_table_write_csv(table, clm_test_path("one.csv"), CLM_TABLE_LABEL_TEXT));
    assert_status(CLM_ERROR_NOT_FOUND,
                  clm_table_write_csv(table, clm_test_path("no/one.csv"), CLM_TABLE_LABEL_TEXT));
    clm_table_free(table);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_messages_split_as_in_pandas),
        cmocka_unit_test(the_collection_splits_as_in_pandas),
        cmocka_unit_test(any_number_of_classes_is_balanced),
        cmocka_unit_test(impossible_splits_are_refused),
        cmocka_unit_test(a_folder_reads_back),
        cmocka_unit_test(existing_files_are_not_overwritten),
        cmocka_unit_test(a_table_without_room_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
