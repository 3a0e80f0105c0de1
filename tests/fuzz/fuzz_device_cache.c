/* Any bytes as an entry of the kernel cache: the driver gets a binary only when the entry has the
 * right key and checksum, and then exactly the bytes between them. The first byte says what is put
 * round the others: 1 the key, 2 the checksum. The driver is in this file.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/string.h"
#include "device/internal.h"
#include "fuzz.h"

static const char *const words[] = {"\x01", "\x02", "\x03", NULL};
const fuzz_target fuzz_this = {FUZZ_BYTES, words, 1 << 16, 64};

static const char source[] = "__kernel void scale(__global float *x) { x[0] *= 2.0f; }";
static const char options[] = "-DWIDTH=8";

/* ---- the driver ---- */

static const unsigned char *given; /* the binary of the last clCreateProgramWithBinary() */
static size_t given_bytes;
static const unsigned char *binary; /* that of the only program */
static size_t binary_bytes;
static cl_program program_handle(void) {
    return (cl_program)(void *)&binary_bytes;
}

cl_program CL_API_CALL clCreateProgramWithBinary(cl_context context, cl_uint count,
                                                 const cl_device_id *devices, const size_t *lengths,
                                                 const unsigned char **binaries, cl_int *statuses,
                                                 cl_int *code) {
    (void)context;
    (void)devices;
    (void)statuses;
    FUZZ_CHECK(count == 1);
    given = *binaries;
    given_bytes = *lengths;
    *code = given_bytes == 1 ? CL_INVALID_BINARY : CL_SUCCESS;
    return *code == CL_SUCCESS ? program_handle() : NULL;
}

cl_int CL_API_CALL clBuildProgram(cl_program program, cl_uint count, const cl_device_id *devices,
                                  const char *text,
                                  void(CL_CALLBACK *notify)(cl_program program, void *context),
                                  void *context) {
    (void)program;
    (void)count;
    (void)devices;
    (void)notify;
    (void)context;
    FUZZ_CHECK(strcmp(text, options) == 0);
    return CL_SUCCESS;
}

cl_int CL_API_CALL clGetProgramInfo(cl_program program, cl_program_info what, size_t size,
                                    void *value, size_t *value_size) {
    (void)program;
    (void)value_size;
    const size_t kernels = given_bytes % 2;
    if (what == CL_PROGRAM_NUM_KERNELS) {
        memcpy(value, &kernels, sizeof kernels);
    } else if (what == CL_PROGRAM_BINARY_SIZES) {
        memcpy(value, &binary_bytes, size);
    } else {
        unsigned char *to = NULL;
        memcpy(&to, value, sizeof to);
        memcpy(to, binary, binary_bytes);
    }
    return CL_SUCCESS;
}

cl_int CL_API_CALL clReleaseProgram(cl_program program) {
    FUZZ_CHECK(program == program_handle());
    return CL_SUCCESS;
}

/* ---- entries ---- */

/* The only entry of the cache, as the path of its file. */
static void find_entry(char path[512]) {
    const char *kernels = fuzz_path("kernels");
    DIR *folder = opendir(kernels);
    FUZZ_CHECK(folder != NULL);
    path[0] = '\0';
    for (const struct dirent *file = NULL; (file = readdir(folder)) != NULL;) {
        if (file->d_name[0] != '.') {
            FUZZ_CHECK(path[0] == '\0');
            (void)snprintf(path, 512, "%s/%.200s", kernels, file->d_name);
        }
    }
    (void)closedir(folder);
    FUZZ_CHECK(path[0] != '\0');
}

static void store(const unsigned char *bytes, size_t size) {
    binary = bytes;
    binary_bytes = size;
    clm_kernel_cache_store(fuzz_device(), program_handle(), source, options);
}

/* What a store of one byte writes before that byte. */
static const clm_string *key_part(void) {
    static clm_string part;
    if (part.text == NULL) {
        char path[512];
        char *entry = NULL;
        size_t size = 0;
        store((const unsigned char *)"k", 1);
        find_entry(path);
        FUZZ_CHECK(clm_file_read(path, CLM_FILE_KERNEL, &entry, &size) == CLM_OK &&
                   size > 1 + sizeof(uint64_t));
        clm_string_add_bytes(&part, entry, size - 1 - sizeof(uint64_t));
        clm_free(entry);
    }
    return &part;
}

static void check_entry(const uint8_t *data, size_t size, int with_key, int with_checksum) {
    const clm_string *key = key_part();
    const uint64_t checksum = clm_hash(CLM_HASH_START, data, size);
    clm_string entry = {0};
    cl_program program = NULL;
    char path[512];
    find_entry(path);
    clm_string_add(&entry, "");
    clm_string_add_bytes(&entry, key->text, with_key ? key->length : 0);
    clm_string_add_bytes(&entry, data, size);
    clm_string_add_bytes(&entry, &checksum, with_checksum ? sizeof checksum : 0);
    FILE *file = fopen(path, "we");
    FUZZ_CHECK(file != NULL && fwrite(entry.text, 1, entry.length, file) == entry.length);
    FUZZ_CHECK(fclose(file) == 0);
    given = NULL;
    FUZZ_CHECK(clm_kernel_cache_load(&program, fuzz_device(), source, options) == CLM_OK);
    if (with_key && with_checksum && size > 0) {
        FUZZ_CHECK(given != NULL && given_bytes == size);
        FUZZ_CHECK((program != NULL) == (size > 1 && size % 2 == 1));
    }
    if (!with_key && program != NULL) { /* the input itself has it all */
        FUZZ_CHECK(size > key->length && memcmp(data, key->text, key->length) == 0);
    }
    clm_string_free(&entry);
}

void fuzz_one(const uint8_t *data, size_t size) {
    FUZZ_CHECK(setenv("CLM_CACHE_DIR", fuzz_folder(), 1) == 0);
    FUZZ_CHECK(setenv("CLM_KERNEL_CACHE", "1", 1) == 0);
    if (size == 0) {
        return;
    }
    check_entry(data + 1, size - 1, data[0] & 1, data[0] & 2);
    if (size > 2) {
        cl_program program = NULL;
        store(data, size);
        FUZZ_CHECK(clm_kernel_cache_load(&program, fuzz_device(), source, options) == CLM_OK);
        FUZZ_CHECK(given_bytes == size && (program != NULL) == (size % 2 == 1));
    }
    clm_folder folder = {0};
    FUZZ_CHECK(clm_folder_open(&folder, fuzz_path("kernels")) == CLM_OK);
    clm_kernel_cache_trim(&folder, data[0] & 4 ? 0 : 1 << 20);
    clm_folder_close(&folder);
    if ((data[0] & 4) != 0) {
        store((const unsigned char *)"k", 1);
    }
}
