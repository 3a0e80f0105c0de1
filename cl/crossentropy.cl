/* Softmax cross-entropy over rows of V logits.
 *
 *     forward   losses[r] = log(sum over i of exp(x[i] - max)) + max - x[target]
 *               probabilities[r,i] = exp(x[i] - max) / sum, when wanted
 *     backward  dlogits[r,i] = scale (softmax(x)[i] - (i == target)); dlogits may be logits
 *
 * Rows whose target is IGNORED have loss 0 and gradient 0. A target that is neither IGNORED nor in
 * [0, V) makes a NaN loss and NaN gradients, so that it cannot pass unseen. A logit of -inf has
 * probability 0 (loss inf when it is the target); NaN, inf, or nothing but -inf make the row NaN.
 *
 * Work: one group of LOCAL items a row. On processors LOCAL is 1: an item walks the row in vectors,
 * and a second walk, to write, finds it in the cache; backward takes `group_rows` rows in turn, and
 * writes each of them while it reads the next one, so that memory does both at once.
 * Accuracy: a sum runs over at most BLOCK + V / (BLOCK * WIDTH * LOCAL) additions a lane, then a
 * tree; losses are within 2e-6 + 2e-7 |max - x[target]|, probabilities within 5e-6 of themselves at
 * V = 50257.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "common.clh"

/* Vectors of a lane that share one largest logit, and whose sum then goes into that of the row:
 * few enough to stay in the nearest cache, enough that scaling costs little. */
#ifndef BLOCK
#define BLOCK 64
#endif

/* Sums, and largest logits, that an item carries at once: one addition waits for the last. */
#if LOCAL == 1
#define CHAINS 4
#else
#define CHAINS 1
#endif

#define UNROLL __attribute__((opencl_unroll_hint))

#define IGNORED (-100)
#define STRIDE (WIDTH * LOCAL)

static inline floatw chains_largest(const floatw chains[CHAINS]) {
    floatw largest = chains[0];
    UNROLL for (int chain = 1; chain < CHAINS; chain++) {
        largest = CLM_LARGER(largest, chains[chain]);
    }
    return largest;
}

/* The largest of `largest` and of the lane's logits in [begin, end). */
static inline floatw block_largest(const floatw largest, __global const float *x, const int begin,
                                   const int end) {
    floatw chains[CHAINS];
    UNROLL for (int chain = 0; chain < CHAINS; chain++) {
        chains[chain] = largest;
    }
    for (int i = begin + (int)get_local_id(0) * WIDTH; i < end; i += CHAINS * STRIDE) {
        UNROLL for (int chain = 0; chain < CHAINS; chain++) {
            const floatw next = loadw(x, i + chain * STRIDE);
            chains[chain] = CLM_LARGER(chains[chain], next);
        }
    }
    return chains_largest(chains);
}

/* A row whose largest logit and sum are known: out = exp(x - largest) * factor; out may be x. */
typedef struct row_known {
    __global float *out;
    __global const float *x;
    float largest, factor;
} row_known;

/* Columns [begin, V); begin is a multiple of STRIDE. */
static inline void row_write(const row_known row, const int begin, const int V) {
    const int item = (int)get_local_id(0);
    const int whole = V - V % STRIDE;
    for (int i = begin + item * WIDTH; i < whole; i += STRIDE) {
        storew(exp_negativew(loadw(row.x, i) - row.largest) * row.factor, row.out, i);
    }
    for (int i = whole + item; i < V; i += LOCAL) {
        row.out[i] = clm_exp_negative1(row.x[i] - row.largest) * row.factor;
    }
}

/* A vector of each chain, from column i on. */
static inline void row_write_chains(const row_known row, const int i) {
    UNROLL for (int chain = 0; chain < CHAINS; chain++) {
        const floatw logits = loadw(row.x, i + chain * STRIDE);
        storew(exp_negativew(logits - row.largest) * row.factor, row.out, i + chain * STRIDE);
    }
}

/* One walk over the row (Milakov and Gimelshein 2018): each lane keeps the largest logit it has
 * seen and the sum of exp(x - largest), and scales that sum when a block brings a larger one. It
 * starts from the least float and not -inf, for which the difference of two would be NaN. While a
 * block is summed up, the next one is looked through for its largest logit, so that memory is read
 * as the processor computes and not in between. Where there is an earlier row, it is written on the
 * way. */
