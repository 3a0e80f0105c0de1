/* Bars and rooflines, drawn on a canvas. The colours are those of a light page; the page's style
 * sheet changes them by class.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "bench/overview.h"
#include "report/chart.h"
#include "report/number.h"

static const uint32_t ink = 0x262626;
static const uint32_t soft_ink = 0x666666;
static const uint32_t grid_ink = 0xE3E3E3;

/* After Okabe and Ito, told apart by colour-blind people too; letters stand beside them. */
static const uint32_t column_colours[] = {0x0072B2, 0xD55E00, 0x009E73, 0xAA4499,
                                          0xB07A00, 0x3399CC, 0x882255, 0x777733};
enum { COLOUR_COUNT = sizeof column_colours / sizeof *column_colours };

static clm_text_style text_style(const char *name, double size, clm_anchor anchor) {
    return (clm_text_style){.name = name,
                            .size = size,
                            .colour = name[0] == 's' ? soft_ink : ink,
                            .anchor = anchor,
                            .bold = strchr(name, 'b') != NULL};
}

/* `name` is "t" for text, "s" for what is said softly, "tb" for bold. */
static void draw_text(clm_canvas *canvas, double x, double y, const char *text, const char *name,
                      double size, clm_anchor anchor) {
    const clm_text_style style = text_style(name, size, anchor);
    canvas->text(canvas, (clm_point){x, y}, text, &style);
}

static void draw_piece(clm_canvas *canvas, double x, double y, clm_string *piece, const char *name,
                       double size, clm_anchor anchor) {
    if (clm_string_status(piece) == CLM_OK && piece->text != NULL) {
        draw_text(canvas, x, y, piece->text, name, size, anchor);
    }
    clm_string_free(piece);
}

/* "12.3 ms; 235 GFLOP/s, 81 %". */
static void describe(clm_string *out, const clm_bench_result *result) {
    clm_string rate = {0};
    clm_bench_add_time(out, result->median);
    clm_bench_add_rate(&rate, result);
    clm_string_add(out, rate.length > 0 ? "; " : "");
    clm_bench_add_piece(out, &rate, clm_string_add);
}

/* ---- bars ---- */

enum { BARS_MOST = 400 };
static const double bars_width = 960.0;
static const double bars_left = 290.0;
static const double bars_longest = 400.0;
static const double bar_step = 16.0;
static const double row_gap = 12.0;

bool clm_bench_bars_fit(const clm_bench_overview *overview, size_t first, size_t end) {
    bool any = false;
    for (size_t i = first; i < end; i++) {
        any = any || overview->rows[i].fastest != NULL;
    }
    return any && (end - first) * overview->report_count <= BARS_MOST;
}

static void draw_bar(clm_canvas *canvas, const clm_bench_row *row, size_t column, double y) {
    const clm_bench_result *result = row->cells[column];
    const bool is_timed = result != NULL && result->skipped[0] == '\0';
    char label[4];
    char class[24];
    clm_string text = {0};
    (void)snprintf(class, sizeof class, "d%zu", column % COLOUR_COUNT);
    draw_text(canvas, bars_left - 8.0, y + 10.0, clm_bench_label(label, column), "s", 10.0,
              CLM_ANCHOR_END);
    if (!is_timed) {
        draw_text(canvas, bars_left + 6.0, y + 10.0, result == NULL ? "not measured" : "skipped",
                  "s", 11.0, CLM_ANCHOR_START);
        return;
    }
    const double fastest = row->fastest != NULL ? row->fastest->median : result->median;
    const double length = fmax(1.0, bars_longest * fastest / result->median);
    const clm_point corners[4] = {{bars_left, y},
                                  {bars_left + length, y},
                                  {bars_left + length, y + bar_step - 3.0},
                                  {bars_left, y + bar_step - 3.0}};
    const clm_paint paint = {.name = class,
                             .fills = true,
                             .fill = column_colours[column % COLOUR_COUNT],
                             .opacity = 1.0};
    canvas->path(canvas, corners, 4, true, &paint);
    describe(&text, result);
    draw_piece(canvas, bars_left + length + 6.0, y + 10.0, &text,
               result == row->fastest ? "tb" : "t", 11.0, CLM_ANCHOR_START);
}

