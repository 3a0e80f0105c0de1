/* SPDX-License-Identifier: Apache-2.0 */
#include "graph/explain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "graph/operations.h"
#include "graph/restore.h"

typedef struct explaining {
    const clm_plan *plan;
    const clm_graph *graph;
    const clm_layout *layout;
    clm_explanation *explanation;
    uint32_t *segments; /* by tensor: that of a parameter or value; UNKNOWN for gradients */
    const char **marks; /* by segment: its name */
    uint32_t segment_count;
    size_t section_capacity;
} explaining;

#define UNKNOWN UINT32_MAX

const char *clm_note_name(int i) {
    static const char *const names[CLM_NOTE_COUNT] = {
        "view",  "in-place",          "bias",
        "gelu",  "residual",          "picked-rows",
        "again", "kept-for-gradient", "kept-in-16-bits",
        "adds"};
    return i >= 0 && i < CLM_NOTE_COUNT ? names[i] : "?";
}

/* ---- names ---- */

/* The parameter that a tensor is, is columns of, or is the gradient of; 0: none. */
static uint32_t parameter_of(const explaining *e, uint32_t tensor) {
    const uint32_t root = e->layout->tensors[tensor].root;
    return clm_graph_about(e->graph, root)->kind == CLM_TENSOR_PARAMETER ? root : 0;
}

static uint32_t parameter_of_node(const explaining *e, const clm_node *node) {
    uint32_t found = 0;
    for (int k = 0; k < CLM_NODE_INPUTS && found == 0; k++) {
        found = parameter_of(e, node->inputs[k]);
    }
    for (int k = 0; k < CLM_NODE_OUTPUTS && found == 0; k++) {
        found = parameter_of(e, node->outputs[k]);
    }
    return found;
}

/* "h.0.ln_1" of "h.0.ln_1.weight". */
static void name_node(const explaining *e, const clm_node *node, char name[CLM_EXPLAINED_NAME]) {
    const uint32_t parameter = parameter_of_node(e, node);
    if (parameter != 0) {
        const char *full = clm_graph_about(e->graph, parameter)->name;
        const char *dot = strrchr(full, '.');
        const size_t length = dot != NULL ? (size_t)(dot - full) : strlen(full);
        (void)snprintf(name, CLM_EXPLAINED_NAME, "%.*s", (int)length, full);
    }
}

static const char *output_name(const clm_graph *graph, uint32_t tensor) {
    for (uint32_t i = 0; i < graph->output_count; i++) {
        if (graph->outputs[i].tensor == tensor) {
            return graph->outputs[i].name;
        }
    }
    return NULL;
}

static void name_tensor(const explaining *e, uint32_t tensor, char name[CLM_EXPLAINED_NAME]) {
    const clm_tensor_about *about = clm_graph_about(e->graph, tensor);
    const char *known =
        about->kind != CLM_TENSOR_VALUE ? about->name : output_name(e->graph, tensor);
    char of[CLM_EXPLAINED_NAME] = "";
    if (known != NULL || about->kind != CLM_TENSOR_VALUE) {
        (void)snprintf(name, CLM_EXPLAINED_NAME, "%s", known != NULL ? known : "");
        return;
    }
    const clm_node *node = &e->graph->nodes[about->node];
    const uint32_t segment = e->segments[tensor];
    name_node(e, node, of);
    if (of[0] == '\0' && segment != UNKNOWN) {
        (void)snprintf(of, sizeof of, "%s", e->marks[segment]);
    }
    for (int k = 0; k < CLM_NODE_OUTPUTS; k++) {
        if (node->outputs[k] == tensor) {
            (void)snprintf(name, CLM_EXPLAINED_NAME, "%.60s%s%.20s %.10s", of,
                           of[0] != '\0' ? " " : "", node->operation->name,
                           node->operation->outputs[k]);
        }
    }
}

/* ---- sections ---- */

/* The segment in which a tensor is read: that which it begins, if it is marked. Segments of the
 * forward pass come from marks; a parameter has that of its first reader. */
