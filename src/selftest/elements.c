/* Operations on elements, rows and sums.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "ops/ops.h"
#include "reference/adamw.h"
#include "reference/convert.h"
#include "reference/crossentropy.h"
#include "reference/dropout.h"
#include "reference/embedding.h"
#include "reference/gelu.h"
#include "reference/reduce.h"
#include "reference/residual.h"
#include "reference/rope.h"
#include "reference/rows.h"
#include "reference/silu_gate.h"
#include "selftest/run.h"

/* Odd, and past several work-groups of the widest vectors. */
enum { COUNT = 9013 };

/* ---- conversions ---- */

/* Rounds up and down, to even and to odd; below the smallest normal half; beyond the largest. */
static const float awkward_floats[] = {
    0.0F,      -0.0F,      1.0F,      -1.0F,     1.0F + 0x1p-11F, 1.0F + 0x3p-11F,
    65504.0F,  65519.0F,   65520.0F,  -70000.0F, 0x1p-14F,        0x1p-24F,
    0x1p-25F,  0x1.8p-25F, 3.0e38F,   3.4e38F,   1.0F + 0x1p-8F,  1.0F + 0x3p-8F,
    0x1p-133F, INFINITY,   -INFINITY, NAN};
enum { AWKWARD = sizeof awkward_floats / sizeof *awkward_floats };

typedef struct conversion {
    const char *name;
    clm_status (*narrow)(clm_device *device, clm_buffer *out, const clm_buffer *x, size_t count);
    clm_status (*widen)(clm_device *device, clm_buffer *out, const clm_buffer *x, size_t count);
    void (*reference_narrow)(uint16_t *out, const float *x, size_t count);
    void (*reference_widen)(float *out, const uint16_t *x, size_t count);
} conversion;

/* To 16 bits and back; every bit of what is a number has to be right. */
static clm_status check_conversion(clm_selftest_context *run, const conversion *c) {
    clm_status status = CLM_OK;
    enum { HALVES = COUNT / 2 + 1 };
    clm_selftest_shape(run, "%s, count=%d", c->name, COUNT);
    clm_value x = clm_selftest_random(run, COUNT, 100.0F);
    const clm_value narrow = clm_selftest_empty(run, HALVES);
    const clm_value wide = clm_selftest_empty(run, COUNT);
    float *halves = clm_selftest_floats(run, HALVES);
    float *expected = clm_selftest_floats(run, COUNT);
    CLM_TRY(run->status);
    memcpy(x.host, awkward_floats, sizeof awkward_floats);
    CLM_TRY(clm_buffer_write(x.buffer, 0, x.host, COUNT * sizeof *x.host));
    c->reference_narrow((uint16_t *)halves, x.host, COUNT);
    c->reference_widen(expected, (const uint16_t *)halves, COUNT);
    CLM_TRY(c->narrow(run->device, narrow.buffer, x.buffer, COUNT));
    CLM_TRY(c->widen(run->device, wide.buffer, narrow.buffer, COUNT));
    clm_selftest_compare_floats(run, "to 16 bits and back", &wide, expected, 0.0, 0.0);
    /* The way back alone: so an error in the one cannot hide one in the other. */
    CLM_TRY(clm_buffer_write(narrow.buffer, 0, halves, COUNT * sizeof(uint16_t)));
    CLM_TRY(c->widen(run->device, wide.buffer, narrow.buffer, COUNT));
    clm_selftest_compare_floats(run, "to 32 bits", &wide, expected, 0.0, 0.0);
cleanup:
    return status;
}

clm_status clm_selftest_convert(clm_selftest_context *run) {
    static const conversion conversions[] = {
        {"f16", clm_convert_f32_to_f16, clm_convert_f16_to_f32, clm_reference_convert_f32_to_f16,
         clm_reference_convert_f16_to_f32},
        {"bf16", clm_convert_f32_to_bf16, clm_convert_bf16_to_f32,
         clm_reference_convert_f32_to_bf16, clm_reference_convert_bf16_to_f32},
    };
    clm_status status = CLM_OK;
    for (size_t i = 0; i < 2; i++) {
        CLM_TRY(check_conversion(run, &conversions[i]));
    }
cleanup:
    return status;
}

