/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/layernorm.h"

#include <math.h>
#include <stddef.h>

void clm_reference_layernorm_forward(double *out, double *mean, double *rstd, const double *x,
                                     const double *weight, const double *bias, int rows, int C,
                                     double epsilon) {
    for (int row = 0; row < rows; row++) {
        const double *from = x + (size_t)row * (size_t)C;
        double *to = out + (size_t)row * (size_t)C;
        double sum = 0.0, squares = 0.0;
        for (int c = 0; c < C; c++) {
            sum += from[c];
        }
        const double middle = sum / C;
        for (int c = 0; c < C; c++) {
            squares += (from[c] - middle) * (from[c] - middle);
        }
        const double scale = 1.0 / sqrt(squares / C + epsilon);
        for (int c = 0; c < C; c++) {
            to[c] = (from[c] - middle) * scale * weight[c] + bias[c];
        }
        if (mean != NULL) {
            mean[row] = middle;
        }
        if (rstd != NULL) {
            rstd[row] = scale;
        }
    }
}

void clm_reference_layernorm_backward(double *dx, double *dweight, double *dbias,
                                      const double *dout, const double *x, const double *weight,
                                      const double *mean, const double *rstd,
                                      const double *dresidual, int rows, int C) {
    for (int row = 0; row < rows; row++) {
        const size_t at = (size_t)row * (size_t)C;
        double g_sum = 0.0, g_xhat_sum = 0.0;
        for (int c = 0; c < C; c++) {
            const double xhat = (x[at + (size_t)c] - mean[row]) * rstd[row];
            const double g = dout[at + (size_t)c] * weight[c];
            g_sum += g;
            g_xhat_sum += g * xhat;
            if (dweight != NULL) {
                dweight[c] += dout[at + (size_t)c] * xhat;
            }
            if (dbias != NULL) {
                dbias[c] += dout[at + (size_t)c];
            }
        }
        for (int c = 0; dx != NULL && c < C; c++) {
            const double xhat = (x[at + (size_t)c] - mean[row]) * rstd[row];
            const double g = dout[at + (size_t)c] * weight[c];
            dx[at + (size_t)c] = rstd[row] * (g - g_sum / C - xhat * g_xhat_sum / C) +
                                 (dresidual != NULL ? dresidual[at + (size_t)c] : 0.0);
        }
    }
}
