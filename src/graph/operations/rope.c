/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "graph/derive.h"
#include "graph/operations.h"

static clm_status check(const clm_graph *graph, const clm_node *node, clm_shape *out) {
    const clm_shape *x = clm_node_shape(graph, node, 0);
    if (x->rank != 4 || x->size[3] % 2 != 0) {
        return clm_shapes_fail(graph, node, "needs shape (B,T,H,D) with an even D");
    }
    out[0] = *x;
    return CLM_OK;
}

/* A rotation's transpose is the rotation back. */
static void derive(clm_derivation *derivation, const clm_node *node) {
    clm_attributes with = node->with;
    with.rope.back = !with.rope.back;
    const uint32_t inputs[CLM_NODE_INPUTS] = {clm_derive_output(derivation, node->outputs[0])};
    uint32_t out[CLM_NODE_OUTPUTS];
    clm_derive_node(derivation, &clm_operation_rope, inputs, &with, 1U, NULL, out);
    clm_derive_give(derivation, node->inputs[0], out[0]);
}

static void reference(const clm_reference_call *call) {
    const clm_attributes *with = &call->node->with;
    const int64_t T = call->in_shape[0]->size[1];
    const int64_t H = call->in_shape[0]->size[2];
    const int64_t D = call->in_shape[0]->size[3];
    for (int64_t head = 0; head < clm_shape_rows(call->in_shape[0]); head++) {
        const double position = (double)(with->rope.first + head / H % T);
        const double *x = call->in[0] + head * D;
        double *out = call->out[0] + head * D;
        for (int64_t i = 0; i < D / 2; i++) {
            const double angle =
                position * pow((double)with->rope.theta, -2.0 * (double)i / (double)D);
            const double c = cos(angle);
            const double s = with->rope.back ? -sin(angle) : sin(angle);
            out[i] = x[i] * c - x[i + D / 2] * s;
            out[i + D / 2] = x[i + D / 2] * c + x[i] * s;
        }
    }
}

const clm_operation clm_operation_rope = {
    .name = "rope",
    .inputs = {"x"},
    .outputs = {"out"},
    .shape = check,
    .derive = derive,
    .reference = reference,
    .cheap = true,
};
