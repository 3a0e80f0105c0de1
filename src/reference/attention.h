/* Attention in plain C and double precision: the oracle for cl/attention.cl and
 * cl/attention_pooled.cl.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_REFERENCE_ATTENTION_H
#define CLM_REFERENCE_ATTENTION_H

#include <stdbool.h>
#include <stdint.h>

/* q (B,Tq,H,D), k and v (B,Tk,G,D), out (B,Tq,H,D), lse (B,H,Tq), the log-sum-exp of the scaled
 * scores. Query head h reads key-value head h / (H / G). */
typedef struct clm_reference_attention {
    int B, Tq, Tk, H, G, D;
    bool causal;  /* query i sees keys 0 to i */
    double scale; /* of the scores; 0: 1 / sqrt(D) */
    /* Not NULL: query i of sequence b sees keys 0 to rows[b] - b Tk + i, causal or not. */
    const int32_t *rows;
    /* Numbers from one position to the next, in q and in k and v (and their gradients); 0: dense.
     */
    int q_stride, kv_stride;
} clm_reference_attention;

/* lse may be NULL. */
void clm_reference_attention_forward(double *out, double *lse, const double *q, const double *k,
                                     const double *v, const clm_reference_attention *shape);

/* All three are overwritten; any may be NULL. */
void clm_reference_attention_backward(double *dq, double *dk, double *dv, const double *dout,
                                      const double *q, const double *k, const double *v,
                                      const double *out, const double *lse,
                                      const clm_reference_attention *shape);

/* Queries, keys and values side by side (B,T,3C), as GPT-2 computes them. */
clm_reference_attention clm_reference_attention_fused(int B, int T, int H, int D, bool causal);

/* One query a sequence (B,C); keys and values side by side (B,T,2C). */
clm_reference_attention clm_reference_attention_pooled(const int32_t *rows, int B, int T, int H,
                                                       int D);

#endif
