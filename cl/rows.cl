/* Rows picked by index, and the gradient scattered back.
 *
 *     gather   out (n,C)[i] = x[rows[i]]
 *     scatter  out[rows[i]] = x (n,C)[i], for distinct rows; the host zeroes out first
 *     add      x[rows[i]] += y (n,C)[i], for distinct rows
 *     append   to (B,capacity,C)[b][first[b] + t] = x (B,T,C)[b][t], where that is below capacity;
 *              rows of x lie `stride` elements apart
 *
 * Work: (C / WIDTH rounded up, n or B * T) items. Accuracy: exact; add, one rounding.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "common.clh"

static inline void copy_columns(__global float *to, __global const float *from, const int C) {
    const int column = (int)get_global_id(0) * WIDTH;
    if (column <= C - WIDTH) {
        storew(loadw(from, column), to, column);
    } else {
        CLM_EDGE for (int c = column; c < C; c++) {
            to[c] = from[c];
        }
    }
}

__kernel void rows_gather(__global float *out, __global const float *x, __global const int *rows,
                          const int C) {
    const size_t i = get_global_id(1);
    copy_columns(out + i * C, x + (size_t)rows[i] * C, C);
}

__kernel void rows_scatter(__global float *out, __global const float *x, __global const int *rows,
                           const int C) {
    const size_t i = get_global_id(1);
    copy_columns(out + (size_t)rows[i] * C, x + i * C, C);
}

__kernel void rows_add(__global float *x, __global const float *y, __global const int *rows,
                       const int C) {
    const size_t i = get_global_id(1);
    const int column = (int)get_global_id(0) * WIDTH;
    __global float *to = x + (size_t)rows[i] * C;
    __global const float *from = y + i * C;
    if (column <= C - WIDTH) {
        storew(loadw(to, column) + loadw(from, column), to, column);
    } else {
        CLM_EDGE for (int c = column; c < C; c++) {
            to[c] += from[c];
        }
    }
}

__kernel void rows_append(__global float *to, __global const float *x, __global const int *first,
                          const ulong offset, const int stride, const int T, const int capacity,
                          const int C) {
    const size_t i = get_global_id(1);
    const int b = (int)(i / T);
    const int start = first[b], t = (int)(i % T);
    if (start >= 0 && start < capacity - t) {
        copy_columns(to + ((size_t)b * capacity + start + t) * C, x + offset + i * stride, C);
    }
}
