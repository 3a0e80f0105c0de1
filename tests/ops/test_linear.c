/* Linear layers against the reference, and their gradients against differences, on every device.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/string.h"
#include "op_test.h"
#include "ops/gemm.h"
#include "reference/gelu.h"
#include "reference/linear.h"
#include "support/test_scratch.h"

typedef struct layer {
    int rows, K, N;
} layer;

static const layer layers[] = {{1, 1, 1}, {8, 16, 2}, {5, 7, 51}, {33, 48, 96}, {130, 65, 49}};
enum { LAYER_COUNT = 5, LARGEST = 130 * 65 + 64 };

/* Sums of at most 130 products of normal numbers: rounding in any order stays below
 * 146 * 2^-24 * sum |x||w|, and that sum below 400 here; a forgotten term is about 1. */
static const double sum_tolerance = 146 * 0x1p-24 * 400;

static float x[LARGEST], weight[LARGEST], dout[LARGEST], bias[LARGEST];
static float expected[LARGEST], expected_dweight[LARGEST], expected_dbias[LARGEST], got[LARGEST];

static size_t size_of(int rows, int columns) {
    return (size_t)rows * (size_t)columns;
}

static void fill(void) {
    clm_test_fill_normal(x, LARGEST, 1.0f);
    clm_test_fill_normal(weight, LARGEST, 1.0f);
    clm_test_fill_normal(dout, LARGEST, 1.0f);
    clm_test_fill_normal(bias, LARGEST, 1.0f);
}

/* On exactly the scratch that each asks for. */
static clm_status forward(clm_device *device, clm_buffer *out, const clm_buffer *x_buffer,
                          const clm_buffer *w_buffer, const clm_gemm_packed *packed,
                          const clm_buffer *b_buffer, const clm_linear_tail *tail, layer l) {
    clm_test_scratch scratch = clm_test_scratch_begin(
        device, clm_linear_forward_scratch_bytes(device, packed, l.rows, l.K, l.N));
    const clm_status status = clm_linear_forward(device, out, x_buffer, w_buffer, packed, b_buffer,
                                                 tail, l.rows, l.K, l.N, scratch.buffer);
    clm_test_scratch_end(&scratch);
    return status;
}

static clm_status backward(clm_device *device, clm_buffer *dx, clm_buffer *dweight,
                           clm_buffer *dbias, const clm_buffer *dout_buffer,
                           const clm_buffer *x_buffer, const clm_buffer *w_buffer,
                           const clm_gemm_packed *packed, layer l) {
    const unsigned wanted = (dx != NULL ? CLM_LINEAR_DX : 0U) |
                            (dweight != NULL ? CLM_LINEAR_DWEIGHT : 0U) |
                            (dbias != NULL ? CLM_LINEAR_DBIAS : 0U);
    clm_test_scratch scratch = clm_test_scratch_begin(
        device, clm_linear_backward_scratch_bytes(device, packed, l.rows, l.K, l.N, wanted));
    const clm_status status =
        clm_linear_backward(device, dx, dweight, dbias, dout_buffer, x_buffer, w_buffer, packed,
                            l.rows, l.K, l.N, scratch.buffer);
    clm_test_scratch_end(&scratch);
    return status;
}

static void check_forward(clm_device *device, layer l, bool is_packed, bool has_tail) {
    const size_t out_count = size_of(l.rows, l.N);
    clm_buffer *x_buffer = clm_test_buffer(device, x, size_of(l.rows, l.K));
    clm_buffer *w_buffer = clm_test_buffer(device, weight, size_of(l.K, l.N));
    clm_buffer *b_buffer = clm_test_buffer(device, bias, (size_t)l.N);
    clm_buffer *out = clm_test_buffer(device, NULL, out_count);
    clm_buffer *pre = clm_test_buffer(device, NULL, out_count);
    clm_gemm_packed *packed = NULL;
    if (is_packed) {
        assert_ok(clm_gemm_pack(&packed, device, w_buffer, 0, 0, false, l.K, l.N, CLM_GEMM_F32));
    }
    const clm_linear_tail tail = {.pre = pre, .gelu = true};
    assert_ok(forward(device, out, x_buffer, is_packed ? NULL : w_buffer, packed,
                      has_tail ? b_buffer : NULL, has_tail ? &tail : NULL, l));
    double *x_wide = widened(x, size_of(l.rows, l.K));
    double *weight_wide = widened(weight, size_of(l.K, l.N));
    double *bias_wide = widened(bias, (size_t)l.N);
    double *exact = widened(expected, out_count);
    clm_reference_linear_forward(exact, x_wide, weight_wide, has_tail ? bias_wide : NULL, false,
                                 l.rows, l.K, l.N);
    if (has_tail) {
        for (size_t i = 0; i < out_count; i++) {
            expected[i] = (float)exact[i];
        }
        clm_test_buffer_read(pre, got, out_count);
        assert_all_close(got, expected, out_count, sum_tolerance, 0, "pre");
        clm_reference_gelu_forward(exact, exact, out_count);
    }
    narrow_into(expected, exact, out_count);
    free(x_wide);
    free(weight_wide);
    free(bias_wide);
    clm_test_buffer_read(out, got, out_count);
    /* GELU's slope is below 1.13, and its own error below 5e-7 of the value. */
    assert_all_close(got, expected, out_count, 1.13 * sum_tolerance, 1e-6, "out");
    clm_gemm_packed_release(packed);
    clm_test_buffer_check(x_buffer, size_of(l.rows, l.K));
    clm_test_buffer_check(w_buffer, size_of(l.K, l.N));
    clm_test_buffer_check(b_buffer, (size_t)l.N);
    clm_test_buffer_check(out, out_count);
    clm_test_buffer_check(pre, out_count);
}

