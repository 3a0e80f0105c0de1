/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/linear.h"

#include <stddef.h>

void clm_reference_linear_forward(float *out, const float *x, const float *weight,
                                  const float *bias, int rows, int K, int N) {
    for (int row = 0; row < rows; row++) {
        for (int n = 0; n < N; n++) {
            double sum = bias != NULL ? bias[n] : 0.0;
            for (int k = 0; k < K; k++) {
                sum += (double)x[row * K + k] * weight[k * N + n];
            }
            out[row * N + n] = (float)sum;
        }
    }
}

void clm_reference_linear_backward(float *dx, float *dweight, float *dbias, const float *dout,
                                   const float *x, const float *weight, int rows, int K, int N) {
    for (int row = 0; dx != NULL && row < rows; row++) {
        for (int k = 0; k < K; k++) {
            double sum = 0.0;
            for (int n = 0; n < N; n++) {
                sum += (double)dout[row * N + n] * weight[k * N + n];
            }
            dx[row * K + k] = (float)sum;
        }
    }
    for (int k = 0; dweight != NULL && k < K; k++) {
        for (int n = 0; n < N; n++) {
            double sum = dweight[k * N + n];
            for (int row = 0; row < rows; row++) {
                sum += (double)x[row * K + k] * dout[row * N + n];
            }
            dweight[k * N + n] = (float)sum;
        }
    }
    for (int n = 0; dbias != NULL && n < N; n++) {
        double sum = dbias[n];
        for (int row = 0; row < rows; row++) {
            sum += dout[row * N + n];
        }
        dbias[n] = (float)sum;
    }
}
