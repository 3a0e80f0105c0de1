/* Attention of one query per sequence, forward and backward: for a classifier's top block, because
 * the head reads one position only.
 *
 *     s[j] = q . k[j] / sqrt(D)                   for keys j <= position
 *     lse  = log sum_j exp(s[j])                  p[j] = exp(s[j] - lse)
 *     out  = sum_j p[j] v[j]
 *
 *     delta = dout . out                          ds[j] = p[j] (dout . v[j] - delta) / sqrt(D)
 *     dv[j] = p[j] dout     dk[j] = ds[j] q       dq = sum_j ds[j] k[j];  0 for keys > position
 *
 * Shapes: q, dq, out, dout (B,C); kv, dkv (B,T,2C) with k and v of a position adjacent, and the
 * heads adjacent in each; lse (B,H); rows (B) with rows[b] = b * T + position; C = H * D. D is a
 * macro: one program per head size.
 *
 * Work: one group of LOCAL items for each of B * H heads. Each item takes WIDTH keys at a time and
 * keeps a softmax of its own (online: Milakov and Gimelshein 2018); these are combined at the end,
 * in a fixed order.
 * Accuracy: a few roundings of float, times the size of what is summed. A key or value that is not
 * finite affects a head's row if its position is seen.
 *
 * SPDX-License-Identifier: Apache-2.0 */

#ifndef D
#define D 64 /* channels of a head */
#endif
#include "common.clh"

#define SCALE (1.0F / sqrt((float)D))
#define D_VECTORS ((D + WIDTH - 1) / WIDTH)
#define UNROLL __attribute__((opencl_unroll_hint))

/* Vector `d` of the D channels at `from`; channels from D up are 0. */
static inline floatw load_channels(__global const float *from, const int d) {
#if D % WIDTH != 0
    if (d == D_VECTORS - 1) {
        float part[WIDTH];
        for (int i = 0; i < WIDTH; i++) {
            part[i] = i < D % WIDTH ? from[d * WIDTH + i] : 0.0F;
        }
        return loadw(part, 0);
    }
#endif
    return loadw(from, d * WIDTH);
}

static inline void store_channels(const floatw value, __global float *to, const int d) {
#if D % WIDTH != 0
    if (d == D_VECTORS - 1) {
        float part[WIDTH];
        storew(value, part, 0);
        for (int i = 0; i < D % WIDTH; i++) {
            to[d * WIDTH + i] = part[i];
        }
        return;
    }
#endif
    storew(value, to, d * WIDTH);
}

static inline float dot_channels(const floatw *a, __global const float *b) {
    floatw sum = (floatw)(0.0F);
    UNROLL for (int d = 0; d < D_VECTORS; d++) {
        sum = fma(a[d], load_channels(b, d), sum);
    }
    return sumw(sum);
}

