/* Reports written and read back, and files that are none.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/test_support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/number.h"
#include "bench/bench.h"
#include "data/csv.h"
#include "made.h"

static clm_bench_result timed(void) {
    return (clm_bench_result){.name = "gemm/qkv",
                              .parameters = "M=960 N=2304 K=768",
                              .flop = 3e9,
                              .bytes = 2e7,
                              .median = 0.01,
                              .minimum = 0.008,
                              .lower_quartile = 0.009,
                              .upper_quartile = 0.1 + 0.2, /* needs all 17 digits */
                              .samples = 7,
                              .repeats = 3};
}

/* One report with a result that has everything, one that was skipped, and a job. */
static clm_bench_report make_report(clm_bench_result results[3]) {
    results[0] = timed();
    results[1] = (clm_bench_result){
        .name = "crossentropy/forward", .parameters = "", .skipped = "no 1,2 \"MiB\"", .bytes = 8};
    results[2] = timed();
    (void)snprintf(results[2].name, sizeof results[2].name, "classify/batch");
    (void)snprintf(results[2].item, sizeof results[2].item, "texts");
    results[2].bytes = 0;
    results[2].items = 8;
    clm_bench_report report = made_report("Radeon \"RX\", \xC3\xBC", results, 3);
    report.quick = true;
    report.seconds = 0.2;
    report.noise = 0.2;
    clm_bench_derive(&report);
    return report;
}

static void derived_members_are_computed(void **state) {
    (void)state;
    clm_bench_result results[3];
    clm_bench_report report = make_report(results);
    /* Quotients, each rounded a few times. */
    assert_close(results[0].gflops, 300.0, 0.0, 1e-14);
    assert_close(results[0].peak_share, 0.3, 0.0, 1e-14);
    assert_close(results[0].gbytes_second, 2.0, 0.0, 1e-14);
    assert_close(results[0].bandwidth_share, 0.02, 0.0, 1e-14);
    assert_true(results[0].items_second == 0.0);
    assert_true(results[1].gbytes_second == 0.0 && results[1].peak_share == 0.0);
    assert_close(results[2].items_second, 800.0, 0.0, 1e-14);
    assert_true(report.noisy);
    report.noise = 0.1;
    report.peak_gflops = 0.0; /* not measured */
    clm_bench_derive(&report);
    assert_false(report.noisy);
    assert_true(results[0].peak_share == 0.0);
}

static void json_comes_back_as_it_was(void **state) {
    (void)state;
    clm_bench_result results[3];
    const clm_bench_report report = make_report(results);
    const clm_bench_report both[2] = {report, {.program = "other", .device = "x"}};
    clm_bench_report *read = NULL;
    size_t count = 0;
    assert_ok(clm_bench_write_json(both, 2, clm_test_path("report.json")));
    assert_ok(clm_bench_read(&read, &count, clm_test_path("report.json")));
    assert_int_equal(count, 2);
    assert_string_equal(read[0].device, report.device);
    assert_int_equal(read[0].compute_units, 36);
    assert_true(read[0].quick && read[0].noisy && !read[1].quick && !read[1].noisy);
    assert_int_equal(read[0].result_count, 3);
    assert_string_equal(read[0].results[0].parameters, results[0].parameters);
    assert_true(read[0].results[0].upper_quartile == results[0].upper_quartile);
    assert_true(read[0].results[0].peak_share == results[0].peak_share);
    assert_int_equal(read[0].results[2].repeats, 3);
    assert_string_equal(read[1].program, "other");
    assert_int_equal(read[1].result_count, 0);
    /* And everything else: written again, it is the same file. */
    char *texts[2];
    size_t sizes[2];
    assert_ok(clm_bench_write_json(read, count, clm_test_path("again.json")));
    assert_ok(clm_file_read(clm_test_path("report.json"), CLM_FILE_TEXT, &texts[0], &sizes[0]));
    assert_ok(clm_file_read(clm_test_path("again.json"), CLM_FILE_TEXT, &texts[1], &sizes[1]));
    assert_string_equal(texts[1], texts[0]);
    clm_free(texts[0]);
    clm_free(texts[1]);
    clm_bench_reports_free(read, count);
    clm_bench_reports_free(NULL, 0);
}