/* ---- sums ---- */

/* Partial sums of 16384 elements are summed again from 16385 on. Sums of n numbers up to 1 that are
 * as good as random have errors of a few sqrt(n) 6e-8; one element that is left out or counted
 * twice changes one by about 0.5. */
static clm_status check_sums(clm_selftest_context *run, size_t count) {
    clm_status status = CLM_OK;
    clm_selftest_shape(run, "count=%zu", count);
    clm_value x = clm_selftest_random(run, count, 1.0F);
    const clm_value out = clm_selftest_empty(run, 3);
    clm_buffer *scratch = NULL;
    CLM_TRY(run->status);
    CLM_TRY(clm_scratch_take(run->device, clm_reduce_scratch_bytes(run->device, count), &scratch,
                             "partial sums"));
    double expected[3] = {clm_reference_reduce_sum(x.host, count),
                          clm_reference_reduce_square_sum(x.host, count), 2.0};
    CLM_TRY(clm_reduce_sum(run->device, out.buffer, 0, x.buffer, count, scratch));
    CLM_TRY(clm_reduce_square_sum(run->device, out.buffer, 1, x.buffer, count, scratch));
    x.host[count - 1] = INFINITY;
    x.host[count / 2] = NAN;
    CLM_TRY(clm_buffer_write(x.buffer, 0, x.host, count * sizeof *x.host));
    CLM_TRY(clm_reduce_nonfinite(run->device, out.buffer, 2, x.buffer, count, scratch));
    clm_selftest_compare(run, "sum, sum of squares, not finite", &out, expected, 2e-3, 1e-6);
cleanup:
    return status;
}

/* Parts of 64 rows are summed again from 65 on. */
static clm_status check_columns(clm_selftest_context *run, int rows, int N, bool accumulate) {
    enum { OFFSET = 3 };
    clm_status status = CLM_OK;
    clm_selftest_shape(run, "columns, rows=%d, N=%d%s", rows, N, accumulate ? ", added" : "");
    const clm_value x = clm_selftest_random(run, (size_t)rows * (size_t)N, 1.0F);
    const clm_value out = clm_selftest_random(run, (size_t)N + OFFSET, 1.0F);
    float *expected = clm_selftest_floats(run, out.count);
    CLM_TRY(run->status);
    memcpy(expected, out.host, out.count * sizeof *expected);
    clm_reference_reduce_columns(expected + OFFSET, x.host, rows, N, accumulate);
    clm_buffer *scratch = NULL;
    CLM_TRY(clm_scratch_take(run->device, clm_reduce_columns_scratch_bytes(run->device, rows, N),
                             &scratch, "partial column sums"));
    CLM_TRY(clm_reduce_columns(run->device, out.buffer, OFFSET, x.buffer, 0, rows, N, accumulate,
                               scratch));
    clm_selftest_compare_floats(run, "out", &out, expected, 2e-5, 1e-6);
cleanup:
    return status;
}

clm_status clm_selftest_reduce(clm_selftest_context *run) {
    clm_status status = CLM_OK;
    CLM_TRY(check_sums(run, 1037));
    CLM_TRY(check_sums(run, 2 * 16384 + 77));
    CLM_TRY(check_columns(run, 1, 3, false));
    CLM_TRY(check_columns(run, 131, 389, false));
    CLM_TRY(check_columns(run, 131, 389, true));
cleanup:
    return status;
}

/* ---- elements ---- */

