/* What is guessed about a table is plausible, noted, and told again by the folder of a split; what
 * is not plausible names the options that say how it is.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/test_support.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/string.h"
#include "clm/data.h"
#include "clm/log.h"

static clm_status read_text(clm_table **table, const char *name, const char *text,
                            const clm_table_options *options) {
    const char *path = clm_test_path(name);
    clm_test_write(path, text, strlen(text));
    return clm_table_read(table, path, options);
}

/* --- Guesses that are refused --- */

/* Adds rows of two columns; `text_first` puts the label into the second. */
static void add_rows(clm_string *out, int count, int classes, bool text_first) {
    for (int i = 0; i < count; i++) {
        char label[24];
        char text[24];
        (void)snprintf(label, sizeof label, "class%d", i % classes);
        (void)snprintf(text, sizeof text, "text %d", i);
        clm_string_add_format(out, "%s\t%s\n", text_first ? text : label,
                              text_first ? label : text);
    }
    assert_ok(clm_string_status(out));
}

static void assert_names_the_options(void) {
    assert_message_has("--label-column");
    assert_message_has("--text-column");
    assert_message_has("--no-header");
}

static void texts_are_not_taken_for_classes(void **state) {
    (void)state;
    clm_table *table = NULL;
    clm_string text = {0};
    add_rows(&text, 300, 2, true);
    assert_status(CLM_ERROR_FORMAT, read_text(&table, "t.tsv", text.text, NULL));
    assert_message_has("t.tsv:1:1: ");
    assert_message_has("make 300 classes of 300 rows");
    assert_message_has("\"text 0\", \"class0\"");
    assert_names_the_options();
    /* The options that it names mend it. */
    clm_table_options options = {
        .header = CLM_TABLE_HEADER_ABSENT, .label_column = "2", .text_column = NULL};
    assert_ok(read_text(&table, "t.tsv", text.text, &options));
    assert_int_equal(clm_table_label_count(table), 2);
    assert_string_equal(clm_table_text(table, 7, NULL), "text 7");
    clm_table_free(table);
    clm_string_free(&text);
    /* Texts that repeat are fewer than rows, and still more than the labels. */
    clm_string_add(&text, "");
    for (int i = 0; i < 300; i++) {
        clm_string_add_format(&text, "text %d\tclass%d\n", i % 100, i % 2);
    }
    assert_status(CLM_ERROR_FORMAT, read_text(&table, "t.tsv", text.text, NULL));
    assert_message_has("make 100 classes of 2 different texts");
    clm_string_free(&text);
}

static void a_header_is_not_taken_for_a_class(void **state) {
    (void)state;
    clm_table *table = NULL;
    clm_string text = {0};
    clm_string_add(&text, "sentiment\treview\n");
    add_rows(&text, 300, 2, false);
    assert_status(CLM_ERROR_FORMAT, read_text(&table, "h.tsv", text.text, NULL));
    assert_message_has("make a class of the first line alone");
    assert_message_has("\"sentiment\", \"review\"");
    assert_names_the_options();
    clm_table_options options = {.label_column = "sentiment", .text_column = "review"};
    assert_ok(read_text(&table, "h.tsv", text.text, &options));
    assert_int_equal(clm_table_count(table), 300);
    clm_table_free(table);
    /* With known classes the header is none of them. */
    static const char *const names[] = {"class0", "class1"};
    options = (clm_table_options){.labels = names, .label_count = 2};
    assert_status(CLM_ERROR_FORMAT, read_text(&table, "h.tsv", text.text, &options));
    assert_message_has("begin with an unknown label");
    assert_names_the_options();
    assert_ok(read_text(&table, "h.tsv", text.text + strlen("sentiment\treview\n"), &options));
    clm_table_free(table);
    clm_string_free(&text);
}

