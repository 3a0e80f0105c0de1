/* What the files of this room share.
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

/* Files that are built as one program where that pays. */
typedef struct clm_program_group clm_program_group;

/* A built program: one file, or one group of files, with one set of options. */
typedef struct clm_program {
    const clm_program_group *group; /* NULL: a file alone */
    char *file;                     /* in a group, the one that was asked for first */
    char *options;
    cl_program program; /* NULL when the group does not compile: its files are built alone */
    clm_kernel *kernels;
    size_t kernel_count;
    size_t kernel_capacity;
} clm_program;

/* A launch whose time has not been read yet, or that may not have ended. */
typedef struct clm_pending_time {
    cl_event event;
    const char *kernel;
} clm_pending_time;

/* Where small writes wait for the queue to come to them; the oldest is taken again. */
enum { CLM_STAGING_COUNT = 16, CLM_STAGING_BYTES = 1 << 19 };
typedef struct clm_staging {
    cl_event event; /* of the write, NULL when none is under way */
    void *bytes;
    size_t capacity; /* as large as they had to be, CLM_STAGING_BYTES at most */
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
    uint64_t pool_bytes;
    uint64_t used_bytes;
    uint64_t peak_bytes;
    bool poison; /* fill new buffers with NaN, for tests */

    clm_staging staging[CLM_STAGING_COUNT];
    size_t next_staging;

    const char *launched[CLM_LAUNCHED_MOST]; /* kernels, since clm_device_launched() was asked */
    size_t launched_count;
    clm_status (*on_launch)(void *context, const char *kernel); /* or NULL */
    void *on_launch_context;

    double limit_seconds; /* how long nothing may end while somebody waits; 0 for ever */
    bool is_given_up;
    const char *hanging; /* the kernel that ran then, NULL when none did */
    clm_pending_time *watched;
    size_t watched_count;
    size_t watched_capacity;
    size_t watched_most; /* when there are so many, those that have ended are forgotten */
    void **kept;         /* what a device that was given up may still use */
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

/* Reads what a device says of itself. */
clm_status clm_device_describe(clm_device_info *info, cl_platform_id platform, cl_device_id id);

/* Called once, before the first OpenCL call: clm_is_forked() is about what comes after. */
void clm_fork_watch(void);

/* CLM_ERROR_FORKED in a forked child. */
clm_status clm_check_fork(void);

/* Objects of OpenCL are left alone in a forked child: the driver would wait for its own threads. */
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

/* Sets what drivers read from the environment when they start, unless the user has. Once a process,
 * before the first OpenCL call. */
void clm_quirks_before_first_call(void);

/* Whether a device is emulated on the processor: it ranks behind native drivers. */
bool clm_quirk_is_emulation(const clm_device_info *info);

/* Whether others drive the same kind of device better. */
bool clm_quirk_is_superseded(const clm_device_info *info);

/* Options that every kernel is built with on the device, with a blank before each; "" for none.
 * Static. */
const char *clm_quirk_build_options(const clm_device_info *info);

/* Whether the driver keeps built kernels on disk itself, so that a cache of ours would only cost.
 */
bool clm_quirk_caches_kernels(const clm_device_info *info);

/* Whether building a program costs much beside what is in it, and nothing is compiled before it is
 * used, so that files are better built together. */
bool clm_quirk_joins_files(const clm_device_info *info);

/* Whether large buffers are better made on memory of clm's own, in large pages. */
bool clm_quirk_wants_pages(const clm_device_info *info);

/* How often a work-item may go round loops. */
int clm_quirk_iteration_limit(const clm_device_info *info);

/* Whether a device is simulated, a thousand times as slow as others. */
bool clm_quirk_is_simulation(const clm_device_info *info);

/* How many work-items the groups have that operations choose themselves; what the device allows is
 * another limit. */
size_t clm_quirk_most_items(const clm_device_info *info);

/* CLM_DEVICE_TIMEOUT; 0 when it is not set. CLM_ERROR_ARGUMENT when it is no number of seconds. */
clm_status clm_wait_limit_read(double *seconds);

/* Block until the event has come, or until everything enqueued is done. The event stays the
 * caller's. CLM_ERROR_OPENCL when the device failed meanwhile, CLM_ERROR_TIMEOUT when it hangs. */
clm_status clm_wait_event(clm_device *device, cl_event event);
clm_status clm_wait_queue(clm_device *device);

/* What to call before a call of OpenCL that blocks: where there is a limit, waits within it. */
clm_status clm_wait_before_blocking(clm_device *device);

/* clm_opencl_check() for calls that wait: there CL_OUT_OF_RESOURCES does not mean memory. */
clm_status clm_opencl_check_wait(cl_int code, const char *call, const clm_device *device);
void clm_watch_close(clm_device *device);

clm_status clm_buffer_pool_open(clm_device *device);
void clm_buffer_pool_close(clm_device *device);
clm_device *clm_buffer_device(const clm_buffer *buffer);

/* Where some of a buffer's bytes lie: in one of its parts, as many of them as that has. */
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

/* Built programs on disk. Load leaves *program NULL, with CLM_OK, when there is no entry or a
 * damaged one; store never fails: what cannot be kept is only slower next time. */
clm_status clm_kernel_cache_load(cl_program *program, clm_device *device, const char *source,
                                 const char *options);
void clm_kernel_cache_store(clm_device *device, cl_program program, const char *source,
                            const char *options);

/* Removes entries of the folder, those first that were not used for longest, until the others have
 * `most_bytes` or less together, and what killed processes left half written. Never fails: what
 * cannot be removed stays. */
void clm_kernel_cache_trim(const clm_folder *folder, uint64_t most_bytes);

#endif
