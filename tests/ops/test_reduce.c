/* SPDX-License-Identifier: Apache-2.0 */
#include "op_test.h"
#include "reference/reduce.h"
#include "support/test_scratch.h"

/* Around a vector, a group's stride, a block, a range of 16,384, and several ranges. */
static const size_t counts[] = {1, 15, 17, 1023, 1025, 4097, 16383, 16384, 16385, 33000, 1000003};
enum { count_count = sizeof counts / sizeof *counts };

/* cl/reduce.cl: at most 32 + 16384 / (32 * 4) = 160 additions a lane and a tree of 14 levels; with
 * roundings of either sign the error stays near their root: 16 * 6e-8 of the sum of |x|. */
static const double sum_rtol = 1e-6;

typedef clm_status reduce_op(clm_device *device, clm_buffer *out, int out_index,
                             const clm_buffer *x, size_t count, clm_buffer *scratch);
typedef double reference_op(const float *x, size_t count);

static float run(clm_device *device, reduce_op *op, const clm_buffer *x, size_t count) {
    enum { places = 5, index = 3 };
    const float before[places] = {7.0F, 7.0F, 7.0F, 7.0F, 7.0F};
    float after[places];
    clm_buffer *out = clm_test_buffer(device, before, places);
    clm_test_scratch scratch =
        clm_test_scratch_begin(device, clm_reduce_scratch_bytes(device, count));
    assert_ok(op(device, out, index, x, count, scratch.buffer));
    clm_test_scratch_end(&scratch);
    clm_test_buffer_read(out, after, places);
    for (int i = 0; i < places; i++) {
        assert_true(i == index || after[i] == 7.0F);
    }
    clm_test_buffer_check(out, places);
    return after[index];
}

static void one(clm_device *device, reduce_op *op, reference_op *reference, size_t count,
                double rtol) {
    float *x = normal_floats(count, 1.0F);
    double size = 0.0;
    for (size_t i = 0; i < count; i++) {
        size += fabs((double)x[i]);
    }
    clm_buffer *buffer = clm_test_buffer(device, x, count);
    float sum = run(device, op, buffer, count);
    double expected = reference(x, count);
    assert_close((double)sum, expected, rtol * size, rtol);
    /* One element left out, or taken twice, must show: the first is made to weigh enough. */
    x[0] = fabsf(x[0]) + (float)(16.0 * rtol * size) + 1.0F;
    float wrong = (float)reference(x, count);
    float right = (float)expected;
    assert_int_equal(clm_test_worst(&wrong, &right, 1, rtol * size, rtol), 0);
    float again = run(device, op, buffer, count);
    assert_memory_equal(&again, &sum, sizeof sum);
    clm_test_buffer_check(buffer, count);
    free(x);
}

/* Counts are exact; each place of a row with a few values that are not finite is seen. */
static void nonfinite(clm_device *device, size_t count) {
    static const float bad[3] = {NAN, INFINITY, -INFINITY};
    float *x = normal_floats(count, 1e38F);
    for (size_t i = 0; i < count; i++) {
        x[i] = isfinite(x[i]) ? x[i] : 3.4e38F;
    }
    clm_buffer *buffer = clm_test_buffer(device, x, count);
    assert_true(run(device, clm_reduce_nonfinite, buffer, count) == 0.0F);
    clm_test_buffer_check(buffer, count);
    for (size_t i = 0; i < count; i += 1 + i / 2) {
        x[i] = bad[i % 3];
    }
    x[count - 1] = NAN;
    buffer = clm_test_buffer(device, x, count);
    assert_true((double)run(device, clm_reduce_nonfinite, buffer, count) ==
                clm_reference_reduce_nonfinite(x, count));
    clm_test_buffer_check(buffer, count);
    free(x);
}

