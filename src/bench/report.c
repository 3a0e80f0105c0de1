/* Reports: what follows from measurements, and what they own.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/memory.h"
#include "base/string.h"
#include "bench/bench.h"

/* What is not visible, by which a name could show as another, becomes a question mark. */
void clm_bench_copy_text(char *to, size_t size, const char *from) {
    size_t length = strlen(from);
    size_t put = 0;
    for (size_t at = 0; at < length;) {
        uint32_t code_point = 0;
        const unsigned char *bytes = (const unsigned char *)from + at;
        size_t taken = clm_utf8_decode(bytes, length - at, &code_point);
        const bool plain = taken > 0 && clm_is_visible(code_point);
        const size_t needed = plain ? taken : 1;
        if (put + needed >= size) {
            break;
        }
        if (plain) {
            memcpy(to + put, bytes, taken);
        } else {
            to[put] = '?';
        }
        put += needed;
        at += taken > 0 ? taken : 1;
    }
    to[put] = '\0';
}

static double quotient(double amount, double by) {
    return by > 0.0 ? amount / by : 0.0;
}

void clm_bench_derive_result(const clm_bench_report *report, clm_bench_result *result) {
    result->gflops = quotient(result->flop * 1e-9, result->median);
    result->gbytes_second = quotient(result->bytes * 1e-9, result->median);
    result->items_second = quotient(result->items, result->median);
    result->peak_share = quotient(result->gflops, report->peak_gflops);
    result->bandwidth_share = quotient(result->gbytes_second, report->copy_gbytes_second);
}

void clm_bench_derive(clm_bench_report *report) {
    report->noisy = report->noise > report->noise_limit;
    for (size_t i = 0; i < report->result_count; i++) {
        clm_bench_derive_result(report, &report->results[i]);
    }
}

void clm_bench_report_free(clm_bench_report *report) {
    clm_free(report->results);
    *report = (clm_bench_report){0};
}

void clm_bench_reports_free(clm_bench_report *reports, size_t count) {
    for (size_t i = 0; reports != NULL && i < count; i++) {
        clm_bench_report_free(&reports[i]);
    }
    clm_free(reports);
}
