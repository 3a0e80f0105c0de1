/* SPDX-License-Identifier: Apache-2.0 */
#include "op_test.h"
#include "reference/crossentropy.h"

/* cl/crossentropy.cl: losses within 2e-6 + 2e-7 |max - x[target]|, which is at most the loss;
 * probabilities, and so gradients, within 5e-6 of themselves (the target's: of 1). */
static const double loss_atol = 2e-6;
static const double loss_rtol = 2e-7;
static const double probability_rtol = 5e-6;

typedef struct inputs {
    int rows, V;
    size_t count;
    float *logits;
    int32_t *targets;
} inputs;

/* Some targets ignored, some logits -inf, rows with a spread of hundreds, rows that rise all the
 * way. */
static inputs make_inputs(int rows, int V, float scale) {
    inputs in = {rows, V, (size_t)rows * (size_t)V, NULL, NULL};
    in.logits = normal_floats(in.count, scale);
    in.targets = malloc((size_t)rows * sizeof *in.targets);
    assert_non_null(in.targets);
    for (int r = 0; r < rows; r++) {
        float *x = in.logits + (size_t)r * (size_t)V;
        in.targets[r] =
            r % 5 == 3 ? CLM_TARGET_IGNORED : (int32_t)(clm_test_random() % (uint32_t)V);
        for (int i = 0; i < V; i++) {
            x[i] *= r % 4 == 1 ? 100.0F : 1.0F;
            if (r % 4 == 2) {
                x[i] = 40.0F * (float)i / (float)V;
            }
            if (i % 7 == 2 && i != in.targets[r]) {
                x[i] = -INFINITY;
            }
        }
    }
    return in;
}

static void free_inputs(inputs *in) {
    free(in->logits);
    free(in->targets);
}

static void forward(clm_device *device, int rows, int V, bool with_probabilities) {
    inputs in = make_inputs(rows, V, 2.0F);
    float *losses = normal_floats((size_t)rows, 1.0F);
    float *probabilities = normal_floats(in.count, 1.0F);
    double *logits_wide = widened(in.logits, in.count);
    double *losses_wide = widened(losses, (size_t)rows);
    double *probabilities_wide = widened(probabilities, in.count);
    clm_reference_crossentropy_forward(losses_wide, NULL, probabilities_wide, logits_wide,
                                       in.targets, rows, V);
    narrow_into(losses, losses_wide, (size_t)rows);
    narrow_into(probabilities, probabilities_wide, in.count);
    free(logits_wide);
    clm_buffer *logits_buffer = clm_test_buffer(device, in.logits, in.count);
    clm_buffer *targets_buffer = clm_test_buffer(device, in.targets, (size_t)rows);
    clm_buffer *losses_buffer = clm_test_buffer(device, NULL, (size_t)rows);
    clm_buffer *probabilities_buffer =
        with_probabilities ? clm_test_buffer(device, NULL, in.count) : NULL;
    assert_ok(clm_crossentropy_forward(device, losses_buffer, NULL, probabilities_buffer,
                                       logits_buffer, targets_buffer, rows, V));
    check_buffer(losses_buffer, losses, (size_t)rows, loss_atol, loss_rtol, "losses");
    if (with_probabilities) {
        check_buffer(probabilities_buffer, probabilities, in.count, 1e-30, probability_rtol,
                     "probabilities");
    }
    clm_test_buffer_check(logits_buffer, in.count);
    clm_test_buffer_check(targets_buffer, (size_t)rows);
    free(losses);
    free(probabilities);
    free_inputs(&in);
}

/* Both passes. */
static void compute_gradient(clm_device *device, clm_buffer *dlogits, const clm_buffer *logits,
                             const clm_buffer *targets, float scale, int rows, int V) {
    clm_buffer *losses = clm_test_buffer(device, NULL, (size_t)rows);
    clm_buffer *sums = clm_test_buffer(device, NULL, 2 * (size_t)rows);
    assert_ok(clm_crossentropy_forward(device, losses, sums, NULL, logits, targets, rows, V));
    assert_ok(clm_crossentropy_backward(device, dlogits, logits, sums, targets, scale, rows, V));
    clm_test_buffer_check(losses, (size_t)rows);
    clm_test_buffer_check(sums, 2 * (size_t)rows);
}

