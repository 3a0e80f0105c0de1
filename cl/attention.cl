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
 * Shapes: qkv, dqkv (B,T,3C) with q, k, v of a position adjacent, and the heads adjacent in each;
 * out, dout (B,T,C); lse (B,H,T); C = H * D. D is a macro: one program per head size.
 *
 * Two variants compute the same:
 *
 *   _item    for devices that run a work-item as a thread. One work-item a work-group; queries
 *            lie along the lanes of vectors of WIDTH floats, so that maxima and sums over keys
 *            need no shuffles and q, out and their gradients are transposed once a tile.
 *            forward: global (ceil(T / TILE), B * H); backward: global (B * H). Local 1.
 *   _group   for devices that want many work-items: one a query (forward, dq) or a key (dk, dv),
 *            with tiles of the other side in local memory. Global (whole groups of LOCAL that
 *            cover T, B * H), local (LOCAL, 1).
 *
 * Every sum has a fixed order and one owner: the same input gives the same bits.
 * Accuracy: a few roundings of float, times the size of what is summed; scores of any finite
 * size are fine. A query that is not finite affects only its own row; a key, the rows that see it;
 * a value, the rows that see it and (0 * infinity in the same tile) some before it.
 *
 * SPDX-License-Identifier: Apache-2.0 */

#ifndef D
#define D 64 /* channels of a head */
#endif
#include "common.clh"

/* -DITEM: the _item kernels, else the _group kernels. */

#define SCALE (1.0f / sqrt((float)D))

#ifdef ITEM
/* ======================= _item: a work-item is a thread ======================= */

/* A tile of products in registers is ROWS x LANES vectors; with 32 registers (AVX-512) 8 x 3,
 * with 16 (AVX2) 4 x 3: as many as fit beside the operands. LANES vectors of queries make
 * the tile of queries; a tile of keys is as long, so that only tiles on the diagonal are masked.
 */
#define LANES 3
#define TILE (LANES * WIDTH)
#if WIDTH == 16
#define ROWS 8
#define KEY_ROWS 6
#define KEY_LANES_MOST 4
#else
#define ROWS 4
#define KEY_ROWS 6
#define KEY_LANES_MOST 2
#endif

/* Channels in whole vectors, and how many of those vectors a register tile takes at once. */
#define D_VECTORS ((D + WIDTH - 1) / WIDTH)
#define D_PADDED (D_VECTORS * WIDTH)
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

/* Loops over registers must be unrolled; those over channels must not: some compilers unroll any
 * loop whose count they know, and then work for minutes. */
#define UNROLL __attribute__((opencl_unroll_hint))
#define ROLLED __attribute__((opencl_unroll_hint(1)))

/* The first `count` of WIDTH floats, zeros after them. */
static inline floatw load_part(__global const float *from, int count) {
    float part[WIDTH];
    CLM_EDGE for (int i = 0; i < WIDTH; ++i) {
        part[i] = i < count ? from[i] : 0.0f;
    }
    return loadw(part, 0);
}

static inline void store_part(floatw value, __global float *to, int count) {
    float part[WIDTH];
    storew(value, part, 0);
    CLM_EDGE for (int i = 0; i < count; ++i) {
        to[i] = part[i];
    }
}

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
 * gives by what factor earlier sums shrink. On the diagonal the key of row k is seen by the
 * queries in lanes k and up. */
