/* SPDX-License-Identifier: Apache-2.0 */
#include "op_test.h"
#include "reference/rope.h"

typedef struct rope_case {
    int B, T, H, D, gap;
    float theta;
    int first; /* of the first sequence; others begin later; -1: none is given */
} rope_case;

/* Pairs around vectors of 4, 8 and 16, and positions as far as models read. */
static const rope_case cases[] = {
    {1, 1, 1, 2, 0, 10000.0F, -1},  {2, 3, 2, 6, 1, 10000.0F, 0},
    {3, 5, 3, 34, 0, 500000.0F, 7}, {2, 9, 2, 64, 5, 10000.0F, 100},
    {1, 3, 1, 128, 0, 1.5F, 2000},  {2, 2, 4, 62, 0, 1000000.0F, 32000},
};

/* cl/rope.cl: the angle is off by a few 1e-7 of itself, and cosines by a few units of the last
 * place; elements have the size of 4. */
static double tolerance(const rope_case *c) {
    const double last = (c->first > 0 ? c->first : 0) + 11.0 * c->B + c->T;
    return 4.0 * (4e-7 * last + 1e-6);
}

static void compare_case(clm_device *device, const rope_case *c, bool back) {
    const size_t width = (size_t)c->H * (size_t)c->D;
    const size_t rows = (size_t)c->B * (size_t)c->T;
    const size_t stride = width + (size_t)c->gap;
    const size_t count = rows * width;
    int32_t first[4] = {0};
    float *x = normal_floats((size_t)c->gap + rows * stride, 1.0F);
    float *expected = normal_floats(count, 1.0F);
    double *dense = widened(expected, count);
    double *exact = widened(expected, count);
    for (size_t i = 0; i < count; i++) {
        dense[i] = (double)x[(size_t)c->gap + i / width * stride + i % width];
    }
    for (int b = 0; b < c->B; b++) {
        first[b] = c->first + 11 * b;
    }
    const int32_t *places = c->first >= 0 ? first : NULL;
    clm_reference_rope(exact, dense, places, c->B, c->T, c->H, c->D, (double)c->theta, back);
    narrow_into(expected, exact, count);
    const clm_view view = {clm_test_buffer(device, x, (size_t)c->gap + rows * stride),
                           (size_t)c->gap, c->gap > 0 ? (int)stride : 0};
    clm_buffer *starts = places != NULL ? clm_test_buffer(device, places, (size_t)c->B) : NULL;
    clm_buffer *out = clm_test_buffer(device, NULL, count);
    assert_ok(clm_rope_forward(device, out, view, starts, c->B, c->T, c->H, c->D, c->theta, back));
    check_values(out, expected, count, tolerance(c), 0.0, "rope");
    clm_test_buffer_check(view.buffer, (size_t)c->gap + rows * stride);
    /* In place, and back again: what was there. */
    const clm_view again = {.buffer = out};
    assert_ok(
        clm_rope_forward(device, out, again, starts, c->B, c->T, c->H, c->D, c->theta, !back));
    narrow_into(expected, dense, count);
    check_buffer(out, expected, count, 5e-6, 0.0, "rope and back");
    if (starts != NULL) {
        clm_test_buffer_check(starts, (size_t)c->B);
    }
    free(x);
    free(expected);
}

static void agrees_with_the_reference_on(clm_device *device) {
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        compare_case(device, &cases[i], false);
        compare_case(device, &cases[i], true);
    }
}

static void agrees_with_the_reference(void **state) {
    (void)state;
    each_variant(agrees_with_the_reference_on);
}

/* A rotation's gradient is the rotation back: by differences, in the reference. */
static void the_gradient_is_the_rotation_back(void **state) {
    (void)state;
    enum { T = 3, H = 2, D = 4, COUNT = T * H * D };
    const int32_t first = 5;
    double x[COUNT], dout[COUNT], dx[COUNT], ends[2][COUNT];
    for (int i = 0; i < COUNT; i++) {
        x[i] = (double)clm_test_normal();
        dout[i] = (double)clm_test_normal();
    }
    clm_reference_rope(dx, dout, &first, 1, T, H, D, 100.0, true);
    for (int i = 0; i < COUNT; i++) {
        const double kept = x[i];
        double slope = 0.0;
        for (int side = 0; side < 2; side++) {
            x[i] = kept + (side == 0 ? -0.5 : 0.5); /* it is linear */
            clm_reference_rope(ends[side], x, &first, 1, T, H, D, 100.0, false);
        }
        for (int k = 0; k < COUNT; k++) {
            slope += dout[k] * (ends[1][k] - ends[0][k]);
        }
        x[i] = kept;
        assert_close(slope, dx[i], 1e-12, 1e-12);
    }
}

static void wrong_arguments_on(clm_device *device) {
    clm_buffer *x = clm_test_buffer(device, NULL, 64);
    const clm_view view = {.buffer = x};
    assert_status(CLM_ERROR_SHAPE,
                  clm_rope_forward(device, x, view, NULL, 1, 2, 2, 3, 10000.0F, false));
    assert_message_has("needs an even D");
    assert_status(CLM_ERROR_SHAPE,
                  clm_rope_forward(device, x, view, NULL, 1, 9999, 2, 4, 10000.0F, false));
    assert_status(CLM_ERROR_ARGUMENT,
                  clm_rope_forward(device, x, view, NULL, 1, 2, 2, 4, NAN, false));
    assert_message_has("theta");
    const clm_view narrow = {x, 0, 7};
    assert_status(CLM_ERROR_SHAPE,
                  clm_rope_forward(device, x, narrow, NULL, 1, 2, 2, 4, 10000.0F, false));
    clm_test_buffer_check(x, 64);
}

static void wrong_arguments_are_refused(void **state) {
    (void)state;
    each_variant(wrong_arguments_on);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_reference),
        cmocka_unit_test(the_gradient_is_the_rotation_back),
        cmocka_unit_test(wrong_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, clm_test_close_devices);
}
