/* Attention: out = softmax(q k^T / sqrt(D)) v for each head, forward and backward.
 *
 *     s[i][j] = q[i] . k[j] / sqrt(D)             j <= i when causal
 *     lse[i]  = log sum_j exp(s[i][j])            p[i][j] = exp(s[i][j] - lse[i])
 *     out[i]  = sum_j p[i][j] v[j]
 *
 *     delta[i] = dout[i] . out[i]                 ds[i][j] = p[i][j] (dout[i] . v[j] - delta[i])
 *     dv[j] = sum_i p[i][j] dout[i]
 *     dk[j] = sum_i ds[i][j] q[i] / sqrt(D)       dq[i] = sum_j ds[i][j] k[j] / sqrt(D)
 *
 * Online softmax (Milakov and Gimelshein 2018), in tiles, with the scores computed again in the
 * backward pass (Dao et al. 2022): nothing of size (T,T) is kept.
 *
 * Shapes: q (B,Tq,H,D), k and v (B,Tk,G,D) are views: elements from position to position and where
 * the first is are arguments, and so is how many positions of keys a sequence has room for. Query
 * head h reads key-value head h / (H / G). out, dout (B,Tq,H,D) and lse (B,H,Tq) are dense. D is a
 * macro: one program per head size.
 * Query i of sequence b stands at position first[b] + i (or i). It sees keys 0 up to its own
 * position when causal, else all, in both cases only the first lengths[b] (or Tk). A sequence
 * without keys has out = 0.
 *
 * Two variants compute the same:
 *
 *   _item    for devices that run a work-item as a thread. One work-item a work-group; queries
 *            lie along the lanes of vectors of WIDTH floats, so that maxima and sums over keys
 *            need no shuffles and q, out and their gradients are transposed once a tile.
 *            forward: global (ceil(Tq / TILE), B * H); backward: global (B * G). Local 1.
 *   _group   for devices that want many work-items: one a query (forward, dq) or a key (dk, dv),
 *            with tiles of the other side in local memory. Global (whole groups of LOCAL that
 *            cover Tq, B * H; for keys Tk, B * G), local (LOCAL, 1).
 *
 * Every sum has a fixed order and one owner: the same input gives the same bits. In the _item
 * kernels each query has a lane, and keys come in tiles that begin at the first key, so a query's
 * result does not depend on which others there are, nor on keys that it does not see.
 * Accuracy: a few roundings of float, times the size of what is summed; scores of any finite
 * size are fine. A query that is not finite affects only its own row; a key, the rows that see it;
 * a value, the rows that see it and (0 * infinity in the same tile) some before it.
 *
 * SPDX-License-Identifier: Apache-2.0 */

#ifndef D
#define D 64 /* channels of a head */
#endif
#include "common.clh"
#include "attention.clh"

/* -DITEM: the _item kernels, else the _group kernels. */

#ifdef ITEM
/* ======================= _item: a work-item is a thread ======================= */

/* A tile of products in registers is ROWS x LANES vectors; with 32 registers (AVX-512) 8 x 3,
 * with 16 (AVX2) 4 x 3: as many as fit beside the operands. LANES vectors of queries make
 * the tile of queries; a tile of keys is as long, so that at most two are masked. */
#if WIDTH == 16
#define ROWS 8
#define KEY_ROWS 6
#define KEY_LANES_MOST 4
#else
#define ROWS 4
#define KEY_ROWS 6
#define KEY_LANES_MOST 2
#endif

/* How many vectors of channels a register tile takes at once. */
#if KEY_LANES_MOST >= 4 && D_VECTORS % 4 == 0
#define KEY_LANES 4
#elif KEY_LANES_MOST >= 3 && D_VECTORS % 3 == 0
#define KEY_LANES 3
#elif D_VECTORS % 2 == 0
#define KEY_LANES 2
#else
#define KEY_LANES 1
#endif

#if WIDTH == 16
#define LANE_INDEX ((intw)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15))
#else
#define LANE_INDEX ((intw)(0, 1, 2, 3, 4, 5, 6, 7))
#endif

