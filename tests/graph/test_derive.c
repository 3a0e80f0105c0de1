/* Gradients of every operation, of small networks and of random graphs, in plain C, against
 * differences of the loss.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "graph/transform.h"
#include "graph_cases.h"

#include <stdio.h>
#include <string.h>

enum { B = CLM_TEST_B, T = CLM_TEST_T, C = CLM_TEST_C, H = CLM_TEST_H, G = 1, V = 5 };
static const clm_test_draw usual = {.scale = 0.7, .vocabulary = V, .rows_of = B * T, .classes = 2};
static const clm_tensor none;

static clm_graph *new_graph(void) {
    clm_graph *graph = NULL;
    assert_ok(clm_graph_create(&graph));
    return graph;
}

static clm_tensor x_of(clm_graph *g, const char *name) {
    return clm_test_parameter(g, name, 3, B, T, C, 0);
}

static clm_tensor vector(clm_graph *g, const char *name, int64_t count) {
    return clm_test_parameter(g, name, 1, count, 0, 0, 0);
}

/* ---- each operation, all of whose operands are trained ---- */

static clm_tensor make_add(clm_graph *g) {
    const clm_tensor x = x_of(g, "x");
    return clm_graph_add(g, clm_graph_add(g, x, x_of(g, "y")), x);
}

static clm_tensor make_scale(clm_graph *g) {
    return clm_graph_scale(g, x_of(g, "x"), -1.7F);
}

static clm_tensor make_gelu(clm_graph *g) {
    return clm_graph_gelu(g, x_of(g, "x"));
}

static clm_tensor make_silu_gate(clm_graph *g) {
    return clm_graph_silu_gate(g, x_of(g, "gate"), x_of(g, "up"));
}

static clm_tensor make_layernorm(clm_graph *g) {
    const clm_tensor x = x_of(g, "x");
    return clm_graph_add(
        g, x, clm_graph_layernorm(g, x, vector(g, "weight", C), vector(g, "bias", C), 1e-5F));
}

static clm_tensor make_rmsnorm(clm_graph *g) {
    const clm_tensor x = x_of(g, "x");
    return clm_graph_add(g, x, clm_graph_rmsnorm(g, x, vector(g, "weight", C), 1e-5F));
}

static clm_tensor make_linear(clm_graph *g) {
    const clm_tensor y =
        clm_graph_linear(g, x_of(g, "x"), clm_test_parameter(g, "w", 2, C, 5, 0, 0),
                         CLM_LINEAR_IN_OUT, vector(g, "b", 5));
    return clm_graph_linear(g, y, clm_test_parameter(g, "w2", 2, 3, 5, 0, 0), CLM_LINEAR_OUT_IN,
                            none);
}

/* A weight that is itself computed, and one that is read by its columns. */
static clm_tensor make_computed_weight(clm_graph *g) {
    const clm_tensor w = clm_test_parameter(g, "w", 2, C, 6, 0, 0);
    const clm_tensor y =
        clm_graph_linear(g, x_of(g, "x"), clm_graph_columns(g, w, 1, C), CLM_LINEAR_IN_OUT, none);
    return clm_graph_linear(g, y, clm_graph_gelu(g, w), CLM_LINEAR_IN_OUT, none);
}

static clm_tensor make_embedding(clm_graph *g) {
    const int64_t shape[] = {B, T};
    return clm_graph_embedding(g, clm_graph_input(g, "ids", CLM_I32, 2, shape),
                               clm_test_parameter(g, "table", 2, V, C, 0, 0),
                               clm_test_parameter(g, "positions", 2, T + 1, C, 0, 0));
}

/* Parts that overlap, parts twice, and a column that none reads. */
static clm_tensor make_columns(clm_graph *g) {
    const clm_tensor x = x_of(g, "x");
    const clm_tensor a = clm_graph_columns(g, x, 0, 2);
    const clm_tensor b = clm_graph_columns(g, x, 2, 2);
    return clm_graph_add(g, clm_graph_silu_gate(g, a, b), clm_graph_gelu(g, a));
}

