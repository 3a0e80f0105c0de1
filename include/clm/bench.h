/* Benchmarks: how fast clm is on a device. Kernels in GPT-2's shapes and whole jobs are measured;
 * reports are written, read and compared.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_BENCH_H
#define CLM_BENCH_H

#include <stdbool.h>
#include <stddef.h>

#include "clm/device.h"
#include "clm/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The schema of the JSON files. The version grows when a reader of the previous one would misread
 * the file.
 *
 *   {"schema": "clm-bench", "schema_version": 1, "reports": [REPORT, ...]}
 *
 * A REPORT has the members of clm_bench_report by name, with the meanings and units given there,
 * and "results": [RESULT, ...] with the members of clm_bench_result. All must be present except the
 * derived ones (gflops, gbytes_second, items_second, peak_share, bandwidth_share, noisy), which are
 * written for other programs and computed again when read. Strings are at most as long as the
 * arrays here, less one byte; numbers are finite, not negative, and 0 or between 1e-20 and 1e24. A
 * file has 1 to CLM_BENCH_REPORTS_MOST reports, one per device or run, each with up to
 * CLM_BENCH_RESULTS_MOST results. Other members are ignored. */
#define CLM_BENCH_SCHEMA "clm-bench"
#define CLM_BENCH_SCHEMA_VERSION 1
#define CLM_BENCH_REPORTS_MOST 64
#define CLM_BENCH_RESULTS_MOST 4096

/* One case: what was run, and how long it took. Name and parameters together identify the case,
 * also between reports of different devices and programs. Texts are UTF-8 without control
 * characters or changes of direction. */
typedef struct clm_bench_result {
    char name[48];       /* "gemm/qkv"; the part before the '/' is its group */
    char parameters[64]; /* "M=960 N=2304 K=768"; may be empty */
    /* Why there are no times: the device has too little memory, or would take too long. Then
     * seconds and rates are 0. Empty for a case that ran. */
    char skipped[320];

    /* The work of one repeat. flop: what an implementation must compute for the whole result; a
     * multiply-add counts as two. bytes: each input read once and each output written once, as
     * 32-bit floats unless the case's name says otherwise ("-f16"). items: what a user counts
     * ("texts", "tokens"). 0 where it does not apply. */
    double flop, bytes, items;
    char item[16]; /* plural; empty with items 0 */

    /* Seconds per repeat, over the samples. A sample is the wall time of `repeats` repeats,
     * enqueued one after the other and waited for once, divided by `repeats`. */
    double median, minimum, lower_quartile, upper_quartile;
    int samples, repeats;

    /* Derived from the above and the report's peak and bandwidth; 0 where it does not apply. Inputs
     * that fit in a cache may move faster than a copy that does not. */
    double gflops, gbytes_second, items_second;
    double peak_share, bandwidth_share;
} clm_bench_result;

/* The measurements of one run on one device. */
typedef struct clm_bench_report {
    char program[16]; /* "clm"; other programs may write the same schema */
    char program_version[96];
    char date[32]; /* of the start, UTC, "2026-11-21T04:30:00Z" */

    /* As in clm_device_info. */
    char device[256];
    char vendor[128];
    char platform[128];
    char driver[128];
    char device_version[128];
    char type[16];
    int compute_units;

    /* The options. */
    bool quick;
    double seconds;
    int least_samples;
    char model[256];
    char gemm[16]; /* the backend that serves clm_gemm; empty where there is no choice */

    /* The device's limits, measured at the start; 0: not measured. The peak is that of
     * multiply-adds of 32-bit floats in registers; the copy moves up to 256 MiB and counts bytes
     * read plus bytes written. */
    double peak_gflops, copy_gbytes_second;

    /* Both limits are measured again between groups and at the end. noise is the largest difference
     * between any two measurements of one limit, relative to the larger. */
    double noise, noise_limit;
    bool noisy; /* noise above the limit: another program ran, or the device changed its clock */

    clm_bench_result *results; /* (result_count), owned */
    size_t result_count;
} clm_bench_report;

typedef struct clm_bench_options {
    /* Groups ("gemm") and cases ("gemm/qkv") to run, in any order; none: all. */
    const char *const *names;
    size_t name_count;
    bool quick;        /* fewer cases, a smaller model, less time for each */
    double seconds;    /* of sampling per case; 0: 1, or 0.2 when quick */
    int samples;       /* least per case, while they fit into ten times `seconds`; 0: 7 */
    const char *model; /* as for clm_model_open(); NULL: random weights of GPT-2 with 124M
                          parameters, or a small one when quick */
    /* Called after each case, and once before the first with `result` NULL, when the device and its
     * limits are known. `report` is not complete yet. May be NULL. */
    void (*on_result)(void *context, const clm_bench_report *report,
                      const clm_bench_result *result);
    /* Called after each sample; true ends the run. May be NULL. */
    bool (*should_stop)(void *context);
    void *context;
} clm_bench_options;

#define CLM_BENCH_OPTIONS_DEFAULT \
    { NULL, 0, false, 0.0, 0, NULL, NULL, NULL, NULL }

/* A case that clm_bench_run() can run. `quick`: whether it also runs with that option. The
 * parameters of jobs depend on the model and are left out here. */
typedef struct clm_bench_case {
    char name[48];
    char parameters[64];
    bool quick;
} clm_bench_case;

