/* Built programs on disk, for drivers that do not keep them themselves.
 *
 * An entry is a file: the key, its length before it, then the driver's binary and its checksum. The
 * key is the whole truth, source included, and compared byte by byte; the hash only names the file.
 * A driver that refuses an entry, or a file that is damaged, means compiling again. Entries are
 * written aside and renamed, so any number of processes may read, write and remove them at once. A
 * load sets the entry's time, and a store removes the oldest ones beyond the folder's limit.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/string.h"
#include "device/internal.h"

enum { cache_format = 1 };

/* All kernels of a device have some MiB; there may be several devices, drivers and versions. */
static const uint64_t default_limit_mib = 256;

bool clm_kernel_cache_is_on(const clm_device *device) {
    const char *setting = getenv("CLM_KERNEL_CACHE");
    if (setting != NULL && strcmp(setting, "0") == 0) {
        return false;
    }
    return (setting != NULL && strcmp(setting, "1") == 0) ||
           !clm_quirk_caches_kernels(&device->info);
}

/* The key of a program, and the name of its entry. */
static clm_status make_key(clm_string *key, char name[24], const clm_device *device,
                           const char *source, const char *options) {
    const clm_device_info *info = &device->info;
    clm_string_add_format(key, "clm kernel cache %d\n%s\n%s\n%s\n%s\n%s\n%s\n%s\n", cache_format,
                          info->platform, info->platform_version, info->name, info->driver,
                          info->version, options, source);
    if (clm_string_status(key) == CLM_OK) {
        (void)snprintf(name, 24, "%016" PRIx64 ".bin",
                       clm_hash(CLM_HASH_START, key->text, key->length));
    }
    return clm_string_status(key);
}

/* ---- the limit ---- */

typedef struct kept {
    char name[24];
    struct timespec used;
    uint64_t size_bytes;
} kept;

static int compare_ages(const void *a, const void *b) {
    const struct timespec x = ((const kept *)a)->used;
    const struct timespec y = ((const kept *)b)->used;
    if (x.tv_sec != y.tv_sec) {
        return x.tv_sec < y.tv_sec ? -1 : 1;
    }
    return (x.tv_nsec > y.tv_nsec) - (x.tv_nsec < y.tv_nsec);
}

/* The entries of a folder, those only. */
static clm_status list_entries(kept **entries, size_t *count, DIR *folder) {
    size_t capacity = 0;
    clm_status status = CLM_OK;
    for (const struct dirent *file = NULL; (file = readdir(folder)) != NULL;) {
        const size_t length = strlen(file->d_name);
        struct stat about;
        if (length != 20 || strcmp(file->d_name + 16, ".bin") != 0 ||
            fstatat(dirfd(folder), file->d_name, &about, AT_SYMLINK_NOFOLLOW) != 0 ||
            !S_ISREG(about.st_mode)) {
            continue;
        }
        CLM_TRY(clm_reserve(entries, &capacity, *count + 1, sizeof **entries, "the kernel cache"));
        kept *entry = &(*entries)[(*count)++];
        *entry = (kept){.used = about.st_mtim, .size_bytes = (uint64_t)about.st_size};
        memcpy(entry->name, file->d_name, length);
    }
cleanup:
    return status;
}

void clm_kernel_cache_trim(const clm_folder *folder, uint64_t most_bytes) {
    kept *entries = NULL;
    size_t count = 0;
    uint64_t total_bytes = 0;
    DIR *stream = opendir(folder->path);
    if (stream == NULL) {
        return;
    }
    clm_error_hold();
    clm_folder_remove_parts(folder);
    if (list_entries(&entries, &count, stream) == CLM_OK) {
        for (size_t i = 0; i < count; i++) {
            total_bytes += entries[i].size_bytes;
        }
        if (total_bytes > most_bytes) {
            qsort(entries, count, sizeof *entries, compare_ages);
        }
        for (size_t i = 0; i < count && total_bytes > most_bytes; i++) {
            (void)clm_folder_remove(folder, entries[i].name);
            total_bytes -= entries[i].size_bytes;
        }
    }
    clm_error_release();
    clm_free(entries);
    (void)closedir(stream);
}

clm_status clm_kernel_cache_limit(uint64_t *bytes) {
    const char *setting = getenv("CLM_KERNEL_CACHE_MIB");
    *bytes = default_limit_mib << 20;
    if (setting == NULL || setting[0] == '\0') {
        return CLM_OK;
    }
    char *end = NULL;
    const unsigned long long mib =
        *setting >= '0' && *setting <= '9' ? strtoull(setting, &end, 10) : 0;
    if (end == NULL || *end != '\0' || mib >= UINT64_MAX >> 20) {
        return clm_fail(CLM_ERROR_ARGUMENT,
                        "CLM_KERNEL_CACHE_MIB is a whole number of MiB, not \"%s\"", setting);
    }
    *bytes = (uint64_t)mib << 20;
    return CLM_OK;
}

/* ---- entries ---- */

/* The binary inside an entry, NULL when the entry is not exactly what a store with this key wrote.
 */
static const unsigned char *find_binary(const clm_string *key, const char *entry,
                                        size_t entry_bytes, size_t *binary_bytes) {
    uint64_t key_length = 0;
    uint64_t checksum = 0;
    const size_t around = sizeof key_length + key->length + sizeof checksum;
    if (entry_bytes <= around) {
        return NULL;
    }
    memcpy(&key_length, entry, sizeof key_length);
    if (key_length != key->length ||
        memcmp(entry + sizeof key_length, key->text, key->length) != 0) {
        return NULL;
    }
    const char *binary = entry + sizeof key_length + key->length;
    *binary_bytes = entry_bytes - around;
    memcpy(&checksum, binary + *binary_bytes, sizeof checksum);
    return checksum == clm_hash(CLM_HASH_START, binary, *binary_bytes)
               ? (const unsigned char *)binary
               : NULL;
}

