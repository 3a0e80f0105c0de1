/* Matrix products by whatever serves them on the device: of many rows and of few, with tails, with
 * weights as they lie and packed in each storage; and linear layers.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "ops/gemm.h"
#include "ops/ops.h"
#include "reference/convert.h"
#include "reference/gemm.h"
#include "reference/gemm_half.h"
#include "reference/linear.h"
#include "selftest/run.h"

enum {
    UNPACKED = -1, /* instead of a storage */
    BIAS = 1,
    PRE = 2,
    GELU = 4,
    RESIDUAL = 8,
    ADD = 16, /* accumulate, without the others */
    TAIL = BIAS | PRE | GELU | RESIDUAL
};

typedef struct product {
    int M, N, K;
    bool a_transposed, b_transposed;
    int flags;
    int storage; /* a clm_gemm_storage: B is packed; or UNPACKED */
} product;

static void describe(clm_selftest_context *run, const product *p) {
    static const char *const storages[] = {"", ", packed f32", ", packed f16", ", packed bf16"};
    clm_selftest_shape(run, "M=%d, N=%d, K=%d%s%s%s%s%s", p->M, p->N, p->K,
                       p->a_transposed ? ", A^T" : "", p->b_transposed ? ", B^T" : "",
                       storages[p->storage + 1], (p->flags & ADD) != 0 ? ", added" : "",
                       (p->flags & TAIL) != 0 ? ", tail" : "");
}

/* The weights as they are stored: what is left is f32's own rounding. */
static float *stored(clm_selftest_context *run, const clm_value *b, int storage) {
    float *values = clm_selftest_floats(run, b->count);
    for (size_t i = 0; run->status == CLM_OK && i < b->count; i++) {
        const float x = b->host[i];
        values[i] = storage == CLM_GEMM_F16 ? clm_reference_f16_to_f32(clm_reference_f32_to_f16(x))
                    : storage == CLM_GEMM_BF16
                        ? clm_reference_bf16_to_f32(clm_reference_f32_to_bf16(x))
                        : x;
    }
    return values;
}

/* Rounding error of a sum of K fused multiply-adds, and of adding it to C in parts: at most (K + K
 * / 16 + 4) 2^-24 (|A| |B| + |C|) in any order (Higham 2002, section 3.1); GELU's slope is at most
 * 1.13. Forgetting one of K products changes a result by about |A| |B| / K, far more than that for
 * the K tested. */
static double rounding_unit(int K) {
    return 1.13 * (K + K / 16.0 + 4.0) * 0x1p-24;
}

static clm_status check_product(clm_selftest_context *run, const product *p) {
    const size_t count = (size_t)p->M * (size_t)p->N;
    clm_status status = CLM_OK;
    clm_gemm_packed *packed = NULL;
    describe(run, p);
    const clm_value a = clm_selftest_random(run, (size_t)p->M * (size_t)p->K, 1.0F);
    const clm_value b = clm_selftest_random(run, (size_t)p->K * (size_t)p->N, 1.0F);
    const clm_value c = (p->flags & ADD) != 0 ? clm_selftest_random(run, count, 1.0F)
                                              : clm_selftest_empty(run, count);
    const clm_value bias = clm_selftest_random(run, (size_t)p->N, 1.0F);
    const clm_value residual = clm_selftest_random(run, count, 1.0F);
    const clm_value pre = clm_selftest_empty(run, count);
    float *pre_right = clm_selftest_floats(run, count);
    float *bound = clm_selftest_floats(run, count);
    const float *b_stored = stored(run, &b, p->storage);
    CLM_TRY(run->status);
    const clm_reference_gemm_arguments right = {
        .M = p->M,
        .N = p->N,
        .K = p->K,
        .a_transposed = p->a_transposed,
        .b_transposed = p->b_transposed,
        .a = a.host,
        .lda = p->a_transposed ? p->M : p->K,
        .b = b_stored,
        .ldb = p->b_transposed ? p->K : p->N,
        .c = c.host,
        .ldc = p->N,
        .accumulate = (p->flags & ADD) != 0,
        .bias = (p->flags & BIAS) != 0 ? bias.host : NULL,
        .gelu = (p->flags & GELU) != 0,
        .pre = (p->flags & PRE) != 0 ? pre_right : NULL,
        .residual = (p->flags & RESIDUAL) != 0 ? residual.host : NULL,
    };
    if (p->storage != UNPACKED) {
        CLM_TRY(clm_gemm_pack(&packed, run->device, b.buffer, 0, right.ldb, p->b_transposed, p->K,
                              p->N, (clm_gemm_storage)p->storage));
    }
    const clm_gemm_arguments arguments = {
        .M = p->M,
        .N = p->N,
        .K = p->K,
        .a_transposed = p->a_transposed,
        .b_transposed = p->b_transposed && packed == NULL,
        .a = a.buffer,
        .b = b.buffer,
        .b_packed = packed,
        .c = c.buffer,
        .accumulate = (p->flags & ADD) != 0,
        .bias = (p->flags & BIAS) != 0 ? bias.buffer : NULL,
        .gelu = (p->flags & GELU) != 0,
        .pre = (p->flags & PRE) != 0 ? pre.buffer : NULL,
        .residual = (p->flags & RESIDUAL) != 0 ? residual.buffer : NULL,
        .arithmetic = CLM_GEMM_IN_FLOATS,
    };
    CLM_TRY(clm_gemm_on_lent_scratch(run->device, &arguments));
    clm_reference_gemm_bound(&right, bound);
    clm_reference_gemm(&right);
    /* What a tail adds of its own: GELU's 2e-6, and a rounding of numbers up to some 30. */
    const double atol = (p->flags & TAIL) != 0 ? 8e-6 : 0.0;
    clm_selftest_compare_bound(run, "C", &c, c.host, atol, bound, rounding_unit(p->K));
    if (right.pre != NULL) {
        clm_selftest_compare_bound(run, "pre", &pre, pre_right, atol, bound, rounding_unit(p->K));
    }
cleanup:
    clm_gemm_packed_release(packed);
    return status;
}

