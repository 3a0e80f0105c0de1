/* SPDX-License-Identifier: Apache-2.0 */
#include "report/chart.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "report/number.h"

/* Greys dark enough to read (contrast with white over 7 and over 5), and one for the grid. */
static const uint32_t ink = 0x262626;
static const uint32_t soft_ink = 0x666666;
static const uint32_t grid_ink = 0xE3E3E3;
static const double tick_size = 12.0;
static const double label_size = 13.0;
/* A sans-serif's letters are a little over half as wide as high; this is on the safe side. */
static const double letter_width = 0.57;

typedef struct frame {
    const clm_chart *chart;
    clm_canvas *canvas;
    clm_box box; /* inside the axes */
} frame;

static clm_point place(const frame *f, double x, double y) {
    const clm_chart *c = f->chart;
    return (clm_point){
        f->box.left + (x - c->x_low) / (c->x_high - c->x_low) * (f->box.right - f->box.left),
        f->box.bottom - (y - c->y_low) / (c->y_high - c->y_low) * (f->box.bottom - f->box.top)};
}

static void draw_line(const frame *f, clm_point from, clm_point to, uint32_t colour, double width) {
    const clm_point points[2] = {from, to};
    f->canvas->path(f->canvas, points, 2, false,
                    &(clm_paint){.width = width, .line = colour, .opacity = 1.0});
}

static void draw_tick_text(const frame *f, clm_point at, double value, int decimals,
                           const char *unit, clm_anchor anchor, const char *name) {
    clm_string text = {0};
    clm_number_add(&text, value, decimals, true);
    clm_string_add(&text, unit);
    if (clm_string_status(&text) == CLM_OK) {
        f->canvas->text(
            f->canvas, at, text.text,
            &(clm_text_style){.name = name, .size = tick_size, .colour = ink, .anchor = anchor});
    }
    clm_string_free(&text);
}

static void draw_x_axis(const frame *f) {
    const clm_chart *c = f->chart;
    clm_ticks ticks;
    clm_ticks_make(&ticks, c->x_low, c->x_high, 10, c->x_is_whole || c->x_high - c->x_low >= 2.0);
    for (int i = 0; i < ticks.count; i++) {
        double x = place(f, ticks.values[i], c->y_low).x;
        draw_line(f, (clm_point){x, f->box.top}, (clm_point){x, f->box.bottom}, grid_ink, 0.8);
        draw_line(f, (clm_point){x, f->box.bottom}, (clm_point){x, f->box.bottom + 5.0}, ink, 1.0);
        draw_tick_text(f, (clm_point){x, f->box.bottom + 20.0}, ticks.values[i], ticks.decimals, "",
                       CLM_ANCHOR_MIDDLE, "x-tick");
    }
    f->canvas->text(
        f->canvas, (clm_point){(f->box.left + f->box.right) / 2.0, f->box.bottom + 42.0},
        c->x_label,
        &(clm_text_style){
            .name = "x-label", .size = label_size, .colour = ink, .anchor = CLM_ANCHOR_MIDDLE});
}

static void draw_y_axis(const frame *f) {
    const clm_chart *c = f->chart;
    clm_ticks ticks;
    clm_ticks_make(&ticks, c->y_low, c->y_high, 8, false);
    for (int i = 0; i < ticks.count; i++) {
        double y = place(f, c->x_low, ticks.values[i]).y;
        draw_line(f, (clm_point){f->box.left, y}, (clm_point){f->box.right, y}, grid_ink, 0.8);
        draw_line(f, (clm_point){f->box.left - 5.0, y}, (clm_point){f->box.left, y}, ink, 1.0);
        draw_tick_text(f, (clm_point){f->box.left - 9.0, y + 0.36 * tick_size}, ticks.values[i],
                       ticks.decimals, c->y_unit, CLM_ANCHOR_END, "y-tick");
    }
    f->canvas->text(f->canvas, (clm_point){22.0, (f->box.top + f->box.bottom) / 2.0}, c->y_label,
                    &(clm_text_style){.name = "y-label",
                                      .size = label_size,
                                      .colour = ink,
                                      .anchor = CLM_ANCHOR_MIDDLE,
                                      .upwards = true});
}