/* The text of a file with one such report; freed by the caller. */
static char *written_report(size_t *size) {
    clm_bench_result results[3];
    const clm_bench_report report = make_report(results);
    char *text = NULL;
    assert_ok(clm_bench_write_json(&report, 1, clm_test_path("report.json")));
    assert_ok(clm_file_read(clm_test_path("report.json"), CLM_FILE_TEXT, &text, size));
    return text;
}

/* Reads `text` with the first `from` in it replaced by `to`. */
static clm_status parse_changed(const char *text, const char *from, const char *to) {
    const char *at = strstr(text, from);
    clm_bench_report *reports = NULL;
    size_t count = 0;
    char *changed = NULL;
    if (at == NULL) {
        fail_msg("the report has no %s", from);
        return CLM_OK;
    }
    const size_t size = strlen(text) + strlen(to) + 1;
    assert_ok(clm_allocate(&changed, size, 1, "a changed report"));
    (void)snprintf(changed, size, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    clm_error_clear();
    const clm_status status = clm_bench_parse(&reports, &count, changed, strlen(changed), "here");
    assert_true((status == CLM_OK) == (reports != NULL) && (count > 0) == (reports != NULL));
    assert_true(status == CLM_OK || strchr(clm_error_message(), '\n') == NULL);
    clm_bench_reports_free(reports, count);
    clm_free(changed);
    return status;
}

static void bad_files_are_refused(void **state) {
    (void)state;
    size_t size = 0;
    char *text = written_report(&size);
    static const struct {
        const char *from, *to, *message;
    } changes[] = {
        {"{\"schema\"", "[{\"schema\"", "not valid JSON"},
        {"\"clm-bench\"", "\"other\"", "here: \"schema\" is not \"clm-bench\""},
        {"\"schema\"", "\"scheme\"", "\"schema\" is missing"},
        {"\"schema_version\":1", "\"schema_version\":2", "version 2 of the schema"},
        {"\"schema_version\":1", "\"schema_version\":\"1\"", "\"schema_version\" must be"},
        {"\"reports\":[", "\"reports\":[],\"was\":[", "has no report"},
        {"\"reports\":[", "\"reports\":{},\"was\":[", "\"reports\" must be an array"},
        {"\"reports\":[", "\"reports\":[1,", "here: report 1: is no object"},
        {"\"device\":", "\"devise\":", "here: report 1: \"device\" is missing"},
        {"\"driver\":\"d\"", "\"driver\":3", "\"driver\" must be a string"},
        {"\"driver\":\"d\"", "\"driver\":\"\\u001b[2J\"", "\"driver\" is longer"},
        {"\"driver\":\"d\"", "\"driver\":\"\\u009b2J\"", "\"driver\" is longer"},
        {"\"2026-11-21T04:30:00Z\"", "\"a date of more than thirty-one bytes\"",
         "\"date\" is longer than 31 bytes"},
        {"\"peak_gflops\":1000", "\"peak_gflops\":-1", "\"peak_gflops\" is negative"},
        {"\"peak_gflops\":1000", "\"peak_gflops\":1e999", "\"peak_gflops\" must be a number"},
        {"\"peak_gflops\":1000", "\"peak_gflops\":NaN", "not valid JSON"},
        {"\"peak_gflops\":1000", "\"peak_gflops\":1e-300", "\"peak_gflops\" cannot be 1e-300"},
        {"\"median\":0.01", "\"median\":1e30", "\"median\" cannot be 1e+30"},
        {"\"driver\":\"d\"", "\"driver\":\"\\u202ed\"", "\"driver\" is longer"},
        {"\"compute_units\":36", "\"compute_units\":3.5", "\"compute_units\" must be"},
        {"\"quick\":true", "\"quick\":1", "\"quick\" must be true or false"},
        {"\"results\":[", "\"results\":7,\"was\":[", "\"results\" must be an array"},
        {"\"results\":[", "\"results\":[null,", "here: report 1, result 1: is no object"},
        {"gemm/qkv", "gemm", "result 1: \"name\" must be"},
        {"gemm/qkv", "/qkv", "result 1: \"name\" must be"},
        {"gemm/qkv", "gemm/", "result 1: \"name\" must be"},
        {"classify/batch", "gemm/qkv", "result 3: gemm/qkv M=960 N=2304 K=768 comes twice"},
        {"\"median\":0.01", "\"median\":null", "result 1: \"median\" is missing"},
        {"\"median\":0.01", "\"median\":0.001", "result 1: \"minimum\""},
        {"\"minimum\":0.008", "\"minimum\":0", "result 1: \"minimum\""},
        {"\"lower_quartile\":0.009", "\"lower_quartile\":0.02", "result 1: \"minimum\""},
        {"\"samples\":7", "\"samples\":0", "result 1: has no samples"},
        {"\"repeats\":3", "\"repeats\":0", "result 1: has no samples"},
        {"\"skipped\":\"\"", "\"skipped\":\"why\"", "result 1: is skipped and has times"},
        {"\"minimum\":0,", "\"minimum\":0.1,", "result 2: is skipped and has times"},
        {"\"skipped\":\"no", "\"skipped\":\"\",\"was\":\"no", "result 2: has no samples"},
        {"\"item\":\"texts\"", "\"item\":\"\"", "result 3: \"items\" and \"item\" contradict"},
        {"]}]}", "]}]} x", "something follows"},
    };
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        assert_status(CLM_ERROR_FORMAT, parse_changed(text, changes[i].from, changes[i].to));
        assert_message_has(changes[i].message);
    }
    /* What the schema does not have is ignored, and what follows is computed, not believed. */
    assert_ok(parse_changed(text, "\"noisy\":true", "\"noisy\":3,\"more\":[]"));
    assert_ok(parse_changed(text, "\"gflops\":", "\"was\":"));
    clm_free(text);
    clm_bench_report *reports = NULL;
    size_t count = 0;
    assert_status(CLM_ERROR_NOT_FOUND, clm_bench_read(&reports, &count, clm_test_path("none")));
    assert_null(reports);
}

