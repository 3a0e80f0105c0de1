/* SPDX-License-Identifier: Apache-2.0 */
#include "graph/graph.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/keyed_hash.h"
#include "base/memory.h"
#include "base/number.h"
#include "base/string.h"

/* ---- shapes ---- */

int64_t clm_shape_count(const clm_shape *shape) {
    int64_t count = 1;
    for (int i = 0; i < shape->rank; i++) {
        count *= shape->size[i];
    }
    return count;
}

int64_t clm_shape_last(const clm_shape *shape) {
    return shape->rank > 0 ? shape->size[shape->rank - 1] : 0;
}

int64_t clm_shape_rows(const clm_shape *shape) {
    const int64_t last = clm_shape_last(shape);
    return last > 0 ? clm_shape_count(shape) / last : 0;
}

bool clm_shape_is(const clm_shape *shape, int rank, const int64_t *size) {
    return shape->rank == rank && memcmp(shape->size, size, (size_t)rank * sizeof *size) == 0;
}

bool clm_shape_equal(const clm_shape *a, const clm_shape *b) {
    return clm_shape_is(a, b->rank, b->size);
}

clm_shape clm_shape_with_last(clm_shape shape, int64_t last) {
    shape.size[shape.rank - 1] = last;
    return shape;
}

void clm_shape_write(clm_string *text, const clm_shape *shape) {
    for (int i = 0; i < shape->rank; i++) {
        clm_string_add_format(text, "%s%" PRId64, i == 0 ? " (" : ",", shape->size[i]);
    }
    clm_string_add(text, ")");
}

clm_status clm_shape_make(clm_shape *shape, int rank, const int64_t *size) {
    int64_t count = 1;
    *shape = (clm_shape){.rank = rank};
    bool right = rank >= 1 && rank <= CLM_TENSOR_RANK_MOST;
    for (int i = 0; right && i < rank; i++) {
        right = size[i] >= 1 && size[i] <= INT64_MAX / count;
        shape->size[i] = size[i];
        count *= right ? size[i] : 1;
    }
    return right ? CLM_OK
                 : clm_fail(CLM_ERROR_SHAPE, "needs 1 to %d dimensions and sizes of at least 1",
                            CLM_TENSOR_RANK_MOST);
}

/* ---- errors ---- */

clm_status clm_graph_stick(clm_graph *graph, clm_status status) {
    if (status != CLM_OK && graph->status == CLM_OK) {
        graph->status = status;
        (void)snprintf(graph->message, sizeof graph->message, "%s", clm_error_message());
    }
    return status;
}

clm_status clm_graph_status(const clm_graph *graph) {
    return graph->status == CLM_OK ? CLM_OK : clm_fail(graph->status, "%s", graph->message);
}

clm_status clm_shapes_fail(const clm_graph *graph, const clm_node *node, const char *format, ...) {
    char why[160];
    clm_string what = {0};
    va_list arguments;
    va_start(arguments, format);
    (void)clm_format_list(why, sizeof why, format, arguments);
    va_end(arguments);
    for (int i = 0; i < CLM_NODE_INPUTS && node->operation->inputs[i] != NULL; i++) {
        if (node->inputs[i] != 0) {
            const clm_tensor_about *about = &graph->tensors[node->inputs[i]];
            clm_string_add_format(&what, "%s%s", what.length > 0 ? ", " : "",
                                  node->operation->inputs[i]);
            if (about->name != NULL) {
                clm_string_add_format(&what, " \"%s\"", about->name);
            }
            clm_shape_write(&what, &about->shape);
        }
    }
    clm_status status = clm_string_status(&what);
    if (status == CLM_OK) {
        status = clm_fail(CLM_ERROR_SHAPE, "%s of %s: %s", node->operation->name,
                          what.text != NULL ? what.text : "nothing", why);
    }
    clm_string_free(&what);
    return status;
}

/* ---- graphs ---- */

static uint32_t next_number(void) {
    static atomic_uint last;
    return (uint32_t)atomic_fetch_add(&last, 1) + 1;
}

