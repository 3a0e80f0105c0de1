/* OpenCL devices: listing, choosing and opening them.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_DEVICE_H
#define CLM_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clm/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum clm_device_type {
    CLM_DEVICE_GPU = 0,
    CLM_DEVICE_ACCELERATOR = 1,
    CLM_DEVICE_CPU = 2,
    CLM_DEVICE_OTHER = 3
} clm_device_type;

/* What a device reports about itself. */
typedef struct clm_device_info {
    int index; /* its position in clm_device_list(), as in "--device 0" */
    clm_device_type type;
    char name[256];
    char vendor[128];
    char platform[128];
    char platform_version[128];
    char driver[128];  /* driver version */
    char version[128]; /* "OpenCL 1.2 ..." */
    int compute_units;
    int clock_mhz;
    size_t max_work_group_size;
    uint64_t memory_size_bytes;
    uint64_t max_allocation_size_bytes;
    uint64_t local_memory_size_bytes;
    bool has_fp16; /* cl_khr_fp16: half arithmetic; half storage works everywhere */
    bool has_fp64;
    bool has_subgroups;
    bool is_default;       /* clm_device_open() takes it when nothing else is asked for */
    int rank;              /* position in clm's order of preference, from 1 */
    char rank_reason[128]; /* the reason for it: "CPU, native driver, 2 units" */
} clm_device_info;

/* A known oddity or fault of a device's driver. All texts are static. */
typedef struct clm_quirk {
    const char *name;   /* "pocl-barriers" */
    const char *reason; /* what is odd */
    const char *action; /* what clm does about it */
    const char *see;    /* where to read about it, or how to see it */
} clm_quirk;

/* The quirks that apply to a device, by index from 0; NULL past the last. Static. */
CLM_API const clm_quirk *clm_device_quirk(const clm_device_info *info, size_t index);

/* All devices of all platforms, in the loader's order of platforms, through *list, which the caller
 * frees with clm_device_list_free(). A platform without devices is normal and adds nothing.
 * CLM_ERROR_NO_DEVICE when there is no device at all: the message gives the cause where it can be
 * found (a driver that cannot be loaded, an empty folder of drivers, a cache that cannot be
 * written, a device node without permission), and what to do. CLM_ERROR_OPENCL, CLM_ERROR_MEMORY.
 */
CLM_API clm_status clm_device_list(clm_device_info **list, size_t *count);
CLM_API void clm_device_list_free(clm_device_info *list); /* NULL is fine */

/* Installed drivers that cannot be loaded and platforms without devices, each with what may help,
 * one per line, into `text` (cut at `capacity`); "" when there are none. Loads the drivers that the
 * loader would load. CLM_ERROR_OPENCL, CLM_ERROR_MEMORY. */
CLM_API clm_status clm_device_hints(char *text, size_t capacity);

/* "GPU", "CPU", "accelerator", "other". Static. */
CLM_API const char *clm_device_type_name(clm_device_type type);

typedef struct clm_device_options {
    /* Which device: an index of clm_device_list() ("1"), a type ("gpu", "cpu", "accelerator"), or
     * part of the device's or the platform's name, ignoring case ("radeon", "pocl"). NULL or "":
     * the environment's CLM_DEVICE, else the default: GPUs before accelerators before CPUs, native
     * drivers before emulation on the CPU, more compute units before fewer. */
    const char *pattern;
    bool profile; /* time each kernel; see clm_device_profile() */
} clm_device_options;

#define CLM_DEVICE_OPTIONS_DEFAULT \
    { NULL, false }

/* An opened device: a context, an in-order queue, buffers and built kernels. One thread at a time
 * may use it and everything on it (buffers, models, trainers). Several devices may be used by one
 * thread each, even if they are the same device opened several times.
 *
 * Drivers do not survive a fork(): their threads do not exist in the child and their locks may stay
 * held, so they hang. In a child that was forked after the first call here (including
 * clm_device_list()), every call that would reach the driver returns CLM_ERROR_FORKED; closing a
 * device frees the child's memory and leaves the driver alone. Such a child should end by exec or
 * _exit(), because drivers clean up at exit(). Programs that work in children should open their
 * devices there, and list none before. */
typedef struct clm_device clm_device;

/* Opens a device through *device; `options` may be NULL. Before the first OpenCL call of the
 * process, environment variables that drivers read at start-up are set, unless they are set
 * already: see the actions of clm_device_quirk(). The caller closes *device, which is NULL after a
 * failure. CLM_ERROR_NO_DEVICE: nothing matches; the message lists the available devices.
 * CLM_ERROR_OPENCL, CLM_ERROR_MEMORY. */
CLM_API clm_status clm_device_open(clm_device **device, const clm_device_options *options);

/* Waits for the device, then frees everything. Buffers, models and datasets on it must be gone.
 * NULL is fine. */
CLM_API void clm_device_close(clm_device *device);

/* Lent until the device is closed. */
CLM_API const clm_device_info *clm_device_get_info(const clm_device *device);

/* Blocks until all enqueued work is done. CLM_ERROR_OPENCL: some of it failed, or the device was
 * lost. CLM_ERROR_FORKED, here and wherever a device is used: see clm_device.
 *
 * If CLM_DEVICE_TIMEOUT in the environment is a number of seconds, this and every other call that
 * waits for the device fails with CLM_ERROR_TIMEOUT when no kernel has finished for that long; the
 * message names the kernel that hangs. The device is then given up: all calls on it fail with that
 * error, and closing it and what is on it frees nothing that it may still use. The process should
 * end, by _exit() or quick_exit(): drivers may wait for the device at exit(). */
CLM_API clm_status clm_device_finish(clm_device *device);

/* Memory in buffers now, and the most there has been. */
CLM_API uint64_t clm_device_memory_bytes(const clm_device *device);
CLM_API uint64_t clm_device_memory_peak_bytes(const clm_device *device);

/* One kernel's time since the device was opened with `profile`, or since the last call. */
typedef struct clm_kernel_time {
    const char *kernel; /* lent until the device is closed */
    uint64_t calls;
    double seconds;
} clm_kernel_time;

/* Times by kernel, slowest first, through *times, which the caller frees with
 * clm_kernel_times_free(). Blocks. CLM_ERROR_ARGUMENT: the device was opened without `profile`.
 * CLM_ERROR_OPENCL, CLM_ERROR_MEMORY. */
CLM_API clm_status clm_device_profile(clm_device *device, clm_kernel_time **times, size_t *count);
CLM_API void clm_kernel_times_free(clm_kernel_time *times); /* NULL is fine */

#ifdef __cplusplus
}
#endif
#endif
