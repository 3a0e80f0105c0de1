/* Tensors of one kind (values, gradients or a moment of each trained parameter) beside each other
 * in few large buffers, so that what treats all elements alike is one launch and not one a tensor.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_MODEL_ARENA_H
#define CLM_MODEL_ARENA_H

#include "device/device.h"

/* Where each tensor lies; arenas of one layout can be walked side by side. */
typedef struct clm_arena_layout {
    size_t tensor_count;
    size_t *counts;  /* elements of each; 0 for those that are not in the arena */
    size_t *buffers; /* which buffer each lies in, or begins in */
    size_t *offsets; /* and where, in elements */
    size_t *parts;   /* elements of each part of those that lie in several buffers; else 0 */
    size_t buffer_count;
    size_t *buffer_counts; /* elements of each buffer, with the gaps that alignment leaves */
} clm_arena_layout;

typedef struct clm_arena {
    const clm_arena_layout *layout;
    clm_buffer **buffers; /* layout->buffer_count of them */
    clm_buffer **tensors; /* parts of them, layout->tensor_count; NULL for counts of 0 */
} clm_arena;

/* Lays tensors of counts[i] floats out in their order, in buffers of at most `most_bytes` each. A
 * larger tensor lies in parts of whole rows, a buffer each, when it is one that can: units[i] > 0
 * are the elements of a row. Any other gets a buffer of its own, too large as that is. `units` may
 * be NULL. Free it in any case. */
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
