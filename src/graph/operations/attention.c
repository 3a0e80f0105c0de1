/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/attention.h"

#include "graph/derive.h"
#include "graph/operations.h"

enum { Q, K, V, ROWS };

static clm_status check(const clm_graph *graph, const clm_node *node, clm_shape *out) {
    const clm_shape *q = clm_node_shape(graph, node, Q);
    const clm_shape *k = clm_node_shape(graph, node, K);
    const clm_shape *rows = clm_node_shape(graph, node, ROWS);
    if (q->rank != 4 || k->rank != 4 || !clm_shape_equal(k, clm_node_shape(graph, node, V)) ||
        q->size[0] != k->size[0] || q->size[3] != k->size[3] || q->size[2] % k->size[2] != 0) {
        return clm_shapes_fail(graph, node,
                               "needs q (B,Tq,H,D), k and v (B,Tk,G,D), H a multiple of G");
    }
    if (rows->rank != 0 &&
        (!clm_shape_is(rows, 1, q->size) || q->size[1] != 1 || !node->with.attention.causal)) {
        return clm_shapes_fail(graph, node, "rows need shape (B), and q one position, causal");
    }
    if (rows->rank == 0 && node->with.attention.causal && q->size[1] != k->size[1]) {
        return clm_shapes_fail(graph, node, "causal queries need as many keys");
    }
    out[0] = *q;
    out[1] = (clm_shape){.rank = 3, .size = {q->size[0], q->size[2], q->size[1]}};
    return CLM_OK;
}

static void derive(clm_derivation *derivation, const clm_node *node) {
    const uint32_t inputs[CLM_NODE_INPUTS] = {clm_derive_output(derivation, node->outputs[0]),
                                              node->inputs[Q],
                                              node->inputs[K],
                                              node->inputs[V],
                                              node->inputs[ROWS],
                                              node->outputs[0],
                                              node->outputs[1]};
    uint32_t out[CLM_NODE_OUTPUTS];
    unsigned wanted = 0;
    for (unsigned i = 0; i < 3; i++) {
        wanted |= clm_derive_wants(derivation, node->inputs[i]) ? 1U << i : 0U;
    }
    clm_derive_node(derivation, &clm_operation_attention_backward, inputs, &node->with, wanted,
                    NULL, out);
    for (int i = 0; i < 3; i++) {
        clm_derive_give(derivation, node->inputs[i], out[i]);
    }
}

static clm_reference_attention shape_of(const clm_reference_call *call, int q, int rows) {
    const int64_t *size = call->in_shape[q]->size;
    const int64_t *of_keys = call->in_shape[q + 1]->size;
    return (clm_reference_attention){.B = (int)size[0],
                                     .Tq = (int)size[1],
                                     .Tk = (int)of_keys[1],
                                     .H = (int)size[2],
                                     .G = (int)of_keys[2],
                                     .D = (int)size[3],
                                     .causal = call->node->with.attention.causal,
                                     .scale = (double)call->node->with.attention.scale,
                                     .rows = call->ids[rows]};
}

static void reference(const clm_reference_call *call) {
    const clm_reference_attention shape = shape_of(call, Q, ROWS);
    clm_reference_attention_forward(call->out[0], call->out[1], call->in[Q], call->in[K],
                                    call->in[V], &shape);
}

const clm_operation clm_operation_attention = {
    .name = "attention",
    .inputs = {"q", "k", "v", "rows"},
    .outputs = {"out", "lse"},
    .optional = 1U << ROWS,
    .integers = 1U << ROWS,
    .shape = check,
    .derive = derive,
    .reference = reference,
};

static clm_status check_backward(const clm_graph *graph, const clm_node *node, clm_shape *out) {
    for (int i = 0; i < 3; i++) {
        out[i] = *clm_node_shape(graph, node, i + 1);
    }
    return CLM_OK;
}

static void reference_backward(const clm_reference_call *call) {
    const clm_reference_attention shape = shape_of(call, 1, 4);
    clm_reference_attention_backward(call->out[0], call->out[1], call->out[2], call->in[0],
                                     call->in[1], call->in[2], call->in[3], call->in[5],
                                     call->in[6], &shape);
}

const clm_operation clm_operation_attention_backward = {
    .name = "attention_backward",
    .inputs = {"dout", "q", "k", "v", "rows", "out", "lse"},
    .outputs = {"dq", "dk", "dv"},
    .optional = 1U << 4,
    .integers = 1U << 4,
    .shape = check_backward,
    .reference = reference_backward,
};
