/* SPDX-License-Identifier: Apache-2.0 */
#include "graph/parameters.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/progress.h"
#include "graph/operations.h"
#include "graph/transform.h"

/* ---- the table ---- */

static int compare_names(const void *a, const void *b) {
    return strcmp((*(const clm_parameter *const *)a)->name,
                  (*(const clm_parameter *const *)b)->name);
}

static clm_status add(clm_parameter_table *table, const clm_tensor_about *about) {
    clm_parameter *p = &table->parameters[table->count++];
    const size_t length = strlen(about->name);
    if (about->shape.rank > 2 || length >= sizeof p->name) {
        return clm_fail(CLM_ERROR_SHAPE,
                        "parameter %s: stored are up to 2 dimensions, and names of up to %zu bytes",
                        about->name, sizeof p->name - 1);
    }
    *p = (clm_parameter){.rank = about->shape.rank,
                         .shape = {(size_t)about->shape.size[0], 1},
                         .count = (size_t)clm_shape_count(&about->shape),
                         .init = about->parameter.init,
                         .spread = about->parameter.spread,
                         .decays = about->parameter.decays,
                         .optional = about->parameter.optional,
                         .exact = about->parameter.exact};
    p->shape[1] = p->rank == 2 ? (size_t)about->shape.size[1] : 1;
    memcpy(p->name, about->name, length + 1);
    table->total += p->count;
    return CLM_OK;
}

clm_status clm_parameter_table_make(clm_parameter_table *table, const clm_graph *graph) {
    clm_status status = CLM_OK;
    *table = (clm_parameter_table){0};
    CLM_TRY(clm_graph_status(graph));
    size_t count = 0;
    for (uint32_t i = 1; i < graph->tensor_count; i++) {
        count += clm_graph_about(graph, i)->kind == CLM_TENSOR_PARAMETER;
    }
    CLM_TRY(clm_allocate(&table->parameters, count, sizeof *table->parameters,
                         "the table of parameters"));
    CLM_TRY(
        clm_allocate(&table->by_name, count, sizeof *table->by_name, "the table of parameters"));
    for (uint32_t i = 1; i < graph->tensor_count; i++) {
        const clm_tensor_about *about = clm_graph_about(graph, i);
        if (about->kind == CLM_TENSOR_PARAMETER) {
            CLM_TRY(add(table, about));
        }
    }
    for (size_t i = 0; i < table->count; i++) {
        table->by_name[i] = &table->parameters[i];
    }
    qsort(table->by_name, table->count, sizeof(const clm_parameter *), compare_names);
cleanup:
    return status;
}

void clm_parameter_table_free(clm_parameter_table *table) {
    clm_free(table->parameters);
    clm_free((void *)table->by_name);
    *table = (clm_parameter_table){0};
}

const clm_parameter *clm_parameter_named(const clm_parameter_table *table, const char *name) {
    size_t low = 0;
    size_t high = table->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = strcmp(name, table->by_name[middle]->name);
        if (order == 0) {
            return table->by_name[middle];
        }
        low = order > 0 ? middle + 1 : low;
        high = order > 0 ? high : middle;
    }
    return NULL;
}

clm_stored_parameter *clm_parameters_find(const clm_parameters *parameters, const char *name) {
    const clm_parameter *about = clm_parameter_named(&parameters->table, name);
    return about != NULL ? &parameters->stored[about - parameters->table.parameters] : NULL;
}

const clm_parameter_packing *clm_parameter_columns(const clm_stored_parameter *stored,
                                                   int64_t first, int64_t count) {
    for (int i = 0; i < stored->packing_count; i++) {
        if (stored->packings[i].first == first && stored->packings[i].count == count) {
            return &stored->packings[i];
        }
    }
    return NULL;
}

size_t clm_parameters_trained_count(const clm_parameters *parameters) {
    size_t count = 0;
    for (size_t i = 0; i < parameters->table.count; i++) {
        count += parameters->stored[i].trained ? parameters->stored[i].about->count : 0;
    }
    return count;
}

/* ---- how they are read ---- */

/* Of one parameter, by all nodes. */
typedef struct readers {
    bool by_rows, by_products, by_others;
    bool passes_gradients;
} readers;

/* The parameter that a tensor is, or is columns of; NULL for others. */
static clm_stored_parameter *parameter_of(const clm_parameters *parameters, const clm_graph *graph,
                                          uint32_t tensor, int64_t *first, int64_t *count) {
    const clm_tensor_about *about = clm_graph_about(graph, tensor);
    *first = 0;
    *count = about->shape.rank > 0 ? clm_shape_last(&about->shape) : 0;
    if (tensor != 0 && about->kind == CLM_TENSOR_VALUE) {
        const clm_node *node = &graph->nodes[about->node];
        if (node->operation != &clm_operation_columns) {
            return NULL;
        }
        *first = node->with.columns.first;
        about = clm_graph_about(graph, node->inputs[0]);
    }
    return tensor != 0 && about->kind == CLM_TENSOR_PARAMETER
               ? clm_parameters_find(parameters, about->name)
               : NULL;
}

