/* Attention in plain C and double precision; shapes and layout as in ops/ops.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_REFERENCE_ATTENTION_H
#define CLM_REFERENCE_ATTENTION_H

#include <stdbool.h>

/* out (B,T,C) and lse (B,H,T) from qkv (B,T,3C), C = H * D. */
void clm_reference_attention_forward(double *out, double *lse, const double *qkv, int B, int T,
                                     int H, int D, bool causal);

/* dqkv (B,T,3C), overwritten. */
void clm_reference_attention_backward(double *dqkv, const double *dout, const double *qkv,
                                      const double *out, const double *lse, int B, int T, int H,
                                      int D, bool causal);

#endif
