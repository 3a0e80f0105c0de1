/* SPDX-License-Identifier: Apache-2.0 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* RTLD_NEXT */
#endif
#include "faults.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    most_sites = 1 << 14,
    most_frames = 40,
    own_frames = 3, /* way_here(), is_due() and the call itself */
    most_live = 1 << 18,
    kept_frames = 12
};

/* ---- objects ---- */

typedef enum object_kind {
    CONTEXT,
    QUEUE,
    MEMORY,
    PROGRAM,
    KERNEL,
    EVENT,
    OBJECT_KINDS
} object_kind;
static const char *const object_names[OBJECT_KINDS] = {
    [CONTEXT] = "contexts", [QUEUE] = "queues",   [MEMORY] = "memory objects",
    [PROGRAM] = "programs", [KERNEL] = "kernels", [EVENT] = "events"};
static long references[OBJECT_KINDS];

/* Allocations by address, which stands inverted, so that no leak checker takes this for a pointer
 * to them. */
typedef struct live_allocation {
    uintptr_t inverted; /* 0: none */
    uint64_t turn;      /* in which it was made */
    int frame_count;
    void *frames[kept_frames];
} live_allocation;
static live_allocation live[most_live];
static size_t live_count;
static uint64_t turn;
static pthread_mutex_t live_lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- state ---- */

static clm_fault_site sites[most_sites];
static size_t site_count;
static uint16_t site_table[4 * most_sites]; /* numbers from 1, by way */

static enum { IDLE, RECORD, INJECT, COUNT } state;
static pthread_t thread;
static int depth;
static bool inside;             /* what is called here is not counted */
static void *base[most_frames]; /* the way to where it began */
static int base_count;
static clm_fault fault;
static uint64_t passed;
static uint64_t fired;
static const char *fired_call = "";
static cl_int fired_code;

static void begin(int new_depth) {
    base_count = backtrace(base, most_frames); /* the first call loads a library */
    thread = pthread_self();
    depth = new_depth;
    turn++;
    memset(references, 0, sizeof references);
    passed = 0;
    fired = 0;
    fired_call = "";
    fired_code = CL_SUCCESS;
}

void clm_faults_record(int new_depth) {
    begin(new_depth);
    site_count = 0;
    memset(site_table, 0, sizeof site_table);
    state = RECORD;
}

void clm_faults_inject(const clm_fault *new_fault, int new_depth) {
    begin(new_depth);
    fault = *new_fault;
    state = INJECT;
}

void clm_faults_stop(void) {
    state = COUNT;
}

void clm_faults_end(void) {
    state = IDLE;
}

const clm_fault_site *clm_faults_sites(size_t *count) {
    *count = site_count;
    return sites;
}

uint64_t clm_faults_fired(void) {
    return fired;
}

const char *clm_faults_fired_call(void) {
    return fired_call;
}

cl_int clm_faults_fired_code(void) {
    return fired_code;
}

/* ---- sites ---- */

/* Called from one place only, or the same way would have two hashes. */
__attribute__((noinline)) static uint64_t way_here(const char *call) {
    void *frames[most_frames];
    int count = backtrace(frames, most_frames);
    /* Not the test's own part of the way, nor who in it began. */
    for (int b = base_count; b > 0 && count > 0 && frames[count - 1] == base[b - 1]; b--) {
        count--;
    }
    count--;
    uint64_t hash = 0xCBF29CE484222325ULL;
    for (const char *c = call; *c != '\0'; c++) {
        hash = (hash ^ (unsigned char)*c) * 0x100000001B3ULL;
    }
    for (int i = own_frames; i < count && i < own_frames + depth; i++) {
        hash = (hash ^ (uintptr_t)frames[i]) * 0x100000001B3ULL;
        hash ^= hash >> 29;
    }
    return hash != 0 ? hash : 1;
}

static void note(clm_fault_kind kind, const char *call, uint64_t way) {
    size_t at = way % (4 * most_sites);
    while (site_table[at] != 0 && sites[site_table[at] - 1].way != way) {
        at = (at + 1) % (4 * most_sites);
    }
    if (site_table[at] == 0) {
        if (site_count == most_sites - 1) {
            (void)fputs("too many sites: raise most_sites\n", stderr);
            abort();
        }
        sites[site_count++] = (clm_fault_site){.way = way, .kind = kind, .call = call};
        site_table[at] = (uint16_t)site_count;
    }
    sites[site_table[at] - 1].count++;
}

