/* Reports side by side as one HTML page. Every text of a report goes through clm_markup_add().
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "bench/overview.h"
#include "report/markup.h"
#include "report/number.h"

/* Nothing is loaded from anywhere and nothing runs, whatever a report says. */
static const char head[] =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
    "'unsafe-inline'\"/>\n"
    "<meta name=\"color-scheme\" content=\"light dark\"/>\n"
    "<title>clm bench: devices side by side</title>\n<style>\n";

static const char style_of_page[] =
    ":root{--paper:#fff;--ink:#262626;--soft:#666;--line:#ddd;--card:#f6f7f8;--best:#e4f2e7;"
    "--c0:#0072b2;--c1:#d55e00;--c2:#009e73;--c3:#aa4499;--c4:#b07a00;--c5:#3399cc;--c6:#882255;"
    "--c7:#777733}\n"
    "@media (prefers-color-scheme:dark){:root{--paper:#16181b;--ink:#e8e8e8;--soft:#a3a8ae;"
    "--line:#3a3f45;--card:#1f2226;--best:#1d3a27;"
    "--c0:#56b4e9;--c1:#ff8a3d;--c2:#2ec4a0;--c3:#dd88cc;--c4:#e6b422;--c5:#9ad0f5;--c6:#e0709a;"
    "--c7:#c5c56a}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"
    "\"Segoe UI\",Roboto,\"DejaVu Sans\",sans-serif}\n"
    "main{max-width:1120px;margin:0 auto;padding:2rem 1.25rem 4rem}\n"
    "h1{font-size:1.7rem;line-height:1.2;margin:0 0 .3rem}\n"
    "h2{font-size:1.2rem;margin:2.6rem 0 .6rem;padding-bottom:.3rem;border-bottom:1px solid "
    "var(--line)}\n"
    "p,ul{max-width:46rem;margin:.5rem 0}ul{padding-left:1.2rem}\n"
    ".soft{color:var(--soft)}\n"
    "nav{display:flex;flex-wrap:wrap;gap:0 .9rem}\n"
    "nav a{color:var(--c0);text-decoration:none;white-space:nowrap}\n"
    ".notes{background:var(--card);border-left:4px solid var(--c1);padding:.5rem 1rem;margin:1rem "
    "0;max-width:none}\n"
    ".notes ul{max-width:none;overflow-wrap:anywhere}\n";

static const char style_of_tables[] =
    ".scroll{overflow-x:auto;margin:.6rem 0}\n"
    "table{border-collapse:collapse;font-size:.9rem;min-width:100%}\n"
    "th,td{padding:.35rem .6rem;text-align:left;vertical-align:top;border-bottom:1px solid "
    "var(--line)}\n"
    "thead th{background:var(--card);font-weight:600}\n"
    "td.n,th.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}\n"
    "td.best{background:var(--best)}td.best b{font-weight:700}td b{font-weight:500}\n"
    "td small,td .soft{color:var(--soft);font-size:.82rem}td small{display:block}\n"
    ".name{overflow-wrap:break-word}table.narrow{min-width:20rem}.case{white-space:nowrap}\n"
    ".tag{display:inline-block;min-width:1.5em;padding:0 .35em;border-radius:.25em;color:#fff;"
    "font-weight:700;text-align:center}\n"
    "@media (prefers-color-scheme:dark){.tag{color:#111}}\n"
    ".b0{background:var(--c0)}.b1{background:var(--c1)}.b2{background:var(--c2)}"
    ".b3{background:var(--c3)}.b4{background:var(--c4)}.b5{background:var(--c5)}"
    ".b6{background:var(--c6)}.b7{background:var(--c7)}\n"
    "figure{margin:1rem 0;overflow-x:auto}figcaption{color:var(--soft);font-size:.85rem;"
    "max-width:46rem}\n"
    ".roofs{display:flex;flex-wrap:wrap;gap:1.5rem}.roofs figure{flex:1 1 30rem;min-width:0;"
    "margin:.5rem 0}\n"
    "svg{max-width:100%;height:auto;display:block}.bars svg{min-width:640px}\n"
    "svg text{fill:var(--ink)}svg text.s{fill:var(--soft)}\n"
    "svg .d0{fill:var(--c0)}svg .d1{fill:var(--c1)}svg .d2{fill:var(--c2)}svg .d3{fill:var(--c3)}"
    "svg .d4{fill:var(--c4)}svg .d5{fill:var(--c5)}svg .d6{fill:var(--c6)}svg .d7{fill:var(--c7)}"
    "\n.roofs svg .d0,.roofs svg .d1,.roofs svg .d2,.roofs svg .d3{stroke:var(--paper)}\n"
    "svg .axis,svg .roof{stroke:var(--ink)}svg .grid{stroke:var(--line)}\n"
    "@media print{h2{break-after:avoid}figure,tr{break-inside:avoid}}\n";

