/* SPDX-License-Identifier: Apache-2.0 */
#include "model/formats/safetensors.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/file_input.h"
#include "base/memory.h"
#include "base/sniff.h"
#include "model/formats/safetensors_header.h"

enum { length_bytes = 8, max_header_bytes = 100000000 };

struct clm_safetensors {
    clm_file_input input;
    const unsigned char *bytes; /* of a file in memory; else NULL */
    size_t size_bytes;
    char *path;
    clm_header header; /* owns names and metadata */
    clm_safetensors_tensor *tensors;
    const clm_safetensors_tensor **by_name;
    size_t count;
};

static clm_status broken(const clm_safetensors *file, const clm_header_tensor *tensor,
                         const char *what) {
    return clm_fail(CLM_ERROR_FORMAT, "%s: byte %zu: tensor \"%.200s\": %s", file->path,
                    tensor->byte, tensor->name, what);
}

static int by_offset(const void *a, const void *b) {
    const clm_header_tensor *x = a;
    const clm_header_tensor *y = b;
    if (x->begin != y->begin) {
        return x->begin < y->begin ? -1 : 1;
    }
    if (x->end != y->end) {
        return x->end < y->end ? -1 : 1; /* the empty one first */
    }
    return x->byte < y->byte ? -1 : x->byte > y->byte;
}

