/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attention_test.h"
#include "reference/attention.h"

typedef struct one_case {
    attention_sizes shape;
    int32_t *rows;
    attention_tensor q, kv, dout, out, lse, dq, dkv;
} one_case;

static clm_attention_arguments one_query(clm_buffer *q, clm_buffer *kv, const clm_buffer *rows,
                                         attention_sizes s) {
    const int C = s.H * s.D;
    return (clm_attention_arguments){
        .shape = {.B = s.B, .Tq = 1, .Tk = s.T, .H = s.H, .G = s.H, .D = s.D, .causal = true},
        .q = {.buffer = q},
        .k = {.buffer = kv, .stride = 2 * C},
        .v = {.buffer = kv, .offset = (size_t)C, .stride = 2 * C},
        .first = rows,
        .first_step = s.T};
}

static clm_status one_forward(clm_device *device, clm_buffer *out, clm_buffer *lse, clm_buffer *q,
                              clm_buffer *kv, const clm_buffer *rows, attention_sizes s) {
    const clm_attention_arguments a = one_query(q, kv, rows, s);
    return clm_attention_forward(device, out, lse, &a);
}

static clm_status one_backward(clm_device *device, clm_buffer *dq, clm_buffer *dkv,
                               clm_buffer *dout, clm_buffer *q, clm_buffer *kv, clm_buffer *out,
                               clm_buffer *lse, const clm_buffer *rows, attention_sizes s) {
    const clm_attention_arguments a = one_query(q, kv, rows, s);
    clm_attention_gradients to = {.dq = {.buffer = dq}, .dk = a.k, .dv = a.v};
    to.dk.buffer = dkv;
    to.dv.buffer = dkv;
    return backward(device, &to, dout, out, lse, &a);
}

/* The first sequence sees its first position only, the last all of them, others some. */
static one_case make_case(attention_sizes shape, float scale) {
    const size_t heads = (size_t)shape.B * (size_t)shape.H;
    const size_t count = heads * (size_t)shape.D;
    const size_t kv_count = 2 * count * (size_t)shape.T;
    one_case c = {.shape = shape,
                  .rows = malloc((size_t)shape.B * sizeof *c.rows),
                  .q = make_tensor(count, scale),
                  .kv = make_tensor(kv_count, scale),
                  .dout = make_tensor(count, 1.0F),
                  .out = make_tensor(count, 1.0F),
                  .lse = make_tensor(heads, 1.0F),
                  .dq = make_tensor(count, 1.0F),
                  .dkv = make_tensor(kv_count, 1.0F)};
    assert_non_null(c.rows);
    for (int b = 0; b < shape.B; b++) {
        int position = (int)(clm_test_random() % (uint32_t)shape.T);
        if (b == shape.B - 1) {
            position = shape.T - 1;
        } else if (b == 0) {
            position = 0;
        }
        c.rows[b] = b * shape.T + position;
    }
    return c;
}

static void free_case(one_case *c) {
    attention_tensor *tensors[] = {&c->q, &c->kv, &c->dout, &c->out, &c->lse, &c->dq, &c->dkv};
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        free_tensor(tensors[i]);
    }
    free(c->rows);
}

static void reference_forward(void *context) {
    one_case *c = context;
    const attention_sizes s = c->shape;
    const size_t C = (size_t)s.H * (size_t)s.D;
    const clm_reference_attention shape =
        clm_reference_attention_pooled(c->rows, s.B, s.T, s.H, s.D);
    clm_reference_attention_forward(c->out.exact, c->lse.exact, c->q.exact, c->kv.exact,
                                    c->kv.exact + C, &shape);
}

static void run_reference(one_case *c) {
    const attention_sizes s = c->shape;
    widen(&c->q);
    widen(&c->kv);
    widen(&c->dout);
    reference_forward(c);
    const size_t C = (size_t)s.H * (size_t)s.D;
    const clm_reference_attention shape =
        clm_reference_attention_pooled(c->rows, s.B, s.T, s.H, s.D);
    clm_reference_attention_backward(c->dq.exact, c->dkv.exact, c->dkv.exact + C, c->dout.exact,
                                     c->q.exact, c->kv.exact, c->kv.exact + C, c->out.exact,
                                     c->lse.exact, &shape);
}

