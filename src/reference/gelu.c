/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/gelu.h"

#include <math.h>

static const double root_2_pi = 0.79788456080286535588; /* sqrt(2/pi) */
static const double cubic = 0.044715;

double clm_reference_gelu(double x) {
    return 0.5 * x * (1.0 + tanh(root_2_pi * (x + cubic * x * x * x)));
}

/* 0.5 (1 + t) + 0.5 x (1 - t^2) u' with t = tanh(u); 1 - t^2 as 1 / cosh^2, which does not cancel.
 */
double clm_reference_gelu_derivative(double x) {
    double u = root_2_pi * (x + cubic * x * x * x);
    double du = root_2_pi * (1.0 + 3.0 * cubic * x * x);
    double step = 0.5 * (1.0 + tanh(u));
    if (fabs(u) > 350.0) {
        return step; /* cosh^2 would overflow; the bell is 0 there */
    }
    return step + 0.5 * x * du / (cosh(u) * cosh(u));
}

void clm_reference_gelu_forward(double *out, const double *x, size_t count) {
    for (size_t i = 0; i < count; i++) {
        out[i] = clm_reference_gelu(x[i]);
    }
}

void clm_reference_gelu_backward(double *dx, const double *dout, const double *x, size_t count) {
    for (size_t i = 0; i < count; i++) {
        dx[i] = dout[i] * clm_reference_gelu_derivative(x[i]);
    }
}
