/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/gemm_half.h"

#include "reference/convert.h"

/* As in cl/gemm_half.cl. */
enum { CHUNK = 16 };

static float to_half(float x) {
    return clm_reference_f16_to_f32(clm_reference_f32_to_f16(x));
}

static float element(const clm_reference_gemm_arguments *g, size_t m, size_t n) {
    float sum = 0.0F;
    for (size_t k0 = 0; k0 < (size_t)g->K; k0 += CHUNK) {
        float chunk = 0.0F;
        for (size_t k = k0; k < k0 + CHUNK && k < (size_t)g->K; k++) {
            const float a =
                g->a_transposed ? g->a[k * (size_t)g->lda + m] : g->a[m * (size_t)g->lda + k];
            const float b =
                g->b_transposed ? g->b[n * (size_t)g->ldb + k] : g->b[k * (size_t)g->ldb + n];
            chunk = to_half(to_half(a) * b + chunk);
        }
        sum += chunk;
    }
    return sum;
}

void clm_reference_gemm_half(const clm_reference_gemm_arguments *g) {
    for (size_t m = 0; m < (size_t)g->M; m++) {
        for (size_t n = 0; n < (size_t)g->N; n++) {
            g->c[m * (size_t)g->ldc + n] = element(g, m, n);
        }
    }
}

double clm_reference_gemm_half_tolerance(int K, double bound, double largest) {
    return (CHUNK + 3.0) * 0x1p-11 * bound + K * 0x1p-14 * (2.0 * largest + 1.0);
}
