/* Sums in plain C: the oracle for cl/reduce.cl. They run in double.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_REFERENCE_REDUCE_H
#define CLM_REFERENCE_REDUCE_H

#include <stdbool.h>
#include <stddef.h>

double clm_reference_reduce_sum(const float *x, size_t count);
double clm_reference_reduce_square_sum(const float *x, size_t count);
double clm_reference_reduce_nonfinite(const float *x, size_t count);
/* out (N) [+]= column sums of x (rows,N). */
void clm_reference_reduce_columns(float *out, const float *x, int rows, int N, bool accumulate);

#endif
