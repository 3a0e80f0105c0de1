/* Buffers from a pool: training asks for the same sizes in every step, and a driver's own
 * allocation costs from microseconds to milliseconds.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>

#include "base/memory.h"
#include "device/buffer.h"

/* Sizes come in steps of an eighth of their power of two, so that like sizes meet in the pool and
 * at most an eighth is wasted. */
static size_t rounded(size_t size_bytes) {
    size_t step = 64;
    while (step < size_bytes / 16) {
        step *= 2;
    }
    return (size_bytes + step - 1) / step * step;
}

/* The same within what the device allocates: its largest buffer has no room for rounding. */
static size_t capacity_for(const clm_device *device, size_t size_bytes) {
    const size_t capacity_bytes = rounded(size_bytes > 0 ? size_bytes : sizeof(float));
    return capacity_bytes <= device->info.max_allocation_size_bytes
               ? capacity_bytes
               : (size_bytes + sizeof(float) - 1) / sizeof(float) * sizeof(float);
}

static void destroy(clm_buffer *buffer) {
    for (size_t i = 0; i < buffer->part_count; i++) {
        clm_buffer_release(buffer->parts[i]);
    }
    clm_free(buffer->parts);
    if (buffer->memory != NULL) {
        clm_release_memory(buffer->memory);
    }
    clm_free(buffer);
}

static void empty_pool(clm_device *device) {
    while (device->pool != NULL) {
        clm_buffer *buffer = device->pool;
        device->pool = buffer->next;
        device->pool_bytes -= buffer->capacity_bytes;
        destroy(buffer);
    }
}

/* Not into the pool: a larger one takes its place, and OpenCL keeps it until the queue has
 * executed the kernels that use it. */
static void release_scratch(clm_device *device) {
    if (device->scratch != NULL) {
        device->pool_bytes -= device->scratch->capacity_bytes;
        destroy(device->scratch);
        device->scratch = NULL;
    }
}

clm_status clm_buffer_pool_open(clm_device *device) {
    return clm_buffer_create(&device->nothing, device, 64, "the device's empty buffer");
}

void clm_buffer_pool_close(clm_device *device) {
    clm_buffer_release(device->nothing);
    device->nothing = NULL;
    release_scratch(device);
    empty_pool(device);
}

clm_status clm_buffer_pool_trim(clm_device *device) {
    const clm_status status = clm_device_finish(device);
    release_scratch(device);
    empty_pool(device);
    return status;
}

static clm_buffer *take_from_pool(clm_device *device, size_t capacity_bytes) {
    for (clm_buffer **at = &device->pool; *at != NULL; at = &(*at)->next) {
        clm_buffer *buffer = *at;
        if (buffer->capacity_bytes == capacity_bytes) {
            *at = buffer->next;
            device->pool_bytes -= buffer->capacity_bytes;
            return buffer;
        }
    }
    return NULL;
}

clm_status clm_buffer_no_memory(const clm_device *device, size_t size_bytes, const char *what,
                                cl_int code) {
    const double mib = 1024.0 * 1024.0;
    return clm_fail(CLM_ERROR_DEVICE_MEMORY,
                    "%s: no %.1f MiB for %s (%s; %.1f MiB in use of %.1f, at most %.1f in one "
                    "piece); try a smaller batch or another device",
                    device->info.name, (double)size_bytes / mib, what, clm_opencl_error_name(code),
                    (double)device->used_bytes / mib, (double)device->info.memory_size_bytes / mib,
                    (double)device->info.max_allocation_size_bytes / mib);
}

/* ---- large pages ---- */

/* From here on a buffer is worth pages of 2 MiB. */
static const size_t paged_bytes = (size_t)4 << 20;

static void CL_CALLBACK free_pages(cl_mem memory, void *pages) {
    (void)memory;
    clm_pages_free(pages);
}

/* A buffer on memory of clm's own, which goes when the driver is done with it. NULL where the
 * driver's is as good, or something fails. */
static cl_mem create_on_pages(const clm_device *device, size_t size_bytes) {
    if (size_bytes < paged_bytes || !clm_quirk_wants_pages(&device->info)) {
        return NULL;
    }
    void *pages = clm_pages_allocate(size_bytes);
    if (pages == NULL) {
        return NULL;
    }
    cl_int code = CL_SUCCESS;
    cl_mem memory = clCreateBuffer(device->context, CL_MEM_READ_WRITE | CL_MEM_USE_HOST_PTR,
                                   size_bytes, pages, &code);
    if (code == CL_SUCCESS &&
        clSetMemObjectDestructorCallback(memory, free_pages, pages) == CL_SUCCESS) {
        return memory;
    }
    if (code == CL_SUCCESS) {
        clm_release_memory(memory); /* nothing uses it yet */
    }
    clm_pages_free(pages);
    return NULL;
}

