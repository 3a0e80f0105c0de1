/* SPDX-License-Identifier: Apache-2.0 */
#include "graph/plan.h"

#include <string.h>

#include "base/memory.h"
#include "graph/operations.h"
#include "graph/transform.h"

/* What has to be bound at each execution: an input that is used, or memory of the caller's. */
typedef struct clm_plan_slot {
    uint32_t tensor; /* a root */
    bool is_bound;   /* for this execution */
} clm_plan_slot;

struct clm_plan {
    clm_workspace_user user; /* of the workspace; the first member */
    clm_workspace *workspace;
    clm_device *device;
    clm_parameters *parameters;
    clm_graph *graph;
    clm_plan_counts counts;
    clm_layout layout;
    bool *outside;                 /* by tensor: roots in memory of the caller's */
    clm_stored_parameter **stored; /* by tensor of a parameter */
    clm_buffer **parts;            /* by tensor: of roots, in the workspace or of the caller's */
    clm_buffer **scratch;          /* by node */
    const int32_t **host_ids;      /* by tensor: what was bound last */
    clm_plan_slot *slots;
    size_t slot_count;
    bool is_allocated;
    bool poison; /* as in the options */
};

const clm_graph *clm_plan_graph(const clm_plan *plan) {
    return plan->graph;
}

const clm_layout *clm_plan_layout(const clm_plan *plan) {
    return &plan->layout;
}

const clm_stored_parameter *clm_plan_parameter(const clm_plan *plan, uint32_t tensor) {
    return plan->stored[plan->layout.tensors[tensor].root];
}

const clm_plan_counts *clm_plan_get_counts(const clm_plan *plan) {
    return &plan->counts;
}

void clm_plan_memory(const clm_plan *plan, uint64_t *total_bytes, uint64_t *largest_bytes) {
    *total_bytes = 0;
    *largest_bytes = 0;
    for (size_t i = 0; i < plan->layout.buffer_count; i++) {
        *total_bytes += plan->layout.buffer_bytes[i];
    }
    for (uint32_t i = 1; i < plan->graph->tensor_count; i++) {
        const uint64_t size_bytes = plan->layout.tensors[i].part.size_bytes;
        *largest_bytes = size_bytes > *largest_bytes ? size_bytes : *largest_bytes;
    }
    for (uint32_t i = 0; i < plan->graph->node_count; i++) {
        const uint64_t size_bytes = plan->layout.scratch[i].size_bytes;
        *largest_bytes = size_bytes > *largest_bytes ? size_bytes : *largest_bytes;
    }
}

/* ---- making ---- */

static bool trains_stored(void *context, const char *name) {
    const clm_stored_parameter *stored = clm_parameters_find(context, name);
    return stored != NULL && stored->trained;
}

static clm_status check_kernels(const clm_graph *graph) {
    for (uint32_t i = 0; i < graph->node_count; i++) {
        const clm_operation *operation = graph->nodes[i].operation;
        if (operation->enqueue == NULL && !clm_layout_is_view(&graph->nodes[i])) {
            return clm_fail(CLM_ERROR_UNSUPPORTED, "%s has no kernels yet", operation->name);
        }
    }
    return CLM_OK;
}

static clm_status derive(clm_plan *plan, const clm_plan_options *options) {
    const uint32_t loss = clm_graph_find_output(plan->graph, options->loss);
    if (loss == 0) {
        return clm_fail(CLM_ERROR_ARGUMENT, "the graph has no output \"%s\"", options->loss);
    }
    return options->trains != NULL
               ? clm_graph_derive(plan->graph, loss, options->trains, options->context)
               : clm_graph_derive(plan->graph, loss, trains_stored, plan->parameters);
}

