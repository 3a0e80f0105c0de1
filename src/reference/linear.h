/* A linear layer in plain C, summed in double.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_REFERENCE_LINEAR_H
#define CLM_REFERENCE_LINEAR_H

#include <stdbool.h>

/* out (rows,N) = x (rows,K) * weight (K,N) + bias (N), which may be NULL. `out_in`: the weight is
 * (N,K), as torch.nn.Linear has it. */
void clm_reference_linear_forward(double *out, const double *x, const double *weight,
                                  const double *bias, bool out_in, int rows, int K, int N);

/* dx (rows,K) = dout * weight^T; dweight (K,N) += x^T * dout; dbias (N) += column sums of dout.
 * Each may be NULL. */
void clm_reference_linear_backward(double *dx, double *dweight, double *dbias, const double *dout,
                                   const double *x, const double *weight, bool out_in, int rows,
                                   int K, int N);

#endif
