/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/embedding.h"
#include "graph/derive.h"
#include "graph/operations.h"
#include "ops/ops.h"

enum { IDS, TABLE, POSITIONS };

static clm_status check(const clm_graph *graph, const clm_node *node, clm_shape *out) {
    const clm_shape *ids = clm_node_shape(graph, node, IDS);
    const clm_shape *table = clm_node_shape(graph, node, TABLE);
    const clm_shape *positions = clm_node_shape(graph, node, POSITIONS);
    if (table->rank != 2 || ids->rank >= CLM_TENSOR_RANK_MOST) {
        return clm_shapes_fail(graph, node, "the table needs rank 2, the ids less than %d",
                               CLM_TENSOR_RANK_MOST);
    }
    if (positions->rank != 0 && (positions->rank != 2 || positions->size[1] != table->size[1] ||
                                 ids->rank != 2 || ids->size[1] > positions->size[0])) {
        return clm_shapes_fail(graph, node,
                               "positions need rows of %lld, and one for each of the ids (B,T)",
                               (long long)table->size[1]);
    }
    out[0] = *ids;
    out[0].size[out[0].rank++] = table->size[1];
    return CLM_OK;
}

static void derive(clm_derivation *derivation, const clm_node *node) {
    const uint32_t of[CLM_NODE_OUTPUTS] = {node->inputs[TABLE], node->inputs[POSITIONS]};
    const uint32_t inputs[CLM_NODE_INPUTS] = {clm_derive_output(derivation, node->outputs[0]),
                                              node->inputs[IDS], of[0], of[1]};
    uint32_t out[CLM_NODE_OUTPUTS];
    const unsigned wanted = (clm_derive_wants(derivation, of[0]) ? 1U : 0U) |
                            (clm_derive_wants(derivation, of[1]) ? 2U : 0U);
    clm_derive_node(derivation, &clm_operation_embedding_backward, inputs, NULL, wanted, of, out);
}

static void reference(const clm_reference_call *call) {
    const int T = (int)clm_shape_last(call->in_shape[IDS]);
    clm_reference_embedding_forward(call->out[0], call->ids[IDS], call->in[TABLE],
                                    call->in[POSITIONS], (int)clm_shape_rows(call->in_shape[IDS]),
                                    T, (int)clm_shape_last(call->in_shape[TABLE]), 0);
}

static clm_status enqueue(const clm_device_call *call) {
    const clm_shape *ids = call->in_shape[IDS];
    return clm_embedding_forward(call->device, call->out[0].buffer, call->in[IDS].buffer,
                                 call->in[TABLE].buffer, call->in[POSITIONS].buffer,
                                 (int)clm_shape_rows(ids), (int)clm_shape_last(ids),
                                 (int)clm_shape_last(call->in_shape[TABLE]), 0);
}

const clm_operation clm_operation_embedding = {
    .name = "embedding",
    .inputs = {"ids", "table", "positions"},
    .outputs = {"out"},
    .optional = 1U << POSITIONS,
    .integers = 1U << IDS,
    .shape = check,
    .derive = derive,
    .reference = reference,
    .enqueue = enqueue,
    .cheap = true,
    .flops_each = 1,
    .looked_up = 1U << 1 | 1U << 2,
};

/* dtable += the sum of dout over a token's places; dpositions likewise. The tables are inputs for
 * their shapes. */
static clm_status check_backward(const clm_graph *graph, const clm_node *node, clm_shape *out) {
    out[0] = *clm_node_shape(graph, node, 2);
    out[1] = *clm_node_shape(graph, node, 3);
    return CLM_OK;
}

static void reference_backward(const clm_reference_call *call) {
    clm_reference_embedding_backward(
        call->out[0], call->out[1], call->in[0], call->ids[1],
        (int)clm_shape_rows(call->in_shape[1]), (int)clm_shape_last(call->in_shape[1]),
        (int)clm_shape_last(call->in_shape[2]), (int)call->in_shape[2]->size[0]);
}

static clm_status enqueue_backward(const clm_device_call *call) {
    const clm_shape *ids = call->in_shape[1];
    return clm_embedding_backward(call->device, call->out[0].buffer, call->out[1].buffer,
                                  call->in[0].buffer, call->host_ids[1], (int)clm_shape_rows(ids),
                                  (int)clm_shape_last(ids), (int)clm_shape_last(call->in_shape[2]),
                                  call->scratch);
}

static size_t backward_scratch_bytes(const clm_device_call *call) {
    const clm_shape *ids = call->in_shape[1];
    return call->node->outputs[0] != 0
               ? clm_embedding_backward_scratch_bytes(call->device, (int)clm_shape_rows(ids),
                                                      (int)clm_shape_last(ids))
               : 0;
}

const clm_operation clm_operation_embedding_backward = {
    .name = "embedding_backward",
    .inputs = {"dout", "ids", "table", "positions"},
    .outputs = {"dtable", "dpositions"},
    .optional = 1U << 3,
    .integers = 1U << 1,
    .shape = check_backward,
    .reference = reference_backward,
    .enqueue = enqueue_backward,
    .scratch_bytes = backward_scratch_bytes,
    .flops_each = 1,
    .looked_up = 1U << 2 | 1U << 3,
    .looked_up_outputs = 3U,
};
