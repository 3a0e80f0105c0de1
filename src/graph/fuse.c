/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"
#include "graph/operations.h"
#include "graph/transform.h"

typedef struct fusing {
    clm_graph *graph;
    uint32_t *readers; /* by tensor: how many nodes read it, an output once more */
} fusing;

static clm_status count_readers(fusing *f) {
    const clm_graph *graph = f->graph;
    clm_status status =
        clm_allocate(&f->readers, graph->tensor_count, sizeof *f->readers, "a graph");
    for (uint32_t i = 0; status == CLM_OK && i < graph->node_count; i++) {
        for (int k = 0; k < CLM_NODE_INPUTS; k++) {
            f->readers[graph->nodes[i].inputs[k]]++;
        }
    }
    for (uint32_t i = 0; status == CLM_OK && i < graph->output_count; i++) {
        f->readers[graph->outputs[i].tensor]++;
    }
    return status;
}

/* The linear whose result `tensor` is; NULL for other tensors. */
static clm_node *linear_of(const fusing *f, uint32_t tensor) {
    const clm_tensor_about *about = clm_graph_about(f->graph, tensor);
    clm_node *node = about->kind == CLM_TENSOR_VALUE ? &f->graph->nodes[about->node] : NULL;
    return node != NULL && node->operation == &clm_operation_linear && node->outputs[0] == tensor
               ? node
               : NULL;
}

/* The linear takes over what `node` gives, and `node` is nobody's any more. */
static void take_output(const fusing *f, clm_node *linear, clm_node *node) {
    linear->outputs[0] = node->outputs[0];
    f->graph->tensors[node->outputs[0]].node = (uint32_t)(linear - f->graph->nodes);
    node->outputs[0] = 0;
}

static void fuse_gelu(const fusing *f, clm_node *node) {
    const uint32_t x = node->inputs[0];
    clm_node *linear = linear_of(f, x);
    if (linear == NULL || linear->with.linear.gelu || linear->inputs[3] != 0) {
        return;
    }
    linear->with.linear.gelu = true;
    linear->outputs[1] = f->readers[x] > 1 ? x : 0;
    take_output(f, linear, node);
}

/* A residual has to be there when the linear runs: whatever comes after it is not. */
static void fuse_add(const fusing *f, clm_node *node) {
    for (int i = 0; i < 2; i++) {
        const uint32_t residual = node->inputs[1 - i];
        const clm_tensor_about *about = clm_graph_about(f->graph, residual);
        clm_node *linear = linear_of(f, node->inputs[i]);
        if (linear != NULL && linear->inputs[3] == 0 && f->readers[node->inputs[i]] == 1 &&
            (about->kind != CLM_TENSOR_VALUE || &f->graph->nodes[about->node] < linear)) {
            linear->inputs[3] = residual;
            take_output(f, linear, node);
            return;
        }
    }
}

clm_status clm_graph_fuse(clm_graph *graph) {
    fusing f = {.graph = graph};
    clm_status status = CLM_OK;
    CLM_TRY(clm_graph_status(graph));
    CLM_TRY(count_readers(&f));
    for (uint32_t i = 0; i < graph->node_count; i++) {
        if (graph->nodes[i].operation == &clm_operation_gelu) {
            fuse_gelu(&f, &graph->nodes[i]);
        } else if (graph->nodes[i].operation == &clm_operation_add) {
            fuse_add(&f, &graph->nodes[i]);
        }
    }
    CLM_TRY(clm_graph_prune(graph));
cleanup:
    clm_free(f.readers);
    return status;
}