/* The program of a binary, built; NULL when the driver refuses it. Some take any binary and only
 * have no kernel in the end. */
static cl_program build_binary(clm_device *device, const unsigned char *binary, size_t binary_bytes,
                               const char *options) {
    cl_int code = CL_SUCCESS;
    size_t kernels = 0;
    cl_program program = clCreateProgramWithBinary(device->context, 1, &device->id, &binary_bytes,
                                                   &binary, NULL, &code);
    if (code == CL_SUCCESS) {
        code = clBuildProgram(program, 1, &device->id, options, NULL, NULL);
    }
    if (code == CL_SUCCESS) {
        code = clGetProgramInfo(program, CL_PROGRAM_NUM_KERNELS, sizeof kernels, &kernels, NULL);
    }
    if ((code != CL_SUCCESS || kernels == 0) && program != NULL) {
        (void)clReleaseProgram(program);
        program = NULL;
    }
    return program;
}

clm_status clm_kernel_cache_load(cl_program *program, clm_device *device, const char *source,
                                 const char *options) {
    *program = NULL;
    if (!clm_kernel_cache_is_on(device)) {
        return CLM_OK;
    }
    clm_folder folder = {0};
    char name[24];
    char *entry = NULL;
    size_t entry_bytes = 0;
    clm_string key = {0};
    clm_status status = CLM_OK;
    clm_error_hold();
    CLM_TRY(make_key(&key, name, device, source, options));
    CLM_TRY(clm_cache_open(&folder, "kernels"));
    CLM_TRY(clm_folder_read(&folder, name, CLM_FILE_KERNEL, &entry, &entry_bytes));
    size_t binary_bytes = 0;
    const unsigned char *binary = find_binary(&key, entry, entry_bytes, &binary_bytes);
    *program = binary != NULL ? build_binary(device, binary, binary_bytes, options) : NULL;
    if (*program != NULL) {
        (void)utimensat(folder.descriptor, name, NULL, AT_SYMLINK_NOFOLLOW);
    }
cleanup:
    clm_error_release();
    clm_string_free(&key);
    clm_folder_close(&folder);
    clm_free(entry);
    return CLM_OK; /* it is built again */
}

static clm_status write_entry(const clm_folder *folder, const char *name, const clm_string *key,
                              const void *binary, size_t binary_bytes) {
    clm_status status = CLM_OK;
    clm_file_writer writer = {0};
    uint64_t key_length = key->length;
    uint64_t checksum = clm_hash(CLM_HASH_START, binary, binary_bytes);
    CLM_TRY(clm_file_writer_open_in(&writer, folder, name));
    CLM_TRY(clm_file_writer_add(&writer, &key_length, sizeof key_length));
    CLM_TRY(clm_file_writer_add(&writer, key->text, key->length));
    CLM_TRY(clm_file_writer_add(&writer, binary, binary_bytes));
    CLM_TRY(clm_file_writer_add(&writer, &checksum, sizeof checksum));
    CLM_TRY(clm_file_writer_commit(&writer));
cleanup:
    clm_file_writer_discard(&writer);
    return status;
}

/* The driver's binary through *binary (clm_free). */
static clm_status get_binary(unsigned char **binary, size_t *binary_bytes, cl_program program) {
    clm_status status = CLM_OK;
    CLM_TRY(clm_opencl_check(clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES,
                                              sizeof *binary_bytes, binary_bytes, NULL),
                             "clGetProgramInfo", "the kernel cache"));
    if (*binary_bytes == 0) {
        status = clm_fail(CLM_ERROR_UNSUPPORTED, "the driver gives no binary");
        goto cleanup;
    }
    CLM_TRY(clm_allocate(binary, *binary_bytes, 1, "a kernel binary"));
    CLM_TRY(clm_opencl_check(
        clGetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof *binary, binary, NULL),
        "clGetProgramInfo", "the kernel cache"));
cleanup:
    return status;
}

void clm_kernel_cache_store(clm_device *device, cl_program program, const char *source,
                            const char *options) {
    if (!clm_kernel_cache_is_on(device)) {
        return;
    }
    clm_folder folder = {0};
    char name[24];
    unsigned char *binary = NULL;
    size_t binary_bytes = 0;
    uint64_t most_bytes = 0;
    clm_string key = {0};
    clm_status status = CLM_OK;
    clm_error_aside aside;
    clm_error_set_aside(&aside);
    CLM_TRY(make_key(&key, name, device, source, options));
    CLM_TRY(clm_cache_open(&folder, "kernels"));
    CLM_TRY(get_binary(&binary, &binary_bytes, program));
    CLM_TRY(write_entry(&folder, name, &key, binary, binary_bytes));
    CLM_TRY(clm_kernel_cache_limit(&most_bytes));
    clm_kernel_cache_trim(&folder, most_bytes);
cleanup:
    if (status != CLM_OK) {
        clm_log(CLM_LOG_DEBUG, "a built kernel could not be kept on disk (%s)",
                clm_error_message());
    }
    clm_error_put_back(&aside);
    clm_string_free(&key);
    clm_folder_close(&folder);
    clm_free(binary);
}
