/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/gemm.h"

#include <math.h>

#include "reference/gelu.h"

static double a_at(const clm_reference_gemm_arguments *g, size_t m, size_t k) {
    return g->a_transposed ? g->a[k * (size_t)g->lda + m] : g->a[m * (size_t)g->lda + k];
}

static double b_at(const clm_reference_gemm_arguments *g, size_t k, size_t n) {
    return g->b_transposed ? g->b[n * (size_t)g->ldb + k] : g->b[k * (size_t)g->ldb + n];
}

void clm_reference_gemm(const clm_reference_gemm_arguments *g) {
    for (size_t m = 0; m < (size_t)g->M; m++) {
        for (size_t n = 0; n < (size_t)g->N; n++) {
            float *c = &g->c[m * (size_t)g->ldc + n];
            double sum = g->accumulate ? *c : 0.0;
            for (size_t k = 0; k < (size_t)g->K; k++) {
                sum += a_at(g, m, k) * b_at(g, k, n);
            }
            if (g->bias != NULL) {
                sum += g->bias[n];
            }
            if (g->pre != NULL) {
                g->pre[m * (size_t)g->N + n] = (float)sum;
            }
            if (g->gelu) {
                sum = clm_reference_gelu(sum);
            }
            if (g->residual != NULL) {
                sum += g->residual[m * (size_t)g->N + n];
            }
            *c = (float)sum;
        }
    }
}

void clm_reference_gemm_bound(const clm_reference_gemm_arguments *g, float *bound) {
    for (size_t m = 0; m < (size_t)g->M; m++) {
        for (size_t n = 0; n < (size_t)g->N; n++) {
            double sum = g->accumulate ? fabs((double)g->c[m * (size_t)g->ldc + n]) : 0.0;
            for (size_t k = 0; k < (size_t)g->K; k++) {
                sum += fabs(a_at(g, m, k)) * fabs(b_at(g, k, n));
            }
            bound[m * (size_t)g->N + n] = (float)sum;
        }
    }
}
