/* Any bytes as a report of clm bench: refused with a message of one line, or reports that can be
 * compared, whose numbers make sense, and that are the same when they are written and read again.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "bench/overview.h"
#include "fuzz.h"

static const char *const words[] = {"schema_version",
                                    "reports",
                                    "results",
                                    "name",
                                    "parameters",
                                    "skipped",
                                    "item",
                                    "flop",
                                    "bytes",
                                    "items",
                                    "median",
                                    "minimum",
                                    "lower_quartile",
                                    "upper_quartile",
                                    "samples",
                                    "repeats",
                                    "peak_gflops",
                                    "copy_gbytes_second",
                                    "gemm/product",
                                    "job/classify",
                                    "<script>",
                                    "<img src=x>",
                                    "&amp;",
                                    "|",
                                    "`",
                                    "\xE2\x80\xAE",
                                    NULL};
const fuzz_target fuzz_this = {FUZZ_JSON, words, 1 << 22, 4096};

static void check_report(const clm_bench_report *report) {
    clm_bench_comparison comparison;
    for (size_t i = 0; i < report->result_count; i++) {
        const clm_bench_result *result = &report->results[i];
        FUZZ_CHECK(strchr(result->name, '/') != NULL);
        FUZZ_CHECK(result->skipped[0] != '\0' || result->minimum > 0.0);
        FUZZ_CHECK(result->minimum <= result->median && result->median <= result->upper_quartile);
        FUZZ_CHECK(result->gflops >= 0.0 && result->bandwidth_share >= 0.0);
    }
    FUZZ_CHECK(clm_bench_compare(&comparison, report, report) == CLM_OK);
    FUZZ_CHECK(comparison.only_a_count == 0 && comparison.only_b_count == 0);
    for (size_t i = 0; i < comparison.group_count; i++) {
        FUZZ_CHECK(comparison.groups[i].ratio == 1.0);
    }
    clm_bench_comparison_free(&comparison);
}

/* Side by side, nothing of what was read becomes markup of its own. */
static void check_page(const clm_bench_report *reports, size_t count) {
    clm_bench_overview overview;
    clm_string page = {0};
    if (count <= CLM_BENCH_COLUMNS_MOST) {
        FUZZ_CHECK(clm_bench_overview_make(&overview, reports, count) == CLM_OK);
        FUZZ_CHECK(clm_bench_add_page(&page, &overview) == CLM_OK);
        FUZZ_CHECK(strstr(page.text, "<script") == NULL && strstr(page.text, "<img") == NULL);
        clm_string_clear(&page);
        FUZZ_CHECK(clm_bench_add_markdown(&page, &overview) == CLM_OK);
        clm_bench_overview_free(&overview);
        clm_string_free(&page);
    }
}

static char *read_back(size_t *size, const char *name) {
    char *text = NULL;
    FUZZ_CHECK(clm_file_read(fuzz_path(name), CLM_FILE_REPORT, &text, size) == CLM_OK);
    return text;
}

static void check_written(const clm_bench_report *reports, size_t count) {
    clm_bench_report *back = NULL;
    size_t back_count = 0;
    size_t first_size = 0;
    size_t second_size = 0;
    FUZZ_CHECK(clm_bench_write_json(reports, count, fuzz_path("first.json")) == CLM_OK);
    FUZZ_CHECK(clm_bench_read(&back, &back_count, fuzz_path("first.json")) == CLM_OK);
    FUZZ_CHECK(back_count == count);
    FUZZ_CHECK(clm_bench_write_json(back, count, fuzz_path("second.json")) == CLM_OK);
    char *first = read_back(&first_size, "first.json");
    char *second = read_back(&second_size, "second.json");
    FUZZ_CHECK(first_size == second_size && memcmp(first, second, first_size) == 0);
    clm_free(first);
    clm_free(second);
    clm_bench_reports_free(back, back_count);
}

void fuzz_one(const uint8_t *data, size_t size) {
    clm_bench_report *reports = NULL;
    size_t count = 0;
    clm_status status = clm_bench_parse(&reports, &count, (const char *)data, size, "fuzz");
    if (status != CLM_OK) {
        FUZZ_CHECK(reports == NULL && count == 0);
        fuzz_check_refused(status);
        return;
    }
    FUZZ_CHECK(count > 0);
    for (size_t i = 0; i < count; i++) {
        check_report(&reports[i]);
    }
    check_page(reports, count);
    check_written(reports, count);
    clm_bench_reports_free(reports, count);
}
