/* What clm writes it reads back as itself, whatever classes are called: a table goes through the
 * files of 'clm data', finetune's view of them and eval's view, and each row keeps its class.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/test_support.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "clm/data.h"

enum { most_names = 12, rows = 120 };

/* Names of classes, NULL at the end. */
static const char *const name_sets[][most_names + 1] = {
    {"1", "2", "3", "4", "5", NULL},
    {"1", "2", NULL},
    {"-1", "0", "1", NULL},
    {"0", "2", "4", NULL},
    {"1", "2", "3", "4", "5", "6", "7", "8", "9", "10", NULL},
    {"0", "1", "2", NULL},
    {"1", "0", "x", NULL},
    {"10", "20", NULL},
    {"1.0", "2.0", NULL},
    {"0.5", "1e3", "1E3", ".5", "5.", NULL},
    {"01", "1", "001", NULL},
    {"+1", "1", "-0", "0", NULL},
    {"99999999999999999999", "0", NULL},
    {"NA", "nan", "null", "None", " ", "\t", "N/A", NULL},
    {" a", "a ", "a", "A", NULL},
    {"a,b", "a\"b", "\"", "\"\"", "a\nb", "a\r\nb", "a\rb", NULL},
    {"Name", "Label", "Text", "name", NULL},
    {"\xC3\xA9", "e\xCC\x81", "\xE2\x82\xAC", "\xF0\x9F\x98\x80", "\xEF\xBB\xBF", NULL},
    {"\xD9\xA1", "\xD9\xA2", "1", NULL}, /* Arabic digits are letters here */
    {"ham", "spam", NULL},
    {"true", "false", "True", NULL},
    {"a\x1B[31m", "\x01", "b\x7F", NULL},
};

enum { set_count = sizeof name_sets / sizeof *name_sets };

static int count_names(const char *const *names) {
    int count = 0;
    while (names[count] != NULL) {
        count++;
    }
    return count;
}

/* The class of a row that the text names: "row 7 of class 2". */
static int class_of(const clm_table *table, size_t row) {
    int number = -1;
    assert_int_equal(sscanf(clm_table_text(table, row, NULL), "row %*d of class %d", &number), 1);
    return number;
}

/* A CSV file with a row for each class in turn, and in the order of no number. */
static void write_source(const char *path, const char *const *names) {
    const int count = count_names(names);
    clm_string file = {0};
    clm_string_add(&file, "text,label\n");
    for (int row = 0; row < rows; row++) {
        const int k = (row * 7 + row / count) % count;
        clm_string_add_format(&file, "row %d of class %d,\"", row, k);
        for (const char *c = names[k]; *c != '\0'; c++) {
            clm_string_add(&file, *c == '"' ? "\"" : "");
            clm_string_add_bytes(&file, c, 1);
        }
        clm_string_add(&file, "\"\n");
    }
    assert_ok(clm_string_status(&file));
    clm_test_write(path, file.text, file.length);
    clm_string_free(&file);
}

static void assert_own_classes(const clm_table *table, const char *const *names) {
    assert_int_equal(clm_table_label_count(table), count_names(names));
    for (size_t row = 0; row < clm_table_count(table); row++) {
        assert_string_equal(clm_table_label_name(table, clm_table_label(table, row)),
                            names[class_of(table, row)]);
    }
}

/* As eval reads a file: with the names of the model's classes, in an order of their own. */
static void assert_eval_agrees(const char *folder, const char *name, const clm_table *trained,
                               const char *const *names) {
    char path[1200];
    const char *reversed[most_names];
    const int count = clm_table_label_count(trained);
    clm_table *table = NULL;
    clm_table_options options = CLM_TABLE_OPTIONS_DEFAULT;
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    options.labels = clm_table_label_names(trained);
    options.label_count = count;
    assert_ok(clm_table_read(&table, path, &options));
    assert_own_classes(table, names);
    clm_table_free(table);
    for (int k = 0; k < count; k++) {
        reversed[k] = options.labels[count - 1 - k];
    }
    options.labels = reversed;
    assert_ok(clm_table_read(&table, path, &options));
    assert_own_classes(table, names);
    clm_table_free(table);
}

