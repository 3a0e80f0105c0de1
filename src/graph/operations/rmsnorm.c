/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "graph/derive.h"
#include "graph/operations.h"

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

static void reference(const clm_reference_call *call) {
    const int64_t C = clm_shape_last(call->in_shape[X]);
    for (int64_t row = 0; row < clm_shape_rows(call->in_shape[X]); row++) {
        const double *x = call->in[X] + row * C;
        double squares = 0.0;
        for (int64_t c = 0; c < C; c++) {
            squares += x[c] * x[c];
        }
        const double rrms = 1.0 / sqrt(squares / (double)C + (double)call->node->with.epsilon);
        for (int64_t c = 0; c < C; c++) {
            call->out[0][row * C + c] = x[c] * rrms * call->in[WEIGHT][c];
        }
        if (call->out[1] != NULL) {
            call->out[1][row] = rrms;
        }
    }
}

const clm_operation clm_operation_rmsnorm = {
    .name = "rmsnorm",
    .inputs = {"x", "weight"},
    .outputs = {"out", "rrms"},
    .by_row = 1U,
    .shape = check,
    .derive = derive,
    .reference = reference,
    .always = 1U,
    .cheap = true,
};

static clm_status check_backward(const clm_graph *graph, const clm_node *node, clm_shape *out) {
    out[0] = *clm_node_shape(graph, node, 1);
    out[1] = *clm_node_shape(graph, node, 2);
    return CLM_OK;
}

/* With y = x r, r = rrms and g = dout weight: dx = r (g - y mean(g y)), dweight += dout y. */
static void reference_backward(const clm_reference_call *call) {
    const int64_t C = clm_shape_last(call->in_shape[1]);
    for (int64_t row = 0; row < clm_shape_rows(call->in_shape[1]); row++) {
        const double *dout = call->in[0] + row * C;
        const double *x = call->in[1] + row * C;
        const double r = call->in[3][row];
        double gy = 0.0;
        for (int64_t c = 0; c < C; c++) {
            gy += dout[c] * call->in[2][c] * x[c] * r;
        }
        for (int64_t c = 0; c < C; c++) {
            if (call->out[0] != NULL) {
                call->out[0][row * C + c] =
                    r * (dout[c] * call->in[2][c] - x[c] * r * gy / (double)C) +
                    (call->in[4] != NULL ? call->in[4][row * C + c] : 0.0);
            }
            if (call->out[1] != NULL) {
                call->out[1][c] += dout[c] * x[c] * r;
            }
        }
    }
}

/* dx = the gradient through the norm + what flows past it. */
const clm_operation clm_operation_rmsnorm_backward = {
    .name = "rmsnorm_backward",
    .inputs = {"dout", "x", "weight", "rrms", "past"},
    .outputs = {"dx", "dweight"},
    .optional = 1U << 4,
    .shape = check_backward,
    .reference = reference_backward,
};
