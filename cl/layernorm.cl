/* LayerNorm (Ba, Kiros and Hinton 2016) over rows of C.
 *
 *     forward   xhat = (x - mean) * rstd, rstd = 1 / sqrt(variance + epsilon)
 *               out = xhat * weight + bias
 *     backward  g = dout * weight
 *               dx = rstd * (g - mean(g) - xhat * mean(g * xhat)) [+ dresidual]
 *               dweight_parts (parts,C)[p] = sum of dout * xhat over the rows of group p
 *               dbias_parts (parts,C)[p] = sum of dout over them
 *
 * The host adds the parts up. Shapes: x, out, dx, dout, dresidual (rows,C); mean, rstd (rows);
 * weight, bias (C). dx may be dresidual.
 *
 * Work: groups of LOCAL items, each group for `group_rows` rows, each item for the columns that are
 * its own in every row.
 * Accuracy: the variance is that of the numbers as they are, also where they are far from 0: a
 * first mean is mended by the mean of what is left after taking it off (two-pass, corrected; Chan,
 * Golub and LeVeque 1983). Then a few roundings, of numbers of the size of |xhat weight| + |bias|.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "common.clh"

/* What the backward kernel gives. Macros, not arguments, because PoCL 3.1 miscompiles a barrier
 * below a condition, though all items take the same side. */
#ifndef WANT_DX
#define WANT_DX 1
#endif
#ifndef WANT_DWEIGHT
#define WANT_DWEIGHT 1
#endif

/* Rows that an item takes at once: sums of one row wait for each other, those of several do not,
 * and weight, bias and their gradients are then loaded once for all of them. */
#if LOCAL == 1
#define ROWS 4
#else
#define ROWS 1
#endif

#define STRIDE (WIDTH * LOCAL)

/* Runs a body for each whole vector, and another for each element of the rest, that are the item's
 * own; `c` is the column. */
#define FOR_COLUMNS(vectors, elements)                              \
    for (int c = item * WIDTH; c < whole; c += STRIDE) vectors      \
    for (int c = whole + item; c < C; c += LOCAL) elements
#define FOR_ROWS __attribute__((opencl_unroll_hint)) for (int r = 0; r < ROWS; r++)

__kernel __attribute__((reqd_work_group_size(LOCAL, 1, 1))) void layernorm_forward(
    __global float *restrict out, __global float *restrict mean, __global float *restrict rstd,
    __global const float *restrict x, __global const float *restrict weight,
    __global const float *restrict bias, const int rows, const int C, const float epsilon,
    const int group_rows, const int keep) {
    __local float scratch[LOCAL];
    const int item = (int)get_local_id(0);
    const int whole = C - C % WIDTH;
    const int begin = (int)get_group_id(0) * group_rows;
    const int end = min(group_rows, rows - begin) + begin;
    for (int first = begin; first < end; first += ROWS) {
        /* Rows past the end are the last one, and are not stored. */
        __global const float *from[ROWS];
        floatw lanes[ROWS], square_lanes[ROWS];
        float rest[ROWS], square_rest[ROWS];
        float first_mean[ROWS], shift[ROWS], scale[ROWS];
        FOR_ROWS {
            from[r] = x + (size_t)min(first + r, end - 1) * C;
            lanes[r] = (floatw)(0.0F);
            rest[r] = 0.0F;
        }
        FOR_COLUMNS({ FOR_ROWS lanes[r] += loadw(from[r], c); },
                    { FOR_ROWS rest[r] += from[r][c]; })
        FOR_ROWS {
            first_mean[r] = clm_group_sum(sumw(lanes[r]) + rest[r], scratch) / C;
            lanes[r] = (floatw)(0.0F);
            square_lanes[r] = (floatw)(0.0F);
            rest[r] = 0.0F;
            square_rest[r] = 0.0F;
        }
        FOR_COLUMNS(
            {
                FOR_ROWS {
                    const floatw left = loadw(from[r], c) - first_mean[r];
                    lanes[r] += left;
                    square_lanes[r] += left * left;
                }
            },
            {
                FOR_ROWS {
                    const float left = from[r][c] - first_mean[r];
                    rest[r] += left;
                    square_rest[r] += left * left;
                }
            })
        FOR_ROWS {
            shift[r] = clm_group_sum(sumw(lanes[r]) + rest[r], scratch) / C;
            const float squares =
                clm_group_sum(sumw(square_lanes[r]) + square_rest[r], scratch) / C;
            scale[r] = 1.0F / sqrt(squares - shift[r] * shift[r] + epsilon);
        }
        /* Taken off one after the other: their sum may be no float. */
        __global float *to = out + (size_t)first * C;
        FOR_COLUMNS(
            {
                const floatw factor = loadw(weight, c);
                const floatw offset = loadw(bias, c);
                FOR_ROWS {
                    if (first + r < end) {
                        const floatw xhat =
                            ((loadw(from[r], c) - first_mean[r]) - shift[r]) * scale[r];
                        storew(xhat * factor + offset, to, (size_t)r * C + c);
                    }
                }
            },
            {
                FOR_ROWS {
                    if (first + r < end) {
                        const float xhat = ((from[r][c] - first_mean[r]) - shift[r]) * scale[r];
                        to[(size_t)r * C + c] = xhat * weight[c] + bias[c];
                    }
                }
            })
        if (keep && item == 0) {
            FOR_ROWS {
                if (first + r < end) {
                    mean[first + r] = first_mean[r] + shift[r];
                    rstd[first + r] = scale[r];
                }
            }
        }
    }
}

