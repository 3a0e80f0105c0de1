/* The device layer that operations stand on: buffers from a pool, kernels by file and name, and
 * launches whose first error sticks. Nothing here waits for the device unless it says so; the
 * queue is in order, so that what is enqueued later sees what was enqueued before.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_DEVICE_DEVICE_H
#define CLM_DEVICE_DEVICE_H

#define CL_USE_DEPRECATED_OPENCL_1_2_APIS
#include <CL/cl.h>

#include "base/error.h"
#include "clm/device.h"

/* ---- what operations may ask of a device ---- */

cl_command_queue clm_device_queue(clm_device *device);
cl_context clm_device_context(clm_device *device);
cl_device_id clm_device_id(clm_device *device);

/* Runs work-items as a processor's threads do, one work-group a core: true for CPU devices, where
 * one work-item that does much, in wide vectors, beats many that do little. Kernels choose their
 * variant by this. */
bool clm_device_is_cpu(const clm_device *device);

/* Whether it is emulated on a processor, so that its speed is of no interest. */
bool clm_device_is_emulated(const clm_device *device);

/* Whether it is a simulator, which takes minutes for what others do in a moment. */
bool clm_device_is_simulator(const clm_device *device);

/* The preferred width of float vectors for CPU devices (16 with AVX-512, 8 with AVX2, 4 else). */
int clm_device_vector_width(const clm_device *device);

/* The largest work-group of `want` or fewer items, a power of two, that the device can run. */
size_t clm_device_work_group(const clm_device *device, size_t want);

/* How often one work-item may go round loops, all together, before the driver stops it; INT_MAX
 * where it does not. */
int clm_device_iteration_limit(const clm_device *device);

/* Calls `hook(context)` when the device is closed, after it has finished its work; the last added
 * first. For what libraries behind operations keep for a device. */
clm_status clm_device_on_close(clm_device *device, void (*hook)(void *context), void *context);

/* The context that was last given with `hook`, NULL when none was: how an operation finds again
 * what it keeps for a device. */
void *clm_device_close_context(const clm_device *device, void (*hook)(void *context));

/* Whether there is a limit to waiting (CLM_DEVICE_TIMEOUT): launches then have an event, which goes
 * to clm_device_watch() with the kernel's name (static, or lent until the device is closed). It
 * takes the event over, also when it fails. */
bool clm_device_is_watched(const clm_device *device);
clm_status clm_device_watch(clm_device *device, cl_event event, const char *kernel);

/* Whether the device may be asked for anything: CLM_ERROR_TIMEOUT when it was given up,
 * CLM_ERROR_FORKED in a child of the process that opened it. All calls here that reach the driver
 * begin with it; so must those that reach it otherwise. */
clm_status clm_device_check(const clm_device *device);

/* Whether this process was forked from one that had begun to use OpenCL. Then objects of OpenCL are
 * left alone: releasing one may wait for a thread of the driver that the child does not have. */
bool clm_is_forked(void);

/* Whether the device did not end within the limit. It may still use what it was lent: memory that
 * is not to be freed any more goes to clm_device_keep(). */
bool clm_device_is_given_up(const clm_device *device);
void clm_device_keep(clm_device *device, void *memory);

/* ---- buffers ---- */

/* Device memory. Size is rounded up inside; contents are undefined when created. */
typedef struct clm_buffer clm_buffer;

/* At least `size_bytes` (a size of 0 makes a buffer of one element) through *buffer. `what` names
 * it in errors: CLM_ERROR_DEVICE_MEMORY says how much was asked for, is in use, and can be had in
 * one piece. */
clm_status clm_buffer_create(clm_buffer **buffer, clm_device *device, size_t size_bytes,
                             const char *what);

/* A buffer that only kernels read, of bytes that the host has already, through *buffer: in place
 * where the device is a processor, so that nothing is copied and what is never read need not even
 * be loaded; a copy elsewhere. `host` must be writable memory (drivers may put the same bytes
 * back), and stay until the buffer is released and the device has finished. */
clm_status clm_buffer_create_lent(clm_buffer **buffer, clm_device *device, const void *host,
                                  size_t size_bytes, const char *what);

/* What offsets of parts must be multiples of; a multiple of 64. */
size_t clm_device_part_alignment_bytes(const clm_device *device);

/* Bytes offset_bytes and on of `whole`, as a buffer of its own that must be released before
 * `whole`. Both see what is written to either. CLM_ERROR_ARGUMENT when it does not lie within
 * `whole`, is empty, or does not begin where a part can; `whole` must not be a part itself. */
clm_status clm_buffer_create_part(clm_buffer **part, clm_buffer *whole, size_t offset_bytes,
                                  size_t size_bytes, const char *what);

/* No buffer is larger than the device allocates in one piece, so that what is larger lies in
 * several, its parts. All of the calls below take a buffer in parts; an operation takes one only
 * where it says so, and fails with CLM_ERROR_DEVICE_MEMORY otherwise.
 *
 * A buffer as clm_buffer_create() makes it, or, when the device does not allocate so much in one
 * piece, one in parts of as many whole units (rows of a matrix) as it does. `host` not NULL: of
 * those bytes, as clm_buffer_create_lent(). CLM_ERROR_DEVICE_MEMORY also when one unit is too
 * large. */
clm_status clm_buffer_create_in_parts(clm_buffer **buffer, clm_device *device, const void *host,
                                      size_t size_bytes, size_t unit_bytes, const char *what);

/* One buffer of `count` others, all of one size but the last, which may be smaller. It has them
 * from then on, and releases them; after a failure they are released, too. */
