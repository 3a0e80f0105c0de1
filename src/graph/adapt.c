/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "graph/operations.h"
#include "graph/transform.h"

/* "<name of the weight without .weight>.<part>.weight" */
static uint32_t new_parameter(clm_graph *graph, const char *weight, const char *part,
                              const int64_t *shape, const clm_parameter_options *options) {
    char name[160];
    const size_t length = strlen(weight);
    const size_t ending = strlen(".weight");
    const bool ends = length > ending && strcmp(weight + length - ending, ".weight") == 0;
    (void)snprintf(name, sizeof name, "%.*s.%s.weight", (int)(ends ? length - ending : length),
                   weight, part);
    return clm_graph_parameter(graph, name, 2, shape, options).id;
}

static uint32_t add(clm_graph *graph, const clm_operation *operation, uint32_t a, uint32_t b,
                    const clm_attributes *with) {
    const uint32_t inputs[CLM_NODE_INPUTS] = {a, b};
    const clm_node *node = clm_graph_add_node(graph, operation, inputs, with);
    return node != NULL ? node->outputs[0] : 0;
}

/* Adds `linear`, and what is added to it, so that the sum is the tensor that it gave before. */
static void adapt(clm_graph *graph, const clm_node *linear, const clm_adapter_options *options) {
    const clm_tensor_about *weight = clm_graph_about(graph, linear->inputs[1]);
    const clm_attributes out_in = {.linear = {.layout = CLM_LINEAR_OUT_IN}};
    const clm_attributes scale = {.factor = options->alpha / (float)options->rank};
    const int64_t in = clm_shape_last(clm_node_shape(graph, linear, 0));
    const int64_t out = clm_shape_last(&clm_graph_about(graph, linear->outputs[0])->shape);
    const int64_t a_shape[] = {options->rank, in};
    const int64_t b_shape[] = {out, options->rank};
    const clm_parameter_options uniform = {
        .init = CLM_INIT_UNIFORM, .spread = (float)(1.0 / sqrt((double)in)), .decays = true};
    const clm_parameter_options zero = {.decays = true};
    char name[128];
    (void)snprintf(name, sizeof name, "%s", weight->name); /* adding tensors moves it */
    const uint32_t a = new_parameter(graph, name, "lora_A", a_shape, &uniform);
    const uint32_t b = new_parameter(graph, name, "lora_B", b_shape, &zero);
    const clm_node *plain =
        clm_graph_add_node(graph, linear->operation, linear->inputs, &linear->with);
    const uint32_t base = plain != NULL ? plain->outputs[0] : 0;
    const uint32_t low = add(graph, &clm_operation_linear, linear->inputs[0], a, &out_in);
    const uint32_t high = add(graph, &clm_operation_linear, low, b, &out_in);
    const uint32_t scaled = add(graph, &clm_operation_scale, high, 0, &scale);
    (void)add(graph, &clm_operation_add, base, scaled, NULL);
    if (graph->status == CLM_OK) {
        graph->nodes[graph->node_count - 1].outputs[0] = linear->outputs[0];
        graph->tensors[linear->outputs[0]].node = graph->node_count - 1;
    }
}

static bool is_adapted(const clm_graph *graph, const clm_node *node,
                       const clm_adapter_options *options) {
    return node->operation == &clm_operation_linear &&
           clm_graph_about(graph, node->inputs[1])->kind == CLM_TENSOR_PARAMETER &&
           options->adapts(options->context, clm_graph_about(graph, node->inputs[1])->name);
}

clm_status clm_graph_adapt(clm_graph *graph, const clm_adapter_options *options, int *count) {
    const uint32_t described = graph->node_count;
    clm_node *nodes = NULL;
    clm_status status = CLM_OK;
    *count = 0;
    CLM_TRY(clm_graph_status(graph));
    if (options->rank < 1) {
        status = clm_fail(CLM_ERROR_ARGUMENT, "an adapter of rank %d", options->rank);
        goto cleanup;
    }
    CLM_TRY(clm_allocate(&nodes, described, sizeof *nodes, "a graph's nodes"));
    memcpy(nodes, graph->nodes, described * sizeof *nodes);
    graph->node_count = 0;
    for (uint32_t i = 0; i < described && graph->status == CLM_OK; i++) {
        if (is_adapted(graph, &nodes[i], options)) {
            adapt(graph, &nodes[i], options);
            (*count)++;
            continue;
        }
        clm_graph_append_node(graph, &nodes[i]);
    }
    CLM_TRY(clm_graph_status(graph));
cleanup:
    clm_free(nodes);
    return status;
}
