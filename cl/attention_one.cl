/* Attention of one query per sequence, forward and backward: attention.cl's case Tq = 1, for
 * decoding and for a head that reads one position only. The same formulas, operands and rules.
 *
 * Work: one group of LOCAL items for each of B * H heads (backward: B * G).
 *
 *   ITEM     one work-item a work-group, which adds in the order of attention.cl's _item kernels,
 *            tile by tile: a query has the same result, bit for bit, as among others. Scores come
 *            from keys transposed in registers, so that each adds its channels one by one.
 *   else     each item takes WIDTH keys at a time and keeps a softmax of its own (online: Milakov
 *            and Gimelshein 2018); these are combined at the end, in a fixed order.
 *
 * Accuracy: a few roundings of float, times the size of what is summed. A key or value that is not
 * finite affects a head's row if its position is seen.
 *
 * SPDX-License-Identifier: Apache-2.0 */

#ifndef D
#define D 64 /* channels of a head */
#endif
#include "common.clh"
#include "attention.clh"

/* Vector `d` of the D channels at `from`; channels from D up are 0. */
static inline floatw load_channels(__global const float *from, const int d) {
#if D % WIDTH != 0
    if (d == D_VECTORS - 1) {
        return load_part(from + d * WIDTH, D % WIDTH);
    }
#endif
    return loadw(from, d * WIDTH);
}

static inline void store_channels(const floatw value, __global float *to, const int d) {
#if D % WIDTH != 0
    if (d == D_VECTORS - 1) {
        store_part(value, to + d * WIDTH, D % WIDTH);
        return;
    }
#endif
    storew(value, to, d * WIDTH);
}

/* Of keys that a query does not see. */
static inline void zero_channels(__global float *to) {
    UNROLL for (int d = 0; d < D_VECTORS; d++) {
        store_channels((floatw)(0.0F), to, d);
    }
}

/* Gradients of the first head that reads a key are stored, those of the others added. */
static inline void give_channels(const floatw value, __global float *to, const int d,
                                 const bool is_first) {
    store_channels(is_first ? value : load_channels(to, d) + value, to, d);
}

#ifdef ITEM
/* ======================= an item is a thread ======================= */

/* scores[i] = query . row i of rows (count,D), summed channel by channel; those from `count` up are
 * -INFINITY. */
static void dot_tile(float *scores, const float *query, __global const float *rows,
                     const size_t stride, const int count) {
    ROLLED for (int lane = 0; lane < TILE; lane += WIDTH) {
        floatw sum = (floatw)(0.0F);
        ROLLED for (int d = 0; d < D && lane < count; d += WIDTH) {
            floatw block[WIDTH];
            UNROLL for (int i = 0; i < WIDTH; i++) {
                __global const float *row = rows + min(lane + i, count - 1) * stride + d;
                block[i] = D - d >= WIDTH ? loadw(row, 0) : load_part(row, D - d);
            }
            clm_transpose(block);
            UNROLL for (int i = 0; i < WIDTH; i++) {
                sum = fma((floatw)(query[d + i]), block[i], sum);
            }
        }
        storew(sum, scores, lane);
    }
    for (int i = count; i < TILE; i++) {
        scores[i] = -INFINITY;
    }
}