clm_status clm_graph_create(clm_graph **graph) {
    *graph = NULL;
    clm_status status = CLM_OK;
    clm_graph *made = NULL;
    CLM_TRY(clm_allocate(&made, 1, sizeof *made, "a graph"));
    CLM_TRY(clm_reserve(&made->tensors, &made->tensor_capacity, 1, sizeof *made->tensors,
                        "a graph's tensors"));
    made->tensors[0] = (clm_tensor_about){0};
    made->tensor_count = 1;
    made->number = next_number();
    *graph = made;
    made = NULL;
cleanup:
    clm_graph_free(made);
    return status;
}

void clm_graph_free(clm_graph *graph) {
    if (graph == NULL) {
        return;
    }
    for (uint32_t i = 0; i < graph->tensor_count; i++) {
        clm_free(graph->tensors[i].name);
    }
    for (uint32_t i = 0; i < graph->output_count; i++) {
        clm_free(graph->outputs[i].name);
    }
    clm_free(graph->tensors);
    clm_free(graph->named);
    clm_free(graph->nodes);
    clm_free(graph->outputs);
    clm_free(graph);
}

static clm_status add_output(clm_graph *graph, uint32_t tensor, const char *name) {
    clm_status status =
        clm_reserve(&graph->outputs, &graph->output_capacity, graph->output_count + 1,
                    sizeof *graph->outputs, "a graph's outputs");
    clm_graph_result result = {.tensor = tensor};
    if (status == CLM_OK) {
        status = clm_duplicate(&result.name, name);
    }
    if (status == CLM_OK) {
        graph->outputs[graph->output_count++] = result;
    }
    return status;
}

clm_status clm_graph_copy(clm_graph **copy, const clm_graph *graph) {
    *copy = NULL;
    clm_status status = CLM_OK;
    clm_graph *made = NULL;
    CLM_TRY(clm_graph_status(graph));
    CLM_TRY(clm_graph_create(&made));
    for (uint32_t i = 1; i < graph->tensor_count; i++) {
        (void)clm_graph_add_tensor(made, &graph->tensors[i], graph->tensors[i].name);
    }
    CLM_TRY(clm_graph_status(made));
    CLM_TRY(clm_reserve(&made->nodes, &made->node_capacity, graph->node_count, sizeof *made->nodes,
                        "a graph's nodes"));
    if (graph->node_count > 0) {
        memcpy(made->nodes, graph->nodes, graph->node_count * sizeof *made->nodes);
    }
    made->node_count = graph->node_count;
    made->backward = graph->backward;
    for (uint32_t i = 0; i < graph->output_count; i++) {
        CLM_TRY(add_output(made, graph->outputs[i].tensor, graph->outputs[i].name));
    }
    *copy = made;
    made = NULL;
cleanup:
    clm_graph_free(made);
    return status;
}

/* ---- tensors ---- */

/* Where the input or parameter of that name is in the table, or the free place where it would be.
 */
static uint32_t *place_of_name(const clm_graph *graph, clm_tensor_kind kind, const char *name) {
    size_t at = (size_t)clm_keyed_hash(name, strlen(name));
    for (;; at++) {
        uint32_t *place = &graph->named[at & (graph->named_size - 1)];
        const clm_tensor_about *about = &graph->tensors[*place];
        if (*place == 0 || (about->kind == kind && strcmp(about->name, name) == 0)) {
            return place;
        }
    }
}

/* Room in the table for one more. */
static clm_status reserve_name(clm_graph *graph) {
    uint32_t *before = graph->named;
    const size_t size = graph->named_size;
    uint32_t *larger = NULL;
    if (2 * (graph->named_count + 1) < size) {
        return CLM_OK;
    }
    const clm_status status =
        clm_allocate(&larger, size > 0 ? 2 * size : 16, sizeof *larger, "a graph's names");
    if (status != CLM_OK) {
        return status;
    }
    graph->named = larger;
    graph->named_size = size > 0 ? 2 * size : 16;
    for (size_t i = 0; i < size; i++) {
        if (before[i] != 0) {
            const clm_tensor_about *about = &graph->tensors[before[i]];
            *place_of_name(graph, about->kind, about->name) = before[i];
        }
    }
    clm_free(before);
    return CLM_OK;
}

