/* A linear layer: three products by clm_gemm, and column sums for the bias. It has no kernels of
 * its own.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "ops/common.h"
#include "ops/ops.h"

clm_status clm_linear_forward(clm_device *device, clm_buffer *out, const clm_buffer *x,
                              const clm_buffer *weight, const clm_gemm_packed *packed,
                              const clm_buffer *bias, const clm_linear_tail *tail, int rows, int K,
                              int N) {
    clm_status status = CLM_OK;
    CLM_TRY(clm_ops_check_positive("linear", "rows, K and N", rows, K, N));
    clm_gemm_arguments product = {
        .M = rows, .N = N, .K = K, .a = x, .b = weight, .b_packed = packed, .c = out, .bias = bias};
    if (tail != NULL) {
        product.pre = tail->pre;
        product.gelu = tail->gelu;
        product.residual = tail->residual;
    }
    CLM_TRY(clm_gemm(device, &product));
cleanup:
    return status;
}

clm_status clm_linear_backward(clm_device *device, clm_buffer *dx, clm_buffer *dweight,
                               clm_buffer *dbias, const clm_buffer *dout, const clm_buffer *x,
                               const clm_buffer *weight, const clm_gemm_packed *packed_transposed,
                               int rows, int K, int N) {
    clm_status status = CLM_OK;
    CLM_TRY(clm_ops_check_positive("linear", "rows, K and N", rows, K, N));
    if (dx != NULL) {
        const clm_gemm_arguments product = {.M = rows,
                                            .N = K,
                                            .K = N,
                                            .a = dout,
                                            .b = weight,
                                            .b_transposed = true,
                                            .b_packed = packed_transposed,
                                            .c = dx};
        CLM_TRY(clm_gemm(device, &product));
    }
    if (dweight != NULL) {
        const clm_gemm_arguments product = {.M = K,
                                            .N = N,
                                            .K = rows,
                                            .a = x,
                                            .a_transposed = true,
                                            .b = dout,
                                            .c = dweight,
                                            .accumulate = true};
        CLM_TRY(clm_gemm(device, &product));
    }
    if (dbias != NULL) {
        clm_buffer *scratch = NULL;
        CLM_TRY(clm_scratch_take(device, clm_reduce_columns_scratch_bytes(device, rows, N),
                                 &scratch, "partial column sums"));
        CLM_TRY(clm_reduce_columns(device, dbias, 0, dout, 0, rows, N, true, scratch));
    }
cleanup:
    return status;
}
