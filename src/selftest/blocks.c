/* LayerNorm and attention.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "ops/ops.h"
#include "reference/attention.h"
#include "reference/layernorm.h"
#include "reference/rmsnorm.h"
#include "selftest/run.h"

/* ---- LayerNorm ---- */

static const float epsilon = 1e-5F;

typedef struct norm {
    int rows, C;
    size_t count;
    clm_value x, weight, bias, out, mean, rstd, dout, dresidual;
    /* What is right, in double. */
    double *x_right, *weight_right, *bias_right, *dout_right, *dresidual_right;
    double *out_right, *mean_right, *rstd_right;
} norm;

static void make_norm(norm *n, clm_selftest_context *run) {
    const size_t rows = (size_t)n->rows;
    const size_t C = (size_t)n->C;
    n->count = rows * C;
    n->x = clm_selftest_random(run, n->count, 2.0F);
    n->weight = clm_selftest_random(run, C, 1.0F);
    n->bias = clm_selftest_random(run, C, 1.0F);
    n->out = clm_selftest_empty(run, n->count);
    n->mean = clm_selftest_empty(run, rows);
    n->rstd = clm_selftest_empty(run, rows);
    n->dout = clm_selftest_random(run, n->count, 1.0F);
    n->dresidual = clm_selftest_random(run, n->count, 1.0F);
    n->x_right = clm_selftest_widened(run, &n->x);
    n->weight_right = clm_selftest_widened(run, &n->weight);
    n->bias_right = clm_selftest_widened(run, &n->bias);
    n->dout_right = clm_selftest_widened(run, &n->dout);
    n->dresidual_right = clm_selftest_widened(run, &n->dresidual);
    n->out_right = clm_selftest_doubles(run, n->count);
    n->mean_right = clm_selftest_doubles(run, rows);
    n->rstd_right = clm_selftest_doubles(run, rows);
}

/* Normalised values of size 1 carry some 3e-7; the gradients of weight and bias are sums of `rows`
 * of them. Kernels are built for what is wanted; dx alone no model wants. */
static clm_status check_norm_backward(clm_selftest_context *run, const norm *n, bool want_dx) {
    const size_t C = (size_t)n->C;
    clm_status status = CLM_OK;
    clm_selftest_shape(run, "rows=%d, C=%d", n->rows, n->C);
    const clm_value dx = clm_selftest_empty(run, n->count);
    const clm_value dweight = clm_selftest_random(run, C, 1.0F);
    const clm_value dbias = clm_selftest_random(run, C, 1.0F);
    double *dx_right = clm_selftest_doubles(run, n->count);
    double *dweight_right = clm_selftest_widened(run, &dweight);
    double *dbias_right = clm_selftest_widened(run, &dbias);
    CLM_TRY(run->status);
    clm_reference_layernorm_backward(dx_right, dweight_right, dbias_right, n->dout_right,
                                     n->x_right, n->weight_right, n->mean_right, n->rstd_right,
                                     n->dresidual_right, n->rows, n->C);
    clm_buffer *scratch = NULL;
    CLM_TRY(clm_scratch_take(run->device,
                             clm_layernorm_backward_scratch_bytes(run->device, n->rows, n->C),
                             &scratch, "parts of a norm's gradients"));
    CLM_TRY(clm_layernorm_backward(run->device, want_dx ? dx.buffer : NULL, dweight.buffer,
                                   dbias.buffer, n->dout.buffer, n->x.buffer, n->weight.buffer,
                                   n->mean.buffer, n->rstd.buffer,
                                   want_dx ? n->dresidual.buffer : NULL, n->rows, n->C, scratch));
    if (want_dx) {
        clm_selftest_compare(run, "dx", &dx, dx_right, 5e-6, 2e-6);
    }
    clm_selftest_compare(run, "dweight", &dweight, dweight_right, 2e-5, 2e-6);
    clm_selftest_compare(run, "dbias", &dbias, dbias_right, 1e-5, 2e-6);
cleanup:
    return status;
}

