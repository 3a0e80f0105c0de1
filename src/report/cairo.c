/* PDF and PNG by cairo. Its toy text interface is enough: one face, Latin digits and letters.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "report/canvas.h"

#if CLM_WITH_CAIRO

#include <cairo-pdf.h>
#include <cairo.h>

#include "base/memory.h"

static const double half_pi = 1.5707963267948966;

typedef struct cairo_canvas {
    clm_canvas canvas; /* first: the operations cast back */
    cairo_surface_t *surface;
    cairo_t *cairo;
    clm_string bytes;
    bool is_png;
} cairo_canvas;

static cairo_t *cairo_of(clm_canvas *canvas) {
    return ((cairo_canvas *)canvas)->cairo;
}

static cairo_status_t keep(void *closure, const unsigned char *bytes, unsigned int count) {
    clm_string_add_bytes(closure, bytes, count);
    return clm_string_status(closure) == CLM_OK ? CAIRO_STATUS_SUCCESS : CAIRO_STATUS_NO_MEMORY;
}

static void set_colour(cairo_t *cairo, uint32_t rgb, double opacity) {
    cairo_set_source_rgba(cairo, (rgb >> 16 & 0xFF) / 255.0, (rgb >> 8 & 0xFF) / 255.0,
                          (rgb & 0xFF) / 255.0, opacity);
}

static void paint_path(cairo_t *cairo, const clm_paint *paint) {
    if (paint->fills) {
        set_colour(cairo, paint->fill, paint->opacity);
        cairo_fill_preserve(cairo);
    }
    if (paint->width > 0) {
        set_colour(cairo, paint->line, paint->opacity);
        cairo_set_line_width(cairo, paint->width);
        cairo_stroke_preserve(cairo);
    }
    cairo_new_path(cairo);
}

static void draw_path(clm_canvas *canvas, const clm_point *points, size_t count, bool closed,
                      const clm_paint *paint) {
    cairo_t *cairo = cairo_of(canvas);
    cairo_new_path(cairo);
    for (size_t i = 0; i < count; i++) {
        cairo_line_to(cairo, points[i].x, points[i].y);
    }
    if (closed) {
        cairo_close_path(cairo);
    }
    paint_path(cairo, paint);
}

static void draw_circle(clm_canvas *canvas, clm_point centre, double radius,
                        const clm_paint *paint) {
    cairo_t *cairo = cairo_of(canvas);
    cairo_new_path(cairo);
    cairo_arc(cairo, centre.x, centre.y, radius, 0.0, 4.0 * half_pi);
    cairo_close_path(cairo);
    paint_path(cairo, paint);
}