static void find_segments(explaining *e) {
    const clm_graph *graph = e->graph;
    uint32_t now = 0;
    for (uint32_t i = 0; i < graph->tensor_count; i++) {
        e->segments[i] = UNKNOWN;
    }
    e->marks[0] = "";
    for (uint32_t i = 0; i < graph->node_count && i < e->explanation->backward; i++) {
        const clm_node *node = &graph->nodes[i];
        const char *mark = NULL;
        for (int k = 0; k < CLM_NODE_INPUTS; k++) {
            const uint32_t parameter = parameter_of(e, node->inputs[k]);
            if (parameter != 0 && e->segments[parameter] == UNKNOWN) {
                e->segments[parameter] = now;
            }
        }
        for (int k = 0; k < CLM_NODE_OUTPUTS; k++) {
            const char *name = clm_graph_about(graph, node->outputs[k])->name;
            mark = node->outputs[k] != 0 && name != NULL ? name : mark;
            e->segments[node->outputs[k]] = now + (mark != NULL);
        }
        if (mark != NULL) {
            e->marks[++now] = mark;
        }
    }
    e->segments[0] = UNKNOWN;
    e->segment_count = now + 1;
}

/* A node of the backward pass belongs to the last segment of which it reads anything; if it reads
 * gradients alone, where the one before did. */
static uint32_t segment_of_backward(const explaining *e, const clm_node *node, uint32_t before) {
    uint32_t found = UNKNOWN;
    for (int k = 0; k < CLM_NODE_INPUTS; k++) {
        const uint32_t in = node->inputs[k];
        const uint32_t parameter = parameter_of(e, in);
        const uint32_t segment = e->segments[parameter != 0 ? parameter : in];
        if (segment != UNKNOWN && (found == UNKNOWN || segment > found)) {
            found = segment;
        }
    }
    return found == UNKNOWN ? before : found;
}

static clm_status add_section(explaining *e, size_t index, const char *name, bool backward) {
    clm_explanation *x = e->explanation;
    const clm_status status = clm_reserve(&x->sections, &e->section_capacity, x->section_count + 1,
                                          sizeof *x->sections, "an explanation");
    if (status == CLM_OK) {
        clm_explained_section *section = &x->sections[x->section_count];
        *section =
            (clm_explained_section){.backward = backward, .first = index, .like = x->section_count};
        (void)snprintf(section->name, sizeof section->name, "%s", name);
        x->section_count++;
    }
    return status;
}

static clm_status find_sections(explaining *e) {
    clm_explanation *x = e->explanation;
    uint32_t now = UNKNOWN;
    uint32_t forward = 0;
    clm_status status = CLM_OK;
    for (uint32_t i = 0; i < e->graph->node_count; i++) {
        const clm_node *node = &e->graph->nodes[i];
        const bool backward = i >= x->backward;
        const uint32_t before = i == x->backward ? UNKNOWN : now;
        uint32_t segment = backward ? segment_of_backward(e, node, before) : forward;
        segment = segment == UNKNOWN ? e->segment_count - 1 : segment;
        if (i == 0 || i == x->backward || segment != now) {
            CLM_TRY(add_section(e, i, e->marks[segment], backward));
        }
        now = segment;
        for (int k = 0; k < CLM_NODE_OUTPUTS && node->outputs[k] != 0; k++) {
            const bool again = backward && (node->notes & CLM_NODE_AGAIN) != 0;
            forward = backward ? forward : e->segments[node->outputs[k]];
            if (again) {
                e->segments[node->outputs[k]] = segment;
            }
        }
        x->operations[i].section = x->section_count - 1;
        x->sections[x->section_count - 1].count++;
    }
cleanup:
    return status;
}

static bool same_operation(const clm_explained_operation *a, const clm_explained_operation *b) {
    return a->operation == b->operation && clm_shape_equal(&a->in, &b->in) &&
           clm_shape_equal(&a->out, &b->out) && a->read_bytes == b->read_bytes &&
           a->written_bytes == b->written_bytes && a->flops == b->flops &&
           a->scratch_bytes == b->scratch_bytes && a->notes == b->notes;
}

