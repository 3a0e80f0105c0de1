/* SPDX-License-Identifier: Apache-2.0 */
#include "op_test.h"
#include "reference/embedding.h"
#include "support/test_scratch.h"

enum pattern { RANDOM_TOKENS, SAME_TOKEN, DISTINCT_TOKENS };

typedef struct shape {
    int B, T, C, V;
    enum pattern pattern;
} shape;

static const shape shapes[] = {
    {1, 1, 1, 1, SAME_TOKEN},          {3, 5, 7, 1, SAME_TOKEN},
    {2, 9, 16, 5, RANDOM_TOKENS},      {4, 33, 17, 50, RANDOM_TOKENS},
    {4, 16, 64, 10, SAME_TOKEN},       {2, 31, 15, 100, DISTINCT_TOKENS},
    {8, 40, 129, 1000, RANDOM_TOKENS}, {1, 3, 1025, 9, RANDOM_TOKENS},
};
enum { shape_count = sizeof shapes / sizeof *shapes };

static int32_t *make_tokens(const shape *s) {
    int places = s->B * s->T;
    int32_t *tokens = malloc((size_t)places * sizeof *tokens);
    assert_non_null(tokens);
    for (int i = 0; i < places; i++) {
        switch (s->pattern) {
            case RANDOM_TOKENS:
                tokens[i] = (int32_t)(clm_test_random() % (uint32_t)s->V);
                break;
            case SAME_TOKEN:
                tokens[i] = s->V - 1;
                break;
            case DISTINCT_TOKENS:
                tokens[i] = s->V - 1 - i; /* falling, so that sorting has something to do */
                break;
        }
    }
    return tokens;
}

/* One addition on each side: exact. */
static void forward(clm_device *device, const shape *s, int first_position) {
    size_t places = (size_t)s->B * (size_t)s->T;
    size_t C = (size_t)s->C;
    size_t wte_count = (size_t)s->V * C;
    size_t wpe_count = (size_t)(first_position + s->T) * C;
    int32_t *tokens = make_tokens(s);
    float *wte = normal_floats(wte_count, 1.0F);
    float *wpe = normal_floats(wpe_count, 1.0F);
    float *expected = normal_floats(places * C, 1.0F);
    double *exact = widened(expected, places * C);
    double *wte_wide = widened(wte, wte_count);
    double *wpe_wide = widened(wpe, wpe_count);
    clm_reference_embedding_forward(exact, tokens, wte_wide, wpe_wide, s->B, s->T, s->C,
                                    first_position);
    narrow_into(expected, exact, places * C);
    free(wte_wide);
    free(wpe_wide);
    clm_buffer *tokens_buffer = clm_test_buffer(device, tokens, places);
    clm_buffer *wte_buffer = clm_test_buffer(device, wte, wte_count);
    clm_buffer *wpe_buffer = clm_test_buffer(device, wpe, wpe_count);
    clm_buffer *out = clm_test_buffer(device, NULL, places * C);
    assert_ok(clm_embedding_forward(device, out, tokens_buffer, wte_buffer, wpe_buffer, s->B, s->T,
                                    s->C, first_position));
    check_buffer(out, expected, places * C, 0.0, 0.0, "embedding");
    clm_buffer *bare = clm_test_buffer(device, NULL, places * C);
    for (size_t i = 0; i < places * C; i++) {
        expected[i] = wte[(size_t)tokens[i / C] * C + i % C];
    }
    assert_ok(clm_embedding_forward(device, bare, tokens_buffer, wte_buffer, NULL, s->B, s->T, s->C,
                                    first_position));
    check_buffer(bare, expected, places * C, 0.0, 0.0, "embedding without positions");
    clm_test_buffer_check(tokens_buffer, places);
    clm_test_buffer_check(wte_buffer, wte_count);
    clm_test_buffer_check(wpe_buffer, wpe_count);
    free(tokens);
    free(wte);
    free(wpe);
    free(expected);
}

/* A sum of n values of size 1, one rounding each of at most half a unit of the running sum, which
 * stays below 64 here: n 2^-19 at the very worst. Roundings do not all go one way; n 2^-22 is what
 * is granted. */
static double sum_atol(int n) {
    return (n + 2) * 0x1p-22;
}

