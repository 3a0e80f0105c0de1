/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"
#include "graph/restore.h"
#include "graph/transform.h"

typedef struct recomputing {
    const clm_graph *graph;
    clm_value_use *uses;
    clm_held *held;
    bool *stays; /* by tensor: is kept */
    uint32_t last;
} recomputing;

/* Whether a node is run again: none of its outputs is kept anyway, as an input of another segment,
 * and no state is written twice. Small ones beside such an output, statistics of rows, are not
 * worth it. */
static bool is_run_again(const recomputing *r, const clm_node *node) {
    if (node->operation->writes_state) {
        return false;
    }
    for (int k = 0; k < CLM_NODE_OUTPUTS; k++) {
        const clm_value_use *use = &r->uses[node->outputs[k]];
        if (node->outputs[k] != 0 &&
            (use->from == r->last || use->until != use->from || r->stays[node->outputs[k]])) {
            return false;
        }
    }
    return true;
}

/* A node that is kept keeps what it must see as its derivative sees it, which could otherwise be
 * computed again from rounded values. */
static void decide(recomputing *r, const clm_node *node) {
    const bool again = is_run_again(r, node);
    for (int k = 0; k < CLM_NODE_OUTPUTS && again; k++) {
        r->held[node->outputs[k]] = CLM_HELD_AGAIN;
    }
    for (int k = 0; k < CLM_NODE_INPUTS && !again; k++) {
        if ((node->operation->as_stored >> k & 1U) != 0) {
            r->stays[clm_graph_base(r->graph, node->inputs[k])] = true;
        }
    }
}

clm_status clm_graph_recompute(clm_graph *graph) {
    recomputing r = {.graph = graph};
    const uint32_t count = graph->tensor_count;
    clm_status status = CLM_OK;
    CLM_TRY(clm_graph_status(graph));
    CLM_TRY(clm_allocate(&r.uses, count, sizeof *r.uses, "a graph"));
    CLM_TRY(clm_allocate(&r.held, count, sizeof *r.held, "a graph"));
    CLM_TRY(clm_allocate(&r.stays, count, sizeof *r.stays, "a graph"));
    clm_graph_uses(graph, r.uses, &r.last);
    for (uint32_t i = graph->backward; i > 0; i--) {
        decide(&r, &graph->nodes[i - 1]);
    }
    CLM_TRY(clm_graph_restore(graph, r.held, CLM_F32));
cleanup:
    clm_free(r.uses);
    clm_free(r.held);
    clm_free(r.stays);
    return status;
}