/* A simulator takes minutes for the last ones. */
static int layer_count(const clm_device *device) {
    bool slow = clm_contains_ignoring_case(clm_device_get_info(device)->platform, "oclgrind");
    return slow ? LAYER_COUNT - 2 : LAYER_COUNT;
}

static void forward_on(clm_device *device) {
    for (int i = 0; i < layer_count(device); i++) {
        for (int bits = 0; bits < 4; bits++) {
            fill();
            check_forward(device, layers[i], bits & 1, bits & 2);
        }
    }
}

static void test_forward(void **state) {
    (void)state;
    clm_test_each_device(forward_on);
}

static void check_backward(clm_device *device, layer l, bool is_packed) {
    const size_t x_count = size_of(l.rows, l.K);
    const size_t w_count = size_of(l.K, l.N);
    clm_buffer *x_buffer = clm_test_buffer(device, x, x_count);
    clm_buffer *w_buffer = clm_test_buffer(device, weight, w_count);
    clm_buffer *dout_buffer = clm_test_buffer(device, dout, size_of(l.rows, l.N));
    clm_buffer *dx = clm_test_buffer(device, NULL, x_count);
    /* Gradients are added to what is there. */
    clm_test_fill_normal(expected_dweight, w_count, 1.0f);
    clm_test_fill_normal(expected_dbias, (size_t)l.N, 1.0f);
    clm_buffer *dweight = clm_test_buffer(device, expected_dweight, w_count);
    clm_buffer *dbias = clm_test_buffer(device, expected_dbias, (size_t)l.N);
    clm_gemm_packed *packed = NULL;
    if (is_packed) {
        assert_ok(clm_gemm_pack(&packed, device, w_buffer, 0, 0, true, l.N, l.K, CLM_GEMM_F32));
    }
    assert_ok(backward(device, dx, dweight, dbias, dout_buffer, x_buffer,
                       is_packed ? NULL : w_buffer, packed, l));
    double *dx_wide = widened(expected, x_count);
    double *dweight_wide = widened(expected_dweight, w_count);
    double *dbias_wide = widened(expected_dbias, (size_t)l.N);
    double *dout_wide = widened(dout, size_of(l.rows, l.N));
    double *x_wide = widened(x, x_count);
    double *weight_wide = widened(weight, w_count);
    clm_reference_linear_backward(dx_wide, dweight_wide, dbias_wide, dout_wide, x_wide, weight_wide,
                                  false, l.rows, l.K, l.N);
    narrow_into(expected, dx_wide, x_count);
    narrow_into(expected_dweight, dweight_wide, w_count);
    narrow_into(expected_dbias, dbias_wide, (size_t)l.N);
    free(dout_wide);
    free(x_wide);
    free(weight_wide);
    clm_test_buffer_read(dx, got, x_count);
    assert_all_close(got, expected, x_count, sum_tolerance, 0, "dx");
    clm_test_buffer_read(dweight, got, w_count);
    assert_all_close(got, expected_dweight, w_count, sum_tolerance, 0, "dweight");
    clm_test_buffer_read(dbias, got, (size_t)l.N);
    assert_all_close(got, expected_dbias, (size_t)l.N, sum_tolerance, 0, "dbias");
    /* Nothing is wanted: nothing is done. */
    assert_ok(backward(device, NULL, NULL, NULL, dout_buffer, x_buffer, w_buffer, NULL, l));
    clm_gemm_packed_release(packed);
    clm_test_buffer_check(x_buffer, x_count);
    clm_test_buffer_check(w_buffer, w_count);
    clm_test_buffer_check(dout_buffer, size_of(l.rows, l.N));
    clm_test_buffer_check(dx, x_count);
    clm_test_buffer_check(dweight, w_count);
    clm_test_buffer_check(dbias, (size_t)l.N);
}

