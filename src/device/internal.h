/* Declarations shared by the files of this room.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_DEVICE_INTERNAL_H
#define CLM_DEVICE_INTERNAL_H

#include "base/folder.h"
#include "device/device.h"

typedef struct clm_kernel {
    char *name;
    cl_kernel kernel;
} clm_kernel;

/* Kernels compiled together where that pays. */
typedef struct clm_program_group clm_program_group;

/* A built program: one file, or one group of files, with one set of options. */
typedef struct clm_program {
    const clm_program_group *group; /* NULL: a file alone */
    char *file;                     /* in a group, the one requested first */
    char *options;
    cl_program program; /* NULL when the group does not compile: its files are built alone */
    clm_kernel *kernels;
    size_t kernel_count;
    size_t kernel_capacity;
} clm_program;

/* A launch whose time has not been read yet, or that may still be running. */
typedef struct clm_pending_time {
    cl_event event;
    const char *kernel;
} clm_pending_time;

/* Staging memory for small writes until the queue executes them; the oldest slot is reused. */
enum { CLM_STAGING_COUNT = 16, CLM_STAGING_BYTES = 1 << 19 };
typedef struct clm_staging {
    cl_event event; /* of the pending write, or NULL */
    void *bytes;
    size_t capacity; /* grows as needed, up to CLM_STAGING_BYTES */
} clm_staging;

typedef struct clm_close_hook {
    void (*hook)(void *context);
    void *context;
} clm_close_hook;

struct clm_device {
    cl_platform_id platform;
    cl_device_id id;
    cl_context context;
    cl_command_queue queue;
    clm_device_info info;
    int vector_width;
    size_t part_alignment_bytes;

    clm_program *programs;
    size_t program_count;
    size_t program_capacity;

    clm_buffer *nothing; /* stands for a NULL argument */
    clm_buffer *pool;    /* released buffers, most recent first */
    clm_buffer *scratch; /* the largest that was taken so far, or NULL */
    uint64_t pool_bytes; /* of these and of scratch: the device's, not in use by anybody */
    uint64_t used_bytes;
    uint64_t peak_bytes;
    bool poison; /* fill new buffers with NaN, for tests */

    clm_staging staging[CLM_STAGING_COUNT];
    size_t next_staging;

    const char *launched[CLM_LAUNCHED_MOST]; /* kernels, since the last clm_device_launched() */
    size_t launched_count;
    clm_status (*on_launch)(void *context, const char *kernel); /* or NULL */
    void *on_launch_context;

    double limit_seconds; /* a wait fails when nothing finishes for this long; 0: no limit */
    bool is_given_up;
    const char *hanging; /* the kernel that was running then, or NULL */
    clm_pending_time *watched;
    size_t watched_count;
    size_t watched_capacity;
    size_t watched_most; /* at this many, those that have finished are dropped */
    void **kept;         /* memory that a device that was given up may still use */
    size_t kept_count;
    size_t kept_capacity;
    clm_device *next_given_up;

    bool profile;
    clm_pending_time *pending;
    size_t pending_count;
    size_t pending_capacity;
    clm_kernel_time *times;
    size_t time_count;
    size_t time_capacity;

    clm_close_hook *hooks;
    size_t hook_count;
    size_t hook_capacity;
};

/* Reads what a device reports about itself. */
clm_status clm_device_describe(clm_device_info *info, cl_platform_id platform, cl_device_id id);

/* Called once, before the first OpenCL call; clm_is_forked() detects forks after it. */
void clm_fork_watch(void);

/* CLM_ERROR_FORKED in a forked child. */
clm_status clm_check_fork(void);

/* OpenCL objects are left alone in a forked child: the driver would wait for its own threads. */
static inline void clm_release_event(cl_event event) {
    if (!clm_is_forked()) {
        (void)clReleaseEvent(event);
    }
}

static inline void clm_release_memory(cl_mem memory) {
    if (!clm_is_forked()) {
        (void)clReleaseMemObject(memory);
    }
}

static inline void clm_release_kernel(cl_kernel kernel) {
    if (!clm_is_forked()) {
        (void)clReleaseKernel(kernel);
    }
}

