/* SPDX-License-Identifier: Apache-2.0 */
#include "graph/derive.h"

#include "base/memory.h"
#include "graph/operations.h"

/* What was given for a tensor: a sum over all columns, and gradients of some columns. */
typedef struct piece {
    uint32_t gradient;
    int64_t first;
    uint32_t next; /* 1 + index of another piece of the same tensor; 0: the last */
} piece;

typedef struct given {
    uint32_t whole;
    uint32_t pieces; /* 1 + index of the last that was given; 0: none */
} given;

/* A tensor through which the gradient of a parameter, or of some of its columns, is added to. */
typedef struct gradient_place {
    uint32_t tensor;
    uint32_t next; /* 1 + index of another place of the same parameter; 0: the last */
} gradient_place;

struct clm_derivation {
    clm_graph *graph;
    bool *wanted;       /* by tensor: whether its gradient is */
    given *given;       /* by tensor */
    uint32_t described; /* tensors of the description; those that follow need no gradient */
    piece *pieces;
    size_t piece_count, piece_capacity;
    uint32_t *places_of; /* by parameter: 1 + index of the last that was made; 0: none */
    gradient_place *places;
    size_t place_count, place_capacity;
};

clm_graph *clm_derivation_graph(const clm_derivation *derivation) {
    return derivation->graph;
}

bool clm_derive_wants(const clm_derivation *derivation, uint32_t tensor) {
    return tensor < derivation->described && derivation->wanted[tensor];
}

static uint32_t add(clm_graph *graph, uint32_t a, uint32_t b) {
    const uint32_t inputs[CLM_NODE_INPUTS] = {a, b};
    const clm_node *node = clm_graph_add_node(graph, &clm_operation_add, inputs, NULL);
    return node != NULL ? node->outputs[0] : 0;
}

void clm_derive_give(clm_derivation *derivation, uint32_t tensor, uint32_t gradient) {
    if (gradient == 0 || !clm_derive_wants(derivation, tensor)) {
        return;
    }
    given *so_far = &derivation->given[tensor];
    so_far->whole = so_far->whole == 0 ? gradient : add(derivation->graph, so_far->whole, gradient);
}

void clm_derive_give_columns(clm_derivation *derivation, uint32_t tensor, uint32_t gradient,
                             int64_t first) {
    if (gradient == 0 || !clm_derive_wants(derivation, tensor)) {
        return;
    }
    clm_status status =
        clm_reserve(&derivation->pieces, &derivation->piece_capacity, derivation->piece_count + 1,
                    sizeof *derivation->pieces, "a backward pass");
    if (clm_graph_stick(derivation->graph, status) == CLM_OK) {
        given *so_far = &derivation->given[tensor];
        derivation->pieces[derivation->piece_count++] =
            (piece){.gradient = gradient, .first = first, .next = so_far->pieces};
        so_far->pieces = (uint32_t)derivation->piece_count;
    }
}

/* Columns side by side, to be joined. */
typedef struct row_of_parts {
    uint32_t parts[CLM_NODE_INPUTS];
    int64_t firsts[CLM_JOIN_MOST], counts[CLM_JOIN_MOST];
    int count;
} row_of_parts;

/* Puts a piece among the others, or adds it to one of the same columns. False where it has no room
 * beside them. */
static bool put_piece(clm_graph *graph, row_of_parts *row, const piece *p) {
    const int64_t count = clm_shape_last(&clm_graph_about(graph, p->gradient)->shape);
    for (int i = 0; i < row->count; i++) {
        if (row->firsts[i] == p->first && row->counts[i] == count) {
            row->parts[i] = add(graph, row->parts[i], p->gradient);
            return true;
        }
        if (p->first < row->firsts[i] + row->counts[i] && row->firsts[i] < p->first + count) {
            return false;
        }
    }
    if (row->count == CLM_JOIN_MOST) {
        return false;
    }
    row->firsts[row->count] = p->first;
    row->counts[row->count] = count;
    row->parts[row->count++] = p->gradient;
    return true;
}

/* Gives a tensor what its columns were given: joined side by side, in as many sums as it takes for
 * columns that overlap. */