/* Forward and backward on the device, in guarded buffers. */
static void run_device(clm_device *device, one_case *c) {
    clm_buffer *rows = clm_test_buffer(device, c->rows, (size_t)c->shape.B);
    clm_buffer *q = upload(device, &c->q);
    clm_buffer *kv = upload(device, &c->kv);
    clm_buffer *dout = upload(device, &c->dout);
    clm_buffer *out = room_for(device, &c->out);
    clm_buffer *lse = room_for(device, &c->lse);
    clm_buffer *dq = room_for(device, &c->dq);
    clm_buffer *dkv = room_for(device, &c->dkv);
    assert_ok(one_forward(device, out, lse, q, kv, rows, c->shape));
    assert_ok(one_backward(device, dq, dkv, dout, q, kv, out, lse, rows, c->shape));
    download(&c->out, out);
    download(&c->lse, lse);
    download(&c->dq, dq);
    download(&c->dkv, dkv);
    clm_test_buffer_check(rows, (size_t)c->shape.B);
    clm_test_buffer_check(q, c->q.count);
    clm_test_buffer_check(kv, c->kv.count);
    clm_test_buffer_check(dout, c->dout.count);
}

/* Scores of unit variance carry the rounding of D products, a few 1e-7; the weights made of them
 * that much relatively; out is a weighted mean of unit numbers, and gradients are products of D
 * and sums of T terms whose weights sum up to 1. Backward takes out and lse with their errors. */
static const double tolerance_absolute = 6e-6;
static const double tolerance_relative = 4e-6;

/* Around vectors of 4, 8 and 16 keys or channels, and around groups of 128 items of 4 keys. Few
 * different D: each is a program of its own. */
static const attention_sizes shapes[] = {
    {1, 1, 1, 1, true},    {2, 1, 3, 3, true},     {3, 5, 2, 3, true},    {2, 15, 1, 17, true},
    {3, 16, 2, 64, true},  {2, 17, 2, 1, true},    {3, 33, 3, 17, true},  {4, 120, 3, 64, true},
    {2, 127, 1, 65, true}, {3, 511, 2, 64, true},  {2, 513, 1, 65, true}, {2, 1031, 1, 3, true},
    {2, 67, 2, 256, true}, {2, 1024, 2, 64, true},
};

static bool is_too_slow(const clm_device *device, attention_sizes s) {
    return is_slow(device) && s.B * s.H * s.T * s.D > 8000;
}

static void matches_the_reference(clm_device *device) {
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        if (is_too_slow(device, shapes[i])) {
            continue;
        }
        one_case c = make_case(shapes[i], 1.0F);
        run_device(device, &c);
        run_reference(&c);
        char what[96];
        (void)snprintf(what, sizeof what, "out of B %d T %d H %d D %d", c.shape.B, c.shape.T,
                       c.shape.H, c.shape.D);
        compare(&c.out, tolerance_absolute, tolerance_relative, what);
        memcpy(what, "lse", 3);
        compare(&c.lse, tolerance_absolute, tolerance_relative, what);
        memcpy(what, " dq", 3);
        compare(&c.dq, tolerance_absolute, tolerance_relative, what);
        memcpy(what, "dkv", 3);
        compare(&c.dkv, tolerance_absolute, tolerance_relative, what);
        free_case(&c);
    }
}

static void one_query_matches_the_reference(void **state) {
    (void)state;
    each_variant(matches_the_reference);
}

/* qkv (B,T,3C) with the queries of `c` in their rows, and others where nobody looks. */
static float *full_input(const one_case *c) {
    const size_t C = (size_t)c->shape.H * (size_t)c->shape.D;
    const size_t positions = (size_t)c->shape.B * (size_t)c->shape.T;
    float *qkv = normal_floats(positions * 3 * C, 1.0F);
    for (size_t row = 0; row < positions; row++) {
        memcpy(qkv + row * 3 * C + C, c->kv.values + row * 2 * C, 2 * C * sizeof *qkv);
    }
    for (int b = 0; b < c->shape.B; b++) {
        memcpy(qkv + (size_t)c->rows[b] * 3 * C, c->q.values + (size_t)b * C, C * sizeof *qkv);
    }
    return qkv;
}