static void each_fault_has_a_message_of_its_own(void **state) {
    (void)state;
    static const struct {
        const char *text;
        char separator;
        clm_table_header header;
        const char *column; /* of the label */
        const char *parts[3];
    } faults[] = {
        {"ham,Hi\nspam,Win\n",
         0,
         CLM_TABLE_HEADER_AUTO,
         NULL,
         {"no text column (text, message, sms)", "\"ham\", \"Hi\"",
          "name both by --text-column and --label-column, or say --no-header"}},
        {"ham,Hi\nspam,Win\n",
         0,
         CLM_TABLE_HEADER_AUTO,
         "kind",
         {"no text column (text, message, sms)", "--text-column", NULL}},
        {"text,x\nHi,ham\nWin,spam\n",
         0,
         CLM_TABLE_HEADER_AUTO,
         NULL,
         {"no label column (label, class, category, target)", "\"text\", \"x\"",
          "name it by --label-column"}},
        {"text,x\nHi,ham\nWin,spam\n",
         0,
         CLM_TABLE_HEADER_AUTO,
         "kind",
         {"no label column (kind)", "name it by --label-column", NULL}},
        {"label:text\nham:Hi\n",
         0,
         CLM_TABLE_HEADER_AUTO,
         NULL,
         {"a single column (the separator is a comma)", "\"label:text\"",
          "name what stands between columns by --separator"}},
        {"label;text\nham;Hi\n",
         ',',
         CLM_TABLE_HEADER_AUTO,
         NULL,
         {"a single column", "--separator ';' makes 2 columns of it", NULL}},
        {"label\ttext\nham\tHi\n",
         ';',
         CLM_TABLE_HEADER_AUTO,
         NULL,
         {"a single column (the separator is a ;)", "--separator 'tab' makes 2", NULL}},
        {"1,ham,Hi\n2,spam,Win\n",
         0,
         CLM_TABLE_HEADER_ABSENT,
         NULL,
         {"3 columns without a header", "--label-column 1 --text-column 2", NULL}},
        {"ham,Hi\nspam,Win\n",
         0,
         CLM_TABLE_HEADER_ABSENT,
         "3",
         {"--label-column \"3\"", "has columns 1 to 2", NULL}},
        {"ham,Hi\nspam,Win\n",
         0,
         CLM_TABLE_HEADER_ABSENT,
         "label",
         {"--label-column \"label\"", "has columns 1 to 2", NULL}},
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        clm_table *table = NULL;
        clm_table_options options = {.separator = faults[i].separator,
                                     .header = faults[i].header,
                                     .label_column = faults[i].column};
        assert_status(CLM_ERROR_FORMAT, read_text(&table, "f.csv", faults[i].text, &options));
        assert_message_has("f.csv:");
        for (size_t k = 0; k < 3 && faults[i].parts[k] != NULL; k++) {
            assert_message_has(faults[i].parts[k]);
        }
        assert_null(table);
    }
}

/* --- Guesses that are right, and noted --- */

static bool has_note(const char *const *notes, size_t count, const char *part) {
    for (size_t i = 0; i < count; i++) {
        if (strstr(notes[i], part) != NULL) {
            return true;
        }
    }
    return false;
}

static void separators_are_found_and_noted(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *note;
        bool header;
    } found[] = {
        {"label,text\nham,Hi; you|a\nspam,Win\n", "separator: ','", true},
        {"label;text\nham;Hi, you\nspam;Win\n", "separator: ';'", true},
        {"label|text\nham|Hi, you\nspam|Win; now\n", "separator: '|'", true},
        {"label\ttext\nham\tHi, you\nspam\tWin\n", "separator: 'tab'", true},
        {"id;\"text\";\"label\"\n1;\"a;b\";ham\n2;c;spam\n", "separator: ';'", true},
        {"text;label,x\nHi, you;ham\nWin;spam\n", "separator: ';'", false},
        {"ham\tHi, you\nspam\tWin\n", "separator: 'tab'", true},
    };
    for (size_t i = 0; i < sizeof found / sizeof *found; i++) {
        clm_table *table = NULL;
        size_t count = 0;
        clm_table_options options = CLM_TABLE_OPTIONS_DEFAULT;
        options.label_column = found[i].header ? NULL : "label,x";
        assert_ok(read_text(&table, "s.csv", found[i].text, &options));
        assert_int_equal(clm_table_count(table), 2);
        const char *const *notes = clm_table_notes(table, &count);
        assert_true(has_note(notes, count, found[i].note));
        assert_true(has_note(notes, count, "header: "));
        assert_true(has_note(notes, count, "text column: "));
        assert_true(has_note(notes, count, "classes: 2, numbered"));
        assert_int_equal(has_note(notes, count, "label column: "), found[i].header);
        clm_table_free(table);
    }
}

