/* Softmax cross-entropy over rows of V logits.
 *
 *     forward   losses[r] = log(sum over i of exp(x[i] - largest)) + largest - x[target]
 *               sums (rows,2)[r] = largest, and that sum, when wanted: for the backward pass
 *               probabilities[r,i] = exp(x[i] - largest) / sum, when wanted
 *     backward  dlogits[r,i] = scale (exp(x[i] - largest) / sum - (i == target)); dlogits may be
 *               logits
 *
 * Rows whose target is IGNORED have loss 0 and gradient 0. A target that is neither IGNORED nor in
 * [0, V) makes a NaN loss and NaN gradients, so that it cannot go unnoticed. A logit of -inf has
 * probability 0 (loss inf when it is the target); NaN, inf, or nothing but -inf make the row NaN.
 *
 * Work: one group of LOCAL items a row. On processors LOCAL is 1: an item walks the row in vectors.
 * The forward pass reads logits once (twice for probabilities), the backward pass reads them and
 * writes dlogits once.
 * Accuracy: a sum runs over at most BLOCK + V / (BLOCK * WIDTH * LOCAL) additions a lane, then a
 * tree; losses are within 2e-6 + 2e-7 |largest - x[target]|, probabilities within 5e-6 of
 * themselves at V = 50257.
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

/* out = exp(x - largest) * factor; out may be x. */
static inline void row_write(__global float *out, __global const float *x, const float largest,
                             const float factor, const int V) {
    const int item = (int)get_local_id(0);
    const int whole = V - V % STRIDE;
    for (int i = item * WIDTH; i < whole; i += STRIDE) {
        storew(exp_negativew(loadw(x, i) - largest) * factor, out, i);
    }
    CLM_EDGE for (int i = whole + item; i < V; i += LOCAL) {
        out[i] = clm_exp_negative1(x[i] - largest) * factor;
    }
}

/* Whether column i is one of those that the item writes in row_write(). */
static inline bool row_is_mine(const int i, const int V) {
    const int whole = V - V % STRIDE;
    return (int)get_local_id(0) == (i < whole ? i / WIDTH : i - whole) % LOCAL;
}

/* The largest of the item's logits, and the sum of exp(x - largest) over them, by one walk over the
 * row (Milakov and Gimelshein 2018): each lane keeps the largest logit it has seen and the sum of
 * exp(x - largest), and scales that sum when a block brings a larger one. It starts from the least
 * float and not -inf, for which the difference of two would be NaN. While a block is summed up, the
 * next one is looked through for its largest logit, so that memory is read as the processor
 * computes and not in between. */
static inline void item_softmax(float *item_largest, float *item_sum, __global const float *x,
                                const int V) {
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
        }
        for (; i < end; i += CHAINS * STRIDE) {
            UNROLL for (int chain = 0; chain < CHAINS; chain++) {
                sums[chain] += exp_negativew(loadw(x, i + chain * STRIDE) - larger);
            }
        }
        UNROLL for (int chain = 1; chain < CHAINS; chain++) {
            sums[0] += sums[chain];
        }
        sum = sum * exp_negativew(largest - larger) + sums[0];
        largest = larger;
        larger = chains_largest(next);
    }
    float all_largest = maxw(largest);
    CLM_EDGE for (int i = whole + item; i < V; i += LOCAL) {
        all_largest = CLM_LARGER(all_largest, x[i]);
    }
    float all_sum = sumw(sum * exp_negativew(largest - all_largest));
    CLM_EDGE for (int i = whole + item; i < V; i += LOCAL) {
        all_sum += clm_exp_negative1(x[i] - all_largest);
    }
    *item_largest = all_largest;
    *item_sum = all_sum;
}

static inline void row_fill(__global float *out, const float value, const int V) {
    const int item = (int)get_local_id(0);
    const int whole = V - V % STRIDE;
    for (int i = item * WIDTH; i < whole; i += STRIDE) {
        storew((floatw)(value), out, i);
    }
    CLM_EDGE for (int i = whole + item; i < V; i += LOCAL) {
        out[i] = value;
    }
}

static inline bool is_target(const int target, const int V) {
    return target >= 0 && target < V;
}

__kernel __attribute__((reqd_work_group_size(LOCAL, 1, 1))) void crossentropy_forward(
    __global float *losses, __global float *sums, const int has_sums,
    __global float *probabilities, const int has_probabilities, __global const float *logits,
    __global const int *targets, const int V) {
    __local float scratch[LOCAL];
    const size_t row = get_group_id(0);
    __global const float *x = logits + row * V;
    float item_largest, item_sum;
    item_softmax(&item_largest, &item_sum, x, V);
    /* Not in a function of their own: Mesa 25's llvmpipe crashes on barriers two calls deep. */
    const float largest = clm_group_max(item_largest, scratch);
    const float sum =
        clm_group_sum(item_sum * clm_exp_negative1(item_largest - largest), scratch);
    if (has_probabilities) {
        row_write(probabilities + row * V, x, largest, 1.0F / sum, V);
    }
    if (get_local_id(0) == 0) {
        const int target = targets[row];
        float loss = NAN;
        if (target == IGNORED) {
            loss = 0.0F;
        } else if (is_target(target, V)) {
            loss = log(sum) + (largest - x[target]);
        }
        losses[row] = loss;
        if (has_sums) {
            sums[2 * row] = largest;
            sums[2 * row + 1] = sum;
        }
    }
}

__kernel __attribute__((reqd_work_group_size(LOCAL, 1, 1))) void crossentropy_backward(
    __global float *dlogits, __global const float *logits, __global const float *sums,
    __global const int *targets, const float scale, const int V) {
    const size_t row = get_group_id(0);
    const int target = targets[row];
    __global float *out = dlogits + row * V;
    if (is_target(target, V)) {
        row_write(out, logits + row * V, sums[2 * row], scale / sums[2 * row + 1], V);
        if (row_is_mine(target, V)) {
            out[target] -= scale;
        }
    } else {
        row_fill(out, target == IGNORED ? 0.0F : NAN, V);
    }
}
