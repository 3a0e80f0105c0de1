/* First it is found out, from the last node to the first, how each tensor is wanted: whole, by the
 * rows that are picked of it, or both, which is whole. Then the graph is built anew from its
 * outputs on, each tensor in the way it is wanted.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/memory.h"
#include "graph/operations.h"
#include "graph/transform.h"

/* How a tensor of the description is wanted, and what it became. */
typedef struct narrowed_tensor {
    bool whole;      /* all of its rows are wanted */
    bool by_columns; /* the result of a linear whose columns alone are read */
    uint32_t rows;   /* the tensor that picks rows of it; 0: none does */
    uint32_t built;  /* the whole of it in the new graph; 0: not built yet */
    uint32_t picked; /* its picked rows there */
} narrowed_tensor;

typedef struct narrowing {
    const clm_graph *from;
    clm_graph *to;
    narrowed_tensor *tensors; /* by tensor of `from` */
} narrowing;

static const clm_node *producer(const clm_graph *graph, uint32_t tensor) {
    const clm_tensor_about *about = clm_graph_about(graph, tensor);
    return about->kind == CLM_TENSOR_VALUE ? &graph->nodes[about->node] : NULL;
}

/* ---- how tensors are wanted ---- */

/* Whether the picked rows of a node's first output follow from those of its inputs, and which of
 * these are picked: a bit each; the others are wanted whole. 0: they do not. */
static unsigned inputs_by_row(const narrowing *n, const clm_node *node) {
    const clm_operation *operation = node->operation;
    const clm_shape *x = clm_node_shape(n->from, node, 0);
    if (operation == &clm_operation_reshape) {
        /* (B,T,C) to (B,T,H,D) and back. */
        const clm_shape *to = &node->with.shape;
        const bool same =
            x->rank >= 3 && to->rank >= 3 && x->size[0] == to->size[0] && x->size[1] == to->size[1];
        return same ? 1U : 0U;
    }
    if (operation == &clm_operation_attention) {
        return node->inputs[3] == 0 ? 1U : 0U; /* the queries, where they begin at position 0 */
    }
    return operation->by_row;
}

/* Two ways of picking the same tensor: it is wanted whole. */
static void want(narrowing *n, uint32_t tensor, bool whole, uint32_t rows) {
    if (tensor == 0) {
        return;
    }
    if (whole || (n->tensors[tensor].rows != 0 && n->tensors[tensor].rows != rows)) {
        n->tensors[tensor].whole = true;
    } else {
        n->tensors[tensor].rows = rows;
    }
}

/* The linear whose result `tensor` is, when only columns of it are read. */
static const clm_node *linear_by_columns(const narrowing *n, uint32_t tensor) {
    return n->tensors[tensor].by_columns ? producer(n->from, tensor) : NULL;
}

static void want_inputs(narrowing *n, const clm_node *node) {
    const uint32_t out = node->outputs[0];
    const uint32_t rows = n->tensors[out].rows;
    if (node->operation == &clm_operation_gather && node->with.one_each) {
        want(n, node->inputs[0], false, node->inputs[1]);
        want(n, node->inputs[1], true, 0);
        return;
    }
    if (node->operation == &clm_operation_columns && n->tensors[node->inputs[0]].by_columns) {
        /* Past the linear: its input is wanted as these columns are, and columns are picked in
         * one way. */
        const clm_node *linear = producer(n->from, node->inputs[0]);
        uint32_t *picked_by = &n->tensors[node->inputs[0]].rows;
        n->tensors[out].whole = n->tensors[out].whole || (*picked_by != 0 && *picked_by != rows);
        *picked_by = n->tensors[out].whole ? *picked_by : rows;
        want(n, linear->inputs[0], n->tensors[out].whole, rows);
        want(n, linear->inputs[1], true, 0);
        want(n, linear->inputs[2], true, 0);
        return;
    }
    const unsigned by_row = n->tensors[out].whole ? 0U : inputs_by_row(n, node);
    if (by_row == 0 && rows != 0) {
        n->tensors[out].whole = true;
    }
    for (int i = 0; i < CLM_NODE_INPUTS; i++) {
        const bool picked = (by_row >> i & 1U) != 0;
        want(n, node->inputs[i], !picked, picked ? rows : 0);
    }
}