/* to (TILE,D_PADDED) = from (rows,D), zeros elsewhere. */
static void load_rows(__local float *to, __global const float *from, size_t stride, int rows) {
    for (int i = 0; i < rows; ++i) {
        ROLLED for (int d = 0; d < D; d += WIDTH) {
            __global const float *part = from + i * stride + d;
            storew(D - d >= WIDTH ? loadw(part, 0) : load_part(part, D - d), to + i * D_PADDED + d,
                   0);
        }
    }
}

/* to (D,TILE) = factor * from (rows,D_PADDED)^T; columns from `rows` up are those of the last row.
 */
static void transpose_rows(__local float *to, __local const float *from, int rows, float factor) {
    ROLLED for (int lane = 0; lane < TILE; lane += WIDTH) {
        ROLLED for (int d = 0; d < D; d += WIDTH) {
            floatw block[WIDTH];
            UNROLL for (int i = 0; i < WIDTH; ++i) {
                block[i] = loadw(from + min(lane + i, rows - 1) * D_PADDED + d, 0) * factor;
            }
            clm_transpose(block);
            UNROLL for (int i = 0; i < WIDTH; ++i) {
                if (d + i < D) {
                    storew(block[i], to + (d + i) * TILE + lane, 0);
                }
            }
        }
    }
}

/* to (rows,D) = from (D,TILE)^T, row i times factor[i]; by way of `whole` (TILE,D_PADDED). */
static void store_transposed(__global float *to, size_t stride, __local float *whole,
                             __local const float *from, int rows, const float *factor) {
    ROLLED for (int lane = 0; lane < TILE; lane += WIDTH) {
        ROLLED for (int d = 0; d < D; d += WIDTH) {
            floatw block[WIDTH];
            UNROLL for (int i = 0; i < WIDTH; ++i) {
                block[i] = loadw(from + min(d + i, D - 1) * TILE + lane, 0);
            }
            clm_transpose(block);
            UNROLL for (int i = 0; i < WIDTH; ++i) {
                storew(block[i], whole + (lane + i) * D_PADDED + d, 0);
            }
        }
    }
    for (int i = 0; i < rows; ++i) {
        ROLLED for (int d = 0; d < D; d += WIDTH) {
            const floatw part = loadw(whole + i * D_PADDED + d, 0) * factor[i];
            if (D - d >= WIDTH) {
                storew(part, to + i * stride + d, 0);
            } else {
                store_part(part, to + i * stride + d, D - d);
            }
        }
    }
}

/* product (keys,TILE) = rows (keys,D_PADDED) * transposed (D,TILE). Writes whole tiles of ROWS. */
static void multiply_rows(__local float *product, __local const float *rows, int keys,
                          __local const float *transposed) {
    for (int k = 0; k < keys; k += ROWS) {
        __local const float *row[ROWS];
        floatw sum[ROWS][LANES];
        UNROLL for (int i = 0; i < ROWS; ++i) {
            row[i] = rows + min(k + i, keys - 1) * D_PADDED;
            UNROLL for (int lane = 0; lane < LANES; ++lane) {
                sum[i][lane] = 0.0f;
            }
        }
        ROLLED for (int d = 0; d < D; ++d) {
            floatw column[LANES];
            UNROLL for (int lane = 0; lane < LANES; ++lane) {
                column[lane] = loadw(transposed + d * TILE + lane * WIDTH, 0);
            }
            UNROLL for (int i = 0; i < ROWS; ++i) {
                const floatw value = row[i][d];
                UNROLL for (int lane = 0; lane < LANES; ++lane) {
                    sum[i][lane] = fma(value, column[lane], sum[i][lane]);
                }
            }
        }
        UNROLL for (int i = 0; i < ROWS; ++i) {
            UNROLL for (int lane = 0; lane < LANES; ++lane) {
                storew(sum[i][lane], product + (k + i) * TILE + lane * WIDTH, 0);
            }
        }
    }
}

