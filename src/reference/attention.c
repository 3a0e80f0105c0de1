/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/attention.h"

#include <math.h>
#include <stddef.h>

clm_reference_attention clm_reference_attention_fused(int B, int T, int H, int D, bool causal) {
    return (clm_reference_attention){.B = B,
                                     .Tq = T,
                                     .Tk = T,
                                     .H = H,
                                     .G = H,
                                     .D = D,
                                     .causal = causal,
                                     .q_stride = 3 * H * D,
                                     .kv_stride = 3 * H * D};
}

clm_reference_attention clm_reference_attention_pooled(const int32_t *rows, int B, int T, int H,
                                                       int D) {
    return (clm_reference_attention){.B = B,
                                     .Tq = 1,
                                     .Tk = T,
                                     .H = H,
                                     .G = H,
                                     .D = D,
                                     .causal = true,
                                     .first = rows,
                                     .first_step = T,
                                     .kv_stride = 2 * H * D};
}

/* One query of one head: where it stands, where its keys begin, and how many it sees. */
typedef struct place {
    size_t q, kv; /* of its first channel in q; of that of its first key in k and v */
    size_t dkv;   /* in their gradients */
    size_t out;   /* in out */
    size_t lse;
    size_t stride; /* from key to key */
    int keys;
    double scale;
} place;

/* The n-th query, of all heads of all sequences. */
static place place_of(const clm_reference_attention *s, int n) {
    const int i = n % s->Tq;
    const int h = n / s->Tq % s->H;
    const int b = n / s->Tq / s->H;
    const size_t D = (size_t)s->D;
    const size_t q_stride = s->q_stride != 0 ? (size_t)s->q_stride : (size_t)s->H * D;
    const size_t kv_stride = s->kv_stride != 0 ? (size_t)s->kv_stride : (size_t)s->G * D;
    const size_t position = (size_t)b * (size_t)s->Tq + (size_t)i;
    const size_t capacity = (size_t)(s->capacity != 0 ? s->capacity : s->Tk);
    const size_t group = (size_t)(h / (s->H / s->G)) * D;
    const int first = s->first != NULL ? s->first[b] - b * s->first_step : 0;
    const int valid = s->lengths != NULL ? s->lengths[b] : s->Tk;
    return (place){.q = position * q_stride + (size_t)h * D,
                   .kv = (size_t)b * capacity * kv_stride + group,
                   .dkv = (size_t)b * (size_t)s->Tk * kv_stride + group,
                   .out = (position * (size_t)s->H + (size_t)h) * D,
                   .lse = (size_t)n,
                   .stride = kv_stride,
                   .keys = s->causal && first + i + 1 < valid ? first + i + 1 : valid,
                   .scale = s->scale != 0.0 ? s->scale : 1.0 / sqrt((double)s->D)};
}

static double dot(const double *a, const double *b, int count) {
    double sum = 0.0;
    for (int i = 0; i < count; i++) {
        sum += a[i] * b[i];
    }
    return sum;
}

static double score(const place *at, const double *q, const double *k, int j, int D) {
    return at->scale * dot(q + at->q, k + at->kv + (size_t)j * at->stride, D);
}

static void forward_query(double *out, double *lse, const double *q, const double *k,
                          const double *v, const place *at, int D) {
    double most = -INFINITY;
    double sum = 0.0;
    for (int j = 0; j < at->keys; j++) {
        most = fmax(most, score(at, q, k, j, D));
    }
    for (int d = 0; d < D; d++) {
        out[at->out + (size_t)d] = 0.0;
    }
    for (int j = 0; j < at->keys; j++) {
        const double weight = exp(score(at, q, k, j, D) - most);
        sum += weight;
        for (int d = 0; d < D; d++) {
            out[at->out + (size_t)d] += weight * v[at->kv + (size_t)j * at->stride + (size_t)d];
        }
    }
    for (int d = 0; d < D; d++) {
        out[at->out + (size_t)d] /= at->keys > 0 ? sum : 1.0;
    }
    if (lse != NULL) {
        lse[at->lse] = most + log(sum);
    }
}

void clm_reference_attention_forward(double *out, double *lse, const double *q, const double *k,
                                     const double *v, const clm_reference_attention *shape) {
    for (int n = 0; n < shape->B * shape->H * shape->Tq; n++) {
        const place at = place_of(shape, n);
        forward_query(out, lse, q, k, v, &at, shape->D);
    }
}

/* Zeroes `rows` rows of `count` that stand `stride` apart. */
static void zero(double *to, int rows, int count, int stride) {
    for (ptrdiff_t row = 0; to != NULL && row < rows; row++) {
        for (int i = 0; i < count; i++) {
            to[row * (stride != 0 ? stride : count) + i] = 0.0;
        }
    }
}

void clm_reference_attention_backward(double *dq, double *dk, double *dv, const double *dout,
                                      const double *q, const double *k, const double *v,
                                      const double *out, const double *lse,
                                      const clm_reference_attention *shape) {
    const int D = shape->D;
    zero(dq, shape->B * shape->Tq, shape->H * D, shape->q_stride);
    zero(dk, shape->B * shape->Tk, shape->G * D, shape->kv_stride);
    zero(dv, shape->B * shape->Tk, shape->G * D, shape->kv_stride);
    for (int n = 0; n < shape->B * shape->H * shape->Tq; n++) {
        const place at = place_of(shape, n);
        const double delta = dot(dout + at.out, out + at.out, D);
        for (int j = 0; j < at.keys; j++) {
            const size_t key = at.kv + (size_t)j * at.stride;
            const size_t dkey = at.dkv + (size_t)j * at.stride;
            const double weight = exp(score(&at, q, k, j, D) - lse[at.lse]);
            const double dscore = at.scale * weight * (dot(dout + at.out, v + key, D) - delta);
            for (size_t d = 0; d < (size_t)D; d++) {
                if (dq != NULL) {
                    dq[at.q + d] += dscore * k[key + d];
                }
                if (dk != NULL) {
                    dk[dkey + d] += dscore * q[at.q + d];
                }
                if (dv != NULL) {
                    dv[dkey + d] += weight * dout[at.out + d];
                }
            }
        }
    }
}
