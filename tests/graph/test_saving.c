/* Recomputation and 16-bit storage, in plain C: the same values without rounding, within a bound
 * with it, and nothing kept that need not be.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/operations.h"
#include "graph/restore.h"
#include "graph/transform.h"
#include "graph_cases.h"
#include "model/tasks/classify.h"

enum { B = CLM_TEST_B, T = CLM_TEST_T, C = CLM_TEST_C, POOL = 24 };
static const clm_test_draw usual = {.scale = 0.7, .vocabulary = 5, .rows_of = B * T, .classes = 2};

typedef struct saving {
    bool recompute;
    clm_dtype kept;
} saving;

static const saving nothing = {false, CLM_F32};

/* ---- a graph and its savings ---- */

/* A description whose tensors are marked here and there; the loss is of all rows, or of one of each
 * sequence. */
static clm_graph *random_graph(void) {
    clm_graph *g = NULL;
    const int64_t each[] = {B};
    assert_ok(clm_graph_create(&g));
    clm_tensor pool[POOL] = {clm_test_parameter(g, "pj", 3, B, T, C, 0)};
    const int count = 3 + (int)(clm_test_random() % 10);
    for (int i = 1; i < count; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "h.%d", i);
        pool[i] = clm_test_grow(g, pool + (i > 4 ? i - 4 : 0), i > 4 ? 4 : i);
        if (clm_test_random() % 3 == 0) {
            clm_graph_mark(g, pool[i], name);
        }
    }
    clm_tensor x = pool[count - 1];
    if (clm_test_random() % 3 == 0) {
        x = clm_graph_pick(g, x, clm_graph_input(g, "rows", CLM_I32, 1, each));
    }
    (void)clm_test_loss(g, x);
    assert_ok(clm_graph_status(g));
    return g;
}

/* Between two marks only what the next segment reads, too, is still kept, with what lies beside it:
 * statistics, and what attention reads. */
static void check_kept(const clm_graph *g) {
    uint32_t last = 0;
    clm_value_use *uses = calloc(g->tensor_count, sizeof *uses);
    bool *attended = calloc(g->tensor_count, sizeof *attended);
    assert_non_null(uses);
    assert_non_null(attended);
    clm_graph_uses(g, uses, &last);
    for (uint32_t i = g->backward; i > 0; i--) {
        const clm_node *node = &g->nodes[i - 1];
        bool crosses = false;
        bool kept = false;
        for (int k = 0; k < CLM_NODE_OUTPUTS; k++) {
            const clm_value_use *use = &uses[node->outputs[k]];
            if (node->outputs[k] != 0) {
                crosses = crosses || use->until > use->from || use->from == last ||
                          attended[node->outputs[k]];
                kept = kept || use->by_backward;
            }
        }
        for (int k = 0; k < 3 && node->operation == &clm_operation_attention; k++) {
            attended[clm_graph_base(g, node->inputs[k])] |= crosses;
        }
        assert_true(crosses || !kept);
    }
    free(uses);
    free(attended);
}

/* As a plan does it; NULL when nothing that is trained leads to the loss. */
static clm_graph *derived(const clm_graph *graph, const saving *how, clm_trains *trains,
                          void *context) {
    clm_graph *g = NULL;
    assert_ok(clm_graph_narrow(&g, graph));
    if (clm_graph_derive(g, g->outputs[0].tensor, trains, context) != CLM_OK) {
        clm_graph_free(g);
        return NULL;
    }
    assert_ok(clm_graph_prune(g));
    if (how->recompute) {
        assert_ok(clm_graph_recompute(g));
        check_kept(g);
    }
    if (how->kept != CLM_F32) {
        assert_ok(clm_graph_halve(g, how->kept));
    }
    assert_ok(clm_graph_fuse(g));
    return g;
}

/* Lets conversions copy, so that nothing but their place can matter. Returns how many there are. */
static int without_rounding(clm_graph *g) {
    int count = 0;
    for (uint32_t i = 0; i < g->node_count; i++) {
        clm_node *node = &g->nodes[i];
        if (node->operation == &clm_operation_round16 ||
            node->operation == &clm_operation_widen16) {
            node->operation = &clm_operation_reshape;
            count++;
        }
    }
    return count;
}

/* ---- the same values ---- */

typedef struct result {
    double *values; /* losses, then gradients by parameter of the description */
    size_t count;
} result;

static void add_to(result *r, const double *values, size_t count) {
    r->values = realloc(r->values, (r->count + count) * sizeof *r->values);
    assert_non_null(r->values);
    memcpy(r->values + r->count, values, count * sizeof *values);
    r->count += count;
}

/* Attention's forward pass read the same queries, keys and values as its backward pass. Both are
 * nodes of one pass: the log-sum-exp leads from one to the other. */
