/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/reduce.h"

#include <math.h>

double clm_reference_reduce_sum(const float *x, size_t count) {
    double sum = 0.0;
    for (size_t i = 0; i < count; i++) {
        sum += (double)x[i];
    }
    return sum;
}

double clm_reference_reduce_square_sum(const float *x, size_t count) {
    double sum = 0.0;
    for (size_t i = 0; i < count; i++) {
        sum += (double)x[i] * (double)x[i];
    }
    return sum;
}

double clm_reference_reduce_nonfinite(const float *x, size_t count) {
    double sum = 0.0;
    for (size_t i = 0; i < count; i++) {
        sum += isfinite(x[i]) ? 0.0 : 1.0;
    }
    return sum;
}

void clm_reference_reduce_columns(float *out, const float *x, int rows, int N, bool accumulate) {
    for (int n = 0; n < N; n++) {
        double sum = accumulate ? (double)out[n] : 0.0;
        for (ptrdiff_t r = 0; r < rows; r++) {
            sum += (double)x[r * N + n];
        }
        out[n] = (float)sum;
    }
}