clm_status clm_bench_draw_bars(clm_string *out, const clm_bench_overview *overview, size_t first,
                               size_t end) {
    const double bars = bar_step * (double)overview->report_count;
    const double step = fmax(bars, 28.0) + row_gap;
    const double height = step * (double)(end - first) + row_gap;
    clm_canvas *canvas = NULL;
    clm_status status = CLM_OK;
    CLM_TRY(clm_canvas_open_svg_part(
        &canvas, bars_width, height,
        "Bars: the speed of each case on each device; the table says the same"));
    for (size_t i = first; i < end; i++) {
        const clm_bench_row *row = &overview->rows[i];
        const double y = row_gap + step * (double)(i - first);
        draw_text(canvas, 0.0, y + 11.0, row->name, "t", 12.0, CLM_ANCHOR_START);
        draw_text(canvas, 0.0, y + 26.0, row->parameters, "s", 10.5, CLM_ANCHOR_START);
        for (size_t column = 0; column < overview->report_count; column++) {
            draw_bar(canvas, row, column, y + bar_step * (double)column);
        }
    }
    const clm_point axis[2] = {{bars_left, row_gap - 4.0}, {bars_left, height - row_gap + 4.0}};
    canvas->path(canvas, axis, 2, false,
                 &(clm_paint){.name = "axis", .width = 1.0, .line = ink, .opacity = 1.0});
    CLM_TRY(clm_canvas_finish(canvas, out));
cleanup:
    clm_canvas_close(canvas);
    return status;
}

/* ---- rooflines ---- */

enum { KINDS = 4, LABELS_MOST = 40, DECADES_MOST = 8 };
static const double roof_width = 620.0;
static const double roof_height = 430.0;
static const double point_text = 10.0;

/* Gemm, attention, other kernels, jobs. */
static const struct {
    const char *name, *class;
    uint32_t colour;
    clm_marker marker;
} kinds[KINDS] = {
    {"gemm", "d0", 0x0072B2, CLM_MARKER_CIRCLE},
    {"attention", "d1", 0xD55E00, CLM_MARKER_SQUARE},
    {"other kernels", "d2", 0x009E73, CLM_MARKER_DIAMOND},
    {"whole jobs", "d3", 0xAA4499, CLM_MARKER_DIAMOND},
};

typedef struct roofline {
    clm_canvas *canvas;
    const clm_bench_report *report;
    clm_box box;
    double x_low, x_high, y_low, y_high; /* decimal logarithms, whole */
    clm_point foot, ridge;               /* of the slope, on the canvas */
    clm_box labels[LABELS_MOST];
    const char *labelled[LABELS_MOST];
    size_t label_count;
} roofline;

/* A caller's report may have anything. */
static bool is_rate(double value) {
    return value > 0.0 && isfinite(value);
}

static bool is_drawn(const clm_bench_result *result) {
    return result->skipped[0] == '\0' &&
           (result->flop > 0.0 ? is_rate(result->gflops) : is_rate(result->gbytes_second)) &&
           isfinite(result->flop) && isfinite(result->bytes);
}

bool clm_bench_has_roofline(const clm_bench_report *report) {
    bool any = false;
    for (size_t i = 0; i < report->result_count; i++) {
        any = any || is_drawn(&report->results[i]);
    }
    return any && is_rate(report->peak_gflops) && is_rate(report->copy_gbytes_second);
}

/* A case without bytes is drawn at the right edge, where only the peak matters; one without FLOP at
 * the left edge, as far below the slope as its bandwidth is below the copy's. */
static clm_point position(const roofline *r, const clm_bench_result *result) {
    if (!(result->flop > 0.0)) {
        return (clm_point){r->x_low, log10(result->gbytes_second) + r->x_low};
    }
    const double x = result->bytes > 0.0 ? log10(result->flop / result->bytes) : r->x_high;
    return (clm_point){x, log10(result->gflops)};
}

