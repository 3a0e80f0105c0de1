/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/rows.h"

#include <stddef.h>

void clm_reference_rows_gather(double *out, const double *x, const int32_t *rows, int n, int C) {
    for (int i = 0; i < n; i++) {
        for (int c = 0; c < C; c++) {
            out[(ptrdiff_t)i * C + c] = x[(ptrdiff_t)rows[i] * C + c];
        }
    }
}

void clm_reference_rows_scatter(double *out, const double *x, const int32_t *rows, int n,
                                int out_rows, int C) {
    for (ptrdiff_t i = 0; i < (ptrdiff_t)out_rows * C; i++) {
        out[i] = 0.0;
    }
    for (int i = 0; i < n; i++) {
        for (int c = 0; c < C; c++) {
            out[(ptrdiff_t)rows[i] * C + c] = x[(ptrdiff_t)i * C + c];
        }
    }
}

void clm_reference_rows_add(double *x, const double *y, const int32_t *rows, int n, int C) {
    for (int i = 0; i < n; i++) {
        for (int c = 0; c < C; c++) {
            x[(ptrdiff_t)rows[i] * C + c] += y[(ptrdiff_t)i * C + c];
        }
    }
}

void clm_reference_rows_append(double *to, const double *x, const int32_t *first, int B, int T,
                               int capacity, int C) {
    for (int i = 0; i < B * T; i++) {
        const ptrdiff_t position = (ptrdiff_t)first[i / T] + i % T;
        for (int c = 0; position >= 0 && position < capacity && c < C; c++) {
            to[((ptrdiff_t)(i / T) * capacity + position) * C + c] = x[(ptrdiff_t)i * C + c];
        }
    }
}
