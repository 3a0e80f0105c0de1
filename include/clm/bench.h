/* How fast clm is on a device: kernels in GPT-2's shapes and whole jobs, measured, written down,
 * read back and compared.
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

/* The schema of the JSON files. The version grows when a reader of the last one would misread.
 *
 *   {"schema": "clm-bench", "schema_version": 1, "reports": [REPORT, ...]}
 *
 * A REPORT has the members of clm_bench_report by their names, each with the meaning and the unit
 * that stand there, and "results": [RESULT, ...] with those of clm_bench_result. All must be there,
 * except what follows from others (gflops, gbytes_second, items_second, peak_share,
 * bandwidth_share, noisy), which is written for other readers and computed again when read. Strings
 * are at most as long as the arrays here, less one byte; numbers are not negative, finite, and 0 or
 * between 1e-20 and 1e24. A file has 1 to CLM_BENCH_REPORTS_MOST reports, one a device or run, each
 * with up to CLM_BENCH_RESULTS_MOST results. Other members are ignored. */
#define CLM_BENCH_SCHEMA "clm-bench"
#define CLM_BENCH_SCHEMA_VERSION 1
#define CLM_BENCH_REPORTS_MOST 64
#define CLM_BENCH_RESULTS_MOST 4096

/* One case: what was run, and how long it took. Name and parameters together say which case it is;
 * reports of different devices and programs are compared by them. Texts are UTF-8 without control
 * characters and changes of direction. */
typedef struct clm_bench_result {
    char name[48];       /* "gemm/qkv"; what stands before the '/' is its group */
    char parameters[64]; /* "M=960 N=2304 K=768"; may be empty */
    /* Why there are no times: the device has too little memory, or would take too long. Empty when
     * there are; seconds and rates are 0 otherwise. */
    char skipped[320];

    /* The work of one repeat. flop: a multiply-add counts two; what an implementation that leaves
     * out no part of the result must compute. bytes: each input read and each output written once,
     * as 32-bit floats unless the case's name says otherwise ("-f16"). items: what a user counts
     * ("texts", "tokens"). 0 where it says nothing. */
    double flop, bytes, items;
    char item[16]; /* plural; empty with items 0 */

    /* Seconds of one repeat over the samples. A sample is the wall clock around `repeats` of them,
     * enqueued one after the other and waited for once, divided by `repeats`. */
    double median, minimum, lower_quartile, upper_quartile;
    int samples, repeats;

    /* What follows from the above and the report's peak and bandwidth; 0 where it says nothing.
     * Inputs that fit a cache may move faster than a copy that does not. */
    double gflops, gbytes_second, items_second;
    double peak_share, bandwidth_share;
} clm_bench_result;

/* All that was measured in one run on one device. */
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

    /* The device's limits, measured at the start; 0: not measured. Multiply-adds of 32-bit floats
     * on registers; a copy of up to 256 MiB, bytes read plus bytes written. */
    double peak_gflops, copy_gbytes_second;

    /* The same two were measured again between groups and at the end. noise is the largest
     * difference, relative to the larger, between any two measurements of one of them. */
    double noise, noise_limit;
    bool noisy; /* noise is above the limit: something else ran, or the device changed its clock */

    clm_bench_result *results; /* (result_count), owned */
    size_t result_count;
} clm_bench_report;

typedef struct clm_bench_options {
    /* Groups ("gemm") and cases ("gemm/qkv") to run, in any order; none: all. */
    const char *const *names;
    size_t name_count;
    bool quick;        /* fewer cases, a smaller model, less time for each */
    double seconds;    /* of sampling for a case; 0: 1, or 0.2 when quick */
    int samples;       /* of a case at least, while they fit into ten times `seconds`; 0: 7 */
    const char *model; /* what clm_model_open() takes; NULL: random weights of GPT-2 with 124M
                          parameters, or a small one when quick */
    /* Hears of each case as it is done, and before the first, with `result` NULL, of the device and
     * its limits. `report` is not whole yet. May be NULL. */
    void (*on_result)(void *context, const clm_bench_report *report,
                      const clm_bench_result *result);
    /* Asked after each sample; true ends the run. May be NULL. */
    bool (*should_stop)(void *context);
    void *context;
} clm_bench_options;

#define CLM_BENCH_OPTIONS_DEFAULT \
    { NULL, 0, false, 0.0, 0, NULL, NULL, NULL, NULL }

/* What clm_bench_run() knows. `quick`: whether it is also run with that option. The parameters of
 * jobs depend on the model and are not told here. */
typedef struct clm_bench_case {
    char name[48];
    char parameters[64];
    bool quick;
} clm_bench_case;

/* All cases in the order in which they run, through *cases, which the caller frees with
 * clm_bench_cases_free(). A name comes once for each of its parameters. CLM_ERROR_MEMORY. */