/* The row of dx that begins at element `at`. */
static inline void store_gradient(__global float *dx, __global const float *from,
                                  __global const float *dfrom, __global const float *weight,
                                  __global const float *dresidual, const size_t at, const int C,
                                  const float center, const float scale, const float g_mean,
                                  const float g_xhat_mean, const int has_residual) {
    const int item = (int)get_local_id(0);
    const int whole = C - C % WIDTH;
    FOR_COLUMNS(
        {
            const floatw xhat = (loadw(from, c) - center) * scale;
            const floatw g = loadw(dfrom, c) * loadw(weight, c);
            floatw gradient = (g - g_mean - xhat * g_xhat_mean) * scale;
            if (has_residual) {
                gradient += loadw(dresidual, at + c);
            }
            storew(gradient, dx, at + c);
        },
        {
            const float xhat = (from[c] - center) * scale;
            float gradient = (dfrom[c] * weight[c] - g_mean - xhat * g_xhat_mean) * scale;
            if (has_residual) {
                gradient += dresidual[at + c];
            }
            dx[at + c] = gradient;
        })
}

__kernel __attribute__((reqd_work_group_size(LOCAL, 1, 1))) void layernorm_backward(
    __global float *dx, __global float *restrict dweight_parts,
    __global float *restrict dbias_parts,
    __global const float *restrict dout, __global const float *restrict x,
    __global const float *restrict weight, __global const float *restrict mean,
    __global const float *restrict rstd, __global const float *dresidual, const int rows,
    const int C, const int group_rows, const int has_residual) {
    __local float scratch[LOCAL];
    const int item = (int)get_local_id(0);
    const int whole = C - C % WIDTH;
    const int begin = (int)get_group_id(0) * group_rows;
    const int end = min(group_rows, rows - begin) + begin;
    __global float *dweight = dweight_parts + (size_t)get_group_id(0) * C;
    __global float *dbias = dbias_parts + (size_t)get_group_id(0) * C;
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
    for (int first = begin; first < end; first += ROWS) {
        __global const float *from[ROWS];
        __global const float *dfrom[ROWS];
        floatw lanes[ROWS], xhat_lanes[ROWS];
        float rest[ROWS], xhat_rest[ROWS];
        float center[ROWS], scale[ROWS];
        FOR_ROWS {
            const int row = min(first + r, end - 1);
            from[r] = x + (size_t)row * C;
            dfrom[r] = dout + (size_t)row * C;
            center[r] = mean[row];
            scale[r] = rstd[row];
            lanes[r] = (floatw)(0.0F);
            xhat_lanes[r] = (floatw)(0.0F);
            rest[r] = 0.0F;
            xhat_rest[r] = 0.0F;
        }
        FOR_COLUMNS(
            {
                const floatw factor = WANT_DX ? loadw(weight, c) : (floatw)(0.0F);
                floatw dfactor = WANT_DWEIGHT ? loadw(dweight, c) : (floatw)(0.0F);
                floatw doffset = WANT_DWEIGHT ? loadw(dbias, c) : (floatw)(0.0F);
                FOR_ROWS {
                    if (first + r < end) {
                        const floatw d = loadw(dfrom[r], c);
                        const floatw g = d * factor;
                        const floatw xhat = (loadw(from[r], c) - center[r]) * scale[r];
                        dfactor = d * xhat + dfactor;
                        doffset += d;
                        lanes[r] += g;
                        xhat_lanes[r] += g * xhat;
                    }
                }
                if (WANT_DWEIGHT) {
                    storew(dfactor, dweight, c);
                    storew(doffset, dbias, c);
                }
            },
            {
                const float factor = WANT_DX ? weight[c] : 0.0F;
                float dfactor = WANT_DWEIGHT ? dweight[c] : 0.0F;
                float doffset = WANT_DWEIGHT ? dbias[c] : 0.0F;
                FOR_ROWS {
                    if (first + r < end) {
                        const float d = dfrom[r][c];
                        const float g = d * factor;
                        const float xhat = (from[r][c] - center[r]) * scale[r];
                        dfactor += d * xhat;
                        doffset += d;
                        rest[r] += g;
                        xhat_rest[r] += g * xhat;
                    }
                }
                if (WANT_DWEIGHT) {
                    dweight[c] = dfactor;
                    dbias[c] = doffset;
                }
            })
#if WANT_DX
        float g_mean[ROWS], g_xhat_mean[ROWS];
        FOR_ROWS {
            g_mean[r] = clm_group_sum(sumw(lanes[r]) + rest[r], scratch) / C;
            g_xhat_mean[r] = clm_group_sum(sumw(xhat_lanes[r]) + xhat_rest[r], scratch) / C;
        }
        FOR_ROWS {
            if (first + r < end) {
                store_gradient(dx, from[r], dfrom[r], weight, dresidual, (size_t)(first + r) * C, C,
                               center[r], scale[r], g_mean[r], g_xhat_mean[r], has_residual);
            }
        }
#endif
    }
}
