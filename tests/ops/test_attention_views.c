/* Attention over views: rows apart, fewer key-value heads, first positions, lengths, and keys and
 * values with room for more.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attention_test.h"
#include "reference/attention.h"

typedef struct shape_case {
    int B, Tq, Tk, H, G, D;
    bool causal;
    int spare;          /* positions beyond Tk that keys and values have room for */
    int gap;            /* elements between rows, and before the first */
    bool has_first;     /* first positions that differ */
    bool has_lengths;   /* from 1 to Tk */
    unsigned gradients; /* a bit each that is not wanted */
} shape_case;

/* Few different D: each is a program of its own. */
static const shape_case shapes[] = {
    {2, 5, 9, 4, 1, 3, true, 0, 0, true, false, 0},
    {2, 33, 18, 3, 1, 3, false, 0, 5, false, false, 1},
    {2, 7, 13, 6, 3, 3, false, 3, 1, false, true, 2},
    {1, 1, 4, 2, 1, 3, true, 0, 2, true, false, 5},
    {3, 1, 20, 6, 2, 17, true, 3, 2, true, true, 0},
    {1, 30, 49, 4, 4, 17, false, 0, 3, false, true, 4},
    {2, 50, 70, 2, 1, 64, true, 0, 0, true, true, 0},
    {2, 1, 60, 4, 2, 64, false, 5, 0, false, true, 2},
    {1, 49, 97, 4, 2, 64, true, 31, 7, true, false, 6},
    {1, 3, 5, 2, 2, 17, true, 0, 1, true, true, 3},
};

/* An operand in its buffer, its gradient in another of the same layout, and both in the reference.
 */
typedef struct operand {
    clm_view view;
    attention_tensor x, gradient;
    size_t rows, width;
} operand;

static operand make_operand(const shape_case *c, int positions, int heads) {
    const size_t width = (size_t)heads * (size_t)c->D;
    const size_t stride = width + (size_t)c->gap;
    const size_t rows = (size_t)c->B * (size_t)positions;
    const size_t count = (size_t)c->gap + rows * stride;
    return (operand){.view = {.offset = (size_t)c->gap, .stride = c->gap > 0 ? (int)stride : 0},
                     .x = make_tensor(count, 1.0F),
                     .gradient = make_tensor(count, 1.0F),
                     .rows = rows,
                     .width = width};
}

static void free_operand(operand *o) {
    free_tensor(&o->x);
    free_tensor(&o->gradient);
}

/* The gradient where there is one, NaN as before where there is none. */
static void check_gradient(operand *o, size_t rows, bool wanted, const char *what) {
    const size_t stride = o->width + o->view.offset;
    for (size_t row = 0; row < rows; row++) {
        float *values = o->gradient.values + o->view.offset + row * stride;
        const double *exact = o->gradient.exact + o->view.offset + row * stride;
        float *expected = normal_floats(o->width, 1.0F);
        for (size_t i = 0; i < o->width; i++) {
            expected[i] = (float)exact[i];
            assert_true(wanted || isnan(values[i]));
        }
        if (wanted) {
            check_close(values, expected, o->width, 2e-5, 6e-6, what);
        }
        for (size_t i = 0; i < o->view.offset; i++) {
            assert_true(isnan(values[(ptrdiff_t)i - (ptrdiff_t)o->view.offset]));
        }
        free(expected);
    }
}

typedef struct views_case {
    shape_case shape;
    operand q, k, v;
    attention_tensor dout, out, lse;
    int32_t *first, *lengths;
    clm_reference_attention exact;
} views_case;

static views_case make_case(const shape_case *shape) {
    const shape_case s = *shape;
    const size_t queries = (size_t)s.B * (size_t)s.Tq * (size_t)s.H;
    views_case c = {.shape = s,
                    .q = make_operand(&s, s.Tq, s.H),
                    .k = make_operand(&s, s.Tk + s.spare, s.G),
                    .v = make_operand(&s, s.Tk + s.spare, s.G),
                    .dout = make_tensor(queries * (size_t)s.D, 1.0F),
                    .out = make_tensor(queries * (size_t)s.D, 1.0F),
                    .lse = make_tensor(queries, 1.0F),
                    .first = calloc((size_t)s.B, sizeof *c.first),
                    .lengths = calloc((size_t)s.B, sizeof *c.lengths)};
    assert_non_null(c.first);
    assert_non_null(c.lengths);
    for (int b = 0; b < s.B; b++) {
        const int room = s.Tk > s.Tq ? s.Tk - s.Tq + 1 : 1;
        c.first[b] = (int32_t)(clm_test_random() % (uint32_t)room);
        c.lengths[b] = b == 0 ? 1 : (int32_t)(clm_test_random() % (uint32_t)s.Tk) + 1;
    }
    c.exact = (clm_reference_attention){.B = s.B,
                                        .Tq = s.Tq,
                                        .Tk = s.Tk,
                                        .H = s.H,
                                        .G = s.G,
                                        .D = s.D,
                                        .causal = s.causal,
                                        .scale = 0.3,
                                        .first = s.has_first ? c.first : NULL,
                                        .lengths = s.has_lengths ? c.lengths : NULL,
                                        .q_stride = c.q.view.stride,
                                        .kv_stride = c.k.view.stride,
                                        .capacity = s.Tk + s.spare};
    return c;
}