/* Beyond the box means on its edge. */
static clm_point place(const roofline *r, clm_point at) {
    const double x = (at.x - r->x_low) / (r->x_high - r->x_low);
    const double y = (at.y - r->y_low) / (r->y_high - r->y_low);
    return (clm_point){
        r->box.left + fmin(fmax(x, 0.0), 1.0) * (r->box.right - r->box.left),
        r->box.bottom - fmin(fmax(y, 0.0), 1.0) * (r->box.bottom - r->box.top),
    };
}

static void choose_ranges(roofline *r) {
    const clm_bench_report *report = r->report;
    const double peak = log10(report->peak_gflops);
    const double copy = log10(report->copy_gbytes_second);
    double low = peak - copy - 0.5;
    double high = peak - copy + 0.5;
    for (size_t i = 0; i < report->result_count; i++) {
        const clm_bench_result *result = &report->results[i];
        if (is_drawn(result) && result->flop > 0.0 && result->bytes > 0.0) {
            low = fmin(low, log10(result->flop / result->bytes));
            high = fmax(high, log10(result->flop / result->bytes));
        }
    }
    r->x_high = ceil(high);
    r->x_low = fmax(fmin(floor(low), r->x_high - 1.0), r->x_high - DECADES_MOST);
    low = copy + r->x_low;
    high = peak + 0.1; /* room for the name of the roof */
    for (size_t i = 0; i < report->result_count; i++) {
        if (is_drawn(&report->results[i])) {
            const clm_point at = position(r, &report->results[i]);
            low = fmin(low, at.y);
            high = fmax(high, at.y);
        }
    }
    r->y_high = ceil(high);
    r->y_low = fmax(fmin(floor(low), r->y_high - 1.0), r->y_high - DECADES_MOST);
}

static void draw_line(const roofline *r, clm_point from, clm_point to, const clm_paint *paint) {
    const clm_point points[2] = {place(r, from), place(r, to)};
    r->canvas->path(r->canvas, points, 2, false, paint);
}

static void add_power(clm_string *out, double power) {
    clm_number_add(out, pow(10.0, power), power < 0.0 ? (int)fmin(-power, 9.0) : 0, true);
}

static void draw_axes(const roofline *r) {
    const clm_paint grid = {.name = "grid", .width = 0.8, .line = grid_ink, .opacity = 1.0};
    const double middle = (r->box.left + r->box.right) / 2.0;
    for (int i = 0; i <= (int)(r->x_high - r->x_low); i++) {
        const double x = r->x_low + i;
        clm_string text = {0};
        draw_line(r, (clm_point){x, r->y_low}, (clm_point){x, r->y_high}, &grid);
        add_power(&text, x);
        draw_piece(r->canvas, place(r, (clm_point){x, r->y_low}).x, r->box.bottom + 17.0, &text,
                   "t", 11.0, CLM_ANCHOR_MIDDLE);
    }
    for (int i = 0; i <= (int)(r->y_high - r->y_low); i++) {
        const double y = r->y_low + i;
        clm_string text = {0};
        draw_line(r, (clm_point){r->x_low, y}, (clm_point){r->x_high, y}, &grid);
        add_power(&text, y);
        draw_piece(r->canvas, r->box.left - 7.0, place(r, (clm_point){r->x_low, y}).y + 4.0, &text,
                   "t", 11.0, CLM_ANCHOR_END);
    }
    draw_text(r->canvas, middle, r->box.bottom + 35.0, "FLOP a byte of memory", "t", 11.5,
              CLM_ANCHOR_MIDDLE);
    clm_text_style upwards = text_style("t", 11.5, CLM_ANCHOR_MIDDLE);
    upwards.upwards = true;
    r->canvas->text(r->canvas, (clm_point){14.0, (r->box.top + r->box.bottom) / 2.0}, "GFLOP/s",
                    &upwards);
}