static void draw_text(clm_canvas *canvas, clm_point at, const char *text,
                      const clm_text_style *style) {
    cairo_t *cairo = cairo_of(canvas);
    cairo_save(cairo);
    cairo_select_font_face(cairo, "sans-serif", CAIRO_FONT_SLANT_NORMAL,
                           style->bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(cairo, style->size);
    cairo_text_extents_t extents;
    cairo_text_extents(cairo, text, &extents);
    cairo_translate(cairo, at.x, at.y);
    if (style->upwards) {
        cairo_rotate(cairo, -half_pi);
    }
    double part = style->anchor == CLM_ANCHOR_START    ? 0.0
                  : style->anchor == CLM_ANCHOR_MIDDLE ? 0.5
                                                       : 1.0;
    cairo_move_to(cairo, -part * extents.x_advance, 0.0);
    set_colour(cairo, style->colour, 1.0);
    cairo_show_text(cairo, text);
    cairo_restore(cairo);
}

static void draw_clip(clm_canvas *canvas, const clm_box *box) {
    cairo_t *cairo = cairo_of(canvas);
    cairo_reset_clip(cairo);
    if (box != NULL) {
        cairo_rectangle(cairo, box->left, box->top, box->right - box->left, box->bottom - box->top);
        cairo_clip(cairo);
    }
}

static clm_status check(cairo_status_t code) {
    if (code == CAIRO_STATUS_SUCCESS) {
        return CLM_OK;
    }
    return clm_fail(code == CAIRO_STATUS_NO_MEMORY ? CLM_ERROR_MEMORY : CLM_ERROR_IO,
                    "a plot cannot be drawn: cairo says \"%s\"", cairo_status_to_string(code));
}

static clm_status finish_cairo(clm_canvas *canvas, clm_string *out) {
    cairo_canvas *self = (cairo_canvas *)canvas;
    clm_status status = CLM_OK;
    CLM_TRY(check(cairo_status(self->cairo)));
    if (self->is_png) {
        CLM_TRY(check(cairo_surface_write_to_png_stream(self->surface, keep, &self->bytes)));
    }
    cairo_surface_finish(self->surface);
    CLM_TRY(check(cairo_surface_status(self->surface)));
    clm_string_add_bytes(out, self->bytes.text, self->bytes.length);
    CLM_TRY(clm_string_status(out));
cleanup:
    return status;
}

static void close_cairo(clm_canvas *canvas) {
    cairo_canvas *self = (cairo_canvas *)canvas;
    /* The surface may still write into `bytes` while it goes. */
    cairo_destroy(self->cairo);
    cairo_surface_destroy(self->surface);
    clm_string_free(&self->bytes);
    clm_free(self);
}

static clm_status open_cairo(clm_canvas **canvas, double width, double height, const char *title,
                             bool is_png) {
    *canvas = NULL;
    cairo_canvas *self = NULL;
    clm_status status = clm_allocate(&self, 1, sizeof *self, "a plot");
    if (status != CLM_OK) {
        return status;
    }
    self->is_png = is_png;
    self->canvas = (clm_canvas){.path = draw_path,
                                .circle = draw_circle,
                                .text = draw_text,
                                .clip = draw_clip,
                                .finish = finish_cairo,
                                .close = close_cairo};
    const double pixels_a_point = 2.0;
    if (is_png) {
        self->surface = cairo_image_surface_create(
            CAIRO_FORMAT_RGB24, (int)(pixels_a_point * width), (int)(pixels_a_point * height));
    } else {
        self->surface = cairo_pdf_surface_create_for_stream(keep, &self->bytes, width, height);
        cairo_pdf_surface_set_metadata(self->surface, CAIRO_PDF_METADATA_TITLE, title);
        /* The time of drawing would make every file another one. */
        cairo_pdf_surface_set_metadata(self->surface, CAIRO_PDF_METADATA_CREATE_DATE, "");
    }
    self->cairo = cairo_create(self->surface);
    if (is_png) {
        cairo_scale(self->cairo, pixels_a_point, pixels_a_point);
    }
    cairo_set_line_cap(self->cairo, CAIRO_LINE_CAP_ROUND);
    cairo_set_line_join(self->cairo, CAIRO_LINE_JOIN_ROUND);
    /* Hinted widths depend on the scale; without, text stands alike in PDF and PNG. */
    cairo_font_options_t *fonts = cairo_font_options_create();
    cairo_font_options_set_hint_metrics(fonts, CAIRO_HINT_METRICS_OFF);
    cairo_font_options_set_hint_style(fonts, CAIRO_HINT_STYLE_NONE);
    cairo_set_font_options(self->cairo, fonts);
    cairo_font_options_destroy(fonts);
    set_colour(self->cairo, 0xFFFFFF, 1.0);
    cairo_paint(self->cairo);
    status = check(cairo_status(self->cairo));
    if (status != CLM_OK) {
        close_cairo(&self->canvas);
        return status;
    }
    *canvas = &self->canvas;
    return CLM_OK;
}

clm_status clm_canvas_open_pdf(clm_canvas **canvas, double width, double height,
                               const char *title) {
    return open_cairo(canvas, width, height, title, false);
}

clm_status clm_canvas_open_png(clm_canvas **canvas, double width, double height,
                               const char *title) {
    return open_cairo(canvas, width, height, title, true);
}

#else

static clm_status not_built(clm_canvas **canvas) {
    *canvas = NULL;
    return clm_fail(CLM_ERROR_UNSUPPORTED,
                    "this clm was built without cairo, so it draws SVG only: configure with "
                    "-DCLM_WITH_CAIRO=ON for PDF and PNG");
}

clm_status clm_canvas_open_pdf(clm_canvas **canvas, double width, double height,
                               const char *title) {
    (void)width, (void)height, (void)title;
    return not_built(canvas);
}

clm_status clm_canvas_open_png(clm_canvas **canvas, double width, double height,
                               const char *title) {
    (void)width, (void)height, (void)title;
    return not_built(canvas);
}

#endif
