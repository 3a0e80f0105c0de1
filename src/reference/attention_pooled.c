/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/attention_pooled.h"

#include <math.h>
#include <stddef.h>

static double dot(const double *a, const double *b, int count) {
    double sum = 0.0;
    for (int i = 0; i < count; i++) {
        sum += a[i] * b[i];
    }
    return sum;
}

void clm_reference_attention_pooled_forward(double *out, double *lse, const double *q,
                                            const double *kv, const int32_t *rows, int B, int T,
                                            int H, int D) {
    const ptrdiff_t C = (ptrdiff_t)H * D;
    for (int b = 0; b < B; b++) {
        for (int h = 0; h < H; h++) {
            const double *query = q + b * C + (ptrdiff_t)h * D;
            double *total = out + b * C + (ptrdiff_t)h * D;
            double most = -INFINITY;
            double sum = 0.0;
            for (ptrdiff_t row = (ptrdiff_t)b * T; row <= rows[b]; row++) {
                most = fmax(most, dot(query, kv + row * 2 * C + (ptrdiff_t)h * D, D) / sqrt(D));
            }
            for (int d = 0; d < D; d++) {
                total[d] = 0.0;
            }
            for (ptrdiff_t row = (ptrdiff_t)b * T; row <= rows[b]; row++) {
                const double *key = kv + row * 2 * C + (ptrdiff_t)h * D;
                const double weight = exp(dot(query, key, D) / sqrt(D) - most);
                sum += weight;
                for (int d = 0; d < D; d++) {
                    total[d] += weight * key[C + d];
                }
            }
            for (int d = 0; d < D; d++) {
                total[d] /= sum;
            }
            lse[b * H + h] = most + log(sum);
        }
    }
}

void clm_reference_attention_pooled_backward(double *dq, double *dkv, const double *dout,
                                             const double *q, const double *kv, const double *out,
                                             const double *lse, const int32_t *rows, int B, int T,
                                             int H, int D) {
    const ptrdiff_t C = (ptrdiff_t)H * D;
    for (ptrdiff_t i = 0; i < B * C; i++) {
        dq[i] = 0.0;
    }
    for (ptrdiff_t i = 0; i < (ptrdiff_t)B * T * 2 * C; i++) {
        dkv[i] = 0.0;
    }
    for (int b = 0; b < B; b++) {
        for (int h = 0; h < H; h++) {
            const ptrdiff_t query = b * C + (ptrdiff_t)h * D;
            const double delta = dot(dout + query, out + query, D);
            for (ptrdiff_t row = (ptrdiff_t)b * T; row <= rows[b]; row++) {
                const ptrdiff_t key = row * 2 * C + (ptrdiff_t)h * D;
                const double score = dot(q + query, kv + key, D) / sqrt(D);
                const double weight = exp(score - lse[b * H + h]);
                const double dweight = dot(dout + query, kv + key + C, D);
                const double dscore = weight * (dweight - delta) / sqrt(D);
                for (int d = 0; d < D; d++) {
                    dq[query + d] += dscore * kv[key + d];
                    dkv[key + d] = dscore * q[query + d];
                    dkv[key + C + d] = weight * dout[query + d];
                }
            }
        }
    }
}