static int check_read_as_stored(const clm_graph *g, const clm_reference_run *run) {
    int count = 0;
    for (uint32_t i = g->backward; i < g->node_count; i++) {
        const clm_node *backward = &g->nodes[i];
        if (backward->operation != &clm_operation_attention_backward) {
            continue;
        }
        const clm_node *forward = &g->nodes[clm_graph_about(g, backward->inputs[7])->node];
        assert_ptr_equal(forward->operation, &clm_operation_attention);
        for (int k = 0; k < 3; k++) {
            assert_memory_equal(
                run->values[forward->inputs[k]], run->values[backward->inputs[k + 1]],
                (size_t)clm_shape_count(clm_node_shape(g, forward, k)) * sizeof(double));
        }
        count++;
    }
    return count;
}

/* Inputs and parameters from `drawn`, by name. */
static result run(const clm_graph *g, const clm_reference_run *drawn, int *attentions) {
    result r = {NULL, 0};
    clm_reference_run run = {0};
    assert_ok(clm_reference_run_make(&run, g));
    for (uint32_t i = 1; i < g->tensor_count; i++) {
        const clm_tensor_about *about = clm_graph_about(g, i);
        const size_t count = (size_t)clm_shape_count(&about->shape);
        if (about->kind != CLM_TENSOR_INPUT && about->kind != CLM_TENSOR_PARAMETER) {
            continue;
        }
        const uint32_t from = clm_graph_find(drawn->graph, about->kind, about->name);
        if (about->type == CLM_I32) {
            memcpy(run.ids[i], drawn->ids[from], count * sizeof **run.ids);
        } else {
            memcpy(run.values[i], drawn->values[from], count * sizeof **run.values);
        }
    }
    assert_ok(clm_reference_execute(&run, 1.0));
    *attentions += check_read_as_stored(g, &run);
    const uint32_t losses = g->outputs[0].tensor;
    add_to(&r, run.values[losses], (size_t)clm_shape_count(&clm_graph_about(g, losses)->shape));
    for (uint32_t i = 1; i < drawn->graph->tensor_count; i++) {
        const clm_tensor_about *about = clm_graph_about(drawn->graph, i);
        if (about->kind == CLM_TENSOR_PARAMETER) {
            const size_t count = (size_t)clm_shape_count(&about->shape);
            double *gradient = calloc(count, sizeof *gradient);
            assert_non_null(gradient);
            const uint32_t of = clm_graph_find(g, CLM_TENSOR_PARAMETER, about->name);
            if (of != 0) {
                clm_reference_gradient(&run, of, gradient);
            }
            add_to(&r, gradient, count);
            free(gradient);
        }
    }
    clm_reference_run_free(&run);
    return r;
}

static uint32_t backward_nodes(const clm_graph *g) {
    return g->node_count - g->backward;
}

/* Exactly the same, whichever parameters are trained. */
static void random_graphs_give_the_same(void **state) {
    (void)state;
    static const saving savings[] = {{true, CLM_F32}, {false, CLM_F16}, {true, CLM_BF16}};
    int changed[3] = {0};
    int checked = 0;
    int attentions = 0;
    for (int n = 0; n < 2000; n++) {
        clm_graph *g = random_graph();
        unsigned bits = clm_test_random();
        clm_graph *plain = derived(g, &nothing, clm_test_trains_by_bit, &bits);
        if (plain == NULL) {
            clm_graph_free(g);
            continue;
        }
        clm_reference_run drawn = {0};
        assert_ok(clm_reference_run_make(&drawn, g));
        clm_test_draw_values(&drawn, &usual);
        const result expected = run(plain, &drawn, &attentions);
        for (int i = 0; i < 3; i++) {
            clm_graph *saved = derived(g, &savings[i], clm_test_trains_by_bit, &bits);
            (void)without_rounding(saved);
            const result got = run(saved, &drawn, &attentions);
            assert_int_equal(got.count, expected.count);
            assert_memory_equal(got.values, expected.values, got.count * sizeof *got.values);
            changed[i] += backward_nodes(saved) > backward_nodes(plain);
            free(got.values);
            clm_graph_free(saved);
        }
        checked++;
        free(expected.values);
        clm_reference_run_free(&drawn);
        clm_graph_free(plain);
        clm_graph_free(g);
    }
    print_message("%d graphs; recompute changed %d, 16 bits %d, both %d\n", checked, changed[0],
                  changed[1], changed[2]);
    assert_true(checked > 1000 && changed[0] > 500 && changed[1] > 500 && changed[2] > 500);
}

/* ---- rounding ---- */

/* The largest difference of losses and gradients, in units of the rounding of 16 bits by
 * 1 + the largest gradient. */
static double units_apart(const result *got, const result *expected, double unit) {
    double most = 0.0;
    double apart = 0.0;
    for (size_t i = 0; i < got->count; i++) {
        const double difference = fabs(got->values[i] - expected->values[i]);
        most = fabs(expected->values[i]) > most ? fabs(expected->values[i]) : most;
        apart = isnan(apart) || difference <= apart ? apart : difference;
    }
    return apart / (1.0 + most) / unit;
}