static clm_status check_norm(clm_selftest_context *run, int rows, int C) {
    norm n = {.rows = rows, .C = C};
    clm_status status = CLM_OK;
    clm_selftest_shape(run, "rows=%d, C=%d", rows, C);
    make_norm(&n, run);
    CLM_TRY(run->status);
    clm_reference_layernorm_forward(n.out_right, n.mean_right, n.rstd_right, n.x_right,
                                    n.weight_right, n.bias_right, rows, C, (double)epsilon);
    CLM_TRY(clm_layernorm_forward(run->device, n.out.buffer, n.mean.buffer, n.rstd.buffer,
                                  n.x.buffer, n.weight.buffer, n.bias.buffer, rows, C, epsilon));
    clm_selftest_compare(run, "out", &n.out, n.out_right, 4e-6, 2e-6);
    clm_selftest_compare(run, "mean", &n.mean, n.mean_right, 1e-6, 1e-6);
    clm_selftest_compare(run, "rstd", &n.rstd, n.rstd_right, 0.0, 4e-6);
    CLM_TRY(check_norm_backward(run, &n, true));
    CLM_TRY(check_norm_backward(run, &n, false));
cleanup:
    return status;
}

clm_status clm_selftest_layernorm(clm_selftest_context *run) {
    clm_status status = CLM_OK;
    CLM_TRY(check_norm(run, 37, 131));
    CLM_TRY(check_norm(run, 17, 768));
cleanup:
    return status;
}

/* ---- RMSNorm ---- */

static clm_status check_rmsnorm(clm_selftest_context *run, int rows, int C) {
    const size_t count = (size_t)rows * (size_t)C;
    clm_status status = CLM_OK;
    clm_selftest_shape(run, "rows=%d, C=%d", rows, C);
    const clm_value x = clm_selftest_random(run, count, 2.0F);
    const clm_value weight = clm_selftest_random(run, (size_t)C, 1.0F);
    const clm_value dout = clm_selftest_random(run, count, 1.0F);
    const clm_value past = clm_selftest_random(run, count, 1.0F);
    const clm_value out = clm_selftest_empty(run, count);
    const clm_value rrms = clm_selftest_empty(run, (size_t)rows);
    const clm_value dx = clm_selftest_empty(run, count);
    const clm_value dweight = clm_selftest_random(run, (size_t)C, 1.0F);
    const double *x_right = clm_selftest_widened(run, &x);
    const double *weight_right = clm_selftest_widened(run, &weight);
    const double *dout_right = clm_selftest_widened(run, &dout);
    const double *past_right = clm_selftest_widened(run, &past);
    double *out_right = clm_selftest_doubles(run, count);
    double *rrms_right = clm_selftest_doubles(run, (size_t)rows);
    double *dweight_right = clm_selftest_widened(run, &dweight);
    clm_buffer *scratch = NULL;
    CLM_TRY(run->status);
    CLM_TRY(clm_scratch_take(run->device, clm_rmsnorm_backward_scratch_bytes(run->device, rows, C),
                             &scratch, "the self-test"));
    clm_reference_rmsnorm_forward(out_right, rrms_right, x_right, weight_right, rows, C,
                                  (double)epsilon);
    CLM_TRY(clm_rmsnorm_forward(run->device, out.buffer, rrms.buffer, x.buffer, weight.buffer, rows,
                                C, epsilon));
    clm_selftest_compare(run, "out", &out, out_right, 4e-6, 2e-6);
    clm_selftest_compare(run, "rrms", &rrms, rrms_right, 0.0, 4e-6);
    clm_selftest_shape(run, "rows=%d, C=%d", rows, C);
    clm_reference_rmsnorm_backward(out_right, dweight_right, dout_right, x_right, weight_right,
                                   rrms_right, past_right, rows, C);
    CLM_TRY(clm_rmsnorm_backward(run->device, dx.buffer, dweight.buffer, dout.buffer, x.buffer,
                                 weight.buffer, rrms.buffer, past.buffer, rows, C, scratch));
    clm_selftest_compare(run, "dx", &dx, out_right, 5e-6, 2e-6);
    clm_selftest_compare(run, "dweight", &dweight, dweight_right, 2e-5, 2e-6);
cleanup:
    return status;
}