clm_status clm_buffer_join(clm_buffer **joined, clm_buffer *const *parts, size_t count,
                           const char *what);

/* 1 for a buffer in one piece, whose only part is itself. Parts are lent. */
size_t clm_buffer_part_count(const clm_buffer *buffer);
const clm_buffer *clm_buffer_part(const clm_buffer *buffer, size_t i);

/* Gives it back to the device's pool, where the next buffer of like size takes it; safe while
 * kernels that use it are still enqueued. NULL is fine. */
void clm_buffer_release(clm_buffer *buffer);

/* Waits for the device, then gives what lies in its pool back to the driver: for those who are done
 * with one job and begin another. */
clm_status clm_buffer_pool_trim(clm_device *device);

size_t clm_buffer_size_bytes(const clm_buffer *buffer);
cl_mem clm_buffer_memory(const clm_buffer *buffer); /* NULL for one in parts */

/* Copies from and to host memory; out of range is CLM_ERROR_ARGUMENT. Both return when `host` may
 * be used again: a write of more than half a megabyte, and a read, when the queue has come to it.
 */
clm_status clm_buffer_write(clm_buffer *buffer, size_t offset_bytes, const void *host,
                            size_t size_bytes);
clm_status clm_buffer_read(const clm_buffer *buffer, size_t offset_bytes, void *host,
                           size_t size_bytes);

/* Enqueues only: `host` must stay as it is until the queue has come to it. */
clm_status clm_buffer_write_lent(clm_buffer *buffer, size_t offset_bytes, const void *host,
                                 size_t size_bytes);

/* A read that is under way: begin, do something else, wait. Starts zeroed; beginning another with
 * the same waits for the one before. Waiting for none is fine. `host` is the device's meanwhile. */
typedef struct clm_read {
    clm_device *device;
    cl_event event;
    void *host;
    size_t size_bytes;
    void *aside; /* where it goes first when the device may be given up meanwhile */
} clm_read;

clm_status clm_buffer_read_begin(clm_read *read, const clm_buffer *buffer, size_t offset_bytes,
                                 void *host, size_t size_bytes);
clm_status clm_read_wait(clm_read *read);

/* Enqueue only. */
clm_status clm_buffer_zero(clm_buffer *buffer, size_t offset_bytes, size_t size_bytes);
clm_status clm_buffer_copy(clm_buffer *to, size_t to_offset_bytes, const clm_buffer *from,
                           size_t from_offset_bytes, size_t size_bytes);

/* ---- launches ----
 *
 *     clm_launch launch = clm_launch_begin(device, "layernorm", "layernorm_forward", "-DWIDTH=16");
 *     clm_launch_buffer(&launch, out);
 *     clm_launch_int(&launch, C);
 *     return clm_launch_1d(&launch, global, local);
 *
 * The first call with a file and options builds the program (embedded in the library from
 * cl/<file>.cl, or read from $CLM_KERNEL_DIR/<file>.cl during development) and keeps it; a build
 * failure is CLM_ERROR_BUILD with the compiler's first error line, which names file and line.
 * Arguments go in the order of the kernel's parameters. */
typedef struct clm_launch {
    clm_device *device;
    cl_kernel kernel;
    const char *name;
    cl_uint argument;
    clm_status status;
} clm_launch;

/* `options` are build options ("-DNAME=value ..."), NULL or "" for none. */
clm_launch clm_launch_begin(clm_device *device, const char *file, const char *kernel,
                            const char *options);
/* A NULL buffer passes a small dummy buffer: kernels learn from another argument that there is
 * none. */
void clm_launch_buffer(clm_launch *launch, const clm_buffer *buffer);
void clm_launch_int(clm_launch *launch, int value);
void clm_launch_uint(clm_launch *launch, unsigned value);
void clm_launch_ulong(clm_launch *launch, uint64_t value);
void clm_launch_float(clm_launch *launch, float value);
void clm_launch_local(clm_launch *launch, size_t size_bytes); /* a __local pointer */

/* Enqueues. The global size is rounded up to whole work-groups (OpenCL 1.2 has no others), so
 * kernels guard their stores. A local size of 0 means 1. */
clm_status clm_launch_1d(clm_launch *launch, size_t global, size_t local);
clm_status clm_launch_2d(clm_launch *launch, const size_t global[2], const size_t local[2]);
clm_status clm_launch_3d(clm_launch *launch, const size_t global[3], const size_t local[3]);

/* Calls `hook` before each launch by way of clm_launch_begin(), before its kernel is built, too.
 * The launch fails with what the hook returns. NULL: no more. */
void clm_device_on_launch(clm_device *device, clm_status (*hook)(void *context, const char *kernel),
                          void *context);

/* The names of the kernels that were launched since the last call, each once and at most `capacity`
 * of them, in names; returns how many. Lent until the device is closed. For the self-test, which
 * says whose result was wrong. */
enum { CLM_LAUNCHED_MOST = 8 };
size_t clm_device_launched(clm_device *device, const char *names[], size_t capacity);

/* A hash of all sources of kernels, so that what was found out about them can be forgotten when
 * they change. CLM_ERROR_IO and its kin when $CLM_KERNEL_DIR lacks one. */
clm_status clm_kernel_sources_hash(uint64_t *hash);

/* ---- errors of OpenCL ---- */

/* "CL_OUT_OF_RESOURCES" and so on. Static. */
const char *clm_opencl_error_name(cl_int code);

/* CLM_OK for CL_SUCCESS; else a failure that names the call, what it was for, and the code.
 * Out-of-memory codes become CLM_ERROR_DEVICE_MEMORY. */
clm_status clm_opencl_check(cl_int code, const char *call, const char *what);

#endif
