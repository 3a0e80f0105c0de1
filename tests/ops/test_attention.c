/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attention_test.h"
#include "reference/attention.h"

typedef struct attention_case {
    attention_sizes shape;
    attention_tensor qkv, dout, out, lse, dqkv;
} attention_case;

static attention_case make_case(attention_sizes shape, float scale) {
    const size_t places = (size_t)shape.B * (size_t)shape.T * (size_t)shape.H;
    const size_t count = places * (size_t)shape.D;
    return (attention_case){.shape = shape,
                            .qkv = make_tensor(3 * count, scale),
                            .dout = make_tensor(count, 1.0F),
                            .out = make_tensor(count, 1.0F),
                            .lse = make_tensor(places, 1.0F),
                            .dqkv = make_tensor(3 * count, 1.0F)};
}

static void free_case(attention_case *c) {
    free_tensor(&c->qkv);
    free_tensor(&c->dout);
    free_tensor(&c->out);
    free_tensor(&c->lse);
    free_tensor(&c->dqkv);
}

static void reference_forward(void *context) {
    attention_case *c = context;
    const attention_sizes s = c->shape;
    const size_t C = (size_t)s.H * (size_t)s.D;
    const double *qkv = c->qkv.exact;
    const clm_reference_attention shape =
        clm_reference_attention_fused(s.B, s.T, s.H, s.D, s.causal);
    clm_reference_attention_forward(c->out.exact, c->lse.exact, qkv, qkv + C, qkv + 2 * C, &shape);
}

static void run_reference(attention_case *c) {
    const attention_sizes s = c->shape;
    widen(&c->qkv);
    widen(&c->dout);
    reference_forward(c);
    const size_t C = (size_t)s.H * (size_t)s.D;
    const double *qkv = c->qkv.exact;
    double *dqkv = c->dqkv.exact;
    const clm_reference_attention shape =
        clm_reference_attention_fused(s.B, s.T, s.H, s.D, s.causal);
    clm_reference_attention_backward(dqkv, dqkv + C, dqkv + 2 * C, c->dout.exact, qkv, qkv + C,
                                     qkv + 2 * C, c->out.exact, c->lse.exact, &shape);
}

/* Forward and backward on the device, in guarded buffers. */
static void run_device(clm_device *device, attention_case *c) {
    clm_buffer *qkv = upload(device, &c->qkv);
    clm_buffer *dout = upload(device, &c->dout);
    clm_buffer *out = room_for(device, &c->out);
    clm_buffer *lse = room_for(device, &c->lse);
    clm_buffer *dqkv = room_for(device, &c->dqkv);
    assert_ok(fused_forward(device, out, lse, qkv, c->shape));
    assert_ok(fused_backward(device, dqkv, dout, qkv, out, lse, c->shape));
    download(&c->out, out);
    download(&c->lse, lse);
    download(&c->dqkv, dqkv);
    clm_test_buffer_check(qkv, c->qkv.count);
    clm_test_buffer_check(dout, c->dout.count);
}

/* Scores of unit variance carry the rounding of D products, a few 1e-7; the weights made of them
 * that much relatively; out is a weighted mean of unit numbers. Gradients of keys and values add
 * the shares of up to T queries, most of them tiny: their size grows with log T, not T, when
 * causal and stays near 1 else. */
static const double atol_forward = 4e-6, atol_backward = 2e-5, rtol = 4e-6;

static void compare_case(attention_case *c) {
    char what[96];
    const attention_sizes s = c->shape;
    (void)snprintf(what, sizeof what, "out of B %d T %d H %d D %d causal %d", s.B, s.T, s.H, s.D,
                   s.causal);
    compare(&c->out, atol_forward, rtol, what);
    memcpy(what, "lse", 3);
    compare(&c->lse, atol_forward, rtol, what);
    memcpy(what, "dqk", 3);
    compare(&c->dqkv, atol_backward, rtol, what);
}

/* A simulator, whose tiles have 16 queries, sees all accesses in small shapes; what is left out are
 * questions about values. */
static bool is_too_slow(clm_device *device, attention_sizes s) {
    return is_slow(device) && (double)s.B * s.H * s.T * s.T * s.D > 5e4;
}

/* Tiles are 48 or 24 queries (item) and 64 (group); vectors 16 or 8 wide.
 * Few different D: each is a program of its own. */
static const attention_sizes shapes[] = {
    {1, 1, 1, 1, true},    {1, 2, 1, 3, true},    {2, 1, 3, 3, false},    {1, 5, 2, 3, true},
    {2, 23, 2, 3, true},   {1, 24, 1, 17, false}, {1, 25, 2, 17, true},   {2, 47, 2, 64, true},
    {1, 48, 2, 64, true},  {1, 49, 3, 64, true},  {1, 49, 1, 64, false},  {1, 63, 1, 65, true},
    {1, 64, 2, 80, true},  {2, 65, 1, 128, true}, {1, 97, 2, 80, false},  {1, 120, 3, 64, true},
    {1, 200, 2, 17, true}, {1, 66, 1, 256, true}, {1, 300, 1, 64, false}, {1, 100, 1, 1, true},
};