static void find_repeats(clm_explanation *x) {
    for (size_t i = 0; i < x->section_count; i++) {
        clm_explained_section *section = &x->sections[i];
        for (size_t other = 0; other < i && section->like == i; other++) {
            const clm_explained_section *first = &x->sections[other];
            bool same = first->count == section->count && first->backward == section->backward;
            for (size_t k = 0; k < section->count && same; k++) {
                same = same_operation(&x->operations[first->first + k],
                                      &x->operations[section->first + k]);
            }
            section->like = same ? other : i;
        }
    }
}

/* ---- operations ---- */

static uint64_t bytes_of(const explaining *e, uint32_t tensor) {
    const clm_tensor_about *about = clm_graph_about(e->graph, tensor);
    const clm_stored_parameter *stored = clm_plan_parameter(e->plan, tensor);
    const bool packed = stored != NULL && stored->is_packed && about->kind != CLM_TENSOR_GRADIENT;
    return (uint64_t)clm_shape_count(&about->shape) *
           clm_dtype_size(packed ? stored->storage : about->type);
}

/* Rows that ids name are no more than what they become, or what becomes of them. */
static void count_bytes(const explaining *e, const clm_node *node, clm_explained_operation *o) {
    const bool from_ids = (node->operation->integers & 1U) != 0;
    const uint64_t rows = bytes_of(
        e, from_ids || (node->operation->looked_up & 1U) != 0 ? node->outputs[0] : node->inputs[0]);
    for (int k = 0; k < CLM_NODE_INPUTS; k++) {
        const bool is_seed = clm_graph_about(e->graph, node->inputs[k])->kind == CLM_TENSOR_SEED;
        if (node->inputs[k] != 0 && !is_seed) {
            const uint64_t all = bytes_of(e, node->inputs[k]);
            const bool some = (node->operation->looked_up >> k & 1U) != 0;
            o->read_bytes += some && rows < all ? rows : all;
        }
    }
    for (int k = 0; k < CLM_NODE_OUTPUTS; k++) {
        if (node->outputs[k] != 0) {
            const uint64_t all = bytes_of(e, node->outputs[k]);
            const bool some = (node->operation->looked_up_outputs >> k & 1U) != 0;
            const uint64_t bytes = some && rows < all ? rows : all;
            o->written_bytes += bytes;
            if (clm_graph_about(e->graph, node->outputs[k])->kind == CLM_TENSOR_GRADIENT) {
                o->read_bytes += bytes;
                o->notes |= CLM_NOTE_ADDS;
            }
        }
    }
}

static uint64_t flops_of(const explaining *e, const clm_node *node) {
    const clm_operation *operation = node->operation;
    const bool from_ids = (operation->integers & 1U) != 0;
    const uint32_t each = from_ids ? node->outputs[0] : node->inputs[0];
    return operation->flops != NULL
               ? operation->flops(e->graph, node)
               : operation->flops_each *
                     (uint64_t)clm_shape_count(&clm_graph_about(e->graph, each)->shape);
}

static void note_fusion(const clm_node *node, clm_explained_operation *o) {
    if (node->operation == &clm_operation_linear) {
        o->notes |= node->inputs[2] != 0 ? CLM_NOTE_BIAS : 0U;
        o->notes |= node->with.linear.gelu ? CLM_NOTE_GELU : 0U;
        o->notes |= node->inputs[3] != 0 ? CLM_NOTE_RESIDUAL : 0U;
    }
}

/* Its result lies where an input did that is no view of it. */
static bool is_in_place(const explaining *e, const clm_node *node) {
    const uint32_t root = e->layout->tensors[node->outputs[0]].root;
    for (int k = 0; k < CLM_NODE_INPUTS; k++) {
        if ((node->operation->overwrites >> k & 1U) != 0 && node->inputs[k] != 0 &&
            e->layout->tensors[node->inputs[k]].root == root) {
            return true;
        }
    }
    return node->operation->writes_state;
}

