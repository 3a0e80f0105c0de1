/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "device/internal.h"
#include "device/program.h"

clm_launch clm_launch_begin(clm_device *device, const char *file, const char *kernel,
                            const char *options) {
    clm_launch launch = {.device = device, .name = kernel};
    const clm_kernel *found = NULL;
    launch.status = clm_device_check(device);
    if (launch.status == CLM_OK && device->on_launch != NULL) {
        launch.status = device->on_launch(device->on_launch_context, kernel);
    }
    if (launch.status == CLM_OK) {
        launch.status = clm_kernel_find(&found, device, file, kernel, options);
    }
    if (launch.status == CLM_OK) {
        launch.kernel = found->kernel;
        launch.name = found->name;
    }
    return launch;
}

static void set_argument(clm_launch *launch, size_t size_bytes, const void *value) {
    if (launch->status == CLM_OK) {
        launch->status =
            clm_opencl_check(clSetKernelArg(launch->kernel, launch->argument, size_bytes, value),
                             "clSetKernelArg", launch->name);
        launch->argument++;
    }
}

void clm_launch_buffer(clm_launch *launch, const clm_buffer *buffer) {
    cl_mem memory = clm_buffer_memory(buffer != NULL ? buffer : launch->device->nothing);
    if (launch->status == CLM_OK && memory == NULL) { /* it lies in parts */
        const double mib = 1024.0 * 1024.0;
        launch->status = clm_fail(
            CLM_ERROR_DEVICE_MEMORY,
            "%s: %s needs %.1f MiB in one piece, and %.1f is the most that the device allocates",
            launch->device->info.name, launch->name, (double)clm_buffer_size_bytes(buffer) / mib,
            (double)launch->device->info.max_allocation_size_bytes / mib);
    }
    set_argument(launch, sizeof memory, &memory);
}

void clm_launch_int(clm_launch *launch, int value) {
    cl_int argument = value;
    set_argument(launch, sizeof argument, &argument);
}

void clm_launch_uint(clm_launch *launch, unsigned value) {
    cl_uint argument = value;
    set_argument(launch, sizeof argument, &argument);
}

void clm_launch_ulong(clm_launch *launch, uint64_t value) {
    cl_ulong argument = value;
    set_argument(launch, sizeof argument, &argument);
}

void clm_launch_float(clm_launch *launch, float value) {
    cl_float argument = value;
    set_argument(launch, sizeof argument, &argument);
}

void clm_launch_local(clm_launch *launch, size_t size_bytes) {
    set_argument(launch, size_bytes, NULL);
}

/* ---- profiling ---- */

static clm_status add_time(clm_device *device, const char *kernel, double seconds) {
    for (size_t i = 0; i < device->time_count; i++) {
        if (strcmp(device->times[i].kernel, kernel) == 0) {
            device->times[i].calls++;
            device->times[i].seconds += seconds;
            return CLM_OK;
        }
    }
    clm_status status = clm_reserve(&device->times, &device->time_capacity, device->time_count + 1,
                                    sizeof *device->times, "kernel times");
    if (status == CLM_OK) {
        device->times[device->time_count++] = (clm_kernel_time){kernel, 1, seconds};
    }
    return status;
}

static clm_status read_pending_times(clm_device *device) {
    clm_status status = clm_device_finish(device);
    for (size_t i = 0; i < device->pending_count; i++) {
        clm_pending_time *pending = &device->pending[i];
        cl_ulong start = 0;
        cl_ulong end = 0;
        cl_int code = CL_INVALID_EVENT;
        if (status == CLM_OK) {
            code = clGetEventProfilingInfo(pending->event, CL_PROFILING_COMMAND_START, sizeof start,
                                           &start, NULL);
        }
        if (code == CL_SUCCESS) {
            code = clGetEventProfilingInfo(pending->event, CL_PROFILING_COMMAND_END, sizeof end,
                                           &end, NULL);
        }
        if (code == CL_SUCCESS) {
            status = add_time(device, pending->kernel, 1e-9 * (double)(end - start));
        }
        clm_release_event(pending->event);
    }
    device->pending_count = 0;
    return status;
}

/* Takes the event, whatever `status` came before. */
static clm_status keep_event(clm_launch *launch, cl_event event, clm_status status) {
    enum { most_pending = 4096 };
    clm_device *device = launch->device;
    if (status == CLM_OK) {
        status = clm_reserve(&device->pending, &device->pending_capacity, device->pending_count + 1,
                             sizeof *device->pending, "kernel times");
    }
    if (status != CLM_OK) {
        clm_release_event(event);
        return status;
    }
    device->pending[device->pending_count++] = (clm_pending_time){event, launch->name};
    return device->pending_count < most_pending ? CLM_OK : read_pending_times(device);
}

