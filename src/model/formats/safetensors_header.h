/* The JSON of a safetensors header, read strictly.
 *
 * cJSON does not do here: it keeps numbers as doubles (offsets above 2^53 would be rounded), ends
 * a string at an escaped NUL (two different names would become equal), accepts numbers that JSON
 * forbids, and cannot say at which byte a tensor stands. The header's grammar is fixed and two
 * levels deep, so this reader has no recursion either.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_MODEL_FORMATS_SAFETENSORS_HEADER_H
#define CLM_MODEL_FORMATS_SAFETENSORS_HEADER_H

#include <stdint.h>

#include "base/error.h"
#include "clm/dtype.h"

enum { CLM_SAFETENSORS_MAX_RANK = 8 };

/* One tensor as the header states it: nothing is checked yet beyond the JSON and the types. */
typedef struct clm_header_tensor {
    char *name;
    clm_dtype dtype;
    int rank;
    uint64_t shape[CLM_SAFETENSORS_MAX_RANK];
    uint64_t begin;
    uint64_t end;
    size_t byte; /* of the file, where its name stands */
} clm_header_tensor;

typedef struct clm_header_pair {
    char *key;
    char *value;
    size_t byte;
} clm_header_pair;

/* Start from `{0}`; free it also after a failure. */
typedef struct clm_header {
    clm_header_tensor *tensors;
    size_t tensor_count;
    size_t tensor_capacity;
    clm_header_pair *metadata;
    size_t metadata_count;
    size_t metadata_capacity;
} clm_header;

/* `first_byte` is the place of text[0] in the file; `where` names the file in errors. */
clm_status clm_header_parse(clm_header *header, const unsigned char *text, size_t count,
                            size_t first_byte, const char *where);
void clm_header_free(clm_header *header);

#endif
