/* SPDX-License-Identifier: Apache-2.0 */
#include "support/test_support.h"

#include <string.h>

#include "base/memory.h"
#include "data/csv.h"
#include "golden/csv_golden.h"

/* The form of make_csv.py. */
static void add_rows(clm_string *out, const clm_csv *csv) {
    for (size_t row = 0; row < csv->row_count; row++) {
        size_t count = 0;
        const clm_csv_field *fields = clm_csv_row(csv, row, &count);
        while (count > 0 && fields[count - 1].length_bytes == 0) {
            count--;
        }
        for (size_t i = 0; i < count; i++) {
            clm_string_add(out, i > 0 ? "\x1F" : "");
            clm_string_add_bytes(out, clm_csv_text(csv, &fields[i]), fields[i].length_bytes);
        }
        clm_string_add(out, "\x1E");
    }
}

static void odd_tables_read_as_in_pandas(void **state) {
    (void)state;
    size_t unclosed = 0;
    for (size_t i = 0; i < sizeof golden_tables / sizeof *golden_tables; i++) {
        const char *text = golden_tables[i].text;
        clm_csv csv;
        clm_string rows = {0};
        clm_status status =
            clm_csv_parse(&csv, text, strlen(text), golden_tables[i].separator, "odd.csv");
        if (golden_tables[i].rows == NULL) {
            assert_status(CLM_ERROR_FORMAT, status);
            assert_message_has("odd.csv:");
            unclosed++;
        } else {
            assert_ok(status);
            add_rows(&rows, &csv);
            assert_string_equal(rows.text != NULL ? rows.text : "", golden_tables[i].rows);
        }
        clm_string_free(&rows);
        clm_csv_free(&csv);
    }
    assert_true(unclosed > 10);
}

static void places_are_lines_and_columns(void **state) {
    (void)state;
    static const char text[] = "a,b\r\n\"x\ny\",z\rq,\"r\n";
    clm_csv csv;
    assert_status(CLM_ERROR_FORMAT, clm_csv_parse(&csv, text, strlen(text), ',', "t.csv"));
    assert_message_has("t.csv:4:3: the quote");
    clm_csv_free(&csv);
    assert_ok(clm_csv_parse(&csv, text, strlen(text) - 3, ',', "t.csv"));
    assert_int_equal(csv.row_count, 3);
    size_t count = 0;
    const clm_csv_field *fields = clm_csv_row(&csv, 1, &count);
    assert_int_equal(count, 2);
    assert_int_equal(fields[0].line, 2);
    assert_int_equal(fields[0].column, 1);
    assert_int_equal(fields[1].line, 3);
    assert_int_equal(fields[1].column, 4);
    fields = clm_csv_row(&csv, 2, &count);
    assert_int_equal(count, 2);
    assert_int_equal(fields[0].line, 4);
    assert_int_equal(fields[1].length_bytes, 0);
    clm_csv_free(&csv);
}

/* A field of up to seven pieces, many of which need quotes. */
static void add_random_field(clm_string *out) {
    static const char *const pieces[] = {"\"", ",", "\n", "\r", "\r\n", " ", "\t", "a", "\xC3\xA9"};
    for (uint32_t left = clm_test_random() % 8; left > 0; left--) {
        clm_string_add(out, pieces[clm_test_random() % (sizeof pieces / sizeof *pieces)]);
    }
    clm_string_add_bytes(out, "", 0);
}

static void what_is_written_is_read_again(void **state) {
    (void)state;
    for (int turn = 0; turn < 300; turn++) {
        enum { most_fields = 60 };
        clm_string fields[most_fields] = {{0}};
        clm_string file = {0};
        clm_csv csv;
        size_t width = 2 + clm_test_random() % 3;
        size_t rows = 1 + clm_test_random() % 15;
        for (size_t i = 0; i < rows * width; i++) {
            add_random_field(&fields[i]);
            clm_csv_add_field(&file, fields[i].text, fields[i].length);
            clm_string_add(&file, i % width + 1 < width ? "," : "\n");
        }
        assert_ok(clm_csv_parse(&csv, file.text, file.length, ',', "random"));
        assert_int_equal(csv.row_count, rows);
        assert_int_equal(csv.field_count, rows * width);
        for (size_t i = 0; i < rows * width; i++) {
            assert_int_equal(csv.fields[i].length_bytes, fields[i].length);
            assert_string_equal(clm_csv_text(&csv, &csv.fields[i]), fields[i].text);
            clm_string_free(&fields[i]);
        }
        clm_csv_free(&csv);
        clm_string_free(&file);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(odd_tables_read_as_in_pandas),
        cmocka_unit_test(places_are_lines_and_columns),
        cmocka_unit_test(what_is_written_is_read_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