static void agrees_with_the_reference_on(clm_device *device) {
    for (int i = 0; i < (is_slow(device) ? 5 : count_count); i++) {
        one(device, clm_reduce_sum, clm_reference_reduce_sum, counts[i], sum_rtol);
        one(device, clm_reduce_square_sum, clm_reference_reduce_square_sum, counts[i], sum_rtol);
        nonfinite(device, counts[i]);
    }
}

static void agrees_with_the_reference(void **state) {
    (void)state;
    each_variant(agrees_with_the_reference_on);
}

/* A million times 0.1, which one sum after the other gets wrong by 1e-3: each partial sum's
 * rounding goes the same way. */
static void long_sums_stay_accurate_on(clm_device *device) {
    enum { count = 1000000 };
    if (is_slow(device)) {
        return;
    }
    float *x = normal_floats(count, 1.0F);
    float naive = 0.0F;
    for (int i = 0; i < count; i++) {
        x[i] = 0.1F;
        naive += x[i];
    }
    double expected = (double)0.1F * count;
    assert_true(fabs((double)naive - expected) > 2e-6 * expected);
    clm_buffer *buffer = clm_test_buffer(device, x, count);
    assert_close((double)run(device, clm_reduce_sum, buffer, count), expected, 0.0, 2e-6);
    clm_test_buffer_check(buffer, count);
    free(x);
}

static void long_sums_stay_accurate(void **state) {
    (void)state;
    each_variant(long_sums_stay_accurate_on);
}

static void infinity_and_nan_are_seen_on(clm_device *device) {
    enum { count = 40000 };
    float *x = normal_floats(count, 1.0F);
    x[count - 2] = -INFINITY;
    clm_buffer *buffer = clm_test_buffer(device, x, count);
    assert_true(run(device, clm_reduce_sum, buffer, count) == -INFINITY);
    assert_true(run(device, clm_reduce_square_sum, buffer, count) == INFINITY);
    clm_test_buffer_check(buffer, count);
    x[17] = NAN;
    buffer = clm_test_buffer(device, x, count);
    assert_true(isnan(run(device, clm_reduce_sum, buffer, count)));
    clm_test_buffer_check(buffer, count);
    free(x);
}

static void infinity_and_nan_are_seen(void **state) {
    (void)state;
    each_variant(infinity_and_nan_are_seen_on);
}

/* 64 additions a level; their errors are of the size of the sum of |x|, some rows of 1. */
static void columns(clm_device *device, int rows, int N, bool accumulate, size_t offset) {
    const size_t x_offset = offset % 7;
    const size_t count = x_offset + (size_t)rows * (size_t)N;
    float *x = normal_floats(count, 1.0F);
    /* What stands before the slice must stay as it is. */
    float *out = normal_floats(offset + (size_t)N, 1.0F);
    clm_buffer *x_buffer = clm_test_buffer(device, x, count);
    clm_buffer *out_buffer = clm_test_buffer(device, out, offset + (size_t)N);
    clm_test_scratch scratch =
        clm_test_scratch_begin(device, clm_reduce_columns_scratch_bytes(device, rows, N));
    assert_ok(clm_reduce_columns(device, out_buffer, offset, x_buffer, x_offset, rows, N,
                                 accumulate, scratch.buffer));
    clm_test_scratch_end(&scratch);
    clm_reference_reduce_columns(out + offset, x + x_offset, rows, N, accumulate);
    float *actual = read_floats(out_buffer, offset + (size_t)N);
    assert_memory_equal(actual, out, offset * sizeof *out);
    check_close(actual + offset, out + offset, (size_t)N, sum_rtol * (rows + 1), 0.0,
                "column sums");
    free(actual);
    clm_test_buffer_check(out_buffer, offset + (size_t)N);
    clm_test_buffer_check(x_buffer, count);
    free(x);
    free(out);
}

