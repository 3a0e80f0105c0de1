/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/linear.h"

#include <stddef.h>

/* Where the weight from input k to output n stands. */
static size_t place(bool out_in, int k, int n, int K, int N) {
    return out_in ? (size_t)n * (size_t)K + (size_t)k : (size_t)k * (size_t)N + (size_t)n;
}

void clm_reference_linear_forward(double *out, const double *x, const double *weight,
                                  const double *bias, bool out_in, int rows, int K, int N) {
    for (ptrdiff_t row = 0; row < rows; row++) {
        for (int n = 0; n < N; n++) {
            double sum = bias != NULL ? bias[n] : 0.0;
            for (int k = 0; k < K; k++) {
                sum += x[row * K + k] * weight[place(out_in, k, n, K, N)];
            }
            out[row * N + n] = sum;
        }
    }
}

void clm_reference_linear_backward(double *dx, double *dweight, double *dbias, const double *dout,
                                   const double *x, const double *weight, bool out_in, int rows,
                                   int K, int N) {
    for (ptrdiff_t row = 0; row < rows; row++) {
        for (int k = 0; dx != NULL && k < K; k++) {
            double sum = 0.0;
            for (int n = 0; n < N; n++) {
                sum += dout[row * N + n] * weight[place(out_in, k, n, K, N)];
            }
            dx[row * K + k] = sum;
        }
        for (int k = 0; dweight != NULL && k < K; k++) {
            for (int n = 0; n < N; n++) {
                dweight[place(out_in, k, n, K, N)] += x[row * K + k] * dout[row * N + n];
            }
        }
        for (int n = 0; dbias != NULL && n < N; n++) {
            dbias[n] += dout[row * N + n];
        }
    }
}