static void add_tag(clm_string *out, size_t column) {
    char label[4];
    clm_string_add_format(out, "<span class=\"tag b%zu\">%s</span>", column % 8,
                          clm_bench_label(label, column));
}

static void add_group_name(clm_string *out, const char *name) {
    clm_string group = {0};
    clm_string_add_bytes(&group, name, clm_bench_group_length(name));
    clm_bench_add_piece(out, &group, clm_markup_add);
}

/* ---- the devices ---- */

static void add_cell(clm_string *out, const char *text, const char *below) {
    clm_string_add(out, "<td class=\"name\">");
    clm_markup_add(out, text);
    if (below[0] != '\0') {
        clm_string_add(out, "<small>");
        clm_markup_add(out, below);
        clm_string_add(out, "</small>");
    }
    clm_string_add(out, "</td>");
}

static void add_number_cell(clm_string *out, double value) {
    clm_string_add(out, "<td class=\"n\">");
    if (value > 0.0) {
        clm_number_add_short(out, value);
    }
    clm_string_add(out, "</td>");
}

static void add_device(clm_string *out, const clm_bench_report *report, size_t column) {
    clm_string options = {0};
    clm_string_add(out, "<tr><td>");
    add_tag(out, column);
    clm_string_add(out, "</td>");
    add_cell(out, report->device, report->vendor);
    add_cell(out, report->platform, report->device_version);
    add_cell(out, report->driver, "");
    clm_string_add(out, "<td>");
    clm_markup_add(out, report->type);
    clm_string_add_format(out, "<small>%d units</small></td>", report->compute_units);
    add_number_cell(out, report->peak_gflops);
    add_number_cell(out, report->copy_gbytes_second);
    clm_string_add(out, "<td>");
    clm_markup_add(out, report->gemm);
    clm_string_add(out, "</td><td class=\"name\">");
    clm_markup_add(out, report->program);
    clm_string_add(out, " ");
    clm_markup_add(out, report->program_version);
    clm_string_add(out, "<small>");
    clm_bench_add_options(&options, report);
    clm_bench_add_piece(out, &options, clm_markup_add);
    clm_string_add(out, "</small></td>");
    clm_string_add(out, "<td class=\"case\">");
    clm_markup_add(out, report->date);
    clm_string_add(out, "</td></tr>\n");
}

static void add_notes(clm_string *out, const clm_bench_overview *o) {
    const char *at = o->notes.text != NULL ? o->notes.text : "";
    clm_string_add(out, *at != '\0' ? "<div class=\"notes\"><ul>\n" : "");
    while (*at != '\0') {
        const size_t length = strcspn(at, "\n");
        clm_string line = {0};
        clm_string_add_bytes(&line, at, length);
        clm_string_add(out, "<li>");
        clm_bench_add_piece(out, &line, clm_markup_add);
        clm_string_add(out, "</li>\n");
        at += length + 1;
    }
    clm_string_add(out, o->notes.length > 0 ? "</ul></div>\n" : "");
}

static void add_devices(clm_string *out, const clm_bench_overview *o) {
    clm_string_add(
        out,
        "<h2 id=\"devices\">Devices</h2>\n<div class=\"scroll\"><table><thead><tr><th></th>"
        "<th>device</th><th>platform</th><th>driver</th><th>type</th>"
        "<th class=\"n\">peak<br/>GFLOP/s</th><th class=\"n\">copy<br/>GB/s</th><th>gemm</th>"
        "<th>measured by</th><th>date</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < o->report_count; i++) {
        add_device(out, &o->reports[i], i);
    }
    clm_string_add(out, "</tbody></table></div>\n");
    add_notes(out, o);
}

/* ---- by group ---- */

