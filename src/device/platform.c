/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/string.h"
#include "device/advice.h"
#include "device/find.h"
#include "device/internal.h"

const char *clm_device_type_name(clm_device_type type) {
    switch (type) {
        case CLM_DEVICE_GPU:
            return "GPU";
        case CLM_DEVICE_ACCELERATOR:
            return "accelerator";
        case CLM_DEVICE_CPU:
            return "CPU";
        case CLM_DEVICE_OTHER:
            break;
    }
    return "other";
}

/* Names come padded with blanks from some drivers. */
static void trim(char *text) {
    size_t lead = strspn(text, " \t");
    memmove(text, text + lead, strlen(text + lead) + 1);
    size_t length = strlen(text);
    while (length > 0 && (text[length - 1] == ' ' || text[length - 1] == '\t')) {
        text[--length] = '\0';
    }
}

/* A driver that cannot answer leaves the field empty; the device can still be used. */
static void device_text(cl_device_id id, cl_device_info what, char *text, size_t capacity) {
    char long_text[2048] = "";
    if (clGetDeviceInfo(id, what, sizeof long_text, long_text, NULL) != CL_SUCCESS) {
        long_text[0] = '\0';
    }
    trim(long_text);
    clm_show_text(text, capacity, long_text); /* it will go to terminals, reports and logs */
}

static void platform_text(cl_platform_id id, cl_platform_info what, char *text, size_t capacity) {
    char long_text[2048] = "";
    if (clGetPlatformInfo(id, what, sizeof long_text, long_text, NULL) != CL_SUCCESS) {
        long_text[0] = '\0';
    }
    trim(long_text);
    clm_show_text(text, capacity, long_text); /* it will go to terminals, reports and logs */
}

