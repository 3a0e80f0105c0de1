/* Matrix products in plain C, summed in double: the oracle for tests and the self-test.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_REFERENCE_GEMM_H
#define CLM_REFERENCE_GEMM_H

#include <stdbool.h>
#include <stddef.h>

/* As clm_gemm_arguments in ops/gemm.h, on host memory; strides are never 0. */
typedef struct clm_reference_gemm_arguments {
    int M, N, K;
    bool a_transposed, b_transposed;
    const float *a;
    int lda;
    const float *b;
    int ldb;
    float *c;
    int ldc;
    bool accumulate;
    const float *bias;
    bool gelu;
    float *pre;
    const float *residual;
} clm_reference_gemm_arguments;

void clm_reference_gemm(const clm_reference_gemm_arguments *g);

/* bound (M,N) dense = |A| |B| [+ |C|], with no tail: rounding errors are a multiple of it. */
void clm_reference_gemm_bound(const clm_reference_gemm_arguments *g, float *bound);

#endif
