/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/rmsnorm.h"

#include "graph/derive.h"
#include "graph/operations.h"
#include "ops/ops.h"

enum { X, WEIGHT };

static clm_status check(const clm_graph *graph, const clm_node *node, clm_shape *out) {
    const clm_shape *x = clm_node_shape(graph, node, X);
    const int64_t C = clm_shape_last(x);
    if (!clm_shape_is(clm_node_shape(graph, node, WEIGHT), 1, &C)) {
        return clm_shapes_fail(graph, node, "the weight needs shape (%lld)", (long long)C);
    }
    out[0] = *x;
    out[1] = (clm_shape){.rank = 1, .size = {clm_shape_rows(x)}};
    return CLM_OK;
}

static void derive(clm_derivation *derivation, const clm_node *node) {
    const uint32_t of[CLM_NODE_OUTPUTS] = {0, node->inputs[WEIGHT]};
    const bool dx = clm_derive_wants(derivation, node->inputs[X]);
    const uint32_t inputs[CLM_NODE_INPUTS] = {
        clm_derive_output(derivation, node->outputs[0]), node->inputs[X], node->inputs[WEIGHT],
        node->outputs[1], dx ? clm_derive_take(derivation, node->inputs[X]) : 0};
    uint32_t out[CLM_NODE_OUTPUTS];
    const unsigned wanted = (dx ? 1U : 0U) | (clm_derive_wants(derivation, of[1]) ? 2U : 0U);
    clm_derive_node(derivation, &clm_operation_rmsnorm_backward, inputs, NULL, wanted, of, out);
    clm_derive_give(derivation, node->inputs[X], out[0]);
}

static int rows_of(const clm_shape *x) {
    return (int)clm_shape_rows(x);
}

static int columns_of(const clm_shape *x) {
    return (int)clm_shape_last(x);
}

static void reference(const clm_reference_call *call) {
    const clm_shape *x = call->in_shape[X];
    clm_reference_rmsnorm_forward(call->out[0], call->out[1], call->in[X], call->in[WEIGHT],
                                  rows_of(x), columns_of(x), (double)call->node->with.epsilon);
}

static clm_status enqueue(const clm_device_call *call) {
    const clm_shape *x = call->in_shape[X];
    return clm_rmsnorm_forward(call->device, call->out[0].buffer, call->out[1].buffer,
                               call->in[X].buffer, call->in[WEIGHT].buffer, rows_of(x),
                               columns_of(x), call->node->with.epsilon);
}

const clm_operation clm_operation_rmsnorm = {
    .name = "rmsnorm",
    .inputs = {"x", "weight"},
    .outputs = {"out", "rrms"},
    .by_row = 1U,
    .shape = check,
    .derive = derive,
    .reference = reference,
    .enqueue = enqueue,
    .always = 1U,
    .cheap = true,
    .flops_each = 5,
};

static clm_status check_backward(const clm_graph *graph, const clm_node *node, clm_shape *out) {
    out[0] = *clm_node_shape(graph, node, 1);
    out[1] = *clm_node_shape(graph, node, 2);
    return CLM_OK;
}

static void reference_backward(const clm_reference_call *call) {
    const clm_shape *x = call->in_shape[1];
    clm_reference_rmsnorm_backward(call->out[0], call->out[1], call->in[0], call->in[1],
                                   call->in[2], call->in[3], call->in[4], rows_of(x),
                                   columns_of(x));
}

static clm_status enqueue_backward(const clm_device_call *call) {
    const clm_shape *x = call->in_shape[1];
    return clm_rmsnorm_backward(call->device, call->out[0].buffer, call->out[1].buffer,
                                call->in[0].buffer, call->in[1].buffer, call->in[2].buffer,
                                call->in[3].buffer, call->in[4].buffer, rows_of(x), columns_of(x),
                                call->scratch);
}

static size_t backward_scratch_bytes(const clm_device_call *call) {
    const clm_shape *x = call->in_shape[1];
    return call->node->outputs[1] != 0
               ? clm_rmsnorm_backward_scratch_bytes(call->device, rows_of(x), columns_of(x))
               : 0;
}

/* dx = the gradient through the norm + what flows past it. */
const clm_operation clm_operation_rmsnorm_backward = {
    .name = "rmsnorm_backward",
    .inputs = {"dout", "x", "weight", "rrms", "past"},
    .outputs = {"dx", "dweight"},
    .optional = 1U << 4,
    .shape = check_backward,
    .reference = reference_backward,
    .enqueue = enqueue_backward,
    .scratch_bytes = backward_scratch_bytes,
    .overwrites = 1U << 4,
    .flops_each = 10,
};