static clm_tensor make_one_column(clm_graph *g) {
    return clm_graph_gelu(g, clm_graph_columns(g, clm_graph_gelu(g, x_of(g, "x")), 1, 2));
}

static clm_tensor make_rope(clm_graph *g) {
    const int64_t shape[] = {B};
    return clm_graph_rope(g, clm_test_parameter(g, "x", 4, B, T, H, C), 100.0F,
                          clm_graph_input(g, "first", CLM_I32, 1, shape));
}

static clm_tensor attend(clm_graph *g, int64_t Tq, int64_t groups,
                         const clm_attention_options *options) {
    return clm_graph_attention(g, clm_test_parameter(g, "q", 4, B, Tq, H, C),
                               clm_test_parameter(g, "k", 4, B, T, groups, C),
                               clm_test_parameter(g, "v", 4, B, T, groups, C), options);
}

static clm_tensor make_attention(clm_graph *g) {
    return attend(g, T, H, &(clm_attention_options){.causal = true});
}

static clm_tensor make_grouped_attention(clm_graph *g) {
    return attend(g, T + 1, G, &(clm_attention_options){.scale = 0.3F});
}

/* Positions 0 or 1 of T keys, of which 1 or 2 are valid. */
static clm_tensor make_placed_attention(clm_graph *g) {
    const int64_t shape[] = {B};
    return attend(
        g, 2, G,
        &(clm_attention_options){.causal = true,
                                 .first = clm_graph_input(g, "first", CLM_I32, 1, shape),
                                 .lengths = clm_graph_input(g, "lengths", CLM_I32, 1, shape)});
}

static clm_tensor make_gather(clm_graph *g) {
    const int64_t shape[] = {B};
    const clm_tensor x = clm_graph_gelu(g, x_of(g, "x"));
    const clm_tensor rows = clm_graph_input(g, "rows", CLM_I32, 1, shape);
    const clm_tensor all = clm_graph_linear(
        g, clm_graph_reshape(g, clm_graph_gelu(g, x), 2, (const int64_t[]){B, T * C}),
        clm_test_parameter(g, "w", 2, T * C, C, 0, 0), CLM_LINEAR_IN_OUT, none);
    return clm_graph_add(g, clm_graph_gather(g, x, rows), all);
}

static const struct {
    const char *name;
    clm_tensor (*make)(clm_graph *g);
} operations[] = {{"add", make_add},
                  {"scale", make_scale},
                  {"gelu", make_gelu},
                  {"silu_gate", make_silu_gate},
                  {"layernorm", make_layernorm},
                  {"rmsnorm", make_rmsnorm},
                  {"linear", make_linear},
                  {"computed weight", make_computed_weight},
                  {"embedding", make_embedding},
                  {"columns", make_columns},
                  {"one column", make_one_column},
                  {"rope", make_rope},
                  {"attention", make_attention},
                  {"grouped attention", make_grouped_attention},
                  {"placed attention", make_placed_attention},
                  {"gather", make_gather}};

static void gradients_of_each_operation(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
        clm_graph *g = new_graph();
        print_message("%s\n", operations[i].name);
        const clm_tensor losses = clm_test_loss(g, operations[i].make(g));
        (void)clm_test_check_gradients(g, losses, clm_test_trains_all, NULL, &usual, 100);
        clm_graph_free(g);
    }
}

/* ---- networks ---- */

static clm_tensor linear(clm_graph *g, const char *name, clm_tensor x, int64_t in, int64_t out) {
    return clm_graph_linear(g, x, clm_test_parameter(g, name, 2, out, in, 0, 0), CLM_LINEAR_OUT_IN,
                            none);
}

static clm_tensor heads(clm_graph *g, clm_tensor x, int64_t count, bool turned) {
    const int64_t shape[] = {B, T, count, C};
    x = clm_graph_reshape(g, x, 4, shape);
    return turned ? clm_graph_rope(g, x, 10000.0F, none) : x;
}

