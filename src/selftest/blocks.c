/* LayerNorm and attention.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "ops/ops.h"
#include "reference/attention.h"
#include "reference/layernorm.h"
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

/* ---- attention ---- */

/* Scores carry the rounding of D products, a few 1e-7; the weights made of them are sums of 1, and
 * gradients sums over T of products of such. */
static const double forward_atol = 6e-6;
static const double backward_atol = 3e-5;
static const double attention_rtol = 6e-6;

static clm_status check_attention(clm_selftest_context *run, clm_attention_shape s) {
    const size_t positions = (size_t)s.B * (size_t)s.T;
    const size_t C = (size_t)s.H * (size_t)s.D;
    clm_status status = CLM_OK;
    clm_selftest_shape(run, "B=%d, T=%d, H=%d, D=%d%s", s.B, s.T, s.H, s.D,
                       s.causal ? ", causal" : "");
    const clm_value qkv = clm_selftest_random(run, positions * 3 * C, 1.7F);
    const clm_value dout = clm_selftest_random(run, positions * C, 1.0F);
    const clm_value out = clm_selftest_empty(run, positions * C);
    const clm_value lse = clm_selftest_empty(run, positions * (size_t)s.H);
    const clm_value dqkv = clm_selftest_empty(run, positions * 3 * C);
    const double *qkv_right = clm_selftest_widened(run, &qkv);
    const double *dout_right = clm_selftest_widened(run, &dout);
    double *out_right = clm_selftest_doubles(run, out.count);
    double *lse_right = clm_selftest_doubles(run, lse.count);
    double *dqkv_right = clm_selftest_doubles(run, dqkv.count);
    CLM_TRY(run->status);
    const clm_reference_attention right =
        clm_reference_attention_fused(s.B, s.T, s.H, s.D, s.causal);
    clm_reference_attention_forward(out_right, lse_right, qkv_right, qkv_right + C,
                                    qkv_right + 2 * C, &right);
    clm_reference_attention_backward(dqkv_right, dqkv_right + C, dqkv_right + 2 * C, dout_right,
                                     qkv_right, qkv_right + C, qkv_right + 2 * C, out_right,
                                     lse_right, &right);
    CLM_TRY(clm_attention_forward(run->device, out.buffer, lse.buffer, qkv.buffer, s));
    clm_selftest_compare(run, "out", &out, out_right, forward_atol, attention_rtol);
    clm_selftest_compare(run, "lse", &lse, lse_right, forward_atol, attention_rtol);
    clm_selftest_shape(run, "B=%d, T=%d, H=%d, D=%d%s", s.B, s.T, s.H, s.D,
                       s.causal ? ", causal" : "");
    CLM_TRY(clm_attention_backward(run->device, dqkv.buffer, dout.buffer, qkv.buffer, out.buffer,
                                   lse.buffer, s));
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
    CLM_TRY(check_attention(run, (clm_attention_shape){B, T, 2, 64, true}));
    CLM_TRY(check_attention(run, (clm_attention_shape){1, 5, 1, 64, true}));
    CLM_TRY(check_attention(run, (clm_attention_shape){1, T, 1, 64, false}));
cleanup:
    return status;
}

clm_status clm_selftest_attention_pooled(clm_selftest_context *run) {
    enum { B = 3, T = 67, H = 2, D = 64, C = H * D };
    static const int32_t places[B] = {66, T, 2 * T + 31};
    const clm_attention_shape s = {B, T, H, D, true};
    clm_status status = CLM_OK;
    clm_selftest_shape(run, "B=%d, T=%d, H=%d, D=%d", B, T, H, D);
    const clm_value q = clm_selftest_random(run, (size_t)B * C, 1.7F);
    const clm_value kv = clm_selftest_random(run, (size_t)B * T * 2 * C, 1.7F);
    const clm_value rows = clm_selftest_copy(run, places, B);
    const clm_value dout = clm_selftest_random(run, (size_t)B * C, 1.0F);
    const clm_value out = clm_selftest_empty(run, (size_t)B * C);
    const clm_value lse = clm_selftest_empty(run, (size_t)B * H);
    const clm_value dq = clm_selftest_empty(run, q.count);
    const clm_value dkv = clm_selftest_empty(run, kv.count);
    const double *q_right = clm_selftest_widened(run, &q);
    const double *kv_right = clm_selftest_widened(run, &kv);
    const double *dout_right = clm_selftest_widened(run, &dout);
    double *out_right = clm_selftest_doubles(run, out.count);
    double *lse_right = clm_selftest_doubles(run, lse.count);
    double *dq_right = clm_selftest_doubles(run, q.count);
    double *dkv_right = clm_selftest_doubles(run, kv.count);
    CLM_TRY(run->status);
    const clm_reference_attention right = clm_reference_attention_pooled(places, B, T, H, D);
    clm_reference_attention_forward(out_right, lse_right, q_right, kv_right, kv_right + C, &right);
    clm_reference_attention_backward(dq_right, dkv_right, dkv_right + C, dout_right, q_right,
                                     kv_right, kv_right + C, out_right, lse_right, &right);
    CLM_TRY(clm_attention_pooled_forward(run->device, out.buffer, lse.buffer, q.buffer, kv.buffer,
                                         rows.buffer, s));
    clm_selftest_compare(run, "out", &out, out_right, forward_atol, attention_rtol);
    clm_selftest_compare(run, "lse", &lse, lse_right, forward_atol, attention_rtol);
    clm_selftest_shape(run, "B=%d, T=%d, H=%d, D=%d", B, T, H, D);
    CLM_TRY(clm_attention_pooled_backward(run->device, dq.buffer, dkv.buffer, dout.buffer, q.buffer,
                                          kv.buffer, out.buffer, lse.buffer, rows.buffer, s));
    clm_selftest_compare(run, "dq", &dq, dq_right, backward_atol, attention_rtol);
    clm_selftest_compare(run, "dkv", &dkv, dkv_right, backward_atol, attention_rtol);
cleanup:
    return status;
}
