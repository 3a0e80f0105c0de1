/* Tables in each form that pandas' and datasets' writers have, against the rows that pandas reads
 * in them.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/test_support.h"

#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "clm/data.h"
#include "golden/tables_golden.h"

enum { form_count = sizeof golden_forms / sizeof *golden_forms };

/* As make_tables.py makes it: over the names of labels and the texts, each with its NUL. */
static unsigned long long hash_of(const clm_table *table) {
    uint64_t hash = CLM_HASH_START;
    for (size_t row = 0; row < clm_table_count(table); row++) {
        size_t length = 0;
        const char *label = clm_table_label_name(table, clm_table_label(table, row));
        const char *text = clm_table_text(table, row, &length);
        hash = clm_hash(hash, label, strlen(label) + 1);
        hash = clm_hash(hash, text, length + 1);
    }
    return hash;
}

static void each_form_has_the_rows_of_pandas(void **state) {
    (void)state;
    for (size_t i = 0; i < form_count; i++) {
        clm_table *table = NULL;
        const char *path = clm_test_path(golden_forms[i].name);
        clm_test_write(path, golden_forms[i].text, strlen(golden_forms[i].text));
        const clm_status status = clm_table_read(&table, path, NULL);
        if (status != CLM_OK) {
            fail_msg("form %zu (%s): %s", i, golden_forms[i].name, clm_error_message());
        }
        if (clm_table_count(table) != golden_forms[i].rows ||
            hash_of(table) != golden_forms[i].hash) {
            fail_msg("form %zu (%s, \"%.60s\") has other rows", i, golden_forms[i].name,
                     golden_forms[i].text);
        }
        clm_table_free(table);
    }
    assert_true(form_count > 200);
}

/* The name of the file says nothing. */
static void the_content_says_what_a_file_is(void **state) {
    (void)state;
    static const char *const names[] = {"a.csv", "a.json", "a.jsonl", "a.tsv", "a.txt", "a"};
    for (size_t i = 0; i < form_count; i += 7) {
        for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
            clm_table *table = NULL;
            const char *path = clm_test_path(names[k]);
            clm_test_write(path, golden_forms[i].text, strlen(golden_forms[i].text));
            assert_ok(clm_table_read(&table, path, NULL));
            assert_true(hash_of(table) == golden_forms[i].hash);
            clm_table_free(table);
        }
    }
}

static void faults_in_json_are_named(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *message;
    } faults[] = {
        {"[{\"text\":\"a\",\"label\":0},\n{\"text\":1,\"label\":0}]", "f.json:2:1: no text"},
        {"[{\"text\":\"a\",\"label\":0},\n{\"text\":\"b\"}]", "f.json:2:1: no label"},
        {"[{\"text\":\"a\",\"label\":0},\n", "f.json: byte"},
        {"[[\"a\",0],[\"b\",1]]", "f.json:1:1: rows without the names of their columns"},
        {"{\"text\":{\"0\":\"a\",\"1\":\"b\"},\"label\":{\"0\":0}}",
         "has no label of the same key"},
        {"{\"text\":{\"0\":\"a\",\"1\":\"b\"},\"label\":{\"0\":0,\"2\":1}}", "row 2 of the texts"},
        {"{\"text\":[\"a\"],\"label\":[0,1]}", "has no label of the same key"},
        {"{\"columns\":[\"body\",\"label\"],\"index\":[0],\"data\":[[\"a\",0]]}", "no text"},
        {"{\"text\":\"a\",\"label\":0}\n{\"text\":\"b\",\"label\":{}}", "f.json:2:1: no label"},
        {"[{\"text\":\"a\\u0000\",\n\"label\":0}]", "f.json:1:12: a NUL"},
        {"[\n{\"label\":0,\n\"text\":\"\\u0000\"}]", "f.json:3:9: a NUL"},
        {"[]", "f.json: the table has no rows"},
        {"{}", "no text"},
        {"[{\"text\":\"a\",\"label\":0}] x", "f.json: byte 25"},
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        clm_table *table = NULL;
        const char *path = clm_test_path("f.json");
        clm_test_write(path, faults[i].text, strlen(faults[i].text));
        assert_true(clm_table_read(&table, path, NULL) != CLM_OK);
        assert_message_has(faults[i].message);
        assert_null(table);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_form_has_the_rows_of_pandas),
        cmocka_unit_test(the_content_says_what_a_file_is),
        cmocka_unit_test(faults_in_json_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