static void draw_top_axis(const frame *f) {
    const clm_chart *c = f->chart;
    if (!(c->top_scale > 0)) {
        return;
    }
    clm_ticks ticks;
    clm_ticks_make(&ticks, c->x_low * c->top_scale, c->x_high * c->top_scale, 7, true);
    for (int i = 0; i < ticks.count; i++) {
        double x = place(f, ticks.values[i] / c->top_scale, c->y_low).x;
        draw_line(f, (clm_point){x, f->box.top - 5.0}, (clm_point){x, f->box.top}, ink, 1.0);
        draw_tick_text(f, (clm_point){x, f->box.top - 10.0}, ticks.values[i], 0, "",
                       CLM_ANCHOR_MIDDLE, "top-tick");
    }
    f->canvas->text(
        f->canvas, (clm_point){(f->box.left + f->box.right) / 2.0, f->box.top - 28.0}, c->top_label,
        &(clm_text_style){
            .name = "top-label", .size = label_size, .colour = ink, .anchor = CLM_ANCHOR_MIDDLE});
}

void clm_chart_draw_marker(clm_canvas *canvas, clm_point at, clm_marker marker,
                           const clm_paint *paint) {
    const double r = marker == CLM_MARKER_DIAMOND ? 5.8 : 4.0;
    const clm_point square[4] = {
        {at.x - r, at.y - r}, {at.x + r, at.y - r}, {at.x + r, at.y + r}, {at.x - r, at.y + r}};
    const clm_point diamond[4] = {
        {at.x, at.y - r}, {at.x + r, at.y}, {at.x, at.y + r}, {at.x - r, at.y}};
    switch (marker) {
        case CLM_MARKER_CIRCLE:
            canvas->circle(canvas, at, 4.4, paint);
            break;
        case CLM_MARKER_SQUARE:
            canvas->path(canvas, square, 4, true, paint);
            break;
        case CLM_MARKER_DIAMOND:
            canvas->path(canvas, diamond, 4, true, paint);
            break;
        case CLM_MARKER_NONE:
            break;
    }
}

static void draw_marker(const frame *f, clm_point at, clm_marker marker, uint32_t colour,
                        const char *name) {
    clm_chart_draw_marker(f->canvas, at, marker,
                          &(clm_paint){.name = name,
                                       .width = 1.2,
                                       .line = 0xFFFFFF,
                                       .fills = true,
                                       .fill = colour,
                                       .opacity = 1.0});
}

static clm_paint paint_of(const clm_chart_series *s) {
    return (clm_paint){.name = s->name,
                       .width = s->is_faint ? 0.9 : 2.0,
                       .line = s->colour,
                       .opacity = s->is_faint ? 0.35 : 1.0};
}

/* Draws points[first, end), which has no gap. Of all points within half a unit of x only the first,
 * the lowest, the highest and the last are kept: a line through 10,000 points then looks as
 * before. `kept` has room for all. */
static void draw_run(const frame *f, const clm_chart_series *s, size_t first, size_t end,
                     clm_point *kept) {
    size_t count = 0;
    for (size_t i = first; i < end;) {
        double column = floor(2.0 * place(f, s->points[i].x, 0.0).x);
        size_t low = i, high = i, last = i;
        for (size_t j = i; j < end && floor(2.0 * place(f, s->points[j].x, 0.0).x) == column; j++) {
            low = s->points[j].y < s->points[low].y ? j : low;
            high = s->points[j].y > s->points[high].y ? j : high;
            last = j;
        }
        const size_t order[4] = {i, low < high ? low : high, low < high ? high : low, last};
        for (size_t k = 0; k < 4; k++) {
            if (k == 0 || order[k] != order[k - 1]) {
                kept[count++] = place(f, s->points[order[k]].x, s->points[order[k]].y);
            }
        }
        i = last + 1;
    }
    clm_paint paint = paint_of(s);
    if (count > 1) {
        f->canvas->path(f->canvas, kept, count, false, &paint);
    } else if (count == 1 && s->marker == CLM_MARKER_NONE) {
        paint.fills = true;
        paint.fill = s->colour;
        f->canvas->circle(f->canvas, kept[0], 1.5, &paint);
    }
}

/* Ten units apart is where markers begin to touch. */
static bool has_room_for_markers(const frame *f, const clm_chart_series *s) {
    return (double)s->count <= (f->box.right - f->box.left) / 10.0;
}