/* The sum over the group of each lane, for all items; `scratch` holds LOCAL * WIDTH floats. */
static inline floatw group_sum_lanes(floatw value, __local float *scratch) {
#if LOCAL > 1
    const int item = (int)get_local_id(0);
    storew(value, scratch, item * WIDTH);
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int half_of = LOCAL / 2; half_of > 0; half_of /= 2) {
        if (item < half_of) {
            storew(loadw(scratch, item * WIDTH) + loadw(scratch, (item + half_of) * WIDTH), scratch,
                   item * WIDTH);
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    value = loadw(scratch, 0);
    barrier(CLK_LOCAL_MEM_FENCE); /* the next call writes there */
#else
    (void)scratch;
#endif
    return value;
}

__kernel __attribute__((reqd_work_group_size(LOCAL, 1, 1))) void attention_pooled_forward(
    __global float *restrict out, __global float *restrict lse, __global const float *restrict q,
    __global const float *restrict kv, __global const int *restrict rows, const int T, const int H,
    const int keep_lse) {
    __local float scratch[LOCAL * WIDTH];
    const int item = (int)get_local_id(0);
    const size_t head = get_group_id(0), b = head / H;
    const size_t stride = (size_t)H * (2 * D);
    const int keys = rows[b] - (int)b * T + 1;
    __global const float *k = kv + b * T * stride + head % H * D;
    __global const float *v = k + H * D;

    floatw query[D_VECTORS], total[D_VECTORS];
    float largest = -INFINITY, sum = 0.0F;
    UNROLL for (int d = 0; d < D_VECTORS; d++) {
        query[d] = load_channels(q + head * D, d) * SCALE;
        total[d] = (floatw)(0.0F);
    }
    for (int first = item * WIDTH; first < keys; first += LOCAL * WIDTH) {
        float scores[WIDTH];
        for (int i = 0; i < WIDTH; i++) {
            const int key = min(first + i, keys - 1);
            const float score = dot_channels(query, k + key * stride);
            scores[i] = first + i < keys ? score : -INFINITY;
        }
        const floatw score = loadw(scores, 0);
        const float most = CLM_LARGER(largest, maxw(score));
        /* Where every score so far is -infinity, -infinity - most would be NaN. */
        const float base = most == -INFINITY ? 0.0F : most;
        const float shrink = clm_exp_negative1(largest - base);
        const floatw weight = exp_negativew(score - base);
        float weights[WIDTH];
        storew(weight, weights, 0);
        largest = most;
        sum = sum * shrink + sumw(weight);
        UNROLL for (int d = 0; d < D_VECTORS; d++) {
            total[d] *= shrink;
        }
        for (int i = 0; i < min(WIDTH, keys - first); i++) {
            const floatw one = (floatw)(weights[i]);
            UNROLL for (int d = 0; d < D_VECTORS; d++) {
                total[d] = fma(one, load_channels(v + (first + i) * stride, d), total[d]);
            }
        }
    }

    const float most = clm_group_max(largest, scratch);
    const float factor = clm_exp_negative1(largest - (most == -INFINITY ? 0.0F : most));
    sum = clm_group_sum(sum * factor, scratch);
    for (int d = 0; d < D_VECTORS; d++) {
        const floatw all = group_sum_lanes(total[d] * factor, scratch);
        if (item == 0) {
            store_channels(all / sum, out + head * D, d);
        }
    }
    if (item == 0 && keep_lse) {
        lse[head] = most + log(sum);
    }
}

__kernel __attribute__((reqd_work_group_size(LOCAL, 1, 1))) void attention_pooled_backward(
    __global float *restrict dq, __global float *restrict dkv, __global const float *restrict dout,
    __global const float *restrict q, __global const float *restrict kv,
    __global const float *restrict out, __global const float *restrict lse,
    __global const int *restrict rows, const int T, const int H) {
    __local float scratch[LOCAL * WIDTH];
    const int item = (int)get_local_id(0);
    const size_t head = get_group_id(0), b = head / H;
    const size_t stride = (size_t)H * (2 * D);
    const int keys = rows[b] - (int)b * T + 1;
    const size_t here = b * T * stride + head % H * D;
    const size_t to_values = (size_t)H * D;

    floatw query[D_VECTORS], dvalue[D_VECTORS], dquery[D_VECTORS];
    floatw lanes = (floatw)(0.0F);
    UNROLL for (int d = 0; d < D_VECTORS; d++) {
        query[d] = load_channels(q + head * D, d) * SCALE;
        dvalue[d] = load_channels(dout + head * D, d);
        dquery[d] = (floatw)(0.0F);
        lanes = fma(dvalue[d], load_channels(out + head * D, d), lanes);
    }
    const float delta = sumw(lanes);
    const float log_sum = lse[head];
    for (int first = item * WIDTH; first < T; first += LOCAL * WIDTH) {
        const int seen = max(0, min(WIDTH, keys - first));
        float scores[WIDTH], dweights[WIDTH];
        for (int i = 0; i < WIDTH; i++) {
            scores[i] = -INFINITY;
            dweights[i] = 0.0F;
        }
        for (int i = 0; i < seen; i++) {
            __global const float *k = kv + here + (first + i) * stride;
            scores[i] = dot_channels(query, k);
            dweights[i] = dot_channels(dvalue, k + to_values);
        }
        const floatw weight = exp_negativew(loadw(scores, 0) - log_sum);
        storew(weight, scores, 0);
        storew(weight * (loadw(dweights, 0) - delta), dweights, 0);
        for (int i = 0; i < seen; i++) {
            __global const float *k = kv + here + (first + i) * stride;
            __global float *dk = dkv + here + (first + i) * stride;
            const floatw one = (floatw)(scores[i]), dscore = (floatw)(dweights[i]);
            UNROLL for (int d = 0; d < D_VECTORS; d++) {
                dquery[d] = fma(dscore, load_channels(k, d), dquery[d]);
                store_channels(dscore * query[d], dk, d); /* query has the scale already */
                store_channels(one * dvalue[d], dk + to_values, d);
            }
        }
        for (int i = seen; i < min(WIDTH, T - first); i++) {
            __global float *dk = dkv + here + (first + i) * stride;
            UNROLL for (int d = 0; d < D_VECTORS; d++) {
                store_channels((floatw)(0.0F), dk, d);
                store_channels((floatw)(0.0F), dk + to_values, d);
            }
        }
    }
    for (int d = 0; d < D_VECTORS; d++) {
        const floatw all = group_sum_lanes(dquery[d] * SCALE, scratch);
        if (item == 0) {
            store_channels(all, dq + head * D, d);
        }
    }
}