clm_status clm_selftest_residual(clm_selftest_context *run) {
    clm_status status = CLM_OK;
    clm_selftest_shape(run, "count=%d", COUNT);
    const clm_value a = clm_selftest_random(run, COUNT, 1.0F);
    const clm_value b = clm_selftest_random(run, COUNT, 1.0F);
    const clm_value out = clm_selftest_empty(run, COUNT);
    double *expected = clm_selftest_widened(run, &a);
    const double *b_right = clm_selftest_widened(run, &b);
    CLM_TRY(run->status);
    clm_reference_residual_forward(expected, expected, b_right, COUNT);
    CLM_TRY(clm_residual_forward(run->device, out.buffer, a.buffer, b.buffer, COUNT));
    /* One rounding. */
    clm_selftest_compare(run, "out", &out, expected, 0.0, 0x1p-24);
cleanup:
    return status;
}

/* cl/gelu.cl promises a few units of the last place of numbers of this size; a derivative is a sum
 * of three such. */
clm_status clm_selftest_gelu(clm_selftest_context *run) {
    clm_status status = CLM_OK;
    clm_selftest_shape(run, "count=%d", COUNT);
    const clm_value x = clm_selftest_random(run, COUNT, 6.0F);
    const clm_value dout = clm_selftest_random(run, COUNT, 1.0F);
    const clm_value out = clm_selftest_empty(run, COUNT);
    const clm_value dx = clm_selftest_empty(run, COUNT);
    const double *x_right = clm_selftest_widened(run, &x);
    const double *dout_right = clm_selftest_widened(run, &dout);
    double *expected = clm_selftest_doubles(run, COUNT);
    CLM_TRY(run->status);
    clm_reference_gelu_forward(expected, x_right, COUNT);
    CLM_TRY(clm_gelu_forward(run->device, out.buffer, x.buffer, COUNT));
    clm_selftest_compare(run, "out", &out, expected, 2e-6, 2e-6);
    clm_selftest_shape(run, "count=%d", COUNT);
    clm_reference_gelu_backward(expected, dout_right, x_right, COUNT);
    CLM_TRY(clm_gelu_backward(run->device, dx.buffer, dout.buffer, x.buffer, COUNT));
    clm_selftest_compare(run, "dx", &dx, expected, 5e-6, 2e-6);
cleanup:
    return status;
}

clm_status clm_selftest_silu_gate(clm_selftest_context *run) {
    clm_status status = CLM_OK;
    clm_selftest_shape(run, "count=%d", COUNT);
    const clm_value gate = clm_selftest_random(run, COUNT, 6.0F);
    const clm_value up = clm_selftest_random(run, COUNT, 1.0F);
    const clm_value dout = clm_selftest_random(run, COUNT, 1.0F);
    const clm_value out = clm_selftest_empty(run, COUNT);
    const clm_value dgate = clm_selftest_empty(run, COUNT);
    const clm_value dup = clm_selftest_empty(run, COUNT);
    const double *gate_right = clm_selftest_widened(run, &gate);
    const double *up_right = clm_selftest_widened(run, &up);
    const double *dout_right = clm_selftest_widened(run, &dout);
    double *expected = clm_selftest_doubles(run, COUNT);
    double *dup_right = clm_selftest_doubles(run, COUNT);
    CLM_TRY(run->status);
    clm_reference_silu_gate_forward(expected, gate_right, up_right, COUNT);
    CLM_TRY(clm_silu_gate_forward(run->device, out.buffer, gate.buffer, up.buffer, COUNT));
    clm_selftest_compare(run, "out", &out, expected, 2e-6, 2e-6);
    clm_selftest_shape(run, "count=%d", COUNT);
    clm_reference_silu_gate_backward(expected, dup_right, dout_right, gate_right, up_right, COUNT);
    CLM_TRY(clm_silu_gate_backward(run->device, dgate.buffer, dup.buffer, dout.buffer, gate.buffer,
                                   up.buffer, COUNT));
    clm_selftest_compare(run, "dgate", &dgate, expected, 5e-6, 2e-6);
    clm_selftest_compare(run, "dup", &dup, dup_right, 5e-6, 2e-6);
cleanup:
    return status;
}

