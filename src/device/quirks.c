/* Known faults and habits of drivers: on which devices, what, what clm does about it, and where to
 * read or how to see it. All of them stand in one table.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/string.h"
#include "device/internal.h"

/* What a quirk changes, beside the environment. */
enum {
    EMULATION = 1, /* ranks behind native drivers */
    KEEPS_KERNELS = 2 /* has a kernel cache of its own, so that one of ours would only cost */,
    SUPERSEDED = 4,        /* ranks behind other drivers of devices of its type */
    LIMITS_ITERATIONS = 8, /* see clm_quirk_iteration_limit() */
    JOINS_FILES = 16,      /* see clm_quirk_joins_files() */
    SIMULATION = 32,       /* see clm_quirk_most_items() */
    WANTS_PAGES = 64       /* see clm_quirk_wants_pages() */
};

enum { MOST_VARIABLES = 3 };

typedef struct quirk_row {
    clm_quirk quirk;
    /* To which devices it applies; what is left out does not matter. Names are parts, compared
     * without case, with "|" between alternatives; versions are numbers with dots, the first such
     * in the driver's version; an allocation has to be larger than the limit. */
    const char *platform, *device, *vendor;
    const char *driver_from, *driver_before;
    uint64_t allocation_above_bytes;
    unsigned types; /* bits 1 << clm_device_type; 0: any */
    int changes;
    const char *build_options; /* when the device has it */
    /* Set before the first OpenCL call of a process, when the devices are not known yet; variables
     * that the user has set stay. "%" is replaced by the machine's memory in MB. */
    const char *variables[MOST_VARIABLES][2];
} quirk_row;

#define GPU (1U << CLM_DEVICE_GPU)
#define CPU (1U << CLM_DEVICE_CPU)
#define POCL "portable computing language"