static inline void row_softmax(float *row_largest, float *row_sum, __global const float *x,
                               const int V, const bool has_earlier, const row_known earlier,
                               __local float *scratch) {
    const int item = (int)get_local_id(0);
    const int whole = V - V % (CHAINS * STRIDE);
    floatw largest = (floatw)(-FLT_MAX);
    floatw sum = (floatw)(0.0F);
    floatw larger = block_largest(largest, x, 0, min(whole, BLOCK * STRIDE));
    for (int begin = 0; begin < whole; begin += BLOCK * STRIDE) {
        const int end = min(whole, begin + BLOCK * STRIDE);
        const int next_end = min(whole, end + BLOCK * STRIDE);
        floatw sums[CHAINS], next[CHAINS];
        UNROLL for (int chain = 0; chain < CHAINS; chain++) {
            sums[chain] = (floatw)(0.0F);
            next[chain] = larger;
        }
        int i = begin + item * WIDTH;
        for (; i < begin + (next_end - end); i += CHAINS * STRIDE) {
            UNROLL for (int chain = 0; chain < CHAINS; chain++) {
                const floatw ahead = loadw(x, i + BLOCK * STRIDE + chain * STRIDE);
                next[chain] = CLM_LARGER(next[chain], ahead);
                sums[chain] += exp_negativew(loadw(x, i + chain * STRIDE) - larger);
            }
            if (has_earlier) {
                row_write_chains(earlier, i);
            }
        }
        for (; i < end; i += CHAINS * STRIDE) {
            UNROLL for (int chain = 0; chain < CHAINS; chain++) {
                sums[chain] += exp_negativew(loadw(x, i + chain * STRIDE) - larger);
            }
            if (has_earlier) {
                row_write_chains(earlier, i);
            }
        }
        UNROLL for (int chain = 1; chain < CHAINS; chain++) {
            sums[0] += sums[chain];
        }
        sum = sum * exp_negativew(largest - larger) + sums[0];
        largest = larger;
        larger = chains_largest(next);
    }
    if (has_earlier) {
        row_write(earlier, whole, V);
    }
    float item_largest = maxw(largest);
    for (int i = whole + item; i < V; i += LOCAL) {
        item_largest = CLM_LARGER(item_largest, x[i]);
    }
    float item_sum = sumw(sum * exp_negativew(largest - item_largest));
    for (int i = whole + item; i < V; i += LOCAL) {
        item_sum += clm_exp_negative1(x[i] - item_largest);
    }
    *row_largest = clm_group_max(item_largest, scratch);
    *row_sum = clm_group_sum(item_sum * clm_exp_negative1(item_largest - *row_largest), scratch);
}

static inline void row_fill(__global float *out, const float value, const int V) {
    const int item = (int)get_local_id(0);
    const int whole = V - V % STRIDE;
    for (int i = item * WIDTH; i < whole; i += STRIDE) {
        storew((floatw)(value), out, i);
    }
    for (int i = whole + item; i < V; i += LOCAL) {
        out[i] = value;
    }
}

static inline bool is_target(const int target, const int V) {
    return target >= 0 && target < V;
}

__kernel __attribute__((reqd_work_group_size(LOCAL, 1, 1))) void crossentropy_forward(
    __global float *losses, __global float *probabilities, const int has_probabilities,
    __global const float *logits, __global const int *targets, const int V) {
    __local float scratch[LOCAL];
    const size_t row = get_group_id(0);
    __global const float *x = logits + row * V;
    row_known known = {probabilities + row * V, x, 0.0F, 0.0F};
    float sum;
    row_softmax(&known.largest, &sum, x, V, false, known, scratch);
    if (has_probabilities) {
        known.factor = 1.0F / sum;
        row_write(known, 0, V);
    }
    if (get_local_id(0) == 0) {
        const int target = targets[row];
        float loss = NAN;
        if (target == IGNORED) {
            loss = 0.0F;
        } else if (is_target(target, V)) {
            loss = log(sum) + (known.largest - x[target]);
        }
        losses[row] = loss;
    }
}

#if LOCAL == 1

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void crossentropy_backward(
    __global float *dlogits, __global const float *logits, __global const int *targets,
    const float scale, const int V, const int rows, const int group_rows) {
    __local float scratch[1];
    const int begin = (int)get_group_id(0) * group_rows;
    const int end = min(rows, begin + group_rows);
    row_known earlier = {dlogits, logits, 0.0F, 0.0F};
    bool has_earlier = false;
    int earlier_target = 0;
    float earlier_gradient = 0.0F;
    for (int row = begin; row <= end; row++) {
        const bool is_row = row < end;
        const int target = is_row ? targets[row] : 0;
        const bool valid = is_row && is_target(target, V);
        row_known now = {dlogits + (size_t)row * V, logits + (size_t)row * V, 0.0F, 0.0F};
        float gradient = 0.0F;
        if (valid) {
            float sum;
            row_softmax(&now.largest, &sum, now.x, V, has_earlier, earlier, scratch);
            now.factor = scale / sum;
            gradient = scale * (clm_exp_negative1(now.x[target] - now.largest) / sum - 1.0F);
        } else {
            if (has_earlier) {
                row_write(earlier, 0, V);
            }
            if (is_row) {
                row_fill(now.out, target == IGNORED ? 0.0F : NAN, V);
            }
        }
        if (has_earlier) {
            earlier.out[earlier_target] = earlier_gradient;
        }
        earlier = now;
        has_earlier = valid;
        earlier_target = target;
        earlier_gradient = gradient;
    }
}

#else

__kernel __attribute__((reqd_work_group_size(LOCAL, 1, 1))) void crossentropy_backward(
    __global float *dlogits, __global const float *logits, __global const int *targets,
    const float scale, const int V, const int rows, const int group_rows) {
    __local float scratch[LOCAL];
    const size_t row = get_group_id(0);
    row_known known = {dlogits + row * V, logits + row * V, 0.0F, 0.0F};
    const int target = targets[row];
    const bool valid = is_target(target, V);
    float sum;
    row_softmax(&known.largest, &sum, known.x, V, false, known, scratch);
    const float x_target = known.x[valid ? target : 0];
    barrier(CLK_GLOBAL_MEM_FENCE); /* dlogits may be logits: all have read x[target] */
    if (valid) {
        known.factor = scale / sum;
        row_write(known, 0, V);
    } else {
        row_fill(known.out, target == IGNORED ? 0.0F : NAN, V);
    }
    barrier(CLK_GLOBAL_MEM_FENCE);
    if (valid && get_local_id(0) == 0) {
        known.out[target] = scale * (clm_exp_negative1(x_target - known.largest) / sum - 1.0F);
    }
}

#endif
