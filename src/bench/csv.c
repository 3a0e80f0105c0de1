/* Reports as a table of comma-separated values, one line a result.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "data/csv.h"

#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "bench/bench.h"

static void add_text(clm_string *out, const char *text) {
    clm_csv_add_field(out, text, strlen(text));
    clm_string_add(out, ",");
}

/* Nothing for what says nothing. */
static void add_number(clm_string *out, double value) {
    if (value != 0.0) {
        clm_json_add_double(out, value);
    }
    clm_string_add(out, ",");
}

static void add_result(clm_string *out, const clm_bench_report *report,
                       const clm_bench_result *result) {
    const char *const texts[] = {report->program, report->program_version, report->date,
                                 report->device,  report->platform,        report->driver,
                                 result->name,    result->parameters};
    const double numbers[] = {(double)result->samples,
                              (double)result->repeats,
                              result->median,
                              result->minimum,
                              result->lower_quartile,
                              result->upper_quartile,
                              result->flop,
                              result->bytes,
                              result->items,
                              result->gflops,
                              result->gbytes_second,
                              result->items_second,
                              result->peak_share,
                              result->bandwidth_share,
                              report->peak_gflops,
                              report->copy_gbytes_second};
    clm_string_add_format(out, "%s %d,", CLM_BENCH_SCHEMA, CLM_BENCH_SCHEMA_VERSION);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        add_text(out, texts[i]);
    }
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        add_number(out, numbers[i]);
    }
    add_text(out, result->item);
    add_text(out, report->noisy ? "true" : "false");
    clm_csv_add_field(out, result->skipped, strlen(result->skipped));
    clm_string_add(out, "\n");
}

clm_status clm_bench_write_csv(const clm_bench_report *reports, size_t count, const char *path) {
    clm_string out = {0};
    clm_status status = CLM_OK;
    clm_string_add(&out,
                   "schema,program,program_version,date,device,platform,driver,name,parameters,"
                   "samples,repeats,median,minimum,lower_quartile,upper_quartile,flop,bytes,items,"
                   "gflops,gbytes_second,items_second,peak_share,bandwidth_share,peak_gflops,"
                   "copy_gbytes_second,item,noisy,skipped\n");
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < reports[i].result_count; k++) {
            add_result(&out, &reports[i], &reports[i].results[k]);
        }
    }
    CLM_TRY(clm_string_status(&out));
    CLM_TRY(clm_file_write(path, out.text, out.length));
cleanup:
    clm_string_free(&out);
    return status;
}
