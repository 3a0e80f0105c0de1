/* SPDX-License-Identifier: Apache-2.0 */
#include "graph/cut.h"

#include <stdio.h>

#include "base/memory.h"
#include "graph/operations.h"
#include "graph/transform.h"

typedef struct cutting {
    const clm_graph *graph;
    bool *varies;   /* by tensor: depends on something trained */
    bool *computed; /* by tensor: depends on an input */
    bool *wanted;   /* by tensor: the trained part reads it from the frozen one */
} cutting;

static void mark(cutting *s, clm_trains *trains, void *context) {
    const clm_graph *graph = s->graph;
    for (uint32_t i = 1; i < graph->tensor_count; i++) {
        const clm_tensor_about *about = clm_graph_about(graph, i);
        s->varies[i] = about->kind == CLM_TENSOR_PARAMETER && trains(context, about->name);
        s->computed[i] = about->kind == CLM_TENSOR_INPUT;
    }
    for (uint32_t i = 0; i < graph->node_count; i++) {
        const clm_node *node = &graph->nodes[i];
        bool varies = false;
        bool computed = false;
        for (int k = 0; k < CLM_NODE_INPUTS; k++) {
            varies = varies || s->varies[node->inputs[k]];
            computed = computed || s->computed[node->inputs[k]];
        }
        for (int k = 0; k < CLM_NODE_OUTPUTS; k++) {
            s->varies[node->outputs[k]] = varies && node->outputs[k] != 0;
            s->computed[node->outputs[k]] = computed && node->outputs[k] != 0;
        }
    }
}

/* Rows, columns or another shape of a tensor: cheaper to take again than to keep. */
static bool is_cheap(const clm_node *node) {
    return node->operation == &clm_operation_gather || node->operation == &clm_operation_reshape ||
           node->operation == &clm_operation_columns;
}

static void want(cutting *s, uint32_t tensor) {
    if (clm_graph_about(s->graph, tensor)->kind == CLM_TENSOR_VALUE && !s->varies[tensor] &&
        s->computed[tensor]) {
        s->wanted[tensor] = true;
    }
}

static void find_wanted(cutting *s) {
    const clm_graph *graph = s->graph;
    for (uint32_t i = 0; i < graph->node_count; i++) {
        const clm_node *node = &graph->nodes[i];
        for (int k = 0; k < CLM_NODE_INPUTS && s->varies[node->outputs[0]]; k++) {
            want(s, node->inputs[k]);
        }
    }
    for (uint32_t i = 0; i < graph->output_count; i++) {
        want(s, graph->outputs[i].tensor);
    }
    /* From the last to the first: what is cheaply taken from a tensor that is wanted anyway. */
    for (uint32_t i = graph->node_count; i > 0; i--) {
        const clm_node *node = &graph->nodes[i - 1];
        const uint32_t out = node->outputs[0];
        uint32_t from = node->inputs[0];
        if (!s->wanted[out] || !is_cheap(node)) {
            continue;
        }
        while (!s->wanted[from] && clm_graph_about(graph, from)->kind == CLM_TENSOR_VALUE &&
               is_cheap(&graph->nodes[clm_graph_about(graph, from)->node])) {
            from = graph->nodes[clm_graph_about(graph, from)->node].inputs[0];
        }
        s->wanted[out] = !s->wanted[from];
    }
}

static clm_status build(const cutting *s, clm_cut *cut) {
    clm_status status = CLM_OK;
    CLM_TRY(clm_graph_copy(&cut->frozen, s->graph));
    CLM_TRY(clm_graph_copy(&cut->trained, s->graph));
    clm_graph_drop_outputs(cut->frozen);
    for (uint32_t i = 1; i < s->graph->tensor_count; i++) {
        char name[24];
        if (s->wanted[i]) {
            (void)snprintf(name, sizeof name, "features.%d", cut->count++);
            clm_graph_output(cut->frozen, (clm_tensor){cut->frozen->number, i}, name);
            clm_graph_make_input(cut->trained, i, name);
        }
    }
    CLM_TRY(clm_graph_status(cut->frozen));
    CLM_TRY(clm_graph_prune(cut->frozen));
    CLM_TRY(clm_graph_status(cut->trained)); /* it is pruned after it is derived */
cleanup:
    return status;
}

clm_status clm_graph_cut(clm_cut *cut, const clm_graph *graph, clm_trains *trains, void *context) {
    cutting s = {.graph = graph};
    int count = 0;
    clm_status status = CLM_OK;
    *cut = (clm_cut){0};
    CLM_TRY(clm_graph_status(graph));
    CLM_TRY(clm_allocate(&s.varies, graph->tensor_count, sizeof *s.varies, "a graph"));
    CLM_TRY(clm_allocate(&s.computed, graph->tensor_count, sizeof *s.computed, "a graph"));
    CLM_TRY(clm_allocate(&s.wanted, graph->tensor_count, sizeof *s.wanted, "a graph"));
    mark(&s, trains, context);
    find_wanted(&s);
    for (uint32_t i = 1; i < graph->tensor_count; i++) {
        count += s.wanted[i] ? 1 : 0;
    }
    if (count > 0 && count <= CLM_FEATURES_MOST) {
        CLM_TRY(build(&s, cut));
    }
cleanup:
    clm_free(s.varies);
    clm_free(s.computed);
    clm_free(s.wanted);
    return status;
}

void clm_cut_free(clm_cut *cut) {
    clm_graph_free(cut->frozen);
    clm_graph_free(cut->trained);
    *cut = (clm_cut){0};
}
