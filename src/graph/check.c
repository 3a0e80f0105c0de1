/* SPDX-License-Identifier: Apache-2.0 */
#include "graph/check.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/dtype.h"
#include "base/memory.h"
#include "reference/convert.h"

typedef struct checking {
    clm_plan_check *check;
    const clm_plan *plan;
    const clm_graph *graph;
    clm_device *device;
    const clm_explanation *explanation;
    double seed;
    /* Of the node that is being executed, as plain C takes them. */
    double *in[CLM_NODE_INPUTS];
    int32_t *ids[CLM_NODE_INPUTS];
    double *before[CLM_NODE_OUTPUTS]; /* of gradients, which are added to */
} checking;

static size_t count_of(const clm_graph *graph, uint32_t tensor) {
    return (size_t)clm_shape_count(&clm_graph_about(graph, tensor)->shape);
}

static void forget(checking *c) {
    for (int k = 0; k < CLM_NODE_INPUTS; k++) {
        clm_free(c->in[k]);
        clm_free(c->ids[k]);
        c->in[k] = NULL;
        c->ids[k] = NULL;
    }
    for (int k = 0; k < CLM_NODE_OUTPUTS; k++) {
        clm_free(c->before[k]);
        c->before[k] = NULL;
    }
}

/* ---- reading operands ---- */

/* Where element i of a tensor lies, in elements from the first one that is read. */
static size_t place_of_element(const clm_place *place, size_t i) {
    return i / place->width * place->stride + i % place->width;
}

/* As products read a weight that has 16 bits. */
static double as_stored(float value, clm_dtype storage) {
    return storage == CLM_F16 ? (double)clm_reference_f16_to_f32(clm_reference_f32_to_f16(value))
           : storage == CLM_BF16
               ? (double)clm_reference_bf16_to_f32(clm_reference_f32_to_bf16(value))
               : (double)value;
}

static clm_status read_packed(const checking *c, uint32_t tensor, const clm_place *place,
                              double *values) {
    const clm_stored_parameter *stored = clm_plan_parameter(c->plan, tensor);
    float *all = NULL;
    clm_status status = CLM_OK;
    CLM_TRY(clm_allocate(&all, stored->about->count, sizeof *all, "a parameter"));
    CLM_TRY(c->check->read(c->check->context, stored->about, all));
    for (size_t i = 0; i < count_of(c->graph, tensor); i++) {
        values[i] = as_stored(all[place->offset + place_of_element(place, i)], place->storage);
    }
cleanup:
    clm_free(all);
    return status;
}

static clm_status read_floats(const checking *c, uint32_t tensor, const clm_place *place,
                              double *values) {
    const size_t count = count_of(c->graph, tensor);
    const clm_dtype type = clm_graph_about(c->graph, tensor)->type;
    const size_t size = clm_dtype_size(type);
    const size_t span = place_of_element(place, count - 1) + 1;
    char *bytes = NULL;
    float *floats = NULL;
    clm_status status = CLM_OK;
    CLM_TRY(clm_allocate(&bytes, span, size, "a tensor"));
    CLM_TRY(clm_allocate(&floats, span, sizeof *floats, "a tensor"));
    CLM_TRY(clm_buffer_read(place->buffer, place->offset * size, bytes, span * size));
    CLM_TRY(clm_dtype_to_float(floats, bytes, type, span));
    for (size_t i = 0; i < count; i++) {
        values[i] = (double)floats[place_of_element(place, i)];
    }
cleanup:
    clm_free(bytes);
    clm_free(floats);
    return status;
}

/* The values of a tensor on the device, through *values, for the caller to free. */
static clm_status read_tensor(const checking *c, uint32_t tensor, const clm_place *place,
                              double **values) {
    clm_status status = CLM_OK;
    CLM_TRY(clm_allocate(values, count_of(c->graph, tensor), sizeof **values, "a tensor"));
    if (clm_graph_about(c->graph, tensor)->kind == CLM_TENSOR_SEED) {
        for (size_t i = 0; i < count_of(c->graph, tensor); i++) {
            (*values)[i] = c->seed;
        }
    } else if (place->is_packed) {
        CLM_TRY(read_packed(c, tensor, place, *values));
    } else {
        CLM_TRY(read_floats(c, tensor, place, *values));
    }
cleanup:
    return status;
}

