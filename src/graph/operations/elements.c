/* Operations that treat each element alone.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "graph/derive.h"
#include "graph/operations.h"
#include "ops/ops.h"
#include "reference/gelu.h"
#include "reference/silu_gate.h"

static int64_t count_of(const clm_reference_call *call) {
    return clm_shape_count(call->in_shape[0]);
}

/* All inputs have the shape of the first, and so have all outputs. */
static clm_status check(const clm_graph *graph, const clm_node *node, clm_shape *out) {
    const clm_shape *x = clm_node_shape(graph, node, 0);
    for (int i = 1; i < CLM_NODE_INPUTS && node->operation->inputs[i] != NULL; i++) {
        if (!clm_shape_equal(x, clm_node_shape(graph, node, i))) {
            return clm_shapes_fail(graph, node, "both need one shape");
        }
    }
    for (int i = 0; i < CLM_NODE_OUTPUTS && node->operation->outputs[i] != NULL; i++) {
        out[i] = *x;
    }
    return CLM_OK;
}

/* ---- GELU ---- */

static void derive_gelu(clm_derivation *derivation, const clm_node *node) {
    const uint32_t inputs[CLM_NODE_INPUTS] = {clm_derive_output(derivation, node->outputs[0]),
                                              node->inputs[0]};
    uint32_t out[CLM_NODE_OUTPUTS];
    clm_derive_node(derivation, &clm_operation_gelu_backward, inputs, NULL, 1U, NULL, out);
    clm_derive_give(derivation, node->inputs[0], out[0]);
}

static void reference_gelu(const clm_reference_call *call) {
    for (int64_t i = 0; i < count_of(call); i++) {
        call->out[0][i] = clm_reference_gelu(call->in[0][i]);
    }
}

static size_t elements_of(const clm_device_call *call) {
    return (size_t)clm_shape_count(call->in_shape[0]);
}

static clm_status enqueue_gelu(const clm_device_call *call) {
    return clm_gelu_forward(call->device, call->out[0].buffer, call->in[0].buffer,
                            elements_of(call));
}

const clm_operation clm_operation_gelu = {
    .name = "gelu",
    .inputs = {"x"},
    .outputs = {"out"},
    .by_row = 1U,
    .shape = check,
    .derive = derive_gelu,
    .reference = reference_gelu,
    .enqueue = enqueue_gelu,
    .cheap = true,
    .flops_each = 10,
};

static void reference_gelu_backward(const clm_reference_call *call) {
    for (int64_t i = 0; i < count_of(call); i++) {
        call->out[0][i] = call->in[0][i] * clm_reference_gelu_derivative(call->in[1][i]);
    }
}

static clm_status enqueue_gelu_backward(const clm_device_call *call) {
    return clm_gelu_backward(call->device, call->out[0].buffer, call->in[0].buffer,
                             call->in[1].buffer, elements_of(call));
}

const clm_operation clm_operation_gelu_backward = {
    .name = "gelu_backward",
    .inputs = {"dout", "x"},
    .outputs = {"dx"},
    .shape = check,
    .reference = reference_gelu_backward,
    .enqueue = enqueue_gelu_backward,
    .overwrites = 1U,
    .flops_each = 16,
};

/* ---- silu(gate) * up ---- */

static void derive_silu_gate(clm_derivation *derivation, const clm_node *node) {
    const uint32_t inputs[CLM_NODE_INPUTS] = {clm_derive_output(derivation, node->outputs[0]),
                                              node->inputs[0], node->inputs[1]};
    uint32_t out[CLM_NODE_OUTPUTS];
    const unsigned wanted = (clm_derive_wants(derivation, node->inputs[0]) ? 1U : 0U) |
                            (clm_derive_wants(derivation, node->inputs[1]) ? 2U : 0U);
    clm_derive_node(derivation, &clm_operation_silu_gate_backward, inputs, NULL, wanted, NULL, out);
    clm_derive_give(derivation, node->inputs[0], out[0]);
    clm_derive_give(derivation, node->inputs[1], out[1]);
}

static void reference_silu_gate(const clm_reference_call *call) {
    clm_reference_silu_gate_forward(call->out[0], call->in[0], call->in[1], (size_t)count_of(call));
}

