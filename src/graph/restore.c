/* SPDX-License-Identifier: Apache-2.0 */
#include "graph/restore.h"

#include <string.h>

#include "base/memory.h"
#include "graph/operations.h"
#include "graph/transform.h"

static const clm_node *producer(const clm_graph *graph, uint32_t tensor) {
    const clm_tensor_about *about = clm_graph_about(graph, tensor);
    return about->kind == CLM_TENSOR_VALUE ? &graph->nodes[about->node] : NULL;
}

static bool is_view(const clm_node *node) {
    return node->operation == &clm_operation_columns || node->operation == &clm_operation_reshape;
}

uint32_t clm_graph_base(const clm_graph *graph, uint32_t tensor) {
    const clm_node *node = producer(graph, tensor);
    while (node != NULL && is_view(node)) {
        tensor = node->inputs[0];
        node = producer(graph, tensor);
    }
    return tensor;
}

void clm_graph_uses(const clm_graph *graph, clm_value_use *uses, uint32_t *last) {
    uint32_t segment = 0;
    memset(uses, 0, graph->tensor_count * sizeof *uses);
    for (uint32_t i = 0; i < graph->node_count; i++) {
        const clm_node *node = &graph->nodes[i];
        const bool forward = i < graph->backward;
        bool marked = false;
        for (int k = 0; k < CLM_NODE_INPUTS && (!forward || !is_view(node)); k++) {
            clm_value_use *use = &uses[clm_graph_base(graph, node->inputs[k])];
            use->until = forward ? segment : use->until;
            use->by_backward = use->by_backward || !forward;
        }
        for (int k = 0; k < CLM_NODE_OUTPUTS && forward; k++) {
            uses[node->outputs[k]] = (clm_value_use){.from = segment, .until = segment};
            marked = marked || (node->outputs[k] != 0 &&
                                clm_graph_about(graph, node->outputs[k])->name != NULL);
        }
        segment += marked;
    }
    for (uint32_t i = 0; i < graph->output_count; i++) {
        uses[clm_graph_base(graph, graph->outputs[i].tensor)].until = UINT32_MAX;
    }
    *last = segment;
}

/* ---- making what is read ---- */

typedef struct restoring {
    clm_graph *graph;
    const clm_held *held;
    clm_dtype type;
    clm_node *nodes; /* as they were */
    uint32_t node_count, backward;
    uint32_t *made_by;             /* by tensor: the index of its node among them */
    uint32_t *found;               /* by tensor: what is read in its place; 0: not there yet */
    uint32_t *halves;              /* by tensor: its rounding */
    bool *wanted;                  /* by tensor: is to be made before the next node */
    uint32_t wanted_count, lowest; /* the lowest index of a node that makes any */
} restoring;

static clm_held held_as(const restoring *r, uint32_t tensor) {
    const clm_tensor_about *about = clm_graph_about(r->graph, tensor);
    if (about->kind != CLM_TENSOR_VALUE || r->made_by[tensor] >= r->backward) {
        return CLM_HELD_AS_IT_IS;
    }
    const clm_node *node = &r->nodes[r->made_by[tensor]];
    if (is_view(node)) {
        return held_as(r, node->inputs[0]) == CLM_HELD_AS_IT_IS ? CLM_HELD_AS_IT_IS
                                                                : CLM_HELD_AGAIN;
    }
    return r->held[tensor];
}

static void want(restoring *r, uint32_t tensor) {
    if (r->found[tensor] != 0 || r->wanted[tensor] || tensor == 0) {
        return;
    }
    const clm_held held = held_as(r, tensor);
    if (held == CLM_HELD_AS_IT_IS) {
        r->found[tensor] = tensor;
        return;
    }
    r->wanted[tensor] = true;
    r->wanted_count++;
    r->lowest = r->made_by[tensor] < r->lowest ? r->made_by[tensor] : r->lowest;
    for (int k = 0; k < CLM_NODE_INPUTS && held == CLM_HELD_AGAIN; k++) {
        want(r, r->nodes[r->made_by[tensor]].inputs[k]);
    }
}

static void find(restoring *r, uint32_t tensor, uint32_t made) {
    r->found[tensor] = made;
    r->wanted_count -= r->wanted[tensor];
    r->wanted[tensor] = false;
}

static uint32_t convert(const restoring *r, const clm_operation *operation, uint32_t x) {
    const clm_attributes with = {.type = r->type};
    const uint32_t inputs[CLM_NODE_INPUTS] = {x};
    const clm_node *node = clm_graph_add_node(r->graph, operation, inputs, &with);
    return node != NULL ? node->outputs[0] : 0;
}