/* One rounding of 2^-11 or 2^-8 is passed on by a few operations that double it at most, mostly; a
 * graph of products of products can do more, so a few in a thousand may exceed that. */
static void rounding_is_bounded(void **state) {
    (void)state;
    enum { GRAPHS = 3000 };
    int checked = 0;
    int beyond = 0;
    int attentions = 0;
    for (int n = 0; n < GRAPHS; n++) {
        clm_graph *g = random_graph();
        unsigned bits = clm_test_random();
        const saving how = {n % 2 != 0, n / 2 % 2 != 0 ? CLM_F16 : CLM_BF16};
        clm_graph *plain = derived(g, &nothing, clm_test_trains_by_bit, &bits);
        if (plain != NULL) {
            clm_graph *saved = derived(g, &how, clm_test_trains_by_bit, &bits);
            clm_reference_run drawn = {0};
            assert_ok(clm_reference_run_make(&drawn, g));
            clm_test_draw_values(&drawn, &usual);
            const result expected = run(plain, &drawn, &attentions);
            const result got = run(saved, &drawn, &attentions);
            beyond +=
                !(units_apart(&got, &expected, how.kept == CLM_F16 ? 0x1p-11 : 0x1p-8) <= 4.0);
            checked++;
            free(got.values);
            free(expected.values);
            clm_reference_run_free(&drawn);
            clm_graph_free(saved);
            clm_graph_free(plain);
        }
        clm_graph_free(g);
    }
    print_message("%d graphs, %d beyond 4 units; %d attentions\n", checked, beyond, attentions);
    assert_true(checked > GRAPHS / 2 && attentions > 100);
    assert_true(beyond <= checked / 50);
}

/* ---- GPT-2 ---- */

static bool trains_from(void *context, const char *name) {
    int layer = 0;
    return sscanf(name, "h.%d.", &layer) == 1 ? layer >= *(const int *)context
                                              : *(const int *)context == 0 || name[0] != 'w';
}

static int nodes_of(const clm_graph *g, const clm_operation *operation) {
    int count = 0;
    for (uint32_t i = 0; i < g->node_count; i++) {
        count += g->nodes[i].operation == operation;
    }
    return count;
}

/* What is kept of three layers: of each block but the top one queries, keys and values, attention,
 * the stream after it and the hidden layer; of the middle one its input, too. That of the lowest is
 * made again from the tokens, or is frozen. */
static void of_gpt2_is_kept_what_must_be(void **state) {
    (void)state;
    static const struct {
        int first;
        saving how;
        int rounded, widened, norms, gelus, attentions, embeddings;
    } cases[] = {
        /* Besides seven norms: two again for each block but the top one. */
        {0, {false, CLM_F32}, 0, 0, 7, 0, 3, 1},      {0, {false, CLM_F16}, 9, 9 + 2, 11, 2, 3, 2},
        {0, {true, CLM_F32}, 0, 0, 11, 0, 5, 1},      {0, {true, CLM_F16}, 1, 1, 11, 0, 5, 2},
        {1, {false, CLM_BF16}, 4, 4 + 1, 9, 1, 3, 1}, {1, {true, CLM_BF16}, 0, 0, 9, 0, 4, 1},
        {2, {true, CLM_BF16}, 0, 0, 7, 0, 3, 1},
    };
    clm_model_config config = CLM_MODEL_CONFIG_DEFAULT;
    clm_graph *g = NULL;
    config.n_layer = 3;
    config.n_embd = 8;
    config.n_head = 2;
    config.n_labels = 2;
    assert_ok(clm_graph_create(&g));
    clm_classify_describe(g, &config, B, T, true);
    assert_ok(clm_graph_status(g));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int first = cases[i].first;
        clm_graph *saved = derived(g, &cases[i].how, trains_from, &first);
        assert_non_null(saved);
        assert_int_equal(nodes_of(saved, &clm_operation_round16), cases[i].rounded);
        assert_int_equal(nodes_of(saved, &clm_operation_widen16), cases[i].widened);
        assert_int_equal(nodes_of(saved, &clm_operation_layernorm), cases[i].norms);
        assert_int_equal(nodes_of(saved, &clm_operation_gelu), cases[i].gelus);
        assert_int_equal(nodes_of(saved, &clm_operation_attention), cases[i].attentions);
        assert_int_equal(nodes_of(saved, &clm_operation_embedding), cases[i].embeddings);
        /* The last product of a block is never run again. */
        assert_int_equal(nodes_of(saved, &clm_operation_linear),
                         3 * 4 + 2 + 3 * (cases[i].attentions - 3));
        clm_graph_free(saved);
    }
    clm_graph_free(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_graphs_give_the_same),
        cmocka_unit_test(rounding_is_bounded),
        cmocka_unit_test(of_gpt2_is_kept_what_must_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
