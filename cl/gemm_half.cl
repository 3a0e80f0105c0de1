/* C = op(A) * B [+ C] and its tail, as in gemm.cl, in half arithmetic: B is packed weights of 16
 * bits (f16), A (M,K), or (K,M) when transposed, is floats and is rounded to halves when it is
 * loaded.
 *
 * Products are multiplied and summed in halves, CHUNK of K at a time and in order; the sums of the
 * chunks are added in floats, in order. With u = 2^-11,
 *
 *   |error| <= (CHUNK + 3) u (|A| |B|) + K 2^-14 (max |A| + max |B| + 1)
 *
 * where the second part is the loss on a device that flushes subnormal halves to 0. An element of A
 * of 65520 or more, and a chunk with such a sum, become infinite. NaN and infinities come through.
 *
 * ITEMS x ITEMS work-items compute a block of C, SIDE rows and 4 columns each, from blocks of A and
 * B in local memory; columns in vectors of 4, so that devices with packed halves do two or more at
 * once.
 *
 * Where the device has no cl_khr_fp16, or with EMULATE, each operation is done in floats and
 * rounded to a half, to nearest even: the same bits as a device that rounds this way and fuses
 * multiply-adds. That is slow, and only for tests.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "common.clh"
#include "gemm.clh"

#ifndef ITEMS
#define ITEMS 16
#endif
#define SIDE 4
#define CHUNK 16

#ifndef EMULATE
#ifdef cl_khr_fp16
#define EMULATE 0
#else
#define EMULATE 1
#endif
#endif

/* ---- halves ---- */

#if EMULATE

typedef float real;
typedef float4 real4;
typedef ushort weight; /* the bits: not every driver loads halves that it does not compute with */

/* The nearest half. A subnormal one is a multiple of 2^-24, the lowest bit of numbers from 0.5 on,
 * so that adding 0.5 rounds to it. */
static inline float4 round_to_half(const float4 x) {
    const uint4 bits = as_uint4(x);
    const uint4 magnitude = bits & 0x7FFFFFFFU;
    const uint4 normal = (magnitude + 0xFFFU + (magnitude >> 13 & 1U)) & 0xFFFFE000U;
    const uint4 subnormal = as_uint4(as_float4(magnitude) + 0.5F - 0.5F);
    uint4 rounded = magnitude < 0x38800000U ? subnormal : normal;
    rounded = magnitude >= 0x477FF000U ? (uint4)(0x7F800000U) : rounded;
    rounded = magnitude > 0x7F800000U ? magnitude : rounded;
    return as_float4(rounded | (bits & 0x80000000U));
}

/* Exact. A subnormal half of m 2^-24 is 0.5 + m 2^-24, whose bits are known, less 0.5. */
static inline float4 half_to_float(const ushort4 half_bits) {
    const uint4 bits = convert_uint4(half_bits);
    const uint4 magnitude = bits & 0x7FFFU;
    uint4 wide = (magnitude << 13) + 0x38000000U;
    wide = magnitude < 0x400U ? as_uint4(as_float4(magnitude + 0x3F000000U) - 0.5F) : wide;
    wide = magnitude >= 0x7C00U ? magnitude << 13 | 0x7F800000U : wide;
    return as_float4(wide | (bits & 0x8000U) << 16);
}

#define TO_REAL(value) (round_to_half((float4)(value)).s0)
#define TO_FLOATS(values) (values)
#define LOAD_REAL(p) (half_to_float((ushort4)(*(p))).s0)
#define LOAD_REAL4(p) half_to_float(vload4(0, p))
/* The product of two halves is a float, to the last bit. */
#define MULTIPLY_ADD(a, b, c) round_to_half((a) * (b) + (c))

#else

#pragma OPENCL EXTENSION cl_khr_fp16 : enable
typedef half real;
typedef half4 real4;
typedef half weight;
#define TO_REAL(value) convert_half_rte(value)
#define TO_FLOATS(values) convert_float4(values)
#define LOAD_REAL(p) (*(p))
#define LOAD_REAL4(p) vload4(0, p)
#define MULTIPLY_ADD(a, b, c) ((a) * (b) + (c))

