/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"
#include "graph/operations.h"
#include "graph/restore.h"
#include "graph/transform.h"

typedef struct halving {
    const clm_graph *graph;
    clm_value_use *uses;
    clm_held *held;
    uint32_t last;
    bool *trained;   /* by tensor: it depends on what is trained */
    bool *as_stored; /* by tensor: the forward pass reads it as it is kept */
    bool *there;     /* by tensor: the backward pass can have it without keeping more */
} halving;

/* Parameters and inputs are always there. */
static bool is_there(const halving *h, uint32_t tensor) {
    const uint32_t base = clm_graph_base(h->graph, tensor);
    return clm_graph_about(h->graph, base)->kind != CLM_TENSOR_VALUE || h->there[base];
}

static void decide(const halving *h, const clm_node *node) {
    bool cheap = node->operation->cheap;
    bool trained = false;
    const bool in_state = node->operation->writes_state;
    for (int k = 0; k < CLM_NODE_INPUTS; k++) {
        cheap = cheap && is_there(h, node->inputs[k]);
        trained = trained || h->trained[node->inputs[k]];
    }
    for (int k = 0; k < CLM_NODE_OUTPUTS; k++) {
        const uint32_t out = node->outputs[k];
        cheap = cheap && (out == 0 || (h->uses[out].until < h->last && !h->as_stored[out]));
    }
    for (int k = 0; k < CLM_NODE_OUTPUTS; k++) {
        const uint32_t out = node->outputs[k];
        const clm_value_use *use = &h->uses[out];
        if (out == 0) {
            continue;
        }
        h->trained[out] = trained;
        if (cheap) {
            h->held[out] = CLM_HELD_AGAIN;
        } else if (k == 0 && use->by_backward && use->until < h->last && trained && !in_state) {
            h->held[out] = CLM_HELD_ROUNDED;
        }
        h->there[out] = use->by_backward || h->held[out] == CLM_HELD_AGAIN;
    }
}

static clm_status prepare(halving *h) {
    const clm_graph *graph = h->graph;
    const uint32_t count = graph->tensor_count;
    clm_status status = CLM_OK;
    CLM_TRY(clm_graph_status(graph));
    CLM_TRY(clm_allocate(&h->uses, count, sizeof *h->uses, "a graph"));
    CLM_TRY(clm_allocate(&h->held, count, sizeof *h->held, "a graph"));
    CLM_TRY(clm_allocate(&h->trained, count, sizeof *h->trained, "a graph"));
    CLM_TRY(clm_allocate(&h->as_stored, count, sizeof *h->as_stored, "a graph"));
    CLM_TRY(clm_allocate(&h->there, count, sizeof *h->there, "a graph"));
    clm_graph_uses(graph, h->uses, &h->last);
    for (uint32_t i = 1; i < count; i++) {
        const clm_tensor_about *about = clm_graph_about(graph, i);
        if (about->kind == CLM_TENSOR_GRADIENT) {
            h->trained[about->of] = true;
        }
    }
    for (uint32_t i = 0; i < graph->backward; i++) {
        const clm_node *node = &graph->nodes[i];
        for (int k = 0; k < CLM_NODE_INPUTS; k++) {
            if ((node->operation->as_stored >> k & 1U) != 0) {
                h->as_stored[clm_graph_base(graph, node->inputs[k])] = true;
            }
        }
    }
cleanup:
    return status;
}

clm_status clm_graph_halve(clm_graph *graph, clm_dtype type) {
    halving h = {.graph = graph};
    clm_status status = CLM_OK;
    CLM_TRY(prepare(&h));
    for (uint32_t i = 0; i < graph->backward; i++) {
        decide(&h, &graph->nodes[i]);
    }
    CLM_TRY(clm_graph_restore(graph, h.held, type));
cleanup:
    clm_free(h.uses);
    clm_free(h.held);
    clm_free(h.trained);
    clm_free(h.as_stored);
    clm_free(h.there);
    return status;
}
