/* SPDX-License-Identifier: Apache-2.0 */
#include "graph/layout.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "graph/operations.h"

/* Memory that is allocated, and from which node to which it is used. */
typedef struct storage {
    clm_layout_part *part; /* to be filled */
    uint32_t order;        /* among those of one size */
    uint32_t begin, end;
    uint32_t buffer;
    size_t offset_bytes, size_bytes;
} storage;

typedef struct laying {
    clm_layout *layout;
    const clm_graph *graph;
    const clm_layout_options *options;
    uint32_t *last_use; /* by root: the last node that reads or writes it; outputs: beyond all;
                           UNUSED: none */
    storage *storages;
    size_t storage_count;
} laying;

bool clm_layout_is_view(const clm_node *node) {
    return node->operation == &clm_operation_columns || node->operation == &clm_operation_reshape ||
           node->operation == &clm_operation_join;
}

static size_t bytes_of(const clm_graph *graph, uint32_t tensor) {
    const clm_tensor_about *about = clm_graph_about(graph, tensor);
    return (size_t)clm_shape_count(&about->shape) * clm_dtype_size(about->type);
}

#define UNUSED UINT32_MAX

static bool is_dense(const clm_layout_tensor *tensor) {
    return tensor->width == tensor->stride;
}

/* ---- the same elements ---- */

/* From the last node to the first: what is joined lies in what it is joined to. A part that is a
 * view is where what it sees is. */
static void place_parts(laying *l) {
    for (uint32_t i = l->graph->node_count; i > 0; i--) {
        const clm_node *node = &l->graph->nodes[i - 1];
        clm_layout_tensor *tensors = l->layout->tensors;
        const clm_layout_tensor out = tensors[node->outputs[0]];
        if (node->operation == &clm_operation_reshape && out.root != node->outputs[0]) {
            tensors[node->inputs[0]] = out;
        }
        for (int k = 0; node->operation == &clm_operation_join && k < CLM_JOIN_MOST; k++) {
            if (node->inputs[k] != 0) {
                const clm_shape *shape = clm_node_shape(l->graph, node, k);
                clm_layout_tensor *part = &tensors[node->inputs[k]];
                *part = out;
                part->first += (size_t)node->with.join.firsts[k];
                part->width = (size_t)clm_shape_last(shape);
            }
        }
    }
}

/* From the first node to the last: a view lies in what it sees. */
static void place_views(laying *l) {
    clm_layout_tensor *tensors = l->layout->tensors;
    for (uint32_t i = 0; i < l->graph->node_count; i++) {
        const clm_node *node = &l->graph->nodes[i];
        clm_layout_tensor *out = &tensors[node->outputs[0]];
        if (node->operation == &clm_operation_reshape || node->operation->writes_state) {
            *out = tensors[node->inputs[0]];
        } else if (node->operation == &clm_operation_columns) {
            const clm_layout_tensor in = tensors[node->inputs[0]];
            *out = in;
            out->first += (size_t)node->with.columns.first;
            out->width = (size_t)node->with.columns.count;
            if (is_dense(&in)) {
                out->stride = (size_t)clm_shape_last(clm_node_shape(l->graph, node, 0));
            }
        }
    }
    for (uint32_t i = 1; i < l->graph->tensor_count; i++) {
        const clm_tensor_about *about = clm_graph_about(l->graph, i);
        if (about->kind == CLM_TENSOR_GRADIENT) {
            tensors[i].root = about->of;
            tensors[i].first = (size_t)about->first_column;
            tensors[i].stride =
                (size_t)clm_shape_last(&clm_graph_about(l->graph, about->of)->shape);
        }
    }
}

/* Rows apart only where the operation can step over what lies between. */
static clm_status check_node(const laying *l, const clm_node *node) {
    const clm_operation *operation = node->operation;
    for (int k = 0; k < CLM_NODE_INPUTS && operation->inputs[k] != NULL; k++) {
        if (node->inputs[k] != 0 && !is_dense(&l->layout->tensors[node->inputs[k]]) &&
            (operation->strided_inputs >> k & 1U) == 0) {
            return clm_fail(CLM_ERROR_UNSUPPORTED, "%s: the rows of %s are not contiguous",
                            operation->name, operation->inputs[k]);
        }
    }
    for (int k = 0; k < CLM_NODE_OUTPUTS && operation->outputs[k] != NULL; k++) {
        if (node->outputs[k] != 0 && !is_dense(&l->layout->tensors[node->outputs[k]]) &&
            (operation->strided_outputs >> k & 1U) == 0) {
            return clm_fail(CLM_ERROR_UNSUPPORTED, "%s: the rows of %s are not contiguous",
                            operation->name, operation->outputs[k]);
        }
    }
    return CLM_OK;
}

/* ---- how long memory is used ---- */

