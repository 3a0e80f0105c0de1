/* On processors a row of a product has the same bits however many rows share the product, and
 * wherever it is among them (cl/gemm.clh says in which order it is summed).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gemm_cases.h"
#include "ops/gemm_backend.h"
#include "ops/tuning.h"

enum { ALL_ROWS = 64, TAILS = 6 };

typedef enum layout { PLAIN, TRANSPOSED, AS_F32, AS_F16, AS_BF16, LAYOUTS } layout;
static const char *const layout_names[] = {"plain", "transposed", "f32", "f16", "bf16"};

typedef struct operands {
    int K, N;
    layout layout;
    int tail;
    clm_buffer *a, *b, *c, *bias, *pre, *residual;
    clm_gemm_packed *packed;
    float *before; /* C, which is added to or is the residual */
} operands;

static clm_buffer *normals(clm_device *device, float **kept, size_t count) {
    float *values = malloc(count * sizeof *values);
    assert_non_null(values);
    clm_test_fill_normal(values, count, 1.0f);
    clm_buffer *buffer = clm_test_buffer(device, values, count);
    if (kept != NULL) {
        *kept = values;
    } else {
        free(values);
    }
    return buffer;
}

static void make_operands(operands *o, clm_device *device) {
    const size_t K = (size_t)o->K;
    const size_t N = (size_t)o->N;
    o->a = normals(device, NULL, ALL_ROWS * K);
    o->b = normals(device, NULL, K * N);
    o->c = normals(device, &o->before, ALL_ROWS * N);
    o->bias = normals(device, NULL, N);
    o->pre = clm_test_buffer(device, NULL, ALL_ROWS * N);
    o->residual = clm_test_buffer(device, o->before, ALL_ROWS * N);
    if (o->layout >= AS_F32) {
        assert_ok(clm_gemm_pack(&o->packed, device, o->b, 0, 0, false, o->K, o->N,
                                (clm_gemm_storage)(o->layout - AS_F32)));
    }
}

static void free_operands(operands *o) {
    const size_t K = (size_t)o->K;
    const size_t N = (size_t)o->N;
    clm_gemm_packed_release(o->packed);
    clm_test_buffer_check(o->a, ALL_ROWS * K);
    clm_test_buffer_check(o->b, K * N);
    clm_test_buffer_check(o->c, ALL_ROWS * N);
    clm_test_buffer_check(o->bias, N);
    clm_test_buffer_check(o->pre, ALL_ROWS * N);
    clm_test_buffer_check(o->residual, ALL_ROWS * N);
    free(o->before);
}

/* Rows first to first + M of A, as a product of their own, with the rows of C that belong to them
 * as what is added to. */
static void multiply(clm_device *device, clm_gemm_backend backend, const operands *o, int first,
                     int M, float *c) {
    const size_t count = (size_t)M * (size_t)o->N;
    const float *before = o->before + (size_t)first * (size_t)o->N;
    clm_gemm_arguments product = {.M = M,
                                  .N = o->N,
                                  .K = o->K,
                                  .a = o->a,
                                  .a_offset = (size_t)first * (size_t)o->K,
                                  .b = o->b,
                                  .b_transposed = o->layout == TRANSPOSED,
                                  .b_packed = o->packed,
                                  .c = o->c};
    switch (o->tail) {
        case 1:
            product.accumulate = true;
            break;
        case 2:
            product.residual = o->residual;
            product.bias = o->bias;
            break;
        case 3:
            product.residual = o->c;
            product.bias = o->bias;
            break;
        case 4:
            product.residual = o->residual;
            product.gelu = true;
            break;
        case 5:
            product.bias = o->bias;
            product.gelu = true;
            product.pre = o->pre;
            break;
        default:
            break;
    }
    assert_ok(clm_buffer_write(o->c, 0, before, count * sizeof *before));
    assert_ok(clm_buffer_write(o->residual, 0, before, count * sizeof *before));
    assert_ok(gemm_by(device, backend, &product));
    clm_test_buffer_read(o->c, c, count);
}

static void compare_rows(const operands *o, const float *all, const float *some, int first, int M) {
    const size_t N = (size_t)o->N;
    for (size_t i = 0; i < (size_t)M * N; i++) {
        if (memcmp(&some[i], &all[(size_t)first * N + i], sizeof *some) != 0) {
            fail_msg(
                "K=%d N=%d %s tail %d: row %zu of %d has %.9g in column %zu, and among %d rows "
                "%.9g",
                o->K, o->N, layout_names[o->layout], o->tail, i / N, M, (double)some[i], i % N,
                ALL_ROWS, (double)all[(size_t)first * N + i]);
        }
    }
}

static void check_operands(clm_device *device, clm_gemm_backend backend, operands *o,
                           const int *counts) {
    const size_t count = (size_t)ALL_ROWS * (size_t)o->N;
    float *all = malloc(count * sizeof *all);
    float *some = malloc(count * sizeof *some);
    assert_non_null(all);
    assert_non_null(some);
    make_operands(o, device);
    multiply(device, backend, o, 0, ALL_ROWS, all);
    for (int i = 0; counts[i] != 0; i++) {
        const int first = (int)(clm_test_random() % (uint32_t)(ALL_ROWS - counts[i] + 1));
        multiply(device, backend, o, first, counts[i], some);
        compare_rows(o, all, some, first, counts[i]);
    }
    free_operands(o);
    free(all);
    free(some);
}