static void matches_the_reference(clm_device *device) {
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        if (is_too_slow(device, shapes[i])) {
            continue;
        }
        attention_case c = make_case(shapes[i], 1.0F);
        run_device(device, &c);
        run_reference(&c);
        compare_case(&c);
        free_case(&c);
    }
}

static void attention_matches_the_reference(void **state) {
    (void)state;
    each_variant(matches_the_reference);
}

static void reference_gradients_are_finite_differences(void **state) {
    (void)state;
    static const attention_sizes small[] = {
        {1, 1, 1, 1, true}, {2, 5, 2, 3, true}, {1, 6, 2, 4, false}};
    for (size_t i = 0; i < sizeof small / sizeof *small; i++) {
        attention_case c = make_case(small[i], 1.0F);
        run_reference(&c);
        check_slopes(&c.qkv, &c.dqkv, &c.dout, &c.out, reference_forward, &c);
        free_case(&c);
    }
}

/* The tolerances above notice one weight, or one gradient, that is wrong by little. */
static void tolerances_notice_a_wrong_value(void **state) {
    (void)state;
    attention_case c = make_case((attention_sizes){1, 20, 1, 8, true}, 1.0F);
    run_reference(&c);
    for (size_t i = 0; i < c.out.count; i++) {
        c.out.values[i] = (float)c.out.exact[i];
    }
    assert_int_equal(clm_test_worst(c.out.values, c.out.values, c.out.count, atol_forward, rtol),
                     c.out.count);
    /* A scale of 1 / sqrt(D + 1e-4) instead of 1 / sqrt(D): */
    for (size_t i = 0; i < c.qkv.count; i++) {
        const bool is_query = i % 24 < 8;
        c.qkv.exact[i] *= is_query ? sqrt(8.0 / 8.001) : 1.0;
    }
    reference_forward(&c);
    float *right = keep(&c.out);
    for (size_t i = 0; i < c.out.count; i++) {
        c.out.values[i] = (float)c.out.exact[i];
    }
    assert_true(clm_test_worst(c.out.values, right, c.out.count, atol_forward, rtol) < c.out.count);
    free(right);
    free_case(&c);
}

static void large_scores(clm_device *device) {
    const attention_sizes shape = {1, 50, 2, 17, true};
    if (is_too_slow(device, shape)) {
        return;
    }
    attention_case c = make_case(shape, large_scale);
    run_device(device, &c);
    run_reference(&c);
    check_large_scores(&c.lse, &c.out, &c.dqkv);
    free_case(&c);
}

static void large_scores_do_not_overflow(void **state) {
    (void)state;
    each_variant(large_scores);
}

/* qkv + this: channel d of part 0 (q), 1 (k) or 2 (v) at a position, of head 0. */
static size_t place(const attention_case *c, int part, int position, int d) {
    const size_t C = (size_t)(c->shape.H * c->shape.D);
    return ((size_t)position * 3 + (size_t)part) * C + (size_t)d;
}

static bool row_is_finite(const attention_case *c, int position) {
    const size_t C = (size_t)(c->shape.H * c->shape.D);
    return are_finite(c->out.values + (size_t)position * C, C);
}

static void not_finite(clm_device *device) {
    const attention_sizes shape = {1, 60, 1, 3, true};
    if (is_too_slow(device, shape)) {
        return;
    }
    attention_case c = make_case(shape, 1.0F);
    /* A query that is NaN: its own row only. */
    c.qkv.values[place(&c, 0, 20, 1)] = NAN;
    run_device(device, &c);
    for (int t = 0; t < shape.T; t++) {
        assert_int_equal(row_is_finite(&c, t), t != 20);
    }
    /* A key that is NaN: every row that sees it. */
    c.qkv.values[place(&c, 0, 20, 1)] = 0.5F;
    c.qkv.values[place(&c, 1, 30, 2)] = NAN;
    run_device(device, &c);
    for (int t = 0; t < shape.T; t++) {
        assert_int_equal(row_is_finite(&c, t), t < 30);
    }
    /* A score of -infinity is a weight of 0: finite, and as if the key were not there. */
    for (int t = 0; t < shape.T; t++) {
        c.qkv.values[place(&c, 0, t, 2)] = 1.0F;
    }
    c.qkv.values[place(&c, 1, 30, 2)] = -INFINITY;
    run_device(device, &c);
    for (int t = 0; t < shape.T; t++) {
        assert_int_equal(row_is_finite(&c, t), true);
    }
    run_reference(&c);
    compare(&c.out, atol_forward, rtol, "out with a score of -infinity");
    /* First keys all -infinity: rows that see nothing else are NaN, later ones right. */
    for (int t = 0; t < 52; t++) {
        c.qkv.values[place(&c, 1, t, 2)] = -INFINITY;
    }
    run_device(device, &c);
    for (int t = 0; t < shape.T; t++) {
        assert_int_equal(row_is_finite(&c, t), t >= 52);
    }
    free_case(&c);
}

