/* Cutting a graph where its frozen part ends.
 *
 * What does not depend on anything trained is the same for an example each time, so that it need be
 * computed once: those tensors that the trained part reads are called features.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_GRAPH_CUT_H
#define CLM_GRAPH_CUT_H

#include "graph/derive.h"

typedef struct clm_cut {
    clm_graph *frozen;  /* from the inputs to outputs "features.0", ... */
    clm_graph *trained; /* from inputs of these names, and others, to the outputs of the graph */
    int count;          /* how many there are; 0: nothing is frozen, and both graphs are NULL */
} clm_cut;

enum { CLM_FEATURES_MOST = 8 };

/* Through *cut, of a narrowed description; free it in any case. Where the trained part reads a
 * tensor, and rows or columns of it as well, these are taken from it again instead of kept. More
 * than CLM_FEATURES_MOST tensors: as if nothing were frozen. */
clm_status clm_graph_cut(clm_cut *cut, const clm_graph *graph, clm_trains *trains, void *context);
void clm_cut_free(clm_cut *cut);

#endif
