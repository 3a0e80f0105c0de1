/* Attention of one query a sequence in plain C and double precision; shapes and layout as in
 * ops/ops.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_REFERENCE_ATTENTION_POOLED_H
#define CLM_REFERENCE_ATTENTION_POOLED_H

#include <stdint.h>

/* out (B,C) and lse (B,H) from q (B,C), kv (B,T,2C) and rows (B), C = H * D. */
void clm_reference_attention_pooled_forward(double *out, double *lse, const double *q,
                                            const double *kv, const int32_t *rows, int B, int T,
                                            int H, int D);

/* dq (B,C) and dkv (B,T,2C), both overwritten. */
void clm_reference_attention_pooled_backward(double *dq, double *dkv, const double *dout,
                                             const double *q, const double *kv, const double *out,
                                             const double *lse, const int32_t *rows, int B, int T,
                                             int H, int D);

#endif
