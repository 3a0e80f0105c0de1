/* Buffers over bytes that the host has, and large ones in parts.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/memory.h"
#include "device/buffer.h"

clm_status clm_buffer_create_lent(clm_buffer **buffer, clm_device *device, const void *host,
                                  size_t size_bytes, const char *what) {
    *buffer = NULL;
    clm_buffer *made = NULL;
    clm_status status = CLM_OK;
    if (!clm_device_is_cpu(device) || size_bytes > device->info.max_allocation_size_bytes) {
        CLM_TRY(clm_buffer_create_exact(&made, device, size_bytes, what));
        CLM_TRY(clm_buffer_write(made, 0, host, size_bytes));
        *buffer = made;
        return CLM_OK;
    }
    CLM_TRY(clm_device_check(device));
    CLM_TRY(clm_allocate(&made, 1, sizeof *made, what));
    *made = (clm_buffer){.device = device, .size_bytes = size_bytes, .is_outside = true};
    cl_int code = CL_SUCCESS;
    void *in_place = NULL; /* OpenCL has no const for memory that kernels only read */
    memcpy(&in_place, &host, sizeof in_place);
    made->memory = clCreateBuffer(device->context, CL_MEM_READ_ONLY | CL_MEM_USE_HOST_PTR,
                                  size_bytes, in_place, &code);
    if (code != CL_SUCCESS) {
        status = clm_buffer_no_memory(device, size_bytes, what, code);
        goto cleanup;
    }
    *buffer = made;
    return CLM_OK;
cleanup:
    if (made != NULL && made->is_outside) {
        clm_free(made);
    } else {
        clm_buffer_release(made);
    }
    return status;
}

static clm_status create_or_lend(clm_buffer **buffer, clm_device *device, const void *host,
                                 size_t size_bytes, const char *what) {
    return host != NULL ? clm_buffer_create_lent(buffer, device, host, size_bytes, what)
                        : clm_buffer_create_exact(buffer, device, size_bytes, what);
}

clm_status clm_buffer_create_in_parts(clm_buffer **buffer, clm_device *device, const void *host,
                                      size_t size_bytes, size_t unit_bytes, const char *what) {
    const uint64_t most_bytes = device->info.max_allocation_size_bytes;
    if (size_bytes <= most_bytes || unit_bytes == 0 || unit_bytes > most_bytes) {
        return create_or_lend(buffer, device, host, size_bytes, what);
    }
    *buffer = NULL;
    const size_t part_bytes = (size_t)(most_bytes / unit_bytes) * unit_bytes;
    const size_t count = (size_bytes - 1) / part_bytes + 1;
    clm_buffer **parts = NULL;
    size_t made = 0;
    clm_status status = CLM_OK;
    CLM_TRY(clm_allocate(&parts, count, sizeof(clm_buffer *), what));
    for (; made < count; made++) {
        const size_t at = made * part_bytes;
        const size_t left_bytes = size_bytes - at;
        CLM_TRY(create_or_lend(&parts[made], device,
                               host != NULL ? (const unsigned char *)host + at : NULL,
                               left_bytes < part_bytes ? left_bytes : part_bytes, what));
    }
    made = 0; /* they are the whole's now, whatever comes */
    CLM_TRY(clm_buffer_join(buffer, parts, count, what));
cleanup:
    for (size_t i = 0; i < made; i++) {
        clm_buffer_release(parts[i]);
    }
    clm_free(parts);
    return status;
}
