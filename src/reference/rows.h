/* Rows picked by index and put back, in plain C: the oracle for cl/rows.cl.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_REFERENCE_ROWS_H
#define CLM_REFERENCE_ROWS_H

#include <stdint.h>

void clm_reference_rows_gather(float *out, const float *x, const int32_t *rows, int n, int C);
void clm_reference_rows_scatter(float *out, const float *x, const int32_t *rows, int n,
                                int out_rows, int C);
void clm_reference_rows_add(float *x, const float *y, const int32_t *rows, int n, int C);

#endif