/* A block of Llama's kind: RMSNorm, rotary positions, fewer key-value heads, a gated MLP. */
static clm_tensor llama_block(clm_graph *g, clm_tensor x) {
    enum { WIDE = H * C };
    const clm_attention_options causal = {.causal = true};
    const int64_t joined[] = {B, T, WIDE};
    clm_tensor h = clm_graph_rmsnorm(g, x, vector(g, "input_layernorm", C), 1e-5F);
    const clm_tensor mixed =
        clm_graph_attention(g, heads(g, linear(g, "q_proj", h, C, WIDE), H, true),
                            heads(g, linear(g, "k_proj", h, C, G * C), G, true),
                            heads(g, linear(g, "v_proj", h, C, G * C), G, false), &causal);
    x = clm_graph_add(g, x, linear(g, "o_proj", clm_graph_reshape(g, mixed, 3, joined), WIDE, C));
    h = clm_graph_rmsnorm(g, x, vector(g, "post_attention_layernorm", C), 1e-5F);
    return clm_graph_add(g, x,
                         linear(g, "down_proj",
                                clm_graph_silu_gate(g, linear(g, "gate_proj", h, C, 6),
                                                    linear(g, "up_proj", h, C, 6)),
                                6, C));
}

/* Trained: what contains the context's text. */
static bool trains_some(void *context, const char *name) {
    return strstr(name, context) != NULL;
}

static void a_llama_block_with_tied_words(void **state) {
    (void)state;
    clm_graph *g = new_graph();
    const int64_t shape[] = {B, T};
    const clm_tensor words = clm_test_parameter(g, "embed_tokens", 2, V, C, 0, 0);
    const clm_tensor x = llama_block(
        g, clm_graph_embedding(g, clm_graph_input(g, "ids", CLM_I32, 2, shape), words, none));
    const clm_tensor logits = clm_graph_linear(
        g, clm_graph_rmsnorm(g, x, vector(g, "norm", C), 1e-5F), words, CLM_LINEAR_OUT_IN, none);
    const clm_tensor losses = clm_test_loss(g, logits);
    const clm_test_draw draw = {.scale = 0.7, .vocabulary = V, .classes = V};
    const uint32_t all =
        clm_test_check_gradients(g, losses, clm_test_trains_all, NULL, &draw, 1000);
    /* Fewer parameters, fewer nodes: what leads to nothing that is trained is not visited. */
    static const char *const some[] = {"embed",     "norm", "q_proj", "v_proj",
                                       "down_proj", "k_",   "gate",   "post_"};
    for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
        char part[16];
        (void)snprintf(part, sizeof part, "%s", some[i]);
        const uint32_t nodes = clm_test_check_gradients(g, losses, trains_some, part, &draw, 1000);
        assert_in_range(nodes, 1, all);
        if (i >= 4) {
            assert_in_range(nodes, 1, all - 1);
        }
    }
    clm_graph_free(g);
}

static bool adapts_attention(void *context, const char *name) {
    (void)context;
    return strstr(name, "q_proj") != NULL || strstr(name, "v_proj") != NULL;
}

/* Adapters on queries and values: only they are trained, and the frozen weights between them pass
 * gradients on. At first they change nothing. */
