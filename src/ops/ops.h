/* Operations on a device: each enqueues kernels and returns without waiting.
 *
 * Shapes use B batch, T positions, C channels, V vocabulary, H heads, D = C / H channels of a
 * head; tensors are dense, row-major, 32-bit floats unless said otherwise. Token ids and
 * targets are int32. Sizes must be positive, and every buffer as large as its shape says:
 * otherwise CLM_ERROR_SHAPE before anything is enqueued. Output buffers may not overlap inputs
 * unless said otherwise. "+=" marks gradients that are added to what is there. Each op's formula,
 * work sizes and accuracy are in its cl/ file; src/reference/ has the same ops in plain C.
 *
 * No operation makes buffers. Where `foo` needs one for what it keeps during the call,
 * clm_foo_scratch_bytes() says how many bytes, exactly, for the shape, the device and its settings
 * (0: none; also for shapes that foo refuses), and `scratch` is at least that: a buffer or a part
 * of one, NULL for 0 bytes, whose contents are undefined before and after. The queue is in order,
 * so one scratch serves calls one after another (clm_scratch_take() lends it). Host memory that a
 * call is given may change when the call returns.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_OPS_OPS_H
#define CLM_OPS_OPS_H

#include "device/device.h"
#include "ops/gemm_types.h"
#include "ops/view.h"

/* ---- embedding ---- */

/* out (B,T,C) = wte[tokens (B,T)] + wpe[first_position + t]; wte (V,C), wpe (n_ctx,C). The caller
 * guarantees that tokens are below V and positions below n_ctx. wpe may be NULL: nothing is added.
 * wte may be in parts of whole rows.
 */
clm_status clm_embedding_forward(clm_device *device, clm_buffer *out, const clm_buffer *tokens,
                                 const clm_buffer *wte, const clm_buffer *wpe, int B, int T, int C,
                                 int first_position);

/* dwte[token] += sum of dout over its places; dwpe[t] += sum of dout over the batch. `tokens` is
 * host memory (B,T): the places of each token are sorted on the host and copied to scratch, so that
 * sums have a fixed order and need no float atomics. Positions start at 0. Either gradient may be
 * NULL; dwte may be in parts of whole rows. dwpe alone needs no scratch. */
clm_status clm_embedding_backward(clm_device *device, clm_buffer *dwte, clm_buffer *dwpe,
                                  const clm_buffer *dout, const int32_t *tokens, int B, int T,
                                  int C, clm_buffer *scratch);
size_t clm_embedding_backward_scratch_bytes(const clm_device *device, int B, int T);

/* ---- LayerNorm (Ba, Kiros and Hinton 2016) ---- */

/* out = (x - mean) * rstd * weight + bias for each of `rows` rows of C; mean and rstd (rows) are
 * kept for the backward pass; both may be NULL. */
clm_status clm_layernorm_forward(clm_device *device, clm_buffer *out, clm_buffer *mean,
                                 clm_buffer *rstd, const clm_buffer *x, const clm_buffer *weight,
                                 const clm_buffer *bias, int rows, int C, float epsilon);

/* dx (rows,C) = gradient [+ dresidual when not NULL, the gradient that flows past the norm]; dx
 * NULL: not wanted. dx may be the same buffer as dresidual. dweight (C) += , dbias (C) +=; NULL
 * for what is not trained. dx alone needs no scratch. */
clm_status clm_layernorm_backward(clm_device *device, clm_buffer *dx, clm_buffer *dweight,
                                  clm_buffer *dbias, const clm_buffer *dout, const clm_buffer *x,
                                  const clm_buffer *weight, const clm_buffer *mean,
                                  const clm_buffer *rstd, const clm_buffer *dresidual, int rows,
                                  int C, clm_buffer *scratch);
size_t clm_layernorm_backward_scratch_bytes(const clm_device *device, int rows, int C);

/* ---- RMSNorm (Zhang and Sennrich 2019) ---- */

/* out = x * rrms * weight for each of `rows` rows of C, rrms = 1 / sqrt(mean of squares + epsilon);
 * rrms (rows) is kept for the backward pass; NULL: not wanted. */
clm_status clm_rmsnorm_forward(clm_device *device, clm_buffer *out, clm_buffer *rrms,
                               const clm_buffer *x, const clm_buffer *weight, int rows, int C,
                               float epsilon);

/* dx (rows,C) = gradient [+ dresidual when not NULL]; NULL: not wanted. dx may be the same buffer
 * as dresidual. dweight (C) +=; NULL when it is not trained: then no scratch is needed. */
