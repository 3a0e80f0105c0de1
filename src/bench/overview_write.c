/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "bench/overview.h"

clm_status clm_bench_write_report(const clm_bench_report *reports, size_t count,
                                  clm_bench_format format, const char *path) {
    clm_bench_overview overview = {0};
    clm_string out = {0};
    clm_status status = CLM_OK;
    CLM_TRY(clm_bench_overview_make(&overview, reports, count));
    CLM_TRY(format == CLM_BENCH_HTML ? clm_bench_add_page(&out, &overview)
                                     : clm_bench_add_markdown(&out, &overview));
    CLM_TRY(clm_string_status(&out));
    CLM_TRY(clm_file_write(path, out.text, out.length));
cleanup:
    clm_bench_overview_free(&overview);
    clm_string_free(&out);
    return status;
}