static bool is_allocated(const laying *l, uint32_t root) {
    const clm_tensor_kind kind = clm_graph_about(l->graph, root)->kind;
    return (kind == CLM_TENSOR_INPUT || kind == CLM_TENSOR_VALUE) &&
           (l->options->outside == NULL || !l->options->outside[root]);
}

static uint32_t root_of(const laying *l, uint32_t tensor) {
    const clm_layout_tensor *tensors = l->layout->tensors;
    while (tensors[tensor].root != tensor) { /* one step, but for what shares memory */
        tensor = tensors[tensor].root;
    }
    return tensor;
}

static void find_last_uses(laying *l) {
    for (uint32_t i = 0; i < l->graph->tensor_count; i++) {
        l->last_use[i] = UNUSED;
    }
    for (uint32_t i = 0; i < l->graph->node_count; i++) {
        const clm_node *node = &l->graph->nodes[i];
        for (int k = 0; k < CLM_NODE_INPUTS; k++) {
            l->last_use[root_of(l, node->inputs[k])] = i;
        }
        for (int k = 0; k < CLM_NODE_OUTPUTS; k++) {
            l->last_use[root_of(l, node->outputs[k])] = i;
        }
    }
    for (uint32_t i = 0; i < l->graph->output_count; i++) {
        l->last_use[root_of(l, l->graph->outputs[i].tensor)] = l->graph->node_count;
    }
}

/* Whether the node reads the same memory as another operand, too, which must stay whole meanwhile.
 */
static bool is_read_otherwise(const laying *l, const clm_node *node, uint32_t root) {
    for (int k = 0; k < CLM_NODE_INPUTS; k++) {
        if (node->inputs[k] != 0 && (node->operation->overwrites >> k & 1U) == 0 &&
            root_of(l, node->inputs[k]) == root) {
            return true;
        }
    }
    return false;
}

/* Output 0 takes the memory of an input that nobody uses afterwards, where the operation can write
 * what it reads. All that lay in the output's memory lies there then. */
static void share(laying *l, uint32_t index) {
    const clm_node *node = &l->graph->nodes[index];
    clm_layout_tensor *tensors = l->layout->tensors;
    const uint32_t out = node->outputs[0];
    const bool may =
        node->operation->does_overwrite == NULL || node->operation->does_overwrite(node);
    for (int k = 0; k < CLM_NODE_INPUTS && may && out != 0 && tensors[out].root == out; k++) {
        const uint32_t in = node->inputs[k];
        const uint32_t root = root_of(l, in);
        if ((node->operation->overwrites >> k & 1U) == 0 || in == 0 || l->last_use[root] != index ||
            !is_allocated(l, root) || !is_allocated(l, out) || !is_dense(&tensors[in]) ||
            is_read_otherwise(l, node, root) ||
            bytes_of(l->graph, root) != bytes_of(l->graph, out)) {
            continue;
        }
        tensors[out].root = root;
        l->last_use[root] = l->last_use[out];
    }
}

static void share_all(laying *l) {
    for (uint32_t i = 0; i < l->graph->node_count; i++) {
        share(l, i);
    }
    for (uint32_t i = 1; i < l->graph->tensor_count; i++) {
        l->layout->tensors[i].root = root_of(l, i);
    }
}

/* ---- where it lies ---- */

static int compare_sizes(const void *a, const void *b) {
    const storage *left = a;
    const storage *right = b;
    if (left->size_bytes != right->size_bytes) {
        return left->size_bytes < right->size_bytes ? 1 : -1;
    }
    return left->order < right->order ? -1 : left->order > right->order;
}

static bool overlap(const storage *a, const storage *b) {
    return a->begin <= b->end && b->begin <= a->end;
}

/* The lowest offset in a buffer at which `s` lies beside all that lives at the same time. The first
 * `placed` storages are sorted by buffer and offset. */
static size_t lowest_offset(const laying *l, const storage *s, uint32_t buffer, size_t placed) {
    size_t offset = 0;
    for (size_t i = 0; i < placed; i++) {
        const storage *other = &l->storages[i];
        if (!overlap(s, other) || other->buffer != buffer) {
            continue;
        }
        if (offset + s->size_bytes <= other->offset_bytes) {
            break;
        }
        const size_t end = other->offset_bytes + other->size_bytes;
        offset = end > offset ? end : offset;
    }
    return offset;
}

/* Puts the storage after the first `placed` among them. */
static void sort_in(laying *l, size_t placed) {
    const storage s = l->storages[placed];
    size_t at = placed;
    for (; at > 0; at--) {
        const storage *before = &l->storages[at - 1];
        if (before->buffer < s.buffer ||
            (before->buffer == s.buffer && before->offset_bytes <= s.offset_bytes)) {
            break;
        }
    }
    memmove(&l->storages[at + 1], &l->storages[at], (placed - at) * sizeof s);
    l->storages[at] = s;
}

