/* A chart: lines in a frame, a legend, a second x axis above, final results in a column on the
 * right. Drawn on any canvas.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_REPORT_CHART_H
#define CLM_REPORT_CHART_H

#include "report/canvas.h"

enum { CLM_CHART_WIDTH = 760, CLM_CHART_HEIGHT = 480 }; /* points */

typedef enum clm_marker {
    CLM_MARKER_NONE,
    CLM_MARKER_CIRCLE,
    CLM_MARKER_SQUARE,
    CLM_MARKER_DIAMOND
} clm_marker;

/* x must rise; a point whose y is NaN breaks the line. The points are lent. */
typedef struct clm_chart_series {
    const char *name;  /* a class in SVG */
    const char *label; /* in the legend */
    const clm_point *points;
    size_t count;
    uint32_t colour;
    clm_marker marker; /* left out when the points are too close */
    bool is_faint;     /* the background of another series */
} clm_chart_series;

typedef struct clm_chart_final {
    const char *name;
    const char *label;
    double value; /* not drawn when NaN */
    uint32_t colour;
    clm_marker marker;
} clm_chart_final;

typedef struct clm_chart {
    const char *title;
    const char *subtitle; /* these may be NULL: ... */
    const char *note;     /* ... and this one; below on the left */
    const char *x_label;
    const char *y_label;
    const char *y_unit;    /* after each tick of y, "%" or "" */
    const char *top_label; /* of the axis above, whose values are x * top_scale */
    double top_scale;      /* 0: no axis above */
    bool x_is_whole;       /* ticks of x at whole numbers only */
    double x_low, x_high;
    double y_low, y_high;           /* everything outside is clipped */
    const clm_chart_series *series; /* drawn in this order */
    size_t series_count;
    const clm_chart_final *finals;
    size_t final_count;
} clm_chart;

/* A marker alone. */
void clm_chart_draw_marker(clm_canvas *canvas, clm_point at, clm_marker marker,
                           const clm_paint *paint);

clm_status clm_chart_draw(const clm_chart *chart, clm_canvas *canvas);

#endif
