/* RMSNorm (Zhang and Sennrich 2019) over rows of C.
 *
 *     forward   y = x * rrms, rrms = 1 / sqrt(mean(x^2) + epsilon);  out = y * weight
 *     backward  g = dout * weight
 *               dx = rrms * (g - y * mean(g * y)) [+ dresidual]
 *               parts (groups,C)[p] = sum of dout * y over the rows of group p
 *
 * The host adds the parts up. Shapes: x, out, dx, dout, dresidual (rows,C); rrms (rows); weight
 * (C). dx may be dresidual.
 *
 * Work: groups of LOCAL items, each group for `group_rows` rows, each item for the same columns of
 * every row.
 * Accuracy: a few roundings, relative to |y weight|; squares of numbers over 1e19 overflow.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "common.clh"
#include "norm.clh"

/* Whether the backward kernel gives dweight. */
#ifndef WANT_DWEIGHT
#define WANT_DWEIGHT 1
#endif

__kernel __attribute__((reqd_work_group_size(LOCAL, 1, 1))) void rmsnorm_forward(
    __global float *restrict out, __global float *restrict rrms, __global const float *restrict x,
    __global const float *restrict weight, const int rows, const int C, const float epsilon,
    const int group_rows, const int keep) {
    __local float scratch[LOCAL];
    const int item = (int)get_local_id(0);
    const int whole = C - C % WIDTH;
    const int chained = C - C % (CHAINS * STRIDE);
    const int begin = (int)get_group_id(0) * group_rows;
    const int end = min(group_rows, rows - begin) + begin;
    for (int row = begin; row < end; row++) {
        __global const float *from = x + (size_t)row * C;
        __global float *to = out + (size_t)row * C;
        floatw lanes[CHAINS];
        float rest = 0.0F;
        clear_chains(lanes);
        FOR_SUMS(from, { lanes[chain] += v * v; }, { rest += from[c] * from[c]; })
        const float squares = clm_group_sum(sum_chains(lanes) + rest, scratch) / C;
        const float scale = 1.0F / sqrt(squares + epsilon);
        FOR_COLUMNS({ storew(loadw(from, c) * scale * loadw(weight, c), to, c); },
                    { to[c] = from[c] * scale * weight[c]; })
        if (keep && item == 0) {
            rrms[row] = scale;
        }
    }
}

/* dx only where want_dx; its sum is there in any case, because PoCL 3.1 miscompiles a barrier below
 * a condition, though all items take the same side. */
__kernel __attribute__((reqd_work_group_size(LOCAL, 1, 1))) void rmsnorm_backward(
    __global float *dx, __global float *restrict parts, const ulong offset,
    __global const float *restrict dout, __global const float *restrict x,
    __global const float *restrict weight, __global const float *restrict rrms,
    __global const float *dresidual, const int rows, const int C, const int group_rows,
    const int want_dx, const int has_residual) {
    __local float scratch[LOCAL];
    const int item = (int)get_local_id(0);
    const int whole = C - C % WIDTH;
    const int begin = (int)get_group_id(0) * group_rows;
    const int end = min(group_rows, rows - begin) + begin;
    __global float *dweight = parts + offset + (size_t)get_group_id(0) * C;
#if WANT_DWEIGHT
    FOR_COLUMNS({ storew((floatw)(0.0F), dweight, c); }, { dweight[c] = 0.0F; })
#endif
    for (int row = begin; row < end; row++) {
        __global const float *from = x + (size_t)row * C;
        __global const float *dfrom = dout + (size_t)row * C;
        __global const float *residual = dresidual + (size_t)row * C;
        __global float *to = dx + (size_t)row * C;
        const float scale = rrms[row];
        floatw lanes = (floatw)(0.0F);
        float rest = 0.0F;
        FOR_COLUMNS(
            {
                const floatw d = loadw(dfrom, c);
                const floatw y = loadw(from, c) * scale;
                lanes += d * loadw(weight, c) * y;
                if (WANT_DWEIGHT) {
                    storew(d * y + loadw(dweight, c), dweight, c);
                }
            },
            {
                const float y = from[c] * scale;
                rest += dfrom[c] * weight[c] * y;
                if (WANT_DWEIGHT) {
                    dweight[c] += dfrom[c] * y;
                }
            })
        const float gy_mean = clm_group_sum(sumw(lanes) + rest, scratch) / C;
        if (want_dx) {
            FOR_COLUMNS(
                {
                    const floatw y = loadw(from, c) * scale;
                    const floatw g = loadw(dfrom, c) * loadw(weight, c);
                    const floatw gradient = (g - y * gy_mean) * scale;
                    storew(has_residual ? gradient + loadw(residual, c) : gradient, to, c);
                },
                {
                    const float y = from[c] * scale;
                    const float gradient = (dfrom[c] * weight[c] - y * gy_mean) * scale;
                    to[c] = has_residual ? gradient + residual[c] : gradient;
                })
        }
    }
}
