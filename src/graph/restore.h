/* How the backward pass of a graph gets at values of the forward pass: the part that recomputation
 * and 16-bit storage have in common. Each only decides, for each value, how it is held.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_GRAPH_RESTORE_H
#define CLM_GRAPH_RESTORE_H

#include "graph/graph.h"

/* A tensor's views are held as it is. */
typedef enum clm_held {
    CLM_HELD_AS_IT_IS = 0,
    CLM_HELD_ROUNDED, /* rounded to 16 bits when it is computed, and widened again */
    CLM_HELD_AGAIN    /* not at all: computed again from how its operands are held */
} clm_held;

/* Between two marks lies a segment. From which to which segment the forward pass uses a value or
 * its views, UINT32_MAX for an output, and whether the backward pass reads them. */
typedef struct clm_value_use {
    uint32_t from, until;
    bool by_backward;
} clm_value_use;

/* By tensor, into `uses`; *last is the last segment. Takes a graph that was derived and pruned.
 * A view has no use of its own. */
void clm_graph_uses(const clm_graph *graph, clm_value_use *uses, uint32_t *last);

/* What a view is a view of; any other tensor itself. */
uint32_t clm_graph_base(const clm_graph *graph, uint32_t tensor);

/* Lets the backward pass read values as `held` says, by tensor, in place, and drops what is needed
 * no more. What it reads is made when it is first needed, in the order of the forward pass, by the
 * same operations. `type` is the one of 16 bits. An operation of the forward pass reads a rounded
 * value as it was, unless its row of the table says `as_stored`. */
clm_status clm_graph_restore(clm_graph *graph, const clm_held *held, clm_dtype type);

#endif