static void free_case(views_case *c) {
    free_operand(&c->q);
    free_operand(&c->k);
    free_operand(&c->v);
    free_tensor(&c->dout);
    free_tensor(&c->out);
    free_tensor(&c->lse);
    free(c->first);
    free(c->lengths);
}

static void reference_forward(void *context) {
    views_case *c = context;
    clm_reference_attention_forward(c->out.exact, c->lse.exact, c->q.x.exact + c->q.view.offset,
                                    c->k.x.exact + c->k.view.offset,
                                    c->v.x.exact + c->v.view.offset, &c->exact);
}

static void run_reference(views_case *c) {
    attention_tensor *const inputs[] = {&c->q.x, &c->k.x, &c->v.x, &c->dout};
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
        widen(inputs[i]);
    }
    reference_forward(c);
    clm_reference_attention_backward(
        c->q.gradient.exact + c->q.view.offset, c->k.gradient.exact + c->k.view.offset,
        c->v.gradient.exact + c->v.view.offset, c->dout.exact, c->q.x.exact + c->q.view.offset,
        c->k.x.exact + c->k.view.offset, c->v.x.exact + c->v.view.offset, c->out.exact,
        c->lse.exact, &c->exact);
}

static clm_attention_arguments arguments_of(clm_device *device, views_case *c) {
    const shape_case *s = &c->shape;
    c->q.view.buffer = upload(device, &c->q.x);
    c->k.view.buffer = upload(device, &c->k.x);
    c->v.view.buffer = upload(device, &c->v.x);
    return (clm_attention_arguments){
        .shape = {.B = s->B,
                  .Tq = s->Tq,
                  .Tk = s->Tk,
                  .H = s->H,
                  .G = s->G,
                  .D = s->D,
                  .causal = s->causal,
                  .scale = 0.3F,
                  .capacity = s->Tk + s->spare},
        .q = c->q.view,
        .k = c->k.view,
        .v = c->v.view,
        .first = s->has_first ? clm_test_buffer(device, c->first, (size_t)s->B) : NULL,
        .lengths = s->has_lengths ? clm_test_buffer(device, c->lengths, (size_t)s->B) : NULL};
}

static clm_view gradient_view(clm_device *device, operand *o, bool wanted) {
    clm_view view = o->view;
    view.buffer = wanted ? room_for(device, &o->gradient) : NULL;
    if (!wanted) {
        for (size_t i = 0; i < o->gradient.count; i++) {
            o->gradient.values[i] = NAN;
        }
    }
    return view;
}

static void take_gradient(operand *o, const clm_view *view) {
    if (view->buffer != NULL) {
        download(&o->gradient, view->buffer);
    }
}

static void run_device(clm_device *device, views_case *c) {
    const unsigned skip = c->shape.gradients;
    const clm_attention_arguments a = arguments_of(device, c);
    clm_buffer *dout = upload(device, &c->dout);
    clm_buffer *out = room_for(device, &c->out);
    clm_buffer *lse = room_for(device, &c->lse);
    const clm_attention_gradients to = {gradient_view(device, &c->q, (skip & 1U) == 0),
                                        gradient_view(device, &c->k, (skip & 2U) == 0),
                                        gradient_view(device, &c->v, (skip & 4U) == 0)};
    assert_ok(clm_attention_forward(device, out, lse, &a));
    assert_ok(backward(device, &to, dout, out, lse, &a));
    download(&c->out, out);
    download(&c->lse, lse);
    take_gradient(&c->q, &to.dq);
    take_gradient(&c->k, &to.dk);
    take_gradient(&c->v, &to.dv);
    clm_test_buffer_check(a.q.buffer, c->q.x.count);
    clm_test_buffer_check(a.k.buffer, c->k.x.count);
    clm_test_buffer_check(a.v.buffer, c->v.x.count);
    clm_test_buffer_check(dout, c->dout.count);
    if (a.first != NULL) {
        clm_test_buffer_check((clm_buffer *)a.first, (size_t)c->shape.B);
    }
    if (a.lengths != NULL) {
        clm_test_buffer_check((clm_buffer *)a.lengths, (size_t)c->shape.B);
    }
}

