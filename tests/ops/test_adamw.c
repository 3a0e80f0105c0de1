/* SPDX-License-Identifier: Apache-2.0 */
#include "golden/adamw_golden.h"
#include "op_test.h"
#include "reference/adamw.h"

/* A parameter near 1 takes some three roundings of 6e-8 a step on each side. */
static const double parameter_tolerance = 1e-6;
/* Three roundings a step, of which the decay forgets the older. A beta2 kept as float would be off
 * by 1.3e-5. */
static const double moment_rtol = 2e-6;

static clm_adamw settings_of(const golden_run *run, int step) {
    return (clm_adamw){.learning_rate = run->learning_rate,
                       .beta1 = run->beta1,
                       .beta2 = run->beta2,
                       .epsilon = run->epsilon,
                       .weight_decay = run->weight_decay,
                       .step = step,
                       .gradient_scale = 1.0};
}

static void follows_pytorch_on(clm_device *device) {
    const float zeros[golden_count] = {0.0F};
    for (int r = 0; r < golden_runs; r++) {
        clm_buffer *p = clm_test_buffer(device, golden_start, golden_count);
        clm_buffer *m = clm_test_buffer(device, zeros, golden_count);
        clm_buffer *v = clm_test_buffer(device, zeros, golden_count);
        for (int step = 1; step <= golden_steps; step++) {
            clm_adamw adamw = settings_of(&golden[r], step);
            clm_buffer *g = clm_test_buffer(device, golden_gradients[step - 1], golden_count);
            assert_ok(clm_adamw_step(device, p, g, m, v, golden_count, &adamw));
            float *actual = read_floats(p, golden_count);
            check_close(actual, golden[r].after[step - 1], golden_count, parameter_tolerance, 0.0,
                        "parameters");
            free(actual);
            clm_test_buffer_check(g, golden_count);
        }
        clm_test_buffer_check(p, golden_count);
        check_buffer(m, golden[r].first_moment, golden_count, 1e-30, moment_rtol, "first moment");
        check_buffer(v, golden[r].second_moment, golden_count, 1e-30, moment_rtol, "second moment");
    }
}

static void follows_pytorch(void **state) {
    (void)state;
    each_variant(follows_pytorch_on);
}

/* Decay coupled to the gradient (Adam with L2), or epsilon inside the root, must be told apart. */
static void the_tolerance_tells_adamw_from_adam(void **state) {
    (void)state;
    const golden_run *run = &golden[1];
    float wrong[golden_count];
    for (int i = 0; i < golden_count; i++) {
        double p = (double)golden_start[i];
        double g = (double)golden_gradients[0][i] + run->weight_decay * p;
        wrong[i] = (float)(p - run->learning_rate * g / (fabs(g) + run->epsilon));
    }
    assert_int_not_equal(
        clm_test_worst(wrong, run->after[0], golden_count, parameter_tolerance, 0.0), golden_count);
}

static void one(clm_device *device, size_t count, bool zero_gradient) {
    clm_adamw adamw = settings_of(&golden[1], 3);
    adamw.gradient_scale = 0.25;
    adamw.zero_gradient = zero_gradient;
    clm_reference_adamw same = {adamw.learning_rate, adamw.beta1,        adamw.beta2,
                                adamw.epsilon,       adamw.weight_decay, adamw.step,
                                adamw.gradient_scale};
    float *p = normal_floats(count, 1.0F);
    float *g = normal_floats(count, 1.0F);
    float *m = normal_floats(count, 0.1F);
    float *v = normal_floats(count, 0.1F);
    for (size_t i = 0; i < count; i++) {
        v[i] = fabsf(v[i]);
    }
    clm_buffer *p_buffer = clm_test_buffer(device, p, count);
    clm_buffer *g_buffer = clm_test_buffer(device, g, count);
    clm_buffer *m_buffer = clm_test_buffer(device, m, count);
    clm_buffer *v_buffer = clm_test_buffer(device, v, count);
    assert_ok(clm_adamw_step(device, p_buffer, g_buffer, m_buffer, v_buffer, count, &adamw));
    clm_reference_adamw_step(p, g, m, v, count, &same);
    check_buffer(p_buffer, p, count, parameter_tolerance, 0.0, "parameters");
    check_buffer(m_buffer, m, count, 1e-7, 0.0, "first moment"); /* sums of values up to 1 */
    check_buffer(v_buffer, v, count, 0.0, moment_rtol, "second moment");
    float *g_after = read_floats(g_buffer, count);
    for (size_t i = 0; i < count; i++) {
        assert_true(g_after[i] == (zero_gradient ? 0.0F : g[i]));
    }
    clm_test_buffer_check(g_buffer, count);
    free(g_after);
    free(p);
    free(g);
    free(m);
    free(v);
}

