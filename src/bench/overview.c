/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/overview.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/memory.h"
#include "report/number.h"

/* ---- rows ---- */

/* A result and where it stands. */
typedef struct cell {
    const clm_bench_result *result;
    size_t column;
    size_t order; /* of all results of all reports */
} cell;

static int compare_cases(const clm_bench_result *a, const clm_bench_result *b) {
    const int names = strcmp(a->name, b->name);
    return names != 0 ? names : strcmp(a->parameters, b->parameters);
}

static int compare_cells(const void *a, const void *b) {
    const cell *const left = a;
    const cell *const right = b;
    const int cases = compare_cases(left->result, right->result);
    return cases != 0 ? cases : (left->order > right->order) - (left->order < right->order);
}

static int compare_rows(const void *a, const void *b) {
    const clm_bench_row *const left = a;
    const clm_bench_row *const right = b;
    if (left->group_order != right->group_order) {
        return left->group_order < right->group_order ? -1 : 1;
    }
    return (left->order > right->order) - (left->order < right->order);
}

static bool is_same_group(const char *a, const char *b) {
    const size_t length = clm_bench_group_length(a);
    return strncmp(a, b, length) == 0 && b[length] == '/';
}

size_t clm_bench_overview_group_end(const clm_bench_overview *overview, size_t row) {
    size_t end = row + 1;
    while (end < overview->row_count &&
           is_same_group(overview->rows[row].name, overview->rows[end].name)) {
        end++;
    }
    return end;
}

static void find_fastest(clm_bench_row *row, size_t columns) {
    size_t timed = 0;
    for (size_t i = 0; i < columns; i++) {
        const clm_bench_result *result = row->cells[i];
        if (result != NULL && result->skipped[0] == '\0') {
            timed++;
            if (row->fastest == NULL || result->median < row->fastest->median) {
                row->fastest = result;
            }
        }
    }
    row->fastest = timed > 1 ? row->fastest : NULL;
}

/* Groups in the order in which they first come, those with a job before all others. */
static void order_groups(clm_bench_overview *o, size_t all) {
    for (size_t first = 0; first < o->row_count;) {
        const size_t end = clm_bench_overview_group_end(o, first);
        size_t order = all;
        bool has_job = false;
        for (size_t i = first; i < end; i++) {
            order = o->rows[i].order < order ? o->rows[i].order : order;
            has_job = has_job || o->rows[i].is_job;
        }
        for (size_t i = first; i < end; i++) {
            o->rows[i].group_order = has_job ? order : all + order;
        }
        first = end;
    }
}

/* Sorted by name, cells of a case and cases of a group are neighbours. */
static clm_status make_rows(clm_bench_overview *o, const cell *sorted, size_t count) {
    clm_status status = CLM_OK;
    size_t rows = 0;
    for (size_t i = 0; i < count; i++) {
        rows += i == 0 || compare_cases(sorted[i - 1].result, sorted[i].result) != 0;
    }
    if (rows > CLM_BENCH_ROWS_MOST) {
        return clm_fail(CLM_ERROR_FORMAT, "the reports have %zu cases; one page shows up to %d",
                        rows, CLM_BENCH_ROWS_MOST);
    }
    CLM_TRY(clm_allocate(&o->rows, rows, sizeof *o->rows, "a report of benchmarks"));
    CLM_TRY(clm_allocate(&o->cells, rows * o->report_count, sizeof(clm_bench_result *),
                         "a report of benchmarks"));
    clm_bench_row *row = NULL;
    for (size_t i = 0; i < count; i++) {
        const clm_bench_result *result = sorted[i].result;
        if (i == 0 || compare_cases(sorted[i - 1].result, result) != 0) {
            row = &o->rows[o->row_count];
            *row = (clm_bench_row){.name = result->name,
                                   .parameters = result->parameters,
                                   .cells = &o->cells[o->row_count * o->report_count],
                                   .order = sorted[i].order};
            o->row_count++;
        }
        if (row != NULL) {
            row->cells[sorted[i].column] = result;
            row->is_job = row->is_job || result->item[0] != '\0';
        }
    }
    order_groups(o, count);
    qsort(o->rows, o->row_count, sizeof *o->rows, compare_rows);
    for (size_t i = 0; i < o->row_count; i++) {
        find_fastest(&o->rows[i], o->report_count);
    }
cleanup:
    return status;
}

static clm_status fill_rows(clm_bench_overview *o) {
    clm_status status = CLM_OK;
    cell *cells = NULL;
    size_t all = 0;
    size_t count = 0;
    for (size_t i = 0; i < o->report_count; i++) {
        all += o->reports[i].result_count;
    }
    CLM_TRY(clm_allocate(&cells, all, sizeof *cells, "a report of benchmarks"));
    for (size_t i = 0; i < o->report_count; i++) {
        for (size_t k = 0; k < o->reports[i].result_count; k++) {
            cells[count] = (cell){&o->reports[i].results[k], i, count};
            count++;
        }
    }
    qsort(cells, count, sizeof *cells, compare_cells);
    CLM_TRY(make_rows(o, cells, count));
cleanup:
    clm_free(cells);
    return status;
}

/* ---- notes ---- */

static void add_program(clm_string *out, const clm_bench_report *report) {
    clm_string_add_format(out, "%s %s", report->program, report->program_version);
}

static void add_model(clm_string *out, const clm_bench_report *report) {
    clm_string_add(out, report->model);
}

void clm_bench_add_options(clm_string *out, const clm_bench_report *report) {
    clm_string_add(out, report->quick ? "quick, " : "");
    clm_json_add_double(out, report->seconds);
    clm_string_add_format(out, " s and %d samples a case", report->least_samples);
}

