/* A linear layer: three products by clm_gemm, and column sums for the bias. It has no kernels of
 * its own.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "ops/common.h"
#include "ops/gemm.h"
#include "ops/ops.h"

clm_status clm_linear_forward(clm_device *device, clm_buffer *out, const clm_buffer *x,
                              const clm_buffer *weight, const clm_gemm_packed *packed,
                              const clm_buffer *bias, const clm_linear_tail *tail, int rows, int K,
                              int N, clm_buffer *scratch) {
    clm_status status = CLM_OK;
    CLM_TRY(clm_ops_check_positive("linear", "rows, K and N", rows, K, N));
    clm_gemm_arguments product = {.M = rows,
                                  .N = N,
                                  .K = K,
                                  .a = x,
                                  .b = weight,
                                  .b_packed = packed,
                                  .c = out,
                                  .bias = bias,
                                  .scratch = scratch};
    if (tail != NULL) {
        product.pre = tail->pre;
        product.gelu = tail->gelu;
        product.residual = tail->residual;
    }
    CLM_TRY(clm_gemm(device, &product));
cleanup:
    return status;
}

size_t clm_linear_forward_scratch_bytes(clm_device *device, const clm_gemm_packed *packed, int rows,
                                        int K, int N) {
    return clm_gemm_scratch_bytes(
        device, &(clm_gemm_arguments){.M = rows, .N = N, .K = K, .b_packed = packed});
}

/* dx = dout * weight^T and dweight += x^T * dout, without their buffers. */
static clm_gemm_arguments input_product(const clm_gemm_packed *packed_transposed, int rows, int K,
                                        int N) {
    return (clm_gemm_arguments){
        .M = rows, .N = K, .K = N, .b_transposed = true, .b_packed = packed_transposed};
}

static clm_gemm_arguments weight_product(int rows, int K, int N) {
    return (clm_gemm_arguments){
        .M = K, .N = N, .K = rows, .a_transposed = true, .accumulate = true};
}

size_t clm_linear_backward_scratch_bytes(clm_device *device,
                                         const clm_gemm_packed *packed_transposed, int rows, int K,
                                         int N, unsigned wanted) {
    const clm_gemm_arguments dx = input_product(packed_transposed, rows, K, N);
    const clm_gemm_arguments dweight = weight_product(rows, K, N);
    const size_t bytes[3] = {
        (wanted & CLM_LINEAR_DX) != 0 ? clm_gemm_scratch_bytes(device, &dx) : 0,
        (wanted & CLM_LINEAR_DWEIGHT) != 0 ? clm_gemm_scratch_bytes(device, &dweight) : 0,
        (wanted & CLM_LINEAR_DBIAS) != 0 ? clm_reduce_columns_scratch_bytes(device, rows, N) : 0};
    const size_t more = bytes[0] > bytes[1] ? bytes[0] : bytes[1];
    return more > bytes[2] ? more : bytes[2];
}

clm_status clm_linear_backward(clm_device *device, clm_buffer *dx, clm_buffer *dweight,
                               clm_buffer *dbias, const clm_buffer *dout, const clm_buffer *x,
                               const clm_buffer *weight, const clm_gemm_packed *packed_transposed,
                               int rows, int K, int N, clm_buffer *scratch) {
    clm_status status = CLM_OK;
    CLM_TRY(clm_ops_check_positive("linear", "rows, K and N", rows, K, N));
    if (dx != NULL) {
        clm_gemm_arguments product = input_product(packed_transposed, rows, K, N);
        product.a = dout;
        product.b = weight;
        product.c = dx;
        product.scratch = scratch;
        CLM_TRY(clm_gemm(device, &product));
    }
    if (dweight != NULL) {
        clm_gemm_arguments product = weight_product(rows, K, N);
        product.a = x;
        product.b = dout;
        product.c = dweight;
        product.scratch = scratch;
        CLM_TRY(clm_gemm(device, &product));
    }
    if (dbias != NULL) {
        CLM_TRY(clm_reduce_columns(device, dbias, 0, dout, 0, rows, N, true, scratch));
    }
cleanup:
    return status;
}
