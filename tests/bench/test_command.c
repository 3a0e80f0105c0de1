/* clm bench as a person and a script use it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/file.h"
#include "base/memory.h"
#include "support/test_command.h"

/* A case that takes moments on any device. */
#define SMALL "bench", "--quick", "--seconds", "0.05", "--samples", "3"

static int need_device(void **state) {
    (void)state;
    if (run_clm("devices").status != 0 && getenv("CLM_DEMAND_DEVICES") == NULL) {
        print_message("skipped: no OpenCL device\n");
        exit(77);
    }
    return 0;
}

/* Freed by the caller. */
static char *read_text(const char *path) {
    char *text = NULL;
    size_t size = 0;
    assert_ok(clm_file_read(path, CLM_FILE_TEXT, &text, &size));
    return text;
}

static cJSON *read_json(const char *name) {
    char *text = read_text(clm_test_path(name));
    cJSON *json = cJSON_ParseWithOpts(text, NULL, true);
    clm_free(text);
    assert_non_null(json);
    return json;
}

static const char *string_of(const cJSON *object, const char *name) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    if (!cJSON_IsString(item)) {
        fail_msg("there is no text \"%s\"", name);
    }
    return item->valuestring;
}

static double number_of(const cJSON *object, const char *name) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    if (!cJSON_IsNumber(item)) {
        fail_msg("there is no number \"%s\"", name);
    }
    return item->valuedouble;
}

/* The schema as others read it, not by clm's own reader. */
static void check_report(const cJSON *report, const char *device) {
    const cJSON *results = cJSON_GetObjectItem(report, "results");
    assert_string_equal(string_of(report, "program"), "clm");
    assert_string_equal(string_of(report, "program_version"), clm_version());
    assert_string_equal(string_of(report, "device"), device);
    assert_true(strlen(string_of(report, "driver")) > 0);
    assert_true(number_of(report, "peak_gflops") > 0.0);
    assert_true(number_of(report, "copy_gbytes_second") > 0.0);
    assert_true(cJSON_IsBool(cJSON_GetObjectItem(report, "noisy")));
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(report, "quick")));
    assert_true(number_of(report, "seconds") == 0.05);
    assert_int_equal(cJSON_GetArraySize(results), 2);
    const cJSON *result = cJSON_GetArrayItem(results, 0);
    assert_string_equal(string_of(result, "name"), "layernorm/forward");
    assert_string_equal(string_of(result, "parameters"), "rows=960 C=768");
    assert_string_equal(string_of(result, "skipped"), "");
    assert_true(number_of(result, "samples") >= 1.0);
    const double median = number_of(result, "median");
    assert_true(median > 0.0 && number_of(result, "minimum") <= median);
    assert_close(number_of(result, "gbytes_second") * median * 1e9, number_of(result, "bytes"), 0.0,
                 1e-12); /* two roundings */
    assert_string_equal(string_of(cJSON_GetArrayItem(results, 1), "name"), "embedding/forward");
}

static void every_device_is_measured(void **state) {
    (void)state;
    clm_test_outcome listed = run_clm("devices", "--json");
    assert_done(listed);
    cJSON *devices = cJSON_Parse(listed.output);
    clm_test_outcome outcome = run_clm(SMALL, "--all", "--json", "all.json", "--csv", "all.csv",
                                       "layernorm/forward", "embedding/forward");
    assert_done(outcome);
    assert_has(outcome.output, "layernorm/forward          rows=960 C=768    ");
    assert_has(outcome.output, "GFLOP/s");
    cJSON *json = read_json("all.json");
    assert_string_equal(string_of(json, "schema"), "clm-bench");
    assert_true(number_of(json, "schema_version") == 1.0);
    const cJSON *reports = cJSON_GetObjectItem(json, "reports");
    assert_int_equal(cJSON_GetArraySize(reports), cJSON_GetArraySize(devices));
    for (int i = 0; i < cJSON_GetArraySize(devices); i++) {
        check_report(cJSON_GetArrayItem(reports, i),
                     string_of(cJSON_GetArrayItem(devices, i), "name"));
    }
    char *csv = NULL;
    size_t size = 0;
    int lines = 0;
    assert_ok(clm_file_read(clm_test_path("all.csv"), CLM_FILE_TEXT, &csv, &size));
    for (size_t i = 0; i < size; i++) {
        lines += csv[i] == '\n';
    }
    assert_int_equal(lines, 1 + 2 * cJSON_GetArraySize(devices));
    clm_free(csv);
    cJSON_Delete(json);
    cJSON_Delete(devices);
}

