/* SPDX-License-Identifier: Apache-2.0 */
#include "op_test.h"
#include "reference/rmsnorm.h"
#include "support/test_scratch.h"

static const double epsilon = 1e-5;

/* y is at most sqrt(C) and mostly below 4; it and what is made of it carry a few roundings of 6e-8
 * each. dweight adds up to `rows` such numbers of both signs. */
static const double tolerance = 4e-6, relative = 3e-6;

typedef struct norm_case {
    int rows, C;
    size_t count;
    float *x, *weight, *dout, *past, *before; /* before: what was in dweight */
    float *out, *rrms, *dx, *dx_past, *dweight;
} norm_case;

static norm_case make_case(int rows, int C, float scale) {
    const size_t lines = (size_t)rows;
    const size_t columns = (size_t)C;
    norm_case c = {.rows = rows, .C = C, .count = lines * columns};
    c.x = normal_floats(c.count, scale);
    c.weight = normal_floats(columns, 1.0F);
    c.dout = normal_floats(c.count, 1.0F);
    c.past = normal_floats(c.count, 1.0F);
    c.before = normal_floats(columns, 1.0F);
    double *x = widened(c.x, c.count);
    double *weight = widened(c.weight, columns);
    double *dout = widened(c.dout, c.count);
    double *past = widened(c.past, c.count);
    double *out = widened(c.x, c.count);
    double *rrms = widened(c.x, lines);
    double *dx = widened(c.x, c.count);
    double *dx_past = widened(c.x, c.count);
    double *dweight = widened(c.before, columns);
    clm_reference_rmsnorm_forward(out, rrms, x, weight, rows, C, epsilon);
    clm_reference_rmsnorm_backward(dx, dweight, dout, x, weight, rrms, NULL, rows, C);
    clm_reference_rmsnorm_backward(dx_past, NULL, dout, x, weight, rrms, past, rows, C);
    double *wide[] = {out, rrms, dx, dx_past, dweight};
    float **narrow[] = {&c.out, &c.rrms, &c.dx, &c.dx_past, &c.dweight};
    const size_t counts[] = {c.count, lines, c.count, c.count, columns};
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++) {
        *narrow[i] = normal_floats(counts[i], 1.0F);
        narrow_into(*narrow[i], wide[i], counts[i]);
    }
    free(x);
    free(weight);
    free(dout);
    free(past);
    return c;
}

static void free_case(norm_case *c) {
    float *all[] = {c->x,   c->weight, c->dout, c->past,    c->before,
                    c->out, c->rrms,   c->dx,   c->dx_past, c->dweight};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        free(all[i]);
    }
}

/* With exactly the scratch it asks for. */
static clm_status backward(clm_device *device, clm_buffer *dx, clm_buffer *dweight,
                           const clm_buffer *dout, const clm_buffer *x, const clm_buffer *weight,
                           const clm_buffer *rrms, const clm_buffer *past, int rows, int C) {
    const size_t bytes = dweight != NULL ? clm_rmsnorm_backward_scratch_bytes(device, rows, C) : 0;
    clm_test_scratch scratch = clm_test_scratch_begin(device, bytes);
    const clm_status status = clm_rmsnorm_backward(device, dx, dweight, dout, x, weight, rrms, past,
                                                   rows, C, scratch.buffer);
    clm_test_scratch_end(&scratch);
    return status;
}