static void low_rank_adapters(void **state) {
    (void)state;
    clm_graph *g = new_graph();
    clm_graph *plain = NULL;
    int count = 0;
    clm_tensor losses = clm_test_loss(g, llama_block(g, x_of(g, "x")));
    assert_ok(clm_graph_copy(&plain, g));
    const clm_adapter_options options = {.rank = 2, .alpha = 3.0F, .adapts = adapts_attention};
    assert_ok(clm_graph_adapt(g, &options, &count));
    assert_int_equal(count, 2);
    assert_int_equal(g->node_count, plain->node_count + 2 * 4);
    const uint32_t a = clm_graph_find(g, CLM_TENSOR_PARAMETER, "q_proj.lora_A.weight");
    const uint32_t b = clm_graph_find(g, CLM_TENSOR_PARAMETER, "v_proj.lora_B.weight");
    const int64_t a_shape[] = {2, C};
    const int64_t b_shape[] = {G * C, 2};
    assert_true(clm_shape_is(&clm_graph_about(g, a)->shape, 2, a_shape));
    assert_true(clm_shape_is(&clm_graph_about(g, b)->shape, 2, b_shape));
    char part[] = "lora_";
    (void)clm_test_check_gradients(g, losses, trains_some, part, &usual, 1000);
    (void)clm_test_check_gradients(g, losses, clm_test_trains_all, NULL, &usual, 5);

    clm_reference_run with = {0};
    clm_reference_run without = {0};
    assert_ok(clm_reference_run_make(&with, g));
    assert_ok(clm_reference_run_make(&without, plain));
    clm_test_draw_values(&with, &usual);
    for (uint32_t i = 1; i < plain->tensor_count; i++) {
        const size_t values = (size_t)clm_shape_count(&clm_graph_about(plain, i)->shape);
        if (without.ids[i] != NULL) {
            memcpy(without.ids[i], with.ids[i], values * sizeof **with.ids);
        } else {
            memcpy(without.values[i], with.values[i], values * sizeof **with.values);
        }
    }
    memset(with.values[b], 0, sizeof(double) * G * C * 2);
    memset(with.values[clm_graph_find(g, CLM_TENSOR_PARAMETER, "q_proj.lora_B.weight")], 0,
           sizeof(double) * H * C * 2);
    assert_ok(clm_reference_execute(&with, 1.0));
    assert_ok(clm_reference_execute(&without, 1.0));
    assert_memory_equal(with.values[losses.id], without.values[losses.id], B * T * sizeof(double));
    clm_reference_run_free(&with);
    clm_reference_run_free(&without);
    clm_graph_free(plain);
    clm_graph_free(g);
}

static void a_network_that_is_no_transformer(void **state) {
    (void)state;
    clm_graph *g = new_graph();
    const int64_t shape[] = {6, 5};
    clm_tensor x = clm_graph_input(g, "x", CLM_F32, 2, shape);
    x = clm_graph_gelu(g, clm_graph_linear(g, x, clm_test_parameter(g, "w1", 2, 5, 7, 0, 0),
                                           CLM_LINEAR_IN_OUT, vector(g, "b1", 7)));
    x = clm_graph_linear(g, x, clm_test_parameter(g, "w2", 2, 3, 7, 0, 0), CLM_LINEAR_OUT_IN,
                         vector(g, "b2", 3));
    const clm_test_draw draw = {.scale = 0.7, .classes = 3};
    /* dx of the first layer is not wanted: loss, linear, gelu, linear. */
    assert_int_equal(
        clm_test_check_gradients(g, clm_test_loss(g, x), clm_test_trains_all, NULL, &draw, 1000),
        4);
    clm_graph_free(g);
}

/* ---- random graphs ---- */

enum { POOL = 24 };

static void gradients_of_random_graphs(void **state) {
    (void)state;
    int checked = 0;
    for (int n = 0; n < 2000; n++) {
        clm_graph *g = new_graph();
        clm_tensor pool[POOL] = {clm_test_parameter(g, "pj", 3, B, T, C, 0)};
        const int count = 2 + (int)(clm_test_random() % 7);
        for (int i = 1; i < count; i++) {
            pool[i] = clm_test_grow(g, pool, i);
        }
        const clm_tensor losses = clm_test_loss(g, pool[count - 1]);
        unsigned bits = clm_test_random();
        clm_graph *trial = NULL;
        assert_ok(clm_graph_status(g));
        assert_ok(clm_graph_copy(&trial, g));
        /* Some draws train nothing that leads to the loss. */
        if (clm_graph_derive(trial, losses.id, clm_test_trains_by_bit, &bits) == CLM_OK) {
            (void)clm_test_check_gradients(g, losses, clm_test_trains_by_bit, &bits, &usual, 2);
            checked++;
        }
        clm_graph_free(trial);
        clm_graph_free(g);
    }
    assert_true(checked > 1000);
}