static void through_the_files(const char *source, const char *const *names, const char *folder) {
    clm_table *table = NULL;
    clm_table *again = NULL;
    clm_split split;
    clm_split back;
    char path[1200];
    assert_ok(clm_table_read(&table, source, NULL));
    assert_own_classes(table, names);
    assert_ok(clm_table_split(&split, table, 0.5, 0.2, 1));
    assert_ok(clm_split_write(&split, folder, CLM_TABLE_LABEL_TEXT_NAME, true));
    assert_ok(clm_split_read(&back, folder));
    assert_own_classes(back.train, names);
    assert_own_classes(back.validation, names);
    assert_own_classes(back.test, names);
    for (int k = 0; k < clm_table_label_count(table); k++) {
        assert_string_equal(clm_table_label_name(table, k), clm_table_label_name(back.test, k));
    }
    assert_eval_agrees(folder, "test.csv", back.train, names);
    /* The file of its own says the same, in the same order. */
    (void)snprintf(path, sizeof path, "%s/train.csv", folder);
    assert_ok(clm_table_read(&again, path, NULL));
    assert_own_classes(again, names);
    clm_table_free(again);
    clm_split_free(&back);
    /* So does the source. */
    clm_table_options options = CLM_TABLE_OPTIONS_DEFAULT;
    options.labels = clm_table_label_names(table);
    options.label_count = clm_table_label_count(table);
    assert_ok(clm_table_read(&again, source, &options));
    assert_own_classes(again, names);
    clm_table_free(again);
    clm_split_free(&split);
    clm_table_free(table);
}

static void each_row_keeps_its_class(void **state) {
    (void)state;
    for (size_t i = 0; i < set_count; i++) {
        char folder[1100];
        write_source(clm_test_path("source.csv"), name_sets[i]);
        (void)snprintf(folder, sizeof folder, "%s", clm_test_path("kept"));
        through_the_files(clm_test_path("source.csv"), name_sets[i], folder);
    }
}

/* The same with names that are drawn. */
static void any_names_keep_their_classes(void **state) {
    (void)state;
    static const char *const pieces[] = {"0", "1",  "2",  "-",  ".",  "e",        " ",   "a",
                                         ",", "\"", "\n", "\r", "\t", "\xC3\xA9", "Name"};
    for (int turn = 0; turn < 20; turn++) {
        char text[most_names][32];
        const char *names[most_names + 1] = {NULL};
        const size_t wanted = 2 + clm_test_random() % (most_names - 1);
        size_t count = 0;
        while (count < wanted) {
            bool fresh = true;
            text[count][0] = '\0';
            for (uint32_t left = 1 + clm_test_random() % 3; left > 0; left--) {
                (void)strncat(text[count],
                              pieces[clm_test_random() % (sizeof pieces / sizeof *pieces)],
                              sizeof text[count] - strlen(text[count]) - 1);
            }
            for (size_t k = 0; k < count; k++) {
                fresh = fresh && strcmp(text[k], text[count]) != 0;
            }
            names[count] = text[count];
            count += fresh;
        }
        char folder[1100];
        names[count] = NULL;
        write_source(clm_test_path("source.csv"), names);
        (void)snprintf(folder, sizeof folder, "%s", clm_test_path("drawn"));
        through_the_files(clm_test_path("source.csv"), names, folder);
    }
}