static clm_status before_node(void *context, uint32_t index, const clm_device_call *call) {
    checking *c = context;
    const clm_node *node = &c->graph->nodes[index];
    const char *names[1];
    clm_status status = CLM_OK;
    forget(c);
    for (int k = 0; k < CLM_NODE_INPUTS; k++) {
        const uint32_t in = node->inputs[k];
        if (in != 0 && clm_graph_about(c->graph, in)->type == CLM_I32) {
            const size_t count = count_of(c->graph, in);
            CLM_TRY(clm_allocate(&c->ids[k], count, sizeof *c->ids[k], "ids"));
            CLM_TRY(clm_buffer_read(call->in[k].buffer, call->in[k].offset * sizeof **c->ids,
                                    c->ids[k], count * sizeof **c->ids));
        } else if (in != 0) {
            CLM_TRY(read_tensor(c, in, &call->in[k], &c->in[k]));
        }
    }
    for (int k = 0; k < CLM_NODE_OUTPUTS; k++) {
        const uint32_t out = node->outputs[k];
        if (out != 0 && clm_graph_about(c->graph, out)->kind == CLM_TENSOR_GRADIENT) {
            CLM_TRY(read_tensor(c, out, &call->out[k], &c->before[k]));
        }
    }
    (void)clm_device_launched(c->device, names, 1);
cleanup:
    return status;
}

/* ---- comparing ---- */

static double largest_of(const double *values, size_t count) {
    double largest = 0.0;
    for (size_t i = 0; values != NULL && i < count; i++) {
        largest = fabs(values[i]) > largest ? fabs(values[i]) : largest;
    }
    return largest;
}

/* Products may compute in halves where a weight is F16. */
static double share_of(const clm_node *node, const clm_device_call *call) {
    double share = CLM_CHECK_SHARE;
    for (int k = 0; k < CLM_NODE_INPUTS; k++) {
        if (node->inputs[k] != 0 && call->in[k].is_packed && call->in[k].storage == CLM_F16) {
            share = CLM_CHECK_SHARE_OF_HALVES;
        }
    }
    return share;
}

/* "[0,3,5]" */
static void add_element(clm_string *text, const clm_shape *shape, size_t element) {
    int64_t at[CLM_TENSOR_RANK_MOST] = {0};
    for (int i = shape->rank; i > 0; i--) {
        at[i - 1] = (int64_t)(element % (size_t)shape->size[i - 1]);
        element /= (size_t)shape->size[i - 1];
    }
    for (int i = 0; i < shape->rank; i++) {
        clm_string_add_format(text, "%s%" PRId64, i > 0 ? "," : "[", at[i]);
    }
    clm_string_add(text, "]");
}

static clm_status fail(const checking *c, uint32_t index, int output, size_t element, double got,
                       double expected, double bound) {
    const clm_node *node = &c->graph->nodes[index];
    const char *kernels[CLM_EXPLAINED_KERNELS];
    const size_t count = clm_device_launched(c->device, kernels, CLM_EXPLAINED_KERNELS);
    const char *name = clm_explained_name(c->explanation, index);
    clm_string text = {0};
    clm_string_add_format(&text, "%s%s%s: %s", name, name[0] != '\0' ? " " : "",
                          node->operation->name, node->operation->outputs[output]);
    add_element(&text, &clm_graph_about(c->graph, node->outputs[output])->shape, element);
    clm_string_add_format(&text, " is %.7g instead of %.7g, more than %.2g apart; kernels:", got,
                          expected, bound);
    for (size_t i = 0; i < count; i++) {
        clm_string_add_format(&text, " %s", kernels[i]);
    }
    clm_status status = clm_string_status(&text);
    if (status == CLM_OK) {
        status = clm_fail(CLM_ERROR_DEVICE_WRONG, "operation %" PRIu32 ", %s", index, text.text);
    }
    clm_string_free(&text);
    return status;
}

