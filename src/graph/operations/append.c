/* Rows written into a state.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "graph/operations.h"
#include "ops/ops.h"
#include "reference/rows.h"

enum { STATE, X, FIRST };

static clm_status check(const clm_graph *graph, const clm_node *node, clm_shape *out) {
    const clm_shape *state = clm_node_shape(graph, node, STATE);
    clm_shape x = *clm_node_shape(graph, node, X);
    if (clm_graph_state_of(graph, node->inputs[STATE]) == 0) {
        return clm_shapes_fail(graph, node, "what is written has to be a state");
    }
    if (state->rank >= 3 && x.rank == state->rank && x.size[1] <= state->size[1]) {
        x.size[1] = state->size[1];
    }
    if (state->rank < 3 || !clm_shape_equal(state, &x) ||
        !clm_shape_is(clm_node_shape(graph, node, FIRST), 1, state->size)) {
        return clm_shapes_fail(graph, node,
                               "needs a state (B,capacity,...), x (B,T,...) with T up to capacity, "
                               "and first (B)");
    }
    out[0] = *state;
    return CLM_OK;
}

/* Elements of a position. */
static int columns_of(const clm_shape *state) {
    return (int)(clm_shape_count(state) / state->size[0] / state->size[1]);
}

static void reference(const clm_reference_call *call) {
    const clm_shape *state = call->in_shape[STATE];
    memcpy(call->out[0], call->in[STATE], (size_t)clm_shape_count(state) * sizeof(double));
    clm_reference_rows_append(call->out[0], call->in[X], call->ids[FIRST], (int)state->size[0],
                              (int)call->in_shape[X]->size[1], (int)state->size[1],
                              columns_of(state));
}

static clm_status enqueue(const clm_device_call *call) {
    const clm_shape *state = call->in_shape[STATE];
    const clm_place *x = &call->in[X];
    const bool dense = x->width == x->stride;
    const clm_view rows = {x->buffer, x->offset, dense ? 0 : (int)x->stride};
    return clm_rows_append(call->device, call->out[0].buffer, rows, call->in[FIRST].buffer,
                           (int)state->size[0], (int)call->in_shape[X]->size[1],
                           (int)state->size[1], columns_of(state));
}

const clm_operation clm_operation_append = {
    .name = "append",
    .inputs = {"state", "x", "first"},
    .outputs = {"state"},
    .integers = 1U << FIRST,
    .shape = check,
    .reference = reference,
    .enqueue = enqueue,
    .strided_inputs = 1U << X,
    .writes_state = true,
};
