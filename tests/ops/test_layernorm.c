/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "op_test.h"
#include "reference/layernorm.h"
#include "support/test_scratch.h"

static const double epsilon = 1e-5;

/* xhat is at most sqrt(C) and mostly below 4; it and what is made of it carry a few roundings of
 * 6e-8 each. dweight and dbias add up to `rows` such numbers of both signs. */
static const double atol_rows = 2e-6, rtol_rows = 2e-6;

typedef struct norm_case {
    int rows, C;
    size_t count, columns, lines;
    float *x, *weight, *bias, *dout, *dresidual, *dweight,
        *dbias; /* the last two: what was there */
} norm_case;

/* What the reference says. */
typedef struct norm_exact {
    float *out, *mean, *rstd, *dx, *dweight, *dbias;
} norm_exact;

static norm_case make_case(int rows, int C, float scale, float offset) {
    norm_case c = {.rows = rows, .C = C};
    c.columns = (size_t)C;
    c.lines = (size_t)rows;
    c.count = c.lines * c.columns;
    c.x = normal_floats(c.count, scale);
    for (size_t i = 0; i < c.count; i++) {
        c.x[i] += offset;
    }
    c.weight = normal_floats(c.columns, 1.0F);
    c.bias = normal_floats(c.columns, 1.0F);
    c.dout = normal_floats(c.count, 1.0F);
    c.dresidual = normal_floats(c.count, 1.0F);
    c.dweight = normal_floats(c.columns, 1.0F);
    c.dbias = normal_floats(c.columns, 1.0F);
    return c;
}

static void free_case(norm_case *c) {
    free(c->x);
    free(c->weight);
    free(c->bias);
    free(c->dout);
    free(c->dresidual);
    free(c->dweight);
    free(c->dbias);
}

static double *widen(const float *values, size_t count) {
    double *wide = malloc((count + 1) * sizeof *wide);
    assert_non_null(wide);
    for (size_t i = 0; i < count; i++) {
        wide[i] = (double)values[i];
    }
    return wide;
}

static float *narrow(double *values, size_t count) {
    float *floats = malloc((count + 1) * sizeof *floats);
    assert_non_null(floats);
    for (size_t i = 0; i < count; i++) {
        floats[i] = (float)values[i];
    }
    free(values);
    return floats;
}

static norm_exact run_reference(const norm_case *c, bool has_residual) {
    double *x = widen(c->x, c->count), *weight = widen(c->weight, c->columns);
    double *bias = widen(c->bias, c->columns), *dout = widen(c->dout, c->count);
    double *dresidual = widen(c->dresidual, c->count);
    double *out = widen(c->x, c->count), *mean = widen(c->x, c->lines);
    double *rstd = widen(c->x, c->lines), *dx = widen(c->x, c->count);
    double *dweight = widen(c->dweight, c->columns), *dbias = widen(c->dbias, c->columns);
    clm_reference_layernorm_forward(out, mean, rstd, x, weight, bias, c->rows, c->C, epsilon);
    clm_reference_layernorm_backward(dx, dweight, dbias, dout, x, weight, mean, rstd,
                                     has_residual ? dresidual : NULL, c->rows, c->C);
    free(x);
    free(weight);
    free(bias);
    free(dout);
    free(dresidual);
    return (norm_exact){narrow(out, c->count),       narrow(mean, c->lines),
                        narrow(rstd, c->lines),      narrow(dx, c->count),
                        narrow(dweight, c->columns), narrow(dbias, c->columns)};
}

static void free_exact(norm_exact *exact) {
    free(exact->out);
    free(exact->mean);
    free(exact->rstd);
    free(exact->dx);
    free(exact->dweight);
    free(exact->dbias);
}

/* With exactly the scratch it asks for. */
static clm_status backward(clm_device *device, clm_buffer *dx, clm_buffer *dweight,
                           clm_buffer *dbias, const clm_buffer *dout, const clm_buffer *x,
                           const clm_buffer *weight, const clm_buffer *mean, const clm_buffer *rstd,
                           const clm_buffer *dresidual, int rows, int C) {
    const size_t bytes = dweight != NULL || dbias != NULL
                             ? clm_layernorm_backward_scratch_bytes(device, rows, C)
                             : 0;
    clm_test_scratch scratch = clm_test_scratch_begin(device, bytes);
    const clm_status status =
        clm_layernorm_backward(device, dx, dweight, dbias, dout, x, weight, mean, rstd, dresidual,
                               rows, C, scratch.buffer);
    clm_test_scratch_end(&scratch);
    return status;
}