static void backward_on(clm_device *device) {
    for (int i = 0; i < layer_count(device); i++) {
        fill();
        check_backward(device, layers[i], false);
        check_backward(device, layers[i], true);
    }
}

static void test_backward(void **state) {
    (void)state;
    clm_test_each_device(backward_on);
}

/* ---- gradients by differences: loss = sum of dout * out, by the device's own forward pass ---- */

static double loss_of(clm_device *device, layer l, clm_buffer *const operands[3], clm_buffer *out) {
    assert_ok(forward(device, out, operands[0], operands[1], NULL, operands[2], NULL, l));
    clm_test_buffer_read(out, got, size_of(l.rows, l.N));
    double loss = 0;
    for (size_t i = 0; i < size_of(l.rows, l.N); i++) {
        loss += (double)got[i] * dout[i];
    }
    return loss;
}

static void differences_on(clm_device *device) {
    const layer l = {5, 7, 51};
    fill();
    const size_t counts[3] = {size_of(l.rows, l.K), size_of(l.K, l.N), (size_t)l.N};
    float *const values[3] = {x, weight, bias};
    clm_buffer *operands[3];
    clm_buffer *gradients[3];
    for (int i = 0; i < 3; i++) {
        operands[i] = clm_test_buffer(device, values[i], counts[i]);
        gradients[i] = clm_test_buffer(device, NULL, counts[i]);
        assert_ok(clm_buffer_zero(gradients[i], 0, counts[i] * sizeof(float)));
    }
    clm_buffer *dout_buffer = clm_test_buffer(device, dout, size_of(l.rows, l.N));
    clm_buffer *out = clm_test_buffer(device, NULL, size_of(l.rows, l.N));
    assert_ok(backward(device, gradients[0], gradients[1], gradients[2], dout_buffer, operands[0],
                       operands[1], NULL, l));
    for (int i = 0; i < 3; i++) {
        static float gradient[LARGEST];
        clm_test_buffer_read(gradients[i], gradient, counts[i]);
        for (int probe = 0; probe < 6; probe++) {
            /* The loss is linear in each number, so a step of 1 only makes rounding small: 255
             * outputs of size 10 with errors of 1e-6 each, so at most 3e-4 in either loss. */
            const size_t at = clm_test_random() % counts[i];
            const float kept = values[i][at];
            double losses[2];
            for (int side = 0; side < 2; side++) {
                const float moved = side == 0 ? kept + 1.0f : kept - 1.0f;
                assert_ok(clm_buffer_write(operands[i], at * sizeof(float), &moved, sizeof moved));
                losses[side] = loss_of(device, l, operands, out);
            }
            assert_ok(clm_buffer_write(operands[i], at * sizeof(float), &kept, sizeof kept));
            assert_close(gradient[at], (losses[0] - losses[1]) / 2, 3e-4, 0);
        }
    }
    for (int i = 0; i < 3; i++) {
        clm_test_buffer_check(operands[i], counts[i]);
        clm_test_buffer_check(gradients[i], counts[i]);
    }
    clm_test_buffer_check(dout_buffer, size_of(l.rows, l.N));
    clm_test_buffer_check(out, size_of(l.rows, l.N));
}

static void test_differences(void **state) {
    (void)state;
    clm_test_each_device(differences_on);
}

static void refusals_on(clm_device *device) {
    clm_buffer *buffer = clm_test_buffer(device, NULL, 12);
    assert_status(CLM_ERROR_SHAPE, clm_linear_forward(device, buffer, buffer, buffer, NULL, NULL,
                                                      NULL, 0, 3, 4, NULL));
    assert_message_has("linear");
    clm_buffer *small = NULL;
    assert_ok(clm_buffer_create(&small, device, 4, "one number"));
    assert_status(CLM_ERROR_SHAPE, clm_linear_backward(device, NULL, NULL, small, buffer, buffer,
                                                       buffer, NULL, 3, 4, 4, NULL));
    assert_status(CLM_ERROR_SHAPE, clm_linear_backward(device, NULL, NULL, buffer, small, buffer,
                                                       buffer, NULL, 3, 4, 4, NULL));
    clm_buffer_release(small);
    clm_test_buffer_check(buffer, 12);
}

static void test_refusals(void **state) {
    (void)state;
    clm_test_each_device(refusals_on);
}

int main(void) {
    /* What is tested does not depend on the backend, and building CLBlast takes long. */
    if (setenv("CLM_GEMM", "own", 1) != 0) {
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_forward),
        cmocka_unit_test(test_backward),
        cmocka_unit_test(test_differences),
    };
    return cmocka_run_group_tests(tests, NULL, clm_test_close_devices);
}