/* With exactly the scratch it asks for; and tokens that change as soon as it has returned. */
static clm_status backward_exactly(clm_device *device, clm_buffer *dwte, clm_buffer *dwpe,
                                   const clm_buffer *dout, const int32_t *tokens, int B, int T,
                                   int C) {
    const size_t places = (size_t)B * (size_t)T;
    const size_t bytes = dwte != NULL ? clm_embedding_backward_scratch_bytes(device, B, T) : 0;
    int32_t *copy = NULL;
    if (tokens != NULL) {
        copy = malloc(places * sizeof *copy);
        assert_non_null(copy);
        memcpy(copy, tokens, places * sizeof *copy);
    }
    clm_test_scratch scratch = clm_test_scratch_begin(device, bytes);
    const clm_status status =
        clm_embedding_backward(device, dwte, dwpe, dout, copy, B, T, C, scratch.buffer);
    if (copy != NULL) {
        memset(copy, 0xFF, places * sizeof *copy);
    }
    clm_test_scratch_end(&scratch);
    free(copy);
    return status;
}

static void backward(clm_device *device, const shape *s, bool want_wte, bool want_wpe) {
    size_t places = (size_t)s->B * (size_t)s->T;
    size_t C = (size_t)s->C;
    size_t dwte_count = (size_t)s->V * C;
    size_t dwpe_count = (size_t)s->T * C;
    int32_t *tokens = make_tokens(s);
    float *dout = normal_floats(places * C, 1.0F);
    float *dwte = normal_floats(dwte_count, 1.0F);
    float *dwpe = normal_floats(dwpe_count, 1.0F);
    clm_buffer *dout_buffer = clm_test_buffer(device, dout, places * C);
    clm_buffer *dwte_buffer = clm_test_buffer(device, dwte, dwte_count);
    clm_buffer *dwpe_buffer = clm_test_buffer(device, dwpe, dwpe_count);
    assert_ok(backward_exactly(device, want_wte ? dwte_buffer : NULL, want_wpe ? dwpe_buffer : NULL,
                               dout_buffer, tokens, s->B, s->T, s->C));
    double *dwte_wide = widened(dwte, dwte_count);
    double *dwpe_wide = widened(dwpe, dwpe_count);
    double *dout_wide = widened(dout, places * C);
    clm_reference_embedding_backward(want_wte ? dwte_wide : NULL, want_wpe ? dwpe_wide : NULL,
                                     dout_wide, tokens, s->B, s->T, s->C, s->V);
    narrow_into(dwte, dwte_wide, dwte_count);
    narrow_into(dwpe, dwpe_wide, dwpe_count);
    free(dout_wide);
    check_buffer(dwte_buffer, dwte, dwte_count, sum_atol((int)places), 0.0, "dwte");
    check_buffer(dwpe_buffer, dwpe, dwpe_count, sum_atol(s->B), 0.0, "dwpe");
    clm_test_buffer_check(dout_buffer, places * C);
    free(tokens);
    free(dout);
    free(dwte);
    free(dwpe);
}

static void agrees_with_the_reference_on(clm_device *device) {
    for (int i = 0; i < (is_slow(device) ? 3 : shape_count); i++) {
        forward(device, &shapes[i], i % 2 == 0 ? 0 : 3);
        backward(device, &shapes[i], true, true);
    }
    backward(device, &shapes[2], true, false);
    backward(device, &shapes[2], false, true);
}

static void agrees_with_the_reference(void **state) {
    (void)state;
    each_variant(agrees_with_the_reference_on);
}

/* The embedding is linear in its weights, so a difference quotient is exact for any step: for
 * weights w and dw, sum(dout * (forward(w + dw) - forward(w))) = sum(gradient * dw). Some 1e3
 * products of size 1, in float. */
