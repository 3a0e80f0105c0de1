/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"
#include "report/canvas.h"
#include "report/markup.h"
#include "report/number.h"

typedef struct svg_canvas {
    clm_canvas canvas; /* first: the operations cast back */
    clm_string body;
    bool clipping;
    int clips;
} svg_canvas;

static void add_number(clm_string *out, double value) {
    clm_number_add(out, value, 2, false);
}

static void add_attribute(clm_string *out, const char *name, double value) {
    clm_string_add_format(out, " %s=\"", name);
    add_number(out, value);
    clm_string_add(out, "\"");
}

static void add_class(clm_string *out, const char *name) {
    if (name != NULL) {
        clm_string_add_format(out, " class=\"%s\"", name);
    }
}

/* Ends the element. */
static void add_paint(clm_string *out, const clm_paint *paint, const char *element) {
    if (paint->fills) {
        clm_string_add_format(out, " fill=\"#%06x\"", paint->fill);
    } else {
        clm_string_add(out, " fill=\"none\"");
    }
    if (paint->width > 0) {
        clm_string_add_format(out, " stroke=\"#%06x\"", paint->line);
        add_attribute(out, "stroke-width", paint->width);
        clm_string_add(out, " stroke-linejoin=\"round\" stroke-linecap=\"round\"");
    }
    if (paint->opacity < 1.0) {
        add_attribute(out, "opacity", paint->opacity);
    }
    if (paint->tip != NULL) {
        clm_string_add(out, "><title>");
        clm_markup_add(out, paint->tip);
        clm_string_add_format(out, "</title></%s>\n", element);
    } else {
        clm_string_add(out, "/>\n");
    }
}

static void svg_path(clm_canvas *canvas, const clm_point *points, size_t count, bool closed,
                     const clm_paint *paint) {
    clm_string *out = &((svg_canvas *)canvas)->body;
    clm_string_add(out, "<path");
    add_class(out, paint->name);
    clm_string_add(out, " d=\"");
    for (size_t i = 0; i < count; i++) {
        clm_string_add(out, i == 0 ? "M" : "L");
        add_number(out, points[i].x);
        clm_string_add(out, " ");
        add_number(out, points[i].y);
    }
    clm_string_add(out, closed ? "Z\"" : "\"");
    add_paint(out, paint, "path");
}

static void svg_circle(clm_canvas *canvas, clm_point centre, double radius,
                       const clm_paint *paint) {
    clm_string *out = &((svg_canvas *)canvas)->body;
    clm_string_add(out, "<circle");
    add_class(out, paint->name);
    add_attribute(out, "cx", centre.x);
    add_attribute(out, "cy", centre.y);
    add_attribute(out, "r", radius);
    add_paint(out, paint, "circle");
}

static void svg_text(clm_canvas *canvas, clm_point at, const char *text,
                     const clm_text_style *style) {
    static const char *const anchors[] = {"start", "middle", "end"};
    clm_string *out = &((svg_canvas *)canvas)->body;
    clm_string_add(out, "<text");
    add_class(out, style->name);
    add_attribute(out, "x", at.x);
    add_attribute(out, "y", at.y);
    add_attribute(out, "font-size", style->size);
    clm_string_add_format(out, " fill=\"#%06x\" text-anchor=\"%s\"", style->colour,
                          anchors[style->anchor]);
    if (style->bold) {
        clm_string_add(out, " font-weight=\"bold\"");
    }
    if (style->upwards) {
        clm_string_add(out, " transform=\"rotate(-90 ");
        add_number(out, at.x);
        clm_string_add(out, " ");
        add_number(out, at.y);
        clm_string_add(out, ")\"");
    }
    clm_string_add(out, ">");
    clm_markup_add(out, text);
    clm_string_add(out, "</text>\n");
}

static void svg_clip(clm_canvas *canvas, const clm_box *box) {
    svg_canvas *svg = (svg_canvas *)canvas;
    clm_string *out = &svg->body;
    if (svg->clipping) {
        clm_string_add(out, "</g>\n");
    }
    svg->clipping = box != NULL;
    if (box != NULL) {
        svg->clips++;
        clm_string_add_format(out, "<clipPath id=\"clip%d\"><rect", svg->clips);
        add_attribute(out, "x", box->left);
        add_attribute(out, "y", box->top);
        add_attribute(out, "width", box->right - box->left);
        add_attribute(out, "height", box->bottom - box->top);
        clm_string_add_format(out, "/></clipPath>\n<g clip-path=\"url(#clip%d)\">\n", svg->clips);
    }
}

static clm_status svg_finish(clm_canvas *canvas, clm_string *out) {
    clm_string *body = &((svg_canvas *)canvas)->body;
    clm_string_add(body, "</svg>\n");
    clm_status status = clm_string_status(body);
    if (status == CLM_OK) {
        clm_string_add_bytes(out, body->text, body->length);
        status = clm_string_status(out);
    }
    return status;
}

static void svg_close(clm_canvas *canvas) {
    clm_string_free(&((svg_canvas *)canvas)->body);
    clm_free(canvas);
}

static clm_status open_svg(clm_canvas **canvas, double width, double height, const char *title,
                           bool is_part) {
    *canvas = NULL;
    svg_canvas *svg = NULL;
    clm_status status = clm_allocate(&svg, 1, sizeof *svg, "a plot");
    if (status != CLM_OK) {
        return status;
    }
    svg->canvas = (clm_canvas){.path = svg_path,
                               .circle = svg_circle,
                               .text = svg_text,
                               .clip = svg_clip,
                               .finish = svg_finish,
                               .close = svg_close};
    clm_string *out = &svg->body;
    if (!is_part) {
        clm_string_add(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    }
    clm_string_add(out, "<svg xmlns=\"http://www.w3.org/2000/svg\"");
    add_attribute(out, "width", width);
    add_attribute(out, "height", height);
    clm_string_add(out, " viewBox=\"0 0 ");
    add_number(out, width);
    clm_string_add(out, " ");
    add_number(out, height);
    if (is_part) {
        clm_string_add(out, "\" role=\"img\" aria-label=\"");
        clm_markup_add(out, title);
        clm_string_add(out, "\">\n");
    } else {
        clm_string_add(out,
                       "\" font-family=\"DejaVu Sans, Verdana, Helvetica, Arial, sans-serif\">\n"
                       "<title>");
        clm_markup_add(out, title);
        clm_string_add(out, "</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n");
    }
    *canvas = &svg->canvas;
    return CLM_OK;
}

clm_status clm_canvas_open_svg(clm_canvas **canvas, double width, double height,
                               const char *title) {
    return open_svg(canvas, width, height, title, false);
}

clm_status clm_canvas_open_svg_part(clm_canvas **canvas, double width, double height,
                                    const char *title) {
    return open_svg(canvas, width, height, title, true);
}