/* Sizes at and around those of vectors, panels and blocks of K, and two heads. */
static void awkward_on(clm_device *device) {
    static const int counts[] = {1, 2, 7, 8, 15, 16, 17, 31, 32, 33, 63, 0};
    static const int simulated[] = {1, 17, 0};
    static const int sizes[][2] = {{1, 1},     {5, 7},    {16, 70},  {17, 49},
                                   {33, 24},   {511, 23}, {768, 48}, {769, 130},
                                   {1025, 67}, {1600, 9}, {768, 2},  {64, 513}};
    if (!clm_device_is_cpu(device)) {
        return;
    }
    const bool slow = clm_test_is_simulator(device);
    for (int i = 0; i < (slow ? 5 : (int)(sizeof sizes / sizeof *sizes)); i++) {
        for (int way = 0; way < LAYOUTS; way++) {
            operands o = {.K = sizes[i][0],
                          .N = sizes[i][1],
                          .layout = (layout)way,
                          .tail = (i + way) % TAILS};
            check_operands(device, CLM_GEMM_AUTO, &o, slow ? simulated : counts);
        }
    }
}

static void test_awkward(void **state) {
    (void)state;
    clm_test_each_device(awkward_on);
}

/* GPT-2's linear layers. */
static void real_on(clm_device *device) {
    static const int counts[] = {1, 8, 16, 17, 33, 0};
    static const int sizes[][2] = {{768, 2304}, {768, 768}, {768, 3072}, {3072, 768}};
    if (!clm_device_is_cpu(device) || clm_test_is_simulator(device)) {
        return;
    }
    for (int i = 0; i < 4; i++) {
        for (int way = 0; way < LAYOUTS; way++) {
            operands o = {.K = sizes[i][0],
                          .N = sizes[i][1],
                          .layout = (layout)way,
                          .tail = (i + way) % TAILS};
            check_operands(device, CLM_GEMM_AUTO, &o, counts);
        }
    }
}

static void test_real(void **state) {
    (void)state;
    clm_test_each_device(real_on);
}

/* Also with a setting that gives a processor the kernels of GPUs, or another block of K. */
static void settings_on(clm_device *device) {
    static const char *const settings[] = {"gemm.form=tiled", "gemm.k_block=96", "gemm.k_block=23"};
    static const int counts[] = {1, 5, 16, 17, 0};
    static const int simulated[] = {5, 17, 0};
    if (!clm_device_is_cpu(device)) {
        return;
    }
    const bool slow = clm_test_is_simulator(device);
    for (int i = 0; i < 3; i++) {
        clm_tuning tuning = clm_tuning_defaults();
        assert_ok(clm_tuning_add(&tuning, settings[i]));
        assert_ok(clm_tuning_use(device, &tuning));
        for (int way = 0; way < LAYOUTS; way++) {
            operands o = {.K = slow ? 30 : 200, .N = 53, .layout = (layout)way, .tail = way};
            check_operands(device, CLM_GEMM_OWN, &o, slow ? simulated : counts);
            o = (operands){.K = 9, .N = 17, .layout = (layout)way, .tail = way};
            check_operands(device, CLM_GEMM_OWN, &o, slow ? simulated : counts);
        }
        assert_ok(clm_tuning_use(device, NULL));
    }
}

static void test_settings(void **state) {
    (void)state;
    clm_test_each_device(settings_on);
}

/* The order itself: blocks of K, each from 0, added to C, with fused multiply-adds or without. */
static float in_order(const float *a, const float *b, float c, int K, int N, int block,
                      bool fused) {
    for (int k0 = 0; k0 < K; k0 += block) {
        float sum = 0.0f;
        for (int k = k0; k < K && k < k0 + block; k++) {
            sum = fused ? fmaf(a[k], b[(size_t)k * (size_t)N], sum)
                        : a[k] * b[(size_t)k * (size_t)N] + sum;
        }
        c += sum;
    }
    return c;
}

static void order_on(clm_device *device) {
    enum { M = 19, N = 37, K = 1100 };
    if (!clm_device_is_cpu(device) || clm_test_is_simulator(device)) {
        return;
    }
    float *values[3] = {0};
    const size_t counts[3] = {(size_t)M * K, (size_t)K * N, (size_t)M * N};
    clm_buffer *buffers[3];
    float c[M * N];
    for (int i = 0; i < 3; i++) {
        buffers[i] = normals(device, &values[i], counts[i]);
    }
    for (int rows = 3; rows <= M; rows += 16) {
        int fused = 0;
        int apart = 0;
        const clm_gemm_arguments product = {.M = rows,
                                            .N = N,
                                            .K = K,
                                            .a = buffers[0],
                                            .b = buffers[1],
                                            .c = buffers[2],
                                            .accumulate = true};
        assert_ok(clm_buffer_write(buffers[2], 0, values[2], counts[2] * sizeof(float)));
        assert_ok(clm_gemm_on_lent_scratch(device, &product));
        clm_test_buffer_read(buffers[2], c, counts[2]);
        for (int at = 0; at < rows * N; at++) {
            const float *a = values[0] + (size_t)(at / N) * K;
            const float *b = values[1] + at % N;
            const int block = clm_gemm_own_k_block(device);
            fused += in_order(a, b, values[2][at], K, N, block, true) == c[at];
            apart += in_order(a, b, values[2][at], K, N, block, false) == c[at];
        }
        assert_true(fused == rows * N || apart == rows * N);
    }
    for (int i = 0; i < 3; i++) {
        clm_test_buffer_check(buffers[i], counts[i]);
        free(values[i]);
    }
}

static void test_order(void **state) {
    (void)state;
    clm_test_each_device(order_on);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_awkward),
        cmocka_unit_test(test_real),
    };
    return cmocka_run_group_tests(tests, NULL, clm_test_close_devices);
}