/* A report of one case. */
#define REPORT(device, name, median)                                                              \
    "{\"program\":\"p\",\"program_version\":\"1\",\"date\":\"d\",\"device\":\"" device            \
    "\",\"vendor\":\"\",\"platform\":\"\",\"driver\":\"\",\"device_version\":\"\",\"type\":\"\"," \
    "\"model\":\"\",\"gemm\":\"\",\"seconds\":1,\"peak_gflops\":1,\"copy_gbytes_second\":1,"      \
    "\"noise\":0,\"noise_limit\":0.1,\"compute_units\":1,\"least_samples\":1,\"quick\":false,"    \
    "\"results\":[{\"name\":\"" name                                                              \
    "\",\"parameters\":\"x\",\"skipped\":\"\",\"item\":\"\","                                     \
    "\"flop\":0,\"bytes\":0,\"items\":0,\"median\":" median ",\"minimum\":" median                \
    ",\"lower_quartile\":" median ",\"upper_quartile\":" median ",\"samples\":1,\"repeats\":1}]}"
#define FILE_OF(reports) "{\"schema\":\"clm-bench\",\"schema_version\":1,\"reports\":[" reports "]}"

static void write_text(const char *name, const char *text) {
    clm_test_write(clm_test_path(name), text, strlen(text));
}

static void two_files_are_compared(void **state) {
    (void)state;
    write_text("a.json", FILE_OF(REPORT("one", "gemm/qkv", "0.003")));
    write_text("b.json", FILE_OF(REPORT("another", "gemm/qkv", "0.002")));
    write_text("c.json", FILE_OF(REPORT("one", "gelu/forward", "0.002")));
    clm_test_outcome outcome = run_clm("bench", "--compare", "a.json", "b.json");
    assert_done(outcome);
    assert_has(outcome.output, "A: p 1, one, d\nB: p 1, another, d\n");
    assert_has(outcome.output, "  3.00 ms   2.00 ms   1.500\n");
    assert_has(outcome.output, "gemm           1.500  over 1 case\n");
    outcome = run_clm("bench", "--compare", "a.json", "c.json");
    assert_done(outcome);
    assert_has(outcome.output, "only in A: gemm/qkv x\nonly in B: gelu/forward x\n");
    /* Several devices find their own. */
    write_text("d.json",
               FILE_OF(REPORT("another", "gemm/qkv", "1") "," REPORT("one", "gemm/qkv", "0.003")));
    write_text("e.json",
               FILE_OF(REPORT("one", "gemm/qkv", "0.001") "," REPORT("third", "gemm/qkv", "1")));
    outcome = run_clm("bench", "--compare", "d.json", "e.json");
    assert_done(outcome);
    assert_has(outcome.output, "only in A: the device another\n");
    assert_has(outcome.output, "3.000\n");
    assert_has(outcome.output, "only in B: the device third\n");
}

