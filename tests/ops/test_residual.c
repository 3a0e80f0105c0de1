/* SPDX-License-Identifier: Apache-2.0 */
#include "op_test.h"
#include "reference/residual.h"

enum alias { OUT_ALONE, OUT_IS_A, OUT_IS_B };

/* One rounding on each side: exact. */
static void one(clm_device *device, size_t count, enum alias alias) {
    float *a = normal_floats(count, 1.0F);
    float *b = normal_floats(count, 1.0F);
    float *expected = normal_floats(count, 1.0F);
    a[count / 2] = INFINITY;
    double *sum = widened(a, count);
    double *other = widened(b, count);
    clm_reference_residual_forward(sum, sum, other, count);
    narrow_into(expected, sum, count);
    free(other);
    clm_buffer *a_buffer = clm_test_buffer(device, a, count);
    clm_buffer *b_buffer = clm_test_buffer(device, b, count);
    clm_buffer *alone = clm_test_buffer(device, NULL, count);
    clm_buffer *out = alias == OUT_IS_A ? a_buffer : alias == OUT_IS_B ? b_buffer : alone;
    assert_ok(clm_residual_forward(device, out, a_buffer, b_buffer, count));
    float *actual = read_floats(out, count);
    assert_memory_equal(actual, expected, count * sizeof *actual);
    clm_test_buffer_check(a_buffer, count);
    clm_test_buffer_check(b_buffer, count);
    clm_test_buffer_check(alone, count);
    free(a);
    free(b);
    free(expected);
    free(actual);
}

static void agrees_with_the_reference_on(clm_device *device) {
    for (size_t i = 0; i < awkward_count_count(device); i++) {
        one(device, awkward_counts[i], OUT_ALONE);
        one(device, awkward_counts[i], OUT_IS_A);
        one(device, awkward_counts[i], OUT_IS_B);
    }
}

static void agrees_with_the_reference(void **state) {
    (void)state;
    each_variant(agrees_with_the_reference_on);
}

static void wrong_shapes_are_refused_on(clm_device *device) {
    clm_buffer *small = NULL;
    clm_buffer *large = NULL;
    assert_ok(clm_buffer_create(&small, device, 9 * sizeof(float), "small"));
    assert_ok(clm_buffer_create(&large, device, 10 * sizeof(float), "large"));
    assert_status(CLM_ERROR_SHAPE, clm_residual_forward(device, small, large, large, 10));
    assert_status(CLM_ERROR_SHAPE, clm_residual_forward(device, large, small, large, 10));
    assert_status(CLM_ERROR_SHAPE, clm_residual_forward(device, large, large, small, 10));
    assert_message_has("residual: b");
    clm_buffer_release(small);
    clm_buffer_release(large);
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
