/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/attention.h"

#include "graph/derive.h"
#include "graph/operations.h"
#include "ops/ops.h"

enum { Q, K, V, FIRST, LENGTHS };

static clm_status check(const clm_graph *graph, const clm_node *node, clm_shape *out) {
    const clm_shape *q = clm_node_shape(graph, node, Q);
    const clm_shape *k = clm_node_shape(graph, node, K);
    const clm_shape *first = clm_node_shape(graph, node, FIRST);
    const clm_shape *lengths = clm_node_shape(graph, node, LENGTHS);
    if (q->rank != 4 || k->rank != 4 || !clm_shape_equal(k, clm_node_shape(graph, node, V)) ||
        q->size[0] != k->size[0] || q->size[3] != k->size[3] || q->size[2] % k->size[2] != 0) {
        return clm_shapes_fail(graph, node,
                               "needs q (B,Tq,H,D), k and v (B,Tk,G,D), H a multiple of G");
    }
    if ((first->rank != 0 && !clm_shape_is(first, 1, q->size)) ||
        (lengths->rank != 0 && !clm_shape_is(lengths, 1, q->size))) {
        return clm_shapes_fail(graph, node, "first and lengths need shape (B)");
    }
    if (first->rank == 0 && node->with.attention.causal && q->size[1] != k->size[1]) {
        return clm_shapes_fail(graph, node, "causal queries need as many keys, or first positions");
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
                                              node->inputs[FIRST],
                                              node->inputs[LENGTHS],
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

/* Of the node whose queries are its input `q`, and whose other inputs follow. */
static clm_reference_attention reference_shape(const clm_reference_call *call, int q) {
    const int64_t *size = call->in_shape[q]->size;
    const int64_t *of_keys = call->in_shape[q + K]->size;
    const clm_attributes *with = &call->node->with;
    return (clm_reference_attention){.B = (int)size[0],
                                     .Tq = (int)size[1],
                                     .Tk = (int)of_keys[1],
                                     .H = (int)size[2],
                                     .G = (int)of_keys[2],
                                     .D = (int)size[3],
                                     .causal = with->attention.causal,
                                     .scale = (double)with->attention.scale,
                                     .first = call->ids[q + FIRST],
                                     .first_step = (int)with->attention.first_step,
                                     .lengths = call->ids[q + LENGTHS]};
}

static void reference(const clm_reference_call *call) {
    const clm_reference_attention shape = reference_shape(call, Q);
    clm_reference_attention_forward(call->out[0], call->out[1], call->in[Q], call->in[K],
                                    call->in[V], &shape);
}

static clm_attention_shape device_shape(const clm_device_call *call, int q) {
    const int64_t *size = call->in_shape[q]->size;
    const int64_t *of_keys = call->in_shape[q + K]->size;
    const clm_attributes *with = &call->node->with;
    return (clm_attention_shape){.B = (int)size[0],
                                 .Tq = (int)size[1],
                                 .Tk = (int)of_keys[1],
                                 .H = (int)size[2],
                                 .G = (int)of_keys[2],
                                 .D = (int)size[3],
                                 .causal = with->attention.causal,
                                 .scale = with->attention.scale};
}

/* The rows of (B,T,H,D) are its positions, apart as those of the (B,T,C) that it is a view of;
 * where it is contiguous its place has rows of D. */
static clm_view view_of(const clm_place *place) {
    const bool dense = place->width == place->stride;
    return (clm_view){
        .buffer = place->buffer, .offset = place->offset, .stride = dense ? 0 : (int)place->stride};
}

static clm_attention_arguments arguments_of(const clm_device_call *call, int q) {
    return (clm_attention_arguments){.shape = device_shape(call, q),
                                     .q = view_of(&call->in[q + Q]),
                                     .k = view_of(&call->in[q + K]),
                                     .v = view_of(&call->in[q + V]),
                                     .first = call->in[q + FIRST].buffer,
                                     .first_step = (int)call->node->with.attention.first_step,
                                     .lengths = call->in[q + LENGTHS].buffer};
}

static clm_status enqueue(const clm_device_call *call) {
    const clm_attention_arguments arguments = arguments_of(call, Q);
    return clm_attention_forward(call->device, call->out[0].buffer, call->out[1].buffer,
                                 &arguments);
}

/* Of one product of the scores' shape; causal queries see half of a square. Where first positions
 * are bound, it is not known what they see: all of it, at most. */
static uint64_t flops_of_product(const clm_graph *graph, const clm_node *node, int q) {
    const int64_t *size = clm_node_shape(graph, node, q)->size;
    const uint64_t Tk = (uint64_t)clm_node_shape(graph, node, q + K)->size[1];
    const uint64_t Tq = (uint64_t)size[1];
    const bool half = node->with.attention.causal && node->inputs[q + FIRST] == 0;
    const uint64_t pairs = half ? Tq * (Tq + 1) / 2 : Tq * Tk;
    return 2U * (uint64_t)(size[0] * size[2] * size[3]) * pairs;
}

static uint64_t flops(const clm_graph *graph, const clm_node *node) {
    return 2U * flops_of_product(graph, node, Q);
}

const clm_operation clm_operation_attention = {
    .name = "attention",
    .inputs = {"q", "k", "v", "first", "lengths"},
    .outputs = {"out", "lse"},
    .optional = 1U << FIRST | 1U << LENGTHS,
    .integers = 1U << FIRST | 1U << LENGTHS,
    .shape = check,
    .derive = derive,
    .reference = reference,
    .enqueue = enqueue,
    .strided_inputs = 1U << Q | 1U << K | 1U << V,
    /* Or the log-sum-exp would be that of other scores. */
    .as_stored = 1U << Q | 1U << K | 1U << V,
    .flops = flops,
};

enum { DOUT, OF_FORWARD, OUT = OF_FORWARD + LENGTHS + 1, LSE };

static clm_status check_backward(const clm_graph *graph, const clm_node *node, clm_shape *out) {
    for (int i = 0; i < 3; i++) {
        out[i] = *clm_node_shape(graph, node, i + 1);
    }
    return CLM_OK;
}

static void reference_backward(const clm_reference_call *call) {
    const clm_reference_attention shape = reference_shape(call, OF_FORWARD);
    clm_reference_attention_backward(
        call->out[0], call->out[1], call->out[2], call->in[DOUT], call->in[OF_FORWARD + Q],
        call->in[OF_FORWARD + K], call->in[OF_FORWARD + V], call->in[OUT], call->in[LSE], &shape);
}

static size_t scratch_backward(const clm_device_call *call) {
    const clm_attention_shape shape = device_shape(call, OF_FORWARD);
    return clm_attention_backward_scratch_bytes(call->device, &shape);
}

static clm_status enqueue_backward(const clm_device_call *call) {
    const clm_attention_arguments arguments = arguments_of(call, OF_FORWARD);
    const clm_attention_gradients to = {view_of(&call->out[0]), view_of(&call->out[1]),
                                        view_of(&call->out[2])};
    return clm_attention_backward(call->device, &to, call->in[DOUT].buffer, call->in[OUT].buffer,
                                  call->in[LSE].buffer, &arguments, call->scratch);
}

/* Scores again, and the gradients of probabilities, queries, keys and values. */
static uint64_t flops_backward(const clm_graph *graph, const clm_node *node) {
    return 5U * flops_of_product(graph, node, OF_FORWARD);
}

const clm_operation clm_operation_attention_backward = {
    .name = "attention_backward",
    .inputs = {"dout", "q", "k", "v", "first", "lengths", "out", "lse"},
    .outputs = {"dq", "dk", "dv"},
    .optional = 1U << (OF_FORWARD + FIRST) | 1U << (OF_FORWARD + LENGTHS),
    .integers = 1U << (OF_FORWARD + FIRST) | 1U << (OF_FORWARD + LENGTHS),
    .shape = check_backward,
    .reference = reference_backward,
    .enqueue = enqueue_backward,
    .scratch_bytes = scratch_backward,
    .strided_inputs = 1U << (OF_FORWARD + Q) | 1U << (OF_FORWARD + K) | 1U << (OF_FORWARD + V),
    .strided_outputs = 7U,
    .flops = flops_backward,
};