static void gradient_is_that_of_the_formula_on(clm_device *device) {
    const shape s = {2, 9, 33, 5, RANDOM_TOKENS};
    enum { places = 2 * 9, count = places * 33, weights = 5 * 33, positions = 9 * 33 };
    int32_t *tokens = make_tokens(&s);
    float *dw = normal_floats(weights, 1.0F);
    float *dp = normal_floats(positions, 1.0F);
    float *dout = normal_floats(count, 1.0F);
    static const float zeros[positions];
    clm_buffer *tokens_buffer = clm_test_buffer(device, tokens, places);
    clm_buffer *dw_buffer = clm_test_buffer(device, dw, weights);
    clm_buffer *dp_buffer = clm_test_buffer(device, dp, positions);
    clm_buffer *dout_buffer = clm_test_buffer(device, dout, count);
    clm_buffer *out = clm_test_buffer(device, NULL, count);
    clm_buffer *dwte = clm_test_buffer(device, zeros, weights);
    clm_buffer *dwpe = clm_test_buffer(device, zeros, positions);
    assert_ok(
        clm_embedding_forward(device, out, tokens_buffer, dw_buffer, dp_buffer, s.B, s.T, s.C, 0));
    assert_ok(backward_exactly(device, dwte, dwpe, dout_buffer, tokens, s.B, s.T, s.C));
    float *difference = read_floats(out, count);
    float *gradient = read_floats(dwte, weights);
    float *position_gradient = read_floats(dwpe, positions);
    double forward_sum = 0.0;
    double backward_sum = 0.0;
    for (int i = 0; i < count; i++) {
        forward_sum += (double)dout[i] * (double)difference[i];
    }
    for (int i = 0; i < weights; i++) {
        backward_sum += (double)gradient[i] * (double)dw[i];
    }
    for (int i = 0; i < positions; i++) {
        backward_sum += (double)position_gradient[i] * (double)dp[i];
    }
    assert_close(backward_sum, forward_sum, 1e-4, 0.0);
    free(tokens);
    free(dw);
    free(dp);
    free(dout);
    free(difference);
    free(gradient);
    free(position_gradient);
    clm_test_buffer_check(tokens_buffer, places);
    clm_test_buffer_check(dw_buffer, weights);
    clm_test_buffer_check(dp_buffer, positions);
    clm_test_buffer_check(dout_buffer, count);
    clm_test_buffer_check(out, count);
    clm_test_buffer_check(dwte, weights);
    clm_test_buffer_check(dwpe, positions);
}

static void gradient_is_that_of_the_formula(void **state) {
    (void)state;
    each_variant(gradient_is_that_of_the_formula_on);
}

static void same_bits_twice_on(clm_device *device) {
    const shape *s = &shapes[4]; /* one row gets everything */
    size_t count = (size_t)s->B * (size_t)s->T * (size_t)s->C;
    size_t dwte_count = (size_t)s->V * (size_t)s->C;
    int32_t *tokens = make_tokens(s);
    float *dout = normal_floats(count, 1.0F);
    float *start = normal_floats(dwte_count, 1.0F);
    float *bits[2];
    clm_buffer *dout_buffer = clm_test_buffer(device, dout, count);
    for (int turn = 0; turn < 2; turn++) {
        clm_buffer *dwte = clm_test_buffer(device, start, dwte_count);
        assert_ok(backward_exactly(device, dwte, NULL, dout_buffer, tokens, s->B, s->T, s->C));
        bits[turn] = read_floats(dwte, dwte_count);
        clm_test_buffer_check(dwte, dwte_count);
    }
    assert_memory_equal(bits[0], bits[1], dwte_count * sizeof(float));
    free(bits[0]);
    free(bits[1]);
    free(tokens);
    free(dout);
    free(start);
    clm_test_buffer_check(dout_buffer, count);
}

static void same_bits_twice(void **state) {
    (void)state;
    each_variant(same_bits_twice_on);
}