static bool has_word(const char *words, const char *word) {
    size_t length = strlen(word);
    for (const char *at = strstr(words, word); at != NULL; at = strstr(at + 1, word)) {
        if ((at == words || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0')) {
            return true;
        }
    }
    return false;
}

static clm_status read_extensions(clm_device_info *info, cl_device_id id) {
    size_t size_bytes = 0;
    if (clGetDeviceInfo(id, CL_DEVICE_EXTENSIONS, 0, NULL, &size_bytes) != CL_SUCCESS) {
        return CLM_OK;
    }
    char *words = NULL;
    clm_status status = clm_allocate(&words, size_bytes + 1, 1, "device extensions");
    if (status != CLM_OK) {
        return status;
    }
    if (clGetDeviceInfo(id, CL_DEVICE_EXTENSIONS, size_bytes, words, NULL) == CL_SUCCESS) {
        info->has_fp16 = has_word(words, "cl_khr_fp16");
        info->has_fp64 = has_word(words, "cl_khr_fp64");
        info->has_subgroups =
            has_word(words, "cl_khr_subgroups") || has_word(words, "cl_intel_subgroups");
    }
    clm_free(words);
    return CLM_OK;
}

clm_status clm_device_describe(clm_device_info *info, cl_platform_id platform, cl_device_id id) {
    *info = (clm_device_info){0};
    device_text(id, CL_DEVICE_NAME, info->name, sizeof info->name);
    device_text(id, CL_DEVICE_VENDOR, info->vendor, sizeof info->vendor);
    device_text(id, CL_DRIVER_VERSION, info->driver, sizeof info->driver);
    device_text(id, CL_DEVICE_VERSION, info->version, sizeof info->version);
    platform_text(platform, CL_PLATFORM_NAME, info->platform, sizeof info->platform);
    platform_text(platform, CL_PLATFORM_VERSION, info->platform_version,
                  sizeof info->platform_version);
    cl_device_type type = 0;
    cl_uint units = 0;
    cl_uint clock_mhz = 0;
    cl_ulong memory = 0;
    cl_ulong allocation = 0;
    cl_ulong local = 0;
    const struct {
        cl_device_info what;
        size_t size_bytes;
        void *value;
    } fields[] = {
        {CL_DEVICE_TYPE, sizeof type, &type},
        {CL_DEVICE_MAX_COMPUTE_UNITS, sizeof units, &units},
        {CL_DEVICE_MAX_CLOCK_FREQUENCY, sizeof clock_mhz, &clock_mhz},
        {CL_DEVICE_MAX_WORK_GROUP_SIZE, sizeof info->max_work_group_size,
         &info->max_work_group_size},
        {CL_DEVICE_GLOBAL_MEM_SIZE, sizeof memory, &memory},
        {CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof allocation, &allocation},
        {CL_DEVICE_LOCAL_MEM_SIZE, sizeof local, &local},
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        clm_status status = clm_opencl_check(
            clGetDeviceInfo(id, fields[i].what, fields[i].size_bytes, fields[i].value, NULL),
            "clGetDeviceInfo", info->name);
        if (status != CLM_OK) {
            return status;
        }
    }
    info->type = (type & CL_DEVICE_TYPE_GPU) != 0           ? CLM_DEVICE_GPU
                 : (type & CL_DEVICE_TYPE_ACCELERATOR) != 0 ? CLM_DEVICE_ACCELERATOR
                 : (type & CL_DEVICE_TYPE_CPU) != 0         ? CLM_DEVICE_CPU
                                                            : CLM_DEVICE_OTHER;
    info->compute_units = (int)units;
    info->clock_mhz = (int)clock_mhz;
    info->memory_size_bytes = memory;
    info->max_allocation_size_bytes = allocation;
    info->local_memory_size_bytes = local;
    return read_extensions(info, id);
}

/* Other drivers can still be used if one fails; its error is reported only if no device is left. */
static void record_failure(clm_status *failure, cl_int code, const char *platform) {
    char what[256];
    (void)snprintf(what, sizeof what, "the devices of %s", platform);
    *failure = clm_opencl_check(code, "clGetDeviceIDs", what);
    clm_log(CLM_LOG_WARNING, "%s", clm_error_message());
}

/* What listing has come to so far. */
typedef struct listing {
    clm_found_device *found;
    size_t count;
    size_t capacity;
    char (*empty)[128]; /* platforms without devices */
    size_t empty_count;
    clm_status failure; /* of a platform */
} listing;

static clm_status add_devices_of(listing *list, cl_platform_id platform) {
    cl_uint present = 0;
    cl_int code = clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 0, NULL, &present);
    if (code != CL_SUCCESS || present == 0) {
        char *name = list->empty[list->empty_count++];
        platform_text(platform, CL_PLATFORM_NAME, name, sizeof *list->empty);
        if (code != CL_SUCCESS && code != CL_DEVICE_NOT_FOUND) {
            record_failure(&list->failure, code, name);
        } else {
            clm_log(CLM_LOG_DEBUG, "platform %s has no device", name);
        }
        return CLM_OK;
    }
    cl_device_id *ids = NULL;
    clm_status status = clm_allocate(&ids, present, sizeof *ids, "device ids");
    if (status != CLM_OK) {
        return status;
    }
    CLM_TRY(clm_opencl_check(clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, present, ids, NULL),
                             "clGetDeviceIDs", "listing devices"));
    for (cl_uint i = 0; i < present; i++) {
        cl_bool available = CL_TRUE;
        (void)clGetDeviceInfo(ids[i], CL_DEVICE_AVAILABLE, sizeof available, &available, NULL);
        if (!available) {
            continue;
        }
        CLM_TRY(clm_reserve(&list->found, &list->capacity, list->count + 1, sizeof *list->found,
                            "the list of devices"));
        clm_found_device *device = &list->found[list->count];
        device->platform = platform;
        device->id = ids[i];
        CLM_TRY(clm_device_describe(&device->info, platform, ids[i]));
        device->info.index = (int)list->count;
        list->count++;
    }
