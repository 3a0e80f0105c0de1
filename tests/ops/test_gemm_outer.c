/* Products of a small K, in both forms on every device.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gemm_cases.h"
#include "ops/gemm_backend.h"

/* Every K up to one more than is small; rows from the first that are not few, and columns, at and
 * around tiles and groups; random layouts, gaps and tails. */
static void depths_on(clm_device *device) {
    static const int rows[] = {17, 18, 19, 20, 31, 32, 33, 63, 64, 65, 129, 257};
    static const int columns[] = {1,  2,  3,  7,   8,   9,   15,  16,  17,  31,   32,
                                  33, 63, 65, 127, 128, 129, 255, 257, 511, 1031, 2305};
    const bool slow = clm_test_is_simulator(device);
    for (int K = 1; K <= CLM_GEMM_OUTER_DEPTH + 1; K += slow ? 5 : 1) {
        for (int i = 0; i < (slow ? 1 : 4); i++) {
            gemm_case test = gemm_random_case(64);
            const size_t row_count = slow ? 5 : sizeof rows / sizeof *rows;
            const size_t column_count = slow ? 12 : sizeof columns / sizeof *columns;
            test.M = rows[clm_test_random() % row_count];
            test.N = columns[clm_test_random() % column_count];
            test.K = K;
            test.packing = NOT_PACKED;
            test.storage = CLM_GEMM_F32;
            gemm_check_forms(device, &test);
        }
    }
}

static void test_depths(void **state) {
    (void)state;
    clm_test_each_device(depths_on);
}

/* Each layout with C added to, and with every tail; whole tiles, and what is left of them. */
static void layouts_on(clm_device *device) {
    const bool slow = clm_test_is_simulator(device);
    for (int i = 0; i < 4 * 9; i++) {
        if (slow && i % 5 != 0) {
            continue;
        }
        gemm_case test = {.M = i % 2 == 0 ? 24 : 29,
                          .N = i % 3 == 0 ? 64 : 77,
                          .K = i % 2 == 0 ? 8 : 5,
                          .a_transposed = i / 9 % 2 == 0,
                          .b_transposed = i / 18 != 0,
                          .gaps = {3, 2, 5, 1, 7, 9}};
        const int bits = i % 9; /* 8: C is added to */
        test.accumulate = bits == 8;
        test.bias = bits & 1;
        test.gelu = bits & 2;
        test.pre = bits & 4;
        if (bits < 8 && bits % 3 == 1) {
            test.residual = bits == 1 ? RESIDUAL_IS_C : OTHER_RESIDUAL;
            test.gaps.c_gap = test.gaps.c_offset = 0;
        }
        gemm_check_forms(device, &test);
    }
}

static void test_layouts(void **state) {
    (void)state;
    clm_test_each_device(layouts_on);
}

/* GPT-2's gradients, and more of N than a work-item of a device may go round for. */
static void large_on(clm_device *device) {
    if (clm_test_is_simulator(device)) {
        return;
    }
    static const int shapes[][3] = {
        {768, 768, 8}, {3072, 768, 8}, {18, 12289, 16}, {29, 50257, 1}, {2900, 3, 16}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const gemm_case test = {.M = shapes[i][0],
                                .N = shapes[i][1],
                                .K = shapes[i][2],
                                .a_transposed = true,
                                .accumulate = true};
        gemm_check_forms(device, &test);
    }
}

static void test_large(void **state) {
    (void)state;
    clm_test_each_device(large_on);
}

/* ---- properties ---- */

enum { M = 37, N = 83, K = 7, C_COUNT = M * N };

/* Small whole numbers, so that sums are exact. */
static void fill_whole(float *values, size_t count) {
    for (size_t i = 0; i < count; i++) {
        values[i] = (float)(clm_test_random() % 17) - 8.0f;
    }
}

static clm_gemm_arguments gradient(const clm_buffer *x, const clm_buffer *dout, clm_buffer *c) {
    return (clm_gemm_arguments){.M = M,
                                .N = N,
                                .K = K,
                                .a_transposed = true,
                                .a = x,
                                .b = dout,
                                .c = c,
                                .accumulate = true};
}

/* K rows at once are K rows one after the other, to the bit; and what is added and taken off again
 * leaves C as it was. */
