/* LayerNorm in plain C and double precision: the oracle for cl/layernorm.cl. Shapes as in
 * ops/ops.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_REFERENCE_LAYERNORM_H
#define CLM_REFERENCE_LAYERNORM_H

/* mean and rstd (rows) may be NULL. */
void clm_reference_layernorm_forward(double *out, double *mean, double *rstd, const double *x,
                                     const double *weight, const double *bias, int rows, int C,
                                     double epsilon);

/* dx is overwritten; dweight (C) and dbias (C) are added to. These and dresidual may be NULL. */
void clm_reference_layernorm_backward(double *dx, double *dweight, double *dbias,
                                      const double *dout, const double *x, const double *weight,
                                      const double *mean, const double *rstd,
                                      const double *dresidual, int rows, int C);

#endif