/* In the order of their columns; one more than the most stands for any number beyond. */
static void note_packing(clm_stored_parameter *stored, int64_t first, int64_t count) {
    int at = stored->packing_count;
    if (at > CLM_PACKINGS_MOST || clm_parameter_columns(stored, first, count) != NULL) {
        return;
    }
    stored->packing_count++;
    if (at == CLM_PACKINGS_MOST) {
        return;
    }
    for (; at > 0 && stored->packings[at - 1].first > first; at--) {
        stored->packings[at] = stored->packings[at - 1];
    }
    stored->packings[at] = (clm_parameter_packing){.first = first, .count = count};
}

static void note_reader(clm_stored_parameter *stored, readers *r, const clm_node *node, int input,
                        int64_t first, int64_t count) {
    const clm_operation *operation = node->operation;
    if (operation == &clm_operation_linear && input == 1) {
        r->by_products = true;
        stored->out_in = node->with.linear.layout == CLM_LINEAR_OUT_IN;
        note_packing(stored, first, count);
    } else if (operation == &clm_operation_linear_backward && input == 2) {
        r->passes_gradients = r->passes_gradients || node->outputs[0] != 0;
    } else if (operation == &clm_operation_embedding && input == 1) {
        r->by_rows = true;
    } else if (operation != &clm_operation_columns &&
               operation != &clm_operation_embedding_backward) { /* these read its shape only */
        r->by_others = true;
    }
}

/* Whether packings are of different columns, and few enough. */
static bool packings_are_apart(const clm_stored_parameter *stored) {
    bool apart = stored->packing_count <= CLM_PACKINGS_MOST;
    for (int i = 1; apart && i < stored->packing_count; i++) {
        apart = stored->packings[i - 1].first + stored->packings[i - 1].count <=
                stored->packings[i].first;
    }
    return apart;
}

static void find_readers(clm_parameters *parameters, const clm_graph *graph, readers *all) {
    for (uint32_t i = 0; i < graph->node_count; i++) {
        const clm_node *node = &graph->nodes[i];
        for (int k = 0; k < CLM_NODE_INPUTS; k++) {
            int64_t first = 0;
            int64_t count = 0;
            clm_stored_parameter *stored =
                parameter_of(parameters, graph, node->inputs[k], &first, &count);
            if (stored != NULL) {
                note_reader(stored, &all[stored - parameters->stored], node, k, first, count);
            }
        }
    }
}

static clm_status choose_forms(clm_parameters *parameters, const clm_graph *graph,
                               const clm_parameters_options *options) {
    const size_t count = parameters->table.count;
    readers *all = NULL;
    clm_status status = CLM_OK;
    CLM_TRY(clm_allocate(&all, count, sizeof *all, "the model's parameters"));
    find_readers(parameters, graph, all);
    for (size_t i = 0; i < count; i++) {
        clm_stored_parameter *stored = &parameters->stored[i];
        const readers *r = &all[i];
        const bool is_weight = r->by_products && !r->by_rows && !r->by_others &&
                               !r->passes_gradients && !stored->about->exact &&
                               packings_are_apart(stored);
        stored->by_rows = r->by_rows && !r->by_products && !r->by_others;
        stored->is_packed =
            is_weight && !stored->trained && !(options->one_pass && options->storage == CLM_F32);
        stored->is_read_once = is_weight && !stored->trained && !stored->is_packed;
        stored->storage = stored->is_packed ? options->storage : CLM_F32;
        stored->packing_count = stored->is_packed ? stored->packing_count : 0;
    }
cleanup:
    clm_free(all);
    return status;
}

/* The graph whose nodes read them: as plans will have it. */
static clm_status as_planned(clm_graph **planned, const clm_graph *graph, const char *loss,
                             const clm_parameters_options *options) {
    clm_status status = CLM_OK;
    CLM_TRY(options->whole_rows ? clm_graph_copy(planned, graph)
                                : clm_graph_narrow(planned, graph));
    if (loss != NULL && options->trains != NULL) {
        CLM_TRY(clm_graph_derive(*planned, clm_graph_find_output(*planned, loss), options->trains,
                                 options->context));
    }
    CLM_TRY(clm_graph_prune(*planned));
cleanup:
    return status;
}

