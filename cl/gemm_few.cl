/* C = op(A) * op(B) [+ C] and its tail, as in gemm.cl, where A has few rows (up to 16): as fast as
 * B can be read. A (M,K) has rows `a_stride` apart. B is read unpacked, or packed, and then its
 * elements may have 16 bits; sums are floats.
 *
 * K may be split over work-groups, `depth` of it each, by the last dimension of the launch: each
 * stores its sums `slice_size` elements after those of the previous one, without a tail, and
 * gemm_few_add adds them in order. On processors a slice is one K_BLOCK, or all of K.
 *
 * For processors (-DITEM), one work-item a work-group, vectors of WIDTH along N or K:
 *
 * gemm_few_panels_N   B in panels (gemm.cl): a panel's sums stay in registers, N rows at a time
 * gemm_few_rows       B (K,N): STEP rows of B at a time, over BLOCK columns, sums in local memory,
 *                     so that memory is read in STEP long runs
 * gemm_few_columns    B (N,K): WIDTH columns at a time, in squares that are transposed
 *
 * For GPUs, LOCAL work-items a work-group, which share a block of columns and K:
 *
 * gemm_few_group      ACROSS items read along the contiguous dimension of B, the others along the
 *                     other one; sums of items that share a column are added in local memory, in
 *                     the order of the items
 *
 * Products are summed along K in the order of gemm.clh on processors, and elsewhere in a fixed
 * order that depends on how K is split: |error| <= K * 2^-24 * (|A| |B|). Every element is read, so
 * NaN and infinities come through; C is not read unless it is added to.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "common.clh"
#include "gemm.clh"

/* Vectors in a row of a panel, as in gemm.cl. */
#ifndef VECTORS
#define VECTORS 3
#endif
#define COLUMNS (WIDTH * VECTORS)
#ifndef K_BLOCK
#define K_BLOCK 768
#endif
/* For GPUs: rows of A whose sums an item has in registers. */
#ifndef ROWS
#define ROWS 4
#endif
/* How packed elements are stored: 0 float, 1 half, 2 bfloat16. */
#ifndef STORAGE
#define STORAGE 0
#endif
/* Rows of a panel that are asked for ahead: with as many rows of A as here, a processor does not
 * see far enough ahead by itself to keep memory busy. */
#define AHEAD 16
#define MOST_ROWS 16
#define STEP 8
#define BLOCK 512

/* ---- storage ---- */

#if STORAGE == 0
typedef float weight;
#define load_weights(p) loadw(p, 0)
#define load_weight(p) (*(p))
#elif STORAGE == 1
typedef half weight;
#define load_weights(p) CLM_PASTE(vload_half, WIDTH)(0, p)
#define load_weight(p) vload_half(0, p)
#else
typedef ushort weight;
#define load_weights(p) as_floatw(convert_uintw(loadw(p, 0)) << 16)
#define load_weight(p) as_float((uint)*(p) << 16)
#endif

/* D (rows,columns) dense in floats, from `at` on, from packed S with rows `stride` apart. Global
 * size (ceil(columns / WIDTH), rows). */
__kernel void gemm_few_widen(__global float *restrict dense, const ulong at,
                             __global const weight *restrict source, const ulong offset,
                             const int stride, const int rows, const int columns) {
    const int column = (int)get_global_id(0) * WIDTH;
    const int row = (int)get_global_id(1);
    if (column < columns && row < rows) {
        __global const weight *s = source + offset + (size_t)row * stride + column;
        __global float *d = dense + at + (size_t)row * columns + column;
        if (column + WIDTH <= columns) {
            storew(load_weights(s), d, 0);
        } else {
            CLM_EDGE for (int i = 0; i < columns - column; i++) {
                d[i] = load_weight(s + i);
            }
        }
    }
}

/* found = the bits of the largest finite |x| whose bits are not below `limit`; left as it is when
 * there is none. One item an element. */
__kernel void gemm_few_find_overflow(__global int *found, __global const int *x, const ulong count,
                                     const int limit) {
    const ulong i = get_global_id(0);
    if (i < count) {
        const int magnitude = x[i] & 0x7FFFFFFF;
        if (magnitude >= limit && magnitude < 0x7F800000) {
            atomic_max(found, magnitude);
        }
    }
}

#define FEW_PARAMETERS                                                    \
    const int M, const int N, const int K, const int depth,               \
        __global const float *restrict a_buffer, const ulong a_offset, const int a_stride

