/* SPDX-License-Identifier: Apache-2.0 */
#include "support/test_support.h"

#include <stdio.h>
#include <string.h>

#include "clm/data.h"
#include "golden/split_golden.h"

/* Reads `text` as a file of that name. */
static clm_status read_as(clm_table **table, const char *name, const char *text,
                          const clm_table_options *options) {
    const char *path = clm_test_path(name);
    clm_test_write(path, text, strlen(text));
    return clm_table_read(table, path, options);
}

static void the_collection_reads_as_in_pandas(void **state) {
    (void)state;
    const char *path = clm_test_shared_data("sms/SMSSpamCollection");
    if (path == NULL) {
        skip();
    }
    clm_table *table = NULL;
    assert_ok(clm_table_read(&table, path, NULL));
    assert_int_equal(clm_table_count(table), golden_splits[1].rows);
    assert_int_equal(clm_table_label_count(table), 2);
    assert_string_equal(clm_table_label_name(table, 0), "ham");
    assert_string_equal(clm_table_label_name(table, 1), "spam");
    assert_int_equal(clm_table_label_rows(table, 0), golden_splits[1].label_rows[0]);
    assert_int_equal(clm_table_label_rows(table, 1), golden_splits[1].label_rows[1]);
    clm_table_free(table);
}

static void a_table_is_found_in_each_form(void **state) {
    (void)state;
    static const struct {
        const char *name;
        const char *text;
    } forms[] = {
        {"a.tsv", "ham\tHi, you\nspam\t\"Win\n\"\"now\"\"\"\n"},
        {"a.csv", "Label,Text\nham,\"Hi, you\"\nspam,\"Win\n\"\"now\"\"\"\n"},
        {"b.csv", "id,MESSAGE,Category\r\n1,\"Hi, you\",ham\r\n2,\"Win\n\"\"now\"\"\",spam\r\n"},
        {"b.tsv", "\xEF\xBB\xBFtarget\tx\tsms\nham\t\tHi, you\nspam\t\t\"Win\n\"\"now\"\"\"\n"},
        {"c.jsonl",
         "{\"text\":\"Hi, you\",\"label\":\"ham\"}\n\n"
         "{\"label\":\"spam\",\"more\":[1],\"text\":\"Win\\n\\\"now\\\"\"}"},
        {"d.txt", "class,text\n0,\"Hi, you\"\n1,\"Win\n\"\"now\"\"\"\n"},
        {"d.NDJSON",
         "{\"Text\":\"Hi, you\",\"Label\":0}\r\n{\"text\":\"Win\\n\\\"now\\\"\",\"label\":1}"},
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        clm_table *table = NULL;
        size_t length_bytes = 0;
        assert_ok(read_as(&table, forms[i].name, forms[i].text, NULL));
        assert_int_equal(clm_table_count(table), 2);
        assert_string_equal(clm_table_text(table, 0, NULL), "Hi, you");
        assert_string_equal(clm_table_text(table, 1, &length_bytes), "Win\n\"now\"");
        assert_int_equal(length_bytes, 9);
        assert_int_equal(clm_table_label(table, 0), 0);
        assert_int_equal(clm_table_label(table, 1), 1);
        assert_int_equal(clm_table_label_by_name(table, "spam"), forms[i].name[0] == 'd' ? -1 : 1);
        clm_table_free(table);
    }
}

static void columns_can_be_named(void **state) {
    (void)state;
    static const char text[] = "text;Body;label;stars\nx;good;0;five\ny;bad;0;one\n";
    clm_table *table = NULL;
    clm_table_options options = CLM_TABLE_OPTIONS_DEFAULT;
    options.separator = ';';
    options.text_column = "body";
    options.label_column = "stars";
    assert_ok(read_as(&table, "n.csv", text, &options));
    assert_string_equal(clm_table_text(table, 1, NULL), "bad");
    assert_string_equal(clm_table_label_names(table)[0], "five"); /* sorted by bytes */
    assert_int_equal(clm_table_label(table, 1), 1);
    clm_table_free(table);
    options.text_column = "none";
    assert_status(CLM_ERROR_FORMAT, read_as(&table, "n.csv", text, &options));
    assert_message_has("no text column (none)");
    assert_message_has("\"text\", \"Body\", \"label\", \"stars\"");
    assert_null(table);
    options.text_column = "STARS";
    assert_status(CLM_ERROR_FORMAT, read_as(&table, "n.csv", text, &options));
    assert_message_has("both text and label");
    options = (clm_table_options){.header = CLM_TABLE_HEADER_ABSENT};
    assert_ok(read_as(&table, "n.csv", "text,label\nb,c\n", &options));
    assert_int_equal(clm_table_count(table), 2);
    assert_string_equal(clm_table_text(table, 0, NULL), "label");
    clm_table_free(table);
}