static void softmax_tile(__local float *scores, int keys, bool diagonal, floatw *largest,
                         floatw *sum, floatw *shrink) {
    floatw most[LANES], base[LANES], total[LANES];
    UNROLL for (int lane = 0; lane < LANES; ++lane) {
        most[lane] = largest[lane];
    }
    /* Lanes side by side: the largest of one need not wait for that of another. */
    if (diagonal) {
        for (int k = 0; k < keys; ++k) {
            UNROLL for (int lane = 0; lane < LANES; ++lane) {
                __local float *at = scores + k * TILE + lane * WIDTH;
                floatw score = loadw(at, 0);
                score = LANE_INDEX + lane * WIDTH >= (intw)k ? score : (floatw)(-INFINITY);
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
    __global float *restrict out, __global float *restrict lse, __global const float *restrict qkv,
    int T, int H, int causal, int keep_lse) {
    __local float query[D * TILE], total[D * TILE], scores[TILE * TILE];
    __local float rows[TILE * D_PADDED];
    const size_t C = (size_t)H * D, stride = 3 * C;
    const int head = (int)get_group_id(1) % H, b = (int)get_group_id(1) / H;
    /* The last tiles have the most keys when causal: they go first, so that all threads end
     * together. */
    const int first_query = (int)(get_num_groups(0) - 1 - get_group_id(0)) * TILE;
    const int queries = min(TILE, T - first_query);
    __global const float *q = qkv + (size_t)b * T * stride + head * D;
    __global const float *k = q + C, *v = q + 2 * C;

    floatw largest[LANES], sum[LANES], shrink[LANES];
    for (int lane = 0; lane < LANES; ++lane) {
        largest[lane] = -INFINITY;
        sum[lane] = 0.0f;
        ROLLED for (int d = 0; d < D; ++d) {
            storew((floatw)0.0f, total + d * TILE + lane * WIDTH, 0);
        }
    }
    load_rows(rows, q + first_query * stride, stride, queries);
    transpose_rows(query, rows, queries, SCALE);
    const int all_keys = causal ? first_query + queries : T;
    for (int first = 0; first < all_keys; first += TILE) {
        const int keys = min(TILE, all_keys - first);
        load_rows(rows, k + first * stride, stride, keys);
        multiply_rows(scores, rows, keys, query);
        softmax_tile(scores, keys, causal && first == first_query, largest, sum, shrink);
        load_rows(rows, v + first * stride, stride, keys);
        add_weighted_rows(total, shrink, rows, keys, scores);
    }
    float log_sum[TILE], inverse[TILE];
    UNROLL for (int lane = 0; lane < LANES; ++lane) {
        storew(largest[lane] + log(sum[lane]), log_sum + lane * WIDTH, 0);
        storew(1.0f / sum[lane], inverse + lane * WIDTH, 0);
    }
    store_transposed(out + ((size_t)b * T + first_query) * C + head * D, C, rows, total, queries,
                     inverse);
    if (keep_lse) {
        for (int i = 0; i < queries; ++i) {
            lse[get_group_id(1) * T + first_query + i] = log_sum[i];
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

/* scores (keys,TILE) become p, dweights (keys,TILE) become ds / sqrt(D). */
static void softmax_tile_backward(__local float *scores, __local float *dweights, int keys,
                                  bool diagonal, const floatw *log_sum,
                                  const floatw *delta) {
    for (int k = 0; k < keys; ++k) {
        UNROLL for (int lane = 0; lane < LANES; ++lane) {
            const intw query = LANE_INDEX + lane * WIDTH;
            __local float *score = scores + k * TILE + lane * WIDTH;
            __local float *dweight = dweights + k * TILE + lane * WIDTH;
            floatw weight = exp_negativew(loadw(score, 0) - log_sum[lane]);
            floatw dscore = weight * (loadw(dweight, 0) - delta[lane]) * SCALE;
            if (diagonal) {
                const intw seen = query >= (intw)k;
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

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void attention_backward_item(
    __global float *restrict dqkv, __global const float *restrict dout,
    __global const float *restrict qkv, __global const float *restrict out,
    __global const float *restrict lse, int T, int H, int causal) {
    __local float query[D * TILE], dout_transposed[D * TILE], dquery[D * TILE];
    __local float query_rows[TILE * D_PADDED], dout_rows[TILE * D_PADDED];
    __local float weights[TILE * TILE], dscores[TILE * TILE], rows[TILE * D_PADDED];
    const size_t C = (size_t)H * D, stride = 3 * C;
    const int head = (int)get_group_id(0) % H, b = (int)get_group_id(0) / H;
    const size_t here = (size_t)b * T * stride + head * D;
    __global const float *q = qkv + here, *k = q + C, *v = q + 2 * C;
    __global float *dq = dqkv + here, *dk = dq + C, *dv = dq + 2 * C;

    for (int t = 0; t < T; ++t) {
        ROLLED for (int d = 0; d < D; ++d) {
            dk[t * stride + d] = 0.0f;
            dv[t * stride + d] = 0.0f;
        }
    }
    for (int first_query = 0; first_query < T; first_query += TILE) {
        const int queries = min(TILE, T - first_query);
        const size_t position = (size_t)b * T + first_query;
        load_rows(query_rows, q + first_query * stride, stride, queries);
        load_rows(dout_rows, dout + position * C + head * D, C, queries);
        transpose_rows(query, query_rows, queries, SCALE);
        transpose_rows(dout_transposed, dout_rows, queries, 1.0f);
        float log_sums[TILE], deltas[TILE], ones[TILE];
        dot_rows(deltas, dout_rows, out + position * C + head * D, C, queries);
        for (int i = 0; i < TILE; ++i) {
            log_sums[i] = lse[get_group_id(0) * T + first_query + min(i, queries - 1)];
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
        const int all_keys = causal ? first_query + queries : T;
        for (int first = 0; first < all_keys; first += TILE) {
            const int keys = min(TILE, all_keys - first);
            const size_t at = first * stride;
            load_rows(rows, v + at, stride, keys);
            multiply_rows(dscores, rows, keys, dout_transposed);
            load_rows(rows, k + at, stride, keys);
            multiply_rows(weights, rows, keys, query);
            softmax_tile_backward(weights, dscores, keys, causal && first == first_query, log_sum,
                                  delta);
            add_key_gradient(dv + at, stride, keys, weights, dout_rows, queries);
            add_key_gradient(dk + at, stride, keys, dscores, query_rows, queries);
            add_weighted_rows(dquery, one, rows, keys, dscores);
        }
        store_transposed(dq + first_query * stride, stride, rows, dquery, queries, ones);
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

/* Copies rows first .. first + count of two matrices (T,D) to local memory, by the whole group. */
static inline void share_rows(__local float *a, __global const float *from_a, size_t stride_a,
                              __local float *b, __global const float *from_b, size_t stride_b,
                              int first, int count) {
    for (int i = (int)get_local_id(0); i < count * D; i += LOCAL) {
        const size_t row = first + i / D, d = i % D;
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
    __global float *restrict out, __global float *restrict lse, __global const float *restrict qkv,
    int T, int H, int causal, int keep_lse) {
    __local float keys[BLOCK * D], values[BLOCK * D];
    const size_t C = (size_t)H * D, stride = 3 * C;
    const int head = (int)get_group_id(1) % H, b = (int)get_group_id(1) / H;
    const int query = (int)get_global_id(0);
    const int row = min(query, T - 1); /* items past the end compute, and store nothing */
    __global const float *q = qkv + (size_t)b * T * stride + head * D;

    float scaled[D], total[D], scores[BLOCK];
    float largest = -INFINITY, sum = 0.0f;
    for (int d = 0; d < D; ++d) {
        scaled[d] = q[row * stride + d] * SCALE;
        total[d] = 0.0f;
    }
    const int all_keys = causal ? min(T, ((int)get_group_id(0) + 1) * LOCAL) : T;
    for (int first = 0; first < all_keys; first += BLOCK) {
        const int count = min(BLOCK, all_keys - first);
        barrier(CLK_LOCAL_MEM_FENCE);
        share_rows(keys, q + C, stride, values, q + 2 * C, stride, first, count);
        barrier(CLK_LOCAL_MEM_FENCE);
        const int seen = causal ? min(count, row - first + 1) : count;
        float most = largest;
        for (int k = 0; k < seen; ++k) {
            scores[k] = dot_local(scaled, keys + k * D);
            most = scores[k] > most ? scores[k] : most;
        }
        /* Where every score so far is -infinity, -infinity - most would be NaN. */
        const float base = most == -INFINITY ? 0.0f : most;
        const float shrink = exp(largest - base);
        largest = most;
        sum *= shrink;
        for (int d = 0; d < D; ++d) {
            total[d] *= shrink;
        }
        for (int k = 0; k < seen; ++k) {
            const float weight = exp(scores[k] - base);
            sum += weight;
            for (int d = 0; d < D; ++d) {
                total[d] = fma(weight, values[k * D + d], total[d]);
            }
        }
    }
    if (query < T) {
        __global float *to = out + ((size_t)b * T + query) * C + head * D;
        for (int d = 0; d < D; ++d) {
            to[d] = total[d] / sum;
        }
        if (keep_lse) {
            lse[get_group_id(1) * T + query] = largest + log(sum);
        }
    }
}

/* dq, and delta (B,H,T) for the kernel after it. */
__kernel __attribute__((reqd_work_group_size(LOCAL, 1, 1))) void attention_backward_group_query(
    __global float *restrict dqkv, __global float *restrict delta,
    __global const float *restrict dout, __global const float *restrict qkv,
    __global const float *restrict out, __global const float *restrict lse, int T, int H,
    int causal) {
    __local float keys[BLOCK * D], values[BLOCK * D];
    const size_t C = (size_t)H * D, stride = 3 * C;
    const int head = (int)get_group_id(1) % H, b = (int)get_group_id(1) / H;
    const int query = (int)get_global_id(0);
    const int row = min(query, T - 1);
    const size_t here = (size_t)b * T * stride + head * D;
    __global const float *q = qkv + here;

    float scaled[D], dvalue[D], dquery[D];
    float dot = 0.0f;
    for (int d = 0; d < D; ++d) {
        const size_t at = ((size_t)b * T + row) * C + head * D + d;
        scaled[d] = q[row * stride + d] * SCALE;
        dvalue[d] = dout[at];
        dquery[d] = 0.0f;
        dot = fma(dvalue[d], out[at], dot);
    }
    const float log_sum = lse[get_group_id(1) * T + row];
    const int all_keys = causal ? min(T, ((int)get_group_id(0) + 1) * LOCAL) : T;
    for (int first = 0; first < all_keys; first += BLOCK) {
        const int count = min(BLOCK, all_keys - first);
        barrier(CLK_LOCAL_MEM_FENCE);
        share_rows(keys, q + C, stride, values, q + 2 * C, stride, first, count);
        barrier(CLK_LOCAL_MEM_FENCE);
        const int seen = causal ? min(count, row - first + 1) : count;
        for (int k = 0; k < seen; ++k) {
            const float weight = exp(dot_local(scaled, keys + k * D) - log_sum);
            const float dscore = weight * (dot_local(dvalue, values + k * D) - dot) * SCALE;
            for (int d = 0; d < D; ++d) {
                dquery[d] = fma(dscore, keys[k * D + d], dquery[d]);
            }
        }
    }
    if (query < T) {
        delta[get_group_id(1) * T + query] = dot;
        for (int d = 0; d < D; ++d) {
            dqkv[here + query * stride + d] = dquery[d];
        }
    }
}

/* dk and dv. */
__kernel __attribute__((reqd_work_group_size(LOCAL, 1, 1))) void attention_backward_group_key(
    __global float *restrict dqkv, __global const float *restrict delta,
    __global const float *restrict dout, __global const float *restrict qkv,
    __global const float *restrict lse, int T, int H, int causal) {
    __local float queries[BLOCK * D], douts[BLOCK * D];
    const size_t C = (size_t)H * D, stride = 3 * C;
    const int head = (int)get_group_id(1) % H, b = (int)get_group_id(1) / H;
    const int key = (int)get_global_id(0);
    const int row = min(key, T - 1);
    const size_t here = (size_t)b * T * stride + head * D;
    __global const float *q = qkv + here;
    __global const float *dout_rows = dout + (size_t)b * T * C + head * D;

    float scaled[D], value[D], dkey[D], dvalue[D];
    for (int d = 0; d < D; ++d) {
        scaled[d] = q[row * stride + C + d] * SCALE;
        value[d] = q[row * stride + 2 * C + d];
        dkey[d] = 0.0f;
        dvalue[d] = 0.0f;
    }
    const int first_query = causal ? (int)get_group_id(0) * LOCAL : 0;
    for (int first = first_query; first < T; first += BLOCK) {
        const int count = min(BLOCK, T - first);
        barrier(CLK_LOCAL_MEM_FENCE);
        share_rows(queries, q, stride, douts, dout_rows, C, first, count);
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int i = causal ? max(0, row - first) : 0; i < count; ++i) {
            const size_t at = get_group_id(1) * T + first + i;
            const float weight = exp(dot_local(scaled, queries + i * D) - lse[at]);
            const float dscore = weight * (dot_local(value, douts + i * D) - delta[at]) * SCALE;
            for (int d = 0; d < D; ++d) {
                dvalue[d] = fma(weight, douts[i * D + d], dvalue[d]);
                dkey[d] = fma(dscore, queries[i * D + d], dkey[d]);
            }
        }
    }
    if (key < T) {
        __global float *to = dqkv + here + key * stride;
        for (int d = 0; d < D; ++d) {
            to[C + d] = dkey[d];
            to[2 * C + d] = dvalue[d];
        }
    }
}
#endif
