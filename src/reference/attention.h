/* Attention in plain C and double precision: the oracle for cl/attention.cl and
 * cl/attention_one.cl.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_REFERENCE_ATTENTION_H
#define CLM_REFERENCE_ATTENTION_H

#include <stdbool.h>
#include <stdint.h>

/* q (B,Tq,H,D), k and v (B,Tk,G,D), out (B,Tq,H,D), lse (B,H,Tq), the log-sum-exp of the scaled
 * scores. Query head h reads key-value head h / (H / G). A sequence without keys has out = 0. */
typedef struct clm_reference_attention {
    int B, Tq, Tk, H, G, D;
    bool causal;  /* a query sees no key after its own position */
    double scale; /* of the scores; 0: 1 / sqrt(D) */
    /* The position of each sequence's first query, counted from b * first_step; NULL: 0. */
    const int32_t *first;
    int first_step;
    const int32_t *lengths; /* keys of each sequence that are valid; NULL: Tk */
    /* Numbers from one position to the next, in q and in k and v (and their gradients); 0: dense.
     */
    int q_stride, kv_stride;
    int capacity; /* positions from one sequence of k and v to the next; 0, and in gradients: Tk */
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