static void integers_keep_their_numbers(void **state) {
    (void)state;
    clm_table *table = NULL;
    assert_ok(read_as(&table, "i.csv",
                      "label,text\n2,a\n10,b\n0,c\n1,d\n3,e\n4,f\n5,g\n6,h\n7,i\n8,j\n9,k\n",
                      NULL));
    assert_int_equal(clm_table_label_count(table), 11);
    assert_int_equal(clm_table_label(table, 0), 2);
    assert_int_equal(clm_table_label(table, 1), 10);
    assert_string_equal(clm_table_label_name(table, 10), "10");
    clm_table_free(table);
    /* Not 0..n-1: names like any other, in the order of their bytes. */
    assert_ok(read_as(&table, "i.csv", "label,text\n10,a\n2,b\n1,c\n", NULL));
    assert_string_equal(clm_table_label_name(table, 0), "1");
    assert_string_equal(clm_table_label_name(table, 1), "10");
    assert_int_equal(clm_table_label(table, 1), 2);
    clm_table_free(table);
    assert_ok(read_as(&table, "i.csv", "label,text\n0,a\n01,b\n", NULL));
    assert_string_equal(clm_table_label_name(table, 1), "01");
    clm_table_free(table);
}

static void labels_can_be_imposed(void **state) {
    (void)state;
    static const char *const names[] = {"spam", "ham", "1x"};
    clm_table *table = NULL;
    clm_table_options options = {.labels = names, .label_count = 3};
    assert_ok(read_as(&table, "l.csv", "label,text\nham,a\n0,b\n1x,c\n2,d\n", &options));
    assert_int_equal(clm_table_label(table, 0), 1);
    assert_int_equal(clm_table_label(table, 1), 0);
    assert_int_equal(clm_table_label(table, 2), 2);
    assert_int_equal(clm_table_label(table, 3), 2);
    clm_table_free(table);
    assert_ok(read_as(&table, "l.csv", "label,text\nham,a\n", &options)); /* one class is enough */
    assert_int_equal(clm_table_label_count(table), 3);
    clm_table_free(table);
    assert_status(CLM_ERROR_FORMAT, read_as(&table, "l.csv", "label,text\nham,a\n3,b\n", &options));
    assert_message_has("l.csv:3:1: unknown label \"3\"; the labels are spam, ham, 1x");
}