/* total (D,TILE) = keep[lane] * total + rows (keys,D_PADDED)^T * weights (keys,TILE) */
static void add_weighted_rows(__local float *total, const floatw *keep, __local const float *rows,
                              int keys, __local const float *weights) {
    ROLLED for (int d = 0; d < D; d += ROWS) {
        floatw sum[ROWS][LANES];
        UNROLL for (int i = 0; i < ROWS; ++i) {
            UNROLL for (int lane = 0; lane < LANES; ++lane) {
                sum[i][lane] = keep[lane] *
                               loadw(total + min(d + i, D - 1) * TILE + lane * WIDTH, 0);
            }
        }
        __local const float *row = rows + d;
        for (int k = 0; k < keys; ++k, row += D_PADDED) {
            floatw weight[LANES];
            UNROLL for (int lane = 0; lane < LANES; ++lane) {
                weight[lane] = loadw(weights + k * TILE + lane * WIDTH, 0);
            }
            UNROLL for (int i = 0; i < ROWS; ++i) {
                const floatw value = row[min(i, D - 1 - d)];
                UNROLL for (int lane = 0; lane < LANES; ++lane) {
                    sum[i][lane] = fma(value, weight[lane], sum[i][lane]);
                }
            }
        }
        UNROLL for (int i = 0; i < ROWS; ++i) {
            UNROLL for (int lane = 0; lane < LANES; ++lane) {
                if (d + i < D) {
                    storew(sum[i][lane], total + (d + i) * TILE + lane * WIDTH, 0);
                }
            }
        }
    }
}

/* The online softmax of one tile of scores (keys,TILE): turns them into exp(score - largest), and
 * gives by what factor earlier sums shrink. Where some keys are not seen, that of row k is seen by
 * the queries in lanes k + ahead and up. */