cleanup:
    clm_free(ids);
    return status;
}

/* Higher is better: GPUs, then accelerators, then CPUs, and of each those of a doubtful driver
 * last; emulation behind everything native. */
static int64_t score(const clm_device_info *info) {
    int64_t kind = info->type == CLM_DEVICE_GPU           ? 6
                   : info->type == CLM_DEVICE_ACCELERATOR ? 4
                   : info->type == CLM_DEVICE_CPU         ? 2
                                                          : 0;
    if (clm_quirk_is_emulation(info)) {
        kind -= 8;
    }
    if (clm_quirk_is_superseded(info)) {
        kind--;
    }
    return kind * 1000000 + info->compute_units;
}

static void explain_rank(clm_device_info *info) {
    (void)snprintf(info->rank_reason, sizeof info->rank_reason, "%s%s, %d unit%s",
                   clm_device_type_name(info->type),
                   clm_quirk_is_emulation(info)    ? ", emulated or simulated: after native drivers"
                   : clm_quirk_is_superseded(info) ? ", superseded driver"
                                                   : ", native driver",
                   info->compute_units, info->compute_units == 1 ? "" : "s");
}

void clm_rank_devices(clm_found_device *found, size_t count) {
    for (size_t i = 0; i < count; i++) {
        clm_device_info *info = &found[i].info;
        info->rank = 1;
        for (size_t k = 0; k < count; k++) {
            const int64_t other = score(&found[k].info);
            info->rank += other > score(info) || (other == score(info) && k < i);
        }
        info->is_default = info->rank == 1;
        explain_rank(info);
    }
}

static clm_advice_scene scene_of(const listing *list) {
    return (clm_advice_scene){.empty = (const char(*)[128])list->empty,
                              .empty_count = list->empty_count,
                              .vendors = CLM_ADVICE_VENDORS,
                              .nodes = CLM_ADVICE_NODES};
}

static clm_status no_device(const listing *list) {
    clm_string reasons = {0};
    const clm_advice_scene scene = scene_of(list);
    clm_advice_add_reasons(&reasons, &scene);
    clm_status status = clm_string_status(&reasons);
    if (status == CLM_OK) {
        status = clm_fail(CLM_ERROR_NO_DEVICE, "%s", reasons.text);
    }
    clm_string_free(&reasons);
    return status;
}

/* The devices of all platforms, and which have none. */
static clm_status list_all(listing *list) {
    clm_status status = CLM_OK;
    cl_platform_id *platforms = NULL;
    cl_uint count = 0;
    *list = (listing){0};
    CLM_TRY(clm_check_fork());
    clm_quirks_before_first_call();
    const cl_int code = clGetPlatformIDs(0, NULL, &count);
    if (code == -1001 || (code == CL_SUCCESS && count == 0)) {
        return CLM_OK;
    }
    CLM_TRY(clm_opencl_check(code, "clGetPlatformIDs", "listing platforms"));
    CLM_TRY(clm_allocate(&platforms, count, sizeof *platforms, "platform ids"));
    CLM_TRY(clm_allocate(&list->empty, count, sizeof *list->empty, "names of platforms"));
    CLM_TRY(clm_opencl_check(clGetPlatformIDs(count, platforms, NULL), "clGetPlatformIDs",
                             "listing platforms"));
    for (cl_uint i = 0; i < count; i++) {
        CLM_TRY(add_devices_of(list, platforms[i]));
    }
cleanup:
    clm_free(platforms);
    return status;
}

static void free_listing(listing *list) {
    clm_free(list->found);
    clm_free(list->empty);
}

clm_status clm_find_devices(clm_found_device **found, size_t *count) {
    clm_status status = CLM_OK;
    listing list;
    *found = NULL;
    *count = 0;
    CLM_TRY(list_all(&list));
    if (list.count == 0) {
        CLM_TRY(list.failure);
        CLM_TRY(no_device(&list));
    }
    clm_rank_devices(list.found, list.count);
    *found = list.found;
    *count = list.count;
    list.found = NULL;
cleanup:
    free_listing(&list);
    return status;
}