/* Angles up to 131, off by a few 1e-7 of themselves. */
clm_status clm_selftest_rope(clm_selftest_context *run) {
    enum { B = 2, T = 3, H = 2, D = 80, SIZE = B * T * H * D };
    static const int32_t places[B] = {128, 3};
    clm_status status = CLM_OK;
    clm_selftest_shape(run, "B=%d, T=%d, H=%d, D=%d", B, T, H, D);
    const clm_value x = clm_selftest_random(run, SIZE, 1.0F);
    const clm_value first = clm_selftest_copy(run, places, B);
    const clm_value out = clm_selftest_empty(run, SIZE);
    const double *x_right = clm_selftest_widened(run, &x);
    double *expected = clm_selftest_doubles(run, SIZE);
    CLM_TRY(run->status);
    clm_reference_rope(expected, x_right, places, B, T, H, D, 10000.0, false);
    CLM_TRY(clm_rope_forward(run->device, out.buffer, (clm_view){.buffer = x.buffer}, first.buffer,
                             B, T, H, D, 10000.0F, false));
    clm_selftest_compare(run, "out", &out, expected, 2e-4, 1e-6);
cleanup:
    return status;
}

clm_status clm_selftest_dropout(clm_selftest_context *run) {
    clm_status status = CLM_OK;
    clm_selftest_shape(run, "count=%d", COUNT);
    const clm_value x = clm_selftest_random(run, COUNT, 1.0F);
    const clm_value out = clm_selftest_empty(run, COUNT);
    float *expected = clm_selftest_floats(run, COUNT);
    CLM_TRY(run->status);
    /* The draws are integers, so it is the same elements that are dropped. */
    clm_reference_dropout(expected, x.host, COUNT, 0.1F, 123, 7);
    CLM_TRY(clm_dropout(run->device, out.buffer, x.buffer, COUNT, 0.1F, 123, 7));
    clm_selftest_compare_floats(run, "out", &out, expected, 0.0, 2e-7);
cleanup:
    return status;
}

/* Two steps, from moments that are not zero. A parameter takes some three roundings of 6e-8 a step
 * on each side; 1 - beta2 is off by 1.3e-5 of itself times the new part of the second moment. */
static clm_status check_adamw(clm_selftest_context *run, bool zero_gradient) {
    clm_status status = CLM_OK;
    clm_adamw settings = {1e-3, 0.9, 0.999, 1e-8, 0.1, 1, 0.5, zero_gradient};
    clm_selftest_shape(run, "count=%d%s", COUNT, zero_gradient ? ", gradient zeroed" : "");
    const clm_value p = clm_selftest_random(run, COUNT, 1.0F);
    const clm_value g = clm_selftest_random(run, COUNT, 1.0F);
    const clm_value m = clm_selftest_random(run, COUNT, 0.1F);
    clm_value v = clm_selftest_random(run, COUNT, 0.1F);
    double *zero = clm_selftest_doubles(run, COUNT);
    CLM_TRY(run->status);
    for (size_t i = 0; i < COUNT; i++) {
        v.host[i] = fabsf(v.host[i]);
    }
    CLM_TRY(clm_buffer_write(v.buffer, 0, v.host, COUNT * sizeof *v.host));
    for (; settings.step <= 2; settings.step++) {
        const clm_reference_adamw reference = {
            settings.learning_rate, settings.beta1, settings.beta2,         settings.epsilon,
            settings.weight_decay,  settings.step,  settings.gradient_scale};
        CLM_TRY(
            clm_adamw_step(run->device, p.buffer, g.buffer, m.buffer, v.buffer, COUNT, &settings));
        clm_reference_adamw_step(p.host, g.host, m.host, v.host, COUNT, &reference);
        if (zero_gradient) {
            memset(g.host, 0, COUNT * sizeof *g.host);
        }
    }
    clm_selftest_compare_floats(run, "parameters", &p, p.host, 2e-6, 0.0);
    clm_selftest_compare_floats(run, "first moment", &m, m.host, 1e-7, 2e-6);
    clm_selftest_compare_floats(run, "second moment", &v, v.host, 1e-7, 2e-6);
    if (zero_gradient) {
        clm_selftest_compare(run, "gradient", &g, zero, 0.0, 0.0);
    }
cleanup:
    return status;
}

