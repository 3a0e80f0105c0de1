/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/rows.h"

#include "graph/derive.h"
#include "graph/operations.h"
#include "ops/ops.h"

static clm_status check_gather(const clm_graph *graph, const clm_node *node, clm_shape *out) {
    const clm_shape *rows = clm_node_shape(graph, node, 1);
    const clm_shape *x = clm_node_shape(graph, node, 0);
    if (rows->rank != 1 || x->rank < 2 || rows->size[0] > clm_shape_rows(x)) {
        return clm_shapes_fail(graph, node, "rows need shape (n), and x as many rows at least");
    }
    if (node->with.one_each && (x->rank != 3 || rows->size[0] != x->size[0])) {
        return clm_shapes_fail(graph, node, "one row each needs x (B,T,C) and rows (B)");
    }
    out[0] = (clm_shape){.rank = 2, .size = {rows->size[0], clm_shape_last(x)}};
    return CLM_OK;
}

static void derive_gather(clm_derivation *derivation, const clm_node *node) {
    const clm_graph *graph = clm_derivation_graph(derivation);
    const clm_attributes with = {.shape = *clm_node_shape(graph, node, 0)};
    const uint32_t inputs[CLM_NODE_INPUTS] = {
        clm_derive_output(derivation, node->outputs[0]), node->inputs[1],
        clm_derive_wants(derivation, node->inputs[0]) ? clm_derive_take(derivation, node->inputs[0])
                                                      : 0};
    uint32_t out[CLM_NODE_OUTPUTS];
    clm_derive_node(derivation, &clm_operation_scatter, inputs, &with, 1U, NULL, out);
    clm_derive_give(derivation, node->inputs[0], out[0]);
}

static void reference_gather(const clm_reference_call *call) {
    clm_reference_rows_gather(call->out[0], call->in[0], call->ids[1],
                              (int)call->in_shape[1]->size[0],
                              (int)clm_shape_last(call->in_shape[0]));
}

static clm_status enqueue_gather(const clm_device_call *call) {
    return clm_rows_gather(call->device, call->out[0].buffer, call->in[0].buffer,
                           call->in[1].buffer, (int)clm_shape_count(call->in_shape[1]),
                           (int)clm_shape_last(call->in_shape[0]));
}

const clm_operation clm_operation_gather = {
    .name = "gather",
    .inputs = {"x", "rows"},
    .outputs = {"out"},
    .integers = 1U << 1,
    .shape = check_gather,
    .derive = derive_gather,
    .reference = reference_gather,
    .enqueue = enqueue_gather,
    .cheap = true,
    .looked_up = 1U,
};

static clm_status check_scatter(const clm_graph *graph, const clm_node *node, clm_shape *out) {
    (void)graph;
    out[0] = node->with.shape;
    return CLM_OK;
}

static void reference_scatter(const clm_reference_call *call) {
    const int n = (int)call->in_shape[1]->size[0];
    const int C = (int)clm_shape_last(call->in_shape[0]);
    for (int64_t i = 0; call->in[2] != NULL && i < clm_shape_count(call->out_shape[0]); i++) {
        call->out[0][i] = call->in[2][i];
    }
    clm_reference_rows_add(call->out[0], call->in[0], call->ids[1], n, C);
}

static clm_status enqueue_scatter(const clm_device_call *call) {
    const int n = (int)clm_shape_count(call->in_shape[1]);
    const int C = (int)clm_shape_last(call->in_shape[0]);
    const size_t size_bytes = (size_t)clm_shape_count(call->out_shape[0]) * sizeof(float);
    clm_status status = CLM_OK;
    if (call->in[2].buffer == NULL) {
        return clm_rows_scatter(call->device, call->out[0].buffer, call->in[0].buffer,
                                call->in[1].buffer, n, (int)clm_shape_rows(call->out_shape[0]), C);
    }
    if (call->in[2].buffer != call->out[0].buffer) {
        CLM_TRY(clm_buffer_copy(call->out[0].buffer, 0, call->in[2].buffer, 0, size_bytes));
    }
    CLM_TRY(clm_rows_add(call->device, call->out[0].buffer, call->in[0].buffer, call->in[1].buffer,
                         n, C));
cleanup:
    return status;
}

/* out = to, or zeros, with x's rows added where `rows` says. */
const clm_operation clm_operation_scatter = {
    .name = "scatter",
    .inputs = {"x", "rows", "to"},
    .outputs = {"out"},
    .optional = 1U << 2,
    .integers = 1U << 1,
    .shape = check_scatter,
    .reference = reference_scatter,
    .enqueue = enqueue_scatter,
    .overwrites = 1U << 2,
};