static void explain_node(const explaining *e, uint32_t index) {
    const clm_node *node = &e->graph->nodes[index];
    clm_explained_operation *o = &e->explanation->operations[index];
    size_t dropped = 0;
    o->operation = node->operation->name;
    name_node(e, node, o->name);
    o->in = *clm_node_shape(e->graph, node, 0);
    for (int k = CLM_NODE_OUTPUTS - 1; k >= 0; k--) {
        if (node->outputs[k] != 0) {
            o->out = clm_graph_about(e->graph, node->outputs[k])->shape;
        }
    }
    o->notes |= (node->notes & CLM_NODE_PICKED) != 0 ? CLM_NOTE_PICKED : 0U;
    o->notes |= (node->notes & CLM_NODE_AGAIN) != 0 ? CLM_NOTE_AGAIN : 0U;
    if (clm_layout_is_view(node)) {
        o->notes |= CLM_NOTE_VIEW;
        return;
    }
    count_bytes(e, node, o);
    o->flops = flops_of(e, node);
    o->scratch_bytes = e->layout->scratch[index].size_bytes;
    o->notes |= is_in_place(e, node) ? CLM_NOTE_IN_PLACE : 0U;
    note_fusion(node, o);
    for (int k = 0; k < CLM_NODE_OUTPUTS && node->operation->outputs[k] != NULL; k++) {
        /* A linear has a second output only for what is fused. */
        if (node->outputs[k] == 0 && (k == 0 || node->operation != &clm_operation_linear)) {
            o->dropped[dropped++] = node->operation->outputs[k];
        }
    }
}

/* Results of the forward pass that nodes of the backward pass read. */
static void note_kept(const explaining *e) {
    clm_explanation *x = e->explanation;
    for (size_t i = x->backward; i < x->operation_count; i++) {
        for (int k = 0; k < CLM_NODE_INPUTS; k++) {
            const uint32_t base = clm_graph_base(e->graph, e->graph->nodes[i].inputs[k]);
            const clm_tensor_about *about = clm_graph_about(e->graph, base);
            if (about->kind == CLM_TENSOR_VALUE && about->node < x->backward) {
                x->operations[about->node].notes |=
                    about->type == CLM_F32 ? CLM_NOTE_KEPT : CLM_NOTE_KEPT_16;
            }
        }
    }
}

/* ---- memory ---- */

static int compare_tensors(const void *a, const void *b) {
    const clm_explained_tensor *left = a;
    const clm_explained_tensor *right = b;
    if (left->size_bytes != right->size_bytes) {
        return left->size_bytes < right->size_bytes ? 1 : -1;
    }
    return left->from < right->from ? -1 : left->from > right->from;
}

static size_t first_use(const explaining *e, uint32_t root) {
    if (clm_graph_about(e->graph, root)->kind == CLM_TENSOR_INPUT) {
        return 0;
    }
    for (uint32_t i = 0; i < e->graph->node_count; i++) {
        for (int k = 0; k < CLM_NODE_OUTPUTS; k++) {
            const uint32_t out = e->graph->nodes[i].outputs[k];
            if (out != 0 && e->layout->tensors[out].root == root) {
                return i;
            }
        }
    }
    return 0;
}

static clm_status explain_memory(const explaining *e) {
    clm_explanation *x = e->explanation;
    clm_status status = CLM_OK;
    clm_plan_memory(e->plan, &x->workspace_bytes, &x->largest_bytes);
    CLM_TRY(
        clm_allocate(&x->tensors, e->graph->tensor_count, sizeof *x->tensors, "an explanation"));
    for (uint32_t i = 1; i < e->graph->tensor_count; i++) {
        const clm_layout_part *part = &e->layout->tensors[i].part;
        if (part->size_bytes > 0) {
            const clm_tensor_about *about = clm_graph_about(e->graph, i);
            clm_explained_tensor *tensor = &x->tensors[x->tensor_count++];
            *tensor = (clm_explained_tensor){.shape = about->shape,
                                             .type = about->type,
                                             .size_bytes = part->size_bytes,
                                             .from = first_use(e, i),
                                             .until = part->last};
            name_tensor(e, i, tensor->name);
            if (tensor->from < x->backward && tensor->until >= x->backward &&
                x->backward < x->operation_count) {
                x->kept_bytes += tensor->size_bytes;
            }
            for (size_t k = tensor->from; k <= tensor->until && k < x->operation_count; k++) {
                x->operations[k].live_bytes += tensor->size_bytes;
            }
        }
    }
    for (size_t i = 0; i < x->operation_count; i++) {
        clm_explained_operation *o = &x->operations[i];
        o->live_bytes += o->scratch_bytes;
        x->peak_bytes = o->live_bytes > x->peak_bytes ? o->live_bytes : x->peak_bytes;
        x->read_bytes += o->read_bytes;
        x->written_bytes += o->written_bytes;
        x->flops += o->flops;
    }
    qsort(x->tensors, x->tensor_count, sizeof *x->tensors, compare_tensors);
cleanup:
    return status;
}

