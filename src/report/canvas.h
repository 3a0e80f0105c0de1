/* A canvas for charts: four operations, implemented by an SVG writer, whose text stays text, and by
 * cairo for PDF and PNG. Units are points (1/72 inch) from the upper left corner, y downwards.
 * Errors are kept until clm_canvas_finish().
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_REPORT_CANVAS_H
#define CLM_REPORT_CANVAS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/string.h"

typedef struct clm_point {
    double x;
    double y;
} clm_point;

typedef struct clm_box {
    double left;
    double top;
    double right;
    double bottom;
} clm_box;

/* Lines are drawn when `width` is over 0, the inside is filled when `fills`. Colours are 0xRRGGBB.
 * `name`, when there is one, becomes the class of the SVG element, and `tip` its tooltip. */
typedef struct clm_paint {
    const char *name;
    double width;
    uint32_t line;
    bool fills;
    uint32_t fill;
    double opacity; /* of both */
    const char *tip;
} clm_paint;

typedef enum clm_anchor { CLM_ANCHOR_START, CLM_ANCHOR_MIDDLE, CLM_ANCHOR_END } clm_anchor;

typedef struct clm_text_style {
    const char *name; /* as in clm_paint */
    double size;
    uint32_t colour;
    clm_anchor anchor;
    bool bold;
    bool upwards; /* rotated by 90 degrees, reading upwards */
} clm_text_style;

typedef struct clm_canvas clm_canvas;

struct clm_canvas {
    void (*path)(clm_canvas *canvas, const clm_point *points, size_t count, bool closed,
                 const clm_paint *paint);
    void (*circle)(clm_canvas *canvas, clm_point centre, double radius, const clm_paint *paint);
    /* `at` is the anchor on the baseline. */
    void (*text)(clm_canvas *canvas, clm_point at, const char *text, const clm_text_style *style);
    /* Clips everything that follows to the box, until called with NULL. Boxes do not nest. */
    void (*clip)(clm_canvas *canvas, const clm_box *box);
    clm_status (*finish)(clm_canvas *canvas, clm_string *out);
    void (*close)(clm_canvas *canvas);
};

/* `title` is for readers of the document's properties. Free with clm_canvas_close(). */
clm_status clm_canvas_open_svg(clm_canvas **canvas, double width, double height, const char *title);
/* An <svg> element to stand in an HTML page: without a background, in the page's font, and the
 * page's style sheet may change the colours by class. `title` is for screen readers. Boxes for
 * clip() have names that are unique in one element only, so none may be used. */
clm_status clm_canvas_open_svg_part(clm_canvas **canvas, double width, double height,
                                    const char *title);
clm_status clm_canvas_open_pdf(clm_canvas **canvas, double width, double height, const char *title);
/* Two pixels a point. */
clm_status clm_canvas_open_png(clm_canvas **canvas, double width, double height, const char *title);

/* The finished document is added to `out`; nothing can be drawn any more. */
clm_status clm_canvas_finish(clm_canvas *canvas, clm_string *out);
void clm_canvas_close(clm_canvas *canvas); /* NULL is fine */

#endif
