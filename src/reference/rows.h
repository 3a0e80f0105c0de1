/* Rows picked by index and put back, in plain C: the oracle for cl/rows.cl.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_REFERENCE_ROWS_H
#define CLM_REFERENCE_ROWS_H

#include <stdint.h>

void clm_reference_rows_gather(double *out, const double *x, const int32_t *rows, int n, int C);
void clm_reference_rows_scatter(double *out, const double *x, const int32_t *rows, int n,
                                int out_rows, int C);
void clm_reference_rows_add(double *x, const double *y, const int32_t *rows, int n, int C);
/* Sequence b's rows of x (B,T,C) to those of `to` (B,capacity,C) from first[b] on. */
void clm_reference_rows_append(double *to, const double *x, const int32_t *first, int B, int T,
                               int capacity, int C);

#endif