clm_status clm_plan_explain(clm_explanation *explanation, const clm_plan *plan) {
    const clm_graph *graph = clm_plan_graph(plan);
    explaining e = {
        .plan = plan, .graph = graph, .layout = clm_plan_layout(plan), .explanation = explanation};
    clm_status status = CLM_OK;
    *explanation = (clm_explanation){.operation_count = graph->node_count,
                                     .counts = *clm_plan_get_counts(plan)};
    /* Without a backward pass nothing was derived, and no node begins it. */
    explanation->backward = graph->backward > 0 ? graph->backward : graph->node_count;
    CLM_TRY(clm_allocate(&explanation->operations, graph->node_count,
                         sizeof *explanation->operations, "an explanation"));
    CLM_TRY(clm_allocate(&e.segments, graph->tensor_count, sizeof *e.segments, "an explanation"));
    CLM_TRY(
        clm_allocate(&e.marks, (size_t)graph->node_count + 1, sizeof *e.marks, "an explanation"));
    for (uint32_t i = 0; i < graph->node_count; i++) {
        explain_node(&e, i);
    }
    note_kept(&e);
    find_segments(&e);
    CLM_TRY(find_sections(&e));
    CLM_TRY(explain_memory(&e));
    find_repeats(explanation);
cleanup:
    clm_free(e.segments);
    clm_free((void *)e.marks);
    return status;
}

void clm_explanation_free(clm_explanation *explanation) {
    clm_free(explanation->operations);
    clm_free(explanation->sections);
    clm_free(explanation->tensors);
    *explanation = (clm_explanation){0};
}

const char *clm_explained_name(const clm_explanation *explanation, size_t index) {
    const clm_explained_operation *o = &explanation->operations[index];
    return o->name[0] != '\0' ? o->name : explanation->sections[o->section].name;
}

/* ---- kernels and times ---- */

typedef struct profiling {
    clm_device *device;
    clm_explanation *explanation;
} profiling;

static clm_status begin_operation(void *context, uint32_t node, const clm_device_call *call) {
    const profiling *p = context;
    const char *names[1];
    (void)node;
    (void)call;
    (void)clm_device_launched(p->device, names, 1);
    return CLM_OK;
}

static clm_status end_operation(void *context, uint32_t node, const clm_device_call *call) {
    const profiling *p = context;
    clm_explained_operation *o = &p->explanation->operations[node];
    clm_kernel_time *times = NULL;
    size_t count = 0;
    clm_status status = CLM_OK;
    (void)call;
    o->kernel_count = clm_device_launched(p->device, o->kernels, CLM_EXPLAINED_KERNELS);
    CLM_TRY(clm_device_profile(p->device, &times, &count));
    o->seconds = 0.0;
    for (size_t i = 0; i < count; i++) {
        o->seconds += times[i].seconds;
    }
cleanup:
    clm_kernel_times_free(times);
    return status;
}

clm_status clm_plan_profile(clm_explanation *explanation, clm_plan *plan, clm_device *device,
                            const clm_plan_binding *bindings, size_t count, float seed) {
    profiling p = {.device = device, .explanation = explanation};
    const clm_plan_watch watch = {.before = begin_operation, .after = end_operation, .context = &p};
    clm_kernel_time *times = NULL;
    size_t ignored = 0;
    clm_status status = CLM_OK;
    CLM_TRY(clm_plan_enqueue(plan, bindings, count, seed));
    CLM_TRY(clm_device_profile(device, &times, &ignored));
    CLM_TRY(clm_plan_enqueue_watched(plan, bindings, count, seed, &watch));
    explanation->seconds = 0.0;
    for (size_t i = 0; i < explanation->operation_count; i++) {
        explanation->seconds += explanation->operations[i].seconds;
    }
    explanation->has_run = true;
cleanup:
    clm_kernel_times_free(times);
    return status;
}
