/* safetensors files: read in pieces, and written in one pass.
 *
 * Format (huggingface/safetensors, README, "Format"): eight bytes, the length N of the header, a
 * little-endian unsigned integer of at most 100,000,000; N bytes of UTF-8 JSON that begin with '{'
 * and may be padded with spaces; the data, row-major and little-endian. The header maps each
 * tensor's name to its "dtype", "shape" and "data_offsets" [begin, end), relative to the data. The
 * offsets cover the data without hole or overlap. "__metadata__" maps strings to strings. No key
 * stands twice.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_MODEL_FORMATS_SAFETENSORS_H
#define CLM_MODEL_FORMATS_SAFETENSORS_H

#include "base/error.h"
#include "base/folder.h"
#include "clm/dtype.h"
#include "model/formats/safetensors_header.h"

typedef struct clm_safetensors clm_safetensors;

typedef struct clm_safetensors_tensor {
    const char *name;
    clm_dtype dtype;
    int rank; /* 0 for a scalar */
    size_t shape[CLM_SAFETENSORS_MAX_RANK];
    size_t count;      /* elements: the product of the shape, 1 for a scalar */
    size_t size_bytes; /* count * clm_dtype_size(dtype) */
    size_t at;         /* the byte of the file where its data begin; of any alignment */
} clm_safetensors_tensor;

/* Opens the file, reads its header and checks all of it. Errors name the file, the byte and the
 * tensor: CLM_ERROR_FORMAT for a broken rule, CLM_ERROR_UNSUPPORTED for an element type that the
 * format has and clm has not, or a rank over 8. */
clm_status clm_safetensors_open(clm_safetensors **file, const char *path);

/* The same for bytes in memory, which must outlive *file. `where` names them in errors. */
clm_status clm_safetensors_open_bytes(clm_safetensors **file, const void *bytes, size_t size_bytes,
                                      const char *where);

/* Tensors are lent by the file and stand in the order of their data. */
size_t clm_safetensors_count(const clm_safetensors *file);
const clm_safetensors_tensor *clm_safetensors_at(const clm_safetensors *file, size_t index);
/* NULL when there is none of that name. */
const clm_safetensors_tensor *clm_safetensors_find(const clm_safetensors *file, const char *name);
/* The value of a key of "__metadata__", or NULL. */
const char *clm_safetensors_metadata(const clm_safetensors *file, const char *key);
/* The path or `where` it was opened with. */
const char *clm_safetensors_path(const clm_safetensors *file);

/* Bytes [begin, begin + size_bytes) of a tensor's data. CLM_ERROR_IO also when the file was cut
 * short or written to since it was opened. */
clm_status clm_safetensors_read(const clm_safetensors *file, const clm_safetensors_tensor *tensor,
                                size_t begin, void *out, size_t size_bytes);

/* All of a tensor's data through *data, where they are: in the memory that the file is mapped to,
 * until it is closed. clm_safetensors_check() right before and after every use says whether the
 * file still is what it was; when it shrinks in between, the process ends. */
clm_status clm_safetensors_map(clm_safetensors *file, const clm_safetensors_tensor *tensor,
                               const unsigned char **data);
/* CLM_ERROR_IO when a mapped file was cut short or written to since it was opened. */
clm_status clm_safetensors_check(const clm_safetensors *file);

void clm_safetensors_close(clm_safetensors *file); /* NULL is fine */

/* Writing: declare every tensor, then add their bytes in the same order, in pieces of any size,
 * then commit. Nothing appears under `path` before the commit. The last part of the path is a name
 * that clm made: a link there is refused, not followed. The file needs no memory beyond its header.
 */
typedef struct clm_safetensors_writer clm_safetensors_writer;

clm_status clm_safetensors_writer_open(clm_safetensors_writer **writer, const char *path);
/* A file of clm's own in an open folder: see base/folder.h. */
clm_status clm_safetensors_writer_open_in(clm_safetensors_writer **writer, const clm_folder *folder,
                                          const char *name);
/* Names and metadata must be UTF-8. A name declared twice fails with the first addition. */
clm_status clm_safetensors_writer_declare(clm_safetensors_writer *writer, const char *name,
                                          clm_dtype dtype, int rank, const size_t *shape);
clm_status clm_safetensors_writer_metadata(clm_safetensors_writer *writer, const char *key,
                                           const char *value);
/* The first addition writes the header and ends the declarations. CLM_ERROR_ARGUMENT for more
 * bytes than were declared; CLM_ERROR_NO_SPACE when the disk is full. */
clm_status clm_safetensors_writer_add(clm_safetensors_writer *writer, const void *bytes,
                                      size_t size_bytes);
/* CLM_ERROR_ARGUMENT when bytes are missing. Discard the writer afterwards in any case. */
clm_status clm_safetensors_writer_commit(clm_safetensors_writer *writer);
/* Frees the writer; removes what an uncommitted one wrote. NULL is fine. */
void clm_safetensors_writer_discard(clm_safetensors_writer *writer);

#endif
