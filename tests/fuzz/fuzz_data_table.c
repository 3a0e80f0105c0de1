/* The readers of tables, given any bytes: a table that is read is whole, and what is written of it
 * is read again as the same. The first byte chooses the reader and its options.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/memory.h"
#include "data/table.h"
#include "fuzz.h"

static const char *const words[] = {"text",    "label",   "message",
                                    "class",   "Label",   "Text",
                                    "Name",    "ham",     "spam",
                                    "0",       "1",       "-1",
                                    "01",      "1.0",     "10",
                                    "\t",      ",",       ";",
                                    "|",       "\"\"",    "\"",
                                    "\r\n",    "sep=;\n", "\xEF\xBB\xBF",
                                    "\\u00e9", "\\u0000", "{\"text\":\"a\",\"label\":1}\n",
                                    NULL};
const fuzz_target fuzz_this = {FUZZ_LINES, words, 1 << 16, 2048};

static void check_table(const clm_table *table) {
    FUZZ_CHECK(clm_table_count(table) > 0 && clm_table_label_count(table) > 0);
    for (size_t row = 0; row < clm_table_count(table); row++) {
        size_t length_bytes = 0;
        const char *text = clm_table_text(table, row, &length_bytes);
        FUZZ_CHECK(length_bytes > 0 && strlen(text) == length_bytes);
        FUZZ_CHECK(clm_utf8_check(text, length_bytes) == length_bytes);
        int label = clm_table_label(table, row);
        FUZZ_CHECK(label >= 0 && label < clm_table_label_count(table));
        FUZZ_CHECK(clm_table_label_by_name(table, clm_table_label_name(table, label)) == label);
    }
}

static void check_round_trip(const clm_table *table) {
    clm_table_options options = CLM_TABLE_OPTIONS_DEFAULT;
    clm_table *back = NULL;
    clm_string file = {0};
    options.labels = clm_table_label_names(table);
    options.label_count = clm_table_label_count(table);
    FUZZ_CHECK(clm_table_add_csv(&file, table, CLM_TABLE_LABEL_TEXT_NAME) == CLM_OK);
    FUZZ_CHECK(clm_table_parse(&back, file.text, file.length, &options, "back.csv") == CLM_OK);
    FUZZ_CHECK(clm_table_count(back) == clm_table_count(table));
    for (size_t row = 0; row < clm_table_count(table); row++) {
        FUZZ_CHECK(strcmp(clm_table_text(back, row, NULL), clm_table_text(table, row, NULL)) == 0);
        FUZZ_CHECK(clm_table_label(back, row) == clm_table_label(table, row));
    }
    clm_table_free(back);
    clm_string_free(&file);
}

void fuzz_one(const uint8_t *data, size_t size) {
    static const char *const labels[] = {"ham", "spam"};
    static const char *const names[] = {"fuzz.csv", "fuzz.jsonl", "fuzz.json", "fuzz.tsv"};
    if (size == 0) {
        return;
    }
    clm_table_options options = CLM_TABLE_OPTIONS_DEFAULT;
    options.header = (clm_table_header)(data[0] / 8 % 3);
    if ((data[0] & 1) != 0) {
        options.labels = labels;
        options.label_count = 2;
    }
    if ((data[0] & 64) != 0) {
        options.text_column = "body";
        options.label_column = "kind";
    }
    clm_table *table = NULL;
    const char *path = fuzz_write(names[data[0] / 2 % 4], data + 1, size - 1);
    clm_status status = clm_table_read(&table, path, &options);
    if (status == CLM_OK) {
        check_table(table);
        check_round_trip(table);
    } else {
        FUZZ_CHECK(table == NULL);
        fuzz_check_refused(status);
    }
    clm_table_free(table);
}
