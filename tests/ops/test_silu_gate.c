/* SPDX-License-Identifier: Apache-2.0 */
#include "op_test.h"
#include "reference/silu_gate.h"

/* cl/silu_gate.cl: a few units of 1e-7 of what is multiplied; where exp(-|x|) underflows the
 * reference is below 1e-37. */
static const double relative = 1e-6;
static const double tolerance = 1e-6;

typedef struct gate_case {
    size_t count;
    float *gate, *up, *dout, *out, *dgate, *dup;
} gate_case;

/* Gates from -12 to 12, and some whose exp is nothing or everything. */
static gate_case make_case(size_t count) {
    static const float far[] = {0.0F, -0.0F, 1e-30F, 20.0F, -20.0F, 90.0F, -90.0F, 1e4F, -1e4F};
    gate_case c = {.count = count,
                   .gate = normal_floats(count, 1.0F),
                   .up = normal_floats(count, 1.0F),
                   .dout = normal_floats(count, 1.0F)};
    for (size_t i = 0; i < count; i++) {
        c.gate[i] = clm_test_uniform(-12.0F, 12.0F);
    }
    for (size_t i = 0; i < sizeof far / sizeof *far && i + 4 < count; i++) {
        c.gate[i + 4] = far[i];
    }
    double *gate = widened(c.gate, count);
    double *up = widened(c.up, count);
    double *dout = widened(c.dout, count);
    double *results[3] = {widened(c.up, count), widened(c.up, count), widened(c.up, count)};
    clm_reference_silu_gate_forward(results[0], gate, up, count);
    clm_reference_silu_gate_backward(results[1], results[2], dout, gate, up, count);
    float **floats[3] = {&c.out, &c.dgate, &c.dup};
    for (int i = 0; i < 3; i++) {
        *floats[i] = normal_floats(count, 1.0F);
        narrow_into(*floats[i], results[i], count);
    }
    free(gate);
    free(up);
    free(dout);
    return c;
}

static void free_case(gate_case *c) {
    float *all[] = {c->gate, c->up, c->dout, c->out, c->dgate, c->dup};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        free(all[i]);
    }
}

static void compare_case(clm_device *device, const gate_case *c, bool in_place) {
    const size_t count = c->count;
    clm_buffer *gate = clm_test_buffer(device, c->gate, count);
    clm_buffer *up = clm_test_buffer(device, c->up, count);
    clm_buffer *dout = clm_test_buffer(device, c->dout, count);
    clm_buffer *out = clm_test_buffer(device, NULL, count);
    clm_buffer *dgate = in_place ? dout : clm_test_buffer(device, NULL, count);
    clm_buffer *dup = clm_test_buffer(device, NULL, count);
    clm_buffer *alone = clm_test_buffer(device, NULL, count);
    assert_ok(clm_silu_gate_forward(device, out, gate, up, count));
    check_buffer(out, c->out, count, tolerance, relative, "silu(gate) up");
    assert_ok(clm_silu_gate_backward(device, NULL, alone, dout, gate, up, count));
    check_buffer(alone, c->dup, count, tolerance, relative, "dup alone");
    assert_ok(clm_silu_gate_backward(device, dgate, dup, dout, gate, up, count));
    check_values(dgate, c->dgate, count, tolerance, relative, "dgate");
    check_buffer(dup, c->dup, count, tolerance, relative, "dup");
    clm_buffer *const result = in_place ? gate : up;
    assert_ok(clm_silu_gate_forward(device, result, gate, up, count));
    check_values(result, c->out, count, tolerance, relative, "silu(gate) up in place");
    clm_test_buffer_check(gate, count);
    clm_test_buffer_check(up, count);
    clm_test_buffer_check(dout, count);
    if (!in_place) {
        clm_test_buffer_check(dgate, count);
    }
}

static void agrees_with_the_reference_on(clm_device *device) {
    for (size_t i = 0; i < awkward_count_count(device); i++) {
        gate_case c = make_case(awkward_counts[i]);
        compare_case(device, &c, false);
        compare_case(device, &c, true);
        free_case(&c);
    }
}

static void agrees_with_the_reference(void **state) {
    (void)state;
    each_variant(agrees_with_the_reference_on);
}

static void reference_gradients_are_finite_differences(void **state) {
    (void)state;
    const double h = 1e-5;
    for (int n = 0; n < 100; n++) {
        const double gate = (double)clm_test_uniform(-8.0F, 8.0F);
        const double up = (double)clm_test_normal();
        const double one = 1.0;
        double dgate = 0.0, dup = 0.0, ends[4];
        const double gates[] = {gate - h, gate + h, gate, gate};
        const double ups[] = {up, up, up - h, up + h};
        clm_reference_silu_gate_forward(ends, gates, ups, 4);
        clm_reference_silu_gate_backward(&dgate, &dup, &one, &gate, &up, 1);
        assert_close((ends[1] - ends[0]) / (2.0 * h), dgate, 1e-8, 1e-8);
        assert_close((ends[3] - ends[2]) / (2.0 * h), dup, 1e-8, 1e-8);
    }
}

static void wrong_sizes_on(clm_device *device) {
    clm_buffer *small = NULL;
    assert_ok(clm_buffer_create(&small, device, 4 * sizeof(float), "small"));
    assert_status(CLM_ERROR_SHAPE, clm_silu_gate_forward(device, small, small, small, 0));
    assert_status(CLM_ERROR_SHAPE, clm_silu_gate_forward(device, small, small, NULL, 4));
    assert_message_has("silu_gate: no buffer for up");
    assert_status(CLM_ERROR_SHAPE,
                  clm_silu_gate_backward(device, small, NULL, small, small, small, 1000));
    clm_buffer_release(small);
}

static void wrong_sizes_are_refused(void **state) {
    (void)state;
    each_variant(wrong_sizes_on);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_reference),
        cmocka_unit_test(reference_gradients_are_finite_differences),
        cmocka_unit_test(wrong_sizes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, clm_test_close_devices);
}
