/* Bytes between host memory and buffers, and between buffers.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/memory.h"
#include "device/internal.h"

static clm_status check(const clm_buffer *buffer, size_t offset_bytes, size_t size_bytes) {
    const size_t all_bytes = clm_buffer_size_bytes(buffer);
    if (offset_bytes > all_bytes || size_bytes > all_bytes - offset_bytes) {
        return clm_fail(CLM_ERROR_ARGUMENT, "bytes %zu to %zu lie outside a buffer of %zu bytes",
                        offset_bytes, offset_bytes + size_bytes, all_bytes);
    }
    return clm_device_check(clm_buffer_device(buffer));
}

static clm_status enqueue_write(const clm_buffer *buffer, cl_bool block, size_t offset_bytes,
                                const void *host, size_t size_bytes, cl_event *event) {
    const clm_device *device = clm_buffer_device(buffer);
    return clm_opencl_check(clEnqueueWriteBuffer(device->queue, clm_buffer_memory(buffer), block,
                                                 offset_bytes, size_bytes, host, 0, NULL, event),
                            "clEnqueueWriteBuffer", device->info.name);
}

static clm_status wait_and_release(clm_device *device, cl_event *event) {
    if (*event == NULL) {
        return CLM_OK;
    }
    clm_status status = clm_wait_event(device, *event);
    clm_release_event(*event);
    *event = NULL;
    return status;
}

/* ---- writes ---- */

/* A queue in order finishes everything before it comes to a write that blocks. Tokens, labels, the
 * sorted places of a batch's tokens and the like are small, so they are copied aside and the queue
 * takes them when it gets there. */
static clm_status write_aside(const clm_buffer *buffer, size_t offset_bytes, const void *host,
                              size_t size_bytes) {
    clm_device *device = clm_buffer_device(buffer);
    clm_staging *staging = &device->staging[device->next_staging];
    clm_status status = CLM_OK;
    device->next_staging = (device->next_staging + 1) % CLM_STAGING_COUNT;
    CLM_TRY(wait_and_release(device, &staging->event));
    CLM_TRY(clm_reserve(&staging->bytes, &staging->capacity, size_bytes, 1, "staging memory"));
    memcpy(staging->bytes, host, size_bytes);
    CLM_TRY(
        enqueue_write(buffer, CL_FALSE, offset_bytes, staging->bytes, size_bytes, &staging->event));
cleanup:
    return status;
}

void clm_staging_close(clm_device *device) {
    for (size_t i = 0; i < CLM_STAGING_COUNT; i++) {
        if (device->staging[i].event != NULL) {
            clm_release_event(device->staging[i].event);
        }
        clm_free(device->staging[i].bytes);
        device->staging[i] = (clm_staging){0};
    }
}

clm_status clm_buffer_write(clm_buffer *buffer, size_t offset_bytes, const void *host,
                            size_t size_bytes) {
    const unsigned char *from = host;
    clm_status status = check(buffer, offset_bytes, size_bytes);
    for (size_t done = 0; status == CLM_OK && done < size_bytes;) {
        const clm_buffer_range range =
            clm_buffer_range_at(buffer, offset_bytes + done, size_bytes - done);
        if (range.size_bytes <= CLM_STAGING_BYTES) {
            status = write_aside(range.part, range.offset_bytes, from + done, range.size_bytes);
        } else {
            CLM_TRY(clm_wait_before_blocking(clm_buffer_device(buffer)));
            CLM_TRY(enqueue_write(range.part, CL_TRUE, range.offset_bytes, from + done,
                                  range.size_bytes, NULL));
        }
        done += range.size_bytes;
    }
cleanup:
    return status;
}

clm_status clm_buffer_write_lent(clm_buffer *buffer, size_t offset_bytes, const void *host,
                                 size_t size_bytes) {
    const unsigned char *from = host;
    clm_status status = check(buffer, offset_bytes, size_bytes);
    for (size_t done = 0; status == CLM_OK && done < size_bytes;) {
        const clm_buffer_range range =
            clm_buffer_range_at(buffer, offset_bytes + done, size_bytes - done);
        status = enqueue_write(range.part, CL_FALSE, range.offset_bytes, from + done,
                               range.size_bytes, NULL);
        done += range.size_bytes;
    }
    return status;
}

/* ---- reads ---- */

static clm_status enqueue_read(const clm_buffer *buffer, cl_bool block, size_t offset_bytes,
                               void *host, size_t size_bytes, cl_event *event) {
    const clm_device *device = clm_buffer_device(buffer);
    return clm_opencl_check_wait(
        clEnqueueReadBuffer(device->queue, clm_buffer_memory(buffer), block, offset_bytes,
                            size_bytes, host, 0, NULL, event),
        "clEnqueueReadBuffer", device);
}

