/* Where the tensors of a graph are stored: which share memory because they are the same elements,
 * which may because they are not live at the same time, and in which buffers.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_GRAPH_LAYOUT_H
#define CLM_GRAPH_LAYOUT_H

#include "graph/graph.h"

/* What is allocated in one of the layout's buffers. */
typedef struct clm_layout_part {
    size_t buffer;
    size_t offset_bytes, size_bytes; /* a size of 0: nothing is */
    uint32_t last;                   /* the last node that uses it; outputs: the number of nodes */
} clm_layout_part;

typedef struct clm_layout_tensor {
    uint32_t root;               /* the tensor whose memory it uses; itself if it has its own */
    size_t first, width, stride; /* in elements of the root: its rows, see clm_place */
    clm_layout_part part;        /* of roots; parameters have none */
} clm_layout_tensor;

typedef struct clm_layout {
    clm_layout_tensor *tensors; /* by tensor */
    clm_layout_part *scratch;   /* by node */
    size_t buffer_count;
    size_t *buffer_bytes;
} clm_layout;

typedef struct clm_layout_options {
    size_t alignment_bytes; /* of each tensor */
    uint64_t most_bytes;    /* in one buffer */
    bool apart;             /* tensors share memory only if they are the same elements */
    const bool *outside; /* by tensor: not allocated here, and shared with no other; NULL: none */
    /* What a node needs besides its tensors; asked when the layout tells how these lie, but not yet
     * in which buffers. NULL: none needs any. */
    size_t (*scratch_bytes)(const void *context, uint32_t node);
    const void *context; /* of scratch_bytes() */
} clm_layout_options;

/* Free it in any case. CLM_ERROR_UNSUPPORTED, naming operation and tensor, if an operation that
 * needs dense rows would get rows that are apart. */
clm_status clm_layout_make(clm_layout *layout, const clm_graph *graph,
                           const clm_layout_options *options);
void clm_layout_free(clm_layout *layout);

/* Whether a node's result is elements of its inputs, or the reverse, so that there is nothing to
 * compute. */
bool clm_layout_is_view(const clm_node *node);

#endif