static void columns_agree_with_the_reference_on(clm_device *device) {
    static const int shapes[][2] = {{1, 1},    {1, 17},    {63, 5},   {64, 16}, {65, 15},
                                    {129, 33}, {960, 130}, {4097, 9}, {5000, 1}};
    size_t count = is_slow(device) ? 6 : sizeof shapes / sizeof *shapes;
    for (size_t i = 0; i < count; i++) {
        columns(device, shapes[i][0], shapes[i][1], false, 3 * i);
        columns(device, shapes[i][0], shapes[i][1], true, 5 * i);
    }
}

static void columns_agree_with_the_reference(void **state) {
    (void)state;
    each_variant(columns_agree_with_the_reference_on);
}

static void wrong_shapes_are_refused_on(clm_device *device) {
    clm_buffer *six = NULL;
    clm_buffer *two = NULL;
    assert_ok(clm_buffer_create(&six, device, 6 * sizeof(float), "six"));
    assert_ok(clm_buffer_create(&two, device, 2 * sizeof(float), "two"));
    assert_status(CLM_ERROR_SHAPE, clm_reduce_sum(device, two, 2, six, 6, NULL));
    assert_status(CLM_ERROR_SHAPE, clm_reduce_sum(device, two, -1, six, 6, NULL));
    assert_status(CLM_ERROR_SHAPE, clm_reduce_square_sum(device, two, 0, six, 7, NULL));
    assert_status(CLM_ERROR_SHAPE, clm_reduce_nonfinite(device, two, 0, six, 0, NULL));
    assert_status(CLM_ERROR_SHAPE, clm_reduce_columns(device, two, 0, six, 0, 2, 3, true, NULL));
    assert_status(CLM_ERROR_SHAPE, clm_reduce_columns(device, two, 0, six, 0, 4, 2, true, NULL));
    assert_status(CLM_ERROR_SHAPE, clm_reduce_columns(device, two, 0, six, 0, 0, 2, true, NULL));
    assert_status(CLM_ERROR_SHAPE, clm_reduce_columns(device, two, 1, six, 0, 3, 2, true, NULL));
    assert_status(CLM_ERROR_SHAPE,
                  clm_reduce_columns(device, two, SIZE_MAX, six, 0, 3, 2, true, NULL));
    assert_status(CLM_ERROR_SHAPE, clm_reduce_columns(device, two, 0, six, 1, 3, 2, true, NULL));
    assert_status(CLM_ERROR_SHAPE,
                  clm_reduce_columns(device, two, 0, six, SIZE_MAX, 3, 2, true, NULL));
    /* 65 rows: two parts of a column. 64 are one. */
    clm_buffer *large = clm_test_buffer(device, NULL, 16385);
    clm_buffer *seven = NULL;
    assert_ok(clm_buffer_create(&seven, device, 7, "scratch"));
    assert_int_equal(clm_reduce_columns_scratch_bytes(device, 65, 1), 8);
    assert_int_equal(clm_reduce_columns_scratch_bytes(device, 64, 1), 0);
    assert_int_equal(clm_reduce_columns_scratch_bytes(device, -1, 1), 0);
    assert_status(CLM_ERROR_SHAPE,
                  clm_reduce_columns(device, two, 0, large, 0, 65, 1, true, seven));
    assert_message_has("scratch");
    assert_int_equal(clm_reduce_scratch_bytes(device, 16385), 8);
    assert_int_equal(clm_reduce_scratch_bytes(device, 16384), 0);
    assert_status(CLM_ERROR_SHAPE, clm_reduce_sum(device, two, 0, large, 16385, seven));
    clm_buffer_release(seven);
    clm_test_buffer_check(large, 16385);
    clm_buffer_release(six);
    clm_buffer_release(two);
}

static void wrong_shapes_are_refused(void **state) {
    (void)state;
    clm_test_each_device(wrong_shapes_are_refused_on);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_reference),
        cmocka_unit_test(long_sums_stay_accurate),
        cmocka_unit_test(infinity_and_nan_are_seen),
        cmocka_unit_test(columns_agree_with_the_reference),
        cmocka_unit_test(wrong_shapes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, clm_test_close_devices);
}