/* A linear is read by its columns alone when each reader is a node of columns, and it is no output
 * itself. Its own columns must be columns of its weight, too. */
static void find_by_columns(narrowing *n) {
    const clm_graph *from = n->from;
    for (uint32_t i = 0; i < from->node_count; i++) {
        const clm_node *node = &from->nodes[i];
        n->tensors[node->outputs[0]].by_columns = node->operation == &clm_operation_linear &&
                                                  node->with.linear.layout == CLM_LINEAR_IN_OUT;
        for (int k = 0; k < CLM_NODE_INPUTS && node->operation != &clm_operation_columns; k++) {
            n->tensors[node->inputs[k]].by_columns = false;
        }
    }
    for (uint32_t i = 0; i < from->output_count; i++) {
        n->tensors[from->outputs[i].tensor].by_columns = false;
    }
}

/* Not so a linear that is read by its columns: these are computed without it. */
static bool is_wanted(const narrowing *n, const clm_node *node) {
    for (int i = 0; i < CLM_NODE_OUTPUTS && !n->tensors[node->outputs[0]].by_columns; i++) {
        if (node->outputs[i] != 0 &&
            (n->tensors[node->outputs[i]].whole || n->tensors[node->outputs[i]].rows)) {
            return true;
        }
    }
    return false;
}

/* ---- building ---- */

/* A mark goes to the whole of a tensor, or to its picked rows if these are all there is. */
static uint32_t mark(narrowing *n, uint32_t tensor, uint32_t built) {
    const clm_tensor_about *about = clm_graph_about(n->from, tensor);
    if (about->kind == CLM_TENSOR_VALUE && about->name != NULL) {
        clm_graph_mark(n->to, (clm_tensor){n->to->number, built}, about->name);
    }
    return built;
}

static uint32_t build(narrowing *n, uint32_t tensor);
static uint32_t build_rows(narrowing *n, uint32_t tensor, uint32_t rows);

static uint32_t add(narrowing *n, const clm_operation *operation, const uint32_t *inputs,
                    const clm_attributes *with) {
    const clm_node *node = clm_graph_add_node(n->to, operation, inputs, with);
    return node != NULL ? node->outputs[0] : 0;
}

static uint32_t add_picked(narrowing *n, const clm_operation *operation, const uint32_t *inputs,
                           const clm_attributes *with) {
    clm_node *node = clm_graph_add_node(n->to, operation, inputs, with);
    if (node == NULL) {
        return 0;
    }
    node->notes |= CLM_NODE_PICKED;
    return node->outputs[0];
}

/* Columns of the weight or bias of a linear. */
static uint32_t columns_of(narrowing *n, uint32_t tensor, int64_t first, int64_t count) {
    const clm_attributes with = {.columns = {.first = first, .count = count}};
    const uint32_t inputs[CLM_NODE_INPUTS] = {build(n, tensor)};
    if (tensor == 0 || clm_shape_last(&clm_graph_about(n->from, tensor)->shape) == count) {
        return inputs[0];
    }
    return add(n, &clm_operation_columns, inputs, &with);
}

/* The first and last of the columns of a linear that are wanted in the same way as `node` is. */
static void hull(const narrowing *n, const clm_node *node, bool whole, int64_t *first,
                 int64_t *end) {
    *first = node->with.columns.first;
    *end = *first + node->with.columns.count;
    for (uint32_t i = 0; i < n->from->node_count; i++) {
        const clm_node *other = &n->from->nodes[i];
        if (other->operation == &clm_operation_columns && other->inputs[0] == node->inputs[0] &&
            is_wanted(n, other) && n->tensors[other->outputs[0]].whole == whole) {
            const int64_t other_end = other->with.columns.first + other->with.columns.count;
            *first = other->with.columns.first < *first ? other->with.columns.first : *first;
            *end = other_end > *end ? other_end : *end;
        }
    }
}

/* Columns of a linear that is read by its columns: of a linear for those that are wanted alike,
 * which `made` keeps for the next. */