#ifdef ITEM
/* ---- processors ---- */

#define PANELS gemm_few_panels_1
#define TILE_ROWS 1
#include "gemm_few_panels.clh"
#define PANELS gemm_few_panels_4
#define TILE_ROWS 4
#include "gemm_few_panels.clh"
#if WIDTH == 16 /* where there are 32 registers */
#define PANELS gemm_few_panels_8
#define TILE_ROWS 8
#include "gemm_few_panels.clh"
#endif

/* sums (M,BLOCK) += A (M,STEP) * B (STEP,columns), rows of B b_stride apart; `columns` is a
 * multiple of WIDTH. */
static inline void add_rows(__local float *sums, __global const float *a, const int a_stride,
                            const int M, __global const float *b, const int b_stride,
                            const int columns) {
    for (int n = 0; n < columns; n += WIDTH) {
        floatw b_rows[STEP];
#pragma unroll
        for (int i = 0; i < STEP; i++) {
            b_rows[i] = loadw(b, (size_t)i * b_stride + n);
        }
        for (int m = 0; m < M; m++) {
            floatw sum = loadw(sums, m * BLOCK + n);
#pragma unroll
            for (int i = 0; i < STEP; i++) {
                sum = a[(size_t)m * a_stride + i] * b_rows[i] + sum;
            }
            storew(sum, sums, m * BLOCK + n);
        }
    }
}

/* The same for one row of B, and any number of columns. */
static inline void add_row(__local float *sums, __global const float *a, const int a_stride,
                           const int M, __global const float *b, const int columns) {
    for (int n = 0; n < columns; n += WIDTH) {
        const floatw b_row = load_some(b + n, columns - n);
        for (int m = 0; m < M; m++) {
            const floatw sum = loadw(sums, m * BLOCK + n);
            storew(a[(size_t)m * a_stride] * b_row + sum, sums, m * BLOCK + n);
        }
    }
}

/* Each work-item takes `columns` of the columns, at most BLOCK and a multiple of WIDTH. Global size
 * (ceil(N / columns), slices of K). */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void gemm_few_rows(
    FEW_PARAMETERS, __global const float *restrict b_buffer, const ulong b_offset,
    const int b_stride, TAIL_PARAMETERS, const ulong slice_size, const int columns) {
    __local float sums[MOST_ROWS * BLOCK];
    const int n0 = (int)get_global_id(0) * columns;
    const int slice = (int)get_global_id(1);
    const int first = slice * depth;
    const int last = min(K, first + depth);
    const int width = min(columns, N - n0);
    const int whole = width / WIDTH * WIDTH;
    __global const float *a = a_buffer + a_offset;
    __global const float *b = b_buffer + b_offset + n0;
    for (int k0 = first; k0 < last; k0 += K_BLOCK) {
        const int k1 = min(last, k0 + K_BLOCK);
        const int todo = steps_of(flags, first, last, k0, k1);
        for (int m = 0; m < M; m++) {
            for (int n = 0; n < width; n += WIDTH) {
                storew((floatw)0.0f, sums, m * BLOCK + n);
            }
        }
        int k = k0;
        for (; k + STEP <= k1; k += STEP) {
            __global const float *b_rows = b + (size_t)k * b_stride;
            add_rows(sums, a + k, a_stride, M, b_rows, b_stride, whole);
            CLM_EDGE for (int i = 0; i < STEP && whole < width; i++) {
                add_row(sums + whole, a + k + i, a_stride, M, b_rows + (size_t)i * b_stride + whole,
                        width - whole);
            }
        }
        for (; k < k1; k++) {
            add_row(sums, a + k, a_stride, M, b + (size_t)k * b_stride, width);
        }
        CLM_EDGE for (int m = 0; m < M; m++) {
            __global float *c =
                c_buffer + c_offset + slice * slice_size + (size_t)m * c_stride + n0;
            const size_t at = tail_offset + (size_t)m * tail_stride + n0;
            CLM_EDGE for (int n = 0; n < width; n += WIDTH) {
                finish_vector(loadw(sums, m * BLOCK + n), width - n, todo, c + n,
                              bias_buffer + bias_offset + n0 + n, pre_buffer + at + n,
                              residual_buffer + at + n);
            }
        }
    }
}

/* sums (M) += A (M,depth) * B (depth,WIDTH), column n of which is at b + n * b_stride; those past
 * `columns` repeat the last one. */