static int by_name(const void *a, const void *b) {
    const clm_safetensors_tensor *const *x = a;
    const clm_safetensors_tensor *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static int by_key(const void *a, const void *b) {
    const clm_header_pair *x = a;
    const clm_header_pair *y = b;
    return strcmp(x->key, y->key);
}

/* Checks one entry against the end of the one before it, and makes it a tensor. */
static clm_status take_tensor(clm_safetensors *file, const clm_header_tensor *entry,
                              uint64_t expected_begin, size_t data_at, size_t data_bytes) {
    if (entry->begin > entry->end) {
        return broken(file, entry, "\"data_offsets\" end before they begin");
    }
    if (entry->end > data_bytes) {
        return clm_fail(CLM_ERROR_FORMAT,
                        "%s: byte %zu: tensor \"%.200s\": its data would end at byte %llu of the "
                        "data, which has %zu: the file is cut short, or its header is wrong",
                        file->path, entry->byte, entry->name, (unsigned long long)entry->end,
                        data_bytes);
    }
    if (entry->begin != expected_begin) {
        return broken(file, entry,
                      entry->begin < expected_begin ? "its data overlap those of another tensor"
                                                    : "there is a hole before its data");
    }
    clm_safetensors_tensor tensor = {
        .name = entry->name, .dtype = entry->dtype, .rank = entry->rank, .count = 1};
    size_t element_bytes = clm_dtype_size(entry->dtype);
    bool empty = false;
    for (int i = 0; i < entry->rank; i++) {
        empty = empty || entry->shape[i] == 0;
    }
    for (int i = 0; i < entry->rank; i++) {
        if (entry->shape[i] > SIZE_MAX ||
            (!empty && entry->shape[i] > SIZE_MAX / element_bytes / tensor.count)) {
            return broken(file, entry, "the product of its shape overflows");
        }
        tensor.shape[i] = (size_t)entry->shape[i];
        tensor.count = empty ? 0 : tensor.count * tensor.shape[i];
    }
    tensor.size_bytes = tensor.count * element_bytes;
    if (tensor.size_bytes != entry->end - entry->begin) {
        return clm_fail(CLM_ERROR_FORMAT,
                        "%s: byte %zu: tensor \"%.200s\": its shape needs %zu bytes of %s, and "
                        "\"data_offsets\" hold %llu",
                        file->path, entry->byte, entry->name, tensor.size_bytes,
                        clm_dtype_name(entry->dtype),
                        (unsigned long long)(entry->end - entry->begin));
    }
    tensor.at = data_at + (size_t)entry->begin;
    file->tensors[file->count++] = tensor;
    return CLM_OK;
}

static clm_status take_tensors(clm_safetensors *file, size_t data_at, size_t data_bytes) {
    clm_status status = CLM_OK;
    clm_header *header = &file->header;
    CLM_TRY(clm_allocate(&file->tensors, header->tensor_count, sizeof *file->tensors,
                         "a table of tensors"));
    if (header->tensor_count > 0) {
        qsort(header->tensors, header->tensor_count, sizeof *header->tensors, by_offset);
    }
    uint64_t end = 0;
    for (size_t i = 0; i < header->tensor_count; i++) {
        CLM_TRY(take_tensor(file, &header->tensors[i], end, data_at, data_bytes));
        end = header->tensors[i].end;
    }
    if (end != data_bytes) {
        status =
            clm_fail(CLM_ERROR_FORMAT, "%s: byte %zu: %zu bytes follow the data of the last tensor",
                     file->path, data_at + (size_t)end, data_bytes - (size_t)end);
    }
cleanup:
    return status;
}

/* Sorts what is looked up by name, and so finds what appears twice. */
static clm_status index_names(clm_safetensors *file) {
    clm_status status = CLM_OK;
    clm_header *header = &file->header;
    CLM_TRY(
        clm_allocate(&file->by_name, file->count, sizeof *file->by_name, "an index of tensors"));
    for (size_t i = 0; i < file->count; i++) {
        file->by_name[i] = &file->tensors[i];
    }
    if (file->count > 0) {
        qsort(file->by_name, file->count, sizeof *file->by_name, by_name);
    }
    for (size_t i = 1; i < file->count; i++) {
        if (strcmp(file->by_name[i - 1]->name, file->by_name[i]->name) == 0) {
            const clm_header_tensor *entry = &header->tensors[file->by_name[i] - file->tensors];
            status = broken(file, entry, "appears twice");
            goto cleanup;
        }
    }
    if (header->metadata_count > 0) {
        qsort(header->metadata, header->metadata_count, sizeof *header->metadata, by_key);
    }
    for (size_t i = 1; i < header->metadata_count; i++) {
        if (strcmp(header->metadata[i - 1].key, header->metadata[i].key) == 0) {
            status = clm_fail(CLM_ERROR_FORMAT,
                              "%s: byte %zu: \"%.200s\" appears twice in \"__metadata__\"",
                              file->path, header->metadata[i].byte, header->metadata[i].key);
            goto cleanup;
        }
    }
cleanup:
    return status;
}

static clm_status read_bytes(const clm_safetensors *file, size_t at, void *out, size_t size_bytes) {
    if (file->bytes == NULL) {
        return clm_file_input_read(&file->input, at, out, size_bytes);
    }
    if (size_bytes > 0) {
        memcpy(out, file->bytes + at, size_bytes);
    }
    return CLM_OK;
}

/* A length that cannot be: what is the file, if it is no safetensors file? */
static clm_status sniff(const clm_safetensors *file) {
    unsigned char first[CLM_SNIFF_BYTES];
    const size_t count = file->size_bytes < sizeof first ? file->size_bytes : sizeof first;
    const clm_status status = read_bytes(file, 0, first, count);
    return status == CLM_OK ? clm_sniff_weights(file->path, first, count) : status;
}

/* The length of the header, which stands before it and fits into the file. */
static clm_status read_length(const clm_safetensors *file, size_t *length) {
    clm_status status = CLM_OK;
    unsigned char bytes[length_bytes];
    uint64_t header_bytes = 0;
    if (file->size_bytes < length_bytes) {
        CLM_TRY(sniff(file));
        return clm_fail(
            CLM_ERROR_FORMAT,
            "%s: byte %zu: the file ends within its first 8 bytes: not a safetensors file",
            file->path, file->size_bytes);
    }
    CLM_TRY(read_bytes(file, 0, bytes, length_bytes));
    for (int i = length_bytes - 1; i >= 0; i--) {
        header_bytes = header_bytes << 8 | bytes[i];
    }
    if (header_bytes > max_header_bytes) {
        CLM_TRY(sniff(file));
        return clm_fail(CLM_ERROR_FORMAT,
                        "%s: byte 0: a header of %llu bytes, and safetensors allows 100000000: "
                        "perhaps not a safetensors file",
                        file->path, (unsigned long long)header_bytes);
    }
    if (header_bytes > file->size_bytes - length_bytes) {
        return clm_fail(CLM_ERROR_FORMAT,
                        "%s: byte %zu: the file ends within its header of %llu bytes", file->path,
                        file->size_bytes, (unsigned long long)header_bytes);
    }
    *length = (size_t)header_bytes;
cleanup:
    return status;
}

static clm_status read_header(clm_safetensors *file) {
    clm_status status = CLM_OK;
    unsigned char *text = NULL;
    size_t count = 0;
    CLM_TRY(read_length(file, &count));
    CLM_TRY(clm_allocate(&text, count, sizeof *text, "a header"));
    CLM_TRY(read_bytes(file, length_bytes, text, count));
    CLM_TRY(clm_header_parse(&file->header, text, count, length_bytes, file->path));
    CLM_TRY(take_tensors(file, length_bytes + count, file->size_bytes - length_bytes - count));
    CLM_TRY(index_names(file));
cleanup:
    clm_free(text);
    return status;
}

clm_status clm_safetensors_open_bytes(clm_safetensors **file, const void *bytes, size_t size_bytes,
                                      const char *where) {
    *file = NULL;
    clm_status status = CLM_OK;
    clm_safetensors *fresh = NULL;
    CLM_TRY(clm_allocate(&fresh, 1, sizeof *fresh, "a safetensors file"));
    fresh->bytes = bytes;
    fresh->size_bytes = size_bytes;
    CLM_TRY(clm_duplicate(&fresh->path, where));
    CLM_TRY(read_header(fresh));
    *file = fresh;
    fresh = NULL;
cleanup:
    clm_safetensors_close(fresh);
    return status;
}

clm_status clm_safetensors_open(clm_safetensors **file, const char *path) {
    *file = NULL;
    clm_status status = CLM_OK;
    clm_safetensors *fresh = NULL;
    CLM_TRY(clm_allocate(&fresh, 1, sizeof *fresh, "a safetensors file"));
    CLM_TRY(clm_duplicate(&fresh->path, path));
    CLM_TRY(clm_file_input_open(&fresh->input, path));
    fresh->size_bytes = fresh->input.size_bytes;
    CLM_TRY(read_header(fresh));
    *file = fresh;
    fresh = NULL;
cleanup:
    clm_safetensors_close(fresh);
    return status;
}

clm_status clm_safetensors_read(const clm_safetensors *file, const clm_safetensors_tensor *tensor,
                                size_t begin, void *out, size_t size_bytes) {
    if (begin > tensor->size_bytes || size_bytes > tensor->size_bytes - begin) {
        return clm_fail(CLM_ERROR_ARGUMENT, "%s: tensor \"%.200s\" has %zu bytes", file->path,
                        tensor->name, tensor->size_bytes);
    }
    return read_bytes(file, tensor->at + begin, out, size_bytes);
}

clm_status clm_safetensors_map(clm_safetensors *file, const clm_safetensors_tensor *tensor,
                               const unsigned char **data) {
    const unsigned char *bytes = file->bytes;
    const clm_status status = bytes == NULL ? clm_file_input_map(&file->input, &bytes) : CLM_OK;
    if (status == CLM_OK) {
        *data = bytes + tensor->at;
    }
    return status;
}

clm_status clm_safetensors_check(const clm_safetensors *file) {
    return file->input.mapping != NULL ? clm_file_input_check(&file->input) : CLM_OK;
}

size_t clm_safetensors_count(const clm_safetensors *file) {
    return file->count;
}

const clm_safetensors_tensor *clm_safetensors_at(const clm_safetensors *file, size_t index) {
    return index < file->count ? &file->tensors[index] : NULL;
}

const clm_safetensors_tensor *clm_safetensors_find(const clm_safetensors *file, const char *name) {
    const clm_safetensors_tensor wanted = {.name = name};
    const clm_safetensors_tensor *key = &wanted;
    const clm_safetensors_tensor *const *found = NULL;
    if (file->count > 0) {
        found = bsearch(&key, file->by_name, file->count, sizeof *file->by_name, by_name);
    }
    return found != NULL ? *found : NULL;
}

const char *clm_safetensors_metadata(const clm_safetensors *file, const char *key) {
    for (size_t i = 0; i < file->header.metadata_count; i++) {
        if (strcmp(file->header.metadata[i].key, key) == 0) {
            return file->header.metadata[i].value;
        }
    }
    return NULL;
}

const char *clm_safetensors_path(const clm_safetensors *file) {
    return file->path;
}

void clm_safetensors_close(clm_safetensors *file) {
    if (file == NULL) {
        return;
    }
    clm_file_input_close(&file->input);
    clm_header_free(&file->header);
    clm_free(file->tensors);
    clm_free(file->by_name);
    clm_free(file->path);
    clm_free(file);
}