static uint32_t build_columns(narrowing *n, const clm_node *node, uint32_t rows, uint32_t *made) {
    const bool whole = rows == 0;
    const clm_node *linear = linear_by_columns(n, node->inputs[0]);
    int64_t first = 0;
    int64_t end = 0;
    hull(n, node, whole, &first, &end);
    if (*made == 0) {
        const uint32_t inputs[CLM_NODE_INPUTS] = {
            whole ? build(n, linear->inputs[0]) : build_rows(n, linear->inputs[0], rows),
            columns_of(n, linear->inputs[1], first, end - first),
            columns_of(n, linear->inputs[2], first, end - first)};
        *made = whole ? add(n, linear->operation, inputs, &linear->with)
                      : add_picked(n, linear->operation, inputs, &linear->with);
    }
    if (first == node->with.columns.first && end - first == node->with.columns.count) {
        return *made;
    }
    const clm_attributes with = {
        .columns = {.first = node->with.columns.first - first, .count = node->with.columns.count}};
    const uint32_t inputs[CLM_NODE_INPUTS] = {*made};
    return add(n, node->operation, inputs, &with);
}

/* A tensor without a node, by its name. */
static uint32_t build_named(narrowing *n, uint32_t tensor) {
    const clm_tensor_about *about = clm_graph_about(n->from, tensor);
    return clm_graph_add_tensor(n->to, about, about->name);
}

static void build_node(narrowing *n, const clm_node *node) {
    uint32_t inputs[CLM_NODE_INPUTS] = {0};
    for (int i = 0; i < CLM_NODE_INPUTS; i++) {
        inputs[i] = build(n, node->inputs[i]);
    }
    const clm_node *made = clm_graph_add_node(n->to, node->operation, inputs, &node->with);
    for (int i = 0; made != NULL && i < CLM_NODE_OUTPUTS; i++) {
        if (node->outputs[i] != 0) {
            n->tensors[node->outputs[i]].built = made->outputs[i];
        }
    }
}

/* All rows of a tensor. */
static uint32_t build(narrowing *n, uint32_t tensor) {
    const clm_node *node = producer(n->from, tensor);
    if (tensor == 0 || n->tensors[tensor].built != 0 || n->to->status != CLM_OK) {
        return n->tensors[tensor].built;
    }
    if (node == NULL) {
        n->tensors[tensor].built = build_named(n, tensor);
    } else if (node->operation == &clm_operation_gather && node->with.one_each) {
        const clm_attributes flat = {.shape = clm_graph_about(n->from, tensor)->shape};
        const uint32_t inputs[CLM_NODE_INPUTS] = {build_rows(n, node->inputs[0], node->inputs[1])};
        n->tensors[tensor].built = add(n, &clm_operation_reshape, inputs, &flat);
    } else if (node->operation == &clm_operation_columns &&
               n->tensors[node->inputs[0]].by_columns) {
        n->tensors[tensor].built = build_columns(n, node, 0, &n->tensors[node->inputs[0]].built);
    } else {
        build_node(n, node);
    }
    return mark(n, tensor, n->tensors[tensor].built);
}

/* (n,1,H,D) of (B,T,H,D), (n,1,C) of (B,T,C): one position of each sequence. */
static clm_shape one_position(clm_shape shape) {
    shape.size[1] = 1;
    return shape;
}

/* The picked rows of a tensor, from the picked rows of what it is computed from: where the tensor
 * has (B,T,...), they have (B,1,...). */
static uint32_t pick_through(narrowing *n, const clm_node *node, uint32_t rows) {
    const unsigned by_row = inputs_by_row(n, node);
    uint32_t inputs[CLM_NODE_INPUTS] = {0};
    clm_attributes with = node->with;
    for (int i = 0; i < CLM_NODE_INPUTS; i++) {
        inputs[i] = (by_row >> i & 1U) != 0 ? build_rows(n, node->inputs[i], rows)
                                            : build(n, node->inputs[i]);
    }
    if (node->operation == &clm_operation_reshape) {
        with.shape = one_position(with.shape);
    } else if (node->operation == &clm_operation_attention && with.attention.causal) {
        inputs[3] = build(n, rows);
        with.attention.first_step = clm_node_shape(n->from, node, 1)->size[1];
    }
    return add_picked(n, node->operation, inputs, &with);
}