static const quirk_row table[] = {
    {.quirk = {"pocl-affinity", "two of PoCL's workers may share a core while another idles",
               "POCL_AFFINITY=1 is set",
               "GEMM at half its speed on a machine of 2 cores with POCL_AFFINITY=0"},
     .platform = POCL,
     .variables = {{"POCL_AFFINITY", "1"}}},
    {.quirk = {"pocl-barriers",
               "barriers in loops under a condition, or whose count differs between work-items, "
               "are compiled wrongly",
               "kernels have barriers in uniform control flow only",
               "https://github.com/pocl/pocl/issues/1167, 1747 and 1977; in 3.1 a crash of "
               "layernorm_backward as it was once written"},
     .platform = POCL},
    {.quirk = {"pocl-whole-groups",
               "a global size that is no multiple of the work-group is refused",
               "global sizes are rounded up, and kernels guard their stores",
               "https://github.com/pocl/pocl/blob/main/doc/sphinx/source/conformance.rst"},
     .platform = POCL},
    {.quirk = {"pocl-cache",
               "PoCL keeps built kernels itself, and compiles once more when asked for binaries",
               "no kernel cache of clm's own, unless CLM_KERNEL_CACHE=1",
               "https://github.com/inducer/pyopencl/issues/731"},
     .platform = POCL,
     .changes = KEEPS_KERNELS},
    {.quirk = {"pocl-header",
               "reads its header of all builtin functions for each program, whether it has it "
               "compiled or not, and compiles kernels when they are used",
               "kernel files that are built with the same options are one program",
               "CLM_LOG=debug: a program that PoCL has compiled takes 35 to 50 ms all the same"},
     .platform = POCL,
     .changes = JOINS_FILES},
    {.quirk = {"pocl-pages", "buffers are memory of malloc(), in pages of 4 KiB",
               "buffers of 4 MiB and more are made on pages of 2 MiB of clm's own",
               "'clm bench gelu crossentropy' with GLIBC_TUNABLES=glibc.malloc.hugetlb=1, before"},
     .platform = POCL,
     .types = CPU,
     .changes = WANTS_PAGES},
    {.quirk = {"pocl-mad", "mad() becomes two instructions, at half the speed",
               "kernels write a * b + c", "the peak of 'clm bench' with mad() in gemm_peak"},
     .platform = POCL,
     .driver_before = "4"},
    {.quirk = {"nvidia-cache", "the driver keeps built kernels itself, in ~/.nv/ComputeCache",
               "no kernel cache of clm's own, unless CLM_KERNEL_CACHE=1",
               "https://github.com/artyom-beilis/dlprimitives, where the cache is off on NVIDIA"},
     .platform = "nvidia",
     .changes = KEEPS_KERNELS},
    {.quirk = {"nvidia-half",
               "half arithmetic works from Pascal on, though cl_khr_fp16 is not listed",
               "halves are for storage, and arithmetic is that of floats",
               "https://github.com/CNugteren/CLBlast/issues/667; FluidX3D, README"},
     .platform = "nvidia",
     .driver_from = "520",
     .types = GPU},
    {.quirk = {"amd-single-allocation",
               "AMD's driver lets one buffer have but a part of the memory",
               "GPU_SINGLE_ALLOC_PERCENT, GPU_MAX_ALLOC_PERCENT and GPU_MAX_HEAP_SIZE are set to "
               "100",
               "the largest allocation of 'clm devices' with GPU_SINGLE_ALLOC_PERCENT=50"},
     .platform = "amd accelerated",
     .types = GPU,
     .variables = {{"GPU_SINGLE_ALLOC_PERCENT", "100"},
                   {"GPU_MAX_ALLOC_PERCENT", "100"},
                   {"GPU_MAX_HEAP_SIZE", "100"}}},
    {.quirk = {"intel-4gb-buffers",
               "kernels address buffers with 32 bits, and are wrong beyond 4 GiB",
               "kernels are built with -cl-intel-greater-than-4GB-buffer-required",
               "https://github.com/intel/compute-runtime/blob/master/programmers-guide/"
               "ALLOCATIONS_GREATER_THAN_4GB.md"},
     .platform = "intel",
     .types = GPU,
     .allocation_above_bytes = (uint64_t)4 << 30,
     .build_options = " -cl-intel-greater-than-4GB-buffer-required"},
    {.quirk = {"intel-cpu-allocation",
               "Intel's runtime for processors lets one buffer have but a part of the memory",
               "CL_CONFIG_CPU_FORCE_MAX_MEM_ALLOC_SIZE is set to the machine's memory",
               "the largest allocation of 'clm devices' with "
               "CL_CONFIG_CPU_FORCE_MAX_MEM_ALLOC_SIZE=512MB"},
     .platform = "intel",
     .types = CPU,
     .variables = {{"CL_CONFIG_CPU_FORCE_MAX_MEM_ALLOC_SIZE", "%"}}},
    {.quirk = {"arm-host-memory", "buffers made with CL_MEM_USE_HOST_PTR do not work on Mali",
               "host memory is used in place on processors only, and copied elsewhere",
               "https://github.com/ProjectPhysX/FluidX3D, src/opencl.hpp"},
     .platform = "arm platform|arm",
     .vendor = "arm",
     .types = GPU},
    {.quirk = {"rusticl-cache", "Mesa keeps built kernels in its shader cache",
               "no kernel cache of clm's own, unless CLM_KERNEL_CACHE=1",
               "~/.cache/mesa_shader_cache"},
     .platform = "rusticl",
     .changes = KEEPS_KERNELS},
    {.quirk = {"llvmpipe-rounds", "a work-item leaves its loops after some 65,535 rounds in all",
               "work is cut into more work-items",
               "on Mesa 22.3, products of 768 x 3072 in one work-item, which are wrong"},
     .device = "llvmpipe",
     .changes = LIMITS_ITERATIONS},
    {.quirk = {"llvmpipe-emulation",
               "a GPU's driver that runs on the processor, which a native driver uses better",
               "ranks behind native drivers, and no GEMM is measured at first use",
               "'clm bench --all'"},
     .device = "llvmpipe|softpipe",
     .changes = EMULATION},
    {.quirk = {"clover", "Mesa's old OpenCL is not maintained, and wrong in places",
               "ranks behind other drivers of the same kind of device",
               "https://github.com/lightvector/KataGo/issues/798"},
     .platform = "clover",
     .changes = SUPERSEDED},
    {.quirk =
         {"oclgrind-simulation",
          "a simulator, which looks at each access and takes a thousand times as long, for "
          "work-items without work too",
          "ranks behind native drivers; no kernel cache; nothing is measured; work-groups have "
          "16 items unless they are set",
          "https://github.com/jrprice/Oclgrind"},
     .platform = "oclgrind",
     .changes = EMULATION | KEEPS_KERNELS | SIMULATION},
    {.quirk = {"oclgrind-restrict",
               "kernels with restrict pointers that were inlined do not run, and #line is ignored",
               "tests build with -cl-opt-disable",
               "tests/house/under_oclgrind.sh without that option, on 21.10"},
     .platform = "oclgrind"},
#if CLM_WITH_CLBLAST
    {.quirk = {"clblast-k1",
               "CLBlast before 1.6.3 is wrong for products with K = 1 and for GEMMK = 1",
               "K = 1 goes to clm's own kernel, and GEMMK is never 1",
               "https://github.com/CNugteren/CLBlast/issues/533 and 542"}},
    {.quirk = {"clblast-sgemv", "CLBlast's Sgemv keeps a NaN that was in y, though beta is 0",
               "Sgemv is not called", "CLBlastSgemv with beta = 0 on a y of NaN, with 1.5.3"}},
#endif
};
enum { ROWS = sizeof table / sizeof *table };

