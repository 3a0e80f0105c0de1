/* Sums in a fixed order.
 *
 *     sum, square_sum, nonfinite
 *               out[out_index + g] = sum over i in [g * range, (g+1) * range) of term(x[i])
 *     columns   (out + out_offset) (parts,N)[p] [+]= sum of (x + x_offset) (rows,N)[r],
 *               r in [p * part_rows, (p+1) * part_rows)
 *
 * The term is x for a sum, x^2 for a sum of squares, and 1 where x is not finite for a count. The
 * host runs one of the three once over the data and, if that leaves more than one sum, `sum` over
 * those; and `columns` until one part is left. out and x may be apart in one buffer.
 *
 * Work: the three, one group of LOCAL items a range; columns, (N / (WIDTH * VECTORS) rounded up,
 * parts) items.
 * Accuracy: like pairwise summation: at most BLOCK + range / (BLOCK * WIDTH * LOCAL) additions a
 * lane, then a tree; columns: part_rows additions a level. Counts are exact up to 2^24.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "common.clh"

/* Vectors that are summed up before their sum goes into the sum of the range. */
#ifndef BLOCK
#define BLOCK 32
#endif

/* Vectors of columns an item sums up: on processors a stretch of each row, so that memory is read
 * in the order in which it lies. */
#if LOCAL == 1
#define VECTORS 16
#else
#define VECTORS 1
#endif
#define UNROLL __attribute__((opencl_unroll_hint))

#define STRIDE (WIDTH * LOCAL)

/* ---- all elements ---- */

#define TERM_VALUE 0
#define TERM_SQUARE 1
#define TERM_NONFINITE 2

static inline float term1(const int term, const float x) {
    return term == TERM_VALUE    ? x
           : term == TERM_SQUARE ? x * x
                                 : ((as_int(x) & 0x7F800000) == 0x7F800000 ? 1.0F : 0.0F);
}

static inline floatw termw(const int term, const floatw x) {
    const intw exponent = as_intw(x) & 0x7F800000;
    return term == TERM_VALUE    ? x
           : term == TERM_SQUARE ? x * x
                                 : (exponent == 0x7F800000 ? (floatw)(1.0F) : (floatw)(0.0F));
}

/* `term` is one that the compiler knows. */
static inline void sum_terms(const int term, __global float *out, const ulong out_index,
                             __global const float *x, const ulong count, const ulong range,
                             __local float *scratch) {
    const ulong item = get_local_id(0);
    const ulong begin = get_group_id(0) * range;
    const ulong end = min(count, begin + range);
    const ulong whole = end - (end - begin) % STRIDE;
    floatw lanes = (floatw)(0.0F);
    for (ulong b = begin; b < whole; b += BLOCK * STRIDE) {
        const ulong block_end = min(whole, b + BLOCK * STRIDE);
        floatw block = (floatw)(0.0F);
        for (ulong i = b + item * WIDTH; i < block_end; i += STRIDE) {
            block += termw(term, loadw(x, i));
        }
        lanes += block;
    }
    float sum = sumw(lanes);
    CLM_EDGE for (ulong i = whole + item; i < end; i += LOCAL) {
        sum += term1(term, x[i]);
    }
    sum = clm_group_sum(sum, scratch);
    if (item == 0) {
        out[out_index + get_group_id(0)] = sum;
    }
}

#define SUM_PARAMETERS                                                                      \
    __global float *out, const ulong out_index, __global const float *x, const ulong count, \
        const ulong range

__kernel __attribute__((reqd_work_group_size(LOCAL, 1, 1))) void reduce_sum(SUM_PARAMETERS) {
    __local float scratch[LOCAL];
    sum_terms(TERM_VALUE, out, out_index, x, count, range, scratch);
}

__kernel __attribute__((reqd_work_group_size(LOCAL, 1, 1))) void reduce_square_sum(
    SUM_PARAMETERS) {
    __local float scratch[LOCAL];
    sum_terms(TERM_SQUARE, out, out_index, x, count, range, scratch);
}

__kernel __attribute__((reqd_work_group_size(LOCAL, 1, 1))) void reduce_nonfinite(SUM_PARAMETERS) {
    __local float scratch[LOCAL];
    sum_terms(TERM_NONFINITE, out, out_index, x, count, range, scratch);
}

/* ---- columns ---- */

/* One vector of columns, or what is left of one, at `column`. */
static inline void sum_columns(__global float *to, __global const float *from, const int rows,
                               const int N, const int column, const int accumulate) {
    if (column <= N - WIDTH) {
        floatw sum = loadw(from, column);
        for (int r = 1; r < rows; r++) {
            sum += loadw(from, (size_t)r * N + column);
        }
        storew(accumulate ? loadw(to, column) + sum : sum, to, column);
    } else {
        CLM_EDGE for (int c = column; c < N; c++) {
            float sum = from[c];
            for (int r = 1; r < rows; r++) {
                sum += from[(size_t)r * N + c];
            }
            to[c] = accumulate ? to[c] + sum : sum;
        }
    }
}

__kernel void reduce_columns(__global float *out, const ulong out_offset, __global const float *x,
                             const ulong x_offset, const int rows, const int N,
                             const int part_rows, const int accumulate) {
    const int first = (int)get_global_id(0) * (WIDTH * VECTORS);
    const size_t part = get_global_id(1);
    const int begin = (int)part * part_rows;
    const int count = min(part_rows, rows - begin);
    __global const float *from = x + x_offset + (size_t)begin * N;
    __global float *to = out + out_offset + part * N;
#if VECTORS > 1
    if (first <= N - WIDTH * VECTORS) {
        floatw sums[VECTORS];
        UNROLL for (int i = 0; i < VECTORS; i++) {
            sums[i] = loadw(from, first + i * WIDTH);
        }
        for (int r = 1; r < count; r++) {
            __global const float *row = from + (size_t)r * N + first;
            UNROLL for (int i = 0; i < VECTORS; i++) {
                sums[i] += loadw(row, i * WIDTH);
            }
        }
        UNROLL for (int i = 0; i < VECTORS; i++) {
            const int column = first + i * WIDTH;
            storew(accumulate ? loadw(to, column) + sums[i] : sums[i], to, column);
        }
        return;
    }
#endif
    CLM_EDGE for (int i = 0; i < VECTORS && first + i * WIDTH < N; i++) {
        sum_columns(to, from, count, N, first + i * WIDTH, accumulate);
    }
}