static bool parse_index(const char *pattern, long *index) {
    char *end = NULL;
    *index = strtol(pattern, &end, 10);
    return end != pattern && *end == '\0' && *index >= 0;
}

static bool matches(const clm_device_info *info, const char *pattern) {
    long index = 0;
    if (parse_index(pattern, &index)) {
        return index == info->index;
    }
    if (clm_equal_ignoring_case(pattern, "gpu")) {
        return info->type == CLM_DEVICE_GPU;
    }
    if (clm_equal_ignoring_case(pattern, "cpu")) {
        return info->type == CLM_DEVICE_CPU;
    }
    if (clm_equal_ignoring_case(pattern, "accelerator")) {
        return info->type == CLM_DEVICE_ACCELERATOR;
    }
    /* "pocl" is what everybody calls it; the platform calls itself by its full name. */
    if (clm_equal_ignoring_case(pattern, "pocl") &&
        clm_contains_ignoring_case(info->platform, "portable computing language")) {
        return true;
    }
    return clm_contains_ignoring_case(info->name, pattern) ||
           clm_contains_ignoring_case(info->platform, pattern) ||
           clm_contains_ignoring_case(info->vendor, pattern);
}

static clm_status nothing_matches(const clm_found_device *found, size_t count,
                                  const char *pattern) {
    clm_string there = {0};
    for (size_t i = 0; i < count; i++) {
        clm_string_add_format(&there, "%s%zu: %s (%s)", i > 0 ? ", " : "", i, found[i].info.name,
                              found[i].info.platform);
    }
    clm_status status = clm_string_status(&there);
    if (status == CLM_OK) {
        status = clm_fail(CLM_ERROR_NO_DEVICE, "no OpenCL device matches \"%s\"; there is %s",
                          pattern, there.text);
    }
    clm_string_free(&there);
    return status;
}

clm_status clm_choose_device(const clm_found_device *found, size_t count, const char *pattern,
                             size_t *chosen) {
    if (pattern == NULL || pattern[0] == '\0') {
        pattern = getenv("CLM_DEVICE");
    }
    bool any = pattern == NULL || pattern[0] == '\0';
    size_t best = count;
    for (size_t i = 0; i < count; i++) {
        if ((any || matches(&found[i].info, pattern)) &&
            (best == count || score(&found[i].info) > score(&found[best].info))) {
            best = i;
        }
    }
    if (best == count) {
        return nothing_matches(found, count, pattern);
    }
    *chosen = best;
    return CLM_OK;
}

clm_status clm_device_hints(char *text, size_t capacity) {
    clm_status status = CLM_OK;
    clm_string hints = {0};
    listing list;
    text[0] = '\0';
    CLM_TRY(list_all(&list));
    const clm_advice_scene scene = scene_of(&list);
    clm_advice_add_hints(&hints, &scene);
    CLM_TRY(clm_string_status(&hints));
    (void)snprintf(text, capacity, "%s", hints.text != NULL ? hints.text : "");
cleanup:
    clm_string_free(&hints);
    free_listing(&list);
    return status;
}

clm_status clm_device_list(clm_device_info **list, size_t *count) {
    *list = NULL;
    *count = 0;
    clm_found_device *found = NULL;
    size_t found_count = 0;
    clm_status status = clm_find_devices(&found, &found_count);
    if (status != CLM_OK) {
        return status;
    }
    status = clm_allocate(list, found_count, sizeof **list, "the list of devices");
    if (status == CLM_OK) {
        for (size_t i = 0; i < found_count; i++) {
            (*list)[i] = found[i].info;
        }
        *count = found_count;
    }
    clm_free(found);
    return status;
}

void clm_device_list_free(clm_device_info *list) {
    clm_free(list);
}
