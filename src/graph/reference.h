/* Executes a graph in plain C and double precision, as the oracle for plans and for gradients by
 * finite differences. Slow; every tensor has its own memory.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_GRAPH_REFERENCE_H
#define CLM_GRAPH_REFERENCE_H

#include "graph/graph.h"

typedef struct clm_reference_run {
    const clm_graph *graph; /* lent */
    double **values;        /* by tensor: doubles, zero to begin with; NULL for i32 inputs */
    int32_t **ids;          /* by tensor: those of i32 inputs */
} clm_reference_run;

/* Memory for each tensor. `graph` must not change meanwhile. Free it in any case. */
clm_status clm_reference_run_make(clm_reference_run *run, const clm_graph *graph);
void clm_reference_run_free(clm_reference_run *run);

/* Computes all nodes in their order from what the caller wrote into the values of inputs and
 * parameters. The seed goes into every element of the tensor of that kind. Gradients of parameters
 * are accumulated: the sum of several executions, until the caller zeroes them. States keep what
 * was written. */
clm_status clm_reference_execute(clm_reference_run *run, double seed);

/* A tensor of a kind by its name; the gradient by that of its parameter. 0: there is none. */
uint32_t clm_graph_find(const clm_graph *graph, clm_tensor_kind kind, const char *name);

/* The gradient of a parameter, of all its columns, through `gradient` (as many elements): zeros
 * where nothing was added to. */
void clm_reference_gradient(const clm_reference_run *run, uint32_t parameter, double *gradient);

#endif
