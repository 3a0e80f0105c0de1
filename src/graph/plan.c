/* SPDX-License-Identifier: Apache-2.0 */
#include "graph/plan.h"

#include <string.h>

#include "base/memory.h"
#include "graph/layout.h"
#include "graph/operations.h"
#include "graph/transform.h"

struct clm_plan {
    clm_device *device;
    clm_graph *graph;
    clm_layout layout;
    clm_buffer **workspace;   /* layout.buffer_count of them */
    clm_buffer **parts;       /* by tensor: where a root lies in them, or the parameter's */
    clm_buffer **scratch;     /* by node */
    clm_buffer **gradients;   /* by tensor of a parameter */
    const int32_t **host_ids; /* by tensor: what was bound last */
    bool poison;              /* as in the options */
};

const clm_graph *clm_plan_graph(const clm_plan *plan) {
    return plan->graph;
}

void clm_plan_memory(const clm_plan *plan, uint64_t *total_bytes, uint64_t *largest_bytes) {
    *total_bytes = 0;
    *largest_bytes = 0;
    for (size_t i = 0; i < plan->layout.buffer_count; i++) {
        const uint64_t size_bytes = plan->layout.buffer_bytes[i];
        *total_bytes += size_bytes;
        *largest_bytes = size_bytes > *largest_bytes ? size_bytes : *largest_bytes;
    }
}

/* ---- making ---- */

static uint32_t output_named(const clm_graph *graph, const char *name) {
    for (uint32_t i = 0; i < graph->output_count; i++) {
        if (strcmp(graph->outputs[i].name, name) == 0) {
            return graph->outputs[i].tensor;
        }
    }
    return 0;
}

static clm_status transform(clm_plan *plan, const clm_graph *graph,
                            const clm_plan_options *options) {
    clm_status status = CLM_OK;
    CLM_TRY(clm_graph_narrow(&plan->graph, graph));
    if (options->loss != NULL) {
        const uint32_t loss = output_named(plan->graph, options->loss);
        if (loss == 0) {
            status = clm_fail(CLM_ERROR_ARGUMENT, "the graph has no output \"%s\"", options->loss);
            goto cleanup;
        }
        CLM_TRY(clm_graph_derive(plan->graph, loss, options->trains, options->context));
    }
    CLM_TRY(clm_graph_prune(plan->graph));
    if (options->loss != NULL && options->recompute) {
        CLM_TRY(clm_graph_recompute(plan->graph));
    }
    if (options->loss != NULL && options->kept != CLM_F32) {
        CLM_TRY(clm_graph_halve(plan->graph, options->kept));
    }
    CLM_TRY(clm_graph_fuse(plan->graph));
    for (uint32_t i = 0; i < plan->graph->node_count; i++) {
        const clm_operation *operation = plan->graph->nodes[i].operation;
        if (operation->enqueue == NULL && !clm_layout_is_view(&plan->graph->nodes[i])) {
            status = clm_fail(CLM_ERROR_UNSUPPORTED, "%s has no kernels yet", operation->name);
            goto cleanup;
        }
    }
cleanup:
    return status;
}

/* A call without its buffers. */
static clm_device_call call_of(const clm_plan *plan, const clm_node *node) {
    clm_device_call call = {.device = plan->device, .node = node};
    for (int k = 0; k < CLM_NODE_INPUTS; k++) {
        call.in_shape[k] = clm_node_shape(plan->graph, node, k);
    }
    for (int k = 0; k < CLM_NODE_OUTPUTS; k++) {
        call.out_shape[k] = &clm_graph_about(plan->graph, node->outputs[k])->shape;
    }
    return call;
}

static clm_status lay_out(clm_plan *plan, const clm_plan_options *options) {
    const clm_graph *graph = plan->graph;
    clm_status status = CLM_OK;
    size_t *scratch_bytes = NULL;
    CLM_TRY(clm_allocate(&scratch_bytes, graph->node_count, sizeof *scratch_bytes, "a plan"));
    for (uint32_t i = 0; i < graph->node_count; i++) {
        const clm_operation *operation = graph->nodes[i].operation;
        if (operation->scratch_bytes != NULL) {
            const clm_device_call call = call_of(plan, &graph->nodes[i]);
            scratch_bytes[i] = operation->scratch_bytes(&call);
        }
    }
    const clm_layout_options lay = {
        .alignment_bytes = clm_device_part_alignment_bytes(plan->device),
        .most_bytes = clm_device_get_info(plan->device)->max_allocation_size_bytes,
        .apart = options->apart,
        .scratch_bytes = scratch_bytes};
    CLM_TRY(clm_layout_make(&plan->layout, graph, &lay));
cleanup:
    clm_free(scratch_bytes);
    return status;
}