static void is_a_row_of_the_full_one(clm_device *device) {
    const attention_sizes shape = is_slow(device) ? (attention_sizes){2, 19, 1, 17, true}
                                                  : (attention_sizes){5, 131, 3, 64, true};
    one_case c = make_case(shape, 1.0F);
    run_device(device, &c);
    const size_t C = (size_t)shape.H * (size_t)shape.D;
    const size_t positions = (size_t)shape.B * (size_t)shape.T;
    float *qkv_values = full_input(&c);
    float *dout_values = normal_floats(positions * C, 0.0F);
    for (int b = 0; b < shape.B; b++) {
        memcpy(dout_values + (size_t)c.rows[b] * C, c.dout.values + (size_t)b * C,
               C * sizeof(float));
    }
    clm_buffer *qkv = clm_test_buffer(device, qkv_values, positions * 3 * C);
    clm_buffer *dout = clm_test_buffer(device, dout_values, positions * C);
    clm_buffer *out = clm_test_buffer(device, NULL, positions * C);
    clm_buffer *lse = clm_test_buffer(device, NULL, positions * (size_t)shape.H);
    clm_buffer *dqkv = clm_test_buffer(device, NULL, positions * 3 * C);
    assert_ok(fused_forward(device, out, lse, qkv, shape));
    assert_ok(fused_backward(device, dqkv, dout, qkv, out, lse, shape));
    float *full_out = read_floats(out, positions * C);
    float *full_dqkv = read_floats(dqkv, positions * 3 * C);
    const clm_attention_shape of_full = {
        .B = shape.B, .Tq = shape.T, .Tk = shape.T, .H = shape.H, .G = shape.H, .D = shape.D};
    const bool same_bits = clm_attention_backward_scratch_bytes(device, &of_full) == 0; /* item */
    for (int b = 0; b < shape.B; b++) {
        const size_t row = (size_t)c.rows[b];
        const size_t here = (size_t)b * C;
        if (same_bits) {
            assert_memory_equal(c.out.values + here, full_out + row * C, C * sizeof(float));
            assert_memory_equal(c.dq.values + here, full_dqkv + row * 3 * C, C * sizeof(float));
        }
        check_close(c.out.values + here, full_out + row * C, C, tolerance_absolute,
                    tolerance_relative, "out of a row");
        check_close(c.dq.values + here, full_dqkv + row * 3 * C, C, tolerance_absolute,
                    tolerance_relative, "dq of a row");
    }
    for (size_t row = 0; row < positions; row++) {
        check_close(c.dkv.values + row * 2 * C, full_dqkv + row * 3 * C + C, 2 * C,
                    tolerance_absolute, tolerance_relative, "dk and dv of a row");
    }
    clm_test_buffer_check(qkv, positions * 3 * C);
    clm_test_buffer_check(dout, positions * C);
    clm_test_buffer_check(out, positions * C);
    clm_test_buffer_check(lse, positions * (size_t)shape.H);
    clm_test_buffer_check(dqkv, positions * 3 * C);
    free(qkv_values);
    free(dout_values);
    free(full_out);
    free(full_dqkv);
    free_case(&c);
}

static void one_query_is_a_row_of_the_full_one(void **state) {
    (void)state;
    each_variant(is_a_row_of_the_full_one);
}

static void reference_gradients_are_finite_differences(void **state) {
    (void)state;
    static const attention_sizes small[] = {{1, 1, 1, 1, true}, {3, 5, 2, 3, true}};
    for (size_t s = 0; s < sizeof small / sizeof *small; s++) {
        one_case c = make_case(small[s], 1.0F);
        run_reference(&c);
        check_slopes(&c.q, &c.dq, &c.dout, &c.out, reference_forward, &c);
        check_slopes(&c.kv, &c.dkv, &c.dout, &c.out, reference_forward, &c);
        free_case(&c);
    }
}

/* kv + this: channel d of a key (part 0) or value (1) at a position, of the first head. */
static size_t place(const one_case *c, int b, int position, int part, int d) {
    const size_t C = (size_t)c->shape.H * (size_t)c->shape.D;
    return ((size_t)(b * c->shape.T + position) * 2 + (size_t)part) * C + (size_t)d;
}

static bool sequence_is_finite(const attention_tensor *tensor, const one_case *c, int b) {
    const size_t C = (size_t)c->shape.H * (size_t)c->shape.D;
    return are_finite(tensor->values + (size_t)b * C, C);
}