static bool is_too_slow(clm_device *device, const shape_case *s) {
    return is_slow(device) && (double)s->B * s->H * s->Tq * s->Tk * s->D > 5e4;
}

static void matches_the_reference(clm_device *device) {
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        if (is_too_slow(device, &shapes[i])) {
            continue;
        }
        const size_t keys = (size_t)shapes[i].B * (size_t)shapes[i].Tk;
        char what[64];
        views_case c = make_case(&shapes[i]);
        (void)snprintf(what, sizeof what, "out of case %zu", i);
        run_device(device, &c);
        run_reference(&c);
        compare(&c.out, 4e-6, 4e-6, what);
        compare(&c.lse, 4e-6, 4e-6, what);
        check_gradient(&c.q, c.q.rows, (shapes[i].gradients & 1U) == 0, "dq");
        check_gradient(&c.k, keys, (shapes[i].gradients & 2U) == 0, "dk");
        check_gradient(&c.v, keys, (shapes[i].gradients & 4U) == 0, "dv");
        free_case(&c);
    }
}

static void views_match_the_reference(void **state) {
    (void)state;
    each_variant(matches_the_reference);
}

static void reference_gradients_are_finite_differences(void **state) {
    (void)state;
    static const shape_case small[] = {{2, 3, 5, 4, 2, 3, true, 0, 0, true, true, 0},
                                       {2, 2, 3, 2, 1, 2, false, 0, 1, false, true, 0}};
    for (size_t i = 0; i < sizeof small / sizeof *small; i++) {
        views_case c = make_case(&small[i]);
        run_reference(&c);
        check_slopes(&c.q.x, &c.q.gradient, &c.dout, &c.out, reference_forward, &c);
        check_slopes(&c.k.x, &c.k.gradient, &c.dout, &c.out, reference_forward, &c);
        check_slopes(&c.v.x, &c.v.gradient, &c.dout, &c.out, reference_forward, &c);
        free_case(&c);
    }
}

/* A sequence without keys: zeros, and no gradient. */
static void no_keys(clm_device *device) {
    static const shape_case cases[] = {{2, 3, 5, 2, 1, 3, true, 0, 0, false, true, 0},
                                       {2, 1, 5, 2, 1, 3, false, 0, 0, false, true, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const shape_case *s = &cases[i];
        views_case c = make_case(s);
        c.lengths[0] = 0;
        run_device(device, &c);
        run_reference(&c);
        compare(&c.out, 4e-6, 4e-6, "out without keys");
        for (int n = 0; n < s->Tq * s->H * s->D; n++) {
            assert_true(c.out.values[n] == 0.0F && c.q.gradient.values[n] == 0.0F);
        }
        check_gradient(&c.k, c.k.rows, true, "dk without keys");
        check_gradient(&c.v, c.v.rows, true, "dv without keys");
        free_case(&c);
    }
}

static void a_sequence_without_keys_is_zero(void **state) {
    (void)state;
    each_variant(no_keys);
}

/* ---- a query's result does not depend on what else there is ---- */

/* Queries from `first` on of a sequence of qkv (T,3C), whose keys and values have `capacity`. */
static void forward_part(clm_device *device, float *out, clm_buffer *qkv, int first, int queries,
                         int valid, int H, int D) {
    const int C = H * D;
    const int32_t position = first;
    const int32_t length = valid;
    clm_attention_arguments a = clm_attention_fused(qkv, 1, valid, H, D, true);
    a.shape.Tq = queries;
    a.q.offset = (size_t)first * 3 * (size_t)C;
    clm_buffer *starts = clm_test_buffer(device, &position, 1);
    clm_buffer *lengths = clm_test_buffer(device, &length, 1);
    a.first = starts;
    a.lengths = lengths;
    clm_buffer *to = clm_test_buffer(device, NULL, (size_t)queries * (size_t)C);
    assert_ok(clm_attention_forward(device, to, NULL, &a));
    clm_test_buffer_read(to, out, (size_t)queries * (size_t)C);
    clm_test_buffer_check(to, (size_t)queries * (size_t)C);
    clm_test_buffer_check(starts, 1);
    clm_test_buffer_check(lengths, 1);
}

static void parts(clm_device *device) {
    enum { T = 60, H = 2, D = 64, C = H * D, B = 3 };
    if (is_slow(device)) {
        return;
    }
    const clm_attention_shape shape = {.B = B, .Tq = T, .Tk = T, .H = H, .G = H, .D = D};
    const bool same_bits = clm_attention_backward_scratch_bytes(device, &shape) == 0; /* item */
    float *values = normal_floats((size_t)B * T * 3 * C, 1.0F);
    float *whole = normal_floats((size_t)B * T * C, 1.0F);
    float *part = normal_floats((size_t)T * C, 1.0F);
    clm_buffer *out = clm_test_buffer(device, NULL, (size_t)B * T * C);
    clm_buffer *qkv = clm_test_buffer(device, values, (size_t)B * T * 3 * C);
    assert_ok(fused_forward(device, out, NULL, qkv, (attention_sizes){B, T, H, D, true}));
    clm_test_buffer_read(out, whole, (size_t)B * T * C);
    /* The last sequence alone, in pieces, each with no more keys than it sees. */
    float *expected = whole + (size_t)(B - 1) * T * C;
    clm_buffer *alone =
        clm_test_buffer(device, values + (size_t)(B - 1) * T * 3 * C, (size_t)T * 3 * C);
    static const int ends[] = {9, 10, 11, 47, 48, 49, 50, 60};
    int first = 0;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        forward_part(device, part + (size_t)first * C, alone, first, ends[i] - first, ends[i], H,
                     D);
        first = ends[i];
    }
    assert_all_close(part, expected, (size_t)T * C, 4e-6, 4e-6, "queries in pieces");
    if (same_bits) {
        assert_memory_equal(part, expected, (size_t)T * C * sizeof(float));
    }
    clm_test_buffer_check(out, (size_t)B * T * C);
    clm_test_buffer_check(qkv, (size_t)B * T * 3 * C);
    clm_test_buffer_check(alone, (size_t)T * 3 * C);
    free(values);
    free(whole);
    free(part);
}

