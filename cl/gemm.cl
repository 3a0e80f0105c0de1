/* C = op(A) * op(B) [+ C], row-major, and the tail c = gelu(product + bias) + residual.
 *
 *   A (M,K), or (K,M) when transposed;  B (K,N), or (N,K) when transposed;  C (M,N)
 *
 * Two ways to compute it:
 *
 * gemm_panels, for processors. One work-item a work-group computes a block of tiles; a tile of
 * ROWS x COLUMNS elements of C stays in vector registers while K runs. B is stored in panels of
 * COLUMNS columns, so that it is read in one stream; A is read row by row, or from panels of ROWS
 * rows if it is transposed:
 *
 *      A panel p:  a[p][k][0..ROWS)         B panel p:  b[p][k][0..COLUMNS)
 *
 *                          COLUMNS
 *                        +---------+ --
 *                        | B panel |  K_BLOCK at a time: that much of a B panel stays in the
 *                        |         |  second-level cache while the tiles below it are computed
 *                        +---------+ --
 *      ROWS  +---------+ +---------+
 *            | A rows  | | C tile  |
 *            +---------+ +---------+
 *
 * gemm_tiled, for GPUs. ITEMS x ITEMS work-items compute a block of C, SIDE x SIDE elements each,
 * from blocks of A and B in local memory.
 *
 * Products are summed along K in a fixed order with fused multiply-adds, with one sum per K_BLOCK
 * (gemm_panels, see gemm.clh) or one in total (gemm_tiled): |error| <= K * 2^-24 * (|A| |B|), and
 * far less in practice. Every element is read, so NaN and infinities come through; C is not read
 * unless it is added to.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "common.clh"
#include "gemm.clh"

/* WIDTH, of common.clh, is the floats in a vector register of the device: 4, 8 or 16. */

/* Vectors in a row of the tile. */
#ifndef VECTORS
#define VECTORS 3
#endif
/* Rows of the tile, 2, 4, 8 or 16: ROWS * VECTORS sums, VECTORS of B and one of A must fit the
 * registers (32 with AVX-512; 16 with AVX2, SSE). */
#ifndef ROWS
#define ROWS 4
#endif
#ifndef K_BLOCK
#define K_BLOCK 768
#endif
/* gemm_tiled: its work-group is ITEMS x ITEMS, each item computes SIDE x SIDE elements, and K_STEP
 * columns of A are in local memory. */
#ifndef ITEMS
#define ITEMS 16
#endif
#ifndef SIDE
#define SIDE 4
#endif
#ifndef K_STEP
#define K_STEP 16
#endif

#define COLUMNS (WIDTH * VECTORS)
#define vload_rows CLM_PASTE(vload, ROWS)
#define vstore_rows CLM_PASTE(vstore, ROWS)

/* ---- packing ---- */

/* D: panels of COLUMNS, from `at` on, from S (K,N) with rows `stride` apart; columns past N become
 * 0. Global size (panels, ceil(K / depth)). */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void gemm_pack_columns(
    __global float *restrict panels, const ulong at, __global const float *restrict source,
    const ulong offset, const int stride, const int K, const int N, const int depth) {
    const int n0 = (int)get_global_id(0) * COLUMNS;
    const int k0 = (int)get_global_id(1) * depth;
    const int k1 = min(K, k0 + depth);
    __global const float *s = source + offset + (size_t)k0 * stride + n0;
    __global float *d = panels + at + (size_t)n0 * K + (size_t)k0 * COLUMNS;
    const int columns = N - n0;
    for (int k = k0; k < k1; k++, s += stride, d += COLUMNS) {
        if (columns >= COLUMNS) {
            for (int v = 0; v < VECTORS; v++) {
                storew(loadw(s, v * WIDTH), d, v * WIDTH);
            }
        } else {
            CLM_EDGE for (int n = 0; n < COLUMNS; n++) {
                d[n] = n < columns ? s[n] : 0.0f;
            }
        }
    }
}

