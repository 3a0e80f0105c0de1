/* SPDX-License-Identifier: Apache-2.0 */
#include "graph/reference.h"

#include <string.h>

#include "base/memory.h"

static size_t count_of(const clm_graph *graph, uint32_t tensor) {
    return (size_t)clm_shape_count(&clm_graph_about(graph, tensor)->shape);
}

clm_status clm_reference_run_make(clm_reference_run *run, const clm_graph *graph) {
    *run = (clm_reference_run){.graph = graph};
    clm_status status = CLM_OK;
    CLM_TRY(clm_graph_status(graph));
    CLM_TRY(clm_allocate(&run->values, graph->tensor_count, sizeof *run->values, "values"));
    CLM_TRY(clm_allocate(&run->ids, graph->tensor_count, sizeof *run->ids, "values"));
    for (uint32_t i = 1; i < graph->tensor_count; i++) {
        if (clm_graph_about(graph, i)->type == CLM_I32) {
            CLM_TRY(clm_allocate(&run->ids[i], count_of(graph, i), sizeof **run->ids, "ids"));
        } else {
            CLM_TRY(
                clm_allocate(&run->values[i], count_of(graph, i), sizeof **run->values, "values"));
        }
    }
cleanup:
    return status;
}

void clm_reference_run_free(clm_reference_run *run) {
    for (uint32_t i = 0; run->graph != NULL && i < run->graph->tensor_count; i++) {
        clm_free(run->values != NULL ? run->values[i] : NULL);
        clm_free(run->ids != NULL ? run->ids[i] : NULL);
    }
    clm_free(run->values);
    clm_free(run->ids);
    *run = (clm_reference_run){0};
}

/* Outputs are written to zeroed memory; what a gradient held before is added to afterwards. */
static clm_status compute(clm_reference_run *run, const clm_node *node) {
    const clm_graph *graph = run->graph;
    clm_reference_call call = {.node = node};
    double *before[CLM_NODE_OUTPUTS] = {NULL};
    clm_status status = CLM_OK;
    for (int i = 0; i < CLM_NODE_INPUTS; i++) {
        call.in[i] = node->inputs[i] != 0 ? run->values[node->inputs[i]] : NULL;
        call.ids[i] = node->inputs[i] != 0 ? run->ids[node->inputs[i]] : NULL;
        call.in_shape[i] = clm_node_shape(graph, node, i);
    }
    for (int i = 0; i < CLM_NODE_OUTPUTS; i++) {
        const uint32_t out = node->outputs[i];
        if (out == 0) {
            continue;
        }
        const size_t count = count_of(graph, out);
        call.out[i] = run->values[out];
        call.out_shape[i] = &clm_graph_about(graph, out)->shape;
        if (clm_graph_about(graph, out)->kind == CLM_TENSOR_GRADIENT) {
            CLM_TRY(clm_allocate(&before[i], count, sizeof *before[i], "a gradient"));
            memcpy(before[i], call.out[i], count * sizeof *before[i]);
        }
        memset(call.out[i], 0, count * sizeof *call.out[i]);
    }
    node->operation->reference(&call);
    for (int i = 0; i < CLM_NODE_OUTPUTS; i++) {
        for (size_t k = 0; before[i] != NULL && k < count_of(graph, node->outputs[i]); k++) {
            call.out[i][k] += before[i][k];
        }
    }
cleanup:
    for (int i = 0; i < CLM_NODE_OUTPUTS; i++) {
        clm_free(before[i]);
    }
    return status;
}

clm_status clm_reference_execute(clm_reference_run *run, double seed) {
    const clm_graph *graph = run->graph;
    clm_status status = CLM_OK;
    for (uint32_t i = 1; i < graph->tensor_count; i++) {
        for (size_t k = 0;
             clm_graph_about(graph, i)->kind == CLM_TENSOR_SEED && k < count_of(graph, i); k++) {
            run->values[i][k] = seed;
        }
    }
    for (uint32_t i = 0; i < graph->node_count && status == CLM_OK; i++) {
        status = compute(run, &graph->nodes[i]);
    }
    /* Handles of a state have memory of their own here; the next execution begins with the last. */
    for (uint32_t i = graph->node_count; i > 0 && status == CLM_OK; i--) {
        const clm_node *node = &graph->nodes[i - 1];
        if (node->operation->writes_state) {
            memcpy(run->values[node->inputs[0]], run->values[node->outputs[0]],
                   count_of(graph, node->inputs[0]) * sizeof(double));
        }
    }
    return status;
}

uint32_t clm_graph_find(const clm_graph *graph, clm_tensor_kind kind, const char *name) {
    for (uint32_t i = 1; i < graph->tensor_count; i++) {
        const clm_tensor_about *about = clm_graph_about(graph, i);
        if (about->kind == kind && about->name != NULL && strcmp(about->name, name) == 0) {
            return i;
        }
    }
    return 0;
}

void clm_reference_gradient(const clm_reference_run *run, uint32_t parameter, double *gradient) {
    const clm_graph *graph = run->graph;
    const int64_t columns = clm_shape_last(&clm_graph_about(graph, parameter)->shape);
    memset(gradient, 0, count_of(graph, parameter) * sizeof *gradient);
    for (uint32_t i = 1; i < graph->tensor_count; i++) {
        const clm_tensor_about *about = clm_graph_about(graph, i);
        if (about->kind != CLM_TENSOR_GRADIENT || about->of != parameter) {
            continue;
        }
        const int64_t some = clm_shape_last(&about->shape);
        for (int64_t k = 0; k < clm_shape_count(&about->shape); k++) {
            gradient[k / some * columns + about->first_column + k % some] += run->values[i][k];
        }
    }
}
