/* SPDX-License-Identifier: Apache-2.0 */
#include "graph/arena.h"

#include <string.h>

#include "base/memory.h"

/* The buffers of a tensor that one cannot hold. The next tensor goes on behind the last of them. */
static void lay_out_parts(clm_arena_layout *layout, size_t tensor, size_t part) {
    const size_t count = layout->counts[tensor];
    layout->buffers[tensor] = layout->buffer_count;
    layout->parts[tensor] = part;
    for (size_t at = 0; at < count; at += part) {
        layout->buffer_counts[layout->buffer_count++] = count - at < part ? count - at : part;
    }
}

static void lay_out_whole(clm_arena_layout *layout, size_t tensor, size_t most, size_t alignment) {
    const size_t count = layout->counts[tensor];
    size_t offset = 0;
    if (layout->buffer_count > 0) {
        const size_t end = layout->buffer_counts[layout->buffer_count - 1];
        offset = (end + alignment - 1) / alignment * alignment;
    }
    if (layout->buffer_count == 0 || offset > most || count > most - offset) {
        layout->buffer_count++;
        offset = 0;
    }
    layout->buffers[tensor] = layout->buffer_count - 1;
    layout->offsets[tensor] = offset;
    layout->buffer_counts[layout->buffer_count - 1] = offset + count;
}

/* Elements of a part of whole rows; 0 when the tensor needs none or can have none. */
static size_t part_of(size_t count, size_t unit, size_t most) {
    return count > most && unit > 0 ? most / unit * unit : 0;
}

clm_status clm_arena_layout_make(clm_arena_layout *layout, const clm_device *device,
                                 const size_t *counts, const size_t *units, size_t tensor_count,
                                 uint64_t most_bytes) {
    *layout = (clm_arena_layout){.tensor_count = tensor_count};
    const size_t alignment = clm_device_part_alignment_bytes(device) / sizeof(float);
    const size_t most = (size_t)(most_bytes / sizeof(float));
    size_t most_buffers = 0;
    clm_status status = CLM_OK;
    CLM_TRY(clm_allocate(&layout->counts, tensor_count, sizeof(size_t), "an arena"));
    CLM_TRY(clm_allocate(&layout->buffers, tensor_count, sizeof(size_t), "an arena"));
    CLM_TRY(clm_allocate(&layout->offsets, tensor_count, sizeof(size_t), "an arena"));
    CLM_TRY(clm_allocate(&layout->parts, tensor_count, sizeof(size_t), "an arena"));
    memcpy(layout->counts, counts, tensor_count * sizeof(size_t));
    for (size_t i = 0; i < tensor_count; i++) {
        const size_t part = part_of(counts[i], units != NULL ? units[i] : 0, most);
        most_buffers += part > 0 ? (counts[i] - 1) / part + 1 : 1;
    }
    CLM_TRY(clm_allocate(&layout->buffer_counts, most_buffers, sizeof(size_t), "an arena"));
    for (size_t i = 0; i < tensor_count; i++) {
        const size_t part = part_of(counts[i], units != NULL ? units[i] : 0, most);
        if (part > 0) {
            lay_out_parts(layout, i, part);
        } else if (counts[i] > 0) {
            lay_out_whole(layout, i, most, alignment);
        }
    }
cleanup:
    return status;
}

void clm_arena_layout_free(clm_arena_layout *layout) {
    clm_free(layout->counts);
    clm_free(layout->buffers);
    clm_free(layout->offsets);
    clm_free(layout->parts);
    clm_free(layout->buffer_counts);
    *layout = (clm_arena_layout){0};
}

/* The tensor as parts of the arena's buffers, joined when there are several. */
static clm_status make_tensor(clm_arena *arena, size_t tensor, const char *what) {
    const clm_arena_layout *layout = arena->layout;
    const size_t all = layout->counts[tensor];
    const size_t part = layout->parts[tensor] > 0 ? layout->parts[tensor] : all;
    const size_t count = (all - 1) / part + 1;
    clm_buffer **parts = NULL;
    size_t made = 0;
    clm_status status = CLM_OK;
    CLM_TRY(clm_allocate(&parts, count, sizeof(clm_buffer *), what));
    for (; made < count; made++) {
        const size_t left = all - made * part;
        CLM_TRY(clm_buffer_create_part(&parts[made], arena->buffers[layout->buffers[tensor] + made],
                                       layout->offsets[tensor] * sizeof(float),
                                       (left < part ? left : part) * sizeof(float), what));
    }
    made = 0; /* they are the tensor's now, whatever comes */
    if (count == 1) {
        arena->tensors[tensor] = parts[0];
    } else {
        CLM_TRY(clm_buffer_join(&arena->tensors[tensor], parts, count, what));
    }
cleanup:
    for (size_t i = 0; i < made; i++) {
        clm_buffer_release(parts[i]);
    }
    clm_free(parts);
    return status;
}

clm_status clm_arena_make(clm_arena *arena, clm_device *device, const clm_arena_layout *layout,
                          const char *what) {
    *arena = (clm_arena){.layout = layout};
    clm_status status = CLM_OK;
    CLM_TRY(clm_allocate(&arena->buffers, layout->buffer_count, sizeof(clm_buffer *), what));
    CLM_TRY(clm_allocate(&arena->tensors, layout->tensor_count, sizeof(clm_buffer *), what));
    for (size_t i = 0; i < layout->buffer_count; i++) {
        CLM_TRY(clm_buffer_create_exact(&arena->buffers[i], device,
                                        layout->buffer_counts[i] * sizeof(float), what));
    }
    for (size_t i = 0; i < layout->tensor_count; i++) {
        if (layout->counts[i] > 0) {
            CLM_TRY(make_tensor(arena, i, what));
        }
    }
cleanup:
    return status;
}

void clm_arena_free(clm_arena *arena) {
    for (size_t i = 0; arena->tensors != NULL && i < arena->layout->tensor_count; i++) {
        clm_buffer_release(arena->tensors[i]);
    }
    for (size_t i = 0; arena->buffers != NULL && i < arena->layout->buffer_count; i++) {
        clm_buffer_release(arena->buffers[i]);
    }
    clm_free(arena->tensors);
    clm_free(arena->buffers);
    *arena = (clm_arena){0};
}

clm_status clm_arena_zero(clm_arena *arena) {
    clm_status status = CLM_OK;
    for (size_t i = 0; i < arena->layout->buffer_count && status == CLM_OK; i++) {
        status = clm_buffer_zero(arena->buffers[i], 0, clm_buffer_size_bytes(arena->buffers[i]));
    }
    return status;
}