/* Whether this call may be the one, so that its way is worth looking at. */
static bool may_hit(clm_fault_kind kind, const char *call) {
    return kind == fault.kind && fired == 0 &&
           (fault.call == NULL || strcmp(fault.call, call) == 0);
}

/* Whether this call is the one, or comes after it. */
static bool hits(clm_fault_kind kind, const char *call, uint64_t way) {
    if (kind != fault.kind) {
        return false;
    }
    if (fired > 0) {
        return fault.for_good && (fault.only == NULL || strcmp(fault.only, call) == 0);
    }
    return may_hit(kind, call) && (fault.way == 0 || fault.way == way) && ++passed == fault.number;
}

__attribute__((noinline)) static bool is_due(clm_fault_kind kind, const char *call) {
    if ((state != RECORD && state != INJECT) || inside || !pthread_equal(thread, pthread_self())) {
        return false;
    }
    bool due = false;
    inside = true;
    const bool is_asked = state == RECORD || (fault.way != 0 && may_hit(kind, call));
    const uint64_t way = is_asked ? way_here(call) : 0;
    if (state == RECORD) {
        note(kind, call, way);
    } else if (hits(kind, call, way)) {
        due = true;
        if (fired++ == 0) {
            fired_call = call;
        }
    }
    inside = false;
    return due;
}

/* ---- what is left ---- */

size_t clm_faults_left(char *text, size_t capacity) {
    size_t left = 0;
    size_t length = 0;
    size_t allocations = 0;
    text[0] = '\0';
    for (int i = 0; i < OBJECT_KINDS; i++) {
        if (references[i] != 0 && length < capacity) {
            left += (size_t)labs(references[i]);
            length += (size_t)snprintf(text + length, capacity - length, "%ld %s, ", references[i],
                                       object_names[i]);
        }
    }
    for (size_t i = 0; i < most_live; i++) {
        allocations += live[i].inverted != 0 && live[i].turn == turn;
    }
    if (allocations > 0 && length < capacity) {
        (void)snprintf(text + length, capacity - length, "%zu allocations", allocations);
    }
    return left + allocations;
}

void clm_faults_print_left(void) {
    for (size_t i = 0; i < most_live; i++) {
        if (live[i].inverted != 0 && live[i].turn == turn) {
            (void)fputs("not freed, from:\n", stderr);
            (void)fflush(stderr);
            backtrace_symbols_fd(live[i].frames, live[i].frame_count, 2);
        }
    }
}

/* ---- allocations ---- */

/* The linker's names (--wrap). */
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void __real_free(void *memory);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void __wrap_free(void *memory);

static size_t place_of(uintptr_t inverted) {
    return (size_t)((inverted >> 4) * 0x9E3779B97F4A7C15ULL >> 46) % most_live;
}

static live_allocation *find_live(const void *memory) {
    const uintptr_t inverted = ~(uintptr_t)memory;
    size_t at = place_of(inverted);
    while (live[at].inverted != 0 && live[at].inverted != inverted) {
        at = (at + 1) % most_live;
    }
    return &live[at];
}

static void *add_live(void *memory) {
    if (memory == NULL || state == IDLE || live_count > most_live / 2) {
        return memory;
    }
    (void)pthread_mutex_lock(&live_lock);
    live_allocation *entry = find_live(memory);
    entry->inverted = ~(uintptr_t)memory;
    entry->turn = turn;
    inside = true;
    entry->frame_count = backtrace(entry->frames, kept_frames);
    inside = false;
    live_count++;
    (void)pthread_mutex_unlock(&live_lock);
    return memory;
}

/* Linear probing: what stood behind a removed entry moves up, or it would not be found again. */
static void remove_live(const void *memory) {
    if (memory == NULL || live_count == 0) {
        return;
    }
    (void)pthread_mutex_lock(&live_lock);
    live_allocation *entry = find_live(memory);
    if (entry->inverted != 0) {
        size_t hole = (size_t)(entry - live);
        live[hole].inverted = 0;
        live_count--;
        for (size_t at = (hole + 1) % most_live; live[at].inverted != 0;
             at = (at + 1) % most_live) {
            const size_t home = place_of(live[at].inverted);
            if ((at - home) % most_live >= (at - hole) % most_live) {
                live[hole] = live[at];
                live[at].inverted = 0;
                hole = at;
            }
        }
    }
    (void)pthread_mutex_unlock(&live_lock);
}