static clm_status lay_out_trained(clm_parameters *parameters) {
    const size_t count = parameters->table.count;
    clm_device *device = parameters->device;
    size_t *counts = NULL;
    size_t *units = NULL;
    clm_status status = CLM_OK;
    CLM_TRY(clm_allocate(&counts, count, sizeof *counts, "the model's parameters"));
    CLM_TRY(clm_allocate(&units, count, sizeof *units, "the model's parameters"));
    for (size_t i = 0; i < count; i++) {
        const clm_stored_parameter *stored = &parameters->stored[i];
        counts[i] = stored->trained ? stored->about->count : 0;
        units[i] = stored->by_rows ? stored->about->shape[1] : 0;
    }
    CLM_TRY(clm_arena_layout_make(&parameters->trained, device, counts, units, count,
                                  clm_device_get_info(device)->max_allocation_size_bytes));
cleanup:
    clm_free(counts);
    clm_free(units);
    return status;
}

clm_status clm_parameters_create(clm_parameters **parameters, clm_device *device,
                                 const clm_graph *graph, const char *loss,
                                 const clm_parameters_options *options) {
    clm_parameters *made = NULL;
    clm_graph *planned = NULL;
    clm_status status = CLM_OK;
    *parameters = NULL;
    CLM_TRY(clm_allocate(&made, 1, sizeof *made, "the model's parameters"));
    made->device = device;
    CLM_TRY(clm_parameter_table_make(&made->table, graph));
    CLM_TRY(clm_allocate(&made->stored, made->table.count, sizeof *made->stored,
                         "the model's parameters"));
    for (size_t i = 0; i < made->table.count; i++) {
        const clm_parameter *about = &made->table.parameters[i];
        made->stored[i].about = about;
        made->stored[i].trained =
            options->trains != NULL && options->trains(options->context, about->name);
    }
    CLM_TRY(as_planned(&planned, graph, loss, options));
    CLM_TRY(choose_forms(made, planned, options));
    CLM_TRY(lay_out_trained(made));
    *parameters = made;
    made = NULL;
cleanup:
    clm_graph_free(planned);
    clm_parameters_free(made);
    return status;
}

void clm_parameters_free(clm_parameters *parameters) {
    if (parameters == NULL) {
        return;
    }
    for (size_t i = 0; parameters->stored != NULL && i < parameters->table.count; i++) {
        clm_stored_parameter *stored = &parameters->stored[i];
        if (!stored->trained) {
            clm_buffer_release(stored->value);
        }
        for (int k = 0; k < stored->packing_count && k < CLM_PACKINGS_MOST; k++) {
            clm_gemm_packed_release(stored->packings[k].packed);
        }
    }
    clm_arena_free(&parameters->values);
    clm_arena_free(&parameters->gradients);
    clm_arena_layout_free(&parameters->trained);
    clm_free(parameters->stored);
    clm_parameter_table_free(&parameters->table);
    clm_free(parameters);
}

/* A packing's product: columns of (in,out) are columns of the matrix as it is stored; of (out,in)
 * there is the whole. */
static int packed_K(const clm_stored_parameter *stored) {
    return (int)stored->about->shape[stored->out_in ? 1 : 0];
}

static int packed_N(const clm_stored_parameter *stored, const clm_parameter_packing *packing) {
    return stored->out_in ? (int)stored->about->shape[0] : (int)packing->count;
}

static uint64_t frozen_bytes(const clm_device *device, const clm_stored_parameter *stored) {
    uint64_t sum_bytes = 0;
    if (!stored->is_packed) {
        return stored->about->count * sizeof(float);
    }
    for (int i = 0; i < stored->packing_count; i++) {
        sum_bytes +=
            clm_gemm_packing_bytes(device, packed_K(stored), packed_N(stored, &stored->packings[i]),
                                   clm_gemm_storage_of(stored->storage));
    }
    return sum_bytes;
}

void clm_parameters_measure(const clm_parameters *parameters, clm_parameters_memory *memory) {
    *memory = (clm_parameters_memory){0};
    for (size_t i = 0; i < parameters->trained.buffer_count; i++) {
        memory->gradients_bytes += parameters->trained.buffer_counts[i] * sizeof(float);
    }
    memory->values_bytes = memory->gradients_bytes;
    memory->moments_bytes = 2 * memory->gradients_bytes;
    for (size_t i = 0; i < parameters->table.count; i++) {
        const clm_stored_parameter *stored = &parameters->stored[i];
        const uint64_t size_bytes = stored->about->count * sizeof(float);
        const uint64_t piece_bytes =
            stored->by_rows ? stored->about->shape[1] * sizeof(float) : size_bytes;
        if (!stored->trained) {
            memory->values_bytes += frozen_bytes(parameters->device, stored);
        }
        if (piece_bytes > memory->largest_buffer_bytes) {
            memory->largest_buffer_bytes = piece_bytes;
        }
    }
}

