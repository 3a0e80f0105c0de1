/* SPDX-License-Identifier: Apache-2.0 */
#include "op_test.h"
#include "reference/rows.h"

/* Distinct rows out of `of`, in no order: the first n of a shuffle. */
static int32_t *draw_rows(int n, int of) {
    int32_t *rows = malloc((size_t)of * sizeof *rows);
    assert_non_null(rows);
    for (int i = 0; i < of; i++) {
        rows[i] = i;
    }
    for (int i = 0; i < n; i++) {
        int other = i + (int)(clm_test_random() % (uint32_t)(of - i));
        int32_t kept = rows[i];
        rows[i] = rows[other];
        rows[other] = kept;
    }
    return rows;
}

/* Two sequences, each with room for `of` rows, get n of a wider matrix; those that do not fit are
 * left out. */
static void appended(clm_device *device, int n, int of, int C) {
    enum { B = 2 };
    const size_t count = (size_t)B * (size_t)of * (size_t)C;
    const int stride = C + 3;
    const size_t wide = 1 + (size_t)B * (size_t)n * (size_t)stride;
    const int32_t first[B] = {of - n / 2, (of - n) / 2};
    float *to = normal_floats(count, 1.0F);
    float *x = normal_floats(wide, 1.0F);
    double *exact = widened(to, count);
    double *dense = widened(x, (size_t)B * (size_t)n * (size_t)C);
    for (int i = 0; i < B * n * C; i++) {
        dense[i] = (double)x[1 + i / C * stride + i % C];
    }
    clm_reference_rows_append(exact, dense, first, B, n, of, C);
    clm_buffer *to_buffer = clm_test_buffer(device, to, count);
    const clm_view view = {clm_test_buffer(device, x, wide), 1, stride};
    clm_buffer *starts = clm_test_buffer(device, first, B);
    assert_ok(clm_rows_append(device, to_buffer, view, starts, B, n, of, C));
    clm_test_buffer_check(starts, B);
    narrow_into(to, exact, count);
    check_buffer(to_buffer, to, count, 0.0, 0.0, "appended rows");
    clm_test_buffer_check(view.buffer, wide);
    free(to);
    free(x);
    free(dense);
}

/* Copies, and one rounding on either side: exact. */
static void one(clm_device *device, int n, int of, int C) {
    size_t few = (size_t)n * (size_t)C;
    size_t all = (size_t)of * (size_t)C;
    int32_t *rows = draw_rows(n, of);
    float *x = normal_floats(all, 1.0F);
    float *gathered = normal_floats(few, 1.0F);
    float *scattered = normal_floats(all, 1.0F);
    double *x_wide = widened(x, all);
    double *gathered_wide = widened(gathered, few);
    double *scattered_wide = widened(scattered, all);
    clm_reference_rows_gather(gathered_wide, x_wide, rows, n, C);
    clm_reference_rows_scatter(scattered_wide, gathered_wide, rows, n, of, C);
    narrow_into(gathered, gathered_wide, few);
    narrow_into(scattered, scattered_wide, all);
    free(x_wide);
    clm_buffer *rows_buffer = clm_test_buffer(device, rows, (size_t)n);
    clm_buffer *x_buffer = clm_test_buffer(device, x, all);
    clm_buffer *out = clm_test_buffer(device, NULL, few);
    clm_buffer *back = clm_test_buffer(device, NULL, all);
    assert_ok(clm_rows_gather(device, out, x_buffer, rows_buffer, n, C));
    assert_ok(clm_rows_scatter(device, back, out, rows_buffer, n, of, C));
    float *y = normal_floats(few, 1.0F);
    float *sum = normal_floats(all, 1.0F);
    clm_buffer *y_buffer = clm_test_buffer(device, y, few);
    clm_buffer *sum_buffer = clm_test_buffer(device, sum, all);
    double *y_wide = widened(y, few);
    double *sum_wide = widened(sum, all);
    clm_reference_rows_add(sum_wide, y_wide, rows, n, C);
    narrow_into(sum, sum_wide, all);
    free(y_wide);
    assert_ok(clm_rows_add(device, sum_buffer, y_buffer, rows_buffer, n, C));
    check_buffer(sum_buffer, sum, all, 0.0, 0.0, "rows added to");
    clm_test_buffer_check(y_buffer, few);
    check_buffer(out, gathered, few, 0.0, 0.0, "gathered rows");
    appended(device, n, of, C);
    check_buffer(back, scattered, all, 0.0, 0.0, "scattered rows");
    clm_test_buffer_check(x_buffer, all);
    clm_test_buffer_check(rows_buffer, (size_t)n);
    free(rows);
    free(x);
    free(gathered);
    free(scattered);
    free(y);
    free(sum);
}

static void agrees_with_the_reference_on(clm_device *device) {
    static const int shapes[][3] = {{1, 1, 1},   {1, 5, 3},    {5, 5, 16},   {3, 7, 17},
                                    {8, 33, 64}, {8, 40, 768}, {2, 9, 1025}, {31, 32, 15}};
    size_t count = is_slow(device) ? 4 : sizeof shapes / sizeof *shapes;
    for (size_t i = 0; i < count; i++) {
        one(device, shapes[i][0], shapes[i][1], shapes[i][2]);
    }
}

static void agrees_with_the_reference(void **state) {
    (void)state;
    each_variant(agrees_with_the_reference_on);
}

static void wrong_shapes_are_refused_on(clm_device *device) {
    clm_buffer *six = NULL;
    clm_buffer *two = NULL;
    assert_ok(clm_buffer_create(&six, device, 6 * sizeof(float), "six"));
    assert_ok(clm_buffer_create(&two, device, 2 * sizeof(float), "two"));
    assert_status(CLM_ERROR_SHAPE, clm_rows_gather(device, two, six, two, 2, 3));
    assert_status(CLM_ERROR_SHAPE, clm_rows_gather(device, six, six, two, 0, 3));
    assert_status(CLM_ERROR_SHAPE, clm_rows_gather(device, six, six, two, 3, 2));
    assert_status(CLM_ERROR_SHAPE, clm_rows_scatter(device, six, six, two, 3, 2, 1));
    assert_message_has("distinct");
    assert_status(CLM_ERROR_SHAPE, clm_rows_scatter(device, two, six, two, 1, 3, 2));
    assert_status(CLM_ERROR_SHAPE, clm_rows_add(device, six, two, two, 2, 3));
    assert_status(CLM_ERROR_SHAPE, clm_rows_add(device, two, six, two, 2, 3));
    assert_status(CLM_ERROR_SHAPE, clm_rows_add(device, six, six, two, 0, 3));
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
        cmocka_unit_test(wrong_shapes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, clm_test_close_devices);
}