void *__wrap_calloc(size_t count, size_t size) {
    return is_due(CLM_FAULT_MEMORY, "calloc") ? NULL : add_live(__real_calloc(count, size));
}

void *__wrap_realloc(void *memory, size_t size) {
    if (is_due(CLM_FAULT_MEMORY, "realloc")) {
        return NULL;
    }
    const uintptr_t old = (uintptr_t)memory;
    void *fresh = __real_realloc(memory, size);
    if (fresh != NULL) {
        remove_live((const void *)old); /* only its address is looked at */
        (void)add_live(fresh);
    }
    return fresh;
}

void __wrap_free(void *memory) {
    remove_live(memory);
    __real_free(memory);
}

/* ---- OpenCL ---- */

/* A code that the call may return, and that of a device that is gone. */
static const struct {
    const char *call;
    cl_int once;
    cl_int lost;
} codes[] = {
    {"clGetPlatformIDs", CL_OUT_OF_HOST_MEMORY, CL_OUT_OF_HOST_MEMORY},
    {"clCreateContext", CL_DEVICE_NOT_AVAILABLE, CL_DEVICE_NOT_AVAILABLE},
    {"clCreateBuffer", CL_MEM_OBJECT_ALLOCATION_FAILURE, CL_MEM_OBJECT_ALLOCATION_FAILURE},
    {"clCreateSubBuffer", CL_MEM_OBJECT_ALLOCATION_FAILURE, CL_MEM_OBJECT_ALLOCATION_FAILURE},
    {"clCreateProgramWithSource", CL_OUT_OF_HOST_MEMORY, CL_INVALID_CONTEXT},
    {"clCreateKernel", CL_OUT_OF_HOST_MEMORY, CL_INVALID_PROGRAM_EXECUTABLE},
    {"clBuildProgram", CL_BUILD_PROGRAM_FAILURE, CL_BUILD_PROGRAM_FAILURE},
    {"clSetKernelArg", CL_OUT_OF_RESOURCES, CL_INVALID_KERNEL},
    {"clWaitForEvents", CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST, CL_OUT_OF_RESOURCES},
    {"clEnqueueNDRangeKernel", CL_OUT_OF_RESOURCES, CL_INVALID_COMMAND_QUEUE},
    {"clEnqueueWriteBuffer", CL_OUT_OF_RESOURCES, CL_INVALID_COMMAND_QUEUE},
    {"clEnqueueCopyBuffer", CL_OUT_OF_RESOURCES, CL_INVALID_COMMAND_QUEUE},
    {"clEnqueueFillBuffer", CL_OUT_OF_RESOURCES, CL_INVALID_COMMAND_QUEUE},
};

static cl_int fault_code(const char *call) {
    cl_int code = CL_OUT_OF_RESOURCES;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        if (strcmp(codes[i].call, call) == 0) {
            code = fault.for_good && fault.only == NULL ? codes[i].lost : codes[i].once;
        }
    }
    if (fired == 1) {
        fired_code = code;
    }
    return code;
}

static void find_next(void *slot, const char *call) {
    void *next = dlsym(RTLD_NEXT, call);
    if (next == NULL) {
        (void)fprintf(stderr, "there is no %s behind this one\n", call);
        abort();
    }
    memcpy(slot, &next, sizeof next);
}

static void count_object(object_kind kind, long by) {
    if (state != IDLE && pthread_equal(thread, pthread_self())) {
        references[kind] += by;
    }
}

