/* SPDX-License-Identifier: Apache-2.0 */
#include "report/canvas.h"

clm_status clm_canvas_finish(clm_canvas *canvas, clm_string *out) {
    return canvas->finish(canvas, out);
}

void clm_canvas_close(clm_canvas *canvas) {
    if (canvas != NULL) {
        canvas->close(canvas);
    }
}
