/* Residual connection in plain C: the oracle for cl/residual.cl.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_REFERENCE_RESIDUAL_H
#define CLM_REFERENCE_RESIDUAL_H

#include <stddef.h>

void clm_reference_residual_forward(double *out, const double *a, const double *b, size_t count);

#endif
