/* What a buffer is, for the files that make buffers.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_DEVICE_BUFFER_H
#define CLM_DEVICE_BUFFER_H

#include "device/internal.h"

struct clm_buffer {
    clm_device *device;
    clm_buffer *next; /* in the pool */
    cl_mem memory;
    size_t size_bytes;     /* what was asked for */
    size_t capacity_bytes; /* what the driver gave */
    bool is_outside;       /* part of another buffer, or the host's memory; never in the pool */
    bool is_exact;         /* not rounded, and not for the pool */
    clm_buffer **parts;    /* NULL for a buffer in one piece; else `memory` is */
    size_t part_count;
};

/* The failure to make one, by what the driver said. */
clm_status clm_buffer_no_memory(const clm_device *device, size_t size_bytes, const char *what,
                                cl_int code);

#endif