/* The picked rows of a tensor that is there whole. */
static uint32_t pick_here(narrowing *n, uint32_t tensor, uint32_t rows) {
    const clm_shape *shape = &clm_graph_about(n->from, tensor)->shape;
    const clm_attributes flat = {
        .shape = {.rank = 3,
                  .size = {shape->size[0], shape->size[1],
                           clm_shape_count(shape) / shape->size[0] / shape->size[1]}}};
    const clm_attributes pick = {.one_each = true};
    const clm_attributes back = {.shape = one_position(*shape)};
    uint32_t inputs[CLM_NODE_INPUTS] = {build(n, tensor)};
    if (shape->rank != 3) {
        inputs[0] = add(n, &clm_operation_reshape, inputs, &flat);
    }
    inputs[1] = build(n, rows);
    inputs[0] = add(n, &clm_operation_gather, inputs, &pick);
    inputs[1] = 0;
    return add(n, &clm_operation_reshape, inputs, &back);
}

static uint32_t build_rows(narrowing *n, uint32_t tensor, uint32_t rows) {
    const clm_node *node = producer(n->from, tensor);
    if (rows != n->tensors[tensor].rows) {
        return pick_here(n, tensor, rows); /* picked in two ways */
    }
    if (n->tensors[tensor].picked != 0 || n->to->status != CLM_OK) {
        return n->tensors[tensor].picked;
    }
    if (n->tensors[tensor].whole || node == NULL) {
        n->tensors[tensor].picked = pick_here(n, tensor, rows);
    } else if (node->operation == &clm_operation_columns &&
               n->tensors[node->inputs[0]].by_columns) {
        n->tensors[tensor].picked =
            build_columns(n, node, rows, &n->tensors[node->inputs[0]].picked);
    } else {
        n->tensors[tensor].picked = pick_through(n, node, rows);
    }
    return n->tensors[tensor].whole ? n->tensors[tensor].picked
                                    : mark(n, tensor, n->tensors[tensor].picked);
}

static clm_status prepare(narrowing *n) {
    const uint32_t count = n->from->tensor_count;
    clm_status status = CLM_OK;
    CLM_TRY(clm_graph_status(n->from));
    CLM_TRY(clm_graph_create(&n->to));
    CLM_TRY(clm_allocate(&n->tensors, count, sizeof *n->tensors, "a graph"));
    find_by_columns(n);
    for (uint32_t i = 0; i < n->from->output_count; i++) {
        n->tensors[n->from->outputs[i].tensor].whole = true;
    }
    for (uint32_t i = n->from->node_count; i > 0; i--) {
        const uint32_t out = n->from->nodes[i - 1].outputs[0];
        n->tensors[out].whole |= n->from->nodes[i - 1].operation->writes_state;
        if (is_wanted(n, &n->from->nodes[i - 1])) {
            want_inputs(n, &n->from->nodes[i - 1]);
        }
    }
cleanup:
    return status;
}

clm_status clm_graph_narrow(clm_graph **narrowed, const clm_graph *graph) {
    narrowing n = {.from = graph};
    clm_status status = CLM_OK;
    *narrowed = NULL;
    CLM_TRY(prepare(&n));
    for (uint32_t i = 0; i < graph->output_count; i++) {
        const uint32_t tensor = build(&n, graph->outputs[i].tensor);
        clm_graph_output(n.to, (clm_tensor){n.to->number, tensor}, graph->outputs[i].name);
    }
    for (uint32_t i = 0; i < graph->node_count; i++) {
        if (graph->nodes[i].operation->writes_state) {
            (void)build(&n, graph->nodes[i].outputs[0]);
        }
    }
    CLM_TRY(clm_graph_status(n.to));
    *narrowed = n.to;
    n.to = NULL;
cleanup:
    clm_graph_free(n.to);
    clm_free(n.tensors);
    return status;
}