clm_status clm_selftest_rmsnorm(clm_selftest_context *run) {
    clm_status status = CLM_OK;
    CLM_TRY(check_rmsnorm(run, 37, 131));
    CLM_TRY(check_rmsnorm(run, 17, 768));
cleanup:
    return status;
}

/* ---- attention ---- */

/* Scores carry the rounding of D products, a few 1e-7; the weights made of them are sums of 1, and
 * gradients sums over T of products of such. */
static const double forward_atol = 6e-6;
static const double backward_atol = 3e-5;
static const double attention_rtol = 6e-6;

/* The gradients, where the operation needs scratch. */
static clm_status attention_backward(clm_selftest_context *run, const clm_attention_gradients *to,
                                     const clm_value *dout, const clm_value *out,
                                     const clm_value *lse,
                                     const clm_attention_arguments *arguments) {
    clm_status status = CLM_OK;
    clm_buffer *scratch = NULL;
    CLM_TRY(clm_scratch_take(run->device,
                             clm_attention_backward_scratch_bytes(run->device, &arguments->shape),
                             &scratch, "the self-test"));
    CLM_TRY(clm_attention_backward(run->device, to, dout->buffer, out->buffer, lse->buffer,
                                   arguments, scratch));
cleanup:
    return status;
}

static clm_status check_attention(clm_selftest_context *run, int B, int T, int H, int D,
                                  bool causal) {
    const size_t positions = (size_t)B * (size_t)T;
    const size_t C = (size_t)H * (size_t)D;
    clm_status status = CLM_OK;
    clm_selftest_shape(run, "B=%d, T=%d, H=%d, D=%d%s", B, T, H, D, causal ? ", causal" : "");
    const clm_value qkv = clm_selftest_random(run, positions * 3 * C, 1.7F);
    const clm_value dout = clm_selftest_random(run, positions * C, 1.0F);
    const clm_value out = clm_selftest_empty(run, positions * C);
    const clm_value lse = clm_selftest_empty(run, positions * (size_t)H);
    const clm_value dqkv = clm_selftest_empty(run, positions * 3 * C);
    const double *qkv_right = clm_selftest_widened(run, &qkv);
    const double *dout_right = clm_selftest_widened(run, &dout);
    double *out_right = clm_selftest_doubles(run, out.count);
    double *lse_right = clm_selftest_doubles(run, lse.count);
    double *dqkv_right = clm_selftest_doubles(run, dqkv.count);
    CLM_TRY(run->status);
    const clm_reference_attention right = clm_reference_attention_fused(B, T, H, D, causal);
    const clm_attention_arguments arguments = clm_attention_fused(qkv.buffer, B, T, H, D, causal);
    const clm_attention_gradients to = clm_attention_fused_gradients(dqkv.buffer, H, D);
    clm_reference_attention_forward(out_right, lse_right, qkv_right, qkv_right + C,
                                    qkv_right + 2 * C, &right);
    clm_reference_attention_backward(dqkv_right, dqkv_right + C, dqkv_right + 2 * C, dout_right,
                                     qkv_right, qkv_right + C, qkv_right + 2 * C, out_right,
                                     lse_right, &right);
    CLM_TRY(clm_attention_forward(run->device, out.buffer, lse.buffer, &arguments));
    clm_selftest_compare(run, "out", &out, out_right, forward_atol, attention_rtol);
    clm_selftest_compare(run, "lse", &lse, lse_right, forward_atol, attention_rtol);
    clm_selftest_shape(run, "B=%d, T=%d, H=%d, D=%d%s", B, T, H, D, causal ? ", causal" : "");
    CLM_TRY(attention_backward(run, &to, &dout, &out, &lse, &arguments));
    clm_selftest_compare(run, "dqkv", &dqkv, dqkv_right, backward_atol, attention_rtol);
cleanup:
    return status;
}

/* D = 64 is GPT-2's in every size, and the kernels are built for it. T is past a tile, and odd; a
 * simulator's tiles are as small as its work-groups. */