CLM_API clm_status clm_bench_list(clm_bench_case **cases, size_t *count);
CLM_API void clm_bench_cases_free(clm_bench_case *cases); /* NULL is fine */

/* Whether the names are there and the numbers can be: else CLM_ERROR_ARGUMENT, which tells the
 * groups that there are, or the cases of the group asked for. Needs no device. CLM_ERROR_MEMORY. */
CLM_API clm_status clm_bench_check(const clm_bench_options *options);

/* Runs cases on `device`, which must be idle, and fills *report; the caller frees it with
 * clm_bench_report_free(), also after a failure. `options` may be NULL. Each case runs once before
 * it is timed, so no compilation is counted. A case that the device has no memory for, or that its
 * measured limits say would take more than ten times `seconds` for each repeat, is skipped and says
 * so. Jobs keep a random model in the cache folder for a while (half a GB for 124M parameters); a
 * run that was killed leaves it to the next.
 *
 * Errors of clm_bench_check(); CLM_ERROR_INTERRUPTED when should_stop said so; errors of
 * clm_model_open() and of the device; CLM_ERROR_MEMORY. Blocks; minutes on a processor. */
CLM_API clm_status clm_bench_run(clm_bench_report *report, clm_device *device,
                                 const clm_bench_options *options);
CLM_API void clm_bench_report_free(clm_bench_report *report); /* fine on a zeroed one */

/* Computes what follows from a report's measurements (rates, shares, `noisy`). The calls here that
 * fill reports have done it. */
CLM_API void clm_bench_derive(clm_bench_report *report);

/* Writes reports (count) as JSON, for clm_bench_read(), or as CSV (RFC 4180 with ends of lines as
 * "\n"; a header, then a line for each result of each report; times in seconds, what says nothing
 * is empty). The file appears whole or not at all. CLM_ERROR_IO, CLM_ERROR_NO_SPACE,
 * CLM_ERROR_MEMORY. */
CLM_API clm_status clm_bench_write_json(const clm_bench_report *reports, size_t count,
                                        const char *path);
CLM_API clm_status clm_bench_write_csv(const clm_bench_report *reports, size_t count,
                                       const char *path);

/* Reads such a JSON file through *reports (*count of them, at least 1), which the caller frees with
 * clm_bench_reports_free(). Members that the schema does not have are ignored; what it has must be
 * there, of its type, and possible: names and times that cannot be, a case that comes twice in a
 * report, and another version of the schema are CLM_ERROR_FORMAT. The message names the file and
 * the place. CLM_ERROR_NOT_FOUND, CLM_ERROR_IO, CLM_ERROR_MEMORY. */
CLM_API clm_status clm_bench_read(clm_bench_report **reports, size_t *count, const char *path);
CLM_API void clm_bench_reports_free(clm_bench_report *reports, size_t count); /* NULL is fine */

typedef enum clm_bench_format { CLM_BENCH_HTML, CLM_BENCH_MARKDOWN } clm_bench_format;

/* Writes reports (count, 1 to 32: one a column) side by side, for people: as one HTML page that
 * needs nothing else (tables, bars, a roofline for each device; it has no script, and texts of the
 * reports cannot become markup), or as Markdown tables. Cases are rows, also those that some
 * reports do not have. The same reports give the same bytes. The file appears whole or not at all.
 * CLM_ERROR_ARGUMENT for a number of reports that does not fit; CLM_ERROR_FORMAT when they have
 * over 2000 different cases; CLM_ERROR_IO, CLM_ERROR_NO_SPACE, CLM_ERROR_MEMORY. */
CLM_API clm_status clm_bench_write_report(const clm_bench_report *reports, size_t count,
                                          clm_bench_format format, const char *path);

/* A case that two reports have. */
typedef struct clm_bench_pair {
    const clm_bench_result *a, *b; /* lent by the reports */
    double ratio;                  /* median seconds of a over those of b: above 1, b is faster */
    bool overlap;                  /* the ranges between their quartiles meet: may be chance */
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
    const clm_bench_result **only_a; /* without times in b, or not there */
    size_t only_a_count;
    const clm_bench_result **only_b;
    size_t only_b_count;
} clm_bench_comparison;

/* Pairs the cases of two reports by name and parameters; skipped ones count as not there. The
 * caller frees *comparison with clm_bench_comparison_free(), also after a failure.
 * CLM_ERROR_MEMORY. */
CLM_API clm_status clm_bench_compare(clm_bench_comparison *comparison, const clm_bench_report *a,
                                     const clm_bench_report *b);
CLM_API void clm_bench_comparison_free(clm_bench_comparison *comparison); /* fine on zeroed ones */

#ifdef __cplusplus
}
#endif
#endif
