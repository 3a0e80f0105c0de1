/* SPDX-License-Identifier: Apache-2.0 */
#include "op_test.h"
#include "reference/gelu.h"

/* cl/common.clh: forward 5e-7 * max(1, |x|), gelu(x) being up to |x|; backward 1e-6 |dout|. */
static const double forward_atol = 5e-7;
static const double forward_rtol = 5e-7;
static const double derivative_atol = 1e-6;

/* Values from -12 to 12, and some where x^3 overflows. */
static void fill(float *x, size_t count) {
    static const float far[] = {0.0F,   -0.0F, 1e-30F, -1e-30F, 20.0F,
                                -20.0F, 1e15F, -1e15F, 3e38F,   -3e38F};
    for (size_t i = 0; i < count; i++) {
        x[i] = clm_test_uniform(-12.0F, 12.0F);
    }
    for (size_t i = 0; i < sizeof far / sizeof *far && i + 4 < count; i++) {
        x[i + 4] = far[i];
    }
}

static void forward(clm_device *device, size_t count) {
    float *x = normal_floats(count, 1.0F);
    float *expected = normal_floats(count, 1.0F);
    fill(x, count);
    double *exact = widened(x, count);
    clm_reference_gelu_forward(exact, exact, count);
    narrow_into(expected, exact, count);
    clm_buffer *x_buffer = clm_test_buffer(device, x, count);
    clm_buffer *out = clm_test_buffer(device, NULL, count);
    assert_ok(clm_gelu_forward(device, out, x_buffer, count));
    check_buffer(out, expected, count, forward_atol, forward_rtol, "gelu");
    clm_test_buffer_check(x_buffer, count);
    free(x);
    free(expected);
}

static void backward(clm_device *device, size_t count, bool in_place) {
    float *x = normal_floats(count, 1.0F);
    float *dout = normal_floats(count, 1.0F);
    float *expected = normal_floats(count, 1.0F);
    fill(x, count);
    for (size_t i = 0; i < count; i++) {
        dout[i] = clm_test_uniform(-1.0F, 1.0F);
    }
    double *exact = widened(dout, count);
    double *x_wide = widened(x, count);
    clm_reference_gelu_backward(exact, exact, x_wide, count);
    narrow_into(expected, exact, count);
    free(x_wide);
    clm_buffer *x_buffer = clm_test_buffer(device, x, count);
    clm_buffer *dout_buffer = clm_test_buffer(device, dout, count);
    clm_buffer *dx = in_place ? dout_buffer : clm_test_buffer(device, NULL, count);
    assert_ok(clm_gelu_backward(device, dx, dout_buffer, x_buffer, count));
    check_buffer(dx, expected, count, derivative_atol, 0.0, "gelu'");
    if (!in_place) {
        clm_test_buffer_check(dout_buffer, count);
    }
    clm_test_buffer_check(x_buffer, count);
    free(x);
    free(dout);
    free(expected);
}

static void agrees_with_the_reference_on(clm_device *device) {
    for (size_t i = 0; i < awkward_count_count(device); i++) {
        forward(device, awkward_counts[i]);
        backward(device, awkward_counts[i], false);
        backward(device, awkward_counts[i], true);
    }
}

static void agrees_with_the_reference(void **state) {
    (void)state;
    each_variant(agrees_with_the_reference_on);
}

/* The other GELU, x Phi(x), differs by up to 5e-4: the tolerance must tell them apart. */
static void the_tolerance_tells_tanh_from_erf(void **state) {
    (void)state;
    float tanh_form[64];
    float erf_form[64];
    for (int i = 0; i < 64; i++) {
        double x = -4.0 + i / 8.0;
        tanh_form[i] = (float)clm_reference_gelu(x);
        erf_form[i] = (float)(0.5 * x * (1.0 + erf(x / sqrt(2.0))));
    }
    assert_int_not_equal(clm_test_worst(erf_form, tanh_form, 64, forward_atol, forward_rtol), 64);
}

/* Central differences of the formula in double: their own error is h^2/6 |gelu'''| + 1e-16/h, below
 * 1e-9 for h = 1e-5. */