/* What was said is no guess. */
static void requested_columns_are_not_noted(void **state) {
    (void)state;
    clm_table *table = NULL;
    size_t count = 0;
    clm_table_options options = {.separator = ',',
                                 .header = CLM_TABLE_HEADER_PRESENT,
                                 .label_column = "label",
                                 .text_column = "text"};
    assert_ok(read_text(&table, "n.csv", "label,text\nham,a\nspam,b\n", &options));
    const char *const *notes = clm_table_notes(table, &count);
    assert_int_equal(count, 1);
    assert_true(has_note(notes, count, "classes: "));
    assert_false(clm_table_note_is_warning(table, 0));
    clm_table_free(table);
}

static void excel_names_its_separator(void **state) {
    (void)state;
    static const char *const files[] = {
        "sep=;\nlabel;text\nham;a,b\nspam;c\n",
        "\xEF\xBB\xBFsep=;\r\nlabel;text\r\nham;a,b\r\nspam;c\r\n",
        "\"sep=;\"\nlabel;text\nham;a,b\nspam;c\n",
        "SEP=;\rlabel;text\rham;a,b\rspam;c",
        "sep=:\nlabel:text\nham:a,b\nspam:c\n",
    };
    clm_table *table = NULL;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        assert_ok(read_text(&table, "e.csv", files[i], NULL));
        assert_int_equal(clm_table_count(table), 2);
        assert_string_equal(clm_table_text(table, 0, NULL), "a,b");
        clm_table_free(table);
    }
    assert_status(CLM_ERROR_FORMAT,
                  read_text(&table, "e.csv", "sep=;\nlabel;text\nham;a\nspam;\n", NULL));
    assert_message_has("e.csv:4:6: the text of row 2 is empty"); /* lines of the file */
}

/* --- The folder of a split --- */

static cJSON *read_origin(const char *folder) {
    char path[1200];
    cJSON *json = NULL;
    (void)snprintf(path, sizeof path, "%s/data.json", folder);
    assert_ok(clm_json_read(&json, path, CLM_FILE_CONFIG));
    return json;
}

static const char *member(const cJSON *json, const char *name) {
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, name));
}

static int class_rows(const cJSON *json, int k, const char *name) {
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(json, "classes");
    return cJSON_GetObjectItemCaseSensitive(cJSON_GetArrayItem(list, k), name)->valueint;
}