static clm_status draw_series(const frame *f, const clm_chart_series *s) {
    clm_point *kept = NULL;
    clm_status status = CLM_OK;
    CLM_TRY(clm_allocate(&kept, s->count, sizeof *kept, "a plot"));
    f->canvas->clip(f->canvas, &f->box);
    for (size_t first = 0; first < s->count;) {
        size_t end = first;
        while (end < s->count && !isnan(s->points[end].y)) {
            end++;
        }
        if (end > first) {
            draw_run(f, s, first, end, kept);
        }
        first = end + 1;
    }
    f->canvas->clip(f->canvas, NULL);
    const bool has_room = has_room_for_markers(f, s);
    for (size_t i = 0; i < s->count && s->marker != CLM_MARKER_NONE; i++) {
        double y = s->points[i].y;
        bool is_alone = (i == 0 || isnan(s->points[i - 1].y)) &&
                        (i + 1 == s->count || isnan(s->points[i + 1].y));
        if ((has_room || is_alone) && y >= f->chart->y_low && y <= f->chart->y_high) {
            draw_marker(f, place(f, s->points[i].x, y), s->marker, s->colour, s->name);
        }
    }
cleanup:
    clm_free(kept);
    return status;
}

static double letters(const char *text) {
    double count = 0;
    for (; *text != '\0'; text++) {
        count += ((unsigned char)*text & 0xC0) != 0x80;
    }
    return count;
}

/* How many points of any series lie in the box. */
static size_t crowd(const frame *f, const clm_box *box) {
    size_t count = 0;
    for (size_t s = 0; s < f->chart->series_count; s++) {
        const clm_chart_series *series = &f->chart->series[s];
        for (size_t i = 0; i < series->count; i++) {
            clm_point at = place(f, series->points[i].x, series->points[i].y);
            if (at.x >= box->left && at.x <= box->right && at.y >= box->top &&
                at.y <= box->bottom) {
                /* Being in the way of a faint line matters less. */
                count += series->is_faint ? 1 : 1 + series->count;
            }
        }
    }
    return count;
}

/* In the corner with the fewest points; of equals the first in this order. */
static clm_box place_legend(const frame *f, double width, double height) {
    const double gap = 10.0;
    const clm_box *in = &f->box;
    const double lefts[4] = {in->right - gap - width, in->right - gap - width, in->left + gap,
                             in->left + gap};
    const double tops[4] = {in->top + gap, in->bottom - gap - height, in->top + gap,
                            in->bottom - gap - height};
    clm_box best = {0};
    size_t fewest = SIZE_MAX;
    for (int i = 0; i < 4; i++) {
        clm_box box = {lefts[i], tops[i], lefts[i] + width, tops[i] + height};
        size_t count = crowd(f, &box);
        if (count < fewest) {
            fewest = count;
            best = box;
        }
    }
    return best;
}

static void draw_legend(const frame *f) {
    const clm_chart *c = f->chart;
    const double row = 20.0;
    double longest = 0;
    size_t rows = 0;
    for (size_t i = 0; i < c->series_count; i++) {
        if (c->series[i].count > 0) {
            longest = fmax(longest, letters(c->series[i].label));
            rows++;
        }
    }
    if (rows == 0) {
        return;
    }
    clm_box box =
        place_legend(f, 50.0 + longest * letter_width * tick_size, 10.0 + row * (double)rows);
    const clm_point corners[4] = {
        {box.left, box.top}, {box.right, box.top}, {box.right, box.bottom}, {box.left, box.bottom}};
    f->canvas->path(f->canvas, corners, 4, true,
                    &(clm_paint){.name = "legend",
                                 .width = 0.8,
                                 .line = 0xCCCCCC,
                                 .fills = true,
                                 .fill = 0xFFFFFF,
                                 .opacity = 0.9});
    double y = box.top + 5.0 + row / 2.0;
    /* The faint background comes last here, though it is drawn first. */
    for (size_t turn = 0; turn < 2 * c->series_count; turn++) {
        const clm_chart_series *s = &c->series[turn % c->series_count];
        if (s->count == 0 || s->is_faint != (turn >= c->series_count)) {
            continue;
        }
        const clm_point line[2] = {{box.left + 9.0, y}, {box.left + 35.0, y}};
        clm_paint paint = paint_of(s);
        paint.name = NULL;
        f->canvas->path(f->canvas, line, 2, false, &paint);
        if (has_room_for_markers(f, s)) {
            draw_marker(f, (clm_point){box.left + 22.0, y}, s->marker, s->colour, NULL);
        }
        f->canvas->text(
            f->canvas, (clm_point){box.left + 42.0, y + 0.36 * tick_size}, s->label,
            &(clm_text_style){.name = "legend-label", .size = tick_size, .colour = ink});
        y += row;
    }
}

/* Texts of the column must stand `row` apart: they are pushed down where they crowd, and the whole
 * lot up again where it leaves the frame. `order` sorts them from the top. */
static void spread(double *y, size_t count, double row, double bottom) {
    for (size_t i = 1; i < count; i++) {
        y[i] = fmax(y[i], y[i - 1] + row);
    }
    if (count > 0) {
        y[count - 1] = fmin(y[count - 1], bottom);
    }
    for (size_t i = count; i-- > 1;) {
        y[i - 1] = fmin(y[i - 1], y[i] - row);
    }
}