uint32_t clm_graph_add_tensor(clm_graph *graph, const clm_tensor_about *about, const char *name) {
    if (graph->status != CLM_OK) {
        return 0;
    }
    char *copy = NULL;
    clm_status status =
        clm_reserve(&graph->tensors, &graph->tensor_capacity, (size_t)graph->tensor_count + 1,
                    sizeof *graph->tensors, "a graph's tensors");
    const bool is_named = about->kind == CLM_TENSOR_INPUT || about->kind == CLM_TENSOR_PARAMETER ||
                          about->kind == CLM_TENSOR_STATE;
    if (status == CLM_OK && is_named) {
        status = reserve_name(graph);
    }
    if (status == CLM_OK && name != NULL) {
        status = clm_duplicate(&copy, name);
    }
    if (clm_graph_stick(graph, status) != CLM_OK) {
        return 0;
    }
    graph->tensors[graph->tensor_count] = *about;
    graph->tensors[graph->tensor_count].name = copy;
    if (is_named) {
        *place_of_name(graph, about->kind, name) = graph->tensor_count;
        graph->named_count++;
    }
    return graph->tensor_count++;
}

/* The id of a handle, 0 for none; an error for another graph's. */
static uint32_t id_of(clm_graph *graph, clm_tensor tensor, const char *what) {
    if (tensor.id == 0 || graph->status != CLM_OK) {
        return 0;
    }
    if (tensor.graph != graph->number || tensor.id >= graph->tensor_count) {
        (void)clm_graph_stick(graph,
                              clm_fail(CLM_ERROR_ARGUMENT, "%s: a tensor of another graph", what));
        return 0;
    }
    return tensor.id;
}

/* An input, parameter or state. One of the same kind, name, shape and type is the same tensor when
 * `again`; any other of the name is an error. */
static clm_tensor add_named(clm_graph *graph, clm_tensor_about about, const char *name, int rank,
                            const int64_t *size, bool again) {
    const char *kind = about.kind == CLM_TENSOR_INPUT   ? "input"
                       : about.kind == CLM_TENSOR_STATE ? "state"
                                                        : "parameter";
    if (graph->status != CLM_OK) {
        return (clm_tensor){0};
    }
    if (name == NULL || name[0] == '\0' || clm_shape_make(&about.shape, rank, size) != CLM_OK) {
        (void)clm_graph_stick(graph,
                              clm_fail(CLM_ERROR_SHAPE,
                                       "%s \"%s\": needs a name, 1 to %d dimensions and sizes "
                                       "of at least 1",
                                       kind, name != NULL ? name : "", CLM_TENSOR_RANK_MOST));
        return (clm_tensor){0};
    }
    const uint32_t other = graph->named_size > 0 ? *place_of_name(graph, about.kind, name) : 0;
    if (other != 0) {
        if (again && clm_shape_equal(&graph->tensors[other].shape, &about.shape)) {
            return (clm_tensor){graph->number, other};
        }
        (void)clm_graph_stick(graph, clm_fail(CLM_ERROR_ARGUMENT, "%s \"%s\" is there already%s",
                                              kind, name, again ? ", with another shape" : ""));
        return (clm_tensor){0};
    }
    const uint32_t id = clm_graph_add_tensor(graph, &about, name);
    return (clm_tensor){id != 0 ? graph->number : 0, id};
}

clm_tensor clm_graph_input(clm_graph *graph, const char *name, clm_dtype type, int rank,
                           const int64_t *shape) {
    const clm_tensor_about about = {.kind = CLM_TENSOR_INPUT, .type = type};
    if (type != CLM_F32 && type != CLM_I32) {
        (void)clm_graph_stick(
            graph, clm_fail(CLM_ERROR_ARGUMENT, "input \"%s\": its type is f32 or i32", name));
        return (clm_tensor){0};
    }
    return add_named(graph, about, name, rank, shape, false);
}

clm_tensor clm_graph_parameter(clm_graph *graph, const char *name, int rank, const int64_t *shape,
                               const clm_parameter_options *options) {
    clm_tensor_about about = {.kind = CLM_TENSOR_PARAMETER, .type = CLM_F32};
    if (options != NULL) {
        about.parameter = *options;
    }
    return add_named(graph, about, name, rank, shape, true);
}

