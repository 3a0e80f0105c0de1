/* Plans of random graphs on every device present: each way of saving memory against none, and each
 * with memory of its own for each tensor, or with poison in what was given away, against itself.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/plan.h"
#include "graph/reference.h"
#include "graph_cases.h"
#include "stored.h"
#include "support/test_devices.h"

enum { POOL = 16, VOCABULARY = 11, CONTEXT = 9, LABELS = 3 };

/* A short list, since kernels are built for shapes. */
typedef struct sizes {
    int64_t B, T, C, H;
} sizes;
static const sizes shapes[] = {{2, 3, 8, 2}, {3, 5, 12, 3}, {1, 9, 16, 1}};

/* ---- random graphs of operations that have kernels ---- */

/* "p<letter>.<what>"; a letter stands for one shape, and all parameters of it are trained or none,
 * because some kernels write two gradients at once. */
static clm_tensor parameter(clm_graph *g, char letter, const char *what, int rank, int64_t a,
                            int64_t b) {
    char name[16];
    (void)snprintf(name, sizeof name, "p%c.%s", letter, what);
    return clm_test_parameter(g, name, rank, a, b, 0, 0);
}

static char one_of(char first, unsigned count) {
    return (char)(first + (char)(clm_test_random() % count));
}

static clm_tensor linear(clm_graph *g, clm_tensor x, char letter, int64_t in, int64_t out) {
    return clm_graph_linear(g, x, parameter(g, letter, "w", 2, in, out), CLM_LINEAR_IN_OUT,
                            parameter(g, letter, "b", 1, out, 0));
}

static clm_tensor attend(clm_graph *g, const sizes *s, clm_tensor x) {
    const clm_attention_options causal = {.causal = true};
    const int64_t by_head[] = {s->B, s->T, s->H, s->C / s->H};
    const int64_t joined[] = {s->B, s->T, s->C};
    const clm_tensor qkv = linear(g, x, one_of('e', 2), s->C, 3 * s->C);
    clm_tensor of[3];
    for (int i = 0; i < 3; i++) {
        of[i] = clm_graph_reshape(g, clm_graph_columns(g, qkv, i * s->C, s->C), 4, by_head);
    }
    return clm_graph_reshape(g, clm_graph_attention(g, of[0], of[1], of[2], &causal), 3, joined);
}

static clm_tensor grow(clm_graph *g, const sizes *s, const clm_tensor *pool, int count) {
    const clm_tensor x = clm_test_any(pool, count);
    const char norm = one_of('c', 2);
    switch (clm_test_random() % 7) {
        case 0:
            return clm_graph_add(g, x, clm_test_any(pool, count));
        case 1:
            return linear(g, x, one_of('a', 2), s->C, s->C);
        case 2:
            return clm_graph_linear(g, x, parameter(g, one_of('a', 2), "w", 2, s->C, s->C),
                                    CLM_LINEAR_OUT_IN, (clm_tensor){0});
        case 3:
            return clm_graph_layernorm(g, x, parameter(g, norm, "weight", 1, s->C, 0),
                                       parameter(g, norm, "bias", 1, s->C, 0), 0.1F);
        case 4:
            return clm_graph_gelu(g, x);
        case 5: {
            const int64_t wide = 2 * s->C;
            const clm_tensor hidden = clm_graph_gelu(g, linear(g, x, 'g', s->C, wide));
            return clm_graph_add(g, x, linear(g, hidden, 'h', wide, s->C));
        }
        default:
            return clm_graph_add(g, x, attend(g, s, x));
    }
}

static clm_graph *random_graph(const sizes *s) {
    clm_graph *g = NULL;
    const int64_t ids[] = {s->B, s->T};
    assert_ok(clm_graph_create(&g));
    clm_tensor pool[POOL] = {clm_graph_embedding(g, clm_graph_input(g, "ids", CLM_I32, 2, ids),
                                                 parameter(g, 'i', "wte", 2, VOCABULARY, s->C),
                                                 parameter(g, 'i', "wpe", 2, CONTEXT, s->C))};
    const int count = 4 + (int)(clm_test_random() % 9);
    for (int i = 1; i < count; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "h.%d", i);
        const int from = i > 3 ? i - 3 : 0;
        if (clm_test_random() % 3 == 0) {
            clm_graph_mark(g, pool[i - 1], name);
        }
        pool[i] = grow(g, s, pool + from, i - from);
    }
    clm_tensor x = pool[count - 1];
    if (clm_test_random() % 2 == 0) {
        x = clm_graph_pick(g, x, clm_graph_input(g, "rows", CLM_I32, 1, &s->B));
    }
    (void)clm_test_loss(g, linear(g, x, 'j', s->C, LABELS));
    assert_ok(clm_graph_status(g));
    return g;
}

/* ---- running them ---- */

typedef struct store {
    clm_parameters *parameters;
    clm_workspace *workspace;
    const clm_reference_run *drawn;
} store;

typedef struct result {
    float *values; /* losses, then gradients of the store's parameters */
    size_t count;
    uint64_t bytes;
} result;

static void read_to(result *r, const clm_buffer *buffer, size_t count) {
    r->values = realloc(r->values, (r->count + count) * sizeof *r->values);
    assert_non_null(r->values);
    assert_ok(clm_buffer_read(buffer, 0, r->values + r->count, count * sizeof *r->values));
    r->count += count;
}