static void agrees_with_the_reference_on(clm_device *device) {
    for (size_t i = 0; i < awkward_count_count(device); i++) {
        one(device, awkward_counts[i], i % 2 == 0);
        one(device, awkward_counts[i], i % 2 != 0);
    }
}

static void agrees_with_the_reference(void **state) {
    (void)state;
    each_variant(agrees_with_the_reference_on);
}

static void a_nan_gradient_is_seen_on(clm_device *device) {
    enum { count = 3 };
    const float start[count] = {1.0F, 1.0F, 1.0F};
    const float zeros[count] = {0.0F, 0.0F, 0.0F};
    const float gradient[count] = {NAN, INFINITY, 0.0F};
    clm_adamw adamw = settings_of(&golden[2], 1);
    clm_buffer *p = clm_test_buffer(device, start, count);
    clm_buffer *g = clm_test_buffer(device, gradient, count);
    clm_buffer *m = clm_test_buffer(device, zeros, count);
    clm_buffer *v = clm_test_buffer(device, zeros, count);
    float after[count];
    assert_ok(clm_adamw_step(device, p, g, m, v, count, &adamw));
    clm_test_buffer_read(p, after, count);
    assert_true(isnan(after[0]));
    assert_true(isnan(after[1]));
    assert_true(after[2] == 1.0F);
    clm_test_buffer_check(p, count);
    clm_test_buffer_check(g, count);
    clm_test_buffer_check(m, count);
    clm_test_buffer_check(v, count);
}

static void a_nan_gradient_is_seen(void **state) {
    (void)state;
    each_variant(a_nan_gradient_is_seen_on);
}

static void wrong_settings_are_refused_on(clm_device *device) {
    clm_buffer *x = NULL;
    clm_buffer *small = NULL;
    assert_ok(clm_buffer_create(&x, device, 10 * sizeof(float), "x"));
    assert_ok(clm_buffer_create(&small, device, 9 * sizeof(float), "small"));
    clm_adamw adamw = settings_of(&golden[0], 1);
    assert_status(CLM_ERROR_SHAPE, clm_adamw_step(device, small, x, x, x, 10, &adamw));
    assert_status(CLM_ERROR_SHAPE, clm_adamw_step(device, x, small, x, x, 10, &adamw));
    assert_status(CLM_ERROR_SHAPE, clm_adamw_step(device, x, x, small, x, 10, &adamw));
    assert_status(CLM_ERROR_SHAPE, clm_adamw_step(device, x, x, x, small, 10, &adamw));
    adamw.step = 0;
    assert_status(CLM_ERROR_ARGUMENT, clm_adamw_step(device, x, x, x, x, 10, &adamw));
    adamw = settings_of(&golden[0], 1);
    adamw.beta2 = 1.0;
    assert_status(CLM_ERROR_ARGUMENT, clm_adamw_step(device, x, x, x, x, 10, &adamw));
    adamw = settings_of(&golden[0], 1);
    adamw.learning_rate = NAN;
    assert_status(CLM_ERROR_ARGUMENT, clm_adamw_step(device, x, x, x, x, 10, &adamw));
    clm_buffer_release(x);
    clm_buffer_release(small);
}

static void wrong_settings_are_refused(void **state) {
    (void)state;
    clm_test_each_device(wrong_settings_are_refused_on);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follows_pytorch),
        cmocka_unit_test(the_tolerance_tells_adamw_from_adam),
        cmocka_unit_test(agrees_with_the_reference),
        cmocka_unit_test(a_nan_gradient_is_seen),
        cmocka_unit_test(wrong_settings_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, clm_test_close_devices);
}
