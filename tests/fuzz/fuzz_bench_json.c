/* Any bytes as a report of clm bench: refused with a message of one line, or reports that can be
 * compared and whose numbers make sense.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "bench/overview.h"
#include "fuzz.h"

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    clm_bench_report *reports = NULL;
    size_t count = 0;
    clm_error_clear();
    if (clm_bench_parse(&reports, &count, (const char *)data, size, "fuzz") != CLM_OK) {
        FUZZ_CHECK(reports == NULL && count == 0);
        FUZZ_CHECK(clm_error_message()[0] != '\0' && strchr(clm_error_message(), '\n') == NULL);
        return 0;
    }
    FUZZ_CHECK(count > 0);
    for (size_t i = 0; i < count; i++) {
        check_report(&reports[i]);
    }
    check_page(reports, count);
    clm_bench_reports_free(reports, count);
    return 0;
}
