/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/attention.h"

#include "graph/derive.h"
#include "graph/operations.h"
#include "ops/ops.h"

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

/* The layouts of operands that kernels take. */
typedef enum operand_layout {
    FUSED,  /* q, k and v of a position beside each other */
    POOLED, /* one query a sequence; k and v of a position beside each other */
    OTHER_LAYOUT
} operand_layout;

static operand_layout layout_of_operands(const clm_place *q, const clm_place *k, const clm_place *v,
                                         bool pooled, const clm_attention_shape *shape) {
    const size_t C = (size_t)shape->H * (size_t)shape->D;
    const bool beside = k->buffer == v->buffer && v->offset == k->offset + C;
    if (pooled) {
        return beside && k->offset == 0 && k->stride == 2 * C && q->width == q->stride
                   ? POOLED
                   : OTHER_LAYOUT;
    }
    return beside && q->buffer == k->buffer && q->offset == 0 && k->offset == C &&
                   k->stride == 3 * C
               ? FUSED
               : OTHER_LAYOUT;
}

static clm_attention_shape device_shape(const clm_device_call *call, int q) {
    const int64_t *size = call->in_shape[q]->size;
    return (clm_attention_shape){.B = (int)size[0],
                                 .T = (int)call->in_shape[q + 1]->size[1],
                                 .H = (int)size[2],
                                 .D = (int)size[3],
                                 .causal = call->node->with.attention.causal};
}

static clm_status fail_layout(void) {
    return clm_fail(CLM_ERROR_UNSUPPORTED,
                    "attention has kernels only for queries, keys and values of one product, "
                    "and for one query per sequence");
}

static clm_status enqueue(const clm_device_call *call) {
    const clm_attention_shape shape = device_shape(call, Q);
    const bool pooled = call->in[ROWS].buffer != NULL;
    const operand_layout layout =
        layout_of_operands(&call->in[Q], &call->in[K], &call->in[V], pooled, &shape);
    if (layout == OTHER_LAYOUT || call->in_shape[K]->size[2] != shape.H ||
        call->node->with.attention.scale != 0.0F) {
        return fail_layout();
    }
    return layout == POOLED
               ? clm_attention_pooled_forward(call->device, call->out[0].buffer,
                                              call->out[1].buffer, call->in[Q].buffer,
                                              call->in[K].buffer, call->in[ROWS].buffer, shape)
               : clm_attention_forward(call->device, call->out[0].buffer, call->out[1].buffer,
                                       call->in[Q].buffer, shape);
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
    .enqueue = enqueue,
    .strided_inputs = 7U,
    .as_stored = 7U, /* or the log-sum-exp would be that of other scores */
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

/* Their gradients have the same layout; all three are always written. */
static clm_status enqueue_backward(const clm_device_call *call) {
    const clm_attention_shape shape = device_shape(call, 1);
    const bool pooled = call->in[4].buffer != NULL;
    const operand_layout layout =
        layout_of_operands(&call->in[1], &call->in[2], &call->in[3], pooled, &shape);
    if (layout == OTHER_LAYOUT ||
        layout != layout_of_operands(&call->out[0], &call->out[1], &call->out[2], pooled, &shape)) {
        return fail_layout();
    }
    return layout == POOLED ? clm_attention_pooled_backward(
                                  call->device, call->out[0].buffer, call->out[1].buffer,
                                  call->in[0].buffer, call->in[1].buffer, call->in[2].buffer,
                                  call->in[5].buffer, call->in[6].buffer, call->in[4].buffer, shape)
                            : clm_attention_backward(call->device, call->out[0].buffer,
                                                     call->in[0].buffer, call->in[1].buffer,
                                                     call->in[5].buffer, call->in[6].buffer, shape);
}

const clm_operation clm_operation_attention_backward = {
    .name = "attention_backward",
    .inputs = {"dout", "q", "k", "v", "rows", "out", "lse"},
    .outputs = {"dq", "dk", "dv"},
    .optional = 1U << 4,
    .integers = 1U << 4,
    .shape = check_backward,
    .reference = reference_backward,
    .enqueue = enqueue_backward,
    .strided_inputs = 2U | 4U | 8U,
    .strided_outputs = 7U,
};
