/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/rmsnorm.h"

#include <math.h>
#include <stddef.h>

void clm_reference_rmsnorm_forward(double *out, double *rrms, const double *x, const double *weight,
                                   int rows, int C, double epsilon) {
    for (ptrdiff_t row = 0; row < rows; row++) {
        double squares = 0.0;
        for (int c = 0; c < C; c++) {
            squares += x[row * C + c] * x[row * C + c];
        }
        const double scale = 1.0 / sqrt(squares / C + epsilon);
        for (int c = 0; c < C; c++) {
            out[row * C + c] = x[row * C + c] * scale * weight[c];
        }
        if (rrms != NULL) {
            rrms[row] = scale;
        }
    }
}

/* With y = x r, r = rrms and g = dout weight: dx = r (g - y mean(g y)), dweight += dout y. */
void clm_reference_rmsnorm_backward(double *dx, double *dweight, const double *dout,
                                    const double *x, const double *weight, const double *rrms,
                                    const double *dresidual, int rows, int C) {
    for (ptrdiff_t row = 0; row < rows; row++) {
        const double r = rrms[row];
        double gy = 0.0;
        for (int c = 0; c < C; c++) {
            gy += dout[row * C + c] * weight[c] * x[row * C + c] * r;
        }
        for (int c = 0; c < C; c++) {
            const ptrdiff_t at = row * C + c;
            const double past = dresidual != NULL ? dresidual[at] : 0.0;
            if (dweight != NULL) {
                dweight[c] += dout[at] * x[at] * r;
            }
            if (dx != NULL) {
                dx[at] = r * (dout[at] * weight[c] - x[at] * r * gy / C) + past;
            }
        }
    }
}