/* Forward and backward on the device against the reference; with a residual gradient, dx is its
 * buffer. */
static void compare_case(clm_device *device, const norm_case *c, bool has_residual,
                         double xhat_error) {
    norm_exact exact = run_reference(c, has_residual);
    clm_buffer *x = clm_test_buffer(device, c->x, c->count);
    clm_buffer *weight = clm_test_buffer(device, c->weight, c->columns);
    clm_buffer *bias = clm_test_buffer(device, c->bias, c->columns);
    clm_buffer *out = clm_test_buffer(device, NULL, c->count);
    clm_buffer *mean = clm_test_buffer(device, NULL, c->lines);
    clm_buffer *rstd = clm_test_buffer(device, NULL, c->lines);
    clm_buffer *dout = clm_test_buffer(device, c->dout, c->count);
    clm_buffer *dx = clm_test_buffer(device, has_residual ? c->dresidual : NULL, c->count);
    clm_buffer *dweight = clm_test_buffer(device, c->dweight, c->columns);
    clm_buffer *dbias = clm_test_buffer(device, c->dbias, c->columns);
    assert_ok(clm_layernorm_forward(device, out, mean, rstd, x, weight, bias, c->rows, c->C,
                                    (float)epsilon));
    assert_ok(backward(device, dx, dweight, dbias, dout, x, weight, mean, rstd,
                       has_residual ? dx : NULL, c->rows, c->C));
    const double rstd_size = (double)exact.rstd[0] > 1.0 ? (double)exact.rstd[0] : 1.0;
    const double sum_size = sqrt((double)c->rows);
    /* Gradients are sums and products of xhat and numbers of up to 4. */
    const double atol = atol_rows + 4.0 * xhat_error;
    check_buffer(out, exact.out, c->count, atol_rows, rtol_rows, "out");
    check_buffer(mean, exact.mean, c->lines, 1e-7, 1e-6, "mean");
    check_buffer(rstd, exact.rstd, c->lines, 0.0, 4e-6, "rstd");
    check_buffer(dx, exact.dx, c->count, 2.0 * atol * rstd_size, rtol_rows, "dx");
    check_buffer(dweight, exact.dweight, c->columns, 2.0 * atol * sum_size, rtol_rows, "dweight");
    check_buffer(dbias, exact.dbias, c->columns, atol * sum_size, rtol_rows, "dbias");
    clm_test_buffer_check(x, c->count);
    clm_test_buffer_check(weight, c->columns);
    clm_test_buffer_check(bias, c->columns);
    clm_test_buffer_check(dout, c->count);
    free_exact(&exact);
}

static void matches_the_reference_on(clm_device *device) {
    static const int sizes[][2] = {{1, 2},   {3, 5},    {1, 16},    {2, 15},   {5, 17}, {17, 33},
                                   {15, 64}, {16, 768}, {33, 1600}, {4, 1025}, {8, 3},  {40, 100}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        if (!is_slow(device) || sizes[i][0] * sizes[i][1] < 1000) {
            norm_case c = make_case(sizes[i][0], sizes[i][1], 1.0F, 0.0F);
            /* Rows of few columns can have any rstd; dx is compared against that of the first. */
            for (size_t j = 0; c.C < 16 && j < c.count; j++) {
                c.x[j] = (float)(j % c.columns) + 0.1F * c.x[j];
            }
            compare_case(device, &c, i % 2 == 0, 0.0);
            free_case(&c);
        }
    }
}

static void layernorm_matches_the_reference(void **state) {
    (void)state;
    each_variant(matches_the_reference_on);
}

/* Numbers around 1e4 with a spread of 1: the variance that E[x^2] - E[x]^2 gives is wrong by
 * several units there. x itself is exact, so out is right to the usual roundings; the kept mean is
 * a float, off by up to 4.9e-4, and so is xhat in the backward pass. */
static void large_mean_on(clm_device *device) {
    norm_case c = make_case(3, is_slow(device) ? 100 : 768, 1.0F, 1e4F);
    compare_case(device, &c, false, 5e-4);
    free_case(&c);
}

static void a_large_mean_costs_no_accuracy(void **state) {
    (void)state;
    each_variant(large_mean_on);
}