/* Drivers may defer allocation, so that this proves little; but what it refuses is refused here. */
static clm_status create_memory(clm_buffer *buffer, const char *what) {
    clm_device *device = buffer->device;
    if (buffer->size_bytes > device->info.max_allocation_size_bytes) {
        return clm_buffer_no_memory(device, buffer->size_bytes, what, CL_INVALID_BUFFER_SIZE);
    }
    cl_int code = CL_SUCCESS;
    buffer->memory = create_on_pages(device, buffer->capacity_bytes);
    if (buffer->memory != NULL) {
        return CLM_OK;
    }
    for (int attempt = 0; attempt < 2; attempt++) {
        buffer->memory =
            clCreateBuffer(device->context, CL_MEM_READ_WRITE, buffer->capacity_bytes, NULL, &code);
        if (code == CL_SUCCESS) {
            return CLM_OK;
        }
        /* What waits in the pool may be what is missing. */
        clm_status status = clm_wait_queue(device);
        if (status != CLM_OK && device->is_given_up) {
            return status;
        }
        empty_pool(device);
    }
    return clm_buffer_no_memory(device, buffer->size_bytes, what, code);
}

/* So that tests notice what is read before it is written. */
static void poison(const clm_buffer *buffer) {
    static const cl_uint nan_bits = 0xFFFFFFFFU;
    if (buffer->device->poison) {
        (void)clEnqueueFillBuffer(buffer->device->queue, buffer->memory, &nan_bits, sizeof nan_bits,
                                  0, buffer->capacity_bytes, 0, NULL, NULL);
    }
}

static void note_used(const clm_buffer *buffer) {
    clm_device *device = buffer->device;
    device->used_bytes += buffer->capacity_bytes;
    if (device->used_bytes + device->pool_bytes > device->peak_bytes) {
        device->peak_bytes = device->used_bytes + device->pool_bytes;
    }
}

clm_status clm_buffer_create(clm_buffer **buffer, clm_device *device, size_t size_bytes,
                             const char *what) {
    *buffer = NULL;
    clm_status status = clm_device_check(device);
    if (status != CLM_OK) {
        return status;
    }
    size_t capacity_bytes = capacity_for(device, size_bytes);
    clm_buffer *made = take_from_pool(device, capacity_bytes);
    if (made == NULL) {
        status = clm_allocate(&made, 1, sizeof *made, what);
        if (status != CLM_OK) {
            return status;
        }
        *made = (clm_buffer){.device = device, .size_bytes = size_bytes};
        made->capacity_bytes = capacity_bytes;
        status = create_memory(made, what);
        if (status != CLM_OK) {
            destroy(made);
            return status;
        }
    }
    made->size_bytes = size_bytes;
    made->next = NULL;
    note_used(made);
    poison(made);
    *buffer = made;
    return CLM_OK;
}

clm_status clm_buffer_create_exact(clm_buffer **buffer, clm_device *device, size_t size_bytes,
                                   const char *what) {
    clm_buffer *made = NULL;
    clm_status status = CLM_OK;
    *buffer = NULL;
    CLM_TRY(clm_device_check(device));
    CLM_TRY(clm_allocate(&made, 1, sizeof *made, what));
    *made = (clm_buffer){.device = device, .size_bytes = size_bytes, .is_exact = true};
    made->capacity_bytes = size_bytes > 0 ? size_bytes : sizeof(float);
    status = create_memory(made, what);
    if (status != CLM_OK) {
        destroy(made);
        goto cleanup;
    }
    note_used(made);
    poison(made);
    *buffer = made;
cleanup:
    return status;
}

clm_status clm_scratch_take(clm_device *device, size_t bytes, clm_buffer **scratch,
                            const char *what) {
    *scratch = NULL;
    clm_status status = CLM_OK;
    CLM_TRY(clm_device_check(device));
    if (bytes == 0) {
        return CLM_OK;
    }
    if (device->scratch != NULL && bytes <= device->scratch->size_bytes) {
        poison(device->scratch);
    } else {
        release_scratch(device);
        CLM_TRY(clm_buffer_create(&device->scratch, device, bytes, what));
        device->used_bytes -= device->scratch->capacity_bytes;
        device->pool_bytes += device->scratch->capacity_bytes;
    }
    *scratch = device->scratch;
cleanup:
    return status;
}

size_t clm_device_part_alignment_bytes(const clm_device *device) {
    return device->part_alignment_bytes;
}

