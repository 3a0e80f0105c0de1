/* A network of Llama's kind on every device present: embedding, RMSNorm, rotary positions, grouped
 * key-value heads, a gated MLP. Logits and gradients against plain C.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/plan.h"
#include "graph_cases.h"
#include "stored.h"
#include "support/test_devices.h"

enum { B = 2, T = 19, H = 4, G = 2, D = 6, C = 20, INNER = 28, V = 11, BLOCKS = 2 };
static const clm_test_draw draw = {.scale = 0.4, .vocabulary = V, .rows_of = B, .classes = V};
static const clm_tensor none;

static clm_tensor linear(clm_graph *g, int layer, const char *name, clm_tensor x, int64_t K,
                         int64_t N) {
    char full[64];
    (void)snprintf(full, sizeof full, "%d.%s", layer, name);
    return clm_graph_linear(g, x, clm_test_parameter(g, full, 2, N, K, 0, 0), CLM_LINEAR_OUT_IN,
                            none);
}

static clm_tensor norm(clm_graph *g, int layer, const char *name, clm_tensor x) {
    char full[64];
    (void)snprintf(full, sizeof full, "%d.%s", layer, name);
    return clm_graph_rmsnorm(g, x, clm_test_parameter(g, full, 1, C, 0, 0, 0), 1e-5F);
}

static clm_tensor heads(clm_graph *g, clm_tensor x, int64_t count) {
    const int64_t shape[] = {B, T, count, D};
    return clm_graph_reshape(g, x, 4, shape);
}

static clm_tensor block(clm_graph *g, int layer, clm_tensor x, clm_tensor first) {
    const clm_attention_options causal = {.causal = true};
    const int64_t joined[] = {B, T, H * D};
    clm_tensor h = norm(g, layer, "input_layernorm", x);
    const clm_tensor q = heads(g, linear(g, layer, "q_proj", h, C, H * D), H);
    const clm_tensor k = heads(g, linear(g, layer, "k_proj", h, C, G * D), G);
    const clm_tensor v = heads(g, linear(g, layer, "v_proj", h, C, G * D), G);
    const clm_tensor mixed = clm_graph_attention(g, clm_graph_rope(g, q, 10000.0F, first),
                                                 clm_graph_rope(g, k, 10000.0F, first), v, &causal);
    x = clm_graph_add(g, x,
                      linear(g, layer, "o_proj", clm_graph_reshape(g, mixed, 3, joined), H * D, C));
    h = norm(g, layer, "post_attention_layernorm", x);
    return clm_graph_add(g, x,
                         linear(g, layer, "down_proj",
                                clm_graph_silu_gate(g, linear(g, layer, "gate_proj", h, C, INNER),
                                                    linear(g, layer, "up_proj", h, C, INNER)),
                                INNER, C));
}

static clm_graph *describe(clm_tensor *losses) {
    const int64_t tokens[] = {B, T};
    const int64_t flat[] = {(int64_t)B * T, V};
    clm_graph *g = NULL;
    assert_ok(clm_graph_create(&g));
    const clm_tensor table = clm_test_parameter(g, "embed_tokens", 2, V, C, 0, 0);
    const clm_tensor first = clm_graph_input(g, "first", CLM_I32, 1, tokens);
    clm_tensor x =
        clm_graph_embedding(g, clm_graph_input(g, "ids", CLM_I32, 2, tokens), table, none);
    for (int layer = 0; layer < BLOCKS; layer++) {
        x = block(g, layer, x, first);
    }
    x = clm_graph_linear(g, norm(g, BLOCKS, "norm", x), table, CLM_LINEAR_OUT_IN, none);
    clm_graph_output(g, x, "logits");
    *losses = clm_test_loss(g, clm_graph_reshape(g, x, 2, flat));
    assert_ok(clm_graph_status(g));
    return g;
}

/* A buffer's numbers against the reference's, off by no more than `rtol` of the largest. */
static void compare(const clm_buffer *buffer, const double *exact, size_t count, double rtol,
                    const char *what) {
    float *values = malloc(count * sizeof *values);
    double largest = 0.0;
    double worst = 0.0;
    assert_non_null(values);
    assert_ok(clm_buffer_read(buffer, 0, values, count * sizeof *values));
    for (size_t i = 0; i < count; i++) {
        const double off = fabs((double)values[i] - exact[i]);
        largest = fmax(largest, fabs(exact[i]));
        worst = off <= worst ? worst : off; /* NaN is the worst */
    }
    if (!(worst <= rtol * largest)) {
        print_error("%s: off by %g of %g\n", what, worst, largest);
        fail();
    }
    free(values);
}

