/* Transformations: from a graph to one that gives the same outputs for less.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_GRAPH_TRANSFORM_H
#define CLM_GRAPH_TRANSFORM_H

#include "graph/graph.h"

/* Drops, in place, nodes that no output and no parameter's gradient needs, and outputs of nodes
 * that nothing reads. Ids of tensors stay. */
clm_status clm_graph_prune(clm_graph *graph);

/* Computes rows that nobody picks no longer. Picking one row of each sequence (clm_graph_pick())
 * moves up through operations that look at each row alone, and through attention on the side of the
 * queries, to where all rows are wanted anyway. A linear whose result is read by its columns alone
 * is split into one for the columns that are wanted whole and one for those that are picked, by
 * columns of its weight and bias. A description goes in, before it is derived; the same outputs in
 * the same order come out, in a new graph through *narrowed, whose parameters and inputs have the
 * names they had. The same numbers are computed as without it; how many of them a product computes
 * at a time may change their rounding. */
clm_status clm_graph_narrow(clm_graph **narrowed, const clm_graph *graph);

/* Gives a linear its tail, in place, after the graph was derived and pruned: GELU of its result,
 * and what that is added to. Where a backward pass reads the linear's own result, it stays an
 * output of the linear ("pre"). The same operations on the same numbers, in one launch. */
clm_status clm_graph_fuse(clm_graph *graph);

/* Low-rank adapters (Hu et al. 2021): each linear whose weight W is a parameter that `adapts` names
 * gives x W + b + (alpha / rank) (x A^T) B^T, with new parameters A (rank, in),
 * "<name>.lora_A.weight", and B (out, rank), "<name>.lora_B.weight", as PEFT names and lays them
 * out; <name> is W's without
 * ".weight". A is drawn uniformly from +-1 / sqrt(in), B is zero, so that at first nothing changes.
 */
typedef struct clm_adapter_options {
    int rank;
    float alpha;
    bool (*adapts)(void *context, const char *name);
    void *context;
} clm_adapter_options;

/* In place, before the graph is derived. *count is how many linears were adapted. */
clm_status clm_graph_adapt(clm_graph *graph, const clm_adapter_options *options, int *count);

#endif