static void add_column_heads(clm_string *out, const clm_bench_overview *o, size_t from) {
    for (size_t i = from; i < o->report_count; i++) {
        clm_string_add(out, "<th class=\"n\">");
        add_tag(out, i);
        clm_string_add(out, "</th>");
    }
    clm_string_add(out, "</tr></thead><tbody>\n");
}

static void add_ratios(clm_string *out, const clm_bench_overview *o) {
    clm_string_add(out,
                   "<h2 id=\"overall\">Overall</h2>\n<p>How many times as fast as A, the geometric "
                   "mean of the cases that both have, and how many those are.</p>\n"
                   "<div class=\"scroll\"><table class=\"narrow\"><thead><tr><th>group</th>");
    add_column_heads(out, o, 1);
    for (size_t first = 0; first < o->row_count;) {
        const char *name = o->rows[first].name;
        clm_string_add(out, "<tr><td class=\"case\">");
        add_group_name(out, name);
        clm_string_add(out, "</td>");
        for (size_t i = 1; i < o->report_count; i++) {
            const clm_bench_group_ratio *ratio = clm_bench_find_ratio(&o->comparisons[i], name);
            clm_string_add(out, "<td class=\"n\">");
            if (ratio != NULL) {
                clm_string_add(out, "<b>");
                clm_number_add_short(out, ratio->ratio);
                clm_string_add_format(out, "</b> <span class=\"soft\">of %zu</span>", ratio->count);
            } else {
                clm_string_add(out, "<span class=\"soft\">none</span>");
            }
            clm_string_add(out, "</td>");
        }
        clm_string_add(out, "</tr>\n");
        first = clm_bench_overview_group_end(o, first);
    }
    clm_string_add(out, "</tbody></table></div>\n");
}

static void add_result(clm_string *out, const clm_bench_row *row, size_t column) {
    const clm_bench_result *result = row->cells[column];
    clm_string rate = {0};
    if (result == NULL || result->skipped[0] != '\0') {
        clm_string_add(out, "<td class=\"n\"><span class=\"soft\">");
        clm_string_add(out, result == NULL ? "not measured" : "skipped");
        clm_string_add(out, "</span></td>");
        return;
    }
    clm_string_add(out,
                   result == row->fastest ? "<td class=\"n best\"><b>" : "<td class=\"n\"><b>");
    clm_bench_add_time(out, result->median);
    clm_string_add(out, "</b> <span class=\"soft\">&#177;");
    clm_number_add(out, 50.0 * (result->upper_quartile - result->lower_quartile) / result->median,
                   0, true);
    clm_string_add(out, " %</span><small>");
    clm_bench_add_rate(&rate, result);
    clm_bench_add_piece(out, &rate, clm_markup_add);
    clm_string_add(out, "</small></td>");
}

static void add_skipped(clm_string *out, const clm_bench_overview *o, size_t first, size_t end) {
    clm_string list = {0};
    for (size_t r = first; r < end; r++) {
        for (size_t i = 0; i < o->report_count; i++) {
            const clm_bench_result *result = o->rows[r].cells[i];
            if (result != NULL && result->skipped[0] != '\0') {
                clm_string_add(&list, "<li>");
                add_tag(&list, i);
                clm_string_add(&list, " skipped ");
                clm_markup_add(&list, result->name);
                clm_string_add(&list, " ");
                clm_markup_add(&list, result->parameters);
                clm_string_add(&list, ": ");
                clm_markup_add(&list, result->skipped);
                clm_string_add(&list, "</li>\n");
            }
        }
    }
    if (list.length > 0) {
        clm_string_add(out, "<ul class=\"soft\">\n");
        clm_bench_add_piece(out, &list, clm_string_add);
        clm_string_add(out, "</ul>\n");
    }
    clm_string_free(&list);
}

