/* RMSNorm in plain C: the oracle for cl/rmsnorm.cl. Computes in double.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_REFERENCE_RMSNORM_H
#define CLM_REFERENCE_RMSNORM_H

/* rrms (rows) may be NULL. */
void clm_reference_rmsnorm_forward(double *out, double *rrms, const double *x, const double *weight,
                                   int rows, int C, double epsilon);

/* dx is overwritten, with dresidual added unless NULL; dweight +=; either may be NULL. */
void clm_reference_rmsnorm_backward(double *dx, double *dweight, const double *dout,
                                    const double *x, const double *weight, const double *rrms,
                                    const double *dresidual, int rows, int C);

#endif