/* Cases are compared with each other, so their number has a bound. */
static void too_many_are_refused(void **state) {
    (void)state;
    clm_string text = {0};
    clm_bench_report *reports = NULL;
    size_t count = 0;
    clm_string_add(&text, "{\"schema\":\"clm-bench\",\"schema_version\":1,\"reports\":[0");
    for (int i = 0; i < CLM_BENCH_REPORTS_MOST; i++) {
        clm_string_add(&text, ",0");
    }
    clm_string_add(&text, "]}");
    assert_ok(clm_string_status(&text));
    assert_status(CLM_ERROR_FORMAT,
                  clm_bench_parse(&reports, &count, text.text, text.length, "here"));
    assert_message_has("here: \"reports\" has more than 64 elements");
    clm_string_free(&text);
    char *whole = written_report(&count);
    clm_string_add(&text, "\"results\":[0");
    for (int i = 0; i < CLM_BENCH_RESULTS_MOST; i++) {
        clm_string_add(&text, ",0");
    }
    clm_string_add(&text, "],\"was\":[");
    assert_ok(clm_string_status(&text));
    assert_status(CLM_ERROR_FORMAT, parse_changed(whole, "\"results\":[", text.text));
    assert_message_has("here: report 1: \"results\" has more than 4096 elements");
    clm_string_free(&text);
    clm_free(whole);
}

/* Cut anywhere, a file is no report. */
static void cut_files_are_refused(void **state) {
    (void)state;
    size_t size = 0;
    char *text = written_report(&size);
    for (size_t length = 0; length + 1 < size; length++) { /* the last byte ends the line */
        clm_bench_report *reports = NULL;
        size_t count = 0;
        assert_status(CLM_ERROR_FORMAT, clm_bench_parse(&reports, &count, text, length, "here"));
        assert_null(reports);
    }
    clm_free(text);
}

static const char *field(const clm_csv *csv, size_t row, const char *column) {
    size_t count = 0;
    const clm_csv_field *names = clm_csv_row(csv, 0, &count);
    const clm_csv_field *fields = clm_csv_row(csv, row, &count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(clm_csv_text(csv, &names[i]), column) == 0) {
            return clm_csv_text(csv, &fields[i]);
        }
    }
    fail_msg("there is no column %s", column);
    return "";
}