/* ---- narrowing ---- */

/* Gradients of both graphs, by the names of parameters. */
static void check_same(const clm_graph *a, const clm_graph *b, unsigned *bits) {
    const clm_graph *const graphs[] = {a, b};
    clm_graph *derived[2] = {NULL};
    clm_reference_run runs[2] = {{0}};
    bool trained[2] = {false};
    for (int i = 0; i < 2; i++) {
        assert_ok(clm_graph_copy(&derived[i], graphs[i]));
        trained[i] = clm_graph_derive(derived[i], derived[i]->outputs[0].tensor,
                                      clm_test_trains_by_bit, bits) == CLM_OK;
        if (!trained[i]) {
            clm_graph_free(derived[i]);
            assert_ok(clm_graph_copy(&derived[i], graphs[i]));
        }
        assert_ok(clm_graph_prune(derived[i]));
        if (i == 1) {
            assert_ok(clm_graph_fuse(derived[i]));
        }
        assert_ok(clm_reference_run_make(&runs[i], derived[i]));
    }
    assert_int_equal(trained[0], trained[1]);
    clm_test_draw_values(&runs[0], &usual);
    for (uint32_t i = 1; i < b->tensor_count; i++) {
        const clm_tensor_about *about = clm_graph_about(b, i);
        const uint32_t same =
            about->kind <= CLM_TENSOR_PARAMETER ? clm_graph_find(a, about->kind, about->name) : 0;
        const size_t count = (size_t)clm_shape_count(&about->shape);
        if (same != 0 && about->type == CLM_I32) {
            memcpy(runs[1].ids[i], runs[0].ids[same], count * sizeof(int32_t));
        } else if (same != 0) {
            memcpy(runs[1].values[i], runs[0].values[same], count * sizeof(double));
        }
    }
    for (int i = 0; i < 2; i++) {
        assert_ok(clm_reference_execute(&runs[i], 1.0));
    }
    const uint32_t losses[2] = {a->outputs[0].tensor, b->outputs[0].tensor};
    for (int64_t k = 0; k < clm_shape_count(&clm_graph_about(a, losses[0])->shape); k++) {
        assert_close(runs[1].values[losses[1]][k], runs[0].values[losses[0]][k], 1e-10, 1e-10);
    }
    for (uint32_t i = 1; i < a->tensor_count; i++) {
        const clm_tensor_about *about = clm_graph_about(a, i);
        double gradients[2][2 * C * C * T] = {{0}};
        const uint32_t other = about->kind == CLM_TENSOR_PARAMETER
                                   ? clm_graph_find(b, CLM_TENSOR_PARAMETER, about->name)
                                   : 0;
        if (about->kind != CLM_TENSOR_PARAMETER) {
            continue;
        }
        clm_reference_gradient(&runs[0], i, gradients[0]);
        if (other != 0) {
            clm_reference_gradient(&runs[1], other, gradients[1]);
        }
        for (int64_t k = 0; k < clm_shape_count(&about->shape); k++) {
            assert_close(gradients[1][k], gradients[0][k], 1e-9, 1e-9);
        }
    }
    for (int i = 0; i < 2; i++) {
        clm_reference_run_free(&runs[i]);
        clm_graph_free(derived[i]);
    }
}

static uint32_t rows_computed(const clm_graph *g) {
    uint32_t rows = 0;
    for (uint32_t i = 0; i < g->node_count; i++) {
        if (strcmp(g->nodes[i].operation->name, "linear") == 0) {
            rows += (uint32_t)clm_shape_rows(&clm_graph_about(g, g->nodes[i].outputs[0])->shape);
        }
    }
    return rows;
}

