/* Whatever is trained: gradients of GPT-2 by plans on every device present, against PyTorch.
 * Weights below or between trained ones are frozen, and gradients pass through them.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/plan.h"
#include "model/opened.h"
#include "model/tasks/classify.h"
#include "predicates.h"
#include "support/test_devices.h"
#include "support/test_golden.h"

enum { B = 3, T = 7 };

static const clm_safetensors *expected(void) {
    return clm_test_golden("tiny/expected.safetensors");
}

/* ---- where values come from ---- */

static clm_status read_values(void *context, const clm_parameter *parameter, size_t first,
                              size_t count, float *values) {
    return clm_weights_read_part(context, parameter, first, count, values);
}

static clm_status map_values(void *context, const clm_parameter *parameter, const float **values) {
    return clm_weights_map(context, parameter, values);
}

/* ---- a pass ---- */

/* Sums of up to 84 floats in another order than PyTorch's, three blocks deep, of what is as large
 * as the largest element of the gradient. That of the keys' biases is zero: the largest of those of
 * the queries and values beside them is its measure. */
static void check_gradient(const clm_stored_parameter *stored) {
    char name[128];
    size_t count = 0;
    double largest = 0.0;
    (void)snprintf(name, sizeof name, "gradient.%s", stored->about->name);
    float *want = clm_test_golden_tensor(expected(), name, &count);
    float *got = malloc(count * sizeof *got);
    assert_non_null(got);
    assert_int_equal(count, stored->about->count);
    assert_ok(clm_buffer_read(stored->gradient, 0, got, count * sizeof *got));
    for (size_t i = 0; i < count; i++) {
        largest = fmax(largest, fabs((double)want[i]));
    }
    for (size_t i = 0; i < count; i++) {
        if (!(fabs((double)got[i] - (double)want[i]) <= 1e-5 * largest)) {
            print_error("%s[%zu]: %g, PyTorch %g\n", name, i, (double)got[i], (double)want[i]);
            fail();
        }
    }
    got[count / 2] += 1e-3F * (float)largest; /* the comparison sees one wrong element */
    assert_false(fabs((double)got[count / 2] - (double)want[count / 2]) <= 1e-5 * largest);
    free(got);
    free(want);
}

/* The nodes that write a gradient: none but those of what is trained. */
static void check_what_is_written(const clm_plan *plan, size_t predicate) {
    const clm_graph *graph = clm_plan_graph(plan);
    int written = 0;
    for (uint32_t i = 0; i < graph->node_count; i++) {
        for (int k = 0; k < CLM_NODE_OUTPUTS; k++) {
            const clm_tensor_about *about = clm_graph_about(graph, graph->nodes[i].outputs[k]);
            if (about->kind == CLM_TENSOR_GRADIENT) {
                assert_true(clm_test_trains_by_predicate(&predicate,
                                                         clm_graph_about(graph, about->of)->name));
                written++;
            }
        }
    }
    assert_true(written > 0);
}

static uint32_t train(clm_device *device, size_t predicate, clm_weights *weights) {
    const clm_model_config *config = clm_weights_config(weights);
    const clm_parameters_options stored = {.trains = clm_test_trains_by_predicate,
                                           .context = &predicate};
    const clm_parameter_source source = {
        .context = weights, .read = read_values, .map = map_values};
    const clm_plan_options options = {.loss = "losses"};
    int32_t *tokens = clm_test_golden_tensor(expected(), "tokens", NULL);
    int32_t *labels = clm_test_golden_tensor(expected(), "labels", NULL);
    int32_t rows[B];
    clm_graph *g = NULL;
    clm_parameters *parameters = NULL;
    clm_workspace *workspace = NULL;
    clm_plan *plan = NULL;
    assert_ok(clm_graph_create(&g));
    clm_classify_describe(g, config, B, T, true);
    assert_ok(clm_classify_rows(config, NULL, B, T, rows));
    assert_ok(clm_parameters_create(&parameters, device, g, "losses", &stored));
    assert_ok(clm_parameters_load(parameters, &source));
    assert_ok(clm_workspace_create(&workspace, device));
    assert_ok(clm_plan_make(&plan, workspace, g, parameters, &options));
    check_what_is_written(plan, predicate);
    const clm_plan_binding bindings[] = {{.name = "tokens", .host = tokens},
                                         {.name = "rows", .host = rows},
                                         {.name = "targets", .host = labels}};
    assert_ok(clm_plan_enqueue(plan, bindings, 3, 1.0F / B));
    for (size_t i = 0; i < parameters->table.count; i++) {
        const bool trained =
            clm_test_trains_by_predicate(&predicate, parameters->table.parameters[i].name);
        assert_int_equal(parameters->stored[i].trained, trained);
        assert_int_equal(parameters->stored[i].gradient != NULL, trained);
        if (trained) {
            check_gradient(&parameters->stored[i]);
        }
    }
    const uint32_t nodes = clm_plan_graph(plan)->node_count;
    clm_plan_free(plan);
    clm_workspace_free(workspace);
    clm_parameters_free(parameters);
    clm_graph_free(g);
    free(tokens);
    free(labels);
    return nodes;
}

static void gradients_are_pytorchs_on(clm_device *device) {
    clm_weights *weights = NULL;
    assert_ok(clm_weights_open(&weights, clm_test_source("golden/tiny")));
    const uint32_t all = train(device, 0, weights);
    for (size_t i = 1; i < clm_test_predicate_count; i++) {
        const uint32_t nodes = train(device, i, weights);
        print_message("%s: %u nodes of %u\n", clm_test_predicates[i].about, (unsigned)nodes,
                      (unsigned)all);
        assert_true(nodes <= all);
    }
    assert_ok(clm_device_finish(device));
    clm_weights_close(weights);
}

static void gradients_are_pytorchs(void **state) {
    (void)state;
    clm_test_each_device(gradients_are_pytorchs_on);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_pytorchs),
    };
    return cmocka_run_group_tests(tests, NULL, clm_test_close_devices);
}
