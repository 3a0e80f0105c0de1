/* Plans: graphs laid out in a device's memory, which can be enqueued any number of times.
 *
 * A plan is made for the shapes of its graph. Making it narrows the description, derives its
 * backward pass, drops unused nodes, saves memory on what the backward pass reads, and fuses tails
 * (graph/transform.h), then places the tensors in as little memory as those that are live at the
 * same time need. Nothing is allocated before clm_plan_allocate(), but the size is known before.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_GRAPH_PLAN_H
#define CLM_GRAPH_PLAN_H

#include "device/device.h"
#include "graph/derive.h"
#include "graph/state.h"

typedef struct clm_plan clm_plan;

typedef struct clm_plan_options {
    const char *loss;   /* the output that is derived; NULL: a forward pass */
    clm_trains *trains; /* with a loss: what is trained */
    void *context;      /* of `trains` */
    /* With a loss: less memory, see graph/transform.h. */
    bool recompute; /* the backward pass runs segments again */
    clm_dtype kept; /* how it finds what is kept: CLM_F32, CLM_F16, CLM_BF16 */
    /* For tests. */
    bool apart;  /* each tensor has its own memory: so that overruns are found */
    bool poison; /* memory that nothing uses is NaN: so that what reads it is found */
} clm_plan_options;

/* A parameter's buffers, lent: they outlive the plan. */
typedef struct clm_plan_parameter {
    clm_buffer *value;
    clm_buffer *gradient; /* NULL when it is not trained */
} clm_plan_parameter;

/* The plan of a description for a device, through *plan, which does not refer to `graph`
 * afterwards. CLM_ERROR_UNSUPPORTED for operations without kernels, or without kernels for the
 * layout of their tensors. */
clm_status clm_plan_make(clm_plan **plan, clm_device *device, const clm_graph *graph,
                         const clm_plan_options *options);
void clm_plan_free(clm_plan *plan); /* NULL is fine */

/* The graph as it is executed; lent. */
const clm_graph *clm_plan_graph(const clm_plan *plan);

/* What clm_plan_allocate() allocates: all of it, and the largest buffer. */
void clm_plan_memory(const clm_plan *plan, uint64_t *total_bytes, uint64_t *largest_bytes);

/* Binds parameters, by calling `find` for each name in the graph, and allocates. */
clm_status clm_plan_allocate(clm_plan *plan,
                             clm_status (*find)(void *context, const char *name,
                                                clm_plan_parameter *found),
                             void *context);

/* An input's elements, in host memory. They must stay until the device has finished when the input
 * is tokens whose embedding is trained; else they are copied before the call returns. */
typedef struct clm_plan_binding {
    const char *input;
    const void *host;
    clm_state *state; /* of a slot for one, instead; borrowed until the device has finished */
} clm_plan_binding;

/* Enqueues all operations; does not wait. Gradients of trained parameters are added to, times the
 * seed. CLM_ERROR_ARGUMENT for a state that is not bound. After a failure, what states hold is
 * undefined. */
clm_status clm_plan_enqueue(clm_plan *plan, const clm_plan_binding *bindings, size_t count,
                            float seed);

/* An output's buffer; lent until the plan is freed, its contents until it is enqueued again. NULL:
 * there is none of that name. */
clm_buffer *clm_plan_output(const clm_plan *plan, const char *name);

#endif
