/* The one seam for matrix products: C = op(A) * op(B) [+ C], row-major, with an optional fused
 * tail.
 *
 * Its backends are CLBlast and clm's own packed kernel. Which one a device uses is measured on that
 * device and remembered (never guessed from a vendor's name); $CLM_GEMM = "clblast" or "own" forces
 * one.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_OPS_GEMM_H
#define CLM_OPS_GEMM_H

#include "ops/gemm_choose.h"

typedef struct clm_gemm_arguments {
    int M, N, K;
    bool a_transposed, b_transposed;
    /* A is (M,K) with row stride lda, or (K,M) when transposed; B is (K,N) or (N,K); C is (M,N).
     * Offsets and strides count elements; a stride of 0 means dense. */
    const clm_buffer *a;
    size_t a_offset;
    int lda;
    const clm_buffer *b;
    size_t b_offset;
    int ldb;
    const clm_gemm_packed *b_packed; /* replaces b when not NULL */
    clm_buffer *c;
    size_t c_offset;
    int ldc;
    bool accumulate; /* C += instead of C = ; excludes a tail */
    /* The tail, all optional: c = gelu(product + bias) + residual. */
    const clm_buffer *bias; /* (N), from bias_offset on */
    size_t bias_offset;
    bool gelu;
    clm_buffer *pre; /* gets product + bias, (M,N) dense */
    /* (M,N) dense; may be c itself when c is dense and there is neither GELU nor pre. */
    const clm_buffer *residual;
    /* At least clm_gemm_scratch_bytes(); NULL when that is 0. */
    clm_buffer *scratch;
    /* For tests, tuning and comparison, a given way to compute it. With a given backend an
     * arithmetic of AUTO is floats. */
    clm_gemm_backend backend;
    clm_gemm_arithmetic arithmetic;
} clm_gemm_arguments;

/* Enqueues. Products of up to 16 rows have their own kernels, which read B once, at the speed of
 * memory, and need no packing for it. So do products with a K of up to 16 (the gradient of a weight
 * from few rows), whose kernels read and write C once. Both are used with every backend, unless
 * CLBlast is forced. K = 0 is CLM_ERROR_SHAPE. c may not overlap a, b, bias or pre. A b_packed is
 * processed by the backend that it was packed for. Of what `arguments` give, CLM_ERROR_UNSUPPORTED
 * is a backend that is not built in, and IN_HALVES on a device that has none or for another product
 * than one of many rows with packed F16; CLM_ERROR_ARGUMENT a b_packed in a layout that only
 * another backend reads.
 *
 * The order of a sum. Equal inputs give equal bits on the same device and backend. On CPU devices
 * the order depends on K and the device's settings alone (cl/gemm.clh has it): a row of C has the
 * same bits however many rows share the product and wherever it is among them, and whether B is
 * packed, transposed or as it lies. This does not hold for CLBlast and for halves, which are used
 * there only when forced, nor for A transposed. On other devices, and for those, two orders of one
 * row differ by at most 2 (K + K / 16 + 4) 2^-24 (|A| |B| + |C|), as each differs from the exact
 * product by half of that; GELU has a slope of at most 1.13. */
clm_status clm_gemm(clm_device *device, const clm_gemm_arguments *arguments);

/* The scratch of a product; buffers, offsets and strides of `arguments` do not matter, except
 * b_packed. While the device has yet to measure which backend or arithmetic it takes, the most that
 * it could be. */
size_t clm_gemm_scratch_bytes(clm_device *device, const clm_gemm_arguments *arguments);

/* The same for a B that will be packed by clm_gemm_pack(), so for `arguments` without b_packed. */
size_t clm_gemm_packed_scratch_bytes(clm_device *device, const clm_gemm_arguments *arguments,
                                     clm_gemm_storage storage);

/* clm_gemm() with scratch that the device lends (clm_scratch_take()) in place of
 * arguments->scratch.
 */
clm_status clm_gemm_on_lent_scratch(clm_device *device, const clm_gemm_arguments *arguments);

/* Packs B (K,N), or (N,K) when transposed, through *packed; `b` may be released afterwards. If it
 * is larger than the device's largest allocation, it is stored in several pieces.
 *
 * F16 and BF16 take half the memory of F32: elements are rounded to nearest even (relative error at
 * most 2^-11 in F16 for 6.1e-5 and above, 2^-8 in BF16), infinities and NaN are kept. Products are
 * still computed and summed in floats, except by clm_gemm() with F16 on a device that is faster in
 * halves (clm_gemm_arithmetic). Packing to 16 bits blocks, and is CLM_ERROR_UNSUPPORTED when a
 * finite element would become infinite (65520 and above in F16). */
clm_status clm_gemm_pack(clm_gemm_packed **packed, clm_device *device, const clm_buffer *b,
                         size_t b_offset, int ldb, bool transposed, int K, int N,
                         clm_gemm_storage storage);
/* The same for a given backend, in pieces of at most `piece_bytes`. */
clm_status clm_gemm_pack_with(clm_gemm_packed **packed, clm_device *device,
                              clm_gemm_backend backend, size_t piece_bytes, const clm_buffer *b,
                              size_t b_offset, int ldb, bool transposed, int K, int N,
                              clm_gemm_storage storage);

#endif