static clm_status enqueue_silu_gate(const clm_device_call *call) {
    return clm_silu_gate_forward(call->device, call->out[0].buffer, call->in[0].buffer,
                                 call->in[1].buffer, elements_of(call));
}

const clm_operation clm_operation_silu_gate = {
    .name = "silu_gate",
    .inputs = {"gate", "up"},
    .outputs = {"out"},
    .by_row = 3U,
    .shape = check,
    .derive = derive_silu_gate,
    .reference = reference_silu_gate,
    .enqueue = enqueue_silu_gate,
    .overwrites = 3U,
    .cheap = true,
    .flops_each = 6,
};

static void reference_silu_gate_backward(const clm_reference_call *call) {
    clm_reference_silu_gate_backward(call->out[0], call->out[1], call->in[0], call->in[1],
                                     call->in[2], (size_t)count_of(call));
}

static clm_status enqueue_silu_gate_backward(const clm_device_call *call) {
    return clm_silu_gate_backward(call->device, call->out[0].buffer, call->out[1].buffer,
                                  call->in[0].buffer, call->in[1].buffer, call->in[2].buffer,
                                  elements_of(call));
}

const clm_operation clm_operation_silu_gate_backward = {
    .name = "silu_gate_backward",
    .inputs = {"dout", "gate", "up"},
    .outputs = {"dgate", "dup"},
    .shape = check,
    .reference = reference_silu_gate_backward,
    .enqueue = enqueue_silu_gate_backward,
    .overwrites = 1U,
    .flops_each = 10,
};

/* ---- what is given to a parameter that is used as it is ---- */

static void reference_accumulate(const clm_reference_call *call) {
    for (int64_t i = 0; i < count_of(call); i++) {
        call->out[0][i] = call->in[0][i];
    }
}

static clm_status enqueue_accumulate(const clm_device_call *call) {
    return clm_residual_forward(call->device, call->out[0].buffer, call->out[0].buffer,
                                call->in[0].buffer, elements_of(call));
}

const clm_operation clm_operation_accumulate = {
    .name = "accumulate",
    .inputs = {"gradient"},
    .outputs = {"to"},
    .shape = check,
    .reference = reference_accumulate,
    .enqueue = enqueue_accumulate,
    .flops_each = 1,
};

/* ---- sums and multiples ---- */

static void derive_add(clm_derivation *derivation, const clm_node *node) {
    const uint32_t dout = clm_derive_output(derivation, node->outputs[0]);
    clm_derive_give(derivation, node->inputs[0], dout);
    clm_derive_give(derivation, node->inputs[1], dout);
}

static void reference_add(const clm_reference_call *call) {
    for (int64_t i = 0; i < count_of(call); i++) {
        call->out[0][i] = call->in[0][i] + call->in[1][i];
    }
}

static clm_status enqueue_add(const clm_device_call *call) {
    return clm_residual_forward(call->device, call->out[0].buffer, call->in[0].buffer,
                                call->in[1].buffer, elements_of(call));
}

const clm_operation clm_operation_add = {
    .name = "add",
    .inputs = {"a", "b"},
    .outputs = {"out"},
    .by_row = 3U,
    .shape = check,
    .derive = derive_add,
    .reference = reference_add,
    .enqueue = enqueue_add,
    .overwrites = 3U,
    .cheap = true,
    .flops_each = 1,
};

static void derive_scale(clm_derivation *derivation, const clm_node *node) {
    const uint32_t inputs[CLM_NODE_INPUTS] = {clm_derive_output(derivation, node->outputs[0])};
    uint32_t out[CLM_NODE_OUTPUTS];
    clm_derive_node(derivation, &clm_operation_scale, inputs, &node->with, 1U, NULL, out);
    clm_derive_give(derivation, node->inputs[0], out[0]);
}

static void reference_scale(const clm_reference_call *call) {
    for (int64_t i = 0; i < count_of(call); i++) {
        call->out[0][i] = (double)call->node->with.factor * call->in[0][i];
    }
}

const clm_operation clm_operation_scale = {
    .name = "scale",
    .inputs = {"x"},
    .outputs = {"out"},
    .by_row = 1U,
    .shape = check,
    .derive = derive_scale,
    .reference = reference_scale,
    .cheap = true,
    .flops_each = 1,
};
