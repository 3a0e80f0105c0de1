/* An OpenCL of this program's own, in front of the loader's: two devices that do what host code can
 * see (buffers are memory, copies copy, programs have binaries) and run no kernel. ThreadSanitizer
 * sees all of it, which it cannot of a driver; and it is deliberately without locks where OpenCL
 * asks the caller for care (a queue, a kernel's arguments), so that a race of clm's shows as one
 * here.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#define CL_TARGET_OPENCL_VERSION 120
#define CL_USE_DEPRECATED_OPENCL_1_2_APIS
#include <CL/cl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "fake_opencl.h"

/* The loader's headers declare these types, and whoever implements OpenCL defines them. */
struct _cl_platform_id {
    int unused;
};

struct _cl_device_id {
    const char *name;
};

struct _cl_context {
    atomic_int references;
};

struct _cl_command_queue {
    atomic_int references;
    unsigned long commands; /* not atomic: a queue is one thread's */
};

struct _cl_mem {
    atomic_int references;
    cl_mem parent;
    unsigned char *bytes;
    size_t size_bytes;
    bool is_outside;
};

struct _cl_program {
    atomic_int references;
    unsigned char binary[64];
};

struct _cl_kernel {
    atomic_int references;
    unsigned long arguments; /* not atomic either */
};

struct _cl_event {
    atomic_int references;
};

static struct _cl_platform_id platform;
static struct _cl_device_id devices[] = {{"fake device one"}, {"fake device two"}};
static atomic_long objects;

long fake_opencl_objects(void) {
    return atomic_load(&objects);
}

#define MAKE(type, code)                                         \
    struct _##type *made = calloc(1, sizeof *made);              \
    *(code) = made != NULL ? CL_SUCCESS : CL_OUT_OF_HOST_MEMORY; \
    if (made == NULL) {                                          \
        return NULL;                                             \
    }                                                            \
    atomic_init(&made->references, 1);                           \
    (void)atomic_fetch_add(&objects, 1)

#define RELEASE(object)                                    \
    if (atomic_fetch_sub(&(object)->references, 1) == 1) { \
        (void)atomic_fetch_sub(&objects, 1);               \
        free(object);                                      \
    }                                                      \
    return CL_SUCCESS

/* ---- what there is ---- */

static cl_int answer(size_t capacity, void *value, size_t *size, const void *bytes, size_t count) {
    if (size != NULL) {
        *size = count;
    }
    if (value == NULL) {
        return CL_SUCCESS;
    }
    if (capacity < count) {
        return CL_INVALID_VALUE;
    }
    memcpy(value, bytes, count);
    return CL_SUCCESS;
}

cl_int clGetPlatformIDs(cl_uint capacity, cl_platform_id *ids, cl_uint *count) {
    if (ids != NULL && capacity > 0) {
        ids[0] = &platform;
    }
    if (count != NULL) {
        *count = 1;
    }
    return CL_SUCCESS;
}

cl_int clGetPlatformInfo(cl_platform_id id, cl_platform_info what, size_t capacity, void *value,
                         size_t *size) {
    (void)id;
    const char *text = what == CL_PLATFORM_NAME ? "fake platform" : "OpenCL 1.2 fake";
    return answer(capacity, value, size, text, strlen(text) + 1);
}

cl_int clGetDeviceIDs(cl_platform_id id, cl_device_type type, cl_uint capacity, cl_device_id *ids,
                      cl_uint *count) {
    (void)id;
    (void)type;
    for (cl_uint i = 0; ids != NULL && i < capacity && i < 2; i++) {
        ids[i] = &devices[i];
    }
    if (count != NULL) {
        *count = 2;
    }
    return CL_SUCCESS;
}

cl_int clGetDeviceInfo(cl_device_id id, cl_device_info what, size_t capacity, void *value,
                       size_t *size) {
    const cl_device_type type = CL_DEVICE_TYPE_GPU;
    const cl_uint units = 4;
    const cl_uint width = 1;
    const cl_uint alignment_bits = 1024;
    const cl_ulong memory = (cl_ulong)1 << 32;
    const size_t group = 256;
    switch (what) {
        case CL_DEVICE_TYPE:
            return answer(capacity, value, size, &type, sizeof type);
        case CL_DEVICE_MAX_COMPUTE_UNITS:
        case CL_DEVICE_MAX_CLOCK_FREQUENCY:
            return answer(capacity, value, size, &units, sizeof units);
        case CL_DEVICE_AVAILABLE:
        case CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT:
            return answer(capacity, value, size, &width, sizeof width);
        case CL_DEVICE_MEM_BASE_ADDR_ALIGN:
            return answer(capacity, value, size, &alignment_bits, sizeof alignment_bits);
        case CL_DEVICE_MAX_WORK_GROUP_SIZE:
            return answer(capacity, value, size, &group, sizeof group);
        case CL_DEVICE_GLOBAL_MEM_SIZE:
        case CL_DEVICE_MAX_MEM_ALLOC_SIZE:
        case CL_DEVICE_LOCAL_MEM_SIZE:
            return answer(capacity, value, size, &memory, sizeof memory);
        case CL_DEVICE_NAME:
            return answer(capacity, value, size, id->name, strlen(id->name) + 1);
        default:
            return answer(capacity, value, size, "1.0", 4);
    }
}

