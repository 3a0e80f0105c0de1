/* C = op(A) * B [+ C] and its tail, as in gemm.cl, where K is small (up to 16): the gradient of a
 * weight from few rows, which is a sum of K outer products. As fast as C can be read and written:
 * A and B stay in caches and registers.
 *
 * Element (m,k) of A is at m * a_row_step + k * a_step; B (K,N) has rows b_stride apart.
 *
 *                   SPAN = WIDTH * VECTORS
 *                       +------+
 *                     K |  B   |
 *                       +------+
 *              K        +------+
 *      ROWS  +---+      |  C   |  sums in registers
 *            | A |      +------+
 *            +---+
 *
 * Work: groups of LOCAL items, each group for `rows` rows and `columns` columns of C, its items
 * side by side along N; on CPUs, where LOCAL is 1, an item goes along ROWS rows at a time, so that
 * memory is read in ROWS long runs.
 * Global size (ceil(N / columns) * LOCAL, ceil(M / rows)).
 *
 * Products are added in the order of k, then C (gemm.clh): |error| <= (K + 1) * 2^-24 *
 * (|A| |B| + |C|).
 * Every element is read, so NaN and infinities come through; C is not read unless it is added to.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "common.clh"
#include "gemm.clh"

/* The tile of an item; ROWS * VECTORS sums and VECTORS of B must fit the registers. */
#if LOCAL == 1
#define VECTORS 2
#define ROWS 4
#else
#define VECTORS 1
#define ROWS 8
#endif
#define SPAN (WIDTH * VECTORS)

#define OPERANDS                                                                              \
    __global const float *restrict a, const int a_row_step, const int a_step,                \
        __global const float *restrict b, const int b_stride, const int K

/* What belongs to a tile: its first element of C, of the bias, of pre and of residual. */
#define TILE                                                                                 \
    __global float *c, const int c_stride, const int flags, __global const float *bias,      \
        __global float *pre, __global const float *residual, const int tail_stride

/* A whole tile. */
static inline void whole_tile(OPERANDS, TILE) {
    floatw sums[ROWS][VECTORS];
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
#pragma unroll
        for (int v = 0; v < VECTORS; v++) {
            sums[r][v] = (floatw)0.0f;
        }
    }
    for (int k = 0; k < K; k++) {
        floatw b_row[VECTORS];
#pragma unroll
        for (int v = 0; v < VECTORS; v++) {
            b_row[v] = loadw(b, v * WIDTH);
        }
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            const floatw a_element = (floatw)a[(size_t)r * a_row_step];
#pragma unroll
            for (int v = 0; v < VECTORS; v++) {
                sums[r][v] = a_element * b_row[v] + sums[r][v];
            }
        }
        a += a_step;
        b += b_stride;
    }
    if (!(flags & (TAIL | BEGIN_RESIDUAL))) {
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
#pragma unroll
            for (int v = 0; v < VECTORS; v++) {
                const size_t at = (size_t)r * c_stride + v * WIDTH;
                storew(flags & ADD_C ? loadw(c, at) + sums[r][v] : sums[r][v], c, at);
            }
        }
        return;
    }
    floatw kept[ROWS * VECTORS];
#pragma unroll
    for (int i = 0; i < ROWS * VECTORS; i++) {
        kept[i] = sums[i / VECTORS][i % VECTORS];
    }
    CLM_EDGE for (int i = 0; i < ROWS * VECTORS; i++) {
        const size_t r = i / VECTORS, n = i % VECTORS * WIDTH, at = r * tail_stride + n;
        finish_vector(kept[i], WIDTH, flags, c + r * c_stride + n, bias + n, pre + at,
                      residual + at);
    }
}

/* What is left at an edge: `rows` rows and `columns` columns. */
static inline void part_tile(OPERANDS, TILE, const int rows, const int columns) {
    CLM_EDGE for (int r = 0; r < rows; r++) {
        CLM_EDGE for (int n = 0; n < columns; n += WIDTH) {
            const size_t at = (size_t)r * tail_stride + n;
            __global float *to = c + (size_t)r * c_stride + n;
            floatw sum = (floatw)0.0f;
            for (int k = 0; k < K; k++) {
                sum = a[(size_t)r * a_row_step + (size_t)k * a_step] *
                          load_some(b + (size_t)k * b_stride + n, columns - n) +
                      sum;
            }
            finish_vector(sum, columns - n, flags, to, bias + n, pre + at, residual + at);
        }
    }
}

__kernel __attribute__((reqd_work_group_size(LOCAL, 1, 1))) void gemm_outer(
    const int M, const int N, const int K, __global const float *restrict a_buffer,
    const ulong a_offset, const int a_row_step, const int a_step,
    __global const float *restrict b_buffer, const ulong b_offset, const int b_stride,
    TAIL_PARAMETERS, const int rows, const int columns) {
    const int first_row = (int)get_group_id(1) * rows;
    const int last_row = min(M, first_row + rows);
    const int first_column = (int)get_group_id(0) * columns;
    const int last_column = min(N, first_column + columns);
    for (int m = first_row; m < last_row; m += ROWS) {
        for (int n = first_column + (int)get_local_id(0) * SPAN; n < last_column;
             n += LOCAL * SPAN) {
            __global const float *a = a_buffer + a_offset + (size_t)m * a_row_step;
            __global const float *b = b_buffer + b_offset + n;
            __global float *c = c_buffer + c_offset + (size_t)m * c_stride + n;
            __global const float *bias = bias_buffer + bias_offset + n;
            const size_t at = tail_offset + (size_t)m * tail_stride + n;
            if (m + ROWS <= last_row && n + SPAN <= last_column) {
                whole_tile(a, a_row_step, a_step, b, b_stride, K, c, c_stride, flags, bias,
                           pre_buffer + at, residual_buffer + at, tail_stride);
            } else {
                part_tile(a, a_row_step, a_step, b, b_stride, K, c, c_stride, flags, bias,
                          pre_buffer + at, residual_buffer + at, tail_stride,
                          min(ROWS, last_row - m), min(SPAN, last_column - n));
            }
        }
    }
}