static void run_again(restoring *r, const clm_node *node) {
    uint32_t inputs[CLM_NODE_INPUTS];
    for (int k = 0; k < CLM_NODE_INPUTS; k++) {
        inputs[k] = r->found[node->inputs[k]];
    }
    clm_node *again = clm_graph_add_node(r->graph, node->operation, inputs, &node->with);
    if (again != NULL) {
        again->notes = node->notes | CLM_NODE_AGAIN;
    }
    for (int k = 0; again != NULL && k < CLM_NODE_OUTPUTS; k++) {
        if (node->outputs[k] != 0 && held_as(r, node->outputs[k]) == CLM_HELD_AGAIN) {
            find(r, node->outputs[k], again->outputs[k]);
        }
    }
}

/* Makes what is wanted. */
static void make(restoring *r) {
    for (uint32_t i = r->lowest; r->wanted_count > 0 && r->graph->status == CLM_OK; i++) {
        const clm_node *node = &r->nodes[i];
        bool again = false;
        for (int k = 0; k < CLM_NODE_OUTPUTS; k++) {
            const uint32_t out = node->outputs[k];
            if (r->wanted[out] && held_as(r, out) == CLM_HELD_ROUNDED) {
                find(r, out, convert(r, &clm_operation_widen16, r->halves[out]));
            }
            again = again || r->wanted[out];
        }
        if (again) {
            run_again(r, node);
        }
    }
    r->lowest = UINT32_MAX;
}

/* A bit for each input that the node, of the forward pass, reads rounded. */
static unsigned read_as_stored(const restoring *r, const clm_node *node) {
    unsigned which = 0;
    for (int k = 0; k < CLM_NODE_INPUTS; k++) {
        const uint32_t base = clm_graph_base(r->graph, node->inputs[k]);
        if ((node->operation->as_stored >> k & 1U) != 0 && held_as(r, base) == CLM_HELD_ROUNDED) {
            which |= 1U << k;
        }
    }
    return which;
}

/* Its inputs that are a bit of `which` become what is read in their place. */
static clm_node read_as_held(restoring *r, clm_node node, unsigned which) {
    for (int k = 0; k < CLM_NODE_INPUTS; k++) {
        if ((which >> k & 1U) != 0) {
            want(r, node.inputs[k]);
        }
    }
    make(r);
    for (int k = 0; k < CLM_NODE_INPUTS; k++) {
        node.inputs[k] = (which >> k & 1U) != 0 ? r->found[node.inputs[k]] : node.inputs[k];
    }
    return node;
}

static void keep_rounded(restoring *r, const clm_node *node) {
    for (int k = 0; k < CLM_NODE_OUTPUTS; k++) {
        const uint32_t out = node->outputs[k];
        if (out != 0 && held_as(r, out) == CLM_HELD_ROUNDED) {
            r->halves[out] = convert(r, &clm_operation_round16, out);
            r->graph->tensors[r->halves[out]].type = r->type;
        }
    }
}

static clm_status prepare(restoring *r) {
    const uint32_t count = r->graph->tensor_count;
    clm_status status = CLM_OK;
    CLM_TRY(clm_allocate(&r->nodes, r->node_count, sizeof *r->nodes, "a graph"));
    CLM_TRY(clm_allocate(&r->made_by, count, sizeof *r->made_by, "a graph"));
    CLM_TRY(clm_allocate(&r->found, count, sizeof *r->found, "a graph"));
    CLM_TRY(clm_allocate(&r->halves, count, sizeof *r->halves, "a graph"));
    CLM_TRY(clm_allocate(&r->wanted, count, sizeof *r->wanted, "a graph"));
    memcpy(r->nodes, r->graph->nodes, r->node_count * sizeof *r->nodes);
    for (uint32_t i = 0; i < count; i++) {
        r->made_by[i] = clm_graph_about(r->graph, i)->node;
    }
cleanup:
    return status;
}

clm_status clm_graph_restore(clm_graph *graph, const clm_held *held, clm_dtype type) {
    const uint32_t described = graph->tensor_count;
    restoring r = {.graph = graph,
                   .held = held,
                   .type = type,
                   .node_count = graph->node_count,
                   .backward = graph->backward,
                   .lowest = UINT32_MAX};
    clm_status status = CLM_OK;
    CLM_TRY(clm_graph_status(graph));
    CLM_TRY(prepare(&r));
    graph->node_count = 0;
    for (uint32_t i = 0; i < r.node_count && graph->status == CLM_OK; i++) {
        const bool forward = i < r.backward;
        if (i == r.backward) {
            /* What the forward pass found in place of a value would live too long. */
            graph->backward = graph->node_count;
            memset(r.found, 0, described * sizeof *r.found);
        }
        const unsigned which = forward ? read_as_stored(&r, &r.nodes[i]) : ~0U;
        const clm_node node = read_as_held(&r, r.nodes[i], which);
        clm_graph_append_node(graph, &node);
        if (forward) {
            keep_rounded(&r, &node);
        }
    }
    CLM_TRY(clm_graph_prune(graph));
cleanup:
    clm_free(r.nodes);
    clm_free(r.made_by);
    clm_free(r.found);
    clm_free(r.halves);
    clm_free(r.wanted);
    return status;
}