static void draw_roof(roofline *r) {
    const double peak = log10(r->report->peak_gflops);
    const double copy = log10(r->report->copy_gbytes_second);
    const clm_paint paint = {.name = "roof", .width = 2.0, .line = ink, .opacity = 1.0};
    clm_string text = {0};
    r->foot = place(r, (clm_point){r->x_low, copy + r->x_low});
    r->ridge = place(r, (clm_point){peak - copy, peak});
    draw_line(r, (clm_point){r->x_low, copy + r->x_low}, (clm_point){peak - copy, peak}, &paint);
    draw_line(r, (clm_point){peak - copy, peak}, (clm_point){r->x_high, peak}, &paint);
    clm_string_add(&text, "peak ");
    clm_number_add_short(&text, r->report->peak_gflops);
    clm_string_add(&text, " GFLOP/s");
    draw_piece(r->canvas, r->box.right - 6.0, place(r, (clm_point){r->x_high, peak}).y - 6.0, &text,
               "tb", 11.0, CLM_ANCHOR_END);
    clm_string_add(&text, "copy ");
    clm_number_add_short(&text, r->report->copy_gbytes_second);
    clm_string_add(&text, " GB/s");
    /* Left of the slope, a third of its way below the ridge; right of it if there is no room. */
    const double x = peak - copy - (peak - copy - r->x_low) / 3.0;
    const clm_point at = place(r, (clm_point){x, copy + x});
    const bool is_left = at.x - r->box.left > 90.0;
    const double left = is_left ? at.x - 98.0 : at.x + 10.0;
    const double base = at.y + (is_left ? -4.0 : 12.0);
    draw_piece(r->canvas, is_left ? at.x - 8.0 : left, base, &text, "tb", 11.0,
               is_left ? CLM_ANCHOR_END : CLM_ANCHOR_START);
    r->labelled[r->label_count] = "";
    r->labels[r->label_count++] = (clm_box){left, base - 10.0, left + 90.0, base + 3.0};
}

static int kind_of(const clm_bench_result *result) {
    return result->item[0] != '\0'                      ? 3
           : strncmp(result->name, "gemm/", 5) == 0     ? 0
           : strncmp(result->name, "attention", 9) == 0 ? 1
                                                        : 2;
}

static bool overlap(const clm_box *a, const clm_box *b) {
    return a->left < b->right && b->left < a->right && a->top < b->bottom && b->top < a->bottom;
}

/* Whether the slope runs through a box. */
static bool crosses_slope(const roofline *r, const clm_box *box) {
    const double right = fmin(box->right, r->ridge.x);
    const double rise = (r->ridge.y - r->foot.y) / (r->ridge.x - r->foot.x);
    return box->left < right && r->foot.y + rise * (box->left - r->foot.x) > box->top &&
           r->foot.y + rise * (right - r->foot.x) < box->bottom;
}

/* Whether a label may stand there: inside, and over no other label, marker or slope. */
static bool is_free(const roofline *r, const clm_box *box) {
    if (box->left < r->box.left || box->right > r->box.right || box->top < r->box.top ||
        box->bottom > r->box.bottom || crosses_slope(r, box)) {
        return false;
    }
    for (size_t i = 0; i < r->label_count; i++) {
        if (overlap(box, &r->labels[i])) {
            return false;
        }
    }
    for (size_t i = 0; i < r->report->result_count; i++) {
        if (is_drawn(&r->report->results[i])) {
            const clm_point at = place(r, position(r, &r->report->results[i]));
            const clm_box marker = {at.x - 5.0, at.y - 5.0, at.x + 5.0, at.y + 5.0};
            if (overlap(box, &marker)) {
                return false;
            }
        }
    }
    return true;
}

