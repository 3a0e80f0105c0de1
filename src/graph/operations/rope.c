/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/rope.h"

#include "graph/derive.h"
#include "graph/operations.h"
#include "ops/ops.h"

enum { X, FIRST };

static clm_status check(const clm_graph *graph, const clm_node *node, clm_shape *out) {
    const clm_shape *x = clm_node_shape(graph, node, X);
    const clm_shape *first = clm_node_shape(graph, node, FIRST);
    if (x->rank != 4 || x->size[3] % 2 != 0 || !(node->with.rope.theta > 1.0F)) {
        return clm_shapes_fail(graph, node,
                               "needs shape (B,T,H,D) with an even D, and theta over 1");
    }
    if (first->rank != 0 && !clm_shape_is(first, 1, x->size)) {
        return clm_shapes_fail(graph, node, "first needs shape (B)");
    }
    out[0] = *x;
    return CLM_OK;
}

/* A rotation's transpose is the rotation back. */
static void derive(clm_derivation *derivation, const clm_node *node) {
    clm_attributes with = node->with;
    with.rope.back = !with.rope.back;
    const uint32_t inputs[CLM_NODE_INPUTS] = {clm_derive_output(derivation, node->outputs[0]),
                                              node->inputs[FIRST]};
    uint32_t out[CLM_NODE_OUTPUTS];
    clm_derive_node(derivation, &clm_operation_rope, inputs, &with, 1U, NULL, out);
    clm_derive_give(derivation, node->inputs[X], out[0]);
}

static void reference(const clm_reference_call *call) {
    const int64_t *size = call->in_shape[X]->size;
    clm_reference_rope(call->out[0], call->in[X], call->ids[FIRST], (int)size[0], (int)size[1],
                       (int)size[2], (int)size[3], (double)call->node->with.rope.theta,
                       call->node->with.rope.back);
}

static clm_status enqueue(const clm_device_call *call) {
    const int64_t *size = call->in_shape[X]->size;
    const clm_place *x = &call->in[X];
    const bool dense = x->width == x->stride;
    const clm_view rows = {x->buffer, x->offset, dense ? 0 : (int)x->stride};
    return clm_rope_forward(call->device, call->out[0].buffer, rows, call->in[FIRST].buffer,
                            (int)size[0], (int)size[1], (int)size[2], (int)size[3],
                            call->node->with.rope.theta, call->node->with.rope.back);
}

const clm_operation clm_operation_rope = {
    .name = "rope",
    .inputs = {"x", "first"},
    .outputs = {"out"},
    .optional = 1U << FIRST,
    .integers = 1U << FIRST,
    .shape = check,
    .derive = derive,
    .reference = reference,
    .enqueue = enqueue,
    .strided_inputs = 1U << X,
    .overwrites = 1U << X,
    .flops_each = 6,
};