static int slowest_first(const void *a, const void *b) {
    double left = ((const clm_kernel_time *)a)->seconds;
    double right = ((const clm_kernel_time *)b)->seconds;
    return left < right ? 1 : left > right ? -1 : 0;
}

clm_status clm_device_profile(clm_device *device, clm_kernel_time **times, size_t *count) {
    *times = NULL;
    *count = 0;
    if (!device->profile) {
        return clm_fail(CLM_ERROR_ARGUMENT,
                        "%s was not opened for profiling (clm_device_options.profile)",
                        device->info.name);
    }
    clm_status status = read_pending_times(device);
    if (status != CLM_OK) {
        return status;
    }
    status = clm_allocate(times, device->time_count, sizeof **times, "kernel times");
    if (status == CLM_OK) {
        if (device->time_count > 0) {
            memcpy(*times, device->times, device->time_count * sizeof **times);
            qsort(*times, device->time_count, sizeof **times, slowest_first);
        }
        *count = device->time_count;
        device->time_count = 0;
    }
    return status;
}

void clm_kernel_times_free(clm_kernel_time *times) {
    clm_free(times);
}

void clm_profile_close(clm_device *device) {
    for (size_t i = 0; i < device->pending_count; i++) {
        clm_release_event(device->pending[i].event);
    }
    clm_free(device->pending);
    clm_free(device->times);
    device->pending = NULL;
    device->times = NULL;
    device->pending_count = device->pending_capacity = 0;
    device->time_count = device->time_capacity = 0;
}

/* ---- which were launched ---- */

static void note_launch(clm_device *device, const char *name) {
    for (size_t i = 0; i < device->launched_count; i++) {
        if (strcmp(device->launched[i], name) == 0) {
            return;
        }
    }
    if (device->launched_count < CLM_LAUNCHED_MOST) {
        device->launched[device->launched_count++] = name;
    }
}

void clm_device_on_launch(clm_device *device, clm_status (*hook)(void *context, const char *kernel),
                          void *context) {
    device->on_launch = hook;
    device->on_launch_context = context;
}

size_t clm_device_launched(clm_device *device, const char *names[], size_t capacity) {
    const size_t count = device->launched_count < capacity ? device->launched_count : capacity;
    for (size_t i = 0; i < count; i++) {
        names[i] = device->launched[i];
    }
    device->launched_count = 0;
    return count;
}

/* ---- enqueueing ---- */

static clm_status run(clm_launch *launch, cl_uint dimensions, const size_t *global,
                      const size_t *local) {
    if (launch->status != CLM_OK) {
        return launch->status;
    }
    size_t whole[3] = {1, 1, 1};
    size_t group[3] = {1, 1, 1};
    for (cl_uint i = 0; i < dimensions; i++) {
        group[i] = local[i] > 0 ? local[i] : 1;
        whole[i] = (global[i] + group[i] - 1) / group[i] * group[i];
        if (whole[i] == 0) {
            return clm_fail(CLM_ERROR_INTERNAL, "%s: a global size of 0", launch->name);
        }
    }
    clm_device *device = launch->device;
    note_launch(device, launch->name);
    clm_status status = clm_device_check(device);
    if (status != CLM_OK) {
        return status;
    }
    const bool watched = clm_device_is_watched(device);
    cl_event event = NULL;
    cl_int code =
        clEnqueueNDRangeKernel(device->queue, launch->kernel, dimensions, NULL, whole, group, 0,
                               NULL, device->profile || watched ? &event : NULL);
    if (code != CL_SUCCESS) {
        return clm_opencl_check(code, "clEnqueueNDRangeKernel", launch->name);
    }
    if (watched && device->profile) {
        (void)clRetainEvent(event); /* for both */
    }
    status = watched ? clm_device_watch(device, event, launch->name) : CLM_OK;
    return device->profile ? keep_event(launch, event, status) : status;
}

clm_status clm_launch_1d(clm_launch *launch, size_t global, size_t local) {
    return run(launch, 1, &global, &local);
}

clm_status clm_launch_2d(clm_launch *launch, const size_t global[2], const size_t local[2]) {
    return run(launch, 2, global, local);
}

clm_status clm_launch_3d(clm_launch *launch, const size_t global[3], const size_t local[3]) {
    return run(launch, 3, global, local);
}