static void draw_finals(const frame *f) {
    enum { most = 8 };
    const clm_chart *c = f->chart;
    const clm_chart_final *sorted[most];
    double y[most];
    size_t count = 0;
    for (size_t i = 0; i < c->final_count && count < most; i++) {
        if (isnan(c->finals[i].value)) {
            continue;
        }
        size_t at = count++;
        for (; at > 0 && sorted[at - 1]->value < c->finals[i].value; at--) {
            sorted[at] = sorted[at - 1];
        }
        sorted[at] = &c->finals[i];
    }
    if (count == 0) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        y[i] = place(f, c->x_high, sorted[i]->value).y;
    }
    spread(y, count, 34.0, f->box.bottom - 18.0);
    const double x = f->box.right + 26.0;
    f->canvas->text(
        f->canvas, (clm_point){f->box.right + 10.0, f->box.top - 10.0}, "Final, full sets",
        &(clm_text_style){.name = "final-title", .size = tick_size, .colour = soft_ink});
    for (size_t i = 0; i < count; i++) {
        /* The value meets the axis where it belongs; the marker stands by its label, where no other
         * can hide it. */
        const double true_y = place(f, c->x_high, sorted[i]->value).y;
        const clm_point bend = {f->box.right + 7.0, true_y};
        draw_line(f, (clm_point){f->box.right - 5.0, true_y}, bend, sorted[i]->colour, 1.5);
        draw_line(f, bend, (clm_point){x - 5.0, y[i]}, sorted[i]->colour, 1.0);
        draw_marker(f, (clm_point){x, y[i]}, sorted[i]->marker, sorted[i]->colour, sorted[i]->name);
        clm_string value = {0};
        clm_number_add(&value, sorted[i]->value, 1, false);
        clm_string_add(&value, c->y_unit);
        f->canvas->text(f->canvas, (clm_point){x + 11.0, y[i] + 0.36 * tick_size}, sorted[i]->label,
                        &(clm_text_style){.name = "final-label", .size = tick_size, .colour = ink});
        if (clm_string_status(&value) == CLM_OK) {
            f->canvas->text(
                f->canvas, (clm_point){x + 11.0, y[i] + 1.5 * tick_size}, value.text,
                &(clm_text_style){
                    .name = "final-value", .size = tick_size, .colour = ink, .bold = true});
        }
        clm_string_free(&value);
    }
}

static void draw_heading(const frame *f) {
    const clm_chart *c = f->chart;
    f->canvas->text(f->canvas, (clm_point){f->box.left, 28.0}, c->title,
                    &(clm_text_style){.name = "title", .size = 16.0, .colour = ink, .bold = true});
    if (c->subtitle != NULL) {
        f->canvas->text(
            f->canvas, (clm_point){f->box.left, 47.0}, c->subtitle,
            &(clm_text_style){.name = "subtitle", .size = tick_size, .colour = soft_ink});
    }
    if (c->note != NULL) {
        f->canvas->text(f->canvas, (clm_point){f->box.left, CLM_CHART_HEIGHT - 10.0}, c->note,
                        &(clm_text_style){.name = "note", .size = 11.0, .colour = soft_ink});
    }
}

clm_status clm_chart_draw(const clm_chart *chart, clm_canvas *canvas) {
    frame f = {.chart = chart, .canvas = canvas};
    f.box = (clm_box){.left = 78.0,
                      .top = chart->top_scale > 0 ? 104.0 : 68.0,
                      .right = CLM_CHART_WIDTH - (chart->final_count > 0 ? 130.0 : 28.0),
                      .bottom = CLM_CHART_HEIGHT - 76.0};
    draw_heading(&f);
    draw_x_axis(&f);
    draw_y_axis(&f);
    draw_top_axis(&f);
    const clm_point corners[4] = {{f.box.left, f.box.top},
                                  {f.box.right, f.box.top},
                                  {f.box.right, f.box.bottom},
                                  {f.box.left, f.box.bottom}};
    canvas->path(canvas, corners, 4, true,
                 &(clm_paint){.name = "frame", .width = 1.0, .line = ink, .opacity = 1.0});
    for (size_t i = 0; i < chart->series_count; i++) {
        clm_status status = draw_series(&f, &chart->series[i]);
        if (status != CLM_OK) {
            return status;
        }
    }
    draw_legend(&f);
    draw_finals(&f);
    return CLM_OK;
}