clm_status clm_selftest_adamw(clm_selftest_context *run) {
    const clm_status status = check_adamw(run, true);
    return status == CLM_OK ? check_adamw(run, false) : status;
}

/* ---- rows ---- */

clm_status clm_selftest_rows(clm_selftest_context *run) {
    enum { N = 5, ROWS = 23, C = 389 };
    static const int32_t places[N] = {22, 0, 7, 13, 8};
    clm_status status = CLM_OK;
    clm_selftest_shape(run, "n=%d of %d, C=%d", N, ROWS, C);
    const clm_value x = clm_selftest_random(run, (size_t)ROWS * C, 1.0F);
    const clm_value y = clm_selftest_random(run, (size_t)N * C, 1.0F);
    const clm_value rows = clm_selftest_copy(run, places, N);
    const clm_value place = clm_selftest_copy(run, places + 2, 1);
    const clm_value few = clm_selftest_empty(run, (size_t)N * C);
    const clm_value all = clm_selftest_empty(run, (size_t)ROWS * C);
    double *x_right = clm_selftest_widened(run, &x);
    const double *y_right = clm_selftest_widened(run, &y);
    double *expected = clm_selftest_doubles(run, (size_t)ROWS * C);
    CLM_TRY(run->status);
    clm_reference_rows_gather(expected, x_right, places, N, C);
    CLM_TRY(clm_rows_gather(run->device, few.buffer, x.buffer, rows.buffer, N, C));
    clm_selftest_compare(run, "rows picked", &few, expected, 0.0, 0.0);
    clm_selftest_shape(run, "n=%d of %d, C=%d", N, ROWS, C);
    clm_reference_rows_scatter(expected, y_right, places, N, ROWS, C);
    CLM_TRY(clm_rows_scatter(run->device, all.buffer, y.buffer, rows.buffer, N, ROWS, C));
    clm_selftest_compare(run, "rows put back", &all, expected, 0.0, 0.0);
    clm_selftest_shape(run, "n=%d of %d, C=%d", N, ROWS, C);
    clm_reference_rows_add(x_right, y_right, places, N, C);
    CLM_TRY(clm_rows_add(run->device, x.buffer, y.buffer, rows.buffer, N, C));
    clm_selftest_compare(run, "rows added to", &x, x_right, 0.0, 0x1p-24); /* one rounding */
    clm_selftest_shape(run, "n=%d of %d, C=%d", N, ROWS, C);
    clm_reference_rows_append(expected, y_right, places + 2, 1, N, ROWS, C);
    CLM_TRY(clm_rows_append(run->device, all.buffer, (clm_view){.buffer = y.buffer}, place.buffer,
                            1, N, ROWS, C));
    clm_selftest_compare(run, "rows appended", &all, expected, 0.0, 0.0);
cleanup:
    return status;
}

/* ---- embedding ---- */