/* ---- contexts, queues, memory ---- */

cl_context clCreateContext(const cl_context_properties *properties, cl_uint count,
                           const cl_device_id *ids,
                           void(CL_CALLBACK *notify)(const char *, const void *, size_t, void *),
                           void *context, cl_int *code) {
    (void)properties;
    (void)count;
    (void)ids;
    (void)notify;
    (void)context;
    MAKE(cl_context, code);
    return made;
}

cl_int clReleaseContext(cl_context context) {
    RELEASE(context);
}

cl_command_queue clCreateCommandQueue(cl_context context, cl_device_id id,
                                      cl_command_queue_properties properties, cl_int *code) {
    (void)context;
    (void)id;
    (void)properties;
    MAKE(cl_command_queue, code);
    return made;
}

cl_int clReleaseCommandQueue(cl_command_queue queue) {
    RELEASE(queue);
}

cl_mem clCreateBuffer(cl_context context, cl_mem_flags flags, size_t size, void *host,
                      cl_int *code) {
    (void)context;
    MAKE(cl_mem, code);
    made->is_outside = (flags & CL_MEM_USE_HOST_PTR) != 0;
    made->bytes = made->is_outside ? host : calloc(size > 0 ? size : 1, 1);
    made->size_bytes = size;
    return made;
}

cl_mem clCreateSubBuffer(cl_mem parent, cl_mem_flags flags, cl_buffer_create_type type,
                         const void *region, cl_int *code) {
    const cl_buffer_region *part = region;
    (void)flags;
    (void)type;
    MAKE(cl_mem, code);
    made->is_outside = true;
    made->bytes = parent->bytes + part->origin;
    made->size_bytes = part->size;
    return made;
}

cl_int clReleaseMemObject(cl_mem memory) {
    if (atomic_load(&memory->references) == 1 && !memory->is_outside) {
        free(memory->bytes);
    }
    RELEASE(memory);
}

cl_int clSetMemObjectDestructorCallback(cl_mem memory, void(CL_CALLBACK *notify)(cl_mem, void *),
                                        void *context) {
    (void)memory;
    (void)notify;
    (void)context;
    return CL_INVALID_OPERATION; /* then clm does without */
}

/* ---- commands, which are done when they are enqueued ---- */

static cl_event make_event(cl_int *code) {
    MAKE(cl_event, code);
    return made;
}

static cl_int done(cl_command_queue queue, cl_event *event) {
    queue->commands++;
    cl_int code = CL_SUCCESS;
    if (event != NULL) {
        *event = make_event(&code);
    }
    return code;
}

cl_int clEnqueueWriteBuffer(cl_command_queue queue, cl_mem memory, cl_bool blocking, size_t offset,
                            size_t size, const void *host, cl_uint count, const cl_event *list,
                            cl_event *event) {
    (void)blocking;
    (void)count;
    (void)list;
    memcpy(memory->bytes + offset, host, size);
    return done(queue, event);
}

cl_int clEnqueueReadBuffer(cl_command_queue queue, cl_mem memory, cl_bool blocking, size_t offset,
                           size_t size, void *host, cl_uint count, const cl_event *list,
                           cl_event *event) {
    (void)blocking;
    (void)count;
    (void)list;
    memcpy(host, memory->bytes + offset, size);
    return done(queue, event);
}

cl_int clEnqueueCopyBuffer(cl_command_queue queue, cl_mem from, cl_mem to, size_t from_offset,
                           size_t to_offset, size_t size, cl_uint count, const cl_event *list,
                           cl_event *event) {
    (void)count;
    (void)list;
    memmove(to->bytes + to_offset, from->bytes + from_offset, size);
    return done(queue, event);
}

cl_int clEnqueueFillBuffer(cl_command_queue queue, cl_mem memory, const void *pattern,
                           size_t pattern_size, size_t offset, size_t size, cl_uint count,
                           const cl_event *list, cl_event *event) {
    (void)count;
    (void)list;
    for (size_t at = 0; at < size; at += pattern_size) {
        memcpy(memory->bytes + offset + at, pattern, pattern_size);
    }
    return done(queue, event);
}