#endif

/* ---- the product ---- */

#define BLOCK_ROWS (SIDE * ITEMS)
#define BLOCK_COLUMNS (4 * ITEMS)

/* Element (m,k) of A stands at m * a_row_step + k * a_step. Columns of B lie in panels of
 * `panel_columns`, a multiple of 4, that start panel_stride apart, its rows b_step apart in each;
 * a B in dense rows is one panel. Global size (ceil(N / 4), ceil(M / SIDE)), in whole blocks. */
__kernel __attribute__((reqd_work_group_size(ITEMS, ITEMS, 1))) void gemm_half(
    const int M, const int N, const int K, __global const float *restrict a_buffer,
    const ulong a_offset, const int a_row_step, const int a_step,
    __global const weight *restrict b_buffer, const ulong b_offset, const int b_step,
    const int panel_columns, const ulong panel_stride, TAIL_PARAMETERS) {
    __local real a_block[CHUNK][BLOCK_ROWS + 2];
    __local real b_block[CHUNK][BLOCK_COLUMNS];
    const int x = (int)get_local_id(0), y = (int)get_local_id(1);
    const int first_row = (int)get_group_id(1) * BLOCK_ROWS;
    const int n0 = (int)get_group_id(0) * BLOCK_COLUMNS + 4 * x;
    const int columns = min(N - n0, 4);
    __global const float *a = a_buffer + a_offset;
    __global const weight *b =
        b_buffer + b_offset + (size_t)(n0 / panel_columns) * panel_stride + n0 % panel_columns;
    float4 sums[SIDE];
    for (int i = 0; i < SIDE; i++) {
        sums[i] = (float4)0.0f;
    }
    for (int k0 = 0; k0 < K; k0 += CHUNK) {
        for (int i = y * ITEMS + x; i < BLOCK_ROWS * CHUNK; i += ITEMS * ITEMS) {
            /* Items next to each other read elements next to each other. */
            const int k = a_step == 1 ? i % CHUNK : i / BLOCK_ROWS;
            const int m = a_step == 1 ? i / CHUNK : i % BLOCK_ROWS;
            const float element =
                k0 + k < K && first_row + m < M
                    ? a[(size_t)(first_row + m) * a_row_step + (size_t)(k0 + k) * a_step]
                    : 0.0f;
            a_block[k][m] = TO_REAL(element);
        }
        for (int k = y; k < CHUNK; k += ITEMS) {
            real4 row = (real4)0;
            __global const weight *p = b + (size_t)(k0 + k) * b_step;
            if (k0 + k < K && columns == 4) {
                row = LOAD_REAL4(p);
            } else if (k0 + k < K) {
                row.x = columns > 0 ? LOAD_REAL(p) : (real)0;
                row.y = columns > 1 ? LOAD_REAL(p + 1) : (real)0;
                row.z = columns > 2 ? LOAD_REAL(p + 2) : (real)0;
            }
            vstore4(row, x, b_block[k]);
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        real4 chunk[SIDE];
#pragma unroll
        for (int i = 0; i < SIDE; i++) {
            chunk[i] = (real4)0;
        }
        for (int k = 0; k < CHUNK; k++) {
            const real4 b_row = vload4(x, b_block[k]);
#pragma unroll
            for (int i = 0; i < SIDE; i++) {
                chunk[i] = MULTIPLY_ADD((real4)a_block[k][y + i * ITEMS], b_row, chunk[i]);
            }
        }
#pragma unroll
        for (int i = 0; i < SIDE; i++) {
            sums[i] += TO_FLOATS(chunk[i]);
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    for (int i = 0; i < SIDE; i++) {
        const int m = first_row + y + i * ITEMS;
        float values[4];
        vstore4(sums[i], 0, values);
        for (int j = 0; m < M && j < columns; j++) {
            const int n = n0 + j;
            __global float *c = c_buffer + c_offset + (size_t)m * c_stride + n;
            finish(values[j], flags, c, bias_buffer + bias_offset + n, pre_buffer, residual_buffer,
                   tail_offset + (size_t)m * tail_stride + n);
        }
    }
}
