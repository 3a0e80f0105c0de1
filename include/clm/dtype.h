/* The element types of stored tensors.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_DTYPE_H
#define CLM_DTYPE_H

#include <stddef.h>

#include "clm/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum clm_dtype {
    CLM_F32 = 0,
    CLM_F16,
    CLM_BF16,
    CLM_F64,
    CLM_I8,
    CLM_I16,
    CLM_I32,
    CLM_I64,
    CLM_U8,
    CLM_U16,
    CLM_U32,
    CLM_U64,
    CLM_BOOL
} clm_dtype;

/* Bytes of one element; 0 for a value that is none of the above. */
CLM_API size_t clm_dtype_size(clm_dtype dtype);

/* The name in safetensors files: "F32", "BF16", "BOOL". Static; "?" for a value that is none of the
 * above. */
CLM_API const char *clm_dtype_name(clm_dtype dtype);

#ifdef __cplusplus
}
#endif
#endif
