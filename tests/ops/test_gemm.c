/* clm's own GEMM in both forms, on every device, and the seam in front of it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>

#include "gemm_cases.h"
#include "reference/gemm.h"

static void random_cases_on(clm_device *device) {
    bool slow = clm_test_is_simulator(device);
    for (int i = 0; i < (slow ? 4 : 60); i++) {
        const gemm_case test = gemm_random_case(slow ? 30 : 1000);
        gemm_check_forms(device, &test);
    }
}

static void test_random_cases(void **state) {
    (void)state;
    clm_test_each_device(random_cases_on);
}

static void transposes_on(clm_device *device) {
    for (int i = 0; i < 4; i++) {
        gemm_case test = {.M = 17, .N = 50, .K = 33, .a_transposed = i & 1, .b_transposed = i & 2};
        gemm_check_forms(device, &test);
        test = (gemm_case){.M = 1, .N = 1, .K = 1, .a_transposed = i & 1, .b_transposed = i & 2};
        gemm_check_forms(device, &test);
    }
}

static void test_transposes(void **state) {
    (void)state;
    clm_test_each_device(transposes_on);
}

/* Every tail, over one block of K and over two. */
static void tails_on(clm_device *device) {
    bool slow = clm_test_is_simulator(device);
    for (int bits = 0; bits < 24; bits++) {
        if (slow && bits % 8 != 7) {
            continue;
        }
        gemm_case test = {.M = 9,
                          .N = 53,
                          .K = slow || bits % 2 != 0 ? 20 : 600,
                          .bias = bits & 1,
                          .gelu = bits & 2,
                          .pre = bits & 4,
                          .residual = (enum gemm_residual)(bits / 8)};
        if (test.residual == RESIDUAL_IS_C && (test.gelu || test.pre)) {
            test.residual = OTHER_RESIDUAL; /* the other is refused */
            test.M = 21;
        }
        gemm_check_forms(device, &test);
    }
}

static void test_tails(void **state) {
    (void)state;
    clm_test_each_device(tails_on);
}

/* Depths around the kernel's block of K and the slices that are packed, and more columns and rows
 * than one slice takes (32 MiB: 2,730 of them at this depth). */
static void slices_on(clm_device *device) {
    if (clm_test_is_simulator(device)) {
        return;
    }
    static const int depths[] = {511, 767, 768, 769, 1536, 3071, 3072, 3073, 6200};
    for (size_t i = 0; i < sizeof depths / sizeof *depths; i++) {
        gemm_case test = {.M = 33, .N = 49, .K = depths[i], .a_transposed = i % 2 != 0};
        test.bias = true;
        test.residual = RESIDUAL_IS_C;
        gemm_check_case(device, CLM_GEMM_OWN_PANELS, &test);
        test.gelu = test.pre = true;
        test.residual = OTHER_RESIDUAL;
        test.packing = PACKED_IN_PIECES;
        test.b_transposed = true;
        gemm_check_case(device, CLM_GEMM_OWN_PANELS, &test);
    }
    const gemm_case wide = {.M = 3, .N = 2900, .K = 3072, .b_transposed = true, .bias = true};
    gemm_check_case(device, CLM_GEMM_OWN_PANELS, &wide);
    const gemm_case high = {.M = 2900, .N = 3, .K = 3080, .a_transposed = true, .accumulate = true};
    gemm_check_case(device, CLM_GEMM_OWN_PANELS, &high);
    /* Deep tiles of which an item has several: more rounds than llvmpipe goes. */
    const gemm_case deep = {.M = 120, .N = 768, .K = 3072, .packing = PACKED};
    if (!clm_test_is_simulator(device)) {
        gemm_check_case(device, CLM_GEMM_OWN_PANELS, &deep);
    }
}

static void test_slices(void **state) {
    (void)state;
    clm_test_each_device(slices_on);
}

/* 0 * NaN and 0 * infinity are NaN, and come through in the row or column they belong to, and
 * nowhere else. */
