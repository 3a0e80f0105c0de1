/* Any bytes as a safetensors file: refused with a message that names its place, or tensors that lie
 * within the bytes, and that are the same when they are written to another file and read from
 * there.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/dtype.h"
#include "fuzz.h"
#include "model/formats/safetensors.h"

static const char *const words[] = {
    "__metadata__", "dtype", "shape", "data_offsets", "F32",  "F16", "BF16",    "F64",     "I64",
    "I32",          "I16",   "I8",    "U8",           "BOOL", "U64", "F8_E4M3", "\\u0000", NULL};
const fuzz_target fuzz_this = {FUZZ_SAFETENSORS, words, 1 << 16, 512};

static void check_tensor(const clm_safetensors *file, const clm_safetensors_tensor *tensor,
                         const uint8_t *data, size_t size) {
    float first = 0.0F;
    FUZZ_CHECK(clm_safetensors_find(file, tensor->name) == tensor);
    FUZZ_CHECK(tensor->at >= 8 && tensor->at <= size);
    FUZZ_CHECK(tensor->size_bytes <= size - tensor->at);
    FUZZ_CHECK(tensor->count == tensor->size_bytes / clm_dtype_size(tensor->dtype));
    if (tensor->count > 0 && clm_dtype_is_floating(tensor->dtype)) {
        FUZZ_CHECK(clm_dtype_to_float(&first, data + tensor->at, tensor->dtype, 1) == CLM_OK);
    }
}

static void check_written(const clm_safetensors *file, const uint8_t *data) {
    const char *path = fuzz_path("written.safetensors");
    clm_safetensors_writer *writer = NULL;
    clm_safetensors *back = NULL;
    const size_t count = clm_safetensors_count(file);
    FUZZ_CHECK(clm_safetensors_writer_open(&writer, path) == CLM_OK);
    for (size_t i = 0; i < count; i++) {
        const clm_safetensors_tensor *t = clm_safetensors_at(file, i);
        FUZZ_CHECK(clm_safetensors_writer_declare(writer, t->name, t->dtype, t->rank, t->shape) ==
                   CLM_OK);
    }
    for (size_t i = 0; i < count; i++) {
        const clm_safetensors_tensor *t = clm_safetensors_at(file, i);
        FUZZ_CHECK(clm_safetensors_writer_add(writer, data + t->at, t->size_bytes) == CLM_OK);
    }
    FUZZ_CHECK(clm_safetensors_writer_commit(writer) == CLM_OK);
    clm_safetensors_writer_discard(writer);
    FUZZ_CHECK(clm_safetensors_open(&back, path) == CLM_OK);
    FUZZ_CHECK(clm_safetensors_count(back) == count);
    for (size_t i = 0; i < count; i++) {
        const clm_safetensors_tensor *a = clm_safetensors_at(file, i);
        const clm_safetensors_tensor *b = clm_safetensors_at(back, i);
        FUZZ_CHECK(strcmp(a->name, b->name) == 0 && a->dtype == b->dtype && a->rank == b->rank);
        FUZZ_CHECK(memcmp(a->shape, b->shape, sizeof a->shape) == 0);
        const unsigned char *bytes = NULL;
        FUZZ_CHECK(clm_safetensors_map(back, b, &bytes) == CLM_OK);
        FUZZ_CHECK(a->size_bytes == b->size_bytes &&
                   memcmp(data + a->at, bytes, a->size_bytes) == 0);
    }
    FUZZ_CHECK(clm_safetensors_check(back) == CLM_OK);
    clm_safetensors_close(back);
}

void fuzz_one(const uint8_t *data, size_t size) {
    clm_safetensors *file = NULL;
    size_t data_bytes = 0;
    clm_status status = clm_safetensors_open_bytes(&file, data, size, "fuzz");
    if (status != CLM_OK) {
        FUZZ_CHECK(file == NULL);
        fuzz_check_refused(status);
        /* Where it is broken, or what it is instead. */
        FUZZ_CHECK(strncmp(clm_error_message(), "fuzz: byte ", 11) == 0 ||
                   strncmp(clm_error_message(), "fuzz: is ", 9) == 0);
        return;
    }
    for (size_t i = 0; i < clm_safetensors_count(file); i++) {
        check_tensor(file, clm_safetensors_at(file, i), data, size);
        data_bytes += clm_safetensors_at(file, i)->size_bytes;
    }
    FUZZ_CHECK(data_bytes <= size);
    (void)clm_safetensors_metadata(file, "format");
    check_written(file, data);
    clm_safetensors_close(file);
}