static double number_field(const clm_csv *csv, size_t row, const char *column) {
    const char *text = field(csv, row, column);
    double value = 0.0;
    assert_true(clm_number_parse(text, strlen(text), &value));
    return value;
}

static void csv_has_a_line_for_each_result(void **state) {
    (void)state;
    clm_bench_result results[3];
    const clm_bench_report report = make_report(results);
    const clm_bench_report both[2] = {report, report};
    char *text = NULL;
    size_t size = 0;
    clm_csv csv = {0};
    assert_ok(clm_bench_write_csv(both, 2, clm_test_path("report.csv")));
    assert_ok(clm_file_read(clm_test_path("report.csv"), CLM_FILE_TEXT, &text, &size));
    assert_ok(clm_csv_parse(&csv, text, size, ',', "report.csv"));
    assert_int_equal(csv.row_count, 7);
    size_t width = 0;
    (void)clm_csv_row(&csv, 0, &width);
    for (size_t row = 1; row < csv.row_count; row++) {
        size_t count = 0;
        (void)clm_csv_row(&csv, row, &count);
        assert_int_equal(count, width);
        assert_string_equal(field(&csv, row, "schema"), "clm-bench 1");
        assert_string_equal(field(&csv, row, "device"), report.device);
        assert_string_equal(field(&csv, row, "noisy"), "true");
    }
    assert_string_equal(field(&csv, 1, "name"), "gemm/qkv");
    assert_true(number_field(&csv, 1, "median") == results[0].median);
    assert_true(number_field(&csv, 1, "upper_quartile") == results[0].upper_quartile);
    assert_string_equal(field(&csv, 1, "items"), "");
    assert_string_equal(field(&csv, 1, "skipped"), "");
    assert_string_equal(field(&csv, 2, "skipped"), "no 1,2 \"MiB\"");
    assert_string_equal(field(&csv, 2, "median"), "");
    assert_string_equal(field(&csv, 2, "samples"), "");
    assert_string_equal(field(&csv, 6, "item"), "texts");
    clm_csv_free(&csv);
    clm_free(text);
}

static void texts_are_made_fit_to_print(void **state) {
    (void)state;
    char text[8];
    clm_bench_copy_text(text, sizeof text, "a\nb\x7F\xFF");
    assert_string_equal(text, "a?b??");
    clm_bench_copy_text(text, sizeof text, "a\xD8\x9C\xE2\x80\x8B");
    assert_string_equal(text, "a??");
    clm_bench_copy_text(text, sizeof text, "123456\xC3\xBC"); /* no half of a character */
    assert_string_equal(text, "123456");
    clm_bench_copy_text(text, sizeof text, "12345\xC3\xBC");
    assert_string_equal(text, "12345\xC3\xBC");
    clm_bench_copy_text(text, sizeof text, "\xC2\x9Bx"); /* a control character of two bytes */
    assert_string_equal(text, "?x");
    clm_bench_copy_text(text, sizeof text, "");
    assert_string_equal(text, "");
}

/* As numpy.quantile([1, 2, 4, 8], part). */
static void quantiles_are_interpolated(void **state) {
    (void)state;
    const double sorted[] = {1, 2, 4, 8};
    assert_true(clm_bench_quantile(sorted, 4, 0.0) == 1.0);
    assert_true(clm_bench_quantile(sorted, 4, 0.25) == 1.75);
    assert_true(clm_bench_quantile(sorted, 4, 0.5) == 3.0);
    assert_true(clm_bench_quantile(sorted, 4, 0.75) == 5.0);
    assert_true(clm_bench_quantile(sorted, 4, 1.0) == 8.0);
    assert_true(clm_bench_quantile(sorted, 1, 0.75) == 1.0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(derived_members_are_computed),
        cmocka_unit_test(json_comes_back_as_it_was),
        cmocka_unit_test(bad_files_are_refused),
        cmocka_unit_test(too_many_are_refused),
        cmocka_unit_test(cut_files_are_refused),
        cmocka_unit_test(csv_has_a_line_for_each_result),
        cmocka_unit_test(texts_are_made_fit_to_print),
        cmocka_unit_test(quantiles_are_interpolated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
