/* Softmax cross-entropy in plain C and double precision: the oracle for cl/crossentropy.cl.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_REFERENCE_CROSSENTROPY_H
#define CLM_REFERENCE_CROSSENTROPY_H

#include <stdint.h>

/* sums (rows,2), each row's largest logit and sum of exp(logit - largest), and probabilities
 * (rows,V) may be NULL. Targets of -100 are ignored; other invalid ones make NaN. */
void clm_reference_crossentropy_forward(double *losses, double *sums, double *probabilities,
                                        const double *logits, const int32_t *targets, int rows,
                                        int V);
void clm_reference_crossentropy_backward(double *dlogits, const double *logits,
                                         const int32_t *targets, double scale, int rows, int V);

#endif
