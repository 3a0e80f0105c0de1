/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/string.h"
#include "model/formats/safetensors.h"

typedef struct entry {
    char *name;
    size_t end; /* of its data */
} entry;

struct clm_safetensors_writer {
    clm_file_writer out;
    char *path;
    clm_string tensors;  /* the header's entries, each after a comma */
    clm_string metadata; /* likewise */
    entry *entries;
    size_t count;
    size_t capacity;
    size_t data_bytes; /* declared */
    size_t added;
    bool started; /* the header is written */
};

clm_status clm_safetensors_writer_open(clm_safetensors_writer **writer, const char *path) {
    *writer = NULL;
    clm_status status = CLM_OK;
    clm_safetensors_writer *fresh = NULL;
    CLM_TRY(clm_allocate(&fresh, 1, sizeof *fresh, "a safetensors writer"));
    CLM_TRY(clm_duplicate(&fresh->path, path));
    CLM_TRY(clm_file_writer_open_own(&fresh->out, path));
    *writer = fresh;
    fresh = NULL;
cleanup:
    clm_safetensors_writer_discard(fresh);
    return status;
}

clm_status clm_safetensors_writer_open_in(clm_safetensors_writer **writer, const clm_folder *folder,
                                          const char *name) {
    *writer = NULL;
    clm_status status = CLM_OK;
    clm_safetensors_writer *fresh = NULL;
    CLM_TRY(clm_allocate(&fresh, 1, sizeof *fresh, "a safetensors writer"));
    CLM_TRY(clm_folder_path(&fresh->path, folder, name));
    CLM_TRY(clm_file_writer_open_in(&fresh->out, folder, name));
    *writer = fresh;
    fresh = NULL;
cleanup:
    clm_safetensors_writer_discard(fresh);
    return status;
}

static clm_status check_text(const clm_safetensors_writer *writer, const char *text) {
    if (clm_utf8_check(text, strlen(text)) < strlen(text)) {
        return clm_fail(CLM_ERROR_ENCODING, "%s: a name to be written is not valid UTF-8",
                        writer->path);
    }
    if (writer->started) {
        return clm_fail(CLM_ERROR_ARGUMENT, "%s: \"%.200s\" comes after the first data",
                        writer->path, text);
    }
    return CLM_OK;
}

clm_status clm_safetensors_writer_declare(clm_safetensors_writer *writer, const char *name,
                                          clm_dtype dtype, int rank, const size_t *shape) {
    clm_status status = CLM_OK;
    clm_string *header = &writer->tensors;
    CLM_TRY(check_text(writer, name));
    size_t element_bytes = clm_dtype_size(dtype);
    if (element_bytes == 0 || rank < 0 || rank > CLM_SAFETENSORS_MAX_RANK ||
        strcmp(name, "__metadata__") == 0) {
        return clm_fail(CLM_ERROR_ARGUMENT, "%s: \"%.200s\" cannot be a tensor of rank %d",
                        writer->path, name, rank);
    }
    CLM_TRY(clm_reserve(&writer->entries, &writer->capacity, writer->count + 1,
                        sizeof *writer->entries, "tensors to write"));
    clm_string_add(header, ",");
    clm_json_add_string(header, name);
    clm_string_add_format(header, ":{\"dtype\":\"%s\",\"shape\":[", clm_dtype_name(dtype));
    size_t size_bytes = element_bytes;
    for (int i = 0; i < rank; i++) {
        if (shape[i] > 0 && size_bytes > SIZE_MAX / shape[i]) {
            return clm_fail(CLM_ERROR_SHAPE, "%s: \"%.200s\": the product of its shape overflows",
                            writer->path, name);
        }
        size_bytes *= shape[i];
        clm_string_add_format(header, i > 0 ? ",%zu" : "%zu", shape[i]);
    }
    if (size_bytes > SIZE_MAX - writer->data_bytes) {
        return clm_fail(CLM_ERROR_SHAPE, "%s: \"%.200s\": too much data for one file", writer->path,
                        name);
    }
    size_t end = writer->data_bytes + size_bytes;
    clm_string_add_format(header, "],\"data_offsets\":[%zu,%zu]}", writer->data_bytes, end);
    CLM_TRY(clm_string_status(header));
    entry added = {.end = end};
    CLM_TRY(clm_duplicate(&added.name, name));
    writer->entries[writer->count++] = added;
    writer->data_bytes = end;
cleanup:
    return status;
}

