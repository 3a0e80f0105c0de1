/* A gated unit: silu(gate) * up, silu(x) = x s(x), s(x) = 1 / (1 + exp(-x)) (Shazeer 2020).
 *
 *     forward   out = gate s up                        out may be gate or up
 *     backward  dgate = dout up s (1 + gate (1 - s))   dgate may be dout
 *               dup = dout gate s
 *
 * Shapes: flat, `count` elements. Work: as gelu.cl.
 * Accuracy: s and 1 - s come from the same exp(-|x|), so nothing cancels: a few units of 1e-7 of
 * |gate up| forward, of |dout up| max(1, |gate|) and |dout gate| backward.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "common.clh"

/* s = s(x), from `large` and `small`, one of which it is; the other is 1 - s. */
#define SIGMOID(FLOAT, exp_negative, reciprocal, x, s)           \
    const FLOAT e = exp_negative(-fabs(x));                      \
    const FLOAT large = reciprocal(e + 1.0F), small = e * large; \
    const FLOAT s = (x) < 0.0F ? small : large
#define reciprocalw CLM_PASTE(clm_reciprocal, WIDTH)

__kernel __attribute__((reqd_work_group_size(LOCAL, 1, 1))) void silu_gate_forward(
    __global float *out, __global const float *gate, __global const float *up, const ulong count,
    const ulong range) {
    CLM_FOR_RANGE(
        {
            const floatw x = loadw(gate, i);
            SIGMOID(floatw, exp_negativew, reciprocalw, x, s);
            storew(x * s * loadw(up, i), out, i);
        },
        {
            const float x = gate[i];
            SIGMOID(float, clm_exp_negative1, clm_reciprocal1, x, s);
            out[i] = x * s * up[i];
        })
}

__kernel __attribute__((reqd_work_group_size(LOCAL, 1, 1))) void silu_gate_backward(
    __global float *dgate, __global float *dup, __global const float *dout,
    __global const float *gate, __global const float *up, const int want_dgate, const int want_dup,
    const ulong count, const ulong range) {
    CLM_FOR_RANGE(
        {
            const floatw x = loadw(gate, i);
            const floatw d = loadw(dout, i);
            SIGMOID(floatw, exp_negativew, reciprocalw, x, s);
            const floatw rest = x < 0.0F ? large : small;
            if (want_dgate) {
                storew(d * loadw(up, i) * (s * (x * rest + 1.0F)), dgate, i);
            }
            if (want_dup) {
                storew(d * (x * s), dup, i);
            }
        },
        {
            const float x = gate[i];
            const float d = dout[i];
            SIGMOID(float, clm_exp_negative1, clm_reciprocal1, x, s);
            const float rest = x < 0.0F ? large : small;
            if (want_dgate) {
                dgate[i] = d * up[i] * (s * (x * rest + 1.0F));
            }
            if (want_dup) {
                dup[i] = d * (x * s);
            }
        })
}
