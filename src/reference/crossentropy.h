/* Softmax cross-entropy in plain C: the oracle for cl/crossentropy.cl. Computes in double.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_REFERENCE_CROSSENTROPY_H
#define CLM_REFERENCE_CROSSENTROPY_H

#include <stdint.h>

/* probabilities may be NULL. Targets of -100 are ignored; other invalid ones make NaN. */
void clm_reference_crossentropy_forward(float *losses, float *probabilities, const float *logits,
                                        const int32_t *targets, int rows, int V);
void clm_reference_crossentropy_backward(float *dlogits, const float *logits,
                                         const int32_t *targets, float scale, int rows, int V);

#endif