clm_status clm_buffer_read(const clm_buffer *buffer, size_t offset_bytes, void *host,
                           size_t size_bytes) {
    unsigned char *to = host;
    clm_status status = check(buffer, offset_bytes, size_bytes);
    if (status == CLM_OK && size_bytes > 0) {
        status = clm_wait_before_blocking(clm_buffer_device(buffer));
    }
    for (size_t done = 0; status == CLM_OK && done < size_bytes;) {
        const clm_buffer_range range =
            clm_buffer_range_at(buffer, offset_bytes + done, size_bytes - done);
        status = enqueue_read(range.part, CL_TRUE, range.offset_bytes, to + done, range.size_bytes,
                              NULL);
        done += range.size_bytes;
    }
    return status;
}

clm_status clm_buffer_read_begin(clm_read *read, const clm_buffer *buffer, size_t offset_bytes,
                                 void *host, size_t size_bytes) {
    clm_status status = CLM_OK;
    CLM_TRY(clm_read_wait(read));
    CLM_TRY(check(buffer, offset_bytes, size_bytes));
    const clm_buffer_range range = clm_buffer_range_at(buffer, offset_bytes, size_bytes);
    if (range.size_bytes < size_bytes) {
        return clm_fail(CLM_ERROR_ARGUMENT, "a read of %zu bytes would span several parts",
                        size_bytes);
    }
    *read = (clm_read){.device = clm_buffer_device(buffer), .host = host, .size_bytes = size_bytes};
    if (clm_device_is_watched(read->device)) {
        CLM_TRY(clm_allocate(&read->aside, size_bytes, 1, "a read"));
    }
    CLM_TRY(enqueue_read(range.part, CL_FALSE, range.offset_bytes,
                         read->aside != NULL ? read->aside : host, size_bytes, &read->event));
    CLM_TRY(clm_opencl_check_wait(clFlush(read->device->queue), "clFlush", read->device));
cleanup:
    if (status != CLM_OK && read->event == NULL) {
        clm_free(read->aside);
        read->aside = NULL;
    }
    return status;
}

clm_status clm_read_wait(clm_read *read) {
    clm_status status = wait_and_release(read->device, &read->event);
    if (read->aside == NULL) {
        return status;
    }
    if (status == CLM_OK) {
        memcpy(read->host, read->aside, read->size_bytes);
    }
    if (clm_device_is_given_up(read->device)) {
        clm_device_keep(read->device, read->aside);
    } else {
        clm_free(read->aside);
    }
    read->aside = NULL;
    return status;
}

/* ---- on the device ---- */

/* All bytes of the pattern are the same. */
static clm_status enqueue_fill(const clm_buffer *buffer, cl_uint pattern, size_t offset_bytes,
                               size_t size_bytes) {
    const clm_device *device = clm_buffer_device(buffer);
    const size_t pattern_bytes =
        (offset_bytes | size_bytes) % sizeof pattern == 0 ? sizeof pattern : 1;
    return clm_opencl_check(
        clEnqueueFillBuffer(device->queue, clm_buffer_memory(buffer), &pattern, pattern_bytes,
                            offset_bytes, size_bytes, 0, NULL, NULL),
        "clEnqueueFillBuffer", device->info.name);
}

static clm_status fill(const clm_buffer *buffer, cl_uint pattern, size_t offset_bytes,
                       size_t size_bytes) {
    clm_status status = check(buffer, offset_bytes, size_bytes);
    for (size_t done = 0; status == CLM_OK && done < size_bytes;) {
        const clm_buffer_range range =
            clm_buffer_range_at(buffer, offset_bytes + done, size_bytes - done);
        status = enqueue_fill(range.part, pattern, range.offset_bytes, range.size_bytes);
        done += range.size_bytes;
    }
    return status;
}

clm_status clm_buffer_zero(clm_buffer *buffer, size_t offset_bytes, size_t size_bytes) {
    return fill(buffer, 0, offset_bytes, size_bytes);
}

clm_status clm_buffer_poison(clm_buffer *buffer, size_t offset_bytes, size_t size_bytes) {
    return fill(buffer, 0xFFFFFFFFU, offset_bytes, size_bytes);
}

static clm_status enqueue_copy(const clm_buffer_range *to, const clm_buffer_range *from) {
    const clm_device *device = clm_buffer_device(to->part);
    return clm_opencl_check(clEnqueueCopyBuffer(device->queue, clm_buffer_memory(from->part),
                                                clm_buffer_memory(to->part), from->offset_bytes,
                                                to->offset_bytes, from->size_bytes, 0, NULL, NULL),
                            "clEnqueueCopyBuffer", device->info.name);
}

clm_status clm_buffer_copy(clm_buffer *to, size_t to_offset_bytes, const clm_buffer *from,
                           size_t from_offset_bytes, size_t size_bytes) {
    clm_status status = check(to, to_offset_bytes, size_bytes);
    if (status == CLM_OK) {
        status = check(from, from_offset_bytes, size_bytes);
    }
    for (size_t done = 0; status == CLM_OK && done < size_bytes;) {
        const clm_buffer_range there =
            clm_buffer_range_at(to, to_offset_bytes + done, size_bytes - done);
        const clm_buffer_range here =
            clm_buffer_range_at(from, from_offset_bytes + done, there.size_bytes);
        status = enqueue_copy(&there, &here);
        done += here.size_bytes;
    }
    return status;
}