static void not_finite_on(clm_device *device) {
    enum { M = 11, N = 51, K = 37 };
    const size_t a_count = (size_t)M * K;
    const size_t b_count = (size_t)K * N;
    const size_t c_count = (size_t)M * N;
    static const float specials[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 2 * 3 * FORM_COUNT; i++) {
        bool in_a = i % 2 == 0;
        float special = specials[i / 2 % 3];
        float a[M * K] = {0};
        float b[K * N] = {0};
        float c[M * N];
        if (in_a) {
            a[7 * K + 30] = special;
        } else {
            b[30 * N + 49] = special;
        }
        clm_buffer *a_buffer = clm_test_buffer(device, a, a_count);
        clm_buffer *b_buffer = clm_test_buffer(device, b, b_count);
        clm_buffer *c_buffer = clm_test_buffer(device, NULL, c_count);
        const clm_gemm_arguments arguments = {
            .M = M, .N = N, .K = K, .a = a_buffer, .b = b_buffer, .c = c_buffer};
        assert_ok(gemm_by(device, gemm_forms[i / 6], &arguments));
        clm_test_buffer_read(c_buffer, c, c_count);
        for (int at = 0; at < M * N; at++) {
            bool expected = in_a ? at / N == 7 : at % N == 49;
            assert_int_equal(expected, isnan(c[at]) != 0);
            assert_true(expected || c[at] == 0.0f);
        }
        clm_test_buffer_check(a_buffer, a_count);
        clm_test_buffer_check(b_buffer, b_count);
        clm_test_buffer_check(c_buffer, c_count);
    }
}

static void test_not_finite(void **state) {
    (void)state;
    clm_test_each_device(not_finite_on);
}

/* GELU far out, and of what is not finite, in vectors and in what is left of a row. */
static void gelu_ends_on(clm_device *device) {
    enum { N = 53 };
    float pre[N];
    for (int i = 0; i < N; i++) {
        static const float ends[] = {0, 30, -30, 1e4f, -1e4f, 1e30f, -1e30f, INFINITY, NAN, 1e-30f};
        pre[i] = ends[i % 10];
    }
    const float one = 1.0f;
    clm_buffer *a = clm_test_buffer(device, &one, 1);
    clm_buffer *b = clm_test_buffer(device, pre, N);
    for (int i = 0; i < FORM_COUNT; i++) {
        float got[N];
        clm_buffer *c = clm_test_buffer(device, NULL, N);
        const clm_gemm_arguments arguments = {
            .M = 1, .N = N, .K = 1, .a = a, .b = b, .c = c, .gelu = true};
        assert_ok(gemm_by(device, gemm_forms[i], &arguments));
        clm_test_buffer_read(c, got, N);
        for (int n = 0; n < N; n++) {
            /* 0 or half of the smallest normal number below, x itself above. */
            float expected = pre[n] < 0 ? 0.0f : pre[n] < 1e-20f ? 0.5f * pre[n] : pre[n];
            assert_true(isnan(pre[n])   ? isnan(got[n])
                        : isinf(pre[n]) ? got[n] == pre[n]
                                        : fabsf(got[n] - expected) <= 1e-6f * fabsf(expected));
        }
        clm_test_buffer_check(c, N);
    }
    clm_test_buffer_check(a, 1);
    clm_test_buffer_check(b, N);
}

static void test_gelu_ends(void **state) {
    (void)state;
    clm_test_each_device(gelu_ends_on);
}

/* The checks of this file see an error of one product left out. */
static void test_tolerance_sees_a_wrong_value(void **state) {
    (void)state;
    enum { K = 385 };
    float a[K], b[K], c = 0, bound = 0;
    clm_test_fill_normal(a, K, 1.0f);
    clm_test_fill_normal(b, K, 1.0f);
    a[200] = b[200] = 0.3f;
    const clm_reference_gemm_arguments product = {
        .M = 1, .N = 1, .K = K, .a = a, .lda = K, .b = b, .ldb = 1, .c = &c, .ldc = 1};
    clm_reference_gemm_bound(&product, &bound);
    assert_true(a[200] * b[200] > (K + K / 16.0 + 4.0) * 0x1p-24 * bound);
}