clm_status clm_rmsnorm_backward(clm_device *device, clm_buffer *dx, clm_buffer *dweight,
                                const clm_buffer *dout, const clm_buffer *x,
                                const clm_buffer *weight, const clm_buffer *rrms,
                                const clm_buffer *dresidual, int rows, int C, clm_buffer *scratch);
size_t clm_rmsnorm_backward_scratch_bytes(const clm_device *device, int rows, int C);

/* ---- GELU, tanh form (Hendrycks and Gimpel 2016) ---- */

clm_status clm_gelu_forward(clm_device *device, clm_buffer *out, const clm_buffer *x, size_t count);
/* dx = dout * gelu'(x); dx may be the same buffer as dout. */
clm_status clm_gelu_backward(clm_device *device, clm_buffer *dx, const clm_buffer *dout,
                             const clm_buffer *x, size_t count);

/* ---- silu(gate) * up (Shazeer 2020) ---- */

/* out may be gate or up. */
clm_status clm_silu_gate_forward(clm_device *device, clm_buffer *out, const clm_buffer *gate,
                                 const clm_buffer *up, size_t count);
/* Either gradient may be NULL; dgate may be the same buffer as dout. */
clm_status clm_silu_gate_backward(clm_device *device, clm_buffer *dgate, clm_buffer *dup,
                                  const clm_buffer *dout, const clm_buffer *gate,
                                  const clm_buffer *up, size_t count);

/* ---- rotary positions (Su et al. 2021) ---- */

/* out (B,T,H,D): in each head of x (B,T,H,D), whose rows are positions, the pair (i, i + D/2) is
 * rotated by (first[b] + t) theta^(-2i/D); `back` rotates the other way, which is the gradient.
 * first (B) int32 on the device; NULL: 0. out may be x. D is even and at most 4096, theta above 1.
 */
clm_status clm_rope_forward(clm_device *device, clm_buffer *out, clm_view x,
                            const clm_buffer *first, int B, int T, int H, int D, float theta,
                            bool back);

/* ---- attention ---- */

enum { CLM_ATTENTION_D_MOST = 256 }; /* a larger D is CLM_ERROR_UNSUPPORTED */

typedef struct clm_attention_shape {
    int B, Tq, Tk, H, G, D; /* H a multiple of G: query head h reads key-value head h / (H / G) */
    bool causal;            /* a query sees no key after its own position */
    float scale;            /* of the scores; 0: 1 / sqrt(D) */
    int capacity;           /* positions from one sequence of k and v to the next; 0: Tk */
} clm_attention_shape;

/* What is read: a row of q is (H,D) of a position, a row of k and v (G,D). So queries, keys and
 * values of one product (B,T,3C) are three views of a buffer, 3 C apart. A query sees a key when it
 * is one of the sequence's valid ones and, if causal, not after the query. */
typedef struct clm_attention_arguments {
    clm_attention_shape shape;
    clm_view q, k, v;
    /* (B) int32: the position of each sequence's first query among its keys; NULL: 0. With a
     * first_step, first[b] counts from b * first_step: a row of (B Tk) when that is Tk. */
    const clm_buffer *first;
    int first_step;
    /* (B) int32: how many keys of each sequence are valid, from the first on; NULL: Tk. */
    const clm_buffer *lengths;
} clm_attention_arguments;

/* out (B,Tq,H,D) = softmax(scale q k^T) v for each head; 0 for a sequence without keys. lse
 * (B,H,Tq) keeps log-sum-exp of the scores for the backward pass (may be NULL). Online softmax
 * (Milakov and Gimelshein 2018; Dao et al. 2022): no (Tq,Tk) matrix in global memory. In the item
 * form (processors), a query's result has the same bits whatever other queries and sequences the
 * call has, and whatever keys there are that it does not see; otherwise up to rounding. */
clm_status clm_attention_forward(clm_device *device, clm_buffer *out, clm_buffer *lse,
                                 const clm_attention_arguments *arguments);

/* Where the gradients of q, k and v go; a view without a buffer: not wanted. dk and dv have Tk
 * positions a sequence, whatever the capacity. */
typedef struct clm_attention_gradients {
    clm_view dq, dk, dv;
} clm_attention_gradients;

/* Overwrites what is wanted; dk and dv are 0 at keys that no query sees, and sums over the query
 * heads of a key have the order of the heads. Scores are computed again, from lse. Scratch: for the
 * group form 4 B H Tq bytes. */