static void nonfinite_values_stay_in_their_rows(void **state) {
    (void)state;
    each_variant(not_finite);
}

/* Attention without a mask does not care in which order keys (with their values) stand. */
static void permutation(clm_device *device) {
    const attention_sizes shape = {1, 61, 1, 17, false};
    if (is_too_slow(device, shape)) {
        return;
    }
    attention_case c = make_case(shape, 1.0F);
    run_device(device, &c);
    float *before = keep(&c.out);
    for (int t = shape.T - 1; t > 0; t--) {
        const int other = (int)(clm_test_random() % (uint32_t)(t + 1));
        for (int part = 1; part < 3; part++) {
            for (int d = 0; d < shape.D; d++) {
                const float kept = c.qkv.values[place(&c, part, t, d)];
                c.qkv.values[place(&c, part, t, d)] = c.qkv.values[place(&c, part, other, d)];
                c.qkv.values[place(&c, part, other, d)] = kept;
            }
        }
    }
    run_device(device, &c);
    assert_all_close(c.out.values, before, c.out.count, atol_forward, rtol, "out of permuted keys");
    free(before);
    free_case(&c);
}

static void the_order_of_keys_does_not_matter(void **state) {
    (void)state;
    each_variant(permutation);
}

static void causal(clm_device *device) {
    const attention_sizes shape = {1, 70, 1, 17, true};
    if (is_too_slow(device, shape)) {
        return;
    }
    attention_case c = make_case(shape, 1.0F);
    run_device(device, &c);
    float *before = keep(&c.out);
    static const int changed[] = {1, 16, 47, 48, 64, 69};
    for (size_t i = 0; i < sizeof changed / sizeof *changed; i++) {
        float *row = c.qkv.values + place(&c, 0, changed[i], 0);
        float kept[3 * 17];
        memcpy(kept, row, sizeof kept);
        clm_test_fill_normal(row, 3 * 17, 3.0F);
        run_device(device, &c);
        const size_t same = (size_t)changed[i] * (size_t)shape.D;
        assert_memory_equal(c.out.values, before, same * sizeof *before);
        assert_memory_not_equal(c.out.values + same, before + same, 17 * sizeof *before);
        memcpy(row, kept, sizeof kept);
    }
    free(before);
    free_case(&c);
}

static void a_later_token_does_not_change_an_earlier_output(void **state) {
    (void)state;
    each_variant(causal);
}

static void twice(clm_device *device) {
    const attention_sizes shape = {2, 130, 2, 17, true};
    if (is_too_slow(device, shape)) {
        return;
    }
    attention_case c = make_case(shape, 1.0F);
    run_device(device, &c);
    float *out = keep(&c.out);
    float *dqkv = keep(&c.dqkv);
    run_device(device, &c);
    assert_same_bits(&c.out, out);
    assert_same_bits(&c.dqkv, dqkv);
    free_case(&c);
}

static void the_same_input_gives_the_same_bits(void **state) {
    (void)state;
    each_variant(twice);
}

static void wrong_shapes(clm_device *device) {
    clm_buffer *small = clm_test_buffer(device, NULL, 64),
               *large = clm_test_buffer(device, NULL, 192);
    const attention_sizes good = {1, 8, 2, 4, true};
    attention_sizes bad = good;
    bad.T = 0;
    assert_status(CLM_ERROR_SHAPE, fused_forward(device, small, NULL, large, bad));
    bad = good;
    bad.D = CLM_ATTENTION_D_MOST + 1;
    assert_status(CLM_ERROR_UNSUPPORTED, fused_forward(device, small, NULL, large, bad));
    bad = good;
    bad.T = 4096;
    assert_status(CLM_ERROR_SHAPE, fused_forward(device, small, NULL, large, bad));
    assert_message_has("attention");
    assert_status(CLM_ERROR_SHAPE, fused_backward(device, large, small, large, small, NULL, good));
    assert_ok(fused_forward(device, small, NULL, large, good)); /* lse is not wanted */
    clm_test_buffer_check(small, 64);
    clm_test_buffer_check(large, 192);
}

static void wrong_shapes_are_refused(void **state) {
    (void)state;
    each_variant(wrong_shapes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attention_matches_the_reference),
        cmocka_unit_test(reference_gradients_are_finite_differences),
        cmocka_unit_test(tolerances_notice_a_wrong_value),
        cmocka_unit_test(large_scores_do_not_overflow),
        cmocka_unit_test(nonfinite_values_stay_in_their_rows),
        cmocka_unit_test(the_order_of_keys_does_not_matter),
        cmocka_unit_test(a_later_token_does_not_change_an_earlier_output),
        cmocka_unit_test(the_same_input_gives_the_same_bits),
        cmocka_unit_test(wrong_shapes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, clm_test_close_devices);
}
