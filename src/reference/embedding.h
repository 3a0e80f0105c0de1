/* Token and position embedding in plain C: the oracle for cl/embedding.cl. Computes in double.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_REFERENCE_EMBEDDING_H
#define CLM_REFERENCE_EMBEDDING_H

#include <stdint.h>

/* wpe may be NULL. */
void clm_reference_embedding_forward(double *out, const int32_t *tokens, const double *wte,
                                     const double *wpe, int B, int T, int C, int first_position);
/* Either gradient may be NULL. V is the rows of dwte. */
void clm_reference_embedding_backward(double *dwte, double *dwpe, const double *dout,
                                      const int32_t *tokens, int B, int T, int C, int V);

#endif