clm_status clm_attention_backward(clm_device *device, const clm_attention_gradients *gradients,
                                  const clm_buffer *dout, const clm_buffer *out,
                                  const clm_buffer *lse, const clm_attention_arguments *arguments,
                                  clm_buffer *scratch);
size_t clm_attention_backward_scratch_bytes(clm_device *device, const clm_attention_shape *shape);

/* The views of queries, keys and values that lie beside each other in `qkv` (B,T,3C), C = H D. */
clm_attention_arguments clm_attention_fused(clm_buffer *qkv, int B, int T, int H, int D,
                                            bool causal);
/* Where their gradients go, in the same layout. */
clm_attention_gradients clm_attention_fused_gradients(clm_buffer *dqkv, int H, int D);

/* ---- linear: out (rows,N) = x (rows,K) * weight (K,N) + bias (N), Conv1D layout as GPT-2 stores
 * it ---- */

/* Applied to the product, in this order. */
typedef struct clm_linear_tail {
    clm_buffer *pre; /* when not NULL: gets x * weight + bias, before GELU */
    bool gelu;
    /* When not NULL: (rows,N), added; may be `out` itself where there is neither pre nor GELU. */
    const clm_buffer *residual;
} clm_linear_tail;

/* `packed` replaces `weight` if it is not NULL (frozen weights, packed once with transposed =
 * false). `bias` and `tail` may be NULL. */
clm_status clm_linear_forward(clm_device *device, clm_buffer *out, const clm_buffer *x,
                              const clm_buffer *weight, const clm_gemm_packed *packed,
                              const clm_buffer *bias, const clm_linear_tail *tail, int rows, int K,
                              int N, clm_buffer *scratch);
size_t clm_linear_forward_scratch_bytes(clm_device *device, const clm_gemm_packed *packed, int rows,
                                        int K, int N);

/* dx (rows,K) = dout * weight^T (overwritten; NULL: not wanted); dweight (K,N) += x^T * dout; dbias
 * (N) += column sums; both NULL when the layer is not trained. `packed_transposed` replaces
 * `weight` in dx if it is not NULL (packed with transposed = true). */
clm_status clm_linear_backward(clm_device *device, clm_buffer *dx, clm_buffer *dweight,
                               clm_buffer *dbias, const clm_buffer *dout, const clm_buffer *x,
                               const clm_buffer *weight, const clm_gemm_packed *packed_transposed,
                               int rows, int K, int N, clm_buffer *scratch);

/* Which of the results are wanted. */
enum { CLM_LINEAR_DX = 1, CLM_LINEAR_DWEIGHT = 2, CLM_LINEAR_DBIAS = 4 };
size_t clm_linear_backward_scratch_bytes(clm_device *device,
                                         const clm_gemm_packed *packed_transposed, int rows, int K,
                                         int N, unsigned wanted);

/* ---- residual ---- */

/* out = a + b; out may be a or b. */
clm_status clm_residual_forward(clm_device *device, clm_buffer *out, const clm_buffer *a,
                                const clm_buffer *b, size_t count);

/* ---- rows: the last position of each sequence, and its gradient ---- */

/* out (n,C) = x[rows[i]] with rows (n) int32 on the device, each below the rows of x. */
clm_status clm_rows_gather(clm_device *device, clm_buffer *out, const clm_buffer *x,
                           const clm_buffer *rows, int n, int C);
/* out (out_rows,C) = 0 except out[rows[i]] = x (n,C)[i]; rows are distinct. */
clm_status clm_rows_scatter(clm_device *device, clm_buffer *out, const clm_buffer *x,
                            const clm_buffer *rows, int n, int out_rows, int C);
/* x[rows[i]] += y (n,C)[i]; rows are distinct, each below the rows of x. */
clm_status clm_rows_add(clm_device *device, clm_buffer *x, const clm_buffer *y,
                        const clm_buffer *rows, int n, int C);

/* to (B,capacity,C)[b][first[b] + t] = x (B,T,C)[b][t], first (B) int32 on the device; nothing is
 * written beyond the capacity. */
clm_status clm_rows_append(clm_device *device, clm_buffer *to, clm_view x, const clm_buffer *first,
                           int B, int T, int capacity, int C);

/* ---- softmax cross-entropy ---- */

enum { CLM_TARGET_IGNORED = -100 }; /* as PyTorch's ignore_index */