static void refusals_on(clm_device *device) {
    clm_buffer *buffer = clm_test_buffer(device, NULL, 64);
    clm_buffer *small = NULL;
    assert_ok(clm_buffer_create(&small, device, 4 * sizeof(float), "a small matrix"));
    const clm_gemm_arguments good = {.M = 2, .N = 3, .K = 4, .a = buffer, .b = buffer, .c = buffer};
    clm_gemm_arguments bad = good;
    bad.K = 0;
    assert_status(CLM_ERROR_SHAPE, clm_gemm(device, &bad));
    bad = good;
    bad.lda = 3;
    assert_status(CLM_ERROR_SHAPE, clm_gemm(device, &bad));
    assert_message_has("A");
    bad = good;
    bad.a = small;
    assert_status(CLM_ERROR_SHAPE, clm_gemm(device, &bad));
    bad = good;
    bad.b = small;
    assert_status(CLM_ERROR_SHAPE, clm_gemm(device, &bad));
    bad = good;
    bad.c_offset = SIZE_MAX;
    assert_status(CLM_ERROR_SHAPE, clm_gemm(device, &bad));
    assert_message_has("C");
    bad = good;
    bad.a = NULL;
    assert_status(CLM_ERROR_ARGUMENT, clm_gemm(device, &bad));
    bad = good;
    bad.accumulate = bad.gelu = true;
    assert_status(CLM_ERROR_ARGUMENT, clm_gemm(device, &bad));
    bad = good;
    bad.residual = small;
    assert_status(CLM_ERROR_SHAPE, clm_gemm(device, &bad));
    bad = good;
    bad.residual = bad.c;
    bad.c_offset = 1;
    assert_status(CLM_ERROR_ARGUMENT, clm_gemm(device, &bad));
    bad = good;
    bad.residual = bad.c;
    bad.gelu = true;
    assert_status(CLM_ERROR_ARGUMENT, clm_gemm(device, &bad));
    assert_message_has("residual");

    /* Scratch is needed, and is missing or too small. */
    bad = good;
    bad.a_transposed = true;
    bad.lda = 0;
    assert_true(clm_gemm_scratch_bytes(device, &bad) >= sizeof(float) * 2 * 4);
    assert_status(CLM_ERROR_SHAPE, clm_gemm(device, &bad));
    assert_message_has("scratch");
    bad.scratch = small;
    assert_status(CLM_ERROR_SHAPE, clm_gemm(device, &bad));
    assert_message_has("scratch");

    clm_gemm_packed *packed = NULL;
    assert_status(CLM_ERROR_SHAPE,
                  clm_gemm_pack(&packed, device, small, 0, 0, false, 4, 3, CLM_GEMM_F32));
    assert_null(packed);
    assert_ok(clm_gemm_pack_with(&packed, device, CLM_GEMM_OWN_PANELS, SIZE_MAX, buffer, 0, 0,
                                 false, 4, 3, CLM_GEMM_F32));
    bad = good;
    bad.b_packed = packed;
    assert_status(CLM_ERROR_ARGUMENT, gemm_by(device, CLM_GEMM_OWN_TILED, &bad));
    bad.N = 2;
    assert_status(CLM_ERROR_SHAPE, clm_gemm(device, &bad));
    clm_gemm_packed_release(packed);
    clm_gemm_packed_release(NULL);
    clm_buffer_release(small);
    clm_test_buffer_check(buffer, 64);
}

static void test_refusals(void **state) {
    (void)state;
    assert_int_equal(0, setenv("CLM_GEMM", "own", 1));
    clm_test_each_device(refusals_on);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),  cmocka_unit_test(test_transposes),
        cmocka_unit_test(test_tails),     cmocka_unit_test(test_random_cases),
        cmocka_unit_test(test_slices),    cmocka_unit_test(test_not_finite),
        cmocka_unit_test(test_gelu_ends), cmocka_unit_test(test_tolerance_sees_a_wrong_value),
    };
    return cmocka_run_group_tests(tests, NULL, clm_test_close_devices);
}