clm_tensor clm_graph_state(clm_graph *graph, const char *name, int rank, const int64_t *shape) {
    const clm_tensor_about about = {.kind = CLM_TENSOR_STATE, .type = CLM_F32};
    return add_named(graph, about, name, rank, shape, false);
}

void clm_graph_output(clm_graph *graph, clm_tensor tensor, const char *name) {
    const uint32_t id = id_of(graph, tensor, name);
    if (graph->status == CLM_OK && id == 0) {
        (void)clm_graph_stick(graph,
                              clm_fail(CLM_ERROR_ARGUMENT, "output \"%s\": no tensor", name));
    }
    for (uint32_t i = 0; graph->status == CLM_OK && i < graph->output_count; i++) {
        if (strcmp(graph->outputs[i].name, name) == 0) {
            (void)clm_graph_stick(
                graph, clm_fail(CLM_ERROR_ARGUMENT, "output \"%s\" is there already", name));
        }
    }
    if (graph->status == CLM_OK) {
        (void)clm_graph_stick(graph, add_output(graph, id, name));
    }
}

void clm_graph_mark(clm_graph *graph, clm_tensor tensor, const char *name) {
    const uint32_t id = id_of(graph, tensor, name);
    if (id != 0 && graph->tensors[id].name == NULL) {
        (void)clm_graph_stick(graph, clm_duplicate(&graph->tensors[id].name, name));
    }
}

void clm_graph_shape(const clm_graph *graph, clm_tensor tensor, int *rank,
                     int64_t shape[CLM_TENSOR_RANK_MOST]) {
    *rank = 0;
    if (graph->status == CLM_OK && tensor.graph == graph->number &&
        tensor.id < graph->tensor_count) {
        const clm_shape *of = &graph->tensors[tensor.id].shape;
        *rank = of->rank;
        memcpy(shape, of->size, sizeof of->size);
    }
}

/* ---- nodes ---- */

static clm_status check_types(const clm_graph *graph, const clm_node *node) {
    for (int i = 0; i < CLM_NODE_INPUTS && node->operation->inputs[i] != NULL; i++) {
        const clm_tensor_about *about = &graph->tensors[node->inputs[i]];
        const clm_dtype type = (node->operation->integers >> i & 1U) != 0 ? CLM_I32
                               : (node->operation->halves >> i & 1U) != 0 ? node->with.type
                                                                          : CLM_F32;
        if (node->inputs[i] == 0) {
            if ((node->operation->optional >> i & 1U) == 0) {
                return clm_shapes_fail(graph, node, "%s is missing", node->operation->inputs[i]);
            }
        } else if (about->type != type) {
            return clm_shapes_fail(graph, node, "%s is %s, not %s", node->operation->inputs[i],
                                   clm_dtype_name(about->type), clm_dtype_name(type));
        }
    }
    return CLM_OK;
}

uint32_t clm_graph_state_of(const clm_graph *graph, uint32_t tensor) {
    const clm_tensor_about *about = clm_graph_about(graph, tensor);
    while (about->kind == CLM_TENSOR_VALUE && graph->nodes[about->node].operation->writes_state) {
        tensor = graph->nodes[about->node].inputs[0];
        about = clm_graph_about(graph, tensor);
    }
    return about->kind == CLM_TENSOR_STATE ? tensor : 0;
}

/* A handle of a state that is written has no other reader: transformations may put nodes that do
 * not need each other in another order. */
static clm_status check_states(const clm_graph *graph, const clm_node *node) {
    for (int k = 0; k < CLM_NODE_INPUTS; k++) {
        const uint32_t state = clm_graph_state_of(graph, node->inputs[k]);
        for (uint32_t i = 0; state != 0 && i < graph->node_count; i++) {
            const clm_node *other = &graph->nodes[i];
            for (int j = 0; j < CLM_NODE_INPUTS; j++) {
                const bool written = (j == 0 && other->operation->writes_state) ||
                                     (k == 0 && node->operation->writes_state);
                if (other->inputs[j] == node->inputs[k] && written) {
                    return clm_fail(CLM_ERROR_ARGUMENT,
                                    "%s: this handle of state \"%s\" is written, so nothing else "
                                    "may read it: use what clm_graph_append() returns",
                                    node->operation->name, graph->tensors[state].name);
                }
            }
        }
    }
    return CLM_OK;
}