/* The same panels from S (N,K) with rows `stride` apart. */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void gemm_pack_columns_transposed(
    __global float *restrict panels, const ulong at, __global const float *restrict source,
    const ulong offset, const int stride, const int K, const int N, const int depth) {
    const int panel = (int)get_global_id(0) * COLUMNS;
    const int k0 = (int)get_global_id(1) * depth;
    const int k1 = min(K, k0 + depth);
    for (int v = 0; v < VECTORS; v++) {
        const int n0 = panel + v * WIDTH;
        const int columns = min(N - n0, WIDTH);
        __global const float *s = source + offset + (size_t)n0 * stride;
        __global float *d = panels + at + (size_t)panel * K + v * WIDTH;
        int k = k0;
        if (columns == WIDTH) {
            for (; k + WIDTH <= k1; k += WIDTH) {
                floatw square[WIDTH];
#pragma unroll
                for (int i = 0; i < WIDTH; i++) {
                    square[i] = loadw(s + (size_t)i * stride + k, 0);
                }
                clm_transpose(square);
#pragma unroll
                for (int i = 0; i < WIDTH; i++) {
                    storew(square[i], d + (size_t)(k + i) * COLUMNS, 0);
                }
            }
        }
        CLM_EDGE for (; k < k1; k++) {
            CLM_EDGE for (int n = 0; n < WIDTH; n++) {
                d[(size_t)k * COLUMNS + n] = n < columns ? s[(size_t)n * stride + k] : 0.0f;
            }
        }
    }
}

/* Panels of ROWS, from `at` on, from a transposed A: S (K,M) with rows `stride` apart. A work-item
 * packs PACK_PANELS panels, so that it reads whole cache lines. Rows past M are left as they are:
 * their results are never stored. Global size (ceil(panels / PACK_PANELS), ceil(K / depth)). */
#define PACK_PANELS 8
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void gemm_pack_rows(
    __global float *restrict panels, const ulong at, __global const float *restrict source,
    const ulong offset, const int stride, const int K, const int M, const int depth) {
    const int m0 = (int)get_global_id(0) * (PACK_PANELS * ROWS);
    const int k0 = (int)get_global_id(1) * depth;
    const int k1 = min(K, k0 + depth);
    __global const float *s = source + offset + (size_t)k0 * stride + m0;
    __global float *d = panels + at + (size_t)m0 * K + (size_t)k0 * ROWS;
    const int rows = min(M - m0, PACK_PANELS * ROWS);
    const int whole = rows / ROWS;
    const size_t panel_size = (size_t)K * ROWS;
    for (int k = k0; k < k1; k++, s += stride, d += ROWS) {
        for (int p = 0; p < whole; p++) {
            vstore_rows(vload_rows(p, s), 0, d + p * panel_size);
        }
        CLM_EDGE for (int m = whole * ROWS; m < rows; m++) {
            d[whole * panel_size + (m - whole * ROWS)] = s[m];
        }
    }
}

/* D (rows,columns) dense, from `at` on, from S (rows,columns), or from S (columns,rows) when
 * transposed; rows of S are `stride` apart. Global size (columns, rows). */
__kernel void gemm_copy(__global float *restrict dense, const ulong at,
                        __global const float *restrict source, const ulong offset,
                        const int stride, const int transposed, const int rows,
                        const int columns) {
    const int column = (int)get_global_id(0);
    const int row = (int)get_global_id(1);
    if (column < columns && row < rows) {
        const size_t from =
            transposed ? (size_t)column * stride + row : (size_t)row * stride + column;
        dense[at + (size_t)row * columns + column] = source[offset + from];
    }
}

/* ---- processors ---- */

/* A tile: sums over k < depth. Row r of A starts at a + r * a_row_stride and its elements are
 * a_step apart; rows of the B panel are b_step apart. Rows past `rows` repeat the last one. */
static inline void multiply_tile(floatw sums[ROWS * VECTORS], __global const float *a,
                                 const int a_row_stride, const int a_step, const int rows,
                                 __global const float *b, const int b_step, const int depth) {
    __global const float *a_row[ROWS];
    floatw sum[ROWS][VECTORS];
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        a_row[r] = a + (size_t)min(r, rows - 1) * a_row_stride;
#pragma unroll
        for (int v = 0; v < VECTORS; v++) {
            sum[r][v] = (floatw)0.0f;
        }
    }
    size_t at = 0;
    for (int k = 0; k < depth; k++) {
        floatw b_row[VECTORS];
#pragma unroll
        for (int v = 0; v < VECTORS; v++) {
            b_row[v] = loadw(b, v * WIDTH);
        }
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            const floatw a_element = (floatw)a_row[r][at];
#pragma unroll
            for (int v = 0; v < VECTORS; v++) {
                sum[r][v] = a_element * b_row[v] + sum[r][v];
            }
        }
        at += a_step;
        b += b_step;
    }
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
#pragma unroll
        for (int v = 0; v < VECTORS; v++) {
            sums[r * VECTORS + v] = sum[r][v];
        }
    }
}

/* Adds a tile at `from` to sums. */
static inline void add_tile(floatw sums[ROWS * VECTORS], __global const float *from,
                            const int stride) {
#pragma unroll
    for (int i = 0; i < ROWS * VECTORS; i++) {
        sums[i] += loadw(from, (size_t)(i / VECTORS) * stride + i % VECTORS * WIDTH);
    }
}

