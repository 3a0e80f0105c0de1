/* Keeping values in 16 bits: clm_graph_halve() adds these operations, and no description asks for
 * them. In plain C, a value of 16 bits is a double that one of 16 bits can be.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "graph/operations.h"
#include "ops/ops.h"
#include "reference/convert.h"

static clm_status check(const clm_graph *graph, const clm_node *node, clm_shape *out) {
    out[0] = *clm_node_shape(graph, node, 0);
    return CLM_OK;
}

static void reference_round(const clm_reference_call *call) {
    for (int64_t i = 0; i < clm_shape_count(call->in_shape[0]); i++) {
        const float x = (float)call->in[0][i];
        call->out[0][i] = (double)(call->node->with.type == CLM_F16
                                       ? clm_reference_f16_to_f32(clm_reference_f32_to_f16(x))
                                       : clm_reference_bf16_to_f32(clm_reference_f32_to_bf16(x)));
    }
}

static clm_status enqueue_round(const clm_device_call *call) {
    const size_t count = (size_t)clm_shape_count(call->in_shape[0]);
    return clm_convert_narrow(call->device, call->node->with.type, call->out[0].buffer,
                              call->in[0].buffer, count);
}

/* f32 to 16 bits, to the nearest, and to the even one of two equally near. */
const clm_operation clm_operation_round16 = {
    .name = "round16",
    .inputs = {"x"},
    .outputs = {"out"},
    .shape = check,
    .reference = reference_round,
    .enqueue = enqueue_round,
};

static void reference_widen(const clm_reference_call *call) {
    for (int64_t i = 0; i < clm_shape_count(call->in_shape[0]); i++) {
        call->out[0][i] = call->in[0][i];
    }
}

static clm_status enqueue_widen(const clm_device_call *call) {
    const size_t count = (size_t)clm_shape_count(call->in_shape[0]);
    return clm_convert_widen(call->device, call->node->with.type, call->out[0].buffer,
                             call->in[0].buffer, count);
}

/* 16 bits to f32. */
const clm_operation clm_operation_widen16 = {
    .name = "widen16",
    .inputs = {"x"},
    .outputs = {"out"},
    .halves = 1U,
    .shape = check,
    .reference = reference_widen,
    .enqueue = enqueue_widen,
};
