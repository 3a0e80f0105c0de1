/* The same elements seen otherwise. Plain C copies them; a plan need not.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "graph/derive.h"
#include "graph/operations.h"

/* ---- columns ---- */

static clm_status check_columns(const clm_graph *graph, const clm_node *node, clm_shape *out) {
    const clm_shape *x = clm_node_shape(graph, node, 0);
    const int64_t first = node->with.columns.first;
    const int64_t count = node->with.columns.count;
    if (first < 0 || count < 1 || first > clm_shape_last(x) - count) {
        return clm_shapes_fail(graph, node, "has no columns %lld to %lld", (long long)first,
                               (long long)(first + count - 1));
    }
    out[0] = clm_shape_with_last(*x, count);
    return CLM_OK;
}

static void derive_columns(clm_derivation *derivation, const clm_node *node) {
    clm_derive_give_columns(derivation, node->inputs[0],
                            clm_derive_output(derivation, node->outputs[0]),
                            node->with.columns.first);
}

static void copy_columns(double *to, int64_t to_columns, const double *from, int64_t from_columns,
                         int64_t count, int64_t rows) {
    for (int64_t row = 0; row < rows; row++) {
        memcpy(to + row * to_columns, from + row * from_columns, (size_t)count * sizeof *to);
    }
}

static void reference_columns(const clm_reference_call *call) {
    const int64_t count = call->node->with.columns.count;
    copy_columns(call->out[0], count, call->in[0] + call->node->with.columns.first,
                 clm_shape_last(call->in_shape[0]), count, clm_shape_rows(call->in_shape[0]));
}

const clm_operation clm_operation_columns = {
    .name = "columns",
    .inputs = {"x"},
    .outputs = {"out"},
    .by_row = 1U,
    .shape = check_columns,
    .derive = derive_columns,
    .reference = reference_columns,
};

/* ---- columns side by side: the gradient of what was seen by its columns ---- */

static clm_status check_join(const clm_graph *graph, const clm_node *node, clm_shape *out) {
    out[0] = clm_shape_with_last(*clm_node_shape(graph, node, 0), node->with.join.columns);
    return CLM_OK;
}

static void reference_join(const clm_reference_call *call) {
    const int64_t columns = call->node->with.join.columns;
    for (int i = 0; i < CLM_JOIN_MOST && call->in[i] != NULL; i++) {
        const int64_t count = clm_shape_last(call->in_shape[i]);
        copy_columns(call->out[0] + call->node->with.join.firsts[i], columns, call->in[i], count,
                     count, clm_shape_rows(call->in_shape[i]));
    }
}

const clm_operation clm_operation_join = {
    .name = "join",
    .inputs = {"a", "b", "c", "d"},
    .outputs = {"out"},
    .optional = 2U | 4U | 8U,
    .shape = check_join,
    .reference = reference_join,
};

uint32_t clm_graph_join(clm_graph *graph, const clm_shape *shape, const uint32_t *parts,
                        const int64_t *firsts, int count) {
    clm_attributes with = {.join = {.columns = clm_shape_last(shape)}};
    uint32_t inputs[CLM_NODE_INPUTS] = {0};
    if (count == 1 && clm_shape_equal(&clm_graph_about(graph, parts[0])->shape, shape)) {
        return parts[0];
    }
    for (int i = 0; i < count; i++) {
        inputs[i] = parts[i];
        with.join.firsts[i] = firsts[i];
    }
    const clm_node *node = clm_graph_add_node(graph, &clm_operation_join, inputs, &with);
    return node != NULL ? node->outputs[0] : 0;
}

/* ---- another shape ---- */

static clm_status check_reshape(const clm_graph *graph, const clm_node *node, clm_shape *out) {
    const clm_shape *to = &node->with.shape;
    bool can_be = to->rank >= 1 && to->rank <= CLM_TENSOR_RANK_MOST;
    for (int i = 0; can_be && i < to->rank; i++) {
        can_be = to->size[i] > 0;
    }
    if (!can_be || clm_shape_count(clm_node_shape(graph, node, 0)) != clm_shape_count(to)) {
        return clm_shapes_fail(graph, node, "has not as many elements as the shape it is to have");
    }
    out[0] = *to;
    return CLM_OK;
}

static void derive_reshape(clm_derivation *derivation, const clm_node *node) {
    const clm_graph *graph = clm_derivation_graph(derivation);
    const clm_attributes back = {.shape = *clm_node_shape(graph, node, 0)};
    const uint32_t inputs[CLM_NODE_INPUTS] = {clm_derive_output(derivation, node->outputs[0])};
    uint32_t out[CLM_NODE_OUTPUTS];
    clm_derive_node(derivation, &clm_operation_reshape, inputs, &back, 1U, NULL, out);
    clm_derive_give(derivation, node->inputs[0], out[0]);
}

static void reference_reshape(const clm_reference_call *call) {
    memcpy(call->out[0], call->in[0],
           (size_t)clm_shape_count(call->in_shape[0]) * sizeof *call->out[0]);
}

const clm_operation clm_operation_reshape = {
    .name = "reshape",
    .inputs = {"x"},
    .outputs = {"out"},
    .shape = check_reshape,
    .derive = derive_reshape,
    .reference = reference_reshape,
};