/* "<what>: A clm 1; B clm 2." when the columns do not all say the same. */
static void note_difference(clm_bench_overview *o, const char *what,
                            void (*add)(clm_string *out, const clm_bench_report *report)) {
    clm_string first = {0};
    clm_string line = {0};
    bool differ = false;
    for (size_t i = 0; i < o->report_count; i++) {
        char label[4];
        clm_string text = {0};
        add(&text, &o->reports[i]);
        if (i == 0) {
            add(&first, o->reports);
        }
        differ = differ ||
                 (first.text != NULL && text.text != NULL && strcmp(first.text, text.text) != 0);
        clm_string_add_format(&line, "%s%s ", i > 0 ? "; " : "", clm_bench_label(label, i));
        clm_bench_add_piece(&line, &text, clm_string_add);
    }
    if (differ) {
        clm_string_add_format(&o->notes, "%s: ", what);
        clm_bench_add_piece(&o->notes, &line, clm_string_add);
        clm_string_add(&o->notes, ".\n");
    }
    clm_string_free(&first);
    clm_string_free(&line);
}

static void add_notes(clm_bench_overview *o) {
    note_difference(o, "Different programs, so not all differences are the devices'", add_program);
    note_difference(o, "Measured with different options", clm_bench_add_options);
    note_difference(o, "Jobs ran on different models", add_model);
    for (size_t i = 0; i < o->report_count; i++) {
        const clm_bench_report *report = &o->reports[i];
        char label[4];
        if (report->noisy) {
            clm_string_add_format(&o->notes, "%s is noisy: its peak or its copy differed by ",
                                  clm_bench_label(label, i));
            clm_number_add(&o->notes, 100.0 * report->noise, 0, true);
            clm_string_add(&o->notes,
                           " % during the run, so something else ran beside it, or "
                           "its clock changed.\n");
        }
    }
}

/* ---- the whole ---- */

clm_status clm_bench_overview_make(clm_bench_overview *overview, const clm_bench_report *reports,
                                   size_t count) {
    clm_bench_overview *o = overview;
    clm_status status = CLM_OK;
    *o = (clm_bench_overview){.reports = reports, .report_count = count};
    if (count < 1 || count > CLM_BENCH_COLUMNS_MOST) {
        return clm_fail(CLM_ERROR_ARGUMENT, "%zu reports do not fit: one page shows 1 to %d", count,
                        CLM_BENCH_COLUMNS_MOST);
    }
    CLM_TRY(fill_rows(o));
    CLM_TRY(clm_allocate(&o->comparisons, count, sizeof *o->comparisons, "a report of benchmarks"));
    for (size_t i = 1; i < count; i++) {
        CLM_TRY(clm_bench_compare(&o->comparisons[i], &reports[0], &reports[i]));
    }
    add_notes(o);
    CLM_TRY(clm_string_status(&o->notes));
cleanup:
    return status;
}

void clm_bench_overview_free(clm_bench_overview *overview) {
    for (size_t i = 1; overview->comparisons != NULL && i < overview->report_count; i++) {
        clm_bench_comparison_free(&overview->comparisons[i]);
    }
    clm_free(overview->comparisons);
    clm_free(overview->rows);
    clm_free((void *)overview->cells);
    clm_string_free(&overview->notes);
    *overview = (clm_bench_overview){0};
}

const char *clm_bench_label(char label[4], size_t column) {
    size_t at = 0;
    if (column >= 26) {
        label[at++] = (char)('A' + (column / 26 - 1) % 26);
    }
    label[at++] = (char)('A' + column % 26);
    label[at] = '\0';
    return label;
}

void clm_bench_add_piece(clm_string *out, clm_string *piece,
                         void (*add)(clm_string *out, const char *text)) {
    if (clm_string_status(piece) != CLM_OK) {
        out->status = clm_string_status(piece);
    } else if (piece->text != NULL) {
        add(out, piece->text);
    }
    clm_string_free(piece);
}

void clm_bench_add_time(clm_string *out, double seconds) {
    const int unit = seconds >= 1.0 ? 0 : seconds >= 1e-3 ? 1 : 2;
    static const double factors[] = {1.0, 1e3, 1e6};
    static const char *const units[] = {" s", " ms", " us"};
    clm_number_add_short(out, seconds * factors[unit]);
    clm_string_add(out, units[unit]);
}

static void add_share(clm_string *out, double rate, const char *unit, double share) {
    clm_number_add_short(out, rate);
    clm_string_add(out, unit);
    if (share > 0.0) {
        clm_string_add(out, ", ");
        clm_number_add(out, 100.0 * share, 0, true);
        clm_string_add(out, " %");
    }
}

void clm_bench_add_rate(clm_string *out, const clm_bench_result *result) {
    if (result->items_second > 0.0) {
        clm_number_add_short(out, result->items_second);
        clm_string_add_format(out, " %s/s", result->item);
    } else if (result->gflops > 0.0) {
        add_share(out, result->gflops, " GFLOP/s", result->peak_share);
    } else if (result->gbytes_second > 0.0) {
        add_share(out, result->gbytes_second, " GB/s", result->bandwidth_share);
    }
}

const clm_bench_group_ratio *clm_bench_find_ratio(const clm_bench_comparison *comparison,
                                                  const char *name) {
    const size_t length = clm_bench_group_length(name);
    for (size_t i = 0; i < comparison->group_count; i++) {
        const char *group = comparison->groups[i].group;
        if (strlen(group) == length && strncmp(group, name, length) == 0) {
            return &comparison->groups[i];
        }
    }
    return NULL;
}