static clm_status compare(checking *c, uint32_t index, int output, const double *got,
                          const double *expected, double bound) {
    const size_t count = count_of(c->graph, c->graph->nodes[index].outputs[output]);
    for (size_t i = 0; i < count; i++) {
        const double difference = fabs(got[i] - expected[i]);
        const bool same = got[i] == expected[i] || (isnan(got[i]) && isnan(expected[i]));
        if (!same && !(difference <= bound)) {
            return fail(c, index, output, i, got[i], expected[i], bound);
        }
        if (!same && difference / bound > c->check->largest) {
            c->check->largest = difference / bound;
            c->check->largest_in = index;
        }
    }
    c->check->elements += count;
    return CLM_OK;
}

static clm_status check_output(checking *c, uint32_t index, int k, const clm_device_call *call,
                               double *expected) {
    const clm_node *node = &c->graph->nodes[index];
    const size_t count = count_of(c->graph, node->outputs[k]);
    const double first =
        c->in[0] != NULL ? largest_of(c->in[0], count_of(c->graph, node->inputs[0])) : 0.0;
    double *got = NULL;
    clm_status status = CLM_OK;
    for (size_t i = 0; c->before[k] != NULL && i < count; i++) {
        expected[i] += c->before[k][i];
    }
    CLM_TRY(read_tensor(c, node->outputs[k], &call->out[k], &got));
    CLM_TRY(compare(c, index, k, got, expected,
                    share_of(node, call) * fmax(largest_of(expected, count), first)));
cleanup:
    clm_free(got);
    return status;
}

static clm_status after_node(void *context, uint32_t index, const clm_device_call *call) {
    checking *c = context;
    const clm_node *node = &c->graph->nodes[index];
    clm_reference_call reference = {.node = node};
    double *expected[CLM_NODE_OUTPUTS] = {NULL};
    clm_status status = CLM_OK;
    for (int k = 0; k < CLM_NODE_INPUTS; k++) {
        reference.in[k] = c->in[k];
        reference.ids[k] = c->ids[k];
        reference.in_shape[k] = call->in_shape[k];
    }
    for (int k = 0; k < CLM_NODE_OUTPUTS; k++) {
        if (node->outputs[k] != 0) {
            CLM_TRY(clm_allocate(&expected[k], count_of(c->graph, node->outputs[k]),
                                 sizeof *expected[k], "a tensor"));
            reference.out[k] = expected[k];
            reference.out_shape[k] = call->out_shape[k];
        }
    }
    node->operation->reference(&reference);
    for (int k = 0; k < CLM_NODE_OUTPUTS; k++) {
        if (node->outputs[k] != 0) {
            CLM_TRY(check_output(c, index, k, call, expected[k]));
        }
    }
    c->check->operations++;
cleanup:
    for (int k = 0; k < CLM_NODE_OUTPUTS; k++) {
        clm_free(expected[k]);
    }
    return status;
}

clm_status clm_plan_check_run(clm_plan_check *check, clm_plan *plan, clm_device *device,
                              const clm_explanation *explanation, const clm_plan_binding *bindings,
                              size_t count, float seed) {
    checking c = {.check = check,
                  .plan = plan,
                  .graph = clm_plan_graph(plan),
                  .device = device,
                  .explanation = explanation,
                  .seed = (double)seed};
    const clm_plan_watch watch = {.before = before_node, .after = after_node, .context = &c};
    check->operations = 0;
    check->elements = 0;
    check->largest = 0.0;
    check->largest_in = 0;
    const clm_status status = clm_plan_enqueue_watched(plan, bindings, count, seed, &watch);
    forget(&c);
    return status;
}