static void bad_tables_are_refused_with_their_place(void **state) {
    (void)state;
    static const struct {
        clm_status status;
        const char *name;
        const char *text;
        const char *message;
    } bad[] = {
        {CLM_ERROR_FORMAT, "b.csv", "", "b.csv: the file is empty"},
        {CLM_ERROR_FORMAT, "b.csv", " \n\t\n", "b.csv: the table has no rows"},
        {CLM_ERROR_FORMAT, "b.csv", "label,text\n", "b.csv: the table has no rows"},
        {CLM_ERROR_FORMAT, "b.csv", "label,text\nham,a\nspam\n", "b.csv:3:1: row 3 has 1 columns"},
        {CLM_ERROR_FORMAT, "b.csv", "label,text\nham,a\nspam,b,c\n", "b.csv:3:8: row 3 has 3"},
        {CLM_ERROR_FORMAT, "b.csv", "label,text\nham,a\nspam,\n", "b.csv:3:6: the text of row 2"},
        {CLM_ERROR_FORMAT, "b.csv", "label,text\nham,a\n,b\n", "b.csv:3:1: the label of row 2"},
        {CLM_ERROR_FORMAT, "b.csv", "label,text\nham,a\nham,b\n",
         "every row has the label \"ham\""},
        {CLM_ERROR_FORMAT, "b.csv", "label,text\nham,\"a\nspam,b\n", "b.csv:2:5: the quote"},
        {CLM_ERROR_FORMAT, "b.csv", "label,body\nham,a\n", "has \"label\", \"body\""},
        {CLM_ERROR_FORMAT, "b.csv", "a,b\nham,a\n", "no text column (text, message, sms)"},
        {CLM_ERROR_FORMAT, "b.tsv", "label\tbody\nham\ta\n", "no text column"},
        {CLM_ERROR_FORMAT, "b.csv", "just one line", "has \"just one line\""},
        {CLM_ERROR_FORMAT, "b.csv", "text,x\nham,a\n", "no label column (label, class,"},
        {CLM_ERROR_ENCODING, "b.csv", "label,text\nham,a\xFF\n", "b.csv:2:6: byte 0xFF"},
        {CLM_ERROR_ENCODING, "b.csv", "\xFF\xFEl", "b.csv:1:1: byte 0xFF"},
        {CLM_ERROR_FORMAT, "b.jsonl", "{\"text\":\"a\",\"label\":0}\n{", "b.jsonl:2: byte"},
        {CLM_ERROR_FORMAT, "b.jsonl", "{\"text\":3,\"label\":0}", "b.jsonl:1:1: no text"},
        {CLM_ERROR_FORMAT, "b.jsonl", "[1]", "b.jsonl:1:1: no text"},
        {CLM_ERROR_FORMAT, "b.jsonl", "{\"text\":\"a\"}", "b.jsonl:1:1: no label"},
        {CLM_ERROR_FORMAT, "b.jsonl", "{\"text\":\"a\",\"label\":null}", "b.jsonl:1:1: no label"},
        {CLM_ERROR_FORMAT, "b.jsonl", "{\"text\":\"a\",\"label\":[0]}", "b.jsonl:1:1: no label"},
        {CLM_ERROR_FORMAT, "b.jsonl", "{\"text\":\"\",\"label\":0}",
         "b.jsonl:1:1: the text of row 1"},
        {CLM_ERROR_ENCODING, "b.jsonl", "{\"text\":\"a\\u0000b\",\"label\":0}",
         "b.jsonl:1:11: a NUL"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        clm_table *table = NULL;
        assert_status(bad[i].status, read_as(&table, bad[i].name, bad[i].text, NULL));
        assert_message_has(bad[i].message);
        assert_null(table);
    }
    clm_table *table = NULL;
    clm_test_write(clm_test_path("z.csv"), "label,text\nham,a\0b\n", 19);
    assert_status(CLM_ERROR_ENCODING, clm_table_read(&table, clm_test_path("z.csv"), NULL));
    assert_message_has("z.csv:2:6: a NUL byte");
    assert_status(CLM_ERROR_NOT_FOUND, clm_table_read(&table, clm_test_path("none.csv"), NULL));
    assert_message_has("none.csv");
    assert_status(CLM_ERROR_IO, clm_table_read(&table, clm_test_folder(), NULL));
}

static void tables_can_be_made_from_memory(void **state) {
    (void)state;
    static const char *const names[] = {"no", "yes"};
    const char *texts[] = {"a", "\xC3\xA9"};
    int labels[] = {1, 0};
    clm_table *table = NULL;
    assert_ok(clm_table_create(&table, texts, labels, 2, names, 2));
    assert_string_equal(clm_table_text(table, 1, NULL), "\xC3\xA9");
    assert_int_equal(clm_table_label(table, 0), 1);
    clm_table_free(table);
    labels[1] = 2;
    assert_status(CLM_ERROR_ARGUMENT, clm_table_create(&table, texts, labels, 2, names, 2));
    labels[1] = 0;
    texts[0] = "";
    assert_status(CLM_ERROR_ARGUMENT, clm_table_create(&table, texts, labels, 2, names, 2));
    texts[0] = "\xC3";
    assert_status(CLM_ERROR_ENCODING, clm_table_create(&table, texts, labels, 2, names, 2));
    clm_table_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_collection_reads_as_in_pandas),
        cmocka_unit_test(a_table_is_found_in_each_form),
        cmocka_unit_test(columns_can_be_named),
        cmocka_unit_test(integers_keep_their_numbers),
        cmocka_unit_test(labels_can_be_imposed),
        cmocka_unit_test(bad_tables_are_refused_with_their_place),
        cmocka_unit_test(tables_can_be_made_from_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