static void backward(clm_device *device, int rows, int V, bool in_place) {
    inputs in = make_inputs(rows, V, 2.0F);
    const float scale = 1.0F / 3.0F;
    float *expected = normal_floats(in.count, 1.0F);
    double *logits_wide = widened(in.logits, in.count);
    double *exact = widened(expected, in.count);
    clm_reference_crossentropy_backward(exact, logits_wide, in.targets, (double)scale, rows, V);
    narrow_into(expected, exact, in.count);
    free(logits_wide);
    clm_buffer *logits_buffer = clm_test_buffer(device, in.logits, in.count);
    clm_buffer *targets_buffer = clm_test_buffer(device, in.targets, (size_t)rows);
    clm_buffer *out = in_place ? logits_buffer : clm_test_buffer(device, NULL, in.count);
    compute_gradient(device, out, logits_buffer, targets_buffer, scale, rows, V);
    /* 1 - p of the target: p's error, of 1. */
    float *actual = read_floats(out, in.count);
    for (int r = 0; r < rows; r++) {
        if (in.targets[r] >= 0) {
            size_t i = (size_t)r * (size_t)V + (size_t)in.targets[r];
            assert_close((double)actual[i], (double)expected[i], 1e-6 * (double)scale, 0.0);
            actual[i] = expected[i];
        }
    }
    check_close(actual, expected, in.count, 1e-30, probability_rtol, "dlogits");
    free(actual);
    clm_test_buffer_check(out, in.count);
    if (!in_place) {
        clm_test_buffer_check(logits_buffer, in.count);
    }
    clm_test_buffer_check(targets_buffer, (size_t)rows);
    free(expected);
    free_inputs(&in);
}

static void agrees_with_the_reference_on(clm_device *device) {
    static const int shapes[][2] = {{1, 1},    {8, 2},    {5, 3},    {6, 15},
                                    {6, 16},   {6, 17},   {7, 1023}, {7, 1024},
                                    {300, 33}, {6, 1025}, {5, 5003}, {6, 50257}};
    size_t count = is_slow(device) ? 6 : sizeof shapes / sizeof *shapes;
    for (size_t i = 0; i < count; i++) {
        forward(device, shapes[i][0], shapes[i][1], true);
        forward(device, shapes[i][0], shapes[i][1], false);
        backward(device, shapes[i][0], shapes[i][1], false);
        backward(device, shapes[i][0], shapes[i][1], true);
    }
}

static void agrees_with_the_reference(void **state) {
    (void)state;
    each_variant(agrees_with_the_reference_on);
}

/* Central differences of the loss of a row in double. */
static double row_loss(const double *x, int V, int target) {
    double sum = 0.0;
    for (int i = 0; i < V; i++) {
        sum += exp(x[i] - x[target]);
    }
    return log(sum);
}

static void gradient_is_that_of_the_loss_on(clm_device *device) {
    enum { V = 37 };
    const double h = 1e-5; /* error h^2/6 + 1e-16/h: below 1e-10 */
    inputs in = make_inputs(1, V, 1.0F);
    double x[V];
    float expected[V];
    for (int i = 0; i < V; i++) {
        in.logits[i] = isfinite(in.logits[i]) ? in.logits[i] : 0.5F;
        x[i] = (double)in.logits[i];
    }
    for (int i = 0; i < V; i++) {
        double kept = x[i];
        x[i] = kept + h;
        double up = row_loss(x, V, in.targets[0]);
        x[i] = kept - h;
        double down = row_loss(x, V, in.targets[0]);
        x[i] = kept;
        expected[i] = (float)((up - down) / (2.0 * h));
    }
    clm_buffer *logits = clm_test_buffer(device, in.logits, V);
    clm_buffer *targets = clm_test_buffer(device, in.targets, 1);
    clm_buffer *dlogits = clm_test_buffer(device, NULL, V);
    compute_gradient(device, dlogits, logits, targets, 1.0F, 1, V);
    check_buffer(dlogits, expected, V, 5e-7, 0.0, "finite differences of the loss");
    clm_test_buffer_check(logits, V);
    clm_test_buffer_check(targets, 1);
    free_inputs(&in);
}

static void gradient_is_that_of_the_loss(void **state) {
    (void)state;
    each_variant(gradient_is_that_of_the_loss_on);
}

enum { odd_rows = 8, odd_V = 21 };

/* Rows: an invalid target above, below; a NaN, inf, all -inf; -inf at the target; an ignored row
 * with a NaN; a normal one. */
static void fill_odd_rows(float *x, int32_t *targets) {
    for (int i = 0; i < odd_rows * odd_V; i++) {
        x[i] = 0.0F;
    }
    for (int r = 0; r < odd_rows; r++) {
        targets[r] = 1;
    }
    targets[0] = odd_V;
    targets[1] = -1;
    x[2 * odd_V + 20] = NAN;
    x[3 * odd_V + 5] = INFINITY;
    for (int i = 0; i < odd_V; i++) {
        x[4 * odd_V + i] = -INFINITY;
    }
    x[5 * odd_V + 1] = -INFINITY;
    x[6 * odd_V] = NAN;
    targets[6] = CLM_TARGET_IGNORED;
}