/* Rows in several buffers, some of which have no token of the batch. */
static void parts_give_the_same_bits_on(clm_device *device) {
    enum { B = 2, T = 5, C = 17, V = 11, part_rows = 2, part_count = 6, places = B * T };
    static const int32_t tokens[places] = {3, 10, 2, 3, 0, 10, 10, 3, 8, 2};
    float *wte = normal_floats(V * C, 1.0F);
    float *wpe = normal_floats(T * C, 1.0F);
    clm_buffer *parts[part_count];
    clm_buffer *joined = NULL;
    for (size_t i = 0; i < part_count; i++) {
        const size_t rows = i + 1 < part_count ? part_rows : 1;
        const size_t bytes = rows * C * sizeof(float);
        assert_ok(clm_buffer_create(&parts[i], device, bytes, "a part"));
        assert_ok(clm_buffer_write(parts[i], 0, wte + i * part_rows * C, bytes));
    }
    assert_ok(clm_buffer_join(&joined, parts, part_count, "parts"));
    clm_buffer *whole = clm_test_buffer(device, wte, V * C);
    clm_buffer *wpe_buffer = clm_test_buffer(device, wpe, T * C);
    clm_buffer *tokens_buffer = clm_test_buffer(device, tokens, places);
    clm_buffer *out = clm_test_buffer(device, NULL, places * C);
    clm_buffer *same = clm_test_buffer(device, NULL, places * C);
    assert_ok(clm_embedding_forward(device, out, tokens_buffer, whole, wpe_buffer, B, T, C, 0));
    assert_ok(clm_embedding_forward(device, same, tokens_buffer, joined, wpe_buffer, B, T, C, 0));
    float *want = read_floats(out, places * C);
    float *got = read_floats(same, places * C);
    assert_memory_equal(got, want, places * C * sizeof(float));
    assert_ok(backward_exactly(device, whole, NULL, out, tokens, B, T, C));
    assert_ok(backward_exactly(device, joined, NULL, out, tokens, B, T, C));
    float *want_gradient = read_floats(whole, V * C);
    float *got_gradient = read_floats(joined, V * C);
    assert_memory_equal(got_gradient, want_gradient, V * C * sizeof(float));
    /* They were added to what stood there, and only where there are tokens. */
    assert_true(memcmp(got_gradient + 3 * C, wte + 3 * C, C * sizeof(float)) != 0);
    assert_memory_equal(got_gradient + 4 * C, wte + 4 * C, 4 * C * sizeof(float));
    /* No row may lie in two parts. */
    assert_status(CLM_ERROR_SHAPE, clm_embedding_forward(device, out, tokens_buffer, joined,
                                                         wpe_buffer, B, T, C - 1, 0));
    assert_message_has("two parts");
    clm_test_buffer_check(whole, V * C);
    clm_test_buffer_check(wpe_buffer, T * C);
    clm_test_buffer_check(tokens_buffer, places);
    clm_test_buffer_check(out, places * C);
    clm_test_buffer_check(same, places * C);
    clm_buffer_release(joined);
    free(wte);
    free(wpe);
    free(want);
    free(got);
    free(want_gradient);
    free(got_gradient);
}

static void parts_give_the_same_bits(void **state) {
    (void)state;
    each_variant(parts_give_the_same_bits_on);
}

static void wrong_shapes_are_refused_on(clm_device *device) {
    clm_buffer *six = NULL;
    clm_buffer *two = NULL;
    int32_t tokens[2] = {0, 1};
    assert_ok(clm_buffer_create(&six, device, 6 * sizeof(float), "six"));
    assert_ok(clm_buffer_create(&two, device, 2 * sizeof(float), "two"));
    /* B T C = 1 2 3 fits; then one thing at a time does not. */
    assert_status(CLM_ERROR_SHAPE, clm_embedding_forward(device, six, two, six, six, 1, 2, 3, 1));
    assert_message_has("wpe");
    assert_status(CLM_ERROR_SHAPE, clm_embedding_forward(device, six, two, six, six, 1, 2, 3, -1));
    assert_status(CLM_ERROR_SHAPE, clm_embedding_forward(device, two, two, six, six, 1, 2, 3, 0));
    assert_status(CLM_ERROR_SHAPE, clm_embedding_forward(device, six, two, two, six, 1, 2, 3, 0));
    assert_status(CLM_ERROR_SHAPE, clm_embedding_forward(device, six, two, six, six, 1, 0, 3, 0));
    assert_ok(backward_exactly(device, NULL, NULL, six, tokens, 1, 2, 3));
    assert_status(CLM_ERROR_SHAPE, backward_exactly(device, six, two, six, tokens, 1, 2, 3));
    assert_status(CLM_ERROR_SHAPE, backward_exactly(device, six, NULL, six, NULL, 1, 2, 3));
    tokens[1] = 2;
    assert_status(CLM_ERROR_SHAPE, backward_exactly(device, six, six, six, tokens, 1, 2, 3));
    assert_message_has("dwte");
    tokens[1] = -1;
    assert_status(CLM_ERROR_SHAPE, backward_exactly(device, six, six, six, tokens, 1, 2, 3));
    assert_message_has("token -1");
    tokens[1] = 1;
    /* Two tokens, three starts, two places. */
    assert_int_equal(clm_embedding_backward_scratch_bytes(device, 1, 2), 28);
    assert_int_equal(clm_embedding_backward_scratch_bytes(device, 1, 0), 0);
    assert_int_equal(clm_embedding_backward_scratch_bytes(device, 1 << 16, 1 << 16), 0);
    assert_status(CLM_ERROR_SHAPE,
                  clm_embedding_backward(device, six, NULL, six, tokens, 1, 2, 3, two));
    assert_message_has("scratch");
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
        cmocka_unit_test(gradient_is_that_of_the_formula),
        cmocka_unit_test(same_bits_twice),
        cmocka_unit_test(parts_give_the_same_bits),
        cmocka_unit_test(wrong_shapes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, clm_test_close_devices);
}