/* Files of numbers alone either read back as they were, or are not written. */
static void numbers_alone_are_never_mistaken(void **state) {
    (void)state;
    size_t refused = 0;
    for (size_t i = 0; i < set_count; i++) {
        clm_table *table = NULL;
        clm_split split;
        clm_split back;
        const char *source = clm_test_path("source.csv");
        write_source(source, name_sets[i]);
        assert_ok(clm_table_read(&table, source, NULL));
        assert_ok(clm_table_split(&split, table, 0.5, 0.2, 1));
        char folder[1100];
        (void)snprintf(folder, sizeof folder, "%s", clm_test_path("alone"));
        const clm_status status = clm_split_write(&split, folder, CLM_TABLE_LABEL_TEXT, true);
        if (status == CLM_OK) {
            assert_ok(clm_split_read(&back, folder));
            assert_own_classes(back.train, name_sets[i]);
            assert_own_classes(back.test, name_sets[i]);
            clm_split_free(&back);
        } else {
            assert_int_equal(status, CLM_ERROR_FORMAT);
            assert_message_has("clm data classes");
            refused++;
        }
        clm_split_free(&split);
        clm_table_free(table);
    }
    assert_true(refused > 5 && refused < set_count - 5);
}

static clm_status read_text(clm_table **table, const char *name, const char *text,
                            const clm_table_options *options) {
    const char *path = clm_test_path(name);
    clm_test_write(path, text, strlen(text));
    return clm_table_read(table, path, options);
}

/* The same labels in each format are the same classes. */
static void formats_agree_on_labels(void **state) {
    (void)state;
    static const char *const labels[] = {"-1",  "0",    "1",    "2.50",
                                         "1e3", "-0.5", "true", "12345678901234567890"};
    for (size_t i = 0; i < sizeof labels / sizeof *labels; i++) {
        char csv[200];
        char json[200];
        clm_table *a = NULL;
        clm_table *b = NULL;
        (void)snprintf(csv, sizeof csv, "label,text\n%s,a\nx,b\n", labels[i]);
        (void)snprintf(json, sizeof json,
                       "{\"label\":%s,\"text\":\"a\"}\n{\"label\":\"x\",\"text\":\"b\"}\n",
                       labels[i]);
        assert_ok(read_text(&a, "l.csv", csv, NULL));
        assert_ok(read_text(&b, "l.jsonl", json, NULL));
        assert_string_equal(clm_table_label_name(a, clm_table_label(a, 0)), labels[i]);
        assert_string_equal(clm_table_label_name(b, clm_table_label(b, 0)), labels[i]);
        assert_int_equal(clm_table_label(a, 0), clm_table_label(b, 0));
        clm_table_free(a);
        clm_table_free(b);
    }
}

static void a_number_stands_for_a_class_only_where_names_are_none(void **state) {
    (void)state;
    static const char *const words[] = {"spam", "ham"};
    static const char *const numbers[] = {"1", "2"};
    static const char *const mixed[] = {"spam", "-1.5"};
    clm_table *table = NULL;
    clm_table_options options = {.labels = words, .label_count = 2};
    assert_ok(read_text(&table, "n.csv", "label,text\n1,a\nspam,b\n", &options));
    assert_int_equal(clm_table_label(table, 0), 1);
    clm_table_free(table);
    options.labels = numbers;
    assert_ok(read_text(&table, "n.csv", "label,text\n1,a\n2,b\n", &options));
    assert_int_equal(clm_table_label(table, 0), 0);
    clm_table_free(table);
    assert_status(CLM_ERROR_FORMAT, read_text(&table, "n.csv", "label,text\n1,a\n0,b\n", &options));
    assert_message_has("n.csv:3:1: unknown label \"0\"; the labels are 1, 2 (names here");
    options.labels = mixed;
    assert_status(CLM_ERROR_FORMAT, read_text(&table, "n.csv", "label,text\n0,a\n", &options));
}

