/* The device layer below the operations: buffers from a pool, kernels by file and name, and
 * launches that keep their first error. Nothing here waits for the device unless it says so. The
 * queue is in order, so later commands see the results of earlier ones.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_DEVICE_DEVICE_H
#define CLM_DEVICE_DEVICE_H

#define CL_USE_DEPRECATED_OPENCL_1_2_APIS
#include <CL/cl.h>

#include "base/error.h"
#include "clm/device.h"

/* ---- properties of a device for operations ---- */

cl_command_queue clm_device_queue(clm_device *device);
cl_context clm_device_context(clm_device *device);
cl_device_id clm_device_id(clm_device *device);

/* Runs each work-group as a CPU thread: true for CPU devices, where one work-item that does much,
 * in wide vectors, is faster than many that do little. Kernels choose their variant by this. */
bool clm_device_is_cpu(const clm_device *device);

/* Whether it is emulated on a CPU, so that its speed does not matter. */
bool clm_device_is_emulated(const clm_device *device);

/* Whether it is a simulator, which takes minutes for the work of a moment. */
bool clm_device_is_simulator(const clm_device *device);

/* The preferred width of float vectors for CPU devices (16 with AVX-512, 8 with AVX2, else 4). */
int clm_device_vector_width(const clm_device *device);

/* The largest work-group of `want` or fewer items, a power of two, that the device can run. */
size_t clm_device_work_group(const clm_device *device, size_t want);

/* How many loop iterations one work-item may run in total before the driver stops it; INT_MAX if it
 * does not. */
int clm_device_iteration_limit(const clm_device *device);

/* Calls `hook(context)` when the device is closed, after it has finished its work; the last hook
 * added runs first. For data that operations or other libraries keep per device. */
clm_status clm_device_on_close(clm_device *device, void (*hook)(void *context), void *context);

/* The context last given with `hook`, NULL if there is none: this is how an operation finds the
 * data that it keeps for a device. */
void *clm_device_close_context(const clm_device *device, void (*hook)(void *context));

/* Whether waiting is limited (CLM_DEVICE_TIMEOUT): launches then need an event, which is passed to
 * clm_device_watch() with the kernel's name (static, or lent until the device is closed). It takes
 * ownership of the event, also when it fails. */
bool clm_device_is_watched(const clm_device *device);
clm_status clm_device_watch(clm_device *device, cl_event event, const char *kernel);

/* Whether the device may be used: CLM_ERROR_TIMEOUT if it was given up, CLM_ERROR_FORKED in a child
 * of the process that opened it. All calls here that reach the driver begin with this check; code
 * that calls the driver directly must do so, too. */
clm_status clm_device_check(const clm_device *device);

/* Whether this process was forked from one that had started OpenCL. OpenCL objects are then left
 * alone: releasing one may wait for a driver thread that does not exist in the child. */
bool clm_is_forked(void);

/* Whether the device exceeded the limit. It may still use memory lent to it, so such memory must
 * never be freed and is passed to clm_device_keep(). */
bool clm_device_is_given_up(const clm_device *device);
void clm_device_keep(clm_device *device, void *memory);

/* ---- buffers ---- */

/* Device memory. The size is rounded up internally; new contents are undefined. */
typedef struct clm_buffer clm_buffer;

/* At least `size_bytes` (a size of 0 makes a buffer of one element) through *buffer. `what` names
 * it in errors: CLM_ERROR_DEVICE_MEMORY says how much was requested, is in use, and can be
 * allocated in one piece. */
clm_status clm_buffer_create(clm_buffer **buffer, clm_device *device, size_t size_bytes,
                             const char *what);

/* The same of exactly this size, for what is large and lives long: the pool neither gives nor gets
 * it. */
clm_status clm_buffer_create_exact(clm_buffer **buffer, clm_device *device, size_t size_bytes,
                                   const char *what);

/* A read-only buffer for kernels over bytes that the host already has, through *buffer. On CPU
 * devices it uses the memory in place, so nothing is copied and mapped pages that are never read
 * are not even loaded; elsewhere it is a copy, of exactly this size. `host` must be writable memory
 * (drivers may write the same bytes back), and remain valid until the buffer is released and the
 * device has finished.
 */
clm_status clm_buffer_create_lent(clm_buffer **buffer, clm_device *device, const void *host,
                                  size_t size_bytes, const char *what);

/* The alignment of offsets of parts; a multiple of 64. */
size_t clm_device_part_alignment_bytes(const clm_device *device);

/* The bytes of `whole` from offset_bytes on, as a buffer that must be released before `whole`.
 * Writes to either are visible in both. CLM_ERROR_ARGUMENT if it is not within `whole`, is empty,
 * or is not aligned; `whole` must not be a part itself. */
clm_status clm_buffer_create_part(clm_buffer **part, clm_buffer *whole, size_t offset_bytes,
                                  size_t size_bytes, const char *what);

/* The device limits the size of one allocation, so a larger buffer consists of several allocations,
 * its parts. All of the calls below accept a buffer in parts; an operation accepts one only where
 * it says so, and otherwise fails with CLM_ERROR_DEVICE_MEMORY.
 *
 * A buffer as clm_buffer_create_exact() makes it, or, when the device does not allocate so much in
 * one piece, one in parts of as many whole units (rows of a matrix) as it does. `host` not NULL: of
 * those bytes, as clm_buffer_create_lent(). CLM_ERROR_DEVICE_MEMORY also when one unit is too
 * large. */