static void compare_case(clm_device *device, const norm_case *c) {
    const size_t lines = (size_t)c->rows;
    const size_t columns = (size_t)c->C;
    const double step = tolerance * sqrt((double)c->rows);
    /* Of rows of size 1e-4, rrms is 300 and dx as large. */
    const double dx_tolerance = tolerance * fmax(1.0, (double)c->rrms[0]);
    clm_buffer *x = clm_test_buffer(device, c->x, c->count);
    clm_buffer *weight = clm_test_buffer(device, c->weight, columns);
    clm_buffer *dout = clm_test_buffer(device, c->dout, c->count);
    clm_buffer *past = clm_test_buffer(device, c->past, c->count);
    clm_buffer *out = clm_test_buffer(device, NULL, c->count);
    clm_buffer *rrms = clm_test_buffer(device, NULL, lines);
    clm_buffer *dx = clm_test_buffer(device, NULL, c->count);
    clm_buffer *dweight = clm_test_buffer(device, c->before, columns);
    clm_buffer *alone = clm_test_buffer(device, c->before, columns);
    assert_ok(clm_rmsnorm_forward(device, out, NULL, x, weight, c->rows, c->C, (float)epsilon));
    check_values(out, c->out, c->count, tolerance, relative, "out");
    assert_ok(clm_rmsnorm_forward(device, out, rrms, x, weight, c->rows, c->C, (float)epsilon));
    check_buffer(out, c->out, c->count, tolerance, relative, "out");
    check_values(rrms, c->rrms, lines, 0.0, relative, "rrms");
    assert_ok(backward(device, dx, dweight, dout, x, weight, rrms, NULL, c->rows, c->C));
    check_buffer(dx, c->dx, c->count, dx_tolerance, relative, "dx");
    check_buffer(dweight, c->dweight, columns, step, relative, "dweight");
    assert_ok(backward(device, NULL, alone, dout, x, weight, rrms, NULL, c->rows, c->C));
    check_buffer(alone, c->dweight, columns, step, relative, "dweight alone");
    assert_ok(backward(device, past, NULL, dout, x, weight, rrms, past, c->rows, c->C));
    check_buffer(past, c->dx_past, c->count, dx_tolerance, relative, "dx, added to in place");
    clm_test_buffer_check(x, c->count);
    clm_test_buffer_check(weight, columns);
    clm_test_buffer_check(dout, c->count);
    clm_test_buffer_check(rrms, lines);
}

/* Columns around vectors and groups of them, rows around groups of 16. */
static void agrees_with_the_reference_on(clm_device *device) {
    static const int shapes[][2] = {{1, 1},   {3, 5},   {16, 17},  {17, 64},
                                    {33, 65}, {2, 257}, {35, 384}, {5, 2048}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        if (is_slow(device) && shapes[i][0] * shapes[i][1] > 2000) {
            continue;
        }
        norm_case c = make_case(shapes[i][0], shapes[i][1], i % 2 == 0 ? 2.0F : 30.0F);
        compare_case(device, &c);
        free_case(&c);
    }
    norm_case small = make_case(3, 20, 1e-4F);
    compare_case(device, &small);
    free_case(&small);
}

static void agrees_with_the_reference(void **state) {
    (void)state;
    each_variant(agrees_with_the_reference_on);
}

static double loss(const double *x, const double *weight, const double *dout, int rows, int C) {
    double out[24];
    double sum = 0.0;
    clm_reference_rmsnorm_forward(out, NULL, x, weight, rows, C, epsilon);
    for (int i = 0; i < rows * C; i++) {
        sum += out[i] * dout[i];
    }
    return sum;
}

static void reference_gradients_are_finite_differences(void **state) {
    (void)state;
    enum { ROWS = 4, C = 6, COUNT = ROWS * C };
    const double h = 1e-5;
    double x[COUNT + C], dout[COUNT], rrms[ROWS], out[COUNT], dx[COUNT + C] = {0.0};
    for (int i = 0; i < COUNT + C; i++) {
        x[i] = (double)clm_test_normal();
        dout[i % COUNT] = (double)clm_test_normal();
    }
    clm_reference_rmsnorm_forward(out, rrms, x, x + COUNT, ROWS, C, epsilon);
    clm_reference_rmsnorm_backward(dx, dx + COUNT, dout, x, x + COUNT, rrms, NULL, ROWS, C);
    for (int i = 0; i < COUNT + C; i++) {
        const double kept = x[i];
        x[i] = kept + h;
        const double above = loss(x, x + COUNT, dout, ROWS, C);
        x[i] = kept - h;
        const double below = loss(x, x + COUNT, dout, ROWS, C);
        x[i] = kept;
        assert_close((above - below) / (2.0 * h), dx[i], 1e-8, 1e-8);
    }
}

static void wrong_shapes_on(clm_device *device) {
    clm_buffer *x = clm_test_buffer(device, NULL, 12);
    assert_status(CLM_ERROR_SHAPE, clm_rmsnorm_forward(device, x, NULL, x, x, 0, 4, 1e-5F));
    assert_status(CLM_ERROR_SHAPE, clm_rmsnorm_forward(device, x, NULL, x, x, 400, 4, 1e-5F));
    assert_message_has("rmsnorm: out");
    assert_status(CLM_ERROR_SHAPE,
                  clm_rmsnorm_backward(device, x, x, x, x, x, x, NULL, 3, 4, NULL));
    assert_message_has("scratch");
    clm_test_buffer_check(x, 12);
}

static void wrong_shapes_are_refused(void **state) {
    (void)state;
    each_variant(wrong_shapes_on);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_reference),
        cmocka_unit_test(reference_gradients_are_finite_differences),
        cmocka_unit_test(wrong_shapes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, clm_test_close_devices);
}
