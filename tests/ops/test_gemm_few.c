/* Products of few rows, and weights of 16 bits, in both forms on every device.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gemm_cases.h"
#include "reference/gemm.h"

static const clm_gemm_storage storages[] = {CLM_GEMM_F32, CLM_GEMM_F16, CLM_GEMM_BF16};
enum { STORAGE_COUNT = 3 };

/* Every number of rows up to one more than few; primes, one, and the sizes of tiles and blocks and
 * one more or less, with random layouts, gaps, tails, packing and storage. */
static void rows_on(clm_device *device) {
    static const int sizes[] = {1,  2,  3,  7,  13,  15,  16,  17,  31,  33,  47,
                                48, 49, 63, 65, 127, 129, 383, 385, 511, 513, 1031};
    bool slow = clm_test_is_simulator(device);
    for (int M = 1; M <= 17; M += slow ? 4 : 1) {
        for (int i = 0; i < (slow ? 1 : 3); i++) {
            gemm_case test = gemm_random_case(64);
            const int count = slow ? 9 : (int)(sizeof sizes / sizeof *sizes);
            test.M = M;
            test.N = sizes[clm_test_random() % (uint32_t)count];
            test.K = sizes[clm_test_random() % (uint32_t)count];
            gemm_check_forms(device, &test);
        }
    }
}

static void test_rows(void **state) {
    (void)state;
    clm_test_each_device(rows_on);
}

/* Each layout and storage, with all of a tail, over blocks and slices of K. */
static void layouts_on(clm_device *device) {
    if (clm_test_is_simulator(device)) {
        return;
    }
    static const int depths[] = {383, 769, 3079};
    for (int i = 0; i < 3 * 4 * 3; i++) {
        gemm_case test = {.M = i % 2 == 0 ? 5 : 13,
                          .N = i % 3 == 0 ? 19 : 773,
                          .K = depths[i / 12],
                          .a_transposed = i & 1,
                          .b_transposed = i & 2,
                          .bias = true,
                          .gelu = true,
                          .pre = true,
                          .residual = i % 3 == 0 ? NO_RESIDUAL : OTHER_RESIDUAL};
        gemm_check_forms(device, &test);
        test.packing = i % 5 == 0 ? PACKED_IN_PIECES : PACKED;
        test.storage = storages[(i / 4) % STORAGE_COUNT];
        gemm_check_forms(device, &test);
    }
}

static void test_layouts(void **state) {
    (void)state;
    clm_test_each_device(layouts_on);
}

/* More of K, and of N, than a work-item of a device may go round for; and weights of 16 bits that
 * are made floats in several parts, for many rows. */
static void large_on(clm_device *device) {
    if (clm_test_is_simulator(device)) {
        return;
    }
    for (int i = 0; i < 2; i++) {
        gemm_case test = {.M = 3, .N = 5, .K = 140001, .b_transposed = i != 0};
        gemm_check_case(device, CLM_GEMM_OWN_PANELS, &test);
        test = (gemm_case){.M = 16, .N = 900, .K = 3072, .b_transposed = i != 0, .bias = true};
        gemm_check_case(device, CLM_GEMM_OWN_PANELS, &test);
        test.M = 18;
        test.N = 12100;
        test.K = 700;
        test.packing = PACKED;
        test.storage = i == 0 ? CLM_GEMM_F16 : CLM_GEMM_BF16;
        gemm_check_case(device, CLM_GEMM_OWN_PANELS, &test);
    }
}

static void test_large(void **state) {
    (void)state;
    clm_test_each_device(large_on);
}

/* ---- storage ---- */

enum { K = 65, N = 51, COUNT = K * N };

static clm_gemm_packed *pack(clm_device *device, clm_gemm_backend form, clm_gemm_storage storage,
                             const float *values) {
    clm_gemm_packed *packed = NULL;
    clm_buffer *buffer = clm_test_buffer(device, values, COUNT);
    assert_ok(
        clm_gemm_pack_with(&packed, device, form, SIZE_MAX, buffer, 0, 0, false, K, N, storage));
    clm_test_buffer_check(buffer, COUNT);
    return packed;
}

/* c (M,N) of an A of ones and zeros, which picks row m of B. */
static void read_back(clm_device *device, clm_gemm_backend form, const clm_gemm_packed *packed,
                      int M, int first, float *c) {
    float *a = calloc((size_t)M * K, sizeof *a);
    assert_non_null(a);
    for (int m = 0; m < M; m++) {
        a[m * K + (first + m) % K] = 1.0f;
    }
    clm_buffer *a_buffer = clm_test_buffer(device, a, (size_t)M * K);
    clm_buffer *c_buffer = clm_test_buffer(device, NULL, (size_t)M * N);
    const clm_gemm_arguments product = {
        .M = M, .N = N, .K = K, .a = a_buffer, .b_packed = packed, .c = c_buffer};
    assert_ok(gemm_by(device, form, &product));
    clm_test_buffer_read(c_buffer, c, (size_t)M * N);
    clm_test_buffer_check(a_buffer, (size_t)M * K);
    clm_test_buffer_check(c_buffer, (size_t)M * N);
    free(a);
}

