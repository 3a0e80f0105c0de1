/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"
#include "graph/transform.h"

/* Whether a node is needed; marks what it reads, and drops outputs that nothing reads. */
static bool keep(const clm_graph *graph, clm_node *node, bool *read) {
    bool needed = node->operation->writes_state;
    for (int i = 0; i < CLM_NODE_OUTPUTS; i++) {
        const uint32_t out = node->outputs[i];
        const bool dropped = !read[out] && graph->tensors[out].kind != CLM_TENSOR_GRADIENT;
        needed = needed || (out != 0 && !dropped);
        if (dropped && !node->operation->writes_state && (node->operation->always >> i & 1U) == 0) {
            node->outputs[i] = 0;
        }
    }
    for (int i = 0; needed && i < CLM_NODE_INPUTS; i++) {
        read[node->inputs[i]] = true;
    }
    return needed;
}

clm_status clm_graph_prune(clm_graph *graph) {
    bool *read = NULL;
    bool *kept = NULL;
    uint32_t count = 0;
    uint32_t backward = 0;
    clm_status status = CLM_OK;
    CLM_TRY(clm_graph_status(graph));
    CLM_TRY(clm_allocate(&read, graph->tensor_count, sizeof *read, "a graph"));
    CLM_TRY(clm_allocate(&kept, graph->node_count, sizeof *kept, "a graph"));
    for (uint32_t i = 0; i < graph->output_count; i++) {
        read[graph->outputs[i].tensor] = true;
    }
    for (uint32_t i = graph->node_count; i > 0; i--) {
        kept[i - 1] = keep(graph, &graph->nodes[i - 1], read);
    }
    for (uint32_t i = 0; i < graph->node_count; i++) {
        if (!kept[i]) {
            continue;
        }
        graph->nodes[count] = graph->nodes[i];
        for (int k = 0; k < CLM_NODE_OUTPUTS; k++) {
            clm_tensor_about *about = &graph->tensors[graph->nodes[count].outputs[k]];
            about->node = about->kind == CLM_TENSOR_VALUE ? count : about->node;
        }
        count++;
        backward += i < graph->backward;
    }
    graph->node_count = count;
    graph->backward = backward;
cleanup:
    clm_free(read);
    clm_free(kept);
    return status;
}