clm_node *clm_graph_add_node(clm_graph *graph, const clm_operation *operation,
                             const uint32_t *inputs, const clm_attributes *with) {
    clm_node node = {.operation = operation};
    clm_shape shapes[CLM_NODE_OUTPUTS] = {{0}};
    clm_status status = CLM_OK;
    if (graph->status != CLM_OK) {
        return NULL;
    }
    if (with != NULL) {
        node.with = *with;
    }
    for (int i = 0; i < CLM_NODE_INPUTS && operation->inputs[i] != NULL; i++) {
        node.inputs[i] = inputs[i];
    }
    CLM_TRY(check_types(graph, &node));
    CLM_TRY(check_states(graph, &node));
    CLM_TRY(operation->shape(graph, &node, shapes));
    CLM_TRY(clm_reserve(&graph->nodes, &graph->node_capacity, (size_t)graph->node_count + 1,
                        sizeof *graph->nodes, "a graph's nodes"));
    for (int i = 0; i < CLM_NODE_OUTPUTS && operation->outputs[i] != NULL; i++) {
        const clm_tensor_about about = {.kind = CLM_TENSOR_VALUE,
                                        .type = CLM_F32,
                                        .shape = shapes[i],
                                        .node = graph->node_count};
        node.outputs[i] = shapes[i].rank > 0 ? clm_graph_add_tensor(graph, &about, NULL) : 0;
        CLM_TRY(graph->status);
    }
    graph->nodes[graph->node_count++] = node;
cleanup:
    return clm_graph_stick(graph, status) == CLM_OK ? &graph->nodes[graph->node_count - 1] : NULL;
}

void clm_graph_append_node(clm_graph *graph, const clm_node *node) {
    clm_status status =
        clm_reserve(&graph->nodes, &graph->node_capacity, (size_t)graph->node_count + 1,
                    sizeof *graph->nodes, "a graph's nodes");
    if (graph->status != CLM_OK || clm_graph_stick(graph, status) != CLM_OK) {
        return;
    }
    for (int i = 0; i < CLM_NODE_OUTPUTS; i++) {
        graph->tensors[node->outputs[i]].node = graph->node_count;
    }
    graph->nodes[graph->node_count++] = *node;
}

clm_tensor clm_graph_apply(clm_graph *graph, const clm_operation *operation,
                           const clm_tensor *inputs, int count, const clm_attributes *with) {
    uint32_t ids[CLM_NODE_INPUTS] = {0};
    for (int i = 0; i < count; i++) {
        ids[i] = id_of(graph, inputs[i], operation->name);
    }
    const clm_node *node = clm_graph_add_node(graph, operation, ids, with);
    return node != NULL ? (clm_tensor){graph->number, node->outputs[0]} : (clm_tensor){0};
}

uint32_t clm_graph_find_output(const clm_graph *graph, const char *name) {
    for (uint32_t i = 0; i < graph->output_count; i++) {
        if (strcmp(graph->outputs[i].name, name) == 0) {
            return graph->outputs[i].tensor;
        }
    }
    return 0;
}

void clm_graph_drop_outputs(clm_graph *graph) {
    for (uint32_t i = 0; i < graph->output_count; i++) {
        clm_free(graph->outputs[i].name);
    }
    graph->output_count = 0;
}

void clm_graph_make_input(clm_graph *graph, uint32_t tensor, const char *name) {
    clm_tensor_about *about = &graph->tensors[tensor];
    clm_node *node = &graph->nodes[about->node];
    char *copy = NULL;
    if (clm_graph_stick(graph, clm_duplicate(&copy, name)) != CLM_OK) {
        return;
    }
    for (int k = 0; k < CLM_NODE_OUTPUTS; k++) {
        node->outputs[k] = node->outputs[k] == tensor ? 0 : node->outputs[k];
    }
    clm_free(about->name);
    about->name = copy;
    about->kind = CLM_TENSOR_INPUT;
}