static inline void clm_release_program(cl_program program) {
    if (!clm_is_forked()) {
        (void)clReleaseProgram(program);
    }
}

/* Sets environment variables that drivers read at start-up, unless the user has set them. Once per
 * process, before the first OpenCL call. */
void clm_quirks_before_first_call(void);

/* Whether a device is emulated on the CPU: it ranks behind native drivers. */
bool clm_quirk_is_emulation(const clm_device_info *info);

/* Whether other drivers are better for the same type of device. */
bool clm_quirk_is_superseded(const clm_device_info *info);

/* Build options for all kernels on the device, with a blank before each; "" for none. Static. */
const char *clm_quirk_build_options(const clm_device_info *info);

/* Whether the driver caches built kernels on disk itself, so that our cache would only add cost. */
bool clm_quirk_caches_kernels(const clm_device_info *info);

/* Whether each program has a high fixed cost and kernels are compiled only when used, so that files
 * are better built together. */
bool clm_quirk_joins_files(const clm_device_info *info);

/* Whether large buffers are faster in memory that clm allocates itself, in large pages. */
bool clm_quirk_wants_pages(const clm_device_info *info);

/* How many loop iterations a work-item may run. */
int clm_quirk_iteration_limit(const clm_device_info *info);

/* Whether a device is simulated, and a thousand times slower than others. */
bool clm_quirk_is_simulation(const clm_device_info *info);

/* The largest work-group that operations choose on their own; the device's limit applies as well.
 */
size_t clm_quirk_most_items(const clm_device_info *info);

/* CLM_DEVICE_TIMEOUT; 0 if it is not set. CLM_ERROR_ARGUMENT if it is not a number of seconds. */
clm_status clm_wait_limit_read(double *seconds);

/* Block until the event is complete, or until everything enqueued is done. The caller keeps the
 * event. CLM_ERROR_OPENCL when the device failed meanwhile, CLM_ERROR_TIMEOUT when it hangs. */
clm_status clm_wait_event(clm_device *device, cl_event event);
clm_status clm_wait_queue(clm_device *device);

/* Call this before an OpenCL call that blocks: if there is a limit, it waits within the limit. */
clm_status clm_wait_before_blocking(clm_device *device);

/* clm_opencl_check() for calls that wait: there CL_OUT_OF_RESOURCES does not mean memory. */
clm_status clm_opencl_check_wait(cl_int code, const char *call, const clm_device *device);
void clm_watch_close(clm_device *device);

clm_status clm_buffer_pool_open(clm_device *device);
void clm_buffer_pool_close(clm_device *device);
clm_device *clm_buffer_device(const clm_buffer *buffer);

/* A range of a buffer within one of its parts; it ends where the part ends. */
typedef struct clm_buffer_range {
    const clm_buffer *part;
    size_t offset_bytes;
    size_t size_bytes;
} clm_buffer_range;
clm_buffer_range clm_buffer_range_at(const clm_buffer *buffer, size_t offset_bytes,
                                     size_t size_bytes);

void clm_staging_close(clm_device *device);
void clm_programs_close(clm_device *device);
void clm_profile_close(clm_device *device);

/* Whether built programs are kept on disk for the device. */
bool clm_kernel_cache_is_on(const clm_device *device);

/* Built programs on disk. Load leaves *program NULL, with CLM_OK, if there is no entry or a damaged
 * one. Store never fails: a program that cannot be stored is built again next time. */
clm_status clm_kernel_cache_load(cl_program *program, clm_device *device, const char *source,
                                 const char *options);
void clm_kernel_cache_store(clm_device *device, cl_program program, const char *source,
                            const char *options);

/* CLM_KERNEL_CACHE_MIB, or the default. CLM_ERROR_ARGUMENT if it is not a whole number. */
clm_status clm_kernel_cache_limit(uint64_t *bytes);

/* Removes entries of the folder, least recently used first, until the rest have `most_bytes` or
 * less in total, and files left half written by killed processes. Never fails: what cannot be
 * removed stays. */
void clm_kernel_cache_trim(const clm_folder *folder, uint64_t most_bytes);

#endif