clm_status clm_parameters_zero_gradients(clm_parameters *parameters) {
    if (parameters->gradients_are_zero) {
        return CLM_OK;
    }
    const clm_status status = clm_arena_zero(&parameters->gradients);
    parameters->gradients_are_zero = status == CLM_OK;
    return status;
}

/* ---- loading ---- */

/* A piece at a time, where that is possible. */
static clm_status copy_values(const clm_parameter_source *source, const clm_parameter *about,
                              clm_buffer *buffer) {
    const size_t piece = (size_t)1 << 18; /* a MiB stays in a cache between its two copies */
    const bool is_whole = about->count < piece ||
                          (source->is_whole != NULL && source->is_whole(source->context, about));
    const size_t most = is_whole ? about->count : piece;
    float *values = NULL;
    clm_status status = CLM_OK;
    CLM_TRY(clm_allocate(&values, most, sizeof *values, about->name));
    for (size_t at = 0; at < about->count; at += most) {
        const size_t count = about->count - at < most ? about->count - at : most;
        CLM_TRY(source->read(source->context, about, at, count, values));
        CLM_TRY(clm_buffer_write(buffer, at * sizeof *values, values, count * sizeof *values));
    }
cleanup:
    clm_free(values);
    return status;
}

static clm_status pack(const clm_parameters *parameters, clm_stored_parameter *stored) {
    const clm_parameter *about = stored->about;
    clm_status status = CLM_OK;
    for (int i = 0; i < stored->packing_count; i++) {
        clm_parameter_packing *packing = &stored->packings[i];
        CLM_TRY(clm_gemm_pack(&packing->packed, parameters->device, stored->value,
                              (size_t)packing->first, (int)about->shape[1], stored->out_in,
                              packed_K(stored), packed_N(stored, packing),
                              clm_gemm_storage_of(stored->storage)));
    }
cleanup:
    return status == CLM_OK ? status : clm_error_prefix(status, "%s", about->name);
}

static clm_status load(const clm_parameters *parameters, clm_stored_parameter *stored,
                       const clm_parameter_source *source) {
    const clm_parameter *about = stored->about;
    const size_t row_bytes = stored->by_rows ? about->shape[1] * sizeof(float) : 0;
    const float *mapped = NULL;
    clm_status status = CLM_OK;
    if (source->map != NULL && !stored->trained && clm_device_is_cpu(parameters->device) &&
        (stored->by_rows || stored->is_read_once)) {
        CLM_TRY(source->map(source->context, about, &mapped));
    }
    if (stored->is_packed) {
        /* From the pool, which gives it for the next weight of this size. */
        CLM_TRY(clm_buffer_create(&stored->value, parameters->device, about->count * sizeof(float),
                                  about->name));
    } else if (!stored->trained) {
        CLM_TRY(clm_buffer_create_in_parts(&stored->value, parameters->device, mapped,
                                           about->count * sizeof(float), row_bytes, about->name));
    }
    if (mapped == NULL) {
        CLM_TRY(copy_values(source, about, stored->value));
    }
    if (stored->is_packed) {
        CLM_TRY(pack(parameters, stored));
        clm_buffer_release(stored->value);
        stored->value = NULL;
    }
cleanup:
    return status;
}

clm_status clm_parameters_load(clm_parameters *parameters, const clm_parameter_source *source) {
    const size_t count = parameters->table.count;
    clm_status status = CLM_OK;
    bool packed = false;
    CLM_TRY(clm_arena_make(&parameters->values, parameters->device, &parameters->trained,
                           "parameters"));
    CLM_TRY(clm_arena_make(&parameters->gradients, parameters->device, &parameters->trained,
                           "gradients"));
    CLM_TRY(clm_parameters_zero_gradients(parameters));
    for (size_t i = 0; i < count; i++) {
        clm_stored_parameter *stored = &parameters->stored[i];
        if (stored->trained) {
            stored->value = parameters->values.tensors[i];
            stored->gradient = parameters->gradients.tensors[i];
        }
        clm_progress_tell("loading the model", (int64_t)i, (int64_t)count, "tensors");
        CLM_TRY(clm_progress_check());
        CLM_TRY(load(parameters, stored, source));
        packed = packed || stored->is_packed;
    }
    if (packed) {
        CLM_TRY(clm_buffer_pool_trim(parameters->device)); /* of what was packed from */
    }
cleanup:
    return status;
}
