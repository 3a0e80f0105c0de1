/* Plans: graphs laid out in a device's memory, which can be executed any number of times.
 *
 * A plan is made for the shapes of its graph. Making it narrows the description, derives its
 * backward pass, drops unused nodes, saves memory on what the backward pass reads, and fuses tails
 * (graph/transform.h), then places the tensors in as little memory as those that are live at the
 * same time need. Making it allocates nothing on the device, but afterwards it is known what its
 * execution will.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_GRAPH_PLAN_H
#define CLM_GRAPH_PLAN_H

#include "device/device.h"
#include "graph/derive.h"
#include "graph/layout.h"
#include "graph/parameters.h"
#include "graph/state.h"
#include "graph/workspace.h"

typedef struct clm_plan clm_plan;

typedef struct clm_plan_options {
    const char *loss;   /* the output that is derived; NULL: a forward pass */
    clm_trains *trains; /* with a loss: what is trained; NULL: what `parameters` trains */
    void *context;      /* of `trains` */
    /* Names of inputs and outputs that are in memory of the caller's, bound as buffers; NULL ends
     * them. All others are in the workspace. NULL: none is. */
    const char *const *bound;
    /* With a loss: less memory, see graph/transform.h. */
    bool recompute;  /* the backward pass runs segments again */
    clm_dtype kept;  /* how it finds what is kept: CLM_F32, CLM_F16, CLM_BF16 */
    bool whole_rows; /* compute rows that are not picked, too (graph/transform.h) */
    /* For tests. */
    bool apart;  /* each tensor has its own memory: so that overruns are found */
    bool poison; /* memory that nothing uses is NaN: so that what reads it is found */
} clm_plan_options;

/* The plan of a description for a device, through *plan, which does not refer to `graph`
 * afterwards. Values and gradients are those of `parameters`, which need not be loaded before the
 * plan is executed; they and the workspace must outlive the plan. CLM_ERROR_UNSUPPORTED for
 * operations without kernels, or without kernels for the layout of their tensors;
 * CLM_ERROR_NOT_FOUND for a parameter that is not among `parameters`. */
clm_status clm_plan_make(clm_plan **plan, clm_workspace *workspace, const clm_graph *graph,
                         clm_parameters *parameters, const clm_plan_options *options);
void clm_plan_free(clm_plan *plan); /* NULL is fine */

/* The graph as it is executed, and where its tensors lie; lent. */
const clm_graph *clm_plan_graph(const clm_plan *plan);
const clm_layout *clm_plan_layout(const clm_plan *plan);

/* The parameter whose value, columns of it, or gradient a tensor is; NULL for other tensors. */
const clm_stored_parameter *clm_plan_parameter(const clm_plan *plan, uint32_t tensor);

/* How many nodes there were: in the description, without rows that are not picked, with the
 * backward pass, without what nothing needs, as values are held for the backward pass, and fused.
 */
typedef struct clm_plan_counts {
    uint32_t described, narrowed, derived, needed, held, fused;
} clm_plan_counts;
const clm_plan_counts *clm_plan_get_counts(const clm_plan *plan);

/* What it needs of its workspace: all of it, and the largest piece, which has to be in one
 * buffer. */
void clm_plan_memory(const clm_plan *plan, uint64_t *total_bytes, uint64_t *largest_bytes);

/* An input or output. Host memory is copied before the call returns. A buffer is for names that
 * the plan's options list as bound: it is used from its beginning, may be larger than the tensor,
 * and is borrowed until the device has finished. */
typedef struct clm_plan_binding {
    const char *name;
    const void *host;
    clm_buffer *buffer;
    clm_state *state; /* of a slot for one; borrowed until the device has finished */
} clm_plan_binding;

/* Allocates what the workspace lacks. Called by clm_plan_enqueue(), too. */
clm_status clm_plan_allocate(clm_plan *plan);

/* Enqueues all operations; does not wait. Gradients of trained parameters are added to, times the
 * seed. CLM_ERROR_ARGUMENT for what is not bound, or to too small a buffer. After a failure, what
 * states hold is undefined. */
clm_status clm_plan_enqueue(clm_plan *plan, const clm_plan_binding *bindings, size_t count,
                            float seed);

/* The same, with calls before and after each operation that has kernels, which may wait for the
 * device and read or time what it did: for checks and profiles. A failure of theirs ends it. */
typedef struct clm_plan_watch {
    clm_status (*before)(void *context, uint32_t node, const clm_device_call *call);
    clm_status (*after)(void *context, uint32_t node, const clm_device_call *call);
    void *context;
} clm_plan_watch;
clm_status clm_plan_enqueue_watched(clm_plan *plan, const clm_plan_binding *bindings, size_t count,
                                    float seed, const clm_plan_watch *watch);

/* An output's buffer, lent until a plan of the same workspace is executed or allocated. NULL: there
 * is none of that name, or it is bound. */
clm_buffer *clm_plan_output(const clm_plan *plan, const char *name);

#endif