#define SHOWN __attribute__((visibility("default")))
#define NEXT(call)                   \
    static __typeof__(&(call)) next; \
    if (next == NULL) {              \
        find_next(&next, #call);     \
    }

/* A call that only returns a code. */
#define CALL(call, parameters, arguments)      \
    SHOWN cl_int CL_API_CALL call parameters { \
        NEXT(call)                             \
        if (is_due(CLM_FAULT_OPENCL, #call)) { \
            return fault_code(#call);          \
        }                                      \
        return next arguments;                 \
    }

/* One that waits: it does, whatever it says then. */
#define WAIT(call, parameters, arguments)                 \
    SHOWN cl_int CL_API_CALL call parameters {            \
        NEXT(call)                                        \
        const bool due = is_due(CLM_FAULT_OPENCL, #call); \
        const cl_int code = next arguments;               \
        return due ? fault_code(#call) : code;            \
    }

/* One that makes an object. */
#define CREATE(type, call, kind, parameters, arguments) \
    SHOWN type CL_API_CALL call parameters {            \
        NEXT(call)                                      \
        if (is_due(CLM_FAULT_OPENCL, #call)) {          \
            const cl_int fault_is = fault_code(#call);  \
            if (code != NULL) {                         \
                *code = fault_is;                       \
            }                                           \
            return NULL;                                \
        }                                               \
        type made = next arguments;                     \
        count_object((kind), made != NULL);             \
        return made;                                    \
    }

#define RELEASE(call, kind, type)                          \
    SHOWN cl_int CL_API_CALL call(type object) {           \
        NEXT(call)                                         \
        const bool due = is_due(CLM_FAULT_OPENCL, #call);  \
        const cl_int code = next(object);                  \
        count_object((kind), code == CL_SUCCESS ? -1 : 0); \
        return due ? fault_code(#call) : code;             \
    }

#define RETAIN(call, kind, type)                          \
    SHOWN cl_int CL_API_CALL call(type object) {          \
        NEXT(call)                                        \
        const cl_int code = next(object);                 \
        count_object((kind), code == CL_SUCCESS ? 1 : 0); \
        return code;                                      \
    }

/* One that enqueues, and may make an event. */
#define ENQUEUE(call, parameters, arguments)                              \
    SHOWN cl_int CL_API_CALL call parameters {                            \
        NEXT(call)                                                        \
        if (is_due(CLM_FAULT_OPENCL, #call)) {                            \
            return fault_code(#call);                                     \
        }                                                                 \
        const cl_int code = next arguments;                               \
        count_object(EVENT, code == CL_SUCCESS && event != NULL ? 1 : 0); \
        return code;                                                      \
    }

CALL(clGetPlatformIDs, (cl_uint n, cl_platform_id *ids, cl_uint *count), (n, ids, count))
CALL(clGetPlatformInfo, (cl_platform_id id, cl_platform_info what, size_t n, void *to, size_t *got),
     (id, what, n, to, got))
CALL(clGetDeviceIDs,
     (cl_platform_id id, cl_device_type type, cl_uint n, cl_device_id *ids, cl_uint *count),
     (id, type, n, ids, count))
CALL(clGetDeviceInfo, (cl_device_id id, cl_device_info what, size_t n, void *to, size_t *got),
     (id, what, n, to, got))
CALL(clGetCommandQueueInfo,
     (cl_command_queue queue, cl_command_queue_info what, size_t n, void *to, size_t *got),
     (queue, what, n, to, got))
CALL(clGetKernelWorkGroupInfo,
     (cl_kernel kernel, cl_device_id id, cl_kernel_work_group_info what, size_t n, void *to,
      size_t *got),
     (kernel, id, what, n, to, got))
CALL(clGetMemObjectInfo, (cl_mem memory, cl_mem_info what, size_t n, void *to, size_t *got),
     (memory, what, n, to, got))
CALL(clGetProgramInfo, (cl_program program, cl_program_info what, size_t n, void *to, size_t *got),
     (program, what, n, to, got))
CALL(clGetProgramBuildInfo,
     (cl_program program, cl_device_id id, cl_program_build_info what, size_t n, void *to,
      size_t *got),
     (program, id, what, n, to, got))
CALL(clGetEventInfo, (cl_event event, cl_event_info what, size_t n, void *to, size_t *got),
     (event, what, n, to, got))
CALL(clGetEventProfilingInfo,
     (cl_event event, cl_profiling_info what, size_t n, void *to, size_t *got),
     (event, what, n, to, got))
CALL(clBuildProgram,
     (cl_program program, cl_uint n, const cl_device_id *ids, const char *options,
      void(CL_CALLBACK *notify)(cl_program, void *), void *data),
     (program, n, ids, options, notify, data))
CALL(clSetMemObjectDestructorCallback,
     (cl_mem memory, void(CL_CALLBACK *notify)(cl_mem, void *), void *data), (memory, notify, data))
CALL(clSetKernelArg, (cl_kernel kernel, cl_uint at, size_t n, const void *value),
     (kernel, at, n, value))

CREATE(cl_context, clCreateContext, CONTEXT,
       (const cl_context_properties *properties, cl_uint n, const cl_device_id *ids,
        void(CL_CALLBACK *notify)(const char *, const void *, size_t, void *), void *data,
        cl_int *code),
       (properties, n, ids, notify, data, code))
CREATE(cl_command_queue, clCreateCommandQueue, QUEUE,
       (cl_context context, cl_device_id id, cl_command_queue_properties properties, cl_int *code),
       (context, id, properties, code))
CREATE(cl_mem, clCreateBuffer, MEMORY,
       (cl_context context, cl_mem_flags flags, size_t n, void *host, cl_int *code),
       (context, flags, n, host, code))
CREATE(cl_mem, clCreateSubBuffer, MEMORY,
       (cl_mem memory, cl_mem_flags flags, cl_buffer_create_type type, const void *about,
        cl_int *code),
       (memory, flags, type, about, code))
CREATE(cl_program, clCreateProgramWithSource, PROGRAM,
       (cl_context context, cl_uint n, const char **texts, const size_t *lengths, cl_int *code),
       (context, n, texts, lengths, code))
CREATE(cl_program, clCreateProgramWithBinary, PROGRAM,
       (cl_context context, cl_uint n, const cl_device_id *ids, const size_t *lengths,
        const unsigned char **binaries, cl_int *each, cl_int *code),
       (context, n, ids, lengths, binaries, each, code))
CREATE(cl_kernel, clCreateKernel, KERNEL, (cl_program program, const char *name, cl_int *code),
       (program, name, code))

RELEASE(clReleaseContext, CONTEXT, cl_context)
RELEASE(clReleaseCommandQueue, QUEUE, cl_command_queue)
RELEASE(clReleaseMemObject, MEMORY, cl_mem)
RELEASE(clReleaseProgram, PROGRAM, cl_program)
RELEASE(clReleaseKernel, KERNEL, cl_kernel)
RELEASE(clReleaseEvent, EVENT, cl_event)
RETAIN(clRetainEvent, EVENT, cl_event)

WAIT(clFlush, (cl_command_queue queue), (queue))
WAIT(clFinish, (cl_command_queue queue), (queue))
WAIT(clWaitForEvents, (cl_uint n, const cl_event *events), (n, events))

ENQUEUE(clEnqueueNDRangeKernel,
        (cl_command_queue queue, cl_kernel kernel, cl_uint n, const size_t *offset,
         const size_t *global, const size_t *local, cl_uint wait_count, const cl_event *wait,
         cl_event *event),
        (queue, kernel, n, offset, global, local, wait_count, wait, event))
ENQUEUE(clEnqueueReadBuffer,
        (cl_command_queue queue, cl_mem memory, cl_bool block, size_t offset, size_t n, void *to,
         cl_uint wait_count, const cl_event *wait, cl_event *event),
        (queue, memory, block, offset, n, to, wait_count, wait, event))
ENQUEUE(clEnqueueWriteBuffer,
        (cl_command_queue queue, cl_mem memory, cl_bool block, size_t offset, size_t n,
         const void *from, cl_uint wait_count, const cl_event *wait, cl_event *event),
        (queue, memory, block, offset, n, from, wait_count, wait, event))
ENQUEUE(clEnqueueCopyBuffer,
        (cl_command_queue queue, cl_mem from, cl_mem to, size_t from_offset, size_t to_offset,
         size_t n, cl_uint wait_count, const cl_event *wait, cl_event *event),
        (queue, from, to, from_offset, to_offset, n, wait_count, wait, event))
ENQUEUE(clEnqueueFillBuffer,
        (cl_command_queue queue, cl_mem memory, const void *pattern, size_t pattern_bytes,
         size_t offset, size_t n, cl_uint wait_count, const cl_event *wait, cl_event *event),
        (queue, memory, pattern, pattern_bytes, offset, n, wait_count, wait, event))
ENQUEUE(clEnqueueMarkerWithWaitList,
        (cl_command_queue queue, cl_uint wait_count, const cl_event *wait, cl_event *event),
        (queue, wait_count, wait, event))

/* ---- for a command that has no test around it ---- */

/* CLM_FAULT="opencl 1000": every call of OpenCL from the 1000th on fails; "memory 50": every
 * allocation from the 50th on; "clCreateBuffer 3": that call from the third on. */
__attribute__((constructor)) static void read_environment(void) {
    static char call[64];
    const char *text = getenv("CLM_FAULT");
    unsigned long long number = 0;
    if (text == NULL || sscanf(text, "%63s %llu", call, &number) != 2) {
        return;
    }
    clm_fault wanted = {.number = number, .for_good = true};
    if (strcmp(call, "memory") == 0) {
        wanted.kind = CLM_FAULT_MEMORY;
    } else if (strcmp(call, "opencl") != 0) {
        wanted.call = call;
        wanted.only = call;
    }
    clm_faults_inject(&wanted, most_frames);
}
