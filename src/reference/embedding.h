/* Token and position embedding in plain C: the oracle for cl/embedding.cl. Sums run in double.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_REFERENCE_EMBEDDING_H
#define CLM_REFERENCE_EMBEDDING_H

#include <stdint.h>

void clm_reference_embedding_forward(float *out, const int32_t *tokens, const float *wte,
                                     const float *wpe, int B, int T, int C, int first_position);
/* Either gradient may be NULL. V is the rows of dwte. */
void clm_reference_embedding_backward(float *dwte, float *dwpe, const float *dout,
                                      const int32_t *tokens, int B, int T, int C, int V);

#endif