static void what_cannot_be_is_nan_on(clm_device *device) {
    enum { count = odd_rows * odd_V };
    float x[count];
    int32_t targets[odd_rows];
    fill_odd_rows(x, targets);
    clm_buffer *logits = clm_test_buffer(device, x, count);
    clm_buffer *targets_buffer = clm_test_buffer(device, targets, odd_rows);
    clm_buffer *losses_buffer = clm_test_buffer(device, NULL, odd_rows);
    float losses[odd_rows];
    float dx[count];
    assert_ok(clm_crossentropy_forward(device, losses_buffer, NULL, NULL, logits, targets_buffer,
                                       odd_rows, odd_V));
    clm_test_buffer_read(losses_buffer, losses, odd_rows);
    for (int r = 0; r < 5; r++) {
        assert_true(isnan(losses[r]));
    }
    assert_true(losses[5] == INFINITY);
    assert_true(losses[6] == 0.0F);
    assert_close((double)losses[7], log(odd_V), loss_atol, 0.0);
    compute_gradient(device, logits, logits, targets_buffer, 1.0F, odd_rows, odd_V);
    clm_test_buffer_read(logits, dx, count);
    for (int i = 0; i < odd_V; i++) {
        for (int r = 0; r < 5; r++) {
            assert_true(isnan(dx[r * odd_V + i]));
        }
        double p = i == 1 ? 0.0 : 1.0 / (odd_V - 1);
        assert_close((double)dx[5 * odd_V + i], p - (i == 1), 1e-6, 0.0);
        assert_true(dx[6 * odd_V + i] == 0.0F);
    }
    clm_test_buffer_check(logits, count);
    clm_test_buffer_check(targets_buffer, odd_rows);
    clm_test_buffer_check(losses_buffer, odd_rows);
}

static void what_cannot_be_is_nan(void **state) {
    (void)state;
    each_variant(what_cannot_be_is_nan_on);
}

static void same_bits_twice_on(clm_device *device) {
    enum { rows = 3, V = 5003 };
    inputs in = make_inputs(rows, V, 3.0F);
    clm_buffer *logits = clm_test_buffer(device, in.logits, in.count);
    clm_buffer *targets = clm_test_buffer(device, in.targets, rows);
    float *bits[2];
    for (int turn = 0; turn < 2; turn++) {
        clm_buffer *out = clm_test_buffer(device, NULL, in.count);
        compute_gradient(device, out, logits, targets, 0.5F, rows, V);
        bits[turn] = read_floats(out, in.count);
        clm_test_buffer_check(out, in.count);
    }
    assert_memory_equal(bits[0], bits[1], in.count * sizeof(float));
    free(bits[0]);
    free(bits[1]);
    clm_test_buffer_check(logits, in.count);
    clm_test_buffer_check(targets, rows);
    free_inputs(&in);
}

static void same_bits_twice(void **state) {
    (void)state;
    each_variant(same_bits_twice_on);
}

static void wrong_shapes_are_refused_on(clm_device *device) {
    clm_buffer *six = NULL;
    clm_buffer *two = NULL;
    assert_ok(clm_buffer_create(&six, device, 6 * sizeof(float), "six"));
    assert_ok(clm_buffer_create(&two, device, 2 * sizeof(float), "two"));
    static const struct {
        bool large_logits, large_sums, large_out; /* six, else two */
        int rows, V;
    } forward_cases[] = {{false, true, true, 2, 3},
                         {true, false, true, 2, 3},
                         {true, true, false, 2, 3},
                         {true, true, true, 3, 2},
                         {true, true, true, 2, 0}};
    for (size_t i = 0; i < sizeof forward_cases / sizeof *forward_cases; i++) {
        clm_buffer *logits = forward_cases[i].large_logits ? six : two;
        clm_buffer *sums = forward_cases[i].large_sums ? six : two;
        clm_buffer *out = forward_cases[i].large_out ? six : two;
        const int rows = forward_cases[i].rows, V = forward_cases[i].V;
        assert_status(CLM_ERROR_SHAPE,
                      clm_crossentropy_forward(device, two, sums, out, logits, two, rows, V));
        assert_status(CLM_ERROR_SHAPE,
                      clm_crossentropy_backward(device, out, logits, sums, two, 1.0F, rows, V));
    }
    assert_status(CLM_ERROR_SHAPE,
                  clm_crossentropy_backward(device, six, six, NULL, two, 1.0F, 2, 3));
    clm_buffer_release(six);
    clm_buffer_release(two);
}

static void wrong_shapes_are_refused(void **state) {
    (void)state;
    clm_test_each_device(wrong_shapes_are_refused_on);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_reference), cmocka_unit_test(gradient_is_that_of_the_loss),
        cmocka_unit_test(what_cannot_be_is_nan),     cmocka_unit_test(same_bits_twice),
        cmocka_unit_test(wrong_shapes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, clm_test_close_devices);
}