/* Rounding by 11 and 8 bits, and not less: what comes back is near, and not what went in; that it
 * is rounded to nearest even is for gemm_check_case to see. Half the memory. */
static void precision_on(clm_device *device) {
    static const double units[] = {0, 0x1p-11, 0x1p-8};
    const int most = clm_test_is_simulator(device) ? 2 : 20;
    float values[COUNT];
    float c[20 * N];
    for (int i = 0; i < COUNT; i++) {
        values[i] = 1.0f + (float)(clm_test_random() >> 9) * 0x1p-23f; /* [1, 2) */
    }
    for (int i = 0; i < FORM_COUNT * STORAGE_COUNT; i++) {
        const clm_gemm_backend form = gemm_forms[i / STORAGE_COUNT];
        const clm_gemm_storage storage = storages[i % STORAGE_COUNT];
        clm_gemm_packed *floats = pack(device, form, CLM_GEMM_F32, values);
        clm_gemm_packed *packed = pack(device, form, storage, values);
        assert_int_equal(clm_gemm_packed_size_bytes(packed),
                         clm_gemm_packed_size_bytes(floats) / (storage == CLM_GEMM_F32 ? 1 : 2));
        for (int M = 2; M <= most; M += 18) {
            double worst = 0;
            read_back(device, form, packed, M, 0, c);
            for (int at = 0; at < M * N; at++) {
                const double error = fabs((double)c[at] - (double)values[at]) / (double)values[at];
                assert_true(error <= units[storage]);
                worst = error > worst ? error : worst;
            }
            assert_true(storage == CLM_GEMM_F32 || worst > 0.5 * units[storage]);
        }
        clm_gemm_packed_release(floats);
        clm_gemm_packed_release(packed);
    }
}

static void test_precision(void **state) {
    (void)state;
    clm_test_each_device(precision_on);
}

/* NaN and infinities in stored weights come through, in their column and no other, and subnormal
 * halves are not flushed. Few rows and many. */
static void not_finite_on(clm_device *device) {
    static const float specials[] = {NAN, INFINITY, -INFINITY, 0x1p-24f, -0x3p-24f};
    const int most = clm_test_is_simulator(device) ? 2 : 20;
    float c[20 * N];
    for (int i = 0; i < 5 * FORM_COUNT * STORAGE_COUNT; i++) {
        const clm_gemm_backend form = gemm_forms[i % FORM_COUNT];
        const float special = specials[i / FORM_COUNT % 5];
        float values[COUNT] = {0};
        values[1 * N + 49] = special;
        clm_gemm_packed *packed = pack(device, form, storages[i / FORM_COUNT / 5], values);
        for (int M = 2; M <= most; M += 18) {
            read_back(device, form, packed, M, 0, c);
            for (int at = 0; at < M * N; at++) {
                const bool column = at % N == 49;
                const bool row = at / N == 1;
                if (!column || (isfinite(special) && !row)) {
                    assert_true(c[at] == 0.0f);
                } else if (row && !isnan(special)) {
                    assert_true(c[at] == special);
                } else { /* 0 * infinity */
                    assert_true(isnan(c[at]));
                }
            }
        }
        clm_gemm_packed_release(packed);
    }
}

static void test_not_finite(void **state) {
    (void)state;
    clm_test_each_device(not_finite_on);
}

/* Finite weights never become infinite: they are refused, and what is in the way is named. */
static void overflow_on(clm_device *device) {
    static const struct {
        clm_gemm_storage storage;
        float value;
        bool fits;
        const char *said;
    } cases[] = {
        {CLM_GEMM_F16, 65519.0f, true, NULL},    {CLM_GEMM_F16, -65520.0f, false, "65520"},
        {CLM_GEMM_F16, 1e30f, false, "65504"},   {CLM_GEMM_BF16, 3.395e38f, true, NULL},
        {CLM_GEMM_BF16, -3.4e38f, false, "f32"}, {CLM_GEMM_F32, 3.4e38f, true, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float values[COUNT] = {0};
        values[7] = INFINITY;
        values[COUNT - 2] = cases[i].value;
        clm_gemm_packed *packed = NULL;
        clm_buffer *buffer = clm_test_buffer(device, values, COUNT);
        const clm_status status = clm_gemm_pack_with(&packed, device, CLM_GEMM_OWN, SIZE_MAX,
                                                     buffer, 0, 0, false, K, N, cases[i].storage);
        if (cases[i].fits) {
            assert_ok(status);
        } else {
            assert_status(CLM_ERROR_UNSUPPORTED, status);
            assert_message_has(cases[i].said);
            assert_null(packed);
        }
        clm_gemm_packed_release(packed);
        clm_test_buffer_check(buffer, COUNT);
    }
}

static void test_overflow(void **state) {
    (void)state;
    clm_test_each_device(overflow_on);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),       cmocka_unit_test(test_layouts),
        cmocka_unit_test(test_large),      cmocka_unit_test(test_precision),
        cmocka_unit_test(test_not_finite), cmocka_unit_test(test_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, clm_test_close_devices);
}