static void rows_add_up_on(clm_device *device) {
    float x[K * M], negative[K * M], dout[K * N], before[C_COUNT], at_once[C_COUNT], got[C_COUNT];
    fill_whole(x, K * M);
    fill_whole(dout, K * N);
    fill_whole(before, C_COUNT);
    for (int i = 0; i < K * M; i++) {
        negative[i] = -x[i];
    }
    clm_buffer *x_buffer = clm_test_buffer(device, x, K * M);
    clm_buffer *negative_buffer = clm_test_buffer(device, negative, K * M);
    clm_buffer *dout_buffer = clm_test_buffer(device, dout, K * N);
    for (int form = 0; form < FORM_COUNT; form++) {
        clm_buffer *c = clm_test_buffer(device, before, C_COUNT);
        clm_gemm_arguments product = gradient(x_buffer, dout_buffer, c);
        assert_ok(gemm_by(device, gemm_forms[form], &product));
        clm_test_buffer_read(c, at_once, C_COUNT);
        assert_memory_not_equal(at_once, before, sizeof before);
        product.a = negative_buffer;
        assert_ok(gemm_by(device, gemm_forms[form], &product));
        clm_test_buffer_read(c, got, C_COUNT);
        assert_memory_equal(got, before, sizeof before);
        product = gradient(x_buffer, dout_buffer, c);
        product.K = 1;
        for (int k = 0; k < K; k++) {
            product.a_offset = (size_t)k * M;
            product.b_offset = (size_t)k * N;
            assert_ok(gemm_by(device, gemm_forms[form], &product));
        }
        clm_test_buffer_read(c, got, C_COUNT);
        assert_memory_equal(got, at_once, sizeof at_once);
        clm_test_buffer_check(c, C_COUNT);
    }
    clm_test_buffer_check(x_buffer, K * M);
    clm_test_buffer_check(negative_buffer, K * M);
    clm_test_buffer_check(dout_buffer, K * N);
}

static void test_rows_add_up(void **state) {
    (void)state;
    clm_test_each_device(rows_add_up_on);
}

/* 0 * NaN and 0 * infinity are NaN, in the row or column they belong to and nowhere else; a C that
 * is not added to is not read. */
static void not_finite_on(clm_device *device) {
    static const float specials[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 2 * 3 * FORM_COUNT; i++) {
        const bool in_x = i % 2 == 0;
        float x[K * M] = {0}, dout[K * N] = {0}, c[C_COUNT];
        if (in_x) {
            x[3 * M + 35] = specials[i / 2 % 3];
        } else {
            dout[6 * N + 81] = specials[i / 2 % 3];
        }
        for (int at = 0; at < C_COUNT; at++) {
            c[at] = NAN;
        }
        clm_buffer *x_buffer = clm_test_buffer(device, x, K * M);
        clm_buffer *dout_buffer = clm_test_buffer(device, dout, K * N);
        clm_buffer *c_buffer = clm_test_buffer(device, c, C_COUNT);
        clm_gemm_arguments product = gradient(x_buffer, dout_buffer, c_buffer);
        product.accumulate = false;
        assert_ok(gemm_by(device, gemm_forms[i / 6], &product));
        clm_test_buffer_read(c_buffer, c, C_COUNT);
        for (int at = 0; at < C_COUNT; at++) {
            const bool expected = in_x ? at / N == 35 : at % N == 81;
            assert_int_equal(expected, isnan(c[at]) != 0);
            assert_true(expected || c[at] == 0.0f);
        }
        clm_test_buffer_check(x_buffer, K * M);
        clm_test_buffer_check(dout_buffer, K * N);
        clm_test_buffer_check(c_buffer, C_COUNT);
    }
}

static void test_not_finite(void **state) {
    (void)state;
    clm_test_each_device(not_finite_on);
}

/* What is served, and what is not. */
static void test_served(void **state) {
    (void)state;
    clm_gemm_task task = {.M = 768, .N = 768, .K = CLM_GEMM_OUTER_DEPTH};
    assert_true(clm_gemm_outer_serves(&task));
    task.K++;
    assert_false(clm_gemm_outer_serves(&task));
    task.K = 1;
    assert_true(clm_gemm_outer_serves(&task));
    task.b.storage = CLM_GEMM_F16;
    assert_false(clm_gemm_outer_serves(&task));
    task.b = (clm_gemm_matrix){.panel_depth = 1};
    assert_false(clm_gemm_outer_serves(&task));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_depths),     cmocka_unit_test(test_layouts),
        cmocka_unit_test(test_large),      cmocka_unit_test(test_rows_add_up),
        cmocka_unit_test(test_not_finite), cmocka_unit_test(test_served),
    };
    return cmocka_run_group_tests(tests, NULL, clm_test_close_devices);
}
