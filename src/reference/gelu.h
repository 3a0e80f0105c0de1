/* GELU, tanh form, in plain C: the oracle for cl/gelu.cl. Computes in double.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_REFERENCE_GELU_H
#define CLM_REFERENCE_GELU_H

#include <stddef.h>

double clm_reference_gelu(double x);
double clm_reference_gelu_derivative(double x);

void clm_reference_gelu_forward(double *out, const double *x, size_t count);
void clm_reference_gelu_backward(double *dx, const double *dout, const double *x, size_t count);

#endif
