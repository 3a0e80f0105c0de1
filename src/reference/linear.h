/* A linear layer in plain C, summed in double.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_REFERENCE_LINEAR_H
#define CLM_REFERENCE_LINEAR_H

/* out (rows,N) = x (rows,K) * weight (K,N) + bias (N), which may be NULL. */
void clm_reference_linear_forward(float *out, const float *x, const float *weight,
                                  const float *bias, int rows, int K, int N);

/* dx (rows,K) = dout * weight^T; dweight (K,N) += x^T * dout; dbias (N) += column sums of dout.
 * Each may be NULL. */
void clm_reference_linear_backward(float *dx, float *dweight, float *dbias, const float *dout,
                                   const float *x, const float *weight, int rows, int K, int N);

#endif