/* A point's name beside it, once for all of that name, where there is room. */
static void draw_label(roofline *r, const clm_bench_result *result, clm_point at) {
    const double width = 0.6 * point_text * (double)strlen(result->name);
    const clm_box boxes[4] = {
        {at.x + 7.0, at.y - 6.0, at.x + 7.0 + width, at.y + 5.0},
        {at.x - 7.0 - width, at.y - 6.0, at.x - 7.0, at.y + 5.0},
        {at.x - width / 2.0, at.y - 18.0, at.x + width / 2.0, at.y - 7.0},
        {at.x - width / 2.0, at.y + 7.0, at.x + width / 2.0, at.y + 18.0},
    };
    static const clm_anchor anchors[4] = {CLM_ANCHOR_START, CLM_ANCHOR_END, CLM_ANCHOR_MIDDLE,
                                          CLM_ANCHOR_MIDDLE};
    for (size_t i = 0; i < r->label_count; i++) {
        if (strcmp(r->labelled[i], result->name) == 0) {
            return;
        }
    }
    for (int i = 0; i < 4 && r->label_count < LABELS_MOST; i++) {
        if (is_free(r, &boxes[i])) {
            const double x = i == 0 ? boxes[i].left : i == 1 ? boxes[i].right : at.x;
            draw_text(r->canvas, x, boxes[i].bottom - 2.0, result->name, "s", point_text,
                      anchors[i]);
            r->labelled[r->label_count] = result->name;
            r->labels[r->label_count++] = boxes[i];
            return;
        }
    }
}

static void draw_points(roofline *r) {
    for (size_t i = 0; i < r->report->result_count; i++) {
        const clm_bench_result *result = &r->report->results[i];
        if (!is_drawn(result)) {
            continue;
        }
        const int kind = kind_of(result);
        const clm_point at = place(r, position(r, result));
        clm_string tip = {0};
        clm_string_add_format(&tip, "%s %s: ", result->name, result->parameters);
        describe(&tip, result);
        const clm_paint paint = {.name = kinds[kind].class,
                                 .width = 1.0,
                                 .line = 0xFFFFFF,
                                 .fills = true,
                                 .fill = kinds[kind].colour,
                                 .opacity = 1.0,
                                 .tip = clm_string_status(&tip) == CLM_OK ? tip.text : NULL};
        clm_chart_draw_marker(r->canvas, at, kinds[kind].marker, &paint);
        clm_string_free(&tip);
    }
    for (size_t i = 0; i < r->report->result_count; i++) {
        const clm_bench_result *result = &r->report->results[i];
        if (is_drawn(result)) {
            draw_label(r, result, place(r, position(r, result)));
        }
    }
}

static void draw_legend(const roofline *r, const char *label) {
    static const double columns[KINDS] = {0.0, 70.0, 160.0, 270.0};
    draw_text(r->canvas, r->box.left, 18.0, label, "tb", 13.0, CLM_ANCHOR_START);
    for (int i = 0; i < KINDS; i++) {
        const clm_point at = {r->box.left + 8.0 + columns[i], 36.0};
        const clm_paint paint = {.name = kinds[i].class,
                                 .width = 1.0,
                                 .line = 0xFFFFFF,
                                 .fills = true,
                                 .fill = kinds[i].colour,
                                 .opacity = 1.0};
        clm_chart_draw_marker(r->canvas, at, kinds[i].marker, &paint);
        draw_text(r->canvas, at.x + 9.0, at.y + 4.0, kinds[i].name, "t", 11.0, CLM_ANCHOR_START);
    }
}

clm_status clm_bench_draw_roofline(clm_string *out, const clm_bench_report *report,
                                   const char *label) {
    roofline r = {.report = report, .box = {62.0, 50.0, roof_width - 26.0, roof_height - 46.0}};
    clm_status status = CLM_OK;
    CLM_TRY(clm_canvas_open_svg_part(&r.canvas, roof_width, roof_height, label));
    choose_ranges(&r);
    draw_axes(&r);
    draw_roof(&r);
    draw_points(&r);
    draw_legend(&r, label);
    CLM_TRY(clm_canvas_finish(r.canvas, out));
cleanup:
    clm_canvas_close(r.canvas);
    return status;
}