/* All cases in the order in which they run, through *cases, which the caller frees with
 * clm_bench_cases_free(). A name appears once for each of its parameters. CLM_ERROR_MEMORY. */
CLM_API clm_status clm_bench_list(clm_bench_case **cases, size_t *count);
CLM_API void clm_bench_cases_free(clm_bench_case *cases); /* NULL is fine */

/* Checks that the names exist and the numbers are valid. CLM_ERROR_ARGUMENT otherwise, listing the
 * groups, or the cases of the given group. Needs no device. CLM_ERROR_MEMORY. */
CLM_API clm_status clm_bench_check(const clm_bench_options *options);

/* Runs cases on `device`, which must be idle, and fills *report; the caller frees it with
 * clm_bench_report_free(), also after a failure. `options` may be NULL. Each case runs once before
 * it is timed, so compilation is not counted. A case is skipped, with the reason, if the device has
 * too little memory for it or if, by its measured limits, a repeat would take more than ten times
 * `seconds`. Jobs keep a random model in the cache folder while they run (half a GB for 124M
 * parameters); if a run is killed, the next one removes it.
 *
 * Errors of clm_bench_check(); CLM_ERROR_INTERRUPTED when should_stop() returned true; errors of
 * clm_model_open() and of the device; CLM_ERROR_MEMORY. Blocks, for minutes on a CPU. */
CLM_API clm_status clm_bench_run(clm_bench_report *report, clm_device *device,
                                 const clm_bench_options *options);
CLM_API void clm_bench_report_free(clm_bench_report *report); /* fine on a zeroed one */

/* Computes the derived members of a report (rates, shares, `noisy`). The calls here that fill
 * reports do this themselves. */
CLM_API void clm_bench_derive(clm_bench_report *report);

/* Writes reports (count) as JSON, for clm_bench_read(), or as CSV (RFC 4180 with "\n" line ends; a
 * header, then a line for each result of each report; times in seconds; values that do not apply
 * are empty). The file appears whole or not at all. CLM_ERROR_IO, CLM_ERROR_NO_SPACE,
 * CLM_ERROR_MEMORY. */
CLM_API clm_status clm_bench_write_json(const clm_bench_report *reports, size_t count,
                                        const char *path);
CLM_API clm_status clm_bench_write_csv(const clm_bench_report *reports, size_t count,
                                       const char *path);

/* Reads such a JSON file through *reports (*count of them, at least 1), which the caller frees with
 * clm_bench_reports_free(). Members outside the schema are ignored; those of the schema must be
 * present, of the right type, and valid: impossible names or times, a case that appears twice in a
 * report, and another version of the schema are CLM_ERROR_FORMAT. The message names the file and
 * the place. CLM_ERROR_NOT_FOUND, CLM_ERROR_IO, CLM_ERROR_MEMORY. */
CLM_API clm_status clm_bench_read(clm_bench_report **reports, size_t *count, const char *path);
CLM_API void clm_bench_reports_free(clm_bench_report *reports, size_t count); /* NULL is fine */

typedef enum clm_bench_format { CLM_BENCH_HTML, CLM_BENCH_MARKDOWN } clm_bench_format;

/* Writes reports (count, 1 to 32: one per column) side by side, for people: as one self-contained
 * HTML page (tables, bars, a roofline for each device; it has no script, and texts of the reports
 * cannot become markup), or as Markdown tables. Each case is a row, even if some reports lack it.
 * The same reports give the same bytes. The file appears whole or not at all. CLM_ERROR_ARGUMENT
 * for another number of reports; CLM_ERROR_FORMAT when they have over 2000 different cases;
 * CLM_ERROR_IO, CLM_ERROR_NO_SPACE, CLM_ERROR_MEMORY. */
CLM_API clm_status clm_bench_write_report(const clm_bench_report *reports, size_t count,
                                          clm_bench_format format, const char *path);

/* A case that two reports have. */
typedef struct clm_bench_pair {
    const clm_bench_result *a, *b; /* lent by the reports */
    double ratio;                  /* median seconds of a / those of b: above 1, b is faster */
    bool overlap;                  /* the ranges between their quartiles overlap: may be chance */
} clm_bench_pair;

typedef struct clm_bench_group_ratio {
    char group[48];
    double ratio; /* geometric mean of its pairs' */
    size_t count;
} clm_bench_group_ratio;

/* Arrays are owned by the comparison; the results they point to by the reports. */
typedef struct clm_bench_comparison {
    clm_bench_pair *pairs; /* in the order of a */
    size_t pair_count;
    clm_bench_group_ratio *groups; /* in the order of a, those with pairs */
    size_t group_count;
    const clm_bench_result **only_a; /* without times in b, or missing there */
    size_t only_a_count;
    const clm_bench_result **only_b;
    size_t only_b_count;
} clm_bench_comparison;

/* Pairs the cases of two reports by name and parameters; skipped ones count as missing. The caller
 * frees *comparison with clm_bench_comparison_free(), also after a failure. CLM_ERROR_MEMORY. */
CLM_API clm_status clm_bench_compare(clm_bench_comparison *comparison, const clm_bench_report *a,
                                     const clm_bench_report *b);
CLM_API void clm_bench_comparison_free(clm_bench_comparison *comparison); /* fine on zeroed ones */

#ifdef __cplusplus
}
#endif
#endif