clm_status clm_plan_make(clm_plan **plan, clm_device *device, const clm_graph *graph,
                         const clm_plan_options *options) {
    *plan = NULL;
    clm_status status = CLM_OK;
    clm_plan *made = NULL;
    CLM_TRY(clm_allocate(&made, 1, sizeof *made, "a plan"));
    made->device = device;
    made->poison = options->poison;
    CLM_TRY(transform(made, graph, options));
    const size_t count = made->graph->tensor_count;
    CLM_TRY(lay_out(made, options));
    CLM_TRY(clm_allocate(&made->parts, count, sizeof *made->parts, "a plan"));
    CLM_TRY(clm_allocate(&made->scratch, made->graph->node_count, sizeof *made->scratch, "a plan"));
    CLM_TRY(clm_allocate(&made->gradients, count, sizeof *made->gradients, "a plan"));
    CLM_TRY(clm_allocate(&made->host_ids, count, sizeof *made->host_ids, "a plan"));
    CLM_TRY(clm_allocate(&made->workspace, made->layout.buffer_count, sizeof *made->workspace,
                         "a plan"));
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
    for (uint32_t i = 1; plan->parts != NULL && i < plan->graph->tensor_count; i++) {
        const clm_tensor_kind kind = clm_graph_about(plan->graph, i)->kind;
        if (kind != CLM_TENSOR_PARAMETER && kind != CLM_TENSOR_STATE) {
            clm_buffer_release(plan->parts[i]);
        }
    }
    for (uint32_t i = 0; plan->scratch != NULL && i < plan->graph->node_count; i++) {
        clm_buffer_release(plan->scratch[i]);
    }
    for (size_t i = 0; plan->workspace != NULL && i < plan->layout.buffer_count; i++) {
        clm_buffer_release(plan->workspace[i]);
    }
    clm_layout_free(&plan->layout);
    clm_graph_free(plan->graph);
    clm_free(plan->parts);
    clm_free(plan->scratch);
    clm_free(plan->gradients);
    clm_free((void *)plan->host_ids);
    clm_free(plan->workspace);
    clm_free(plan);
}

static clm_status make_part(const clm_plan *plan, clm_buffer **part, const clm_layout_part *at) {
    return at->size_bytes == 0
               ? CLM_OK
               : clm_buffer_create_part(part, plan->workspace[at->buffer], at->offset_bytes,
                                        at->size_bytes, "a plan's tensor");
}

clm_status clm_plan_allocate(clm_plan *plan,
                             clm_status (*find)(void *context, const char *name,
                                                clm_plan_parameter *found),
                             void *context) {
    const clm_layout *layout = &plan->layout;
    clm_status status = CLM_OK;
    for (size_t i = 0; i < layout->buffer_count; i++) {
        CLM_TRY(clm_buffer_create(&plan->workspace[i], plan->device, layout->buffer_bytes[i],
                                  "a plan's workspace"));
    }
    for (uint32_t i = 1; i < plan->graph->tensor_count; i++) {
        const clm_tensor_about *about = clm_graph_about(plan->graph, i);
        const clm_layout_tensor *at = &layout->tensors[i];
        if (about->kind == CLM_TENSOR_PARAMETER) {
            clm_plan_parameter found = {0};
            CLM_TRY(find(context, about->name, &found));
            plan->parts[i] = found.value;
            plan->gradients[i] = found.gradient;
        } else if (at->root == i) {
            CLM_TRY(make_part(plan, &plan->parts[i], &at->part));
        }
    }
    for (uint32_t i = 0; i < plan->graph->node_count; i++) {
        CLM_TRY(make_part(plan, &plan->scratch[i], &layout->scratch[i]));
    }
cleanup:
    return status;
}

/* ---- executing ---- */

