/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/attention.h"

#include <math.h>
#include <stddef.h>

/* One head of one sequence: where its rows start, and how far apart they stand. */
typedef struct head_view {
    const double *q, *k, *v;
    size_t stride;
    int T, D;
    bool causal;
} head_view;

static head_view view_head(const double *qkv, int b, int h, int T, int H, int D, bool causal) {
    const size_t C = (size_t)H * (size_t)D;
    const double *q = qkv + (size_t)b * (size_t)T * 3 * C + (size_t)h * (size_t)D;
    return (head_view){q, q + C, q + 2 * C, 3 * C, T, D, causal};
}

static double dot(const double *a, const double *b, int count) {
    double sum = 0.0;
    for (int i = 0; i < count; i++) {
        sum += a[i] * b[i];
    }
    return sum;
}

/* q[i] . k[j] / sqrt(D) */
static double score(const head_view *head, int i, int j) {
    return dot(head->q + (size_t)i * head->stride, head->k + (size_t)j * head->stride, head->D) /
           sqrt(head->D);
}

static int keys_seen(const head_view *head, int i) {
    return head->causal ? i + 1 : head->T;
}

static void forward_row(double *out, double *lse, const head_view *head, int i) {
    const int keys = keys_seen(head, i);
    double most = -INFINITY;
    for (int j = 0; j < keys; j++) {
        most = fmax(most, score(head, i, j));
    }
    double sum = 0.0;
    for (int j = 0; j < keys; j++) {
        sum += exp(score(head, i, j) - most);
    }
    *lse = most + log(sum);
    for (int d = 0; d < head->D; d++) {
        out[d] = 0.0;
    }
    for (int j = 0; j < keys; j++) {
        const double weight = exp(score(head, i, j) - *lse);
        for (int d = 0; d < head->D; d++) {
            out[d] += weight * head->v[(size_t)j * head->stride + (size_t)d];
        }
    }
}

void clm_reference_attention_forward(double *out, double *lse, const double *qkv, int B, int T,
                                     int H, int D, bool causal) {
    for (int b = 0; b < B; b++) {
        for (int h = 0; h < H; h++) {
            const head_view head = view_head(qkv, b, h, T, H, D, causal);
            for (int i = 0; i < T; i++) {
                const size_t position = (size_t)b * (size_t)T + (size_t)i;
                forward_row(out + (position * (size_t)H + (size_t)h) * (size_t)D,
                            lse + ((size_t)b * (size_t)H + (size_t)h) * (size_t)T + i, &head, i);
            }
        }
    }
}

/* Adds what query i gives to dq[i], and to dk and dv of every key that it sees. */
static void backward_row(double *dq, double *dk, double *dv, const double *dout, const double *out,
                         double lse, const head_view *head, int i) {
    const double delta = dot(dout, out, head->D);
    for (int j = 0; j < keys_seen(head, i); j++) {
        const size_t query = (size_t)i * head->stride, key = (size_t)j * head->stride;
        const double weight = exp(score(head, i, j) - lse);
        const double dscore = weight * (dot(dout, head->v + key, head->D) - delta) / sqrt(head->D);
        for (int d = 0; d < head->D; d++) {
            dq[query + (size_t)d] += dscore * head->k[key + (size_t)d];
            dk[key + (size_t)d] += dscore * head->q[query + (size_t)d];
            dv[key + (size_t)d] += weight * dout[d];
        }
    }
}

void clm_reference_attention_backward(double *dqkv, const double *dout, const double *qkv,
                                      const double *out, const double *lse, int B, int T, int H,
                                      int D, bool causal) {
    const size_t C = (size_t)H * (size_t)D;
    for (size_t i = 0; i < (size_t)B * (size_t)T * 3 * C; i++) {
        dqkv[i] = 0.0;
    }
    for (int b = 0; b < B; b++) {
        for (int h = 0; h < H; h++) {
            const head_view head = view_head(qkv, b, h, T, H, D, causal);
            double *dq = dqkv + (head.q - qkv);
            for (int i = 0; i < T; i++) {
                const size_t position = (size_t)b * (size_t)T + (size_t)i;
                const size_t row = position * C + (size_t)h * (size_t)D;
                backward_row(dq, dq + C, dq + 2 * C, dout + row, out + row,
                             lse[((size_t)b * (size_t)H + (size_t)h) * (size_t)T + (size_t)i],
                             &head, i);
            }
        }
    }
}