/* Parameters and inputs, the same floats on both sides. */
static void draw_floats(clm_reference_run *run) {
    clm_test_draw_values(run, &draw);
    for (uint32_t i = 1; i < run->graph->tensor_count; i++) {
        const int64_t count = clm_shape_count(&clm_graph_about(run->graph, i)->shape);
        for (int64_t k = 0; run->values[i] != NULL && k < count; k++) {
            run->values[i][k] = (double)(float)run->values[i][k];
        }
    }
}

/* What is right: the derived graph in plain C, from what was drawn for the description. */
static void run_reference(clm_reference_run *run, clm_graph **derived,
                          const clm_reference_run *drawn, clm_tensor losses) {
    const clm_graph *g = drawn->graph;
    assert_ok(clm_graph_copy(derived, g));
    assert_ok(clm_graph_derive(*derived, losses.id, clm_test_trains_all, NULL));
    assert_ok(clm_reference_run_make(run, *derived));
    for (uint32_t i = 1; i < g->tensor_count; i++) {
        const size_t count = (size_t)clm_shape_count(&clm_graph_about(g, i)->shape);
        if (drawn->ids[i] != NULL) {
            memcpy(run->ids[i], drawn->ids[i], count * sizeof **run->ids);
        } else {
            memcpy(run->values[i], drawn->values[i], count * sizeof **run->values);
        }
    }
    assert_ok(clm_reference_execute(run, 1.0 / (B * T)));
}

static void compare_gradients(const clm_parameters *parameters, const clm_reference_run *run,
                              double relative) {
    for (size_t i = 0; i < parameters->table.count; i++) {
        const clm_stored_parameter *stored = &parameters->stored[i];
        const uint32_t tensor =
            clm_graph_find(run->graph, CLM_TENSOR_PARAMETER, stored->about->name);
        double *exact = calloc(stored->about->count, sizeof *exact);
        assert_non_null(exact);
        clm_reference_gradient(run, tensor, exact);
        compare(stored->gradient, exact, stored->about->count, relative, stored->about->name);
        free(exact);
    }
}

/* Logits come out of some ten roundings of 6e-8 a block, gradients out of twice as many. */
static void agrees_on(clm_device *device) {
    static const double of_logits = 4e-6, of_gradients = 2e-5;
    clm_reference_run drawn = {0};
    clm_reference_run run = {0};
    clm_workspace *workspace = NULL;
    clm_graph *derived = NULL;
    clm_plan *plan = NULL;
    clm_tensor losses;
    clm_graph *g = describe(&losses);
    assert_ok(clm_reference_run_make(&drawn, g));
    draw_floats(&drawn);
    run_reference(&run, &derived, &drawn, losses);
    clm_parameters *parameters =
        clm_test_stored(device, &drawn, "losses", clm_test_trains_all, NULL);
    assert_ok(clm_workspace_create(&workspace, device));
    const clm_plan_options options = {.loss = "losses"};
    assert_ok(clm_plan_make(&plan, workspace, g, parameters, &options));
    parameters->gradients_are_zero = false;
    assert_ok(clm_parameters_zero_gradients(parameters));
    clm_plan_binding bindings[] = {{.name = "ids"}, {.name = "first"}, {.name = "targets"}};
    for (size_t i = 0; i < 3; i++) {
        bindings[i].host = run.ids[clm_graph_find(derived, CLM_TENSOR_INPUT, bindings[i].name)];
    }
    assert_ok(clm_plan_enqueue(plan, bindings, 3, 1.0F / (B * T)));
    compare(clm_plan_output(plan, "logits"), run.values[g->outputs[0].tensor], (size_t)B * T * V,
            of_logits, "logits");
    compare(clm_plan_output(plan, "losses"), run.values[losses.id], (size_t)B * T, of_logits,
            "losses");
    compare_gradients(parameters, &run, of_gradients);
    clm_plan_free(plan);
    clm_parameters_free(parameters);
    clm_workspace_free(workspace);
    clm_reference_run_free(&run);
    clm_reference_run_free(&drawn);
    clm_graph_free(derived);
    clm_graph_free(g);
}

static void logits_and_gradients_agree(void **state) {
    (void)state;
    clm_test_each_device(agrees_on);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(logits_and_gradients_agree)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