static clm_status add_group(clm_string *out, const clm_bench_overview *o, size_t first,
                            size_t end) {
    clm_status status = CLM_OK;
    clm_string_add_format(out, "<h2 id=\"group%zu\">", first);
    add_group_name(out, o->rows[first].name);
    clm_string_add(out, "</h2>\n");
    if (clm_bench_bars_fit(o, first, end)) {
        clm_string_add(out, "<figure class=\"bars\">\n");
        CLM_TRY(clm_bench_draw_bars(out, o, first, end));
        clm_string_add(out,
                       "<figcaption>Longer is faster: each bar is the speed beside the "
                       "fastest device of its case.</figcaption></figure>\n");
    }
    clm_string_add(out, "<div class=\"scroll\"><table><thead><tr><th>case</th>");
    add_column_heads(out, o, 0);
    for (size_t r = first; r < end; r++) {
        clm_string_add(out, "<tr><td class=\"case\">");
        clm_markup_add(out, o->rows[r].name);
        clm_string_add(out, "<small>");
        clm_markup_add(out, o->rows[r].parameters);
        clm_string_add(out, "</small></td>");
        for (size_t i = 0; i < o->report_count; i++) {
            add_result(out, &o->rows[r], i);
        }
        clm_string_add(out, "</tr>\n");
    }
    clm_string_add(out, "</tbody></table></div>\n");
    add_skipped(out, o, first, end);
cleanup:
    return status;
}

/* ---- the whole ---- */

static clm_status add_rooflines(clm_string *out, const clm_bench_overview *o) {
    clm_status status = CLM_OK;
    bool any = false;
    for (size_t i = 0; i < o->report_count; i++) {
        any = any || clm_bench_has_roofline(&o->reports[i]);
    }
    if (!any) {
        return CLM_OK;
    }
    clm_string_add(
        out,
        "<h2 id=\"rooflines\">Rooflines</h2>\n<p>A case stands below its roof: the slope is "
        "what a copy moves, the flat part what multiply-adds on registers reach, both measured on "
        "the device. What a cache holds may rise above the slope. Kernels that only move bytes "
        "stand at the left edge, whole jobs at the right one. Point at a mark for its "
        "numbers.</p>\n"
        "<div class=\"roofs\">\n");
    for (size_t i = 0; i < o->report_count; i++) {
        char label[4];
        char device[72]; /* what fits above the figure */
        clm_string title = {0};
        if (!clm_bench_has_roofline(&o->reports[i])) {
            continue;
        }
        clm_bench_copy_text(device, sizeof device, o->reports[i].device);
        clm_string_add_format(&title, "%s: %s", clm_bench_label(label, i), device);
        status = clm_string_status(&title);
        clm_string_add(out, "<figure>\n");
        if (status == CLM_OK) {
            status = clm_bench_draw_roofline(out, &o->reports[i], title.text);
        }
        clm_string_add(out, "</figure>\n");
        clm_string_free(&title);
        CLM_TRY(status);
    }
    clm_string_add(out, "</div>\n");
cleanup:
    return status;
}

static void add_contents(clm_string *out, const clm_bench_overview *o) {
    clm_string_add(out, "<nav><a href=\"#devices\">devices</a>");
    clm_string_add(out, o->report_count > 1 ? "<a href=\"#overall\">overall</a>" : "");
    for (size_t first = 0; first < o->row_count;) {
        clm_string_add_format(out, "<a href=\"#group%zu\">", first);
        add_group_name(out, o->rows[first].name);
        clm_string_add(out, "</a>");
        first = clm_bench_overview_group_end(o, first);
    }
    clm_string_add(out, "</nav>\n");
}

clm_status clm_bench_add_page(clm_string *out, const clm_bench_overview *overview) {
    const clm_bench_overview *o = overview;
    clm_status status = CLM_OK;
    clm_string_add(out, head);
    clm_string_add(out, style_of_page);
    clm_string_add(out, style_of_tables);
    clm_string_add(out, "</style>\n</head>\n<body>\n<main>\n");
    clm_string_add_format(out,
                          "<h1>clm bench, side by side</h1>\n<p class=\"soft\">%zu %s of GPT-2's "
                          "kernels and jobs on %zu %s, as measured by <code>clm bench</code>. "
                          "Times are medians of one repeat; &#177; is half the range between the "
                          "quartiles; percentages are of the device's own peak or copy.</p>\n",
                          o->row_count, o->row_count == 1 ? "case" : "cases", o->report_count,
                          o->report_count == 1 ? "device or run" : "devices or runs");
    add_contents(out, o);
    add_devices(out, o);
    if (o->report_count > 1) {
        add_ratios(out, o);
    }
    CLM_TRY(add_rooflines(out, o));
    for (size_t first = 0; first < o->row_count;) {
        const size_t end = clm_bench_overview_group_end(o, first);
        CLM_TRY(add_group(out, o, first, end));
        first = end;
    }
    clm_string_add(out, "</main>\n</body>\n</html>\n");
    status = clm_string_status(out);
cleanup:
    return status;
}