clm_status clm_buffer_create_part(clm_buffer **part, clm_buffer *whole, size_t offset_bytes,
                                  size_t size_bytes, const char *what) {
    *part = NULL;
    clm_device *device = whole->device;
    clm_buffer *made = NULL;
    clm_status status = CLM_OK;
    if (size_bytes == 0 || offset_bytes % device->part_alignment_bytes != 0 ||
        offset_bytes > whole->size_bytes || size_bytes > whole->size_bytes - offset_bytes) {
        return clm_fail(
            CLM_ERROR_ARGUMENT,
            "%s: %zu bytes at %zu are not a part of a buffer of %zu bytes; parts begin at "
            "multiples of %zu",
            what, size_bytes, offset_bytes, whole->size_bytes, device->part_alignment_bytes);
    }
    CLM_TRY(clm_device_check(device));
    CLM_TRY(clm_allocate(&made, 1, sizeof *made, what));
    *made = (clm_buffer){.device = device, .size_bytes = size_bytes, .is_outside = true};
    const cl_buffer_region region = {offset_bytes, size_bytes};
    cl_int code = CL_SUCCESS;
    made->memory =
        clCreateSubBuffer(whole->memory, 0, CL_BUFFER_CREATE_TYPE_REGION, &region, &code);
    CLM_TRY(clm_opencl_check(code, "clCreateSubBuffer", what));
    *part = made;
    made = NULL;
cleanup:
    clm_free(made);
    return status;
}

clm_status clm_buffer_join(clm_buffer **joined, clm_buffer *const *parts, size_t count,
                           const char *what) {
    *joined = NULL;
    clm_buffer *made = NULL;
    clm_status status = CLM_OK;
    CLM_TRY(clm_allocate(&made, 1, sizeof *made, what));
    *made = (clm_buffer){.device = parts[0]->device, .is_outside = true};
    CLM_TRY(clm_allocate(&made->parts, count, sizeof *made->parts, what));
    for (size_t i = 0; i < count; i++) {
        const size_t size_bytes = parts[i]->size_bytes;
        if (i > 0 && (size_bytes > parts[0]->size_bytes ||
                      (size_bytes < parts[0]->size_bytes && i + 1 < count))) {
            status = clm_fail(CLM_ERROR_ARGUMENT, "%s: part %zu has %zu bytes, the first %zu", what,
                              i, size_bytes, parts[0]->size_bytes);
            goto cleanup;
        }
        made->size_bytes += size_bytes;
    }
    memcpy(made->parts, parts, count * sizeof *parts);
    made->part_count = count;
    *joined = made;
    return CLM_OK;
cleanup:
    if (made != NULL) {
        destroy(made);
    }
    for (size_t i = 0; i < count; i++) {
        clm_buffer_release(parts[i]);
    }
    return status;
}

size_t clm_buffer_part_count(const clm_buffer *buffer) {
    return buffer->parts != NULL ? buffer->part_count : 1;
}

const clm_buffer *clm_buffer_part(const clm_buffer *buffer, size_t i) {
    return buffer->parts != NULL ? buffer->parts[i] : buffer;
}

clm_buffer_range clm_buffer_range_at(const clm_buffer *buffer, size_t offset_bytes,
                                     size_t size_bytes) {
    clm_buffer_range range = {buffer, offset_bytes, size_bytes};
    if (buffer->parts != NULL) {
        const size_t part_bytes = buffer->parts[0]->size_bytes;
        range.part = buffer->parts[offset_bytes / part_bytes];
        range.offset_bytes = offset_bytes % part_bytes;
        const size_t left_bytes = range.part->size_bytes - range.offset_bytes;
        range.size_bytes = left_bytes < size_bytes ? left_bytes : size_bytes;
    }
    return range;
}

void clm_buffer_release(clm_buffer *buffer) {
    if (buffer == NULL) {
        return;
    }
    if (buffer->is_outside) {
        destroy(buffer);
        return;
    }
    clm_device *device = buffer->device;
    device->used_bytes -= buffer->capacity_bytes;
    if (buffer->is_exact) {
        destroy(buffer); /* OpenCL keeps it until the queue has done with it */
        return;
    }
    device->pool_bytes += buffer->capacity_bytes;
    buffer->next = device->pool;
    device->pool = buffer;
}

size_t clm_buffer_size_bytes(const clm_buffer *buffer) {
    return buffer->size_bytes;
}

cl_mem clm_buffer_memory(const clm_buffer *buffer) {
    return buffer->memory;
}

clm_device *clm_buffer_device(const clm_buffer *buffer) {
    return buffer->device;
}