clm_status clm_safetensors_writer_metadata(clm_safetensors_writer *writer, const char *key,
                                           const char *value) {
    clm_status status = check_text(writer, key);
    if (status == CLM_OK) {
        status = check_text(writer, value);
    }
    if (status != CLM_OK) {
        return status;
    }
    clm_string_add(&writer->metadata, ",");
    clm_json_add_string(&writer->metadata, key);
    clm_string_add(&writer->metadata, ":");
    clm_json_add_string(&writer->metadata, value);
    return clm_string_status(&writer->metadata);
}

static int by_name(const void *a, const void *b) {
    const entry *x = a;
    const entry *y = b;
    return strcmp(x->name, y->name);
}

/* Names are compared once, here, on a sorted copy: the order of the entries is that of the data. */
static clm_status refuse_doubles(const clm_safetensors_writer *writer) {
    clm_status status = CLM_OK;
    entry *sorted = NULL;
    CLM_TRY(clm_allocate(&sorted, writer->count, sizeof *sorted, "tensors to write"));
    if (writer->count > 0) {
        memcpy(sorted, writer->entries, writer->count * sizeof *sorted);
        qsort(sorted, writer->count, sizeof *sorted, by_name);
    }
    for (size_t i = 1; i < writer->count; i++) {
        if (strcmp(sorted[i - 1].name, sorted[i].name) == 0) {
            status = clm_fail(CLM_ERROR_ARGUMENT, "%s: tensor \"%.200s\" is declared twice",
                              writer->path, sorted[i].name);
            goto cleanup;
        }
    }
cleanup:
    clm_free(sorted);
    return status;
}

/* The header is padded with spaces to a multiple of 8 bytes, so that the data are aligned for
 * whoever maps the file. */
static clm_status write_header(clm_safetensors_writer *writer) {
    clm_status status = CLM_OK;
    clm_string header = {0};
    CLM_TRY(refuse_doubles(writer));
    clm_string_add(&header, "{");
    if (writer->metadata.length > 0) {
        clm_string_add_format(&header, "\"__metadata__\":{%s}", writer->metadata.text + 1);
    }
    if (writer->tensors.length > 0) {
        clm_string_add(&header, writer->tensors.text + (writer->metadata.length > 0 ? 0 : 1));
    }
    clm_string_add(&header, "}");
    while (header.status == CLM_OK && header.length % 8 != 0) {
        clm_string_add(&header, " ");
    }
    CLM_TRY(clm_string_status(&header));
    unsigned char length[8];
    for (unsigned i = 0; i < 8; i++) {
        length[i] = (unsigned char)((uint64_t)header.length >> 8 * i);
    }
    CLM_TRY(clm_file_writer_add(&writer->out, length, sizeof length));
    CLM_TRY(clm_file_writer_add(&writer->out, header.text, header.length));
    writer->started = true;
cleanup:
    clm_string_free(&header);
    return status;
}

clm_status clm_safetensors_writer_add(clm_safetensors_writer *writer, const void *bytes,
                                      size_t size_bytes) {
    if (size_bytes > writer->data_bytes - writer->added) {
        return clm_fail(CLM_ERROR_ARGUMENT, "%s: %zu bytes of data, and %zu were declared",
                        writer->path, writer->added + size_bytes, writer->data_bytes);
    }
    clm_status status = writer->started ? CLM_OK : write_header(writer);
    if (status == CLM_OK) {
        status = clm_file_writer_add(&writer->out, bytes, size_bytes);
    }
    if (status == CLM_OK) {
        writer->added += size_bytes;
    }
    return status;
}

clm_status clm_safetensors_writer_commit(clm_safetensors_writer *writer) {
    if (writer->added < writer->data_bytes) {
        size_t i = 0;
        while (writer->entries[i].end <= writer->added) {
            i++;
        }
        return clm_fail(CLM_ERROR_ARGUMENT, "%s: data are missing from tensor \"%.200s\" on",
                        writer->path, writer->entries[i].name);
    }
    clm_status status = writer->started ? CLM_OK : write_header(writer);
    return status == CLM_OK ? clm_file_writer_commit(&writer->out) : status;
}

void clm_safetensors_writer_discard(clm_safetensors_writer *writer) {
    if (writer == NULL) {
        return;
    }
    clm_file_writer_discard(&writer->out);
    for (size_t i = 0; i < writer->count; i++) {
        clm_free(writer->entries[i].name);
    }
    clm_free(writer->entries);
    clm_string_free(&writer->tensors);
    clm_string_free(&writer->metadata);
    clm_free(writer->path);
    clm_free(writer);
}