/* losses (rows) = -log softmax(logits (rows,V))[target], 0 for ignored targets. sums (rows,2): each
 * row's largest logit and its sum of exp(logit - largest), for the backward pass; NULL: not wanted.
 * probabilities (rows,V) may be NULL. targets (rows) int32; a target that is neither ignored nor
 * below V makes a NaN loss, and a NaN gradient. */
clm_status clm_crossentropy_forward(clm_device *device, clm_buffer *losses, clm_buffer *sums,
                                    clm_buffer *probabilities, const clm_buffer *logits,
                                    const clm_buffer *targets, int rows, int V);

/* dlogits (rows,V) = scale * (softmax(logits) - onehot(target)), 0 in ignored rows, with the sums
 * of the forward pass over the same logits. dlogits may be logits. scale is 1 / (targets not
 * ignored) for the mean. */
clm_status clm_crossentropy_backward(clm_device *device, clm_buffer *dlogits,
                                     const clm_buffer *logits, const clm_buffer *sums,
                                     const clm_buffer *targets, float scale, int rows, int V);

/* ---- dropout ---- */

/* out = x * mask / (1 - probability), the mask drawn by Philox4x32-10 (Salmon et al. 2011) from
 * (seed, stream, element), so that the backward pass is the same call on the gradient. out may be
 * x. A probability outside [0, 1) is CLM_ERROR_ARGUMENT; 0 copies. */
clm_status clm_dropout(clm_device *device, clm_buffer *out, const clm_buffer *x, size_t count,
                       float probability, uint64_t seed, uint64_t stream);

/* ---- AdamW (Loshchilov and Hutter 2019), in the order PyTorch computes it ---- */

typedef struct clm_adamw {
    /* In double, as in PyTorch: with a float 0.999, 1 - beta2 would have a relative error of 1e-5.
     */
    double learning_rate, beta1, beta2, epsilon, weight_decay;
    int step;              /* 1 for the first */
    double gradient_scale; /* multiplies the gradient first: 1, or a clipping factor */
    bool zero_gradient;    /* leaves a gradient of 0, to which the next backward pass can add */
} clm_adamw;

clm_status clm_adamw_step(clm_device *device, clm_buffer *parameter, clm_buffer *gradient,
                          clm_buffer *first_moment, clm_buffer *second_moment, size_t count,
                          const clm_adamw *adamw);

/* ---- reductions: fixed order, so the same bits each time ---- */

/* out[out_index] = sum of x; sum of squares; number of elements that are not finite (as float). */
clm_status clm_reduce_sum(clm_device *device, clm_buffer *out, int out_index, const clm_buffer *x,
                          size_t count, clm_buffer *scratch);
clm_status clm_reduce_square_sum(clm_device *device, clm_buffer *out, int out_index,
                                 const clm_buffer *x, size_t count, clm_buffer *scratch);
clm_status clm_reduce_nonfinite(clm_device *device, clm_buffer *out, int out_index,
                                const clm_buffer *x, size_t count, clm_buffer *scratch);
size_t clm_reduce_scratch_bytes(const clm_device *device, size_t count); /* of all three */

/* out[out_offset + n] += sum of column n of x (rows,N), which begins x_offset elements into its
 * buffer; overwrites when !accumulate. x may lie in scratch, beyond what this call needs of it. */
clm_status clm_reduce_columns(clm_device *device, clm_buffer *out, size_t out_offset,
                              const clm_buffer *x, size_t x_offset, int rows, int N,
                              bool accumulate, clm_buffer *scratch);
size_t clm_reduce_columns_scratch_bytes(const clm_device *device, int rows, int N);

/* ---- storage of 16 bits: round to nearest even; NaN stays NaN ---- */

clm_status clm_convert_f32_to_f16(clm_device *device, clm_buffer *out, const clm_buffer *x,
                                  size_t count);
clm_status clm_convert_f16_to_f32(clm_device *device, clm_buffer *out, const clm_buffer *x,
                                  size_t count);
clm_status clm_convert_f32_to_bf16(clm_device *device, clm_buffer *out, const clm_buffer *x,
                                   size_t count);
clm_status clm_convert_bf16_to_f32(clm_device *device, clm_buffer *out, const clm_buffer *x,
                                   size_t count);

/* The same by type, CLM_F16 or CLM_BF16. */
clm_status clm_convert_narrow(clm_device *device, clm_dtype type, clm_buffer *halves,
                              const clm_buffer *floats, size_t count);
clm_status clm_convert_widen(clm_device *device, clm_dtype type, clm_buffer *floats,
                             const clm_buffer *halves, size_t count);

#endif
