/* Transformations: from a graph to one with the same outputs at lower cost.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_GRAPH_TRANSFORM_H
#define CLM_GRAPH_TRANSFORM_H

#include "graph/graph.h"

/* Drops, in place, nodes that no output and no parameter's gradient needs, and outputs of nodes
 * that nothing reads. Ids of tensors stay. */
clm_status clm_graph_prune(clm_graph *graph);

/* Stops computing rows that are not picked. Picking one row of each sequence (clm_graph_pick())
 * moves up through operations that work on each row alone, and through attention on the side of the
 * queries, to where all rows are needed anyway. A linear whose result is read only by columns is
 * split into one for the columns that are needed in all rows and one for those that are picked, by
 * columns of its weight and bias. Takes a description, before it is derived; *narrowed is a new
 * graph with the same outputs in the same order, and with the same names of parameters and inputs.
 * It computes the same numbers, but products of other sizes may round differently. */
clm_status clm_graph_narrow(clm_graph **narrowed, const clm_graph *graph);

/* Both of the following work in place, after the graph was derived and pruned, on segments: what
 * lies between two marks (clm_graph_mark()). The last segment is spared: what it computes still
 * lives when its backward pass comes. If both are wanted, recomputing comes first. */

/* Lets the backward pass compute a segment again from its inputs rather than keep what the segment
 * computed (Chen et al. 2016). The last products, which only the next segment reads, are not: that
 * input is kept. The same bits. */
clm_status clm_graph_recompute(clm_graph *graph);

/* Lets values that are kept for the backward pass be kept in 16 bits, CLM_F16 or CLM_BF16, rounded
 * to nearest even. What cheap operations on single elements and rows make of kept values is not
 * kept but computed again. The forward pass goes on from values as they were before rounding,
 * except where an operation must see what its derivative sees (`as_stored`: queries, keys and
 * values). Floats stay: what no trained parameter changes, so that a frozen part can also be
 * computed beforehand; and statistics of rows, the second and later outputs of operations, which
 * are small. */
clm_status clm_graph_halve(clm_graph *graph, clm_dtype type);

/* Fuses tails into linears, in place, after the graph was derived and pruned: GELU of the result,
 * and the addition of a residual. If a backward pass reads the linear's own result, it stays an
 * output of the linear ("pre"). The same operations on the same numbers, in one launch. */
clm_status clm_graph_fuse(clm_graph *graph);

/* Low-rank adapters (Hu et al. 2021): each linear whose weight W is a parameter that `adapts` names
 * gives x W + b + (alpha / rank) (x A^T) B^T, with new parameters A (rank, in),
 * "<name>.lora_A.weight", and B (out, rank), "<name>.lora_B.weight", as PEFT names and lays them
 * out; <name> is W's without ".weight". A is uniform between -1 / sqrt(in) and 1 / sqrt(in), B is
 * zero, so that at first nothing changes. */
typedef struct clm_adapter_options {
    int rank;
    float alpha;
    bool (*adapts)(void *context, const char *name);
    void *context;
} clm_adapter_options;

/* In place, before the graph is derived. *count is the number of adapted linears. */
clm_status clm_graph_adapt(clm_graph *graph, const clm_adapter_options *options, int *count);

#endif