static void files_become_a_page(void **state) {
    (void)state;
    write_text("a.json", FILE_OF(REPORT("one", "gemm/qkv", "0.003")));
    write_text("b.json", FILE_OF(REPORT("two <b>", "gemm/qkv", "0.002") "," REPORT(
                             "three", "gelu/forward", "1")));
    assert_done(run_clm("bench", "--report", "out.html", "a.json", "b.json"));
    char *page = read_text(clm_test_path("out.html"));
    assert_has(page, "<!DOCTYPE html>");
    assert_has(page, ">two &lt;b&gt;<");
    assert_has(page, ">C</span>");
    clm_free(page);
    assert_done(run_clm("bench", "a.json", "b.json", "--report=out.md"));
    char *tables = read_text(clm_test_path("out.md"));
    assert_has(tables, "| gemm/qkv | x | 3.00 ms | **2.00 ms** | not measured |\n");
    clm_free(tables);
    assert_fails(run_clm("bench", "--report", "out.html"), 2, "takes the JSON files");
    assert_fails(run_clm("bench", "--report", "out.pdf", "a.json"), 2, "\"out.pdf\"");
    assert_fails(run_clm("bench", "--report", ".md", "a.json"), 2, "\".md\"");
    assert_fails(run_clm("bench", "--report", "out.md", "a.json", "--all"), 2,
                 "exclude each other");
    assert_fails(run_clm("bench", "--report", "none.html", "a.json", "out.md"), 3, "out.md",
                 "not valid JSON");
    assert_fails(run_clm("bench", "--report", "none.html", "none.json"), 3, "none.json");
    assert_fails(run_clm("bench", "--report", "no/such/none.html", "a.json"), 3, "no/such");
    write_text("later.json", "{\"schema\":\"clm-bench\",\"schema_version\":2,\"reports\":[]}");
    assert_fails(run_clm("bench", "--report", "none.html", "later.json"), 3, "later.json",
                 "version 2");
    assert_false(clm_file_exists(clm_test_path("none.html")));
}

/* examples/bench-results/tables.md shows what this clm makes of the files beside it. */
static void the_examples_are_up_to_date(void **state) {
    (void)state;
    char *pocl = NULL;
    char *rusticl = NULL;
    assert_ok(clm_duplicate(&pocl, clm_test_source("../examples/bench-results/pocl.json")));
    assert_ok(clm_duplicate(&rusticl, clm_test_source("../examples/bench-results/rusticl.json")));
    assert_done(run_clm("bench", "--report", "examples.md", pocl, rusticl));
    char *made = read_text(clm_test_path("examples.md"));
    char *kept = read_text(clm_test_source("../examples/bench-results/tables.md"));
    assert_string_equal(made, kept);
    clm_free(made);
    clm_free(kept);
    clm_free(pocl);
    clm_free(rusticl);
}

static void bad_files_are_status_3(void **state) {
    (void)state;
    write_text("a.json", FILE_OF(REPORT("one", "gemm/qkv", "0.003")));
    write_text("bad.json", FILE_OF(REPORT("one", "gemm/qkv", "-1")));
    assert_fails(run_clm("bench", "--compare", "a.json", "bad.json"), 3, "bad.json: report 1",
                 "\"median\" is negative");
    assert_fails(run_clm("bench", "--compare", "none.json", "a.json"), 3, "none.json");
    assert_fails(run_clm(SMALL, "layernorm/forward", "--json", "no/such/folder"), 3, "no/such");
}

static void the_list_names_what_runs(void **state) {
    (void)state;
    clm_test_outcome outcome = run_clm("bench", "--list");
    assert_done(outcome);
    assert_has(outcome.output, "gemm/qkv                   M=960 N=2304 K=768           quick\n");
    assert_has(outcome.output, "attention/backward         B=8 T=1024");
}

static void ctrl_c_ends_it(void **state) {
    (void)state;
    static const int signals[] = {SIGINT, SIGTERM};
    const clm_test_surroundings around = {.output = "table.txt"};
    const char *const arguments[] = {"bench", "layernorm", "--json", "stopped.json", NULL};
    for (size_t i = 0; i < 2; i++) {
        (void)remove(clm_test_path("table.txt"));
        const pid_t child = clm_test_start(&around, arguments);
        assert_true(clm_test_wait_for_file(child, "table.txt", 100));
        (void)kill(child, signals[i]);
        assert_fails(clm_test_wait(child), 130, "interrupted");
        assert_false(clm_file_exists(clm_test_path("stopped.json")));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_device_is_measured), cmocka_unit_test(two_files_are_compared),
        cmocka_unit_test(files_become_a_page),      cmocka_unit_test(the_examples_are_up_to_date),
        cmocka_unit_test(bad_files_are_status_3),   cmocka_unit_test(the_list_names_what_runs),
        cmocka_unit_test(ctrl_c_ends_it),
    };
    return cmocka_run_group_tests(tests, need_device, NULL);
}