clm_status clm_selftest_embedding(clm_selftest_context *run) {
    enum { B = 3, T = 19, C = 389, V = 11, FIRST = 2 };
    clm_status status = CLM_OK;
    int32_t ids[B * T];
    for (size_t i = 0; i < (size_t)B * T; i++) {
        ids[i] = (int32_t)(clm_philox_next(&run->random) % (V - 1)); /* one never, others often */
    }
    clm_selftest_shape(run, "B=%d, T=%d, C=%d", B, T, C);
    const clm_value tokens = clm_selftest_copy(run, ids, (size_t)B * T);
    const clm_value wte = clm_selftest_random(run, (size_t)V * C, 1.0F);
    const clm_value wpe = clm_selftest_random(run, (size_t)(FIRST + T) * C, 1.0F);
    const clm_value out = clm_selftest_empty(run, (size_t)B * T * C);
    const clm_value dout = clm_selftest_random(run, (size_t)B * T * C, 1.0F);
    double *wte_right = clm_selftest_widened(run, &wte);
    double *wpe_right = clm_selftest_widened(run, &wpe);
    const double *dout_right = clm_selftest_widened(run, &dout);
    double *expected = clm_selftest_doubles(run, (size_t)B * T * C);
    CLM_TRY(run->status);
    clm_reference_embedding_forward(expected, ids, wte_right, wpe_right, B, T, C, FIRST);
    CLM_TRY(clm_embedding_forward(run->device, out.buffer, tokens.buffer, wte.buffer, wpe.buffer, B,
                                  T, C, FIRST));
    clm_selftest_compare(run, "out", &out, expected, 0.0, 0x1p-24); /* one rounding */
    clm_selftest_shape(run, "B=%d, T=%d, C=%d", B, T, C);
    clm_reference_embedding_backward(wte_right, wpe_right, dout_right, ids, B, T, C, V);
    clm_buffer *scratch = NULL;
    CLM_TRY(clm_scratch_take(run->device, clm_embedding_backward_scratch_bytes(run->device, B, T),
                             &scratch, "the sorted places of tokens"));
    CLM_TRY(clm_embedding_backward(run->device, wte.buffer, wpe.buffer, dout.buffer, ids, B, T, C,
                                   scratch));
    /* Sums of up to some 20 numbers below 1. */
    clm_selftest_compare(run, "dwte", &wte, wte_right, 1e-5, 1e-6);
    clm_selftest_compare(run, "dwpe", &wpe, wpe_right, 1e-5, 1e-6);
cleanup:
    return status;
}

/* ---- cross-entropy ---- */

static clm_status check_crossentropy(clm_selftest_context *run, int rows, int V) {
    const size_t count = (size_t)rows * (size_t)V;
    const float scale = 0.25F;
    clm_status status = CLM_OK;
    clm_selftest_shape(run, "rows=%d, V=%d", rows, V);
    int32_t *ids = (int32_t *)clm_selftest_floats(run, (size_t)rows);
    const clm_value logits = clm_selftest_random(run, count, 5.0F);
    const clm_value losses = clm_selftest_empty(run, (size_t)rows);
    const clm_value sums = clm_selftest_empty(run, 2 * (size_t)rows);
    const clm_value probabilities = clm_selftest_empty(run, count);
    const clm_value dlogits = clm_selftest_empty(run, count);
    const double *logits_right = clm_selftest_widened(run, &logits);
    double *expected = clm_selftest_doubles(run, count);
    double *expected_losses = clm_selftest_doubles(run, (size_t)rows);
    CLM_TRY(run->status);
    for (int i = 0; i < rows; i++) {
        ids[i] = i == 1 ? CLM_TARGET_IGNORED : i % V;
    }
    const clm_value targets = clm_selftest_copy(run, ids, (size_t)rows);
    CLM_TRY(run->status);
    clm_reference_crossentropy_forward(expected_losses, NULL, expected, logits_right, ids, rows, V);
    CLM_TRY(clm_crossentropy_forward(run->device, losses.buffer, sums.buffer, probabilities.buffer,
                                     logits.buffer, targets.buffer, rows, V));
    /* As cl/crossentropy.cl says: a loss is at most some 15 here. */
    clm_selftest_compare(run, "losses", &losses, expected_losses, 2e-6, 1e-6);
    clm_selftest_compare(run, "probabilities", &probabilities, expected, 1e-7, 5e-6);
    clm_selftest_shape(run, "rows=%d, V=%d", rows, V);
    clm_reference_crossentropy_backward(expected, logits_right, ids, (double)scale, rows, V);
    CLM_TRY(clm_crossentropy_backward(run->device, dlogits.buffer, logits.buffer, sums.buffer,
                                      targets.buffer, scale, rows, V));
    clm_selftest_compare(run, "dlogits", &dlogits, expected, 5e-7, 5e-6);
cleanup:
    return status;
}

clm_status clm_selftest_crossentropy(clm_selftest_context *run) {
    clm_status status = CLM_OK;
    CLM_TRY(check_crossentropy(run, 9, 2));
    CLM_TRY(check_crossentropy(run, 5, 1037));
cleanup:
    return status;
}