/* Stores a tile of which every element exists. The sums never leave their registers, which is why
 * GELU, too long to be written out ROWS * VECTORS times, is not done here. */
static inline void store_tile(floatw sums[ROWS * VECTORS], const int todo, __global float *c,
                              const int c_stride, __global const float *bias,
                              __global const float *residual, const int tail_stride) {
    if (todo & ADD_C) {
        add_tile(sums, c, c_stride);
    }
    if (todo & BEGIN_RESIDUAL) {
        add_tile(sums, residual, tail_stride);
    }
    if (todo & ADD_BIAS) {
        add_tile(sums, bias, 0);
    }
    if (todo & ADD_RESIDUAL) {
        add_tile(sums, residual, tail_stride);
    }
#pragma unroll
    for (int i = 0; i < ROWS * VECTORS; i++) {
        storew(sums[i], c, (size_t)(i / VECTORS) * c_stride + i % VECTORS * WIDTH);
    }
}

/* One work-item computes `group_rows` x `group_panels` tiles. Panel p of A starts at
 * p * a_panel_stride, panel p of B at p * b_panel_stride.
 * Global size (ceil(tiles of M / group_rows), ceil(panels of N / group_panels)). */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void gemm_panels(
    const int M, const int N, const int K, __global const float *restrict a_buffer,
    const ulong a_offset, const int a_panel_stride, const int a_row_stride, const int a_step,
    __global const float *restrict b_buffer, const ulong b_offset, const int b_panel_stride,
    const int b_step, TAIL_PARAMETERS, const int group_rows, const int group_panels) {
    const int first_row = (int)get_global_id(0) * group_rows * ROWS;
    const int last_row = min(M, first_row + group_rows * ROWS);
    const int first_column = (int)get_global_id(1) * group_panels * COLUMNS;
    const int last_column = min(N, first_column + group_panels * COLUMNS);
    floatw sums[ROWS * VECTORS];
    for (int k0 = 0; k0 < K; k0 += K_BLOCK) {
        const int depth = min(K - k0, K_BLOCK);
        const int todo = steps_of(flags, 0, K, k0, k0 + depth);
        for (int n0 = first_column; n0 < last_column; n0 += COLUMNS) {
            __global const float *b = b_buffer + b_offset +
                                      (size_t)(n0 / COLUMNS) * b_panel_stride +
                                      (size_t)k0 * b_step;
            for (int m0 = first_row; m0 < last_row; m0 += ROWS) {
                __global const float *a = a_buffer + a_offset +
                                          (size_t)(m0 / ROWS) * a_panel_stride +
                                          (size_t)k0 * a_step;
                const int rows = min(ROWS, M - m0);
                multiply_tile(sums, a, a_row_stride, a_step, rows, b, b_step, depth);
                if (rows == ROWS && N - n0 >= COLUMNS && !(todo & (STORE_PRE | GELU))) {
                    store_tile(sums, todo, c_buffer + c_offset + (size_t)m0 * c_stride + n0,
                               c_stride, bias_buffer + bias_offset + n0,
                               residual_buffer + tail_offset + (size_t)m0 * tail_stride + n0,
                               tail_stride);
                    continue;
                }
                floatw kept[ROWS * VECTORS];
#pragma unroll
                for (int i = 0; i < ROWS * VECTORS; i++) {
                    kept[i] = sums[i];
                }
                CLM_EDGE for (int r = 0; r < rows; r++) {
                    __global float *c = c_buffer + c_offset + (size_t)(m0 + r) * c_stride + n0;
                    const size_t at = tail_offset + (size_t)(m0 + r) * tail_stride + n0;
                    CLM_EDGE for (int v = 0; v < VECTORS; v++) {
                        const int n = v * WIDTH;
                        const int count = N - n0 - n;
                        finish_vector(kept[r * VECTORS + v], count, todo, c + n,
                                      bias_buffer + bias_offset + n0 + n, pre_buffer + at + n,
                                      residual_buffer + at + n);
                    }
                }
            }
        }
    }
}

/* ---- GPUs ---- */

#define BLOCK (SIDE * ITEMS)

/* C in blocks of BLOCK x BLOCK; element (m,k) of A stands at m * a_row_step + k * a_step, (k,n) of
 * B at k * b_step + n * b_column_step. Item (x, y) of a group has every ITEMS-th element from
 * there, so that neighbours store beside each other. Global size
 * (ceil(N / SIDE), ceil(M / SIDE)), in whole blocks. */