cl_int clEnqueueMarkerWithWaitList(cl_command_queue queue, cl_uint count, const cl_event *list,
                                   cl_event *event) {
    (void)count;
    (void)list;
    return done(queue, event);
}

cl_int clEnqueueNDRangeKernel(cl_command_queue queue, cl_kernel kernel, cl_uint dimensions,
                              const size_t *offset, const size_t *global, const size_t *local,
                              cl_uint count, const cl_event *list, cl_event *event) {
    (void)dimensions;
    (void)offset;
    (void)global;
    (void)local;
    (void)count;
    (void)list;
    kernel->arguments = 0;
    return done(queue, event);
}

cl_int clFinish(cl_command_queue queue) {
    return done(queue, NULL);
}

cl_int clFlush(cl_command_queue queue) {
    return done(queue, NULL);
}

cl_int clWaitForEvents(cl_uint count, const cl_event *list) {
    (void)count;
    (void)list;
    return CL_SUCCESS;
}

cl_int clGetEventInfo(cl_event event, cl_event_info what, size_t capacity, void *value,
                      size_t *size) {
    const cl_int complete = CL_COMPLETE;
    (void)event;
    (void)what;
    return answer(capacity, value, size, &complete, sizeof complete);
}

cl_int clGetEventProfilingInfo(cl_event event, cl_profiling_info what, size_t capacity, void *value,
                               size_t *size) {
    const cl_ulong nanoseconds = what == CL_PROFILING_COMMAND_END ? 2000 : 1000;
    (void)event;
    return answer(capacity, value, size, &nanoseconds, sizeof nanoseconds);
}

cl_int clRetainEvent(cl_event event) {
    (void)atomic_fetch_add(&event->references, 1);
    return CL_SUCCESS;
}

cl_int clReleaseEvent(cl_event event) {
    RELEASE(event);
}

/* ---- programs and kernels ---- */

cl_program clCreateProgramWithSource(cl_context context, cl_uint count, const char **strings,
                                     const size_t *lengths, cl_int *code) {
    (void)context;
    (void)count;
    (void)strings;
    (void)lengths;
    MAKE(cl_program, code);
    memset(made->binary, 'b', sizeof made->binary);
    return made;
}

cl_program clCreateProgramWithBinary(cl_context context, cl_uint count, const cl_device_id *ids,
                                     const size_t *lengths, const unsigned char **binaries,
                                     cl_int *loaded, cl_int *code) {
    (void)context;
    (void)count;
    (void)ids;
    const bool whole = lengths[0] == sizeof((cl_program)0)->binary && binaries[0][0] == 'b' &&
                       binaries[0][lengths[0] - 1] == 'b';
    if (loaded != NULL) {
        *loaded = whole ? CL_SUCCESS : CL_INVALID_BINARY;
    }
    if (!whole) {
        *code = CL_INVALID_BINARY;
        return NULL;
    }
    return clCreateProgramWithSource(context, 0, NULL, NULL, code);
}

cl_int clBuildProgram(cl_program program, cl_uint count, const cl_device_id *ids,
                      const char *options, void(CL_CALLBACK *notify)(cl_program, void *),
                      void *context) {
    (void)program;
    (void)count;
    (void)ids;
    (void)options;
    (void)notify;
    (void)context;
    return CL_SUCCESS;
}

cl_int clGetProgramBuildInfo(cl_program program, cl_device_id id, cl_program_build_info what,
                             size_t capacity, void *value, size_t *size) {
    (void)program;
    (void)id;
    (void)what;
    return answer(capacity, value, size, "", 1);
}

cl_int clGetProgramInfo(cl_program program, cl_program_info what, size_t capacity, void *value,
                        size_t *size) {
    const size_t binary_size = sizeof program->binary;
    const cl_uint one = 1;
    if (what == CL_PROGRAM_BINARY_SIZES) {
        return answer(capacity, value, size, &binary_size, sizeof binary_size);
    }
    if (what == CL_PROGRAM_BINARIES) {
        memcpy(*(unsigned char **)value, program->binary, sizeof program->binary);
        return CL_SUCCESS;
    }
    return answer(capacity, value, size, &one, sizeof one);
}

cl_int clReleaseProgram(cl_program program) {
    RELEASE(program);
}

cl_kernel clCreateKernel(cl_program program, const char *name, cl_int *code) {
    (void)program;
    (void)name;
    MAKE(cl_kernel, code);
    return made;
}

cl_int clSetKernelArg(cl_kernel kernel, cl_uint index, size_t size, const void *value) {
    (void)size;
    (void)value;
    kernel->arguments += index + 1;
    return CL_SUCCESS;
}

cl_int clReleaseKernel(cl_kernel kernel) {
    RELEASE(kernel);
}