/* ---- a large one, of which some rows are compared ----
 *
 * CLBlast has kernels of its own for products from some size on, at most 896 a side. */

static clm_status check_large(clm_selftest_context *run) {
    enum { SIDE = 903, ROWS = 3 };
    static const size_t rows[ROWS] = {0, 511, SIDE - 1};
    const size_t row_bytes = SIDE * sizeof(float);
    clm_status status = CLM_OK;
    clm_selftest_shape(run, "M=%d, N=%d, K=%d", SIDE, SIDE, SIDE);
    const clm_value a = clm_selftest_random(run, (size_t)SIDE * SIDE, 1.0F);
    const clm_value b = clm_selftest_random(run, (size_t)SIDE * SIDE, 1.0F);
    const clm_value c = clm_selftest_empty(run, (size_t)SIDE * SIDE);
    const clm_value some = clm_selftest_empty(run, (size_t)ROWS * SIDE);
    float *expected = clm_selftest_floats(run, some.count);
    float *bound = clm_selftest_floats(run, some.count);
    CLM_TRY(run->status);
    const clm_gemm_arguments arguments = {
        .M = SIDE, .N = SIDE, .K = SIDE, .a = a.buffer, .b = b.buffer, .c = c.buffer};
    CLM_TRY(clm_gemm_on_lent_scratch(run->device, &arguments));
    for (size_t i = 0; i < ROWS; i++) {
        const clm_reference_gemm_arguments right = {.M = 1,
                                                    .N = SIDE,
                                                    .K = SIDE,
                                                    .a = a.host + rows[i] * SIDE,
                                                    .lda = SIDE,
                                                    .b = b.host,
                                                    .ldb = SIDE,
                                                    .c = expected + i * SIDE,
                                                    .ldc = SIDE};
        clm_reference_gemm_bound(&right, bound + i * SIDE);
        clm_reference_gemm(&right);
        CLM_TRY(
            clm_buffer_copy(some.buffer, i * row_bytes, c.buffer, rows[i] * row_bytes, row_bytes));
    }
    clm_selftest_compare_bound(run, "rows of C", &some, expected, 0.0, bound, rounding_unit(SIDE));
cleanup:
    return status;
}

/* ---- a linear layer ---- */