static void gradient_is_that_of_the_formula_on(clm_device *device) {
    enum { count = 1001 };
    static float x[count];
    static float ones[count];
    static float expected[count];
    const double h = 1e-5;
    for (int i = 0; i < count; i++) {
        x[i] = (float)(i - count / 2) * 0.02F;
        ones[i] = 1.0F;
        expected[i] =
            (float)((clm_reference_gelu((double)x[i] + h) - clm_reference_gelu((double)x[i] - h)) /
                    (2.0 * h));
    }
    clm_buffer *x_buffer = clm_test_buffer(device, x, count);
    clm_buffer *dout = clm_test_buffer(device, ones, count);
    clm_buffer *dx = clm_test_buffer(device, NULL, count);
    assert_ok(clm_gelu_backward(device, dx, dout, x_buffer, count));
    check_buffer(dx, expected, count, derivative_atol, 0.0, "finite differences of gelu");
    clm_test_buffer_check(dout, count);
    clm_test_buffer_check(x_buffer, count);
}

static void gradient_is_that_of_the_formula(void **state) {
    (void)state;
    each_variant(gradient_is_that_of_the_formula_on);
}

static void nan_and_infinity_are_seen_on(clm_device *device) {
    enum { count = 40 };
    float x[count];
    float ones[count];
    float y[count];
    float dx[count];
    for (int i = 0; i < count; i++) {
        x[i] = i % 5 == 0 ? NAN : i % 5 == 1 ? INFINITY : i % 5 == 2 ? -INFINITY : 1.0F;
        ones[i] = 1.0F;
    }
    clm_buffer *x_buffer = clm_test_buffer(device, x, count);
    clm_buffer *ones_buffer = clm_test_buffer(device, ones, count);
    clm_buffer *out = clm_test_buffer(device, ones, count);
    assert_ok(clm_gelu_forward(device, out, x_buffer, count));
    clm_test_buffer_read(out, y, count);
    assert_ok(clm_gelu_backward(device, out, ones_buffer, x_buffer, count));
    clm_test_buffer_read(out, dx, count);
    for (int i = 0; i < count; i++) {
        switch (i % 5) {
            case 0:
                assert_true(isnan(y[i]));
                assert_true(isnan(dx[i]));
                break;
            case 1:
                assert_true(y[i] == INFINITY);
                assert_true(dx[i] == 1.0F);
                break;
            case 2: /* -inf * 0, as in the formula */
                assert_true(isnan(y[i]));
                assert_true(dx[i] == 0.0F);
                break;
            default:
                assert_close((double)y[i], 0.84119199, forward_atol, 0.0);
        }
    }
    clm_test_buffer_check(x_buffer, count);
    clm_test_buffer_check(ones_buffer, count);
    clm_test_buffer_check(out, count);
}

static void nan_and_infinity_are_seen(void **state) {
    (void)state;
    each_variant(nan_and_infinity_are_seen_on);
}

static void wrong_shapes_are_refused_on(clm_device *device) {
    clm_buffer *small = NULL;
    clm_buffer *large = NULL;
    assert_ok(clm_buffer_create(&small, device, 9 * sizeof(float), "small"));
    assert_ok(clm_buffer_create(&large, device, 10 * sizeof(float), "large"));
    assert_status(CLM_ERROR_SHAPE, clm_gelu_forward(device, small, large, 10));
    assert_message_has("gelu: out");
    assert_status(CLM_ERROR_SHAPE, clm_gelu_forward(device, large, small, 10));
    assert_status(CLM_ERROR_SHAPE, clm_gelu_forward(device, large, large, 0));
    assert_status(CLM_ERROR_SHAPE, clm_gelu_forward(device, large, NULL, 10));
    assert_status(CLM_ERROR_SHAPE, clm_gelu_forward(device, large, large, SIZE_MAX / 2));
    assert_status(CLM_ERROR_SHAPE, clm_gelu_backward(device, large, large, small, 10));
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
        cmocka_unit_test(the_tolerance_tells_tanh_from_erf),
        cmocka_unit_test(gradient_is_that_of_the_formula),
        cmocka_unit_test(nan_and_infinity_are_seen),
        cmocka_unit_test(wrong_shapes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, clm_test_close_devices);
}
