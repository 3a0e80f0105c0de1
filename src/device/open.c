/* SPDX-License-Identifier: Apache-2.0 */
#include "device/device.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/number.h"
#include "device/find.h"
#include "device/internal.h"

/* $CLM_MAX_ALLOC_MIB makes a device of smaller pieces, so that what lies in parts can be tested
 * with little. */
static clm_status lower_largest_allocation(clm_device_info *info) {
    const double mib = 1024.0 * 1024.0;
    const char *text = getenv("CLM_MAX_ALLOC_MIB");
    if (text == NULL || text[0] == '\0') {
        return CLM_OK;
    }
    double most = 0.0;
    if (!clm_number_parse(text, strlen(text), &most) || !(most * mib >= 64.0)) {
        return clm_fail(CLM_ERROR_ARGUMENT,
                        "CLM_MAX_ALLOC_MIB is \"%s\": it must be a number of MiB", text);
    }
    if (most * mib < (double)info->max_allocation_size_bytes) {
        info->max_allocation_size_bytes = (uint64_t)(most * mib) / sizeof(float) * sizeof(float);
    }
    return CLM_OK;
}

static clm_status open_found(clm_device *device, const clm_found_device *found, bool profile) {
    clm_status status = CLM_OK;
    device->platform = found->platform;
    device->id = found->id;
    device->info = found->info;
    CLM_TRY(lower_largest_allocation(&device->info));
    device->profile = profile;
    CLM_TRY(clm_wait_limit_read(&device->limit_seconds));
    uint64_t cache_bytes = 0; /* read again when an entry is stored; checked here */
    CLM_TRY(clm_kernel_cache_limit(&cache_bytes));
    device->poison = getenv("CLM_POISON_BUFFERS") != NULL;
    cl_uint width = 0;
    /* Kernels of another width would give other bits. */
    CLM_TRY(clm_opencl_check(clGetDeviceInfo(device->id, CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT,
                                             sizeof width, &width, NULL),
                             "clGetDeviceInfo", device->info.name));
    device->vector_width = width >= 16 ? 16 : width >= 8 ? 8 : 4;
    cl_uint alignment_bits = 0;
    CLM_TRY(clm_opencl_check(clGetDeviceInfo(device->id, CL_DEVICE_MEM_BASE_ADDR_ALIGN,
                                             sizeof alignment_bits, &alignment_bits, NULL),
                             "clGetDeviceInfo", device->info.name));
    device->part_alignment_bytes = alignment_bits / 8 > 64 ? alignment_bits / 8 : 64;

    cl_int code = CL_SUCCESS;
    const cl_context_properties properties[] = {CL_CONTEXT_PLATFORM,
                                                (cl_context_properties)found->platform, 0};
    device->context = clCreateContext(properties, 1, &device->id, NULL, NULL, &code);
    CLM_TRY(clm_opencl_check(code, "clCreateContext", device->info.name));
    device->queue = clCreateCommandQueue(device->context, device->id,
                                         profile ? CL_QUEUE_PROFILING_ENABLE : 0, &code);
    CLM_TRY(clm_opencl_check(code, "clCreateCommandQueue", device->info.name));
    CLM_TRY(clm_buffer_pool_open(device));
cleanup:
    return status;
}

clm_status clm_device_open(clm_device **device, const clm_device_options *options) {
    static const clm_device_options defaults = CLM_DEVICE_OPTIONS_DEFAULT;
    *device = NULL;
    options = options != NULL ? options : &defaults;
    clm_status status = CLM_OK;
    clm_device *opened = NULL;
    clm_found_device *found = NULL;
    size_t count = 0;
    size_t chosen = 0;
    CLM_TRY(clm_find_devices(&found, &count));
    CLM_TRY(clm_choose_device(found, count, options->pattern, &chosen));
    CLM_TRY(clm_allocate(&opened, 1, sizeof *opened, "a device"));
    CLM_TRY(open_found(opened, &found[chosen], options->profile));
    clm_log(CLM_LOG_INFO, "device: %s (%s, %s), %d units; device %zu of %zu", opened->info.name,
            opened->info.platform, clm_device_type_name(opened->info.type),
            opened->info.compute_units, chosen, count);
    *device = opened;
    opened = NULL;
cleanup:
    clm_device_close(opened);
    clm_free(found);
    return status;
}

/* Kernels and copies that never end use the device's objects and the memory lent to it. */
static void keep_given_up(clm_device *device) {
    static _Thread_local clm_device *given_up;
    device->next_given_up = given_up;
    given_up = device;
}

void clm_device_close(clm_device *device) {
    if (device == NULL) {
        return;
    }
    if (device->queue != NULL) {
        clm_error_hold();
        (void)clm_wait_queue(device);
        clm_error_release();
    }
    if (device->is_given_up) {
        keep_given_up(device);
        return;
    }
    for (size_t i = device->hook_count; i > 0; i--) {
        device->hooks[i - 1].hook(device->hooks[i - 1].context);
    }
    clm_free(device->hooks);
    clm_profile_close(device);
    clm_watch_close(device);
    clm_free(device->kept);
    clm_programs_close(device);
    clm_staging_close(device);
    clm_buffer_pool_close(device);
    if (device->queue != NULL && !clm_is_forked()) {
        (void)clReleaseCommandQueue(device->queue);
    }
    if (device->context != NULL && !clm_is_forked()) {
        (void)clReleaseContext(device->context);
    }
    clm_free(device);
}