/* What lies beyond a sequence's position is not looked at, and has a gradient of exactly 0. */
static void beyond(clm_device *device) {
    one_case c = make_case((attention_sizes){2, 21, 1, 17, true}, 1.0F);
    c.rows[0] = 9;
    for (int t = 10; t < c.shape.T; t++) {
        for (int d = 0; d < c.shape.D; d++) {
            c.kv.values[place(&c, 0, t, 0, d)] = NAN;
            c.kv.values[place(&c, 0, t, 1, d)] = INFINITY;
        }
    }
    run_device(device, &c);
    assert_true(sequence_is_finite(&c.out, &c, 0));
    assert_true(sequence_is_finite(&c.dq, &c, 0));
    for (int t = 0; t < c.shape.T; t++) {
        for (int part = 0; part < 2; part++) {
            const float value = c.dkv.values[place(&c, 0, t, part, 3)];
            assert_int_equal(value == 0.0F, t > 9);
        }
    }
    /* What is seen and not finite spoils its own sequence. */
    c.kv.values[place(&c, 0, 9, 0, 16)] = NAN;
    run_device(device, &c);
    assert_false(sequence_is_finite(&c.out, &c, 0));
    assert_true(sequence_is_finite(&c.out, &c, 1));
    /* A score of -infinity is a weight of 0, also where a vector of keys has no other. */
    c.q.values[0] = 1.0F;
    for (int t = 0; t < 9; t++) {
        c.kv.values[place(&c, 0, t, 0, 0)] = -INFINITY;
    }
    c.kv.values[place(&c, 0, 9, 0, 16)] = 0.5F;
    run_device(device, &c);
    for (int d = 0; d < c.shape.D; d++) {
        assert_close(c.out.values[d], c.kv.values[place(&c, 0, 9, 1, d)], 1e-6, 1e-6);
    }
    free_case(&c);
}

static void later_keys_are_not_seen(void **state) {
    (void)state;
    each_variant(beyond);
}

static void large_scores(clm_device *device) {
    one_case c = make_case((attention_sizes){3, 50, 2, 17, true}, large_scale);
    run_device(device, &c);
    run_reference(&c);
    check_large_scores(&c.lse, &c.out, &c.dkv);
    free_case(&c);
}

static void large_scores_do_not_overflow(void **state) {
    (void)state;
    each_variant(large_scores);
}

static void twice(clm_device *device) {
    one_case c = make_case((attention_sizes){2, 130, 2, 17, true}, 1.0F);
    run_device(device, &c);
    float *out = keep(&c.out);
    float *dq = keep(&c.dq);
    float *dkv = keep(&c.dkv);
    run_device(device, &c);
    assert_same_bits(&c.out, out);
    assert_same_bits(&c.dq, dq);
    assert_same_bits(&c.dkv, dkv);
    free_case(&c);
}

static void the_same_input_gives_the_same_bits(void **state) {
    (void)state;
    each_variant(twice);
}

static void wrong_shapes(clm_device *device) {
    clm_buffer *small = NULL;
    clm_buffer *large = NULL;
    clm_buffer *rows = NULL;
    assert_ok(clm_buffer_create(&small, device, 16 * sizeof(float), "small"));
    assert_ok(clm_buffer_create(&large, device, 128 * sizeof(float), "large"));
    assert_ok(clm_buffer_create(&rows, device, 2 * sizeof(int32_t), "rows"));
    const attention_sizes bad[] = {
        {2, 0, 2, 4, true}, {2, 5, 2, 4, true}, {4, 2, 1, 4, true}, {2, 4, 1, 0, true}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_status(CLM_ERROR_SHAPE,
                      one_forward(device, small, NULL, small, large, rows, bad[i]));
        assert_message_has("attention");
    }
    const attention_sizes wide = {1, 1, 1, CLM_ATTENTION_D_MOST + 1, true};
    assert_status(CLM_ERROR_UNSUPPORTED,
                  one_forward(device, large, NULL, large, large, rows, wide));
    const attention_sizes good = {2, 4, 2, 4, true};
    assert_status(CLM_ERROR_SHAPE, one_forward(device, small, rows, small, large, rows, good));
    assert_status(CLM_ERROR_SHAPE, one_backward(device, small, small, small, small, large, small,
                                                small, rows, good));
    assert_message_has("dk");
    assert_status(CLM_ERROR_SHAPE,
                  one_backward(device, small, large, small, small, large, small, NULL, rows, good));
    clm_buffer_release(small);
    clm_buffer_release(large);
    clm_buffer_release(rows);
}

static void wrong_shapes_are_refused(void **state) {
    (void)state;
    each_variant(wrong_shapes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_query_matches_the_reference),
        cmocka_unit_test(one_query_is_a_row_of_the_full_one),
        cmocka_unit_test(reference_gradients_are_finite_differences),
        cmocka_unit_test(later_keys_are_not_seen),
        cmocka_unit_test(large_scores_do_not_overflow),
        cmocka_unit_test(the_same_input_gives_the_same_bits),
        cmocka_unit_test(wrong_shapes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, clm_test_close_devices);
}