static inline void add_columns(floatw sums[MOST_ROWS], __global const float *a, const int a_stride,
                               const int M, __global const float *b, const int b_stride,
                               const int columns, const int depth) {
    int k = 0;
    for (; k + WIDTH <= depth; k += WIDTH) {
        floatw square[WIDTH];
#pragma unroll
        for (int i = 0; i < WIDTH; i++) {
            square[i] = loadw(b + (size_t)min(i, columns - 1) * b_stride, k);
        }
        clm_transpose(square);
        for (int m = 0; m < M; m++) {
            floatw sum = sums[m];
#pragma unroll
            for (int i = 0; i < WIDTH; i++) {
                sum = a[(size_t)m * a_stride + k + i] * square[i] + sum;
            }
            sums[m] = sum;
        }
    }
    CLM_EDGE for (; k < depth; k++) {
        float row[WIDTH];
        CLM_EDGE for (int i = 0; i < WIDTH; i++) {
            row[i] = b[(size_t)min(i, columns - 1) * b_stride + k];
        }
        const floatw b_row = loadw(row, 0);
        CLM_EDGE for (int m = 0; m < M; m++) {
            sums[m] = a[(size_t)m * a_stride + k] * b_row + sums[m];
        }
    }
}

/* Each work-item takes `columns` columns, a multiple of WIDTH. Global size (ceil(N / columns),
 * slices of K). */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void gemm_few_columns(
    FEW_PARAMETERS, __global const float *restrict b_buffer, const ulong b_offset,
    const int b_stride, TAIL_PARAMETERS, const ulong slice_size, const int columns) {
    const int n_end = min(N, ((int)get_global_id(0) + 1) * columns);
    const int slice = (int)get_global_id(1);
    const int first = slice * depth;
    const int last = min(K, first + depth);
    for (int n = (int)get_global_id(0) * columns; n < n_end; n += WIDTH) {
        const int width = min(WIDTH, n_end - n);
        for (int k = first; k < last; k += K_BLOCK) {
            const int k_end = min(last, k + K_BLOCK);
            const int todo = steps_of(flags, first, last, k, k_end);
            floatw sums[MOST_ROWS];
            for (int m = 0; m < M; m++) {
                sums[m] = (floatw)0.0f;
            }
            add_columns(sums, a_buffer + a_offset + k, a_stride, M,
                        b_buffer + b_offset + (size_t)n * b_stride + k, b_stride, width,
                        k_end - k);
            CLM_EDGE for (int m = 0; m < M; m++) {
                const size_t at = tail_offset + (size_t)m * tail_stride + n;
                finish_vector(sums[m], width, todo,
                              c_buffer + c_offset + slice * slice_size + (size_t)m * c_stride + n,
                              bias_buffer + bias_offset + n, pre_buffer + at, residual_buffer + at);
            }
        }
    }
}

#else
/* ---- GPUs ---- */

/* Items of a work-group beside each other in memory. */
#ifndef ACROSS
#define ACROSS 1
#endif
#define LANES (LOCAL / ACROSS)

/* The first `count` of four elements at p, the others 0. */
static inline float4 load_some_weights(__global const weight *p, const int count) {
    if (count >= 4) {
        return load_weights(p);
    }
    return (float4)(load_weight(p), count > 1 ? load_weight(p + 1) : 0.0f,
                    count > 2 ? load_weight(p + 2) : 0.0f, 0.0f);
}

/* B (K,N), a float4 of columns an item: item (x, y) sums elements y, y + LANES, ... of K. Global
 * size (ceil(N / (4 * ACROSS)) * LOCAL, slices of K). */