/* One position of each sequence goes into the loss; now and then two, or by two inputs. */
static void random_graphs_narrowed_give_the_same(void **state) {
    (void)state;
    int narrower = 0;
    for (int n = 0; n < 1000; n++) {
        clm_graph *g = new_graph();
        clm_graph *narrowed = NULL;
        const int64_t each[] = {B};
        clm_tensor pool[POOL] = {clm_test_parameter(g, "pj", 3, B, T, C, 0)};
        const int count = 2 + (int)(clm_test_random() % 7);
        for (int i = 1; i < count; i++) {
            pool[i] = clm_test_grow(g, pool, i);
        }
        const clm_tensor rows = clm_graph_input(g, "rows", CLM_I32, 1, each);
        clm_tensor x = clm_graph_pick(g, pool[count - 1], rows);
        if (clm_test_random() % 3 == 0) {
            x = clm_graph_add(g, x, clm_graph_pick(g, clm_test_any(pool, count), rows));
        }
        if (clm_test_random() % 3 == 0) {
            const clm_tensor other = clm_graph_input(g, "rows2", CLM_I32, 1, each);
            x = clm_graph_add(g, x, clm_graph_pick(g, clm_test_any(pool, count), other));
        }
        (void)clm_test_loss(g, x);
        assert_ok(clm_graph_status(g));
        assert_ok(clm_graph_narrow(&narrowed, g));
        unsigned bits = clm_test_random();
        check_same(g, narrowed, &bits);
        assert_ok(clm_graph_prune(g));
        assert_true(rows_computed(narrowed) <= rows_computed(g) + 4 * B);
        narrower += rows_computed(narrowed) < rows_computed(g);
        clm_graph_free(narrowed);
        clm_graph_free(g);
    }
    assert_true(narrower > 300);
}

/* A wrong gradient is seen: the transposed layout of a square weight. */
static void a_wrong_rule_is_seen(void **state) {
    (void)state;
    clm_graph *g = new_graph();
    clm_graph *derived = NULL;
    const clm_tensor x = x_of(g, "x");
    const clm_tensor w = clm_test_parameter(g, "w", 2, C, C, 0, 0);
    const clm_tensor losses = clm_test_loss(g, clm_graph_linear(g, x, w, CLM_LINEAR_IN_OUT, none));
    assert_ok(clm_graph_copy(&derived, g));
    assert_ok(clm_graph_derive(derived, losses.id, clm_test_trains_all, NULL));
    clm_reference_run right = {0};
    clm_reference_run wrong = {0};
    assert_ok(clm_reference_run_make(&right, derived));
    assert_ok(clm_reference_run_make(&wrong, derived));
    clm_test_draw_values(&right, &usual);
    for (uint32_t i = 1; i < g->tensor_count; i++) {
        const size_t count = (size_t)clm_shape_count(&clm_graph_about(g, i)->shape);
        if (right.ids[i] != NULL) {
            memcpy(wrong.ids[i], right.ids[i], count * sizeof **wrong.ids);
        } else {
            memcpy(wrong.values[i], right.values[i], count * sizeof **wrong.values);
        }
    }
    double gradients[2][B * T * C];
    assert_ok(clm_reference_execute(&right, 1.0));
    clm_reference_gradient(&right, x.id, gradients[0]);
    /* The second node of the backward pass, after that of cross-entropy. */
    clm_node *backward = &derived->nodes[g->node_count + 1];
    assert_string_equal(backward->operation->name, "linear_backward");
    backward->with.linear.layout = CLM_LINEAR_OUT_IN;
    assert_ok(clm_reference_execute(&wrong, 1.0));
    clm_reference_gradient(&wrong, x.id, gradients[1]);
    assert_memory_not_equal(gradients[0], gradients[1], sizeof gradients[0]);
    clm_reference_run_free(&right);
    clm_reference_run_free(&wrong);
    clm_graph_free(derived);
    clm_graph_free(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_of_each_operation),
        cmocka_unit_test(a_llama_block_with_tied_words),
        cmocka_unit_test(low_rank_adapters),
        cmocka_unit_test(a_network_that_is_no_transformer),
        cmocka_unit_test(gradients_of_random_graphs),
        cmocka_unit_test(random_graphs_narrowed_give_the_same),
        cmocka_unit_test(a_wrong_rule_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