static void join_pieces(clm_derivation *derivation, uint32_t tensor) {
    const clm_shape shape = clm_graph_about(derivation->graph, tensor)->shape;
    given *so_far = &derivation->given[tensor];
    while (so_far->pieces != 0 && derivation->graph->status == CLM_OK) {
        row_of_parts row = {.count = 0};
        for (uint32_t *link = &so_far->pieces; *link != 0;) {
            piece *p = &derivation->pieces[*link - 1];
            if (put_piece(derivation->graph, &row, p)) {
                *link = p->next;
            } else {
                link = &p->next;
            }
        }
        clm_derive_give(
            derivation, tensor,
            clm_graph_join(derivation->graph, &shape, row.parts, row.firsts, row.count));
    }
}

static uint32_t gradient_of(clm_derivation *derivation, uint32_t tensor) {
    if (derivation->given[tensor].pieces != 0) {
        join_pieces(derivation, tensor);
    }
    return derivation->given[tensor].whole;
}

uint32_t clm_derive_output(clm_derivation *derivation, uint32_t tensor) {
    return clm_derive_wants(derivation, tensor) ? gradient_of(derivation, tensor) : 0;
}

uint32_t clm_derive_take(clm_derivation *derivation, uint32_t tensor) {
    uint32_t so_far = 0;
    if (clm_derive_wants(derivation, tensor)) {
        so_far = derivation->given[tensor].whole;
        derivation->given[tensor].whole = 0;
    }
    return so_far;
}

/* The place of a parameter's gradient, or of that of the columns that `tensor` is. */
static uint32_t place_of(clm_derivation *derivation, uint32_t tensor) {
    clm_graph *graph = derivation->graph;
    clm_tensor_about about = {.kind = CLM_TENSOR_GRADIENT,
                              .type = CLM_F32,
                              .of = tensor,
                              .shape = clm_graph_about(graph, tensor)->shape};
    while (clm_graph_about(graph, about.of)->kind == CLM_TENSOR_VALUE) {
        const clm_node *view = &graph->nodes[clm_graph_about(graph, about.of)->node];
        about.first_column += view->with.columns.first;
        about.of = view->inputs[0];
    }
    for (uint32_t i = derivation->places_of[about.of]; i != 0; i = derivation->places[i - 1].next) {
        const uint32_t place = derivation->places[i - 1].tensor;
        const clm_tensor_about *other = clm_graph_about(graph, place);
        if (other->first_column == about.first_column &&
            clm_shape_equal(&other->shape, &about.shape)) {
            return place;
        }
    }
    const clm_status status =
        clm_reserve(&derivation->places, &derivation->place_capacity, derivation->place_count + 1,
                    sizeof *derivation->places, "a backward pass");
    if (clm_graph_stick(graph, status) != CLM_OK) {
        return 0;
    }
    const uint32_t made = clm_graph_add_tensor(graph, &about, NULL);
    derivation->places[derivation->place_count++] =
        (gradient_place){.tensor = made, .next = derivation->places_of[about.of]};
    derivation->places_of[about.of] = (uint32_t)derivation->place_count;
    return made;
}

/* Whether a tensor is a parameter, or columns of one: its gradient has a place in the store. */
static bool has_place(const clm_graph *graph, uint32_t tensor) {
    const clm_tensor_about *about = clm_graph_about(graph, tensor);
    while (about->kind == CLM_TENSOR_VALUE &&
           graph->nodes[about->node].operation == &clm_operation_columns) {
        about = clm_graph_about(graph, graph->nodes[about->node].inputs[0]);
    }
    return about->kind == CLM_TENSOR_PARAMETER;
}

void clm_derive_node(clm_derivation *derivation, const clm_operation *operation,
                     const uint32_t *inputs, const clm_attributes *with, unsigned wanted,
                     const uint32_t *of, uint32_t *out) {
    clm_graph *graph = derivation->graph;
    uint32_t places[CLM_NODE_OUTPUTS] = {0};
    for (int i = 0; i < CLM_NODE_OUTPUTS; i++) {
        out[i] = 0;
        if (of != NULL && of[i] != 0 && (wanted >> i & 1U) != 0 && has_place(graph, of[i])) {
            places[i] = place_of(derivation, of[i]);
        }
    }
    clm_node *node = clm_graph_add_node(graph, operation, inputs, with);
    for (int i = 0; node != NULL && i < CLM_NODE_OUTPUTS; i++) {
        node->outputs[i] = (wanted >> i & 1U) == 0 ? 0
                           : places[i] != 0        ? places[i]
                                                   : node->outputs[i];
        out[i] = places[i] != 0 ? 0 : node->outputs[i];
    }
    /* What was no place, a weight that is itself computed, gets its gradient like any tensor. */
    for (int i = 0; of != NULL && i < CLM_NODE_OUTPUTS; i++) {
        if (of[i] != 0 && out[i] != 0) {
            clm_derive_give(derivation, of[i], out[i]);
        }
    }
}