static clm_status check_linear(clm_selftest_context *run, int rows, int K, int N) {
    const size_t out_count = (size_t)rows * (size_t)N;
    clm_status status = CLM_OK;
    clm_selftest_shape(run, "linear, rows=%d, K=%d, N=%d", rows, K, N);
    const clm_value x = clm_selftest_random(run, (size_t)rows * (size_t)K, 1.0F);
    const clm_value weight = clm_selftest_random(run, (size_t)K * (size_t)N, 1.0F);
    const clm_value bias = clm_selftest_random(run, (size_t)N, 1.0F);
    const clm_value out = clm_selftest_empty(run, out_count);
    const clm_value dout = clm_selftest_random(run, out_count, 1.0F);
    const clm_value dx = clm_selftest_empty(run, x.count);
    const clm_value dweight = clm_selftest_random(run, weight.count, 1.0F);
    const clm_value dbias = clm_selftest_random(run, (size_t)N, 1.0F);
    const double *x_right = clm_selftest_widened(run, &x);
    const double *weight_right = clm_selftest_widened(run, &weight);
    const double *bias_right = clm_selftest_widened(run, &bias);
    const double *dout_right = clm_selftest_widened(run, &dout);
    double *out_right = clm_selftest_doubles(run, out.count);
    double *dx_right = clm_selftest_doubles(run, dx.count);
    double *dweight_right = clm_selftest_widened(run, &dweight);
    double *dbias_right = clm_selftest_widened(run, &dbias);
    CLM_TRY(run->status);
    /* Sums of up to 131 products of numbers below 1, whose order is free. */
    const double atol = 131 * 131 * 0x1p-24;
    clm_reference_linear_forward(out_right, x_right, weight_right, bias_right, false, rows, K, N);
    clm_buffer *scratch = NULL;
    CLM_TRY(clm_scratch_take(run->device,
                             clm_linear_forward_scratch_bytes(run->device, NULL, rows, K, N),
                             &scratch, "scratch of a linear layer"));
    CLM_TRY(clm_linear_forward(run->device, out.buffer, x.buffer, weight.buffer, NULL, bias.buffer,
                               NULL, rows, K, N, scratch));
    clm_selftest_compare(run, "out", &out, out_right, atol, 0.0);
    clm_selftest_shape(run, "linear, rows=%d, K=%d, N=%d", rows, K, N);
    clm_reference_linear_backward(dx_right, dweight_right, dbias_right, dout_right, x_right,
                                  weight_right, false, rows, K, N);
    const unsigned all = CLM_LINEAR_DX | CLM_LINEAR_DWEIGHT | CLM_LINEAR_DBIAS;
    CLM_TRY(clm_scratch_take(run->device,
                             clm_linear_backward_scratch_bytes(run->device, NULL, rows, K, N, all),
                             &scratch, "scratch of a linear layer"));
    CLM_TRY(clm_linear_backward(run->device, dx.buffer, dweight.buffer, dbias.buffer, dout.buffer,
                                x.buffer, weight.buffer, NULL, rows, K, N, scratch));
    clm_selftest_compare(run, "dx", &dx, dx_right, atol, 0.0);
    clm_selftest_compare(run, "dweight", &dweight, dweight_right, atol, 0.0);
    clm_selftest_compare(run, "dbias", &dbias, dbias_right, atol, 0.0);
cleanup:
    return status;
}

/* ---- all ---- */

/* Many rows: below a tile and past several, past a block of K; B read as it lies (up to 32 rows),
 * packed for one product, and packed for good; each tail that the model has. */
static const product many_rows[] = {
    {17, 49, 33, false, false, 0, UNPACKED},
    {20, 131, 77, false, false, 0, UNPACKED},
    {150, 301, 1001, false, false, 0, UNPACKED},
    {37, 131, 401, true, false, ADD, UNPACKED},
    {37, 131, 77, false, true, 0, UNPACKED},
    {37, 131, 77, true, true, 0, UNPACKED},
    {37, 131, 77, false, false, BIAS, UNPACKED},
    {37, 131, 77, false, false, BIAS | PRE | GELU, UNPACKED},
    {37, 131, 77, false, false, BIAS | RESIDUAL, UNPACKED},
    {37, 131, 77, false, false, BIAS | GELU, CLM_GEMM_F32},
    {37, 131, 77, false, true, 0, CLM_GEMM_F32},
    {37, 131, 77, false, false, BIAS | RESIDUAL, CLM_GEMM_F16},
    {37, 131, 77, false, false, BIAS | RESIDUAL, CLM_GEMM_BF16},
};

/* Few rows: kernels are built for 1, 4 and 8 rows, and 8 twice (elsewhere than on processors for 2,
 * too), and for each storage. Building them takes most of the time, so floats are here with each
 * number of rows, and 16 bits, which are only used when asked for, with one number each. K is
 * shared out among work-items. */
static const product few_rows[] = {
    {1, 131, 257, false, false, BIAS | PRE | GELU | RESIDUAL, CLM_GEMM_F32},
    {1, 131, 257, false, false, BIAS, CLM_GEMM_F16},
    {1, 131, 257, false, true, BIAS, UNPACKED},
    {2, 131, 257, false, false, BIAS, CLM_GEMM_F32},
    {3, 131, 257, true, false, ADD, UNPACKED},
    {8, 131, 257, false, false, BIAS | PRE | GELU | RESIDUAL, UNPACKED},
    {8, 131, 257, false, true, 0, UNPACKED},
    {8, 131, 257, false, false, BIAS | RESIDUAL, CLM_GEMM_F32},
    {1, 131, 257, false, false, BIAS | RESIDUAL, CLM_GEMM_BF16},
    {11, 131, 257, false, false, BIAS | RESIDUAL, CLM_GEMM_F32},
    /* Columns for one work-group alone: K is divided on every device, however narrow its vectors.
     */
    {1, 17, 1001, false, false, BIAS | GELU, CLM_GEMM_F32},
};

