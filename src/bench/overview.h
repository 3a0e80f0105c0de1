/* Several reports side by side: the contents of the page and the Markdown.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_BENCH_OVERVIEW_H
#define CLM_BENCH_OVERVIEW_H

#include "base/string.h"
#include "bench/bench.h"
#include "report/canvas.h"

/* As much as a readable page can show. */
enum { CLM_BENCH_COLUMNS_MOST = 32, CLM_BENCH_ROWS_MOST = 2000 };

/* A case of at least one report; rows of a group are adjacent, whole jobs before kernels. */
typedef struct clm_bench_row {
    const char *name, *parameters;  /* lent by a report */
    const clm_bench_result **cells; /* (report_count), NULL where a report does not have it; lent */
    const clm_bench_result *fastest; /* NULL with fewer than two to choose from */
    bool is_job;
    size_t group_order, order;
} clm_bench_row;

typedef struct clm_bench_overview {
    const clm_bench_report *reports; /* (report_count), lent: the columns */
    size_t report_count;
    clm_bench_row *rows; /* (row_count) */
    size_t row_count;
    const clm_bench_result **cells;    /* (row_count, report_count) */
    clm_bench_comparison *comparisons; /* (report_count), of the first report with each */
    clm_string notes;                  /* lines: differences besides the devices, and doubts */
} clm_bench_overview;

/* Errors of clm_bench_write_report(). Free with clm_bench_overview_free(), also after a failure. */
clm_status clm_bench_overview_make(clm_bench_overview *overview, const clm_bench_report *reports,
                                   size_t count);
void clm_bench_overview_free(clm_bench_overview *overview); /* fine on a zeroed one */

/* One past the last row of the group that begins with this row. */
size_t clm_bench_overview_group_end(const clm_bench_overview *overview, size_t row);

/* "A" for the first column, "AA" for the 27th. */
const char *clm_bench_label(char label[4], size_t column);

/* Adds a text through `add`, which escapes it, or its error; frees it. */
void clm_bench_add_piece(clm_string *out, clm_string *piece,
                         void (*add)(clm_string *out, const char *text));

/* "12.3 ms". */
void clm_bench_add_time(clm_string *out, double seconds);

/* A result's rate: "36.1 texts/s", "235 GFLOP/s, 81 %" of the peak, or "12.3 GB/s, 77 %" of the
 * copy; nothing if it has none. */
void clm_bench_add_rate(clm_string *out, const clm_bench_result *result);

/* "quick, 0.2 s and 7 samples a case". */
void clm_bench_add_options(clm_string *out, const clm_bench_report *report);

/* The ratio of the group that a result belongs to; NULL when a comparison has none. */
const clm_bench_group_ratio *clm_bench_find_ratio(const clm_bench_comparison *comparison,
                                                  const char *name);

/* ---- figures, each an <svg> that is added to `out` ---- */

/* Whether bars for rows [first, end) are useful: few enough rows, and at least one time. */
bool clm_bench_bars_fit(const clm_bench_overview *overview, size_t first, size_t end);

/* One bar per device for each case, with its length relative to the fastest. */
clm_status clm_bench_draw_bars(clm_string *out, const clm_bench_overview *overview, size_t first,
                               size_t end);

/* GFLOP/s over FLOP a byte, under the roofs that were measured (Williams, Waterman and Patterson:
 * Roofline: an insightful visual performance model. CACM 52(4), 2009). */
clm_status clm_bench_draw_roofline(clm_string *out, const clm_bench_report *report,
                                   const char *label);

/* Whether there is a roof and something under it. */
bool clm_bench_has_roofline(const clm_bench_report *report);

/* The whole report as text. */
clm_status clm_bench_add_page(clm_string *out, const clm_bench_overview *overview);
clm_status clm_bench_add_markdown(clm_string *out, const clm_bench_overview *overview);

#endif