/* A tensor's gradient is wanted when it is a trained parameter or computed from one. */
static bool find_wanted(clm_derivation *derivation, clm_trains *trains, void *context) {
    const clm_graph *graph = derivation->graph;
    bool any = false;
    for (uint32_t i = 1; i < graph->tensor_count; i++) {
        const clm_tensor_about *about = clm_graph_about(graph, i);
        if (about->kind == CLM_TENSOR_PARAMETER && trains(context, about->name)) {
            derivation->wanted[i] = true;
            any = true;
        }
    }
    for (uint32_t n = 0; n < graph->node_count; n++) {
        const clm_node *node = &graph->nodes[n];
        bool wanted = false;
        for (int i = 0; i < CLM_NODE_INPUTS; i++) {
            wanted = wanted || derivation->wanted[node->inputs[i]];
        }
        for (int i = 0; wanted && i < CLM_NODE_OUTPUTS; i++) {
            derivation->wanted[node->outputs[i]] = node->outputs[i] != 0;
        }
    }
    return any;
}

static void visit(clm_derivation *derivation, uint32_t index) {
    clm_graph *graph = derivation->graph;
    const clm_node node = graph->nodes[index]; /* adding nodes moves them */
    if (clm_derive_output(derivation, node.outputs[0]) == 0) {
        return;
    }
    if (node.operation->derive == NULL) {
        (void)clm_graph_stick(graph, clm_fail(CLM_ERROR_UNSUPPORTED,
                                              "%s has no derivative, and something that is trained "
                                              "leads to it",
                                              node.operation->name));
        return;
    }
    node.operation->derive(derivation, &node);
}

/* Operations write the gradients of their weights to the store themselves. A parameter that is an
 * operand like any other has been given its gradient, which goes there in the end. */
static void store_gradients(clm_derivation *derivation) {
    for (uint32_t i = 1; i < derivation->described && derivation->graph->status == CLM_OK; i++) {
        if (clm_graph_about(derivation->graph, i)->kind == CLM_TENSOR_PARAMETER) {
            const uint32_t inputs[CLM_NODE_INPUTS] = {clm_derive_output(derivation, i)};
            const uint32_t of[CLM_NODE_OUTPUTS] = {i};
            uint32_t out[CLM_NODE_OUTPUTS];
            if (inputs[0] != 0) {
                clm_derive_node(derivation, &clm_operation_accumulate, inputs, NULL, 1U, of, out);
            }
        }
    }
}

clm_status clm_graph_derive(clm_graph *graph, uint32_t loss, clm_trains *trains, void *context) {
    clm_derivation derivation = {.graph = graph, .described = graph->tensor_count};
    const uint32_t described_nodes = graph->node_count;
    clm_status status = CLM_OK;
    CLM_TRY(clm_graph_status(graph));
    CLM_TRY(clm_allocate(&derivation.wanted, graph->tensor_count, sizeof *derivation.wanted,
                         "a backward pass"));
    CLM_TRY(clm_allocate(&derivation.given, graph->tensor_count, sizeof *derivation.given,
                         "a backward pass"));
    CLM_TRY(clm_allocate(&derivation.places_of, graph->tensor_count, sizeof *derivation.places_of,
                         "a backward pass"));
    if (!find_wanted(&derivation, trains, context) || !derivation.wanted[loss]) {
        status = clm_fail(CLM_ERROR_ARGUMENT, "the loss does not depend on any trained parameter");
        goto cleanup;
    }
    const clm_tensor_about seed = {
        .kind = CLM_TENSOR_SEED, .type = CLM_F32, .shape = clm_graph_about(graph, loss)->shape};
    graph->backward = described_nodes;
    clm_derive_give(&derivation, loss, clm_graph_add_tensor(graph, &seed, NULL));
    for (uint32_t i = described_nodes; i > 0 && graph->status == CLM_OK; i--) {
        visit(&derivation, i - 1);
    }
    store_gradients(&derivation);
    CLM_TRY(clm_graph_status(graph));
cleanup:
    clm_free(derivation.wanted);
    clm_free(derivation.given);
    clm_free(derivation.pieces);
    clm_free(derivation.places_of);
    clm_free(derivation.places);
    return status;
}
