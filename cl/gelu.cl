/* GELU, tanh form (Hendrycks and Gimpel 2016).
 *
 *     forward   out = gelu(x) = 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))
 *     backward  dx = dout gelu'(x); dx may be dout
 *
 * Shapes: flat, `count` elements. Work: a group of LOCAL items for each `range` elements; on CPUs,
 * where LOCAL is 1, an item has a long range; otherwise the constants of the loop over the rest
 * would be loaded again for each vector.
 * Accuracy: that of common.clh, 5e-7 * max(1, |x|) forward, 1e-6 |dout| backward.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "common.clh"

__kernel __attribute__((reqd_work_group_size(LOCAL, 1, 1))) void gelu_forward(
    __global float *out, __global const float *x, const ulong count, const ulong range) {
    CLM_FOR_RANGE({ storew(geluw(loadw(x, i)), out, i); }, { out[i] = clm_gelu1(x[i]); })
}

__kernel __attribute__((reqd_work_group_size(LOCAL, 1, 1))) void gelu_backward(
    __global float *dx, __global const float *dout, __global const float *x, const ulong count,
    const ulong range) {
    CLM_FOR_RANGE({ storew(loadw(dout, i) * gelu_derivativew(loadw(x, i)), dx, i); },
              { dx[i] = dout[i] * clm_gelu_derivative1(x[i]); })
}
