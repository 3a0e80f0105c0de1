/* Packed weights of 16 bits: to them, and back where a product has many rows.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "ops/common.h"
#include "ops/gemm_backend.h"
#include "ops/ops.h"

/* The bits of the smallest float that rounds to infinity, by storage. */
static const int first_too_large[] = {
    [CLM_GEMM_F16] = 0x477FF000,  /* 65520 */
    [CLM_GEMM_BF16] = 0x7F7F8000, /* 3.396e38 */
};

static clm_status check_overflow(clm_device *device, const clm_buffer *x, size_t count,
                                 clm_gemm_storage storage) {
    clm_status status = CLM_OK;
    clm_buffer *found = NULL;
    const clm_ops_variant variant = clm_gemm_few_variant(device, CLM_GEMM_F32);
    int32_t bits = 0;
    float largest = 0;
    CLM_TRY(clm_buffer_create(&found, device, sizeof bits, "a check of weights"));
    CLM_TRY(clm_buffer_zero(found, 0, sizeof bits));
    clm_launch launch =
        clm_launch_begin(device, "gemm_few", "gemm_few_find_overflow", variant.options);
    clm_launch_buffer(&launch, found);
    clm_launch_buffer(&launch, x);
    clm_launch_ulong(&launch, count);
    clm_launch_int(&launch, first_too_large[storage]);
    CLM_TRY(clm_launch_1d(&launch, count, variant.flat));
    CLM_TRY(clm_buffer_read(found, 0, &bits, sizeof bits));
    if (bits != 0) {
        memcpy(&largest, &bits, sizeof largest);
        status = clm_fail(CLM_ERROR_UNSUPPORTED,
                          "weights of up to %g do not fit into %s, which ends at %s: store them "
                          "as %s",
                          (double)largest, storage == CLM_GEMM_F16 ? "f16" : "bf16",
                          storage == CLM_GEMM_F16 ? "65504" : "3.39e38",
                          storage == CLM_GEMM_F16 ? "bf16 or f32" : "f32");
    }
cleanup:
    clm_buffer_release(found);
    return status;
}

clm_status clm_gemm_narrow(clm_device *device, clm_buffer *out, const clm_buffer *x, size_t count,
                           clm_gemm_storage storage) {
    clm_status status = check_overflow(device, x, count, storage);
    if (status != CLM_OK) {
        return status;
    }
    return storage == CLM_GEMM_F16 ? clm_convert_f32_to_f16(device, out, x, count)
                                   : clm_convert_f32_to_bf16(device, out, x, count);
}

clm_status clm_gemm_widen(clm_device *device, clm_buffer *dense, size_t at,
                          const clm_gemm_matrix *matrix, int rows, int columns) {
    const clm_ops_variant variant = clm_gemm_few_variant(device, matrix->storage);
    clm_launch launch = clm_launch_begin(device, "gemm_few", "gemm_few_widen", variant.options);
    clm_launch_buffer(&launch, dense);
    clm_launch_ulong(&launch, at);
    clm_launch_buffer(&launch, matrix->buffer);
    clm_launch_ulong(&launch, matrix->offset);
    clm_launch_int(&launch, matrix->stride);
    clm_launch_int(&launch, rows);
    clm_launch_int(&launch, columns);
    return clm_ops_launch_rows(&launch, &variant, columns, (size_t)rows);
}