static void place_storage(laying *l, size_t index) {
    storage *s = &l->storages[index];
    clm_layout *layout = l->layout;
    uint32_t buffer = l->options->apart ? (uint32_t)layout->buffer_count : 0;
    size_t offset = 0;
    for (; buffer < layout->buffer_count; buffer++) {
        offset = lowest_offset(l, s, buffer, index);
        if (offset + s->size_bytes <= l->options->most_bytes) {
            break;
        }
    }
    if (buffer == layout->buffer_count) {
        layout->buffer_count++;
        layout->buffer_bytes[buffer] = 0;
        offset = 0;
    }
    s->buffer = buffer;
    s->offset_bytes = offset;
    *s->part = (clm_layout_part){buffer, offset, s->size_bytes, s->end};
    if (offset + s->size_bytes > layout->buffer_bytes[buffer]) {
        layout->buffer_bytes[buffer] = offset + s->size_bytes;
    }
    sort_in(l, index);
}

/* Each root that is allocated, from its first use to its last. Inputs are written before the first
 * node. */
static void collect_storages(laying *l) {
    const size_t unit = l->options->alignment_bytes;
    uint32_t *first_use = l->last_use + l->graph->tensor_count;
    for (uint32_t i = l->graph->node_count; i > 0; i--) {
        const clm_node *node = &l->graph->nodes[i - 1];
        for (int k = 0; k < CLM_NODE_OUTPUTS; k++) {
            first_use[root_of(l, node->outputs[k])] = i - 1;
        }
    }
    for (uint32_t i = 1; i < l->graph->tensor_count; i++) {
        const clm_tensor_about *about = clm_graph_about(l->graph, i);
        const bool used = l->last_use[i] != UNUSED;
        if (root_of(l, i) == i && is_allocated(l, i) && used) {
            const size_t bytes = bytes_of(l->graph, i);
            l->storages[l->storage_count++] =
                (storage){.part = &l->layout->tensors[i].part,
                          .order = i,
                          .begin = about->kind == CLM_TENSOR_INPUT ? 0 : first_use[i],
                          .end = l->last_use[i],
                          .size_bytes = (bytes + unit - 1) / unit * unit};
        }
    }
    for (uint32_t i = 0; i < l->graph->node_count; i++) {
        const size_t bytes = l->options->scratch_bytes != NULL
                                 ? l->options->scratch_bytes(l->options->context, i)
                                 : 0;
        if (bytes > 0) {
            l->storages[l->storage_count++] =
                (storage){.part = &l->layout->scratch[i],
                          .order = l->graph->tensor_count + i,
                          .begin = i,
                          .end = i,
                          .size_bytes = (bytes + unit - 1) / unit * unit};
        }
    }
}

clm_status clm_layout_make(clm_layout *layout, const clm_graph *graph,
                           const clm_layout_options *options) {
    *layout = (clm_layout){0};
    laying l = {.layout = layout, .graph = graph, .options = options};
    const size_t count = graph->tensor_count;
    clm_status status = CLM_OK;
    CLM_TRY(clm_allocate(&layout->tensors, count, sizeof *layout->tensors, "a plan"));
    const size_t most = count + graph->node_count; /* of what is allocated */
    CLM_TRY(clm_allocate(&layout->scratch, graph->node_count, sizeof *layout->scratch, "a plan"));
    CLM_TRY(clm_allocate(&layout->buffer_bytes, most, sizeof *layout->buffer_bytes, "a plan"));
    CLM_TRY(clm_allocate(&l.last_use, 2 * count, sizeof *l.last_use, "a plan"));
    CLM_TRY(clm_allocate(&l.storages, most, sizeof *l.storages, "a plan"));
    memset(l.last_use + count, 0xFF, count * sizeof *l.last_use);
    for (uint32_t i = 1; i < count; i++) {
        const size_t last = (size_t)clm_shape_last(&clm_graph_about(graph, i)->shape);
        layout->tensors[i] = (clm_layout_tensor){.root = i, .width = last, .stride = last};
    }
    place_parts(&l);
    place_views(&l);
    for (uint32_t i = 0; i < graph->node_count; i++) {
        if (!clm_layout_is_view(&graph->nodes[i])) {
            CLM_TRY(check_node(&l, &graph->nodes[i]));
        }
    }
    find_last_uses(&l);
    if (!options->apart) {
        share_all(&l);
    }
    find_last_uses(&l);
    collect_storages(&l);
    qsort(l.storages, l.storage_count, sizeof *l.storages, compare_sizes);
    for (size_t i = 0; i < l.storage_count; i++) {
        place_storage(&l, i);
    }
cleanup:
    clm_free(l.last_use);
    clm_free(l.storages);
    return status;
}

void clm_layout_free(clm_layout *layout) {
    clm_free(layout->tensors);
    clm_free(layout->scratch);
    clm_free(layout->buffer_bytes);
    *layout = (clm_layout){0};
}
