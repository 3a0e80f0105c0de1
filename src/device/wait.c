/* Waiting for the device, with or without a limit.
 *
 * Without one, the driver waits. With one (CLM_DEVICE_TIMEOUT), launches are watched by their
 * events and polled: when none of them ends for so long, the first that has not ended is the one
 * that hangs, because the queue is in order. A device that hangs cannot be made to let go of what
 * it uses, so it is given up: nothing of it is freed, and whatever asks it again fails at once.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/number.h"
#include "device/internal.h"

clm_status clm_wait_limit_read(double *seconds) {
    const char *text = getenv("CLM_DEVICE_TIMEOUT");
    *seconds = 0.0;
    if (text == NULL || text[0] == '\0') {
        return CLM_OK;
    }
    if (!clm_number_parse(text, strlen(text), seconds) || !(*seconds >= 0.0)) {
        return clm_fail(CLM_ERROR_ARGUMENT,
                        "CLM_DEVICE_TIMEOUT is a number of seconds, 0 for no limit, not \"%s\"",
                        text);
    }
    return CLM_OK;
}

clm_status clm_opencl_check_wait(cl_int code, const char *call, const clm_device *device) {
    /* Drivers say so of a kernel that crashed or that their watchdog stopped, and of a device that
     * is gone: a smaller batch would not help. */
    if (code == CL_OUT_OF_RESOURCES || code == CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST) {
        return clm_fail(CLM_ERROR_OPENCL,
                        "%s: %s returned %s (%d): a kernel failed, or the device was lost or reset",
                        device->info.name, call, clm_opencl_error_name(code), (int)code);
    }
    return clm_opencl_check(code, call, device->info.name);
}

/* ---- launches that are watched ---- */

bool clm_device_is_watched(const clm_device *device) {
    return device->limit_seconds > 0.0;
}

static bool has_ended(cl_event event) {
    cl_int state = CL_COMPLETE;
    return clGetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof state, &state, NULL) !=
               CL_SUCCESS ||
           state <= CL_COMPLETE;
}

/* Forgets the first launches as far as they have ended. */
static size_t forget_ended(clm_device *device) {
    size_t count = 0;
    while (count < device->watched_count && has_ended(device->watched[count].event)) {
        clm_release_event(device->watched[count].event);
        count++;
    }
    if (count > 0) {
        device->watched_count -= count;
        memmove(device->watched, device->watched + count,
                device->watched_count * sizeof *device->watched);
    }
    return count;
}

clm_status clm_device_watch(clm_device *device, cl_event event, const char *kernel) {
    enum { few = 512 };
    if (device->watched_count >= device->watched_most) {
        (void)forget_ended(device);
        device->watched_most = 2 * device->watched_count > few ? 2 * device->watched_count : few;
    }
    clm_status status =
        clm_reserve(&device->watched, &device->watched_capacity, device->watched_count + 1,
                    sizeof *device->watched, "watched kernels");
    if (status != CLM_OK) {
        clm_release_event(event);
        return status;
    }
    device->watched[device->watched_count++] = (clm_pending_time){event, kernel};
    return CLM_OK;
}

void clm_watch_close(clm_device *device) {
    for (size_t i = 0; i < device->watched_count; i++) {
        clm_release_event(device->watched[i].event);
    }
    clm_free(device->watched);
}

/* ---- a device that hangs ---- */

bool clm_device_is_given_up(const clm_device *device) {
    return device->is_given_up;
}

/* The same message each time, so that cleaning up does not replace it. */
static clm_status fail_given_up(const clm_device *device) {
    const char *kernel = device->hanging;
    return clm_fail(CLM_ERROR_TIMEOUT,
                    "%s: %s%s has not ended for %g s (CLM_DEVICE_TIMEOUT), so the device was given "
                    "up: it or its driver hangs, or the limit is too short",
                    device->info.name, kernel != NULL ? "kernel " : "a copy",
                    kernel != NULL ? kernel : "", device->limit_seconds);
}

clm_status clm_device_check(const clm_device *device) {
    return device->is_given_up ? fail_given_up(device) : clm_check_fork();
}

static clm_status give_up(clm_device *device) {
    device->is_given_up = true;
    device->hanging = device->watched_count > 0 ? device->watched[0].kernel : NULL;
    return fail_given_up(device);
}

void clm_device_keep(clm_device *device, void *memory) {
    clm_error_hold();
    if (clm_reserve(&device->kept, &device->kept_capacity, device->kept_count + 1,
                    sizeof *device->kept, "what a device keeps") == CLM_OK) {
        device->kept[device->kept_count++] = memory;
    }
    clm_error_release();
}

/* ---- waiting ---- */

static void nap(long *nanoseconds) {
    const struct timespec time = {.tv_nsec = *nanoseconds};
    (void)nanosleep(&time, NULL);
    *nanoseconds = *nanoseconds < 500000 ? 2 * *nanoseconds : 1000000;
}

/* Until the event has come, or nothing has ended for too long. */
static clm_status poll(clm_device *device, cl_event event) {
    clm_status status = CLM_OK;
    long nap_ns = 20000;
    CLM_TRY(clm_opencl_check_wait(clFlush(device->queue), "clFlush", device));
    for (double since = clm_seconds();;) {
        cl_int state = CL_QUEUED;
        CLM_TRY(clm_opencl_check_wait(
            clGetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof state, &state, NULL),
            "clGetEventInfo", device));
        const bool progress = forget_ended(device) > 0;
        if (state <= CL_COMPLETE) {
            return clm_opencl_check_wait(state, "clGetEventInfo", device);
        }
        const double now = clm_seconds();
        if (progress) {
            since = now;
        } else if (now - since > device->limit_seconds) {
            return give_up(device);
        }
        nap(&nap_ns);
    }
cleanup:
    return status;
}

clm_status clm_wait_event(clm_device *device, cl_event event) {
    const clm_status status = clm_device_check(device);
    if (status != CLM_OK) {
        return status;
    }
    return clm_device_is_watched(device)
               ? poll(device, event)
               : clm_opencl_check_wait(clWaitForEvents(1, &event), "clWaitForEvents", device);
}

clm_status clm_wait_queue(clm_device *device) {
    clm_status status = clm_device_check(device);
    if (status != CLM_OK) {
        return status;
    }
    if (!clm_device_is_watched(device)) {
        return clm_opencl_check_wait(clFinish(device->queue), "clFinish", device);
    }
    cl_event event = NULL;
    status = clm_opencl_check_wait(clEnqueueMarkerWithWaitList(device->queue, 0, NULL, &event),
                                   "clEnqueueMarkerWithWaitList", device);
    if (status == CLM_OK) {
        status = poll(device, event);
        clm_release_event(event);
    }
    return status;
}

clm_status clm_device_finish(clm_device *device) {
    return clm_wait_queue(device);
}

clm_status clm_wait_before_blocking(clm_device *device) {
    return clm_device_is_watched(device) ? clm_wait_queue(device) : CLM_OK;
}