static void pieces_are_the_whole(void **state) {
    (void)state;
    each_variant(parts);
}

static void wrong_arguments(clm_device *device) {
    clm_buffer *small = clm_test_buffer(device, NULL, 64);
    clm_buffer *large = clm_test_buffer(device, NULL, 512);
    const clm_attention_arguments good = {
        .shape = {.B = 2, .Tq = 3, .Tk = 4, .H = 4, .G = 2, .D = 2},
        .q = {.buffer = large},
        .k = {.buffer = large, .offset = 8, .stride = 16},
        .v = {.buffer = large, .stride = 16}};
    clm_attention_arguments bad = good;
    assert_ok(clm_attention_forward(device, small, NULL, &good));
    bad.shape.G = 3;
    assert_status(CLM_ERROR_SHAPE, clm_attention_forward(device, small, NULL, &bad));
    assert_message_has("4 heads cannot share 3 key-value heads");
    bad = good;
    bad.shape.capacity = 3;
    assert_status(CLM_ERROR_SHAPE, clm_attention_forward(device, small, NULL, &bad));
    assert_message_has("4 keys, and room for 3");
    bad = good;
    bad.k.stride = 3;
    assert_status(CLM_ERROR_SHAPE, clm_attention_forward(device, small, NULL, &bad));
    assert_message_has("8 rows of k have 4 elements, 3 apart");
    bad = good;
    bad.v.offset = 4096;
    assert_status(CLM_ERROR_SHAPE, clm_attention_forward(device, small, NULL, &bad));
    bad.v.offset = SIZE_MAX;
    assert_status(CLM_ERROR_SHAPE, clm_attention_forward(device, small, NULL, &bad));
    bad = good;
    bad.shape.capacity = 100;
    assert_status(CLM_ERROR_SHAPE, clm_attention_forward(device, small, NULL, &bad));
    const clm_attention_gradients none = {0};
    assert_status(CLM_ERROR_ARGUMENT,
                  clm_attention_backward(device, &none, small, small, small, &good, small));
    assert_message_has("no gradient is wanted");
    if (clm_attention_backward_scratch_bytes(device, &good.shape) > 0) {
        const clm_attention_gradients dq = {.dq = {.buffer = small}};
        assert_status(CLM_ERROR_SHAPE,
                      clm_attention_backward(device, &dq, small, small, small, &good, NULL));
        assert_message_has("scratch");
    }
    clm_test_buffer_check(small, 64);
    clm_test_buffer_check(large, 512);
}

static void wrong_arguments_are_refused(void **state) {
    (void)state;
    each_variant(wrong_arguments);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(views_match_the_reference),
        cmocka_unit_test(reference_gradients_are_finite_differences),
        cmocka_unit_test(a_sequence_without_keys_is_zero),
        cmocka_unit_test(pieces_are_the_whole),
        cmocka_unit_test(wrong_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, clm_test_close_devices);
}