/* Short sums, as gradients of weights have whose rows are few. */
static const product short_sums[] = {
    {37, 131, 8, true, false, ADD, UNPACKED},
    {37, 131, 5, true, false, 0, UNPACKED},
    {37, 131, 16, false, true, BIAS | GELU, UNPACKED},
};

static int smaller(int a, int b) {
    return a < b ? a : b;
}

/* A simulator has small work-groups, and so small tiles: less is past several of them. */
static clm_status check_products(clm_selftest_context *run, const product *products, size_t count) {
    clm_status status = CLM_OK;
    for (size_t i = 0; i < count && !run->wrong; i++) {
        product p = products[i];
        if (clm_device_is_simulator(run->device)) {
            p.M = smaller(p.M, 21);
            p.N = smaller(p.N, 49);
            p.K = smaller(p.K, 35);
        }
        CLM_TRY(check_product(run, &p));
    }
cleanup:
    return status;
}

clm_status clm_selftest_gemm(clm_selftest_context *run) {
    clm_status status = CLM_OK;
    clm_gemm_backend backend = CLM_GEMM_AUTO;
    CLM_TRY(clm_gemm_resolve(run->device, &backend));
    CLM_TRY(check_products(run, many_rows, sizeof many_rows / sizeof *many_rows));
    CLM_TRY(check_products(run, few_rows, sizeof few_rows / sizeof *few_rows));
    CLM_TRY(check_products(run, short_sums, sizeof short_sums / sizeof *short_sums));
    if (backend == CLM_GEMM_CLBLAST && !run->wrong) {
        CLM_TRY(check_large(run));
    }
    if (!run->wrong) {
        CLM_TRY(clm_device_is_simulator(run->device) ? check_linear(run, 19, 21, 35)
                                                     : check_linear(run, 37, 65, 131));
    }
cleanup:
    return status;
}

/* ---- half arithmetic ---- */

/* Past a block of C and, in the second, past several chunks of K; dense and in panels, as the
 * device packs. Forgetting one of K products changes some result by about 1, far more than halves
 * are off by for so small a K. */
clm_status clm_selftest_gemm_half(clm_selftest_context *run) {
    static const int shapes[][3] = {{67, 131, 7}, {37, 131, 50}};
    clm_status status = CLM_OK;
    clm_gemm_packed *packed = NULL;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes && !run->wrong; i++) {
        const int M = shapes[i][0];
        const int N = shapes[i][1];
        const int K = shapes[i][2];
        const size_t count = (size_t)M * (size_t)N;
        clm_selftest_shape(run, "M=%d, N=%d, K=%d, packed f16, half arithmetic", M, N, K);
        const clm_value a = clm_selftest_random(run, (size_t)M * (size_t)K, 1.0F);
        const clm_value b = clm_selftest_random(run, (size_t)K * (size_t)N, 1.0F);
        const clm_value residual = clm_selftest_random(run, count, 1.0F);
        const clm_value c = clm_selftest_empty(run, count);
        float *bound = clm_selftest_floats(run, count);
        const float *b_stored = stored(run, &b, CLM_GEMM_F16);
        CLM_TRY(run->status);
        const clm_reference_gemm_arguments right = {.M = M,
                                                    .N = N,
                                                    .K = K,
                                                    .a = a.host,
                                                    .lda = K,
                                                    .b = b_stored,
                                                    .ldb = N,
                                                    .c = c.host,
                                                    .ldc = N,
                                                    .residual = residual.host};
        CLM_TRY(clm_gemm_pack(&packed, run->device, b.buffer, 0, N, false, K, N, CLM_GEMM_F16));
        const clm_gemm_arguments arguments = {.M = M,
                                              .N = N,
                                              .K = K,
                                              .a = a.buffer,
                                              .b_packed = packed,
                                              .c = c.buffer,
                                              .residual = residual.buffer,
                                              .arithmetic = CLM_GEMM_IN_HALVES};
        CLM_TRY(clm_gemm_on_lent_scratch(run->device, &arguments));
        clm_reference_gemm_bound(&right, bound);
        clm_reference_gemm(&right);
        for (size_t k = 0; k < count; k++) {
            bound[k] = (float)clm_reference_gemm_half_tolerance(K, bound[k], 1.0);
        }
        clm_selftest_compare_bound(run, "C", &c, c.host, 1e-6, bound, 1.0);
        clm_gemm_packed_release(packed);
        packed = NULL;
    }
cleanup:
    clm_gemm_packed_release(packed);
    return status;
}