/* A row without variance is its bias, and a NaN or infinity spoils its own row only. */
static void odd_rows_on(clm_device *device) {
    enum { ROWS = 4, C = 37 };
    norm_case c = make_case(ROWS, C, 1.0F, 0.0F);
    for (int i = 0; i < C; i++) {
        c.x[C + i] = 3.0F;
    }
    c.x[2 * C + 5] = NAN;
    c.x[3 * C + 36] = INFINITY;
    clm_buffer *x = clm_test_buffer(device, c.x, c.count);
    clm_buffer *weight = clm_test_buffer(device, c.weight, c.columns);
    clm_buffer *bias = clm_test_buffer(device, c.bias, c.columns);
    clm_buffer *out = clm_test_buffer(device, NULL, c.count);
    assert_ok(
        clm_layernorm_forward(device, out, NULL, NULL, x, weight, bias, ROWS, C, (float)epsilon));
    float *values = read_floats(out, c.count);
    for (int i = 0; i < C; i++) {
        assert_true(isfinite(values[i]));
        assert_close((double)values[C + i], (double)c.bias[i], 1e-6, 0.0);
        assert_true(isnan(values[2 * C + i]));
        assert_true(isnan(values[3 * C + i]));
    }
    free(values);
    clm_test_buffer_check(x, c.count);
    clm_test_buffer_check(weight, c.columns);
    clm_test_buffer_check(bias, c.columns);
    clm_test_buffer_check(out, c.count);
    free_case(&c);
}

static void odd_rows_stay_apart(void **state) {
    (void)state;
    each_variant(odd_rows_on);
}

/* dx without gradients of weight and bias is the dx with them, bit for bit, and the reverse. */
static void parts_on(clm_device *device) {
    norm_case c = make_case(21, 50, 1.0F, 0.0F);
    clm_buffer *x = clm_test_buffer(device, c.x, c.count);
    clm_buffer *weight = clm_test_buffer(device, c.weight, c.columns);
    clm_buffer *out = clm_test_buffer(device, NULL, c.count);
    clm_buffer *mean = clm_test_buffer(device, NULL, c.lines);
    clm_buffer *rstd = clm_test_buffer(device, NULL, c.lines);
    clm_buffer *dout = clm_test_buffer(device, c.dout, c.count);
    assert_ok(clm_layernorm_forward(device, out, mean, rstd, x, weight, weight, c.rows, c.C,
                                    (float)epsilon));
    float *dx_kept[2], *dweight_kept[2], *dbias_kept[2];
    for (int i = 0; i < 2; i++) {
        clm_buffer *dx = clm_test_buffer(device, NULL, c.count);
        clm_buffer *dweight = clm_test_buffer(device, c.dweight, c.columns);
        clm_buffer *dbias = clm_test_buffer(device, c.dbias, c.columns);
        if (i == 0) {
            assert_ok(backward(device, dx, dweight, dbias, dout, x, weight, mean, rstd, NULL,
                               c.rows, c.C));
        } else {
            assert_ok(
                backward(device, dx, NULL, NULL, dout, x, weight, mean, rstd, NULL, c.rows, c.C));
            assert_ok(backward(device, NULL, dweight, NULL, dout, x, weight, mean, rstd, NULL,
                               c.rows, c.C));
            assert_ok(backward(device, NULL, NULL, dbias, dout, x, weight, mean, rstd, NULL, c.rows,
                               c.C));
        }
        dx_kept[i] = read_floats(dx, c.count);
        dweight_kept[i] = read_floats(dweight, c.columns);
        dbias_kept[i] = read_floats(dbias, c.columns);
        clm_test_buffer_check(dx, c.count);
        clm_test_buffer_check(dweight, c.columns);
        clm_test_buffer_check(dbias, c.columns);
    }
    assert_memory_equal(dx_kept[0], dx_kept[1], c.count * sizeof(float));
    assert_memory_equal(dweight_kept[0], dweight_kept[1], c.columns * sizeof(float));
    assert_memory_equal(dbias_kept[0], dbias_kept[1], c.columns * sizeof(float));
    for (int i = 0; i < 2; i++) {
        free(dx_kept[i]);
        free(dweight_kept[i]);
        free(dbias_kept[i]);
    }
    clm_test_buffer_check(x, c.count);
    clm_test_buffer_check(weight, c.columns);
    clm_test_buffer_check(out, c.count);
    clm_test_buffer_check(mean, c.lines);
    clm_test_buffer_check(rstd, c.lines);
    clm_test_buffer_check(dout, c.count);
    free_case(&c);
}

static void gradients_wanted_apart_are_the_same_bits(void **state) {
    (void)state;
    each_variant(parts_on);
}