__kernel __attribute__((reqd_work_group_size(ITEMS, ITEMS, 1))) void gemm_tiled(
    const int M, const int N, const int K, __global const float *restrict a_buffer,
    const ulong a_offset, const int a_row_step, const int a_step,
    __global const float *restrict b_buffer, const ulong b_offset, const int b_step,
    const int b_column_step, TAIL_PARAMETERS) {
    __local float a_block[K_STEP][BLOCK + 1];
    __local float b_block[K_STEP][BLOCK + 1];
    const int x = (int)get_local_id(0), y = (int)get_local_id(1);
    const int first_row = (int)get_group_id(1) * BLOCK;
    const int first_column = (int)get_group_id(0) * BLOCK;
    __global const float *a = a_buffer + a_offset;
    __global const float *b = b_buffer + b_offset;
    float sums[SIDE][SIDE];
    for (int i = 0; i < SIDE * SIDE; i++) {
        sums[i / SIDE][i % SIDE] = 0.0f;
    }
    for (int k0 = 0; k0 < K; k0 += K_STEP) {
        for (int i = y * ITEMS + x; i < BLOCK * K_STEP; i += ITEMS * ITEMS) {
            /* Items next to each other read elements next to each other. */
            const int ak = a_step == 1 ? i % K_STEP : i / BLOCK;
            const int am = a_step == 1 ? i / K_STEP : i % BLOCK;
            const int bk = b_column_step == 1 ? i / BLOCK : i % K_STEP;
            const int bn = b_column_step == 1 ? i % BLOCK : i / K_STEP;
            a_block[ak][am] = k0 + ak < K && first_row + am < M
                                  ? a[(size_t)(first_row + am) * a_row_step +
                                      (size_t)(k0 + ak) * a_step]
                                  : 0.0f;
            b_block[bk][bn] = k0 + bk < K && first_column + bn < N
                                  ? b[(size_t)(k0 + bk) * b_step +
                                      (size_t)(first_column + bn) * b_column_step]
                                  : 0.0f;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int k = 0; k < K_STEP; k++) {
            float a_column[SIDE], b_row[SIDE];
#pragma unroll
            for (int i = 0; i < SIDE; i++) {
                a_column[i] = a_block[k][y + i * ITEMS];
                b_row[i] = b_block[k][x + i * ITEMS];
            }
#pragma unroll
            for (int i = 0; i < SIDE; i++) {
#pragma unroll
                for (int j = 0; j < SIDE; j++) {
                    sums[i][j] = a_column[i] * b_row[j] + sums[i][j];
                }
            }
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    for (int i = 0; i < SIDE; i++) {
        for (int j = 0; j < SIDE; j++) {
            const int m = first_row + y + i * ITEMS;
            const int n = first_column + x + j * ITEMS;
            if (m < M && n < N) {
                __global float *c = c_buffer + c_offset + (size_t)m * c_stride + n;
                finish(sums[i][j], flags, c, bias_buffer + bias_offset + n, pre_buffer,
                       residual_buffer, tail_offset + (size_t)m * tail_stride + n);
            }
        }
    }
}

/* The tail alone, on a product that stands in c. Global size (N, M). */
__kernel void gemm_tail(const int M, const int N, TAIL_PARAMETERS) {
    const int n = (int)get_global_id(0), m = (int)get_global_id(1);
    if (m < M && n < N) {
        __global float *c = c_buffer + c_offset + (size_t)m * c_stride + n;
        finish(*c, flags & ~ADD_C, c, bias_buffer + bias_offset + n, pre_buffer, residual_buffer,
               tail_offset + (size_t)m * tail_stride + n);
    }
}

/* ---- the device's limit ---- */

/* As many independent multiply-adds as a tile has, `rounds` times, on registers alone: what a GEMM
 * is measured against. out gets one number a work-item, so that the work cannot be left out. */
__kernel void gemm_peak(__global float *out, const int rounds, const float factor,
                        const float addend) {
    floatw sums[ROWS * VECTORS];
#pragma unroll
    for (int i = 0; i < ROWS * VECTORS; i++) {
        sums[i] = (floatw)(float)i;
    }
    for (int round = 0; round < rounds; round++) {
#pragma unroll
        for (int i = 0; i < ROWS * VECTORS; i++) {
            sums[i] = sums[i] * factor + addend;
        }
    }
    floatw sum = (floatw)0.0f;
#pragma unroll
    for (int i = 0; i < ROWS * VECTORS; i++) {
        sum += sums[i];
    }
    out[get_global_id(0)] = sumw(sum);
}