clm_status clm_buffer_create_in_parts(clm_buffer **buffer, clm_device *device, const void *host,
                                      size_t size_bytes, size_t unit_bytes, const char *what);

/* One buffer of `count` others, all of one size but the last, which may be smaller. It has them
 * from then on, and releases them; after a failure they are released, too. */
clm_status clm_buffer_join(clm_buffer **joined, clm_buffer *const *parts, size_t count,
                           const char *what);

/* 1 for a buffer in one piece, which is its own only part. Parts are lent. */
size_t clm_buffer_part_count(const clm_buffer *buffer);
const clm_buffer *clm_buffer_part(const clm_buffer *buffer, size_t i);

/* Returns it to the device's pool, for the next buffer of similar size; safe while kernels that use
 * it are still enqueued. NULL is fine. */
void clm_buffer_release(clm_buffer *buffer);

/* Waits for the device, then returns the memory of the pool and of clm_scratch_take() to the
 * driver, for use between jobs. */
clm_status clm_buffer_pool_trim(clm_device *device);

/* A buffer of at least `bytes` for what an operation keeps during one call, lent through *scratch
 * until the next take, the pool's trimming or the device's closing; NULL for 0 bytes. The device
 * has one, which grows: the queue is in order, so one serves all calls one after another, and a
 * smaller one is freed when the queue is done with it. Contents are undefined. Fails as
 * clm_buffer_create() does. */
clm_status clm_scratch_take(clm_device *device, size_t bytes, clm_buffer **scratch,
                            const char *what);

size_t clm_buffer_size_bytes(const clm_buffer *buffer);
cl_mem clm_buffer_memory(const clm_buffer *buffer); /* NULL for one in parts */

/* Copies from and to host memory; out of range is CLM_ERROR_ARGUMENT. Both return when `host` may
 * be used again. For a read, and for a write of more than half a megabyte, that is when the queue
 * has executed it. */
clm_status clm_buffer_write(clm_buffer *buffer, size_t offset_bytes, const void *host,
                            size_t size_bytes);
clm_status clm_buffer_read(const clm_buffer *buffer, size_t offset_bytes, void *host,
                           size_t size_bytes);

/* Enqueues only: `host` must stay unchanged until the queue has executed it. */
clm_status clm_buffer_write_lent(clm_buffer *buffer, size_t offset_bytes, const void *host,
                                 size_t size_bytes);

/* A pending read: begin it, do something else, wait for it. Must be zeroed at first. Beginning
 * another read with the same struct waits for the previous one; waiting without a pending read is
 * fine. Until the wait returns, `host` belongs to the device. */
typedef struct clm_read {
    clm_device *device;
    cl_event event;
    void *host;
    size_t size_bytes;
    void *aside; /* temporary target if the device may be given up meanwhile */
} clm_read;

clm_status clm_buffer_read_begin(clm_read *read, const clm_buffer *buffer, size_t offset_bytes,
                                 void *host, size_t size_bytes);
clm_status clm_read_wait(clm_read *read);

/* Enqueue only. */
clm_status clm_buffer_zero(clm_buffer *buffer, size_t offset_bytes, size_t size_bytes);
/* Writes NaN, whichever type is read: for tests. */
clm_status clm_buffer_poison(clm_buffer *buffer, size_t offset_bytes, size_t size_bytes);
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
/* A NULL buffer passes a small dummy buffer: another argument tells the kernel that there is none.
 */
void clm_launch_buffer(clm_launch *launch, const clm_buffer *buffer);
void clm_launch_int(clm_launch *launch, int value);
void clm_launch_uint(clm_launch *launch, unsigned value);
void clm_launch_ulong(clm_launch *launch, uint64_t value);
void clm_launch_float(clm_launch *launch, float value);
void clm_launch_local(clm_launch *launch, size_t size_bytes); /* a __local pointer */

/* Enqueues. The global size is rounded up to whole work-groups (OpenCL 1.2 requires it), so kernels
 * guard their stores. A local size of 0 means 1. */
clm_status clm_launch_1d(clm_launch *launch, size_t global, size_t local);
clm_status clm_launch_2d(clm_launch *launch, const size_t global[2], const size_t local[2]);
clm_status clm_launch_3d(clm_launch *launch, const size_t global[3], const size_t local[3]);

/* Calls `hook` from clm_launch_begin() before each launch, and before its kernel is built. If the
 * hook fails, so does the launch, with the same status. NULL removes the hook. */
void clm_device_on_launch(clm_device *device, clm_status (*hook)(void *context, const char *kernel),
                          void *context);

/* The names of the kernels launched since the last call, each once and at most `capacity` of them,
 * in names; returns how many. Lent until the device is closed. For the self-test, which names the
 * kernels with wrong results. */
enum { CLM_LAUNCHED_MOST = 8 };
size_t clm_device_launched(clm_device *device, const char *names[], size_t capacity);

/* A hash of all kernel sources, so that stored results become invalid when they change.
 * CLM_ERROR_IO and other file errors if one is missing from $CLM_KERNEL_DIR. */
clm_status clm_kernel_sources_hash(uint64_t *hash);

/* ---- errors of OpenCL ---- */

/* "CL_OUT_OF_RESOURCES" and so on. Static. */
const char *clm_opencl_error_name(cl_int code);

/* CLM_OK for CL_SUCCESS; else a failure that names the call, what it was for, and the code.
 * Out-of-memory codes become CLM_ERROR_DEVICE_MEMORY. */
clm_status clm_opencl_check(cl_int code, const char *call, const char *what);

#endif
