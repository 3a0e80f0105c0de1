/* Rotary positions in plain C: the oracle for cl/rope.cl. Computes in double.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_REFERENCE_ROPE_H
#define CLM_REFERENCE_ROPE_H

#include <stdbool.h>
#include <stdint.h>

/* out and x (B,T,H,D); first (B), NULL: 0; `back` rotates backwards. */
void clm_reference_rope(double *out, const double *x, const int32_t *first, int B, int T, int H,
                        int D, double theta, bool back);

#endif
