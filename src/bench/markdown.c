/* Reports side by side as Markdown (GitHub's, for its tables).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "bench/overview.h"
#include "report/number.h"

/* What Markdown, its tables and the HTML in it would take for more than text. A backslash before
 * the rest of "://" and "www." keeps what looks like an address from becoming a link. */
static void add_text(clm_string *out, const char *text) {
    static const char special[] = "\\|`*_[]<>&~!#";
    for (const char *at = text; *at != '\0'; at++) {
        const bool is_address = (*at == ':' && at[1] == '/' && at[2] == '/') ||
                                (*at == '.' && at - text >= 3 && (at[-1] | 0x20) == 'w') ||
                                *at == '@';
        clm_string_add(out, strchr(special, *at) != NULL || is_address ? "\\" : "");
        clm_string_add_bytes(out, at, 1);
    }
}

static void add_cell_text(clm_string *out, const char *text) {
    add_text(out, text);
    clm_string_add(out, " | ");
}

static void add_device(clm_string *out, const clm_bench_report *report, size_t column) {
    char label[4];
    clm_string options = {0};
    clm_string_add_format(out, "| %s | ", clm_bench_label(label, column));
    add_cell_text(out, report->device);
    add_text(out, report->platform);
    clm_string_add(out, ", ");
    add_cell_text(out, report->driver);
    clm_string_add_format(out, "%d | ", report->compute_units);
    clm_number_add_short(out, report->peak_gflops);
    clm_string_add(out, " | ");
    clm_number_add_short(out, report->copy_gbytes_second);
    clm_string_add(out, " | ");
    add_text(out, report->program);
    clm_string_add(out, " ");
    add_text(out, report->program_version);
    clm_string_add(out, ", ");
    clm_bench_add_options(&options, report);
    clm_bench_add_piece(out, &options, add_cell_text);
    add_text(out, report->date);
    clm_string_add(out, " |\n");
}

static void add_result(clm_string *out, const clm_bench_row *row, size_t column) {
    const clm_bench_result *result = row->cells[column];
    clm_string rate = {0};
    if (result == NULL) {
        clm_string_add(out, "not measured |");
        return;
    }
    if (result->skipped[0] != '\0') {
        clm_string_add(out, "skipped |");
        return;
    }
    const char *mark = result == row->fastest ? "**" : "";
    clm_string_add(out, mark);
    clm_bench_add_time(out, result->median);
    clm_string_add(out, mark);
    clm_bench_add_rate(&rate, result);
    clm_string_add(out, rate.length > 0 ? "; " : "");
    clm_bench_add_piece(out, &rate, add_text);
    clm_string_add(out, " |");
}

static void add_cases(clm_string *out, const clm_bench_overview *o) {
    char label[4];
    clm_string_add(out, "| case | parameters |");
    for (size_t i = 0; i < o->report_count; i++) {
        clm_string_add_format(out, " %s |", clm_bench_label(label, i));
    }
    clm_string_add(out, "\n| --- | --- |");
    for (size_t i = 0; i < o->report_count; i++) {
        clm_string_add(out, " ---: |");
    }
    clm_string_add(out, "\n");
    for (size_t r = 0; r < o->row_count; r++) {
        clm_string_add(out, "| ");
        add_cell_text(out, o->rows[r].name);
        add_text(out, o->rows[r].parameters);
        clm_string_add(out, " |");
        for (size_t i = 0; i < o->report_count; i++) {
            clm_string_add(out, " ");
            add_result(out, &o->rows[r], i);
        }
        clm_string_add(out, "\n");
    }
}

static void add_ratios(clm_string *out, const clm_bench_overview *o) {
    char label[4];
    clm_string_add(out,
                   "\nTimes as fast as A, geometric mean of the cases that both have (how "
                   "many):\n\n| group |");
    for (size_t i = 1; i < o->report_count; i++) {
        clm_string_add_format(out, " %s |", clm_bench_label(label, i));
    }
    clm_string_add(out, "\n| --- |");
    for (size_t i = 1; i < o->report_count; i++) {
        clm_string_add(out, " ---: |");
    }
    clm_string_add(out, "\n");
    for (size_t first = 0; first < o->row_count;) {
        const char *name = o->rows[first].name;
        clm_string group = {0};
        clm_string_add_bytes(&group, name, clm_bench_group_length(name));
        clm_string_add(out, "| ");
        clm_bench_add_piece(out, &group, add_text);
        for (size_t i = 1; i < o->report_count; i++) {
            const clm_bench_group_ratio *ratio = clm_bench_find_ratio(&o->comparisons[i], name);
            clm_string_add(out, " | ");
            if (ratio != NULL) {
                clm_number_add_short(out, ratio->ratio);
                clm_string_add_format(out, " (%zu)", ratio->count);
            } else {
                clm_string_add(out, "none");
            }
        }
        clm_string_add(out, " |\n");
        first = clm_bench_overview_group_end(o, first);
    }
}

static void add_skipped(clm_string *out, const clm_bench_overview *o) {
    for (size_t r = 0; r < o->row_count; r++) {
        for (size_t i = 0; i < o->report_count; i++) {
            const clm_bench_result *result = o->rows[r].cells[i];
            char label[4];
            if (result != NULL && result->skipped[0] != '\0') {
                clm_string_add_format(out, "- %s skipped ", clm_bench_label(label, i));
                add_text(out, result->name);
                clm_string_add(out, " ");
                add_text(out, result->parameters);
                clm_string_add(out, ": ");
                add_text(out, result->skipped);
                clm_string_add(out, "\n");
            }
        }
    }
}

static void add_notes(clm_string *out, const clm_bench_overview *o) {
    const char *at = o->notes.text != NULL ? o->notes.text : "";
    while (*at != '\0') {
        const size_t length = strcspn(at, "\n");
        clm_string line = {0};
        clm_string_add_bytes(&line, at, length);
        clm_string_add(out, "- ");
        clm_bench_add_piece(out, &line, add_text);
        clm_string_add(out, "\n");
        at += length + 1;
    }
}

clm_status clm_bench_add_markdown(clm_string *out, const clm_bench_overview *overview) {
    clm_string notes = {0};
    clm_string_add(out,
                   "| | device | platform, driver | units | peak GFLOP/s | copy GB/s | "
                   "measured by | date |\n"
                   "| --- | --- | --- | ---: | ---: | ---: | --- | --- |\n");
    for (size_t i = 0; i < overview->report_count; i++) {
        add_device(out, &overview->reports[i], i);
    }
    add_notes(&notes, overview);
    add_skipped(&notes, overview);
    clm_string_add(out, notes.length > 0 ? "\n" : "");
    clm_bench_add_piece(out, &notes, clm_string_add);
    clm_string_add(out, "\n");
    add_cases(out, overview);
    if (overview->report_count > 1) {
        add_ratios(out, overview);
    }
    return clm_string_status(out);
}