clm_status clm_selftest_attention(clm_selftest_context *run) {
    const bool is_simulator = clm_device_is_simulator(run->device);
    const int B = is_simulator ? 1 : 2;
    const int T = is_simulator ? 19 : 67;
    clm_status status = CLM_OK;
    CLM_TRY(check_attention(run, B, T, 2, 64, true));
    CLM_TRY(check_attention(run, 1, 5, 1, 64, true));
    CLM_TRY(check_attention(run, 1, T, 1, 64, false));
cleanup:
    return status;
}

/* One query a sequence, of twice as many heads as keys have, and sequences of different lengths. */
clm_status clm_selftest_attention_one(clm_selftest_context *run) {
    enum { B = 3, T = 67, H = 4, G = 2, D = 64, C = H * D, KV = 2 * G * D };
    static const int32_t places[B] = {66, 0, 31};
    static const int32_t lengths[B] = {67, 1, 30};
    clm_status status = CLM_OK;
    clm_selftest_shape(run, "B=%d, T=%d, H=%d, G=%d, D=%d", B, T, H, G, D);
    const clm_value q = clm_selftest_random(run, (size_t)B * C, 1.7F);
    const clm_value kv = clm_selftest_random(run, (size_t)B * T * KV, 1.7F);
    const clm_value first = clm_selftest_copy(run, places, B);
    const clm_value valid = clm_selftest_copy(run, lengths, B);
    const clm_value dout = clm_selftest_random(run, (size_t)B * C, 1.0F);
    const clm_value out = clm_selftest_empty(run, (size_t)B * C);
    const clm_value lse = clm_selftest_empty(run, (size_t)B * H);
    const clm_value dq = clm_selftest_empty(run, q.count);
    const clm_value dkv = clm_selftest_empty(run, kv.count);
    const double *q_right = clm_selftest_widened(run, &q);
    const double *k_right = clm_selftest_widened(run, &kv);
    const double *dout_right = clm_selftest_widened(run, &dout);
    double *out_right = clm_selftest_doubles(run, out.count);
    double *lse_right = clm_selftest_doubles(run, lse.count);
    double *dq_right = clm_selftest_doubles(run, q.count);
    double *dkv_right = clm_selftest_doubles(run, kv.count);
    CLM_TRY(run->status);
    const clm_reference_attention right = {.B = B,
                                           .Tq = 1,
                                           .Tk = T,
                                           .H = H,
                                           .G = G,
                                           .D = D,
                                           .causal = true,
                                           .first = places,
                                           .lengths = lengths,
                                           .kv_stride = KV};
    const clm_attention_arguments arguments = {
        .shape = {.B = B, .Tq = 1, .Tk = T, .H = H, .G = G, .D = D, .causal = true},
        .q = {.buffer = q.buffer},
        .k = {.buffer = kv.buffer, .stride = KV},
        .v = {.buffer = kv.buffer, .offset = KV / 2, .stride = KV},
        .first = first.buffer,
        .lengths = valid.buffer};
    const clm_attention_gradients to = {
        .dq = {.buffer = dq.buffer},
        .dk = {.buffer = dkv.buffer, .stride = KV},
        .dv = {.buffer = dkv.buffer, .offset = KV / 2, .stride = KV}};
    clm_reference_attention_forward(out_right, lse_right, q_right, k_right, k_right + KV / 2,
                                    &right);
    clm_reference_attention_backward(dq_right, dkv_right, dkv_right + KV / 2, dout_right, q_right,
                                     k_right, k_right + KV / 2, out_right, lse_right, &right);
    CLM_TRY(clm_attention_forward(run->device, out.buffer, lse.buffer, &arguments));
    clm_selftest_compare(run, "out", &out, out_right, forward_atol, attention_rtol);
    clm_selftest_compare(run, "lse", &lse, lse_right, forward_atol, attention_rtol);
    clm_selftest_shape(run, "B=%d, T=%d, H=%d, G=%d, D=%d", B, T, H, G, D);
    CLM_TRY(attention_backward(run, &to, &dout, &out, &lse, &arguments));
    clm_selftest_compare(run, "dq", &dq, dq_right, backward_atol, attention_rtol);
    clm_selftest_compare(run, "dkv", &dkv, dkv_right, backward_atol, attention_rtol);
cleanup:
    return status;
}
