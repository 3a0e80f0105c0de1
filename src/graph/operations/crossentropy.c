/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/crossentropy.h"

#include "graph/derive.h"
#include "graph/operations.h"
#include "ops/ops.h"

static clm_status check(const clm_graph *graph, const clm_node *node, clm_shape *out) {
    const clm_shape *logits = clm_node_shape(graph, node, 0);
    const int64_t rows = clm_shape_rows(logits);
    if (logits->rank < 2 || clm_shape_count(clm_node_shape(graph, node, 1)) != rows) {
        return clm_shapes_fail(graph, node, "logits need rows, and a target each");
    }
    out[0] = (clm_shape){.rank = 1, .size = {rows}};
    out[1] = (clm_shape){.rank = 2, .size = {rows, 2}};
    return CLM_OK;
}

static void derive(clm_derivation *derivation, const clm_node *node) {
    const uint32_t inputs[CLM_NODE_INPUTS] = {clm_derive_output(derivation, node->outputs[0]),
                                              node->inputs[0], node->inputs[1], node->outputs[1]};
    uint32_t out[CLM_NODE_OUTPUTS];
    clm_derive_node(derivation, &clm_operation_crossentropy_backward, inputs, NULL, 1U, NULL, out);
    clm_derive_give(derivation, node->inputs[0], out[0]);
}

static void reference(const clm_reference_call *call) {
    clm_reference_crossentropy_forward(call->out[0], call->out[1], NULL, call->in[0], call->ids[1],
                                       (int)clm_shape_rows(call->in_shape[0]),
                                       (int)clm_shape_last(call->in_shape[0]));
}

static clm_status enqueue(const clm_device_call *call) {
    return clm_crossentropy_forward(call->device, call->out[0].buffer, call->out[1].buffer, NULL,
                                    call->in[0].buffer, call->in[1].buffer,
                                    (int)clm_shape_rows(call->in_shape[0]),
                                    (int)clm_shape_last(call->in_shape[0]));
}

const clm_operation clm_operation_crossentropy = {
    .name = "crossentropy",
    .inputs = {"logits", "targets"},
    .outputs = {"losses", "sums"},
    .integers = 1U << 1,
    .shape = check,
    .derive = derive,
    .reference = reference,
    .enqueue = enqueue,
    .flops_each = 4,
};

static clm_status check_backward(const clm_graph *graph, const clm_node *node, clm_shape *out) {
    out[0] = *clm_node_shape(graph, node, 1);
    return CLM_OK;
}

static void reference_backward(const clm_reference_call *call) {
    const int64_t V = clm_shape_last(call->in_shape[1]);
    for (int64_t row = 0; row < clm_shape_rows(call->in_shape[1]); row++) {
        clm_reference_crossentropy_backward(call->out[0] + row * V, call->in[1] + row * V,
                                            call->ids[2] + row, call->in[0][row], 1, (int)V);
    }
}

static clm_status enqueue_backward(const clm_device_call *call) {
    if (call->in[0].buffer != NULL) {
        return clm_fail(CLM_ERROR_UNSUPPORTED,
                        "losses that are not the end of the graph have no "
                        "kernel yet");
    }
    return clm_crossentropy_backward(call->device, call->out[0].buffer, call->in[1].buffer,
                                     call->in[3].buffer, call->in[2].buffer, call->seed,
                                     (int)clm_shape_rows(call->in_shape[1]),
                                     (int)clm_shape_last(call->in_shape[1]));
}

const clm_operation clm_operation_crossentropy_backward = {
    .name = "crossentropy_backward",
    .inputs = {"dlosses", "logits", "targets", "sums"},
    .outputs = {"dlogits"},
    .integers = 1U << 2,
    .shape = check_backward,
    .reference = reference_backward,
    .enqueue = enqueue_backward,
    .overwrites = 1U << 1,
    .flops_each = 4,
};