static const int32_t *ids_of(const store *s, const char *name) {
    return s->drawn->ids[clm_graph_find(s->drawn->graph, CLM_TENSOR_INPUT, name)];
}

/* Executes a plan, now and then twice, since it must leave nothing behind. */
static result run(store *s, const clm_graph *graph, const clm_plan_options *options) {
    result r = {0};
    clm_plan *plan = NULL;
    uint64_t largest_bytes = 0;
    const clm_plan_binding bindings[] = {{.name = "ids", .host = ids_of(s, "ids")},
                                         {.name = "targets", .host = ids_of(s, "targets")},
                                         {.name = "rows", .host = ids_of(s, "rows")}};
    assert_ok(clm_plan_make(&plan, s->workspace, graph, s->parameters, options));
    clm_plan_memory(plan, &r.bytes, &largest_bytes);
    for (int pass = options->apart ? 0 : 1; pass < 2; pass++) {
        s->parameters->gradients_are_zero = false;
        assert_ok(clm_parameters_zero_gradients(s->parameters));
        assert_ok(clm_plan_enqueue(plan, bindings, 3, 1.0F));
    }
    const clm_graph *made = clm_plan_graph(plan);
    read_to(&r, clm_plan_output(plan, "losses"),
            (size_t)clm_shape_count(&clm_graph_about(made, made->outputs[0].tensor)->shape));
    for (size_t i = 0; i < s->parameters->table.count; i++) {
        const clm_stored_parameter *stored = &s->parameters->stored[i];
        if (stored->trained) {
            read_to(&r, stored->gradient, stored->about->count);
        }
    }
    clm_plan_free(plan);
    return r;
}

/* The largest difference, by 1 + the largest value. */
static double apart(const result *a, const result *b) {
    double most = 0.0;
    double difference = 0.0;
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        const double between = fabs((double)a->values[i] - (double)b->values[i]);
        most = fmax(most, fabs((double)b->values[i]));
        difference = isnan(difference) || between <= difference ? difference : between;
    }
    return difference / (1.0 + most);
}

typedef struct tally {
    int graphs, beyond;
    int less[4]; /* take less memory, by way of saving it */
} tally;

/* Without rounding the same bits. With it, products of random matrices enlarge a difference now and
 * then, so a few graphs may exceed the bound. */
static void check_savings(store *s, const clm_graph *g, tally *t) {
    static const struct {
        bool recompute;
        clm_dtype kept;
        double bound;
    } ways[] = {{false, CLM_F32, 0.0},
                {true, CLM_F32, 0.0},
                {false, CLM_F16, 0x1p-8},
                {true, CLM_BF16, 0x1p-5}};
    result plain = {0};
    for (int i = 0; i < 4; i++) {
        clm_plan_options options = {
            .loss = "losses", .recompute = ways[i].recompute, .kept = ways[i].kept};
        const result saved = run(s, g, &options);
        const int another = 1 + (t->graphs + i) % 3;
        options.apart = another / 2 != 0;
        options.poison = another % 2 != 0;
        const result again = run(s, g, &options);
        plain = i == 0 ? saved : plain;
        const double between = apart(&saved, &plain);
        if (!(apart(&again, &saved) <= 0.0) || !(between <= ways[i].bound)) {
            print_error("%srecompute, kept as %s, %s%s: %g\n", options.recompute ? "" : "no ",
                        clm_dtype_name(options.kept), options.apart ? "apart " : "",
                        options.poison ? "poison" : "", between);
        }
        assert_memory_equal(again.values, saved.values, saved.count * sizeof *saved.values);
        assert_true(between <= ways[i].bound || ways[i].bound > 0.0);
        t->beyond += !(between <= ways[i].bound);
        t->less[i] += saved.bytes < plain.bytes;
        free(again.values);
        if (i > 0) {
            free(saved.values);
        }
    }
    t->graphs++;
    free(plain.values);
}

static void random_graphs_on(clm_device *device) {
    const int count = clm_test_is_simulator(device) ? 2 : 100;
    tally t = {0};
    for (int n = 0; n < count; n++) {
        const sizes *s = &shapes[n % 3];
        const clm_test_draw draw = {
            .scale = 0.3, .vocabulary = VOCABULARY, .rows_of = (int)(s->B * s->T), .classes = 3};
        clm_graph *g = random_graph(s);
        clm_reference_run drawn = {0};
        assert_ok(clm_reference_run_make(&drawn, g));
        clm_test_draw_values(&drawn, &draw);
        unsigned bits = clm_test_random() | 1U << ('j' - 'a'); /* the head is always trained */
        store st = {
            .drawn = &drawn,
            .parameters = clm_test_stored(device, &drawn, "losses", clm_test_trains_by_bit, &bits)};
        assert_ok(clm_workspace_create(&st.workspace, device));
        check_savings(&st, g, &t);
        clm_parameters_free(st.parameters);
        clm_workspace_free(st.workspace);
        clm_reference_run_free(&drawn);
        clm_graph_free(g);
    }
    print_message("less memory: recompute %d, F16 %d, both %d; %d beyond the bound\n", t.less[1],
                  t.less[2], t.less[3], t.beyond);
    assert_true(t.beyond <= t.graphs / 20);
    assert_true(count < 100 || (t.less[1] > 10 && t.less[2] > 10 && t.less[3] > 10));
}

static void random_graphs_give_the_same(void **state) {
    (void)state;
    clm_test_each_device(random_graphs_on);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_graphs_give_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, clm_test_close_devices);
}