/* sum of dout * out + sum of dresidual * x: the gradient of it is what the backward pass gives. */
static double objective(const double *x, const double *weight, const double *bias,
                        const double *dout, const double *dresidual, int rows, int C) {
    double out[64], mean[8], rstd[8], sum = 0.0;
    clm_reference_layernorm_forward(out, mean, rstd, x, weight, bias, rows, C, epsilon);
    for (int i = 0; i < rows * C; i++) {
        sum += dout[i] * out[i] + dresidual[i] * x[i];
    }
    return sum;
}

static void reference_gradients_are_finite_differences(void **state) {
    (void)state;
    enum { ROWS = 3, C = 7 };
    norm_case c = make_case(ROWS, C, 1.0F, 0.0F);
    double *x = widen(c.x, c.count), *weight = widen(c.weight, C), *bias = widen(c.bias, C);
    double *dout = widen(c.dout, c.count), *dresidual = widen(c.dresidual, c.count);
    double out[ROWS * C], mean[ROWS], rstd[ROWS], dx[ROWS * C], dweight[C] = {0}, dbias[C] = {0};
    clm_reference_layernorm_forward(out, mean, rstd, x, weight, bias, ROWS, C, epsilon);
    clm_reference_layernorm_backward(dx, dweight, dbias, dout, x, weight, mean, rstd, dresidual,
                                     ROWS, C);
    double *const inputs[] = {x, weight, bias};
    const double *const gradients[] = {dx, dweight, dbias};
    const int counts[] = {ROWS * C, C, C};
    const double step = 1e-5;
    for (int part = 0; part < 3; part++) {
        for (int i = 0; i < counts[part]; i++) {
            const double value = inputs[part][i];
            inputs[part][i] = value + step;
            const double above = objective(x, weight, bias, dout, dresidual, ROWS, C);
            inputs[part][i] = value - step;
            const double below = objective(x, weight, bias, dout, dresidual, ROWS, C);
            inputs[part][i] = value;
            /* A central difference errs by step^2 times the third derivative, which grows as
             * rstd^3, and by 1e-16 / step. */
            assert_close((above - below) / (2.0 * step), gradients[part][i], 1e-7, 1e-7);
        }
    }
    free(x);
    free(weight);
    free(bias);
    free(dout);
    free(dresidual);
    free_case(&c);
}

static void wrong_shapes_on(clm_device *device) {
    clm_buffer *small = clm_test_buffer(device, NULL, 8);
    clm_buffer *large = clm_test_buffer(device, NULL, 800);
    assert_status(CLM_ERROR_SHAPE, clm_layernorm_forward(device, large, NULL, NULL, large, small,
                                                         small, 0, 8, 1e-5F));
    assert_status(CLM_ERROR_SHAPE, clm_layernorm_forward(device, small, NULL, NULL, large, small,
                                                         small, 100, 8, 1e-5F));
    assert_message_has("layernorm");
    assert_status(CLM_ERROR_SHAPE, clm_layernorm_forward(device, large, small, NULL, large, small,
                                                         small, 8, 8, 1e-5F));
    assert_status(CLM_ERROR_SHAPE, backward(device, large, small, NULL, large, large, large, large,
                                            large, NULL, 8, 100));
    assert_message_has("dweight");
    assert_status(CLM_ERROR_SHAPE, backward(device, large, NULL, small, large, large, large, large,
                                            large, NULL, 8, 100));
    assert_message_has("dbias");
    /* One group of 8 columns, twice. */
    assert_int_equal(clm_layernorm_backward_scratch_bytes(device, 8, 8), 64);
    assert_int_equal(clm_layernorm_backward_scratch_bytes(device, 0, 8), 0);
    clm_buffer *scratch = NULL;
    assert_ok(clm_buffer_create(&scratch, device, 63, "too little"));
    assert_status(CLM_ERROR_SHAPE,
                  clm_layernorm_backward(device, large, small, small, large, large, small, small,
                                         small, NULL, 8, 8, scratch));
    assert_message_has("scratch");
    assert_status(CLM_ERROR_SHAPE, clm_layernorm_backward(device, large, small, small, large, large,
                                                          small, small, small, NULL, 8, 8, NULL));
    clm_buffer_release(scratch);
    clm_test_buffer_check(small, 8);
    clm_test_buffer_check(large, 800);
}

static void wrong_shapes_are_refused(void **state) {
    (void)state;
    each_variant(wrong_shapes_on);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layernorm_matches_the_reference),
        cmocka_unit_test(a_large_mean_costs_no_accuracy),
        cmocka_unit_test(odd_rows_stay_apart),
        cmocka_unit_test(gradients_wanted_apart_are_the_same_bits),
        cmocka_unit_test(reference_gradients_are_finite_differences),
        cmocka_unit_test(wrong_shapes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, clm_test_close_devices);
}
