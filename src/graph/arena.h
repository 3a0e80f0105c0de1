/* Tensors of one kind (values, gradients or a moment of each trained parameter), packed into a few
 * large buffers, so that an operation on all elements takes one launch instead of one per tensor.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_GRAPH_ARENA_H
#define CLM_GRAPH_ARENA_H

#include "device/device.h"

/* Where each tensor is stored; arenas with the same layout can be traversed in parallel. */
typedef struct clm_arena_layout {
    size_t tensor_count;
    size_t *counts;  /* elements of each; 0 for those that are not in the arena */
    size_t *buffers; /* the buffer that contains each, or its beginning */
    size_t *offsets; /* and where, in elements */
    size_t *parts;   /* elements per part of tensors in several buffers; else 0 */
    size_t buffer_count;
    size_t *buffer_counts; /* elements of each buffer, including alignment gaps */
} clm_arena_layout;

typedef struct clm_arena {
    const clm_arena_layout *layout;
    clm_buffer **buffers; /* layout->buffer_count of them */
    clm_buffer **tensors; /* parts of them, layout->tensor_count; NULL for counts of 0 */
} clm_arena;

/* Lays tensors of counts[i] floats out in their order, in buffers of at most `most_bytes` each. A
 * larger tensor is split into parts of whole rows, one buffer each, if units[i] > 0, which is the
 * elements of a row. Otherwise it gets one buffer of its own, although that is too large. `units`
 * may be NULL. Free it in any case. */
clm_status clm_arena_layout_make(clm_arena_layout *layout, const clm_device *device,
                                 const size_t *counts, const size_t *units, size_t tensor_count,
                                 uint64_t most_bytes);
void clm_arena_layout_free(clm_arena_layout *layout);

/* Contents are undefined. `layout` must outlive the arena; free it in any case. */
clm_status clm_arena_make(clm_arena *arena, clm_device *device, const clm_arena_layout *layout,
                          const char *what);
void clm_arena_free(clm_arena *arena);

/* Enqueues zeros for all of it, gaps too. */
clm_status clm_arena_zero(clm_arena *arena);

#endif
