/* The readers of tables, given any bytes: a table that is read is whole, and what is written of it
 * is read again as the same. For libFuzzer, or a driver that calls it as one does. The first byte
 * chooses the reader and its options.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "data/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(int held) {
    if (!held) {
        abort();
    }
}

static void check_table(const clm_table *table) {
    demand(clm_table_count(table) > 0 && clm_table_label_count(table) > 0);
    for (size_t row = 0; row < clm_table_count(table); row++) {
        size_t length_bytes = 0;
        const char *text = clm_table_text(table, row, &length_bytes);
        demand(length_bytes > 0 && strlen(text) == length_bytes);
        demand(clm_utf8_check(text, length_bytes) == length_bytes);
        int label = clm_table_label(table, row);
        demand(label >= 0 && label < clm_table_label_count(table));
        demand(clm_table_label_by_name(table, clm_table_label_name(table, label)) == label);
    }
}

static void check_round_trip(const clm_table *table) {
    clm_table_options options = CLM_TABLE_OPTIONS_DEFAULT;
    clm_table *back = NULL;
    clm_string file = {0};
    /* The numbers in the file are not to be taken for names, should these be numbers in another
     * order. */
    const char *const *names = clm_table_label_names(table);
    const char **other_names = NULL;
    int count = clm_table_label_count(table);
    demand(clm_allocate(&other_names, (size_t)count, sizeof *other_names, "names") == CLM_OK);
    for (int k = 0; k < count; k++) {
        other_names[k] = names[k][0] >= '0' && names[k][0] <= '9' ? "x" : names[k];
    }
    options.labels = other_names;
    options.label_count = count;
    clm_table_add_csv(&file, table);
    demand(clm_table_parse(&back, file.text, file.length, &options, "back.csv") == CLM_OK);
    demand(clm_table_count(back) == clm_table_count(table));
    for (size_t row = 0; row < clm_table_count(table); row++) {
        demand(strcmp(clm_table_text(back, row, NULL), clm_table_text(table, row, NULL)) == 0);
        demand(clm_table_label(back, row) == clm_table_label(table, row));
    }
    clm_table_free(back);
    clm_string_free(&file);
    clm_free(other_names);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const labels[] = {"ham", "spam"};
    if (size == 0) {
        return 0;
    }
    clm_table_options options = CLM_TABLE_OPTIONS_DEFAULT;
    options.header = (clm_table_header)(data[0] / 4 % 3);
    if ((data[0] & 1) != 0) {
        options.labels = labels;
        options.label_count = 2;
    }
    clm_table *table = NULL;
    char *text = NULL;
    demand(clm_allocate(&text, size, 1, "input") == CLM_OK);
    memcpy(text, data + 1, size - 1); /* NUL-terminated, as clm_file_read() does */
    clm_status status = clm_table_parse(&table, text, size - 1, &options,
                                        (data[0] & 2) != 0 ? "fuzz.jsonl" : "fuzz.csv");
    if (status == CLM_OK) {
        check_table(table);
        check_round_trip(table);
    } else {
        demand(table == NULL && clm_error_message()[0] != '\0');
    }
    clm_table_free(table);
    clm_free(text);
    return 0;
}