static void softmax_tile(__local float *scores, int keys, bool masked, int ahead, floatw *largest,
                         floatw *sum, floatw *shrink) {
    floatw most[LANES], base[LANES], total[LANES];
    UNROLL for (int lane = 0; lane < LANES; ++lane) {
        most[lane] = largest[lane];
    }
    /* Lanes side by side: the largest of one need not wait for that of another. */
    if (masked) {
        for (int k = 0; k < keys; ++k) {
            UNROLL for (int lane = 0; lane < LANES; ++lane) {
                __local float *at = scores + k * TILE + lane * WIDTH;
                floatw score = loadw(at, 0);
                score = LANE_INDEX + lane * WIDTH >= (intw)(k + ahead) ? score
                                                                       : (floatw)(-INFINITY);
                storew(score, at, 0);
                most[lane] = score > most[lane] ? score : most[lane];
            }
        }
    } else {
        for (int k = 0; k < keys; ++k) {
            UNROLL for (int lane = 0; lane < LANES; ++lane) {
                const floatw score = loadw(scores + k * TILE + lane * WIDTH, 0);
                most[lane] = score > most[lane] ? score : most[lane];
            }
        }
    }
    UNROLL for (int lane = 0; lane < LANES; ++lane) {
        /* Where every score so far is -infinity, -infinity - most would be NaN. */
        base[lane] = most[lane] == -INFINITY ? (floatw)0.0f : most[lane];
        shrink[lane] = exp_negativew(largest[lane] - base[lane]);
        largest[lane] = most[lane];
        total[lane] = sum[lane] * shrink[lane];
    }
    for (int k = 0; k < keys; ++k) {
        UNROLL for (int lane = 0; lane < LANES; ++lane) {
            __local float *at = scores + k * TILE + lane * WIDTH;
            const floatw weight = exp_negativew(loadw(at, 0) - base[lane]);
            storew(weight, at, 0);
            total[lane] += weight;
        }
    }
    UNROLL for (int lane = 0; lane < LANES; ++lane) {
        sum[lane] = total[lane];
    }
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void attention_forward_item(
    __global float *restrict out, __global float *restrict lse, ATTENTION_OPERANDS,
    ATTENTION_SIZES) {
    __local float query[D * TILE], total[D * TILE], scores[TILE * TILE];
    __local float rows[TILE * D_PADDED];
    const int head = (int)get_group_id(1) % H, b = (int)get_group_id(1) / H;
    const int causal = has & HAS_CAUSAL;
    /* The last tiles have the most keys when causal: they go first, so that all threads end
     * together. */
    const int first_query = (int)(get_num_groups(0) - 1 - get_group_id(0)) * TILE;
    const int queries = min(TILE, Tq - first_query);
    const int position = first_position(first, b, first_step, Tk, has) + first_query;
    const int valid = valid_keys(lengths, b, Tk, has);
    const int all_keys = causal ? min(valid, position + queries) : valid;
    const int group = head / (H / G);
    q += q_offset + ((size_t)b * Tq + first_query) * q_stride + head * D;
    k += k_offset + (size_t)b * capacity * k_stride + group * D;
    v += v_offset + (size_t)b * capacity * v_stride + group * D;

    floatw largest[LANES], sum[LANES], shrink[LANES];
    for (int lane = 0; lane < LANES; ++lane) {
        largest[lane] = -INFINITY;
        sum[lane] = 0.0f;
        ROLLED for (int d = 0; d < D; ++d) {
            storew((floatw)0.0f, total + d * TILE + lane * WIDTH, 0);
        }
    }
    load_rows(rows, q, q_stride, queries);
    transpose_rows(query, rows, queries, scale);
    for (int key = 0; key < all_keys; key += TILE) {
        const int keys = min(TILE, all_keys - key);
        const int ahead = key - position;
        load_rows(rows, k + (size_t)key * k_stride, k_stride, keys);
        multiply_rows(scores, rows, keys, query);
        softmax_tile(scores, keys, causal && ahead + keys > 1, ahead, largest, sum, shrink);
        load_rows(rows, v + (size_t)key * v_stride, v_stride, keys);
        add_weighted_rows(total, shrink, rows, keys, scores);
    }
    float log_sum[TILE], inverse[TILE];
    UNROLL for (int lane = 0; lane < LANES; ++lane) {
        storew(largest[lane] + log(sum[lane]), log_sum + lane * WIDTH, 0);
        storew(all_keys > 0 ? 1.0f / sum[lane] : (floatw)0.0f, inverse + lane * WIDTH, 0);
    }
    const size_t C = (size_t)H * D;
    store_transposed(out + ((size_t)b * Tq + first_query) * C + head * D, C, rows, total, queries,
                     inverse);
    if (has & HAS_LSE) {
        for (int i = 0; i < queries; ++i) {
            lse[get_group_id(1) * Tq + first_query + i] = log_sum[i];
        }
    }
}

/* ---- backward ---- */

/* delta[i] = sum over channels of dout (rows,D_PADDED) * out (rows,D). */
static void dot_rows(float *delta, __local const float *dout, __global const float *out,
                     size_t stride, int rows) {
    for (int i = 0; i < rows; ++i) {
        floatw total = 0.0f;
        ROLLED for (int d = 0; d < D; d += WIDTH) {
            __global const float *part = out + i * stride + d;
            total = fma(D - d >= WIDTH ? loadw(part, 0) : load_part(part, D - d),
                        loadw(dout + i * D_PADDED + d, 0), total);
        }
        delta[i] = sumw(total);
    }
}

/* scores (keys,TILE) become p, dweights (keys,TILE) become scale * ds. */
static void softmax_tile_backward(__local float *scores, __local float *dweights, int keys,
                                  bool masked, int ahead, const floatw *log_sum,
                                  const floatw *delta, float scale) {
    for (int k = 0; k < keys; ++k) {
        UNROLL for (int lane = 0; lane < LANES; ++lane) {
            const intw query = LANE_INDEX + lane * WIDTH;
            __local float *score = scores + k * TILE + lane * WIDTH;
            __local float *dweight = dweights + k * TILE + lane * WIDTH;
            floatw weight = exp_negativew(loadw(score, 0) - log_sum[lane]);
            floatw dscore = weight * (loadw(dweight, 0) - delta[lane]) * scale;
            if (masked) {
                const intw seen = query >= (intw)(k + ahead);
                weight = seen ? weight : (floatw)0.0f;
                dscore = seen ? dscore : (floatw)0.0f;
            }
            storew(weight, score, 0);
            storew(dscore, dweight, 0);
        }
    }
}

/* gradient (keys,D) += weights (keys,TILE) * rows (queries,D_PADDED) */
static void add_key_gradient(__global float *gradient, size_t stride, int keys,
                             __local const float *weights, __local const float *rows, int queries) {
    ROLLED for (int d = 0; d < D_PADDED; d += KEY_LANES * WIDTH) {
        for (int k = 0; k < keys; k += KEY_ROWS) {
            __local const float *weight[KEY_ROWS];
            floatw sum[KEY_ROWS][KEY_LANES];
            UNROLL for (int i = 0; i < KEY_ROWS; ++i) {
                weight[i] = weights + min(k + i, keys - 1) * TILE;
                UNROLL for (int lane = 0; lane < KEY_LANES; ++lane) {
                    sum[i][lane] = 0.0f;
                }
            }
            for (int q = 0; q < queries; ++q) {
                floatw row[KEY_LANES];
                UNROLL for (int lane = 0; lane < KEY_LANES; ++lane) {
                    row[lane] = loadw(rows + q * D_PADDED + d + lane * WIDTH, 0);
                }
                UNROLL for (int i = 0; i < KEY_ROWS; ++i) {
                    const floatw value = weight[i][q];
                    UNROLL for (int lane = 0; lane < KEY_LANES; ++lane) {
                        sum[i][lane] = fma(value, row[lane], sum[i][lane]);
                    }
                }
            }
            UNROLL for (int i = 0; i < KEY_ROWS; ++i) {
                UNROLL for (int lane = 0; lane < KEY_LANES; ++lane) {
                    __global float *to = gradient + (k + i) * stride + d + lane * WIDTH;
                    const int channels = D - d - lane * WIDTH;
                    if (k + i >= keys) {
                        continue;
                    }
                    if (channels >= WIDTH) {
                        storew(loadw(to, 0) + sum[i][lane], to, 0);
                    } else {
                        store_part(load_part(to, channels) + sum[i][lane], to, channels);
                    }
                }
            }
        }
    }
}

/* rows (count,D) of a gradient = 0 */
static void zero_rows(__global float *to, size_t stride, int count) {
    for (int t = 0; t < count; ++t) {
        ROLLED for (int d = 0; d < D; ++d) {
            to[t * stride + d] = 0.0f;
        }
    }
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void attention_backward_item(
    ATTENTION_GRADIENTS, __global const float *restrict dout, __global const float *restrict out,
    __global const float *restrict lse, ATTENTION_OPERANDS, ATTENTION_SIZES,
    ATTENTION_GRADIENT_SIZES) {
    __local float query[D * TILE], dout_transposed[D * TILE], dquery[D * TILE];
    __local float query_rows[TILE * D_PADDED], dout_rows[TILE * D_PADDED];
    __local float weights[TILE * TILE], dscores[TILE * TILE], rows[TILE * D_PADDED];
    const size_t C = (size_t)H * D;
    const int group = (int)get_group_id(0) % G, b = (int)get_group_id(0) / G;
    const int causal = has & HAS_CAUSAL;
    const int start = first_position(first, b, first_step, Tk, has);
    const int valid = valid_keys(lengths, b, Tk, has);
    k += k_offset + (size_t)b * capacity * k_stride + group * D;
    v += v_offset + (size_t)b * capacity * v_stride + group * D;
    dk += dk_offset + (size_t)b * Tk * dk_stride + group * D;
    dv += dv_offset + (size_t)b * Tk * dv_stride + group * D;

    if (wanted & WANT_DK) {
        zero_rows(dk, dk_stride, Tk);
    }
    if (wanted & WANT_DV) {
        zero_rows(dv, dv_stride, Tk);
    }
    /* The heads that read these keys, one after the other. */
    for (int head = group * (H / G); head < (group + 1) * (H / G); ++head) {
        for (int first_query = 0; first_query < Tq; first_query += TILE) {
            const int queries = min(TILE, Tq - first_query);
            const int position = start + first_query;
            const size_t row = (size_t)b * Tq + first_query;
            load_rows(query_rows, q + q_offset + row * q_stride + head * D, q_stride, queries);
            load_rows(dout_rows, dout + row * C + head * D, C, queries);
            transpose_rows(query, query_rows, queries, scale);
            transpose_rows(dout_transposed, dout_rows, queries, 1.0f);
            float log_sums[TILE], deltas[TILE], ones[TILE];
            dot_rows(deltas, dout_rows, out + row * C + head * D, C, queries);
            for (int i = 0; i < TILE; ++i) {
                log_sums[i] = lse[((size_t)b * H + head) * Tq + first_query + min(i, queries - 1)];
                deltas[i] = deltas[min(i, queries - 1)];
                ones[i] = 1.0f;
            }
            floatw log_sum[LANES], delta[LANES], one[LANES];
            UNROLL for (int lane = 0; lane < LANES; ++lane) {
                log_sum[lane] = loadw(log_sums, lane * WIDTH);
                delta[lane] = loadw(deltas, lane * WIDTH);
                one[lane] = 1.0f;
            }
            ROLLED for (int i = 0; i < D * TILE; i += WIDTH) {
                storew((floatw)0.0f, dquery, i);
            }
            const int all_keys = causal ? min(valid, position + queries) : valid;
            for (int key = 0; key < all_keys; key += TILE) {
                const int keys = min(TILE, all_keys - key);
                const int ahead = key - position;
                load_rows(rows, v + (size_t)key * v_stride, v_stride, keys);
                multiply_rows(dscores, rows, keys, dout_transposed);
                load_rows(rows, k + (size_t)key * k_stride, k_stride, keys);
                multiply_rows(weights, rows, keys, query);
                softmax_tile_backward(weights, dscores, keys, causal && ahead + keys > 1, ahead,
                                      log_sum, delta, scale);
                if (wanted & WANT_DV) {
                    add_key_gradient(dv + (size_t)key * dv_stride, dv_stride, keys, weights,
                                     dout_rows, queries);
                }
                if (wanted & WANT_DK) {
                    add_key_gradient(dk + (size_t)key * dk_stride, dk_stride, keys, dscores,
                                     query_rows, queries);
                }
                if (wanted & WANT_DQ) {
                    add_weighted_rows(dquery, one, rows, keys, dscores);
                }
            }
            if (wanted & WANT_DQ) {
                store_transposed(dq + dq_offset + row * dq_stride + head * D, dq_stride, rows,
                                 dquery, queries, ones);
            }
        }
    }
}

#else
/* ======================= _group: a work-item is a query or a key ======================= */

/* Positions of the other side in local memory at once. */
#ifndef BLOCK
#if D <= 128
#define BLOCK 16
#else
#define BLOCK 8
#endif
#endif

/* Copies `count` rows (D) of two matrices to local memory, by the whole group. */
static inline void share_rows(__local float *a, __global const float *from_a, size_t stride_a,
                              __local float *b, __global const float *from_b, size_t stride_b,
                              int count) {
    for (int i = (int)get_local_id(0); i < count * D; i += LOCAL) {
        const size_t row = i / D, d = i % D;
        a[i] = from_a[row * stride_a + d];
        b[i] = from_b[row * stride_b + d];
    }
}

static inline float dot_local(const float *a, __local const float *b) {
    float sum = 0.0f;
    for (int d = 0; d < D; ++d) {
        sum = fma(a[d], b[d], sum);
    }
    return sum;
}

__kernel __attribute__((reqd_work_group_size(LOCAL, 1, 1))) void attention_forward_group(
    __global float *restrict out, __global float *restrict lse, ATTENTION_OPERANDS,
    ATTENTION_SIZES) {
    __local float keys[BLOCK * D], values[BLOCK * D];
    const int head = (int)get_group_id(1) % H, b = (int)get_group_id(1) / H;
    const int causal = has & HAS_CAUSAL;
    const int query = (int)get_global_id(0);
    const int row = min(query, Tq - 1); /* items past the end compute, and store nothing */
    const int start = first_position(first, b, first_step, Tk, has);
    const int valid = valid_keys(lengths, b, Tk, has);
    const int group = head / (H / G);
    q += q_offset + ((size_t)b * Tq + row) * q_stride + head * D;
    k += k_offset + (size_t)b * capacity * k_stride + group * D;
    v += v_offset + (size_t)b * capacity * v_stride + group * D;

    float scaled[D], total[D], scores[BLOCK];
    float largest = -INFINITY, sum = 0.0f;
    for (int d = 0; d < D; ++d) {
        scaled[d] = q[d] * scale;
        total[d] = 0.0f;
    }
    /* Those that any query of the group sees, for the barriers. */
    const int last = start + min(Tq, ((int)get_group_id(0) + 1) * LOCAL);
    const int all_keys = causal ? min(valid, last) : valid;
    for (int key = 0; key < all_keys; key += BLOCK) {
        const int count = min(BLOCK, all_keys - key);
        barrier(CLK_LOCAL_MEM_FENCE);
        share_rows(keys, k + (size_t)key * k_stride, k_stride, values, v + (size_t)key * v_stride,
                   v_stride, count);
        barrier(CLK_LOCAL_MEM_FENCE);
        const int seen = causal ? min(count, start + row - key + 1) : count;
        float most = largest;
        for (int i = 0; i < seen; ++i) {
            scores[i] = dot_local(scaled, keys + i * D);
            most = scores[i] > most ? scores[i] : most;
        }
        /* Where every score so far is -infinity, -infinity - most would be NaN. */
        const float base = most == -INFINITY ? 0.0f : most;
        const float shrink = exp(largest - base);
        largest = most;
        sum *= shrink;
        for (int d = 0; d < D; ++d) {
            total[d] *= shrink;
        }
        for (int i = 0; i < seen; ++i) {
            const float weight = exp(scores[i] - base);
            sum += weight;
            for (int d = 0; d < D; ++d) {
                total[d] = fma(weight, values[i * D + d], total[d]);
            }
        }
    }
    if (query < Tq) {
        __global float *to = out + (((size_t)b * Tq + query) * H + head) * D;
        for (int d = 0; d < D; ++d) {
            to[d] = all_keys > 0 ? total[d] / sum : 0.0f;
        }
        if (has & HAS_LSE) {
            lse[get_group_id(1) * Tq + query] = largest + log(sum);
        }
    }
}

/* dq, and delta (B,H,Tq) for the kernel after it. */
__kernel __attribute__((reqd_work_group_size(LOCAL, 1, 1))) void attention_backward_group_query(
    __global float *restrict dq, __global const float *restrict dout,
    __global const float *restrict out, __global const float *restrict lse,
    __global float *restrict delta, ATTENTION_OPERANDS, ATTENTION_SIZES, ulong dq_offset,
    int dq_stride, int wanted) {
    __local float keys[BLOCK * D], values[BLOCK * D];
    const int head = (int)get_group_id(1) % H, b = (int)get_group_id(1) / H;
    const int causal = has & HAS_CAUSAL;
    const int query = (int)get_global_id(0);
    const int row = min(query, Tq - 1);
    const int start = first_position(first, b, first_step, Tk, has);
    const int valid = valid_keys(lengths, b, Tk, has);
    const int group = head / (H / G);
    q += q_offset + ((size_t)b * Tq + row) * q_stride + head * D;
    k += k_offset + (size_t)b * capacity * k_stride + group * D;
    v += v_offset + (size_t)b * capacity * v_stride + group * D;

    float scaled[D], dvalue[D], dquery[D];
    float dot = 0.0f;
    for (int d = 0; d < D; ++d) {
        const size_t at = (((size_t)b * Tq + row) * H + head) * D + d;
        scaled[d] = q[d] * scale;
        dvalue[d] = dout[at];
        dquery[d] = 0.0f;
        dot = fma(dvalue[d], out[at], dot);
    }
    const float log_sum = lse[get_group_id(1) * Tq + row];
    const int last = start + min(Tq, ((int)get_group_id(0) + 1) * LOCAL);
    const int all_keys = !(wanted & WANT_DQ) ? 0 : causal ? min(valid, last) : valid;
    for (int key = 0; key < all_keys; key += BLOCK) {
        const int count = min(BLOCK, all_keys - key);
        barrier(CLK_LOCAL_MEM_FENCE);
        share_rows(keys, k + (size_t)key * k_stride, k_stride, values, v + (size_t)key * v_stride,
                   v_stride, count);
        barrier(CLK_LOCAL_MEM_FENCE);
        const int seen = causal ? min(count, start + row - key + 1) : count;
        for (int i = 0; i < seen; ++i) {
            const float weight = exp(dot_local(scaled, keys + i * D) - log_sum);
            const float dscore = weight * (dot_local(dvalue, values + i * D) - dot) * scale;
            for (int d = 0; d < D; ++d) {
                dquery[d] = fma(dscore, keys[i * D + d], dquery[d]);
            }
        }
    }
    if (query < Tq) {
        delta[get_group_id(1) * Tq + query] = dot;
        if (wanted & WANT_DQ) {
            dq += dq_offset + ((size_t)b * Tq + query) * dq_stride + head * D;
            for (int d = 0; d < D; ++d) {
                dq[d] = dquery[d];
            }
        }
    }
}

/* dk and dv. */
__kernel __attribute__((reqd_work_group_size(LOCAL, 1, 1))) void attention_backward_group_key(
    __global float *restrict dk, __global float *restrict dv, __global const float *restrict dout,
    __global const float *restrict lse, __global const float *restrict delta, ATTENTION_OPERANDS,
    ATTENTION_SIZES, ulong dk_offset, ulong dv_offset, int dk_stride, int dv_stride,
    int wanted) {
    __local float queries[BLOCK * D], douts[BLOCK * D];
    const int group = (int)get_group_id(1) % G, b = (int)get_group_id(1) / G;
    const int causal = has & HAS_CAUSAL;
    const int key = (int)get_global_id(0);
    const int row = min(key, Tk - 1);
    const int start = first_position(first, b, first_step, Tk, has);
    const bool is_valid = key < valid_keys(lengths, b, Tk, has);
    k += k_offset + ((size_t)b * capacity + row) * k_stride + group * D;
    v += v_offset + ((size_t)b * capacity + row) * v_stride + group * D;

    float scaled[D], value[D], dkey[D], dvalue[D];
    for (int d = 0; d < D; ++d) {
        scaled[d] = k[d] * scale;
        value[d] = v[d];
        dkey[d] = 0.0f;
        dvalue[d] = 0.0f;
    }
    /* The heads that read these keys, one after the other; of each, the queries that see any key
     * of the group. */
    const int first_query = causal ? max(0, (int)get_group_id(0) * LOCAL - start) : 0;
    for (int head = group * (H / G); head < (group + 1) * (H / G); ++head) {
        __global const float *douts_from = dout + ((size_t)b * Tq * H + head) * D;
        __global const float *queries_from = q + q_offset + (size_t)b * Tq * q_stride + head * D;
        for (int query = first_query; query < Tq; query += BLOCK) {
            const int count = min(BLOCK, Tq - query);
            barrier(CLK_LOCAL_MEM_FENCE);
            share_rows(queries, queries_from + (size_t)query * q_stride, q_stride, douts,
                       douts_from + (size_t)query * H * D, (size_t)H * D, count);
            barrier(CLK_LOCAL_MEM_FENCE);
            const int unseen = causal ? max(0, row - start - query) : 0;
            for (int i = is_valid ? unseen : count; i < count; ++i) {
                const size_t at = ((size_t)b * H + head) * Tq + query + i;
                const float weight = exp(dot_local(scaled, queries + i * D) - lse[at]);
                const float dscore = weight * (dot_local(value, douts + i * D) - delta[at]) * scale;
                for (int d = 0; d < D; ++d) {
                    dvalue[d] = fma(weight, douts[i * D + d], dvalue[d]);
                    dkey[d] = fma(dscore, queries[i * D + d], dkey[d]);
                }
            }
        }
    }
    if (key < Tk) {
        dk += dk_offset + ((size_t)b * Tk + key) * dk_stride + group * D;
        dv += dv_offset + ((size_t)b * Tk + key) * dv_stride + group * D;
        for (int d = 0; d < D; ++d) {
            if (wanted & WANT_DK) {
                dk[d] = dkey[d];
            }
            if (wanted & WANT_DV) {
                dv[d] = dvalue[d];
            }
        }
    }
}
#endif