/* ---- which apply ---- */

/* Whether `text` has one of the parts; any text does when none are given. */
static bool has_one(const char *text, const char *parts) {
    while (parts != NULL && *parts != '\0') {
        char part[64];
        const size_t length = strcspn(parts, "|");
        (void)snprintf(part, sizeof part, "%.*s", (int)length, parts);
        if (clm_contains_ignoring_case(text, part)) {
            return true;
        }
        parts += length + (parts[length] == '|');
    }
    return parts == NULL;
}

/* Below, at or above 0 as the first is before, equal to or after the second: number by number. */
static long compare_versions(const char *a, const char *b) {
    for (;;) {
        char *a_end = NULL;
        char *b_end = NULL;
        const long difference = strtol(a, &a_end, 10) - strtol(b, &b_end, 10);
        if (difference != 0 || (*a_end != '.' && *b_end != '.')) {
            return difference;
        }
        a = a_end + (*a_end == '.');
        b = b_end + (*b_end == '.');
    }
}

static bool has_version(const clm_device_info *info, const quirk_row *row) {
    const char *version = info->driver + strcspn(info->driver, "0123456789");
    if (row->driver_from == NULL && row->driver_before == NULL) {
        return true;
    }
    return *version != '\0' &&
           (row->driver_from == NULL || compare_versions(version, row->driver_from) >= 0) &&
           (row->driver_before == NULL || compare_versions(version, row->driver_before) < 0);
}

static bool applies(const clm_device_info *info, const quirk_row *row) {
    return has_one(info->platform, row->platform) && has_one(info->name, row->device) &&
           has_one(info->vendor, row->vendor) &&
           (row->types == 0 || (row->types & 1U << info->type) != 0) && has_version(info, row) &&
           (row->allocation_above_bytes == 0 ||
            info->max_allocation_size_bytes > row->allocation_above_bytes);
}

const clm_quirk *clm_device_quirk(const clm_device_info *info, size_t index) {
    for (size_t i = 0; i < ROWS; i++) {
        if (applies(info, &table[i]) && index-- == 0) {
            return &table[i].quirk;
        }
    }
    return NULL;
}

/* ---- what they change ---- */

static void prepare(void) {
    clm_fork_watch();
    for (size_t i = 0; i < ROWS; i++) {
        for (size_t k = 0; k < MOST_VARIABLES && table[i].variables[k][0] != NULL; k++) {
            const char *value = table[i].variables[k][1];
            char memory[32];
            if (strcmp(value, "%") == 0) {
                (void)snprintf(memory, sizeof memory, "%lluMB",
                               (unsigned long long)(clm_memory_total_bytes() >> 20));
                value = memory;
            }
            (void)setenv(table[i].variables[k][0], value, 0);
        }
    }
}

void clm_quirks_before_first_call(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, prepare);
}

static bool is_changed(const clm_device_info *info, int change) {
    for (size_t i = 0; i < ROWS; i++) {
        if ((table[i].changes & change) != 0 && applies(info, &table[i])) {
            return true;
        }
    }
    return false;
}

bool clm_quirk_is_emulation(const clm_device_info *info) {
    return is_changed(info, EMULATION);
}

bool clm_quirk_is_superseded(const clm_device_info *info) {
    return is_changed(info, SUPERSEDED);
}

bool clm_quirk_caches_kernels(const clm_device_info *info) {
    return is_changed(info, KEEPS_KERNELS);
}

bool clm_quirk_joins_files(const clm_device_info *info) {
    return is_changed(info, JOINS_FILES);
}

bool clm_quirk_wants_pages(const clm_device_info *info) {
    return is_changed(info, WANTS_PAGES);
}

int clm_quirk_iteration_limit(const clm_device_info *info) {
    return is_changed(info, LIMITS_ITERATIONS) ? 40000 : INT_MAX;
}

bool clm_quirk_is_simulation(const clm_device_info *info) {
    return is_changed(info, SIMULATION);
}

size_t clm_quirk_most_items(const clm_device_info *info) {
    return clm_quirk_is_simulation(info) ? 16 : SIZE_MAX;
}

const char *clm_quirk_build_options(const clm_device_info *info) {
    for (size_t i = 0; i < ROWS; i++) {
        if (table[i].build_options != NULL && applies(info, &table[i])) {
            return table[i].build_options;
        }
    }
    return "";
}