static clm_place place_of(const clm_plan *plan, uint32_t tensor) {
    const clm_tensor_about *about = clm_graph_about(plan->graph, tensor);
    const clm_layout_tensor *at = &plan->layout.tensors[tensor];
    if (tensor == 0 || about->kind == CLM_TENSOR_SEED) {
        return (clm_place){0};
    }
    return (clm_place){.buffer = about->kind == CLM_TENSOR_GRADIENT ? plan->gradients[at->root]
                                                                    : plan->parts[at->root],
                       .offset = at->first,
                       .width = at->width,
                       .stride = at->stride};
}

static clm_status bind(clm_plan *plan, const clm_plan_binding *binding) {
    for (uint32_t i = 1; i < plan->graph->tensor_count; i++) {
        const clm_tensor_about *about = clm_graph_about(plan->graph, i);
        if (about->kind == CLM_TENSOR_STATE && binding->state != NULL &&
            strcmp(about->name, binding->input) == 0) {
            return clm_state_lend(binding->state, about, &plan->parts[i]);
        }
        if (about->kind == CLM_TENSOR_INPUT && strcmp(about->name, binding->input) == 0) {
            plan->host_ids[i] = about->type == CLM_I32 ? binding->host : NULL;
            return clm_buffer_write(plan->parts[i], 0, binding->host,
                                    (size_t)clm_shape_count(&about->shape) * sizeof(float));
        }
    }
    return CLM_OK; /* what no output needs is no input any more */
}

static clm_status enqueue_node(const clm_plan *plan, uint32_t index, float seed) {
    const clm_node *node = &plan->graph->nodes[index];
    clm_device_call call = call_of(plan, node);
    call.seed = seed;
    call.scratch = plan->scratch[index];
    for (int k = 0; k < CLM_NODE_INPUTS; k++) {
        call.in[k] = place_of(plan, node->inputs[k]);
        call.host_ids[k] = plan->host_ids[node->inputs[k]];
    }
    for (int k = 0; k < CLM_NODE_OUTPUTS; k++) {
        call.out[k] = place_of(plan, node->outputs[k]);
    }
    return node->operation->enqueue(&call);
}

static clm_status poison_part(const clm_plan *plan, const clm_layout_part *part) {
    return clm_buffer_poison(plan->workspace[part->buffer], part->offset_bytes, part->size_bytes);
}

static clm_status poison_all(const clm_plan *plan) {
    clm_status status = CLM_OK;
    for (size_t i = 0; status == CLM_OK && plan->poison && i < plan->layout.buffer_count; i++) {
        status = clm_buffer_poison(plan->workspace[i], 0, plan->layout.buffer_bytes[i]);
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

static clm_status check_states(const clm_plan *plan) {
    for (uint32_t i = 1; i < plan->graph->tensor_count; i++) {
        const clm_tensor_about *about = clm_graph_about(plan->graph, i);
        if (about->kind == CLM_TENSOR_STATE && plan->parts[i] == NULL) {
            return clm_fail(CLM_ERROR_ARGUMENT, "state \"%s\" is not bound", about->name);
        }
    }
    return CLM_OK;
}

/* They are bound for one execution. */
static void forget_states(clm_plan *plan) {
    for (uint32_t i = 1; i < plan->graph->tensor_count; i++) {
        if (clm_graph_about(plan->graph, i)->kind == CLM_TENSOR_STATE) {
            plan->parts[i] = NULL;
        }
    }
}

clm_status clm_plan_enqueue(clm_plan *plan, const clm_plan_binding *bindings, size_t count,
                            float seed) {
    const clm_graph *graph = plan->graph;
    clm_status status = CLM_OK;
    CLM_TRY(poison_all(plan));
    for (size_t i = 0; i < count; i++) {
        CLM_TRY(bind(plan, &bindings[i]));
    }
    CLM_TRY(check_states(plan));
    for (uint32_t i = 0; i < graph->node_count; i++) {
        if (!clm_layout_is_view(&graph->nodes[i])) {
            CLM_TRY(enqueue_node(plan, i, seed));
        }
        CLM_TRY(poison_after(plan, i));
    }
cleanup:
    forget_states(plan);
    return status;
}

clm_buffer *clm_plan_output(const clm_plan *plan, const char *name) {
    const uint32_t tensor = output_named(plan->graph, name);
    return tensor != 0 ? plan->parts[plan->layout.tensors[tensor].root] : NULL;
}