__kernel __attribute__((reqd_work_group_size(LOCAL, 1, 1))) void gemm_few_group(
    FEW_PARAMETERS, __global const weight *restrict b_buffer, const ulong b_offset,
    const int b_stride, TAIL_PARAMETERS, const ulong slice_size) {
    __local float4 scratch[LOCAL];
    const int item = (int)get_local_id(0);
    const int n0 = ((int)get_group_id(0) * ACROSS + item % ACROSS) * 4;
    const int columns = min(N - n0, 4);
    const int slice = (int)get_group_id(1);
    const int last = min(K, (slice + 1) * depth);
    __global const float *a = a_buffer + a_offset;
    __global const weight *b = b_buffer + b_offset + n0;
    float4 sums[ROWS];
#pragma unroll
    for (int m = 0; m < ROWS; m++) {
        sums[m] = (float4)0.0f;
    }
    if (columns > 0) {
        for (int k = slice * depth + item / ACROSS; k < last; k += LANES) {
            const float4 b_row = load_some_weights(b + (size_t)k * b_stride, columns);
#pragma unroll
            for (int m = 0; m < ROWS; m++) {
                sums[m] = a[(size_t)min(m, M - 1) * a_stride + k] * b_row + sums[m];
            }
        }
    }
#pragma unroll
    for (int m = 0; m < ROWS; m++) {
        scratch[item] = sums[m];
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int half_of = LOCAL / 2; half_of >= ACROSS; half_of /= 2) {
            if (item < half_of) {
                scratch[item] += scratch[item + half_of];
            }
            barrier(CLK_LOCAL_MEM_FENCE);
        }
        if (item < ACROSS && columns > 0 && m < M) {
            const size_t at = tail_offset + (size_t)m * tail_stride + n0;
            finish_vector(scratch[item], columns, flags,
                          c_buffer + c_offset + slice * slice_size + (size_t)m * c_stride + n0,
                          bias_buffer + bias_offset + n0, pre_buffer + at, residual_buffer + at);
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
}

/* B (N,K), a column for every ACROSS items: item (x, y) sums float4s x, x + ACROSS, ... of K.
 * Global size (ceil(N / LANES) * LOCAL, slices of K). */
__kernel __attribute__((reqd_work_group_size(LOCAL, 1, 1))) void gemm_few_group_columns(
    FEW_PARAMETERS, __global const float *restrict b_buffer, const ulong b_offset,
    const int b_stride, TAIL_PARAMETERS, const ulong slice_size) {
    __local float scratch[LOCAL];
    const int item = (int)get_local_id(0);
    const int x = item % ACROSS;
    const int n = (int)get_group_id(0) * LANES + item / ACROSS;
    const int slice = (int)get_group_id(1);
    const int last = min(K, (slice + 1) * depth);
    __global const float *a = a_buffer + a_offset;
    __global const float *b = b_buffer + b_offset + (size_t)n * b_stride;
    float4 sums[ROWS];
#pragma unroll
    for (int m = 0; m < ROWS; m++) {
        sums[m] = (float4)0.0f;
    }
    if (n < N) {
        for (int k = slice * depth + x * 4; k < last; k += ACROSS * 4) {
            const float4 b_some = load_some(b + k, last - k);
#pragma unroll
            for (int m = 0; m < ROWS; m++) {
                const float4 a_some =
                    load_some(a + (size_t)min(m, M - 1) * a_stride + k, last - k);
                sums[m] = a_some * b_some + sums[m];
            }
        }
    }
#pragma unroll
    for (int m = 0; m < ROWS; m++) {
        scratch[item] = sumw(sums[m]);
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int half_of = ACROSS / 2; half_of > 0; half_of /= 2) {
            if (x < half_of) {
                scratch[item] += scratch[item + half_of];
            }
            barrier(CLK_LOCAL_MEM_FENCE);
        }
        if (x == 0 && n < N && m < M) {
            __global float *c = c_buffer + c_offset + slice * slice_size + (size_t)m * c_stride + n;
            finish(scratch[item], flags, c, bias_buffer + bias_offset + n, pre_buffer,
                   residual_buffer, tail_offset + (size_t)m * tail_stride + n);
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
}

#endif

/* ---- slices of K ---- */

/* C = the sum of `slices` matrices (M,N), dense and slice_size apart from `at` on, then the tail.
 * Global size (N, M). */
__kernel void gemm_few_add(const int M, const int N, __global const float *restrict sums,
                           const ulong at, const int slices, const ulong slice_size,
                           TAIL_PARAMETERS) {
    const int n = (int)get_global_id(0), m = (int)get_global_id(1);
    if (m < M && n < N) {
        __global const float *slice = sums + at + (size_t)m * N + n;
        __global float *c = c_buffer + c_offset + (size_t)m * c_stride + n;
        const size_t tail = tail_offset + (size_t)m * tail_stride + n;
        float sum = *slice;
        if (flags & BEGIN) {
            sum += flags & ADD_C ? *c : residual_buffer[tail];
        }
        for (int i = 1; i < slices; i++) {
            sum += slice[i * slice_size];
        }
        finish(sum, flags & TAIL, c, bias_buffer + bias_offset + n, pre_buffer, residual_buffer,
               tail);
    }
}