static void a_name_that_contradicts_is_refused(void **state) {
    (void)state;
    clm_table *table = NULL;
    assert_status(CLM_ERROR_FORMAT,
                  read_text(&table, "c.csv", "Label,Text,Name\n0,a,x\n1,b,y\n0,c,y\n", NULL));
    assert_message_has("c.csv:4:1: Label 0 has the Name \"y\", but in line 3 1 has \"y\"");
    assert_status(CLM_ERROR_FORMAT,
                  read_text(&table, "c.csv", "Label,Text,Name\n0,a,x\n1,b,y\n1,c,z\n", NULL));
    assert_message_has("c.csv:4:1: Label 1 has the Name \"z\", but in line 3 1 has \"y\"");
    assert_status(CLM_ERROR_FORMAT,
                  read_text(&table, "c.csv", "Label,Text,Name\n0,a,x\n1,b,\n", NULL));
    assert_message_has("c.csv:3:1: the Name of row 2 is empty");
    /* Names of persons in a table of somebody else's. */
    static const char others[] = "Label,Text,Name\ngood,a,Ann\nbad,b,Bob\ngood,c,Bob\n";
    assert_ok(read_text(&table, "c.csv", others, NULL));
    assert_string_equal(clm_table_label_name(table, 0), "bad");
    clm_table_free(table);
    assert_ok(read_text(&table, "c.csv", "label,text,name\n0,a,Ann\n1,b,Bob\n0,c,Bob\n", NULL));
    assert_string_equal(clm_table_label_name(table, 1), "1");
    clm_table_free(table);
    clm_table_options options = CLM_TABLE_OPTIONS_DEFAULT;
    options.label_column = "Label";
    assert_ok(read_text(&table, "c.csv", "Label,Text,Name\n0,a,Ann\n1,b,Bob\n0,c,Bob\n", &options));
    assert_string_equal(clm_table_label_name(table, 1), "1");
    clm_table_free(table);
}

/* Processor time of reading, balancing and looking up `many` classes of one row each. */
static double time_of_classes(int many) {
    clm_string file = {0};
    clm_table *table = NULL;
    clm_table *balanced = NULL;
    clm_table *again = NULL;
    clm_table_options options = CLM_TABLE_OPTIONS_DEFAULT;
    clm_string_add(&file, "label,text\n");
    for (int i = 0; i < many; i++) {
        clm_string_add_format(&file, "class %d,a\n", (int)((long long)i * 7919 % many));
    }
    assert_ok(clm_string_status(&file));
    clm_test_write(clm_test_path("many.csv"), file.text, file.length);
    clm_string_free(&file);
    const clock_t start = clock();
    assert_ok(clm_table_read(&table, clm_test_path("many.csv"), NULL));
    assert_int_equal(clm_table_label_count(table), many);
    assert_ok(clm_table_balance(&balanced, table, 1));
    for (int k = 0; k < many; k++) {
        assert_int_equal(clm_table_label_by_name(table, clm_table_label_name(table, k)), k);
        assert_int_equal(clm_table_label_rows(balanced, k), 1);
    }
    options.labels = clm_table_label_names(table);
    options.label_count = many;
    assert_ok(clm_table_read(&again, clm_test_path("many.csv"), &options));
    const double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    assert_int_equal(clm_table_label(again, 17), clm_table_label(table, 17));
    clm_table_free(again);
    clm_table_free(balanced);
    clm_table_free(table);
    return seconds;
}

/* As many classes as rows. What takes the square of them takes 64 times as long for 8 times as
 * many; sorting takes about 10 times. */
static void many_classes_take_little_time(void **state) {
    (void)state;
    enum { few = 5000, most_times = 30 };
    (void)time_of_classes(few); /* memory and file are there afterwards */
    const double one = time_of_classes(few);
    const double eight = time_of_classes(8 * few);
    if (!(eight <= most_times * (one + 0.001))) {
        fail_msg("%g s for %d classes, %g s for 8 times as many", one, few, eight);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_row_keeps_its_class),
        cmocka_unit_test(any_names_keep_their_classes),
        cmocka_unit_test(numbers_alone_are_never_mistaken),
        cmocka_unit_test(formats_agree_on_labels),
        cmocka_unit_test(a_number_stands_for_a_class_only_where_names_are_none),
        cmocka_unit_test(a_name_that_contradicts_is_refused),
        cmocka_unit_test(many_classes_take_little_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