static clm_status transform(clm_plan *plan, const clm_graph *graph,
                            const clm_plan_options *options) {
    const bool derives = options->loss != NULL;
    clm_plan_counts *counts = &plan->counts;
    clm_status status = CLM_OK;
    counts->described = graph->node_count;
    CLM_TRY(options->whole_rows ? clm_graph_copy(&plan->graph, graph)
                                : clm_graph_narrow(&plan->graph, graph));
    counts->narrowed = plan->graph->node_count;
    if (derives) {
        CLM_TRY(derive(plan, options));
    }
    counts->derived = plan->graph->node_count;
    CLM_TRY(clm_graph_prune(plan->graph));
    counts->needed = plan->graph->node_count;
    if (derives && options->recompute) {
        CLM_TRY(clm_graph_recompute(plan->graph));
    }
    if (derives && options->kept != CLM_F32) {
        CLM_TRY(clm_graph_halve(plan->graph, options->kept));
    }
    counts->held = plan->graph->node_count;
    CLM_TRY(clm_graph_fuse(plan->graph));
    counts->fused = plan->graph->node_count;
    CLM_TRY(check_kernels(plan->graph));
cleanup:
    return status;
}

static bool is_among(const char *const *names, const char *name) {
    for (size_t i = 0; names != NULL && names[i] != NULL; i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* What each tensor without a node is, or whose memory it is in. */
static clm_status find_storage(clm_plan *plan, const clm_plan_options *options) {
    const clm_graph *graph = plan->graph;
    for (uint32_t i = 1; i < graph->tensor_count; i++) {
        const clm_tensor_about *about = clm_graph_about(graph, i);
        if (about->kind == CLM_TENSOR_PARAMETER) {
            plan->stored[i] = clm_parameters_find(plan->parameters, about->name);
            if (plan->stored[i] == NULL) {
                return clm_fail(CLM_ERROR_NOT_FOUND, "the model has no parameter %s", about->name);
            }
        }
        plan->outside[i] =
            about->kind == CLM_TENSOR_STATE ||
            (about->kind == CLM_TENSOR_INPUT && is_among(options->bound, about->name));
    }
    for (uint32_t i = 0; i < graph->output_count; i++) {
        uint32_t tensor = graph->outputs[i].tensor;
        const clm_tensor_about *about = clm_graph_about(graph, tensor);
        while (about->kind == CLM_TENSOR_VALUE &&
               graph->nodes[about->node].operation == &clm_operation_reshape) {
            tensor = graph->nodes[about->node].inputs[0];
            about = clm_graph_about(graph, tensor);
        }
        plan->outside[tensor] =
            plan->outside[tensor] || is_among(options->bound, graph->outputs[i].name);
    }
    return CLM_OK;
}

static clm_place place_of(const clm_plan *plan, uint32_t tensor) {
    const clm_tensor_about *about = clm_graph_about(plan->graph, tensor);
    const clm_layout_tensor *at = &plan->layout.tensors[tensor];
    if (tensor == 0 || about->kind == CLM_TENSOR_SEED) {
        return (clm_place){0};
    }
    clm_place place = {.buffer = plan->parts[at->root],
                       .offset = at->first,
                       .width = at->width,
                       .stride = at->stride,
                       .storage = about->type};
    const clm_stored_parameter *stored = plan->stored[at->root];
    if (stored != NULL) {
        const clm_parameter_packing *packing =
            clm_parameter_columns(stored, (int64_t)at->first, (int64_t)at->width);
        place.buffer = about->kind == CLM_TENSOR_GRADIENT ? stored->gradient : stored->value;
        place.is_packed = packing != NULL;
        place.packed = packing != NULL ? packing->packed : NULL;
        place.storage = stored->storage;
    }
    return place;
}

static clm_device_call call_of(const clm_plan *plan, const clm_node *node) {
    clm_device_call call = {.device = plan->device, .node = node};
    for (int k = 0; k < CLM_NODE_INPUTS; k++) {
        call.in[k] = place_of(plan, node->inputs[k]);
        call.in_shape[k] = clm_node_shape(plan->graph, node, k);
        call.host_ids[k] = plan->host_ids[node->inputs[k]];
    }
    for (int k = 0; k < CLM_NODE_OUTPUTS; k++) {
        call.out[k] = place_of(plan, node->outputs[k]);
        call.out_shape[k] = &clm_graph_about(plan->graph, node->outputs[k])->shape;
    }
    return call;
}

/* A clm_layout_options.scratch_bytes of a plan. */
static size_t scratch_bytes_of(const void *context, uint32_t index) {
    const clm_plan *plan = context;
    const clm_node *node = &plan->graph->nodes[index];
    if (node->operation->scratch_bytes == NULL) {
        return 0;
    }
    const clm_device_call call = call_of(plan, node);
    return node->operation->scratch_bytes(&call);
}

static clm_status lay_out(clm_plan *plan, const clm_plan_options *options) {
    const clm_layout_options lay = {
        .alignment_bytes = clm_device_part_alignment_bytes(plan->device),
        .most_bytes = clm_device_get_info(plan->device)->max_allocation_size_bytes,
        .apart = options->apart,
        .outside = plan->outside,
        .scratch_bytes = scratch_bytes_of,
        .context = plan};
    return clm_layout_make(&plan->layout, plan->graph, &lay);
}

/* What no output needs is no input any more. */
static bool is_used(const clm_plan *plan, uint32_t root) {
    return plan->outside[root] || plan->layout.tensors[root].part.size_bytes > 0;
}

static clm_status find_slots(clm_plan *plan) {
    const clm_graph *graph = plan->graph;
    clm_status status = CLM_OK;
    size_t count = 0;
    for (int filling = 0; filling < 2; filling++) {
        for (uint32_t i = 1; i < graph->tensor_count; i++) {
            const bool is_input = clm_graph_about(graph, i)->kind == CLM_TENSOR_INPUT;
            if (plan->outside[i] || (is_input && is_used(plan, i))) {
                if (filling == 1) {
                    plan->slots[plan->slot_count++].tensor = i;
                }
                count++;
            }
        }
        if (filling == 0) {
            CLM_TRY(clm_allocate(&plan->slots, count, sizeof *plan->slots, "a plan"));
        }
    }
cleanup:
    return status;
}

static void release_parts(clm_workspace_user *user) {
    clm_plan *plan = (clm_plan *)(void *)user;
    for (uint32_t i = 1; plan->parts != NULL && i < plan->graph->tensor_count; i++) {
        if (plan->layout.tensors != NULL && plan->layout.tensors[i].part.size_bytes > 0) {
            clm_buffer_release(plan->parts[i]);
        }
        plan->parts[i] = NULL;
    }
    for (uint32_t i = 0; plan->scratch != NULL && i < plan->graph->node_count; i++) {
        clm_buffer_release(plan->scratch[i]);
        plan->scratch[i] = NULL;
    }
    plan->is_allocated = false;
}

clm_status clm_plan_make(clm_plan **plan, clm_workspace *workspace, const clm_graph *graph,
                         clm_parameters *parameters, const clm_plan_options *options) {
    *plan = NULL;
    clm_status status = CLM_OK;
    clm_plan *made = NULL;
    CLM_TRY(clm_allocate(&made, 1, sizeof *made, "a plan"));
    made->workspace = workspace;
    made->user.release_parts = release_parts;
    clm_workspace_join(workspace, &made->user);
    made->device = clm_workspace_device(workspace);
    made->parameters = parameters;
    made->poison = options->poison;
    CLM_TRY(transform(made, graph, options));
    const size_t count = made->graph->tensor_count;
    const size_t nodes = made->graph->node_count;
    CLM_TRY(clm_allocate(&made->outside, count, sizeof *made->outside, "a plan"));
    CLM_TRY(clm_allocate(&made->stored, count, sizeof *made->stored, "a plan"));
    CLM_TRY(clm_allocate(&made->parts, count, sizeof *made->parts, "a plan"));
    CLM_TRY(clm_allocate(&made->scratch, nodes, sizeof *made->scratch, "a plan"));
    CLM_TRY(clm_allocate(&made->host_ids, count, sizeof *made->host_ids, "a plan"));
    CLM_TRY(find_storage(made, options));
    CLM_TRY(lay_out(made, options));
    CLM_TRY(find_slots(made));
    *plan = made;
    made = NULL;
cleanup:
    clm_plan_free(made);
    return status;
}

void clm_plan_free(clm_plan *plan) {
    if (plan == NULL) {
        return;
    }
    release_parts(&plan->user);
    clm_workspace_leave(plan->workspace, &plan->user);
    clm_layout_free(&plan->layout);
    clm_graph_free(plan->graph);
    clm_free(plan->outside);
    clm_free((void *)plan->stored);
    clm_free((void *)plan->parts);
    clm_free((void *)plan->scratch);
    clm_free((void *)plan->host_ids);
    clm_free(plan->slots);
    clm_free(plan);
}

/* ---- executing ---- */

static clm_status make_part(const clm_plan *plan, clm_buffer **part, const clm_layout_part *at) {
    return at->size_bytes == 0
               ? CLM_OK
               : clm_buffer_create_part(part, clm_workspace_buffer(plan->workspace, at->buffer),
                                        at->offset_bytes, at->size_bytes, "a plan's tensor");
}

clm_status clm_plan_allocate(clm_plan *plan) {
    const clm_layout *layout = &plan->layout;
    clm_status status = CLM_OK;
    if (plan->is_allocated) {
        return CLM_OK;
    }
    CLM_TRY(clm_workspace_reserve(plan->workspace, layout->buffer_bytes, layout->buffer_count));
    for (uint32_t i = 1; i < plan->graph->tensor_count; i++) {
        CLM_TRY(make_part(plan, &plan->parts[i], &layout->tensors[i].part));
    }
    for (uint32_t i = 0; i < plan->graph->node_count; i++) {
        CLM_TRY(make_part(plan, &plan->scratch[i], &layout->scratch[i]));
    }
    plan->is_allocated = true;
cleanup:
    if (status != CLM_OK) {
        release_parts(&plan->user);
    }
    return status;
}

/* The slot of an input, a state, or an output in memory of the caller's; NULL: there is none. */
static clm_plan_slot *find_slot(const clm_plan *plan, const char *name) {
    const uint32_t output = clm_graph_find_output(plan->graph, name);
    clm_plan_slot *found = NULL;
    for (size_t i = 0; i < plan->slot_count; i++) {
        const uint32_t tensor = plan->slots[i].tensor;
        const clm_tensor_about *about = clm_graph_about(plan->graph, tensor);
        if ((about->kind == CLM_TENSOR_INPUT || about->kind == CLM_TENSOR_STATE) &&
            strcmp(about->name, name) == 0) {
            return &plan->slots[i];
        }
        if (output != 0 && tensor == plan->layout.tensors[output].root) {
            found = &plan->slots[i];
        }
    }
    return found;
}

static clm_status bind(clm_plan *plan, const clm_plan_binding *binding) {
    clm_plan_slot *slot = find_slot(plan, binding->name);
    if (slot == NULL) {
        return clm_graph_find_output(plan->graph, binding->name) == 0
                   ? CLM_OK
                   : clm_fail(CLM_ERROR_ARGUMENT,
                              "output \"%s\" is not one that the plan's options name as bound",
                              binding->name);
    }
    const uint32_t root = slot->tensor;
    const clm_tensor_about *about = clm_graph_about(plan->graph, root);
    const size_t size_bytes = (size_t)clm_shape_count(&about->shape) * clm_dtype_size(about->type);
    if (about->kind == CLM_TENSOR_STATE && binding->state != NULL) {
        slot->is_bound = true;
        return clm_state_lend(binding->state, about, &plan->parts[root]);
    }
    if (plan->outside[root]
            ? binding->buffer == NULL || clm_buffer_size_bytes(binding->buffer) < size_bytes
            : binding->host == NULL) {
        return clm_fail(CLM_ERROR_ARGUMENT, "\"%s\" needs %s", binding->name,
                        about->kind == CLM_TENSOR_STATE ? "a state"
                        : plan->outside[root]           ? "a buffer of its size"
                                                        : "host memory");
    }
    slot->is_bound = true;
    if (plan->outside[root]) {
        plan->parts[root] = binding->buffer;
        return CLM_OK;
    }
    plan->host_ids[root] = about->type == CLM_I32 ? binding->host : NULL;
    return clm_buffer_write(plan->parts[root], 0, binding->host, size_bytes);
}

static clm_status check_bound(const clm_plan *plan) {
    for (size_t i = 0; i < plan->slot_count; i++) {
        const clm_tensor_about *about = clm_graph_about(plan->graph, plan->slots[i].tensor);
        if (!plan->slots[i].is_bound) {
            return clm_fail(CLM_ERROR_ARGUMENT, "%s \"%s\" is not bound",
                            about->kind == CLM_TENSOR_STATE   ? "state"
                            : about->kind == CLM_TENSOR_INPUT ? "input"
                                                              : "output",
                            about->name != NULL ? about->name : "");
        }
    }
    return CLM_OK;
}

static clm_status enqueue_node(const clm_plan *plan, uint32_t index, float seed,
                               const clm_plan_watch *watch) {
    const clm_node *node = &plan->graph->nodes[index];
    clm_device_call call = call_of(plan, node);
    clm_status status = CLM_OK;
    call.seed = seed;
    call.scratch = plan->scratch[index];
    if (watch != NULL) {
        CLM_TRY(watch->before(watch->context, index, &call));
    }
    CLM_TRY(node->operation->enqueue(&call));
    if (watch != NULL) {
        CLM_TRY(watch->after(watch->context, index, &call));
    }
cleanup:
    return status;
}

static clm_status poison_part(const clm_plan *plan, const clm_layout_part *part) {
    return clm_buffer_poison(clm_workspace_buffer(plan->workspace, part->buffer),
                             part->offset_bytes, part->size_bytes);
}

static clm_status poison_all(const clm_plan *plan) {
    clm_status status = CLM_OK;
    for (size_t i = 0; status == CLM_OK && plan->poison && i < plan->layout.buffer_count; i++) {
        status = clm_buffer_poison(clm_workspace_buffer(plan->workspace, i), 0,
                                   plan->layout.buffer_bytes[i]);
    }
    return status;
}

/* What was used by this node for the last time. */
static clm_status poison_after(const clm_plan *plan, uint32_t index) {
    clm_status status = CLM_OK;
    for (uint32_t i = 1; status == CLM_OK && plan->poison && i < plan->graph->tensor_count; i++) {
        const clm_layout_part *part = &plan->layout.tensors[i].part;
        if (part->size_bytes > 0 && part->last == index) {
            status = poison_part(plan, part);
        }
    }
    if (status == CLM_OK && plan->poison && plan->layout.scratch[index].size_bytes > 0) {
        status = poison_part(plan, &plan->layout.scratch[index]);
    }
    return status;
}

clm_status clm_plan_enqueue(clm_plan *plan, const clm_plan_binding *bindings, size_t count,
                            float seed) {
    return clm_plan_enqueue_watched(plan, bindings, count, seed, NULL);
}

clm_status clm_plan_enqueue_watched(clm_plan *plan, const clm_plan_binding *bindings, size_t count,
                                    float seed, const clm_plan_watch *watch) {
    const clm_graph *graph = plan->graph;
    clm_status status = CLM_OK;
    CLM_TRY(clm_plan_allocate(plan));
    CLM_TRY(poison_all(plan));
    for (size_t i = 0; i < count; i++) {
        CLM_TRY(bind(plan, &bindings[i]));
    }
    CLM_TRY(check_bound(plan));
    for (uint32_t i = 0; i < graph->node_count; i++) {
        if (!clm_layout_is_view(&graph->nodes[i])) {
            CLM_TRY(enqueue_node(plan, i, seed, watch));
        }
        CLM_TRY(poison_after(plan, i));
    }
cleanup:
    for (size_t i = 0; i < plan->slot_count; i++) {
        const uint32_t root = plan->slots[i].tensor;
        plan->parts[root] = plan->outside[root] ? NULL : plan->parts[root];
        plan->slots[i].is_bound = false;
    }
    return status;
}

clm_buffer *clm_plan_output(const clm_plan *plan, const char *name) {
    const uint32_t tensor = clm_graph_find_output(plan->graph, name);
    return tensor != 0 ? plan->parts[plan->layout.tensors[tensor].root] : NULL;
}
