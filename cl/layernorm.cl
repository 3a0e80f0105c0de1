/* LayerNorm (Ba, Kiros and Hinton 2016) over rows of C.
 *
 *     forward   xhat = (x - mean) * rstd, rstd = 1 / sqrt(variance + epsilon)
 *               out = xhat * weight + bias
 *     backward  g = dout * weight
 *               dx = rstd * (g - mean(g) - xhat * mean(g * xhat)) [+ dresidual]
 *               dweight (groups,C)[p] = sum of dout * xhat over the rows of group p
 *               dbias (groups,C)[p] = sum of dout over them
 *
 * The host adds up the sums of the groups, which are one after the other in `parts` from
 * parts_offset on. Shapes: x, out, dx, dout, dresidual (rows,C); mean, rstd (rows);
 * weight, bias (C). dx may be dresidual.
 *
 * Work: groups of LOCAL items, each group for `group_rows` rows, each item for the same columns of
 * every row.
 * Accuracy: the variance is accurate even for numbers far from 0: a first mean is corrected by the
 * mean of the remainders (two-pass, corrected; Chan, Golub and LeVeque 1983). Then a few roundings,
 * relative to |xhat weight| + |bias|.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "common.clh"
#include "norm.clh"

/* Whether the backward kernel gives dweight and dbias. */
#ifndef WANT_DWEIGHT
#define WANT_DWEIGHT 1
#endif

__kernel __attribute__((reqd_work_group_size(LOCAL, 1, 1))) void layernorm_forward(
    __global float *restrict out, __global float *restrict mean, __global float *restrict rstd,
    __global const float *restrict x, __global const float *restrict weight,
    __global const float *restrict bias, const int rows, const int C, const float epsilon,
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
        floatw lanes[CHAINS], square_lanes[CHAINS];
        float rest = 0.0F, square_rest = 0.0F;
        clear_chains(lanes);
        FOR_SUMS(from, { lanes[chain] += v; }, { rest += from[c]; })
        const float first_mean = clm_group_sum(sum_chains(lanes) + rest, scratch) / C;
        clear_chains(lanes);
        clear_chains(square_lanes);
        rest = 0.0F;
        FOR_SUMS(
            from,
            {
                const floatw left = v - first_mean;
                lanes[chain] += left;
                square_lanes[chain] += left * left;
            },
            {
                const float left = from[c] - first_mean;
                rest += left;
                square_rest += left * left;
            })
        const float shift = clm_group_sum(sum_chains(lanes) + rest, scratch) / C;
        const float squares = clm_group_sum(sum_chains(square_lanes) + square_rest, scratch) / C;
        const float scale = 1.0F / sqrt(squares - shift * shift + epsilon);
        /* Taken off one after the other: their sum may be no float. */
        FOR_COLUMNS(
            {
                const floatw xhat = ((loadw(from, c) - first_mean) - shift) * scale;
                storew(xhat * loadw(weight, c) + loadw(bias, c), to, c);
            },
            {
                const float xhat = ((from[c] - first_mean) - shift) * scale;
                to[c] = xhat * weight[c] + bias[c];
            })
        if (keep && item == 0) {
            mean[row] = first_mean + shift;
            rstd[row] = scale;
        }
    }
}

/* dx only where want_dx; its sums are there in any case, because PoCL 3.1 miscompiles a barrier
 * below a condition, though all items take the same side. */
__kernel __attribute__((reqd_work_group_size(LOCAL, 1, 1))) void layernorm_backward(
    __global float *dx, __global float *parts, const ulong parts_offset,
    __global const float *restrict dout,
    __global const float *restrict x, __global const float *restrict weight,
    __global const float *restrict mean, __global const float *restrict rstd,
    __global const float *dresidual, const int rows, const int C, const int group_rows,
    const int want_dx, const int has_residual) {
    __local float scratch[LOCAL];
    const int item = (int)get_local_id(0);
    const int whole = C - C % WIDTH;
    const int begin = (int)get_group_id(0) * group_rows;
    const int end = min(group_rows, rows - begin) + begin;
    __global float *restrict dweight = parts + parts_offset + (size_t)get_group_id(0) * C;
    __global float *restrict dbias = dweight + (size_t)get_num_groups(0) * C;
#if WANT_DWEIGHT
    FOR_COLUMNS(
        {
            storew((floatw)(0.0F), dweight, c);
            storew((floatw)(0.0F), dbias, c);
        },
        {
            dweight[c] = 0.0F;
            dbias[c] = 0.0F;
        })
#endif
    for (int row = begin; row < end; row++) {
        __global const float *from = x + (size_t)row * C;
        __global const float *dfrom = dout + (size_t)row * C;
        __global const float *residual = dresidual + (size_t)row * C;
        __global float *to = dx + (size_t)row * C;
        const float center = mean[row], scale = rstd[row];
        floatw lanes = (floatw)(0.0F), xhat_lanes = (floatw)(0.0F);
        float rest = 0.0F, xhat_rest = 0.0F;
        FOR_COLUMNS(
            {
                const floatw d = loadw(dfrom, c);
                const floatw g = d * loadw(weight, c);
                const floatw xhat = (loadw(from, c) - center) * scale;
                lanes += g;
                xhat_lanes += g * xhat;
                if (WANT_DWEIGHT) {
                    storew(d * xhat + loadw(dweight, c), dweight, c);
                    storew(d + loadw(dbias, c), dbias, c);
                }
            },
            {
                const float g = dfrom[c] * weight[c];
                const float xhat = (from[c] - center) * scale;
                rest += g;
                xhat_rest += g * xhat;
                if (WANT_DWEIGHT) {
                    dweight[c] += dfrom[c] * xhat;
                    dbias[c] += dfrom[c];
                }
            })
        const float g_mean = clm_group_sum(sumw(lanes) + rest, scratch) / C;
        const float g_xhat_mean = clm_group_sum(sumw(xhat_lanes) + xhat_rest, scratch) / C;
        if (want_dx) {
            FOR_COLUMNS(
                {
                    const floatw xhat = (loadw(from, c) - center) * scale;
                    const floatw g = loadw(dfrom, c) * loadw(weight, c);
                    const floatw gradient = (g - g_mean - xhat * g_xhat_mean) * scale;
                    storew(has_residual ? gradient + loadw(residual, c) : gradient, to, c);
                },
                {
                    const float xhat = (from[c] - center) * scale;
                    const float gradient =
                        (dfrom[c] * weight[c] - g_mean - xhat * g_xhat_mean) * scale;
                    to[c] = has_residual ? gradient + residual[c] : gradient;
                })
        }
    }
}