static void a_folder_says_where_it_comes_from(void **state) {
    (void)state;
    clm_table *table = NULL;
    clm_table *balanced = NULL;
    clm_split split;
    clm_split back;
    clm_string text = {0};
    char folder[1100];
    (void)snprintf(folder, sizeof folder, "%s", clm_test_path("told"));
    clm_string_add(&text, "review;category\n");
    for (int i = 0; i < 60; i++) {
        clm_string_add_format(&text, "text %d;%s\n", i, i % 3 == 0 ? "bad" : "good");
    }
    clm_table_options options = {.text_column = "review"};
    assert_ok(read_text(&table, "source.csv", text.text, &options));
    clm_string_free(&text);
    assert_ok(clm_table_balance(&balanced, table, 1));
    assert_ok(clm_table_split(&split, balanced, 0.5, 0.25, 1));
    assert_ok(clm_split_write(&split, folder, CLM_TABLE_LABEL_TEXT_NAME, false));
    cJSON *json = read_origin(folder);
    assert_string_equal(member(json, "schema"), "clm data 1");
    assert_string_equal(member(json, "source"), clm_test_path("source.csv"));
    assert_string_equal(member(json, "separator"), ";");
    assert_string_equal(member(json, "label_column"), "category");
    assert_string_equal(member(json, "text_column"), "review");
    assert_true(cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "header")));
    assert_true(cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "balanced")));
    assert_int_equal(class_rows(json, 0, "source"), 20);
    assert_int_equal(class_rows(json, 1, "source"), 40);
    for (int k = 0; k < 2; k++) {
        assert_int_equal(class_rows(json, k, "train"), clm_table_label_rows(split.train, k));
        assert_int_equal(class_rows(json, k, "test"), clm_table_label_rows(split.test, k));
    }
    cJSON_Delete(json);
    assert_ok(clm_split_read(&back, folder));
    const char *const *notes = (const char *const *)back.notes;
    assert_true(back.note_count > 0 && back.note_count == split.note_count);
    assert_true(has_note(notes, back.note_count, "separator: ';'"));
    assert_true(has_note(notes, back.note_count, "label column: \"category\""));
    assert_false(has_note(notes, back.note_count, "text column"));
    clm_split_free(&back);
    static const char *const bad[] = {"[]", "{", "{\"guesses\":1}", "{\"warnings\":[1]}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char path[1200];
        (void)snprintf(path, sizeof path, "%s/data.json", folder);
        clm_test_write(path, bad[i], strlen(bad[i]));
        assert_status(CLM_ERROR_FORMAT, clm_split_read(&back, folder));
        assert_message_has("data.json");
    }
    clm_split_free(&split);
    clm_table_free(balanced);
    clm_table_free(table);
}

static void keep_line(void *context, clm_log_level level, const char *message) {
    assert_int_equal(level, CLM_LOG_WARNING);
    (void)snprintf(context, 1024, "%s", message);
}

/* 1 to 1000, and few rows at all: the file, the class and the option are named. */
static void dropped_rows_are_reported(void **state) {
    (void)state;
    clm_table *table = NULL;
    clm_table *balanced = NULL;
    clm_split split;
    char last_line[1024] = "";
    clm_string text = {0};
    clm_string_add(&text, "label,text\nrare,a\n");
    for (int i = 0; i < 1000; i++) {
        clm_string_add_format(&text, "common,text %d\n", i);
    }
    clm_log_set_sink(keep_line, last_line, CLM_LOG_WARNING);
    assert_ok(read_text(&table, "rare.csv", text.text, NULL));
    assert_non_null(strstr(last_line,
                           "rare.csv: 1 of 2 classes have a single row, such as "
                           "\"rare\""));
    assert_ok(clm_table_balance(&balanced, table, 1));
    assert_non_null(strstr(last_line,
                           "rare.csv: balancing keeps 2 of 1001 rows, because \"rare\" "
                           "has only 1; --no-balance keeps all"));
    clm_log_set_sink(NULL, NULL, CLM_LOG_WARNING);
    assert_status(CLM_ERROR_SHAPE, clm_table_split(&split, balanced, 0.7, 0.1, 1));
    assert_message_has("rare.csv: 2 rows are too few to split");
    assert_message_has("the class \"rare\" has only 1: --no-balance keeps all");
    clm_table_free(balanced);
    clm_table_free(table);
    clm_string_free(&text);
    assert_ok(read_text(&table, "few.csv", "label,text\na,b\nc,d\n", NULL));
    assert_status(CLM_ERROR_SHAPE, clm_table_split(&split, table, 0.7, 0.1, 1));
    assert_message_has("few.csv: 2 rows are too few to split");
    clm_table_free(table);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_not_taken_for_classes),
        cmocka_unit_test(a_header_is_not_taken_for_a_class),
        cmocka_unit_test(each_fault_has_a_message_of_its_own),
        cmocka_unit_test(separators_are_found_and_noted),
        cmocka_unit_test(requested_columns_are_not_noted),
        cmocka_unit_test(excel_names_its_separator),
        cmocka_unit_test(a_folder_says_where_it_comes_from),
        cmocka_unit_test(dropped_rows_are_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