/* to (D_PADDED) = factor * from (D), zeros behind it. */
static void load_query(float *to, __global const float *from, const float factor) {
    ROLLED for (int d = 0; d < D_VECTORS; d++) {
        storew(load_channels(from, d) * factor, to, d * WIDTH);
    }
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void attention_one_forward(
    __global float *restrict out, __global float *restrict lse, ATTENTION_OPERANDS,
    ATTENTION_SIZES) {
    (void)Tq; /* 1 */
    const int head = (int)get_group_id(0) % H, b = (int)get_group_id(0) / H;
    const int group = head / (H / G);
    const int position = first_position(first, b, first_step, Tk, has);
    const int valid = valid_keys(lengths, b, Tk, has);
    const int all_keys = has & HAS_CAUSAL ? min(valid, position + 1) : valid;
    k += k_offset + (size_t)b * capacity * k_stride + group * D;
    v += v_offset + (size_t)b * capacity * v_stride + group * D;

    float query[D_PADDED];
    floatw total[D_VECTORS];
    float largest = -INFINITY, sum = 0.0F;
    load_query(query, q + q_offset + (size_t)b * q_stride + head * D, scale);
    UNROLL for (int d = 0; d < D_VECTORS; d++) {
        total[d] = (floatw)(0.0F);
    }
    for (int key = 0; key < all_keys; key += TILE) {
        const int keys = min(TILE, all_keys - key);
        float scores[TILE];
        dot_tile(scores, query, k + (size_t)key * k_stride, k_stride, keys);
        floatw lanes = (floatw)(largest);
        UNROLL for (int lane = 0; lane < TILE; lane += WIDTH) {
            lanes = CLM_LARGER(lanes, loadw(scores, lane));
        }
        const float most = maxw(lanes);
        /* Where every score so far is -infinity, -infinity - most would be NaN. */
        const float base = most == -INFINITY ? 0.0F : most;
        const float shrink = clm_exp_negative1(largest - base);
        UNROLL for (int lane = 0; lane < TILE; lane += WIDTH) {
            storew(exp_negativew(loadw(scores, lane) - base), scores, lane);
        }
        largest = most;
        sum *= shrink;
        UNROLL for (int d = 0; d < D_VECTORS; d++) {
            total[d] *= shrink;
        }
        __global const float *value = v + (size_t)key * v_stride;
        for (int i = 0; i < keys; i++, value += v_stride) {
            const floatw weight = (floatw)(scores[i]);
            sum += scores[i];
            UNROLL for (int d = 0; d < D_VECTORS; d++) {
                total[d] = fma(load_channels(value, d), weight, total[d]);
            }
        }
    }
    __global float *to = out + ((size_t)b * H + head) * D;
    const float inverse = all_keys > 0 ? 1.0F / sum : 0.0F;
    UNROLL for (int d = 0; d < D_VECTORS; d++) {
        store_channels(total[d] * inverse, to, d);
    }
    if (has & HAS_LSE) {
        float log_sum[WIDTH]; /* by the function of attention.cl */
        storew((floatw)(largest) + log((floatw)(sum)), log_sum, 0);
        lse[get_group_id(0)] = log_sum[0];
    }
}

/* weights[i] = p of key i of a tile, dscores[i] = scale * ds. */
static void softmax_backward(float *weights, float *dscores, const float log_sum,
                             const float delta, const float scale) {
    UNROLL for (int lane = 0; lane < TILE; lane += WIDTH) {
        const floatw weight = exp_negativew(loadw(weights, lane) - log_sum);
        storew(weight, weights, lane);
        storew(weight * (loadw(dscores, lane) - delta) * scale, dscores, lane);
    }
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void attention_one_backward(
    ATTENTION_GRADIENTS, __global const float *restrict dout, __global const float *restrict out,
    __global const float *restrict lse, ATTENTION_OPERANDS, ATTENTION_SIZES,
    ATTENTION_GRADIENT_SIZES) {
    (void)Tq; /* 1 */
    const int group = (int)get_group_id(0) % G, b = (int)get_group_id(0) / G;
    const int position = first_position(first, b, first_step, Tk, has);
    const int valid = valid_keys(lengths, b, Tk, has);
    const int all_keys = has & HAS_CAUSAL ? min(valid, position + 1) : valid;
    k += k_offset + (size_t)b * capacity * k_stride + group * D;
    v += v_offset + (size_t)b * capacity * v_stride + group * D;
    dk += dk_offset + (size_t)b * Tk * dk_stride + group * D;
    dv += dv_offset + (size_t)b * Tk * dv_stride + group * D;

    for (int i = 0; i < H / G; i++) {
        const int head = group * (H / G) + i;
        const size_t row = (size_t)b * H + head;
        float query[D_PADDED], dvalue[D_PADDED];
        floatw plain[D_VECTORS], dquery[D_VECTORS];
        floatw lanes = (floatw)(0.0F);
        load_query(query, q + q_offset + (size_t)b * q_stride + head * D, scale);
        load_query(dvalue, dout + row * D, 1.0F);
        UNROLL for (int d = 0; d < D_VECTORS; d++) {
            plain[d] = load_channels(q + q_offset + (size_t)b * q_stride + head * D, d);
            dquery[d] = (floatw)(0.0F);
            lanes = fma(load_channels(out + row * D, d), loadw(dvalue, d * WIDTH), lanes);
        }
        const float delta = sumw(lanes);
        for (int key = 0; key < all_keys; key += TILE) {
            const int keys = min(TILE, all_keys - key);
            float weights[TILE], dscores[TILE];
            dot_tile(dscores, dvalue, v + (size_t)key * v_stride, v_stride, keys);
            dot_tile(weights, query, k + (size_t)key * k_stride, k_stride, keys);
            softmax_backward(weights, dscores, lse[row], delta, scale);
            for (int j = 0; j < keys; j++) {
                const size_t at = key + j;
                const floatw weight = (floatw)(weights[j]), dscore = (floatw)(dscores[j]);
                UNROLL for (int d = 0; d < D_VECTORS; d++) {
                    if (wanted & WANT_DQ) {
                        dquery[d] = fma(load_channels(k + at * k_stride, d), dscore, dquery[d]);
                    }
                    if (wanted & WANT_DK) {
                        give_channels(dscore * plain[d], dk + at * dk_stride, d, i == 0);
                    }
                    if (wanted & WANT_DV) {
                        give_channels(weight * loadw(dvalue, d * WIDTH), dv + at * dv_stride, d,
                                      i == 0);
                    }
                }
            }
        }
        UNROLL for (int d = 0; d < D_VECTORS; d++) {
            if (wanted & WANT_DQ) {
                store_channels(dquery[d], dq + dq_offset + (size_t)b * dq_stride + head * D, d);
            }
        }
    }
    for (int key = all_keys; key < Tk; key++) {
        if (wanted & WANT_DK) {
            zero_channels(dk + (size_t)key * dk_stride);
        }
        if (wanted & WANT_DV) {
            zero_channels(dv + (size_t)key * dv_stride);
        }
    }
}

#else
/* ======================= a work-group shares a head ======================= */

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

__kernel __attribute__((reqd_work_group_size(LOCAL, 1, 1))) void attention_one_forward(
    __global float *restrict out, __global float *restrict lse, ATTENTION_OPERANDS,
    ATTENTION_SIZES) {
    (void)Tq; /* 1 */
    __local float scratch[LOCAL * WIDTH];
    const int item = (int)get_local_id(0);
    const int head = (int)get_group_id(0) % H, b = (int)get_group_id(0) / H;
    const int group = head / (H / G);
    const int position = first_position(first, b, first_step, Tk, has);
    const int valid = valid_keys(lengths, b, Tk, has);
    const int keys = has & HAS_CAUSAL ? min(valid, position + 1) : valid;
    q += q_offset + (size_t)b * q_stride + head * D;
    k += k_offset + (size_t)b * capacity * k_stride + group * D;
    v += v_offset + (size_t)b * capacity * v_stride + group * D;

    floatw query[D_VECTORS], total[D_VECTORS];
    float largest = -INFINITY, sum = 0.0F;
    UNROLL for (int d = 0; d < D_VECTORS; d++) {
        query[d] = load_channels(q, d) * scale;
        total[d] = (floatw)(0.0F);
    }
    for (int key = item * WIDTH; key < keys; key += LOCAL * WIDTH) {
        float scores[WIDTH];
        for (int i = 0; i < WIDTH; i++) {
            const float score =
                dot_channels(query, k + (size_t)min(key + i, keys - 1) * k_stride);
            scores[i] = key + i < keys ? score : -INFINITY;
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
        for (int i = 0; i < min(WIDTH, keys - key); i++) {
            const floatw one = (floatw)(weights[i]);
            UNROLL for (int d = 0; d < D_VECTORS; d++) {
                total[d] = fma(one, load_channels(v + (size_t)(key + i) * v_stride, d), total[d]);
            }
        }
    }

    const float most = clm_group_max(largest, scratch);
    const float factor = clm_exp_negative1(largest - (most == -INFINITY ? 0.0F : most));
    sum = clm_group_sum(sum * factor, scratch);
    for (int d = 0; d < D_VECTORS; d++) {
        const floatw all = group_sum_lanes(total[d] * factor, scratch);
        if (item == 0) {
            store_channels(keys > 0 ? all / sum : (floatw)(0.0F),
                           out + ((size_t)b * H + head) * D, d);
        }
    }
    if (item == 0 && (has & HAS_LSE)) {
        lse[get_group_id(0)] = most + log(sum);
    }
}

__kernel __attribute__((reqd_work_group_size(LOCAL, 1, 1))) void attention_one_backward(
    ATTENTION_GRADIENTS, __global const float *restrict dout, __global const float *restrict out,
    __global const float *restrict lse, ATTENTION_OPERANDS, ATTENTION_SIZES,
    ATTENTION_GRADIENT_SIZES) {
    (void)Tq; /* 1 */
    __local float scratch[LOCAL * WIDTH];
    const int item = (int)get_local_id(0);
    const int group = (int)get_group_id(0) % G, b = (int)get_group_id(0) / G;
    const int position = first_position(first, b, first_step, Tk, has);
    const int valid = valid_keys(lengths, b, Tk, has);
    const int keys = has & HAS_CAUSAL ? min(valid, position + 1) : valid;
    k += k_offset + (size_t)b * capacity * k_stride + group * D;
    v += v_offset + (size_t)b * capacity * v_stride + group * D;
    dk += dk_offset + (size_t)b * Tk * dk_stride + group * D;
    dv += dv_offset + (size_t)b * Tk * dv_stride + group * D;

    /* The heads that read these keys, one after the other; a key is always the same item's. */
    for (int of_group = 0; of_group < H / G; of_group++) {
        const int head = group * (H / G) + of_group;
        const size_t row = (size_t)b * H + head;
        floatw query[D_VECTORS], dvalue[D_VECTORS], dquery[D_VECTORS];
        floatw lanes = (floatw)(0.0F);
        UNROLL for (int d = 0; d < D_VECTORS; d++) {
            query[d] = load_channels(q + q_offset + (size_t)b * q_stride + head * D, d) * scale;
            dvalue[d] = load_channels(dout + row * D, d);
            dquery[d] = (floatw)(0.0F);
            lanes = fma(dvalue[d], load_channels(out + row * D, d), lanes);
        }
        const float delta = sumw(lanes);
        const float log_sum = lse[row];
        for (int key = item * WIDTH; key < keys; key += LOCAL * WIDTH) {
            const int seen = min(WIDTH, keys - key);
            float scores[WIDTH], dweights[WIDTH];
            for (int i = 0; i < WIDTH; i++) {
                scores[i] = -INFINITY;
                dweights[i] = 0.0F;
            }
            for (int i = 0; i < seen; i++) {
                scores[i] = dot_channels(query, k + (size_t)(key + i) * k_stride);
                dweights[i] = dot_channels(dvalue, v + (size_t)(key + i) * v_stride);
            }
            const floatw weight = exp_negativew(loadw(scores, 0) - log_sum);
            storew(weight, scores, 0);
            storew(weight * (loadw(dweights, 0) - delta), dweights, 0);
            for (int i = 0; i < seen; i++) {
                const size_t at = key + i;
                const floatw one = (floatw)(scores[i]), dscore = (floatw)(dweights[i]);
                UNROLL for (int d = 0; d < D_VECTORS; d++) {
                    dquery[d] = fma(dscore, load_channels(k + at * k_stride, d), dquery[d]);
                    if (wanted & WANT_DK) { /* query has the scale already */
                        give_channels(dscore * query[d], dk + at * dk_stride, d, of_group == 0);
                    }
                    if (wanted & WANT_DV) {
                        give_channels(one * dvalue[d], dv + at * dv_stride, d, of_group == 0);
                    }
                }
            }
        }
        for (int d = 0; d < D_VECTORS; d++) {
            const floatw all = group_sum_lanes(dquery[d] * scale, scratch);
            if (item == 0 && (wanted & WANT_DQ)) {
                store_channels(all, dq + dq_offset + (size_t)b * dq_stride + head * D, d);
            }
        }
    }
    for (int key = keys + item; key < Tk; key += LOCAL) {
        if (wanted & WANT_DK) {
            zero_channels(dk + (size_t)key * dk_stride);
        }
        if (wanted & WANT_DV) {
            zero_channels(dv + (size_t)key * dv_stride);
        }
    }
}
#endif
