/* Dropout: out = x / (1 - probability) where kept, 0 where dropped; out may be x.
 *
 * Element e takes word e % 4 of Philox4x32-10 (Salmon et al. 2011) with key `seed` and counter
 * (e / 4, stream), low words first, and is dropped when that word is below `threshold` =
 * probability 2^32. So the mask depends only on (seed, stream, e): it is the same on each device,
 * and the same for the gradient.
 *
 * Shapes: flat, `count` elements. Work: one item for 4 WIDTH elements, whose WIDTH counters run
 * side by side; the last one for what is left. Accuracy: one rounding, beside that of
 * 1 / (1 - probability).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "common.clh"

/* One round for each lane. The product as 64 bits: mul_hi is slow on processors. */
#define PHILOX_ROUND(UINT, TO_UINT, TO_ULONG)                        \
    {                                                                \
        const UINT low0 = 0xD2511F53U * c0;                          \
        const UINT low1 = 0xCD9E8D57U * c2;                          \
        const UINT high0 = TO_UINT(TO_ULONG(c0) * 0xD2511F53UL >> 32); \
        const UINT high1 = TO_UINT(TO_ULONG(c2) * 0xCD9E8D57UL >> 32); \
        c0 = high1 ^ c1 ^ key.x;                                     \
        c2 = high0 ^ c3 ^ key.y;                                     \
        c1 = low1;                                                   \
        c3 = low0;                                                   \
        key += (uint2)(0x9E3779B9U, 0xBB67AE85U);                    \
    }

static inline uint4 philox4x32_10(ulong quad, ulong stream, uint2 key) {
    uint c0 = (uint)quad;
    uint c1 = (uint)(quad >> 32);
    uint c2 = (uint)stream;
    uint c3 = (uint)(stream >> 32);
    for (int round = 0; round < 10; round++) {
        PHILOX_ROUND(uint, (uint), (ulong))
    }
    return (uint4)(c0, c1, c2, c3);
}

static inline float4 dropped4(float4 x, uint4 words, uint threshold, float scale) {
    return words < (uint4)(threshold) ? (float4)(0.0F) : x * scale;
}

#if WIDTH == 4
#define EACH_LANE(DO) DO(0) DO(1) DO(2) DO(3)
#define LANE_NUMBERS (ulongw)(0, 1, 2, 3)
#elif WIDTH == 8
#define EACH_LANE(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7)
#define LANE_NUMBERS (ulongw)(0, 1, 2, 3, 4, 5, 6, 7)
#else
#define EACH_LANE(DO)                                   \
    DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7)     \
    DO(8) DO(9) DO(a) DO(b) DO(c) DO(d) DO(e) DO(f)
#define LANE_NUMBERS (ulongw)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
#endif

/* The four words of one lane, and the place of its elements. */
#define DROP_LANE(LANE)                                                                  \
    {                                                                                    \
        const uint4 words = (uint4)(c0.s##LANE, c1.s##LANE, c2.s##LANE, c3.s##LANE);     \
        vstore4(dropped4(vload4(0x##LANE, from), words, threshold, scale), 0x##LANE, to); \
    }

__kernel void dropout_forward(__global float *out, __global const float *x, const ulong count,
                              const uint threshold, const float scale, const ulong seed,
                              const ulong stream) {
    const ulong first_quad = (ulong)get_global_id(0) * WIDTH;
    const ulong first = first_quad * 4;
    const uint2 seed_key = (uint2)((uint)seed, (uint)(seed >> 32));
    if (first + 4 * WIDTH <= count) {
        __global const float *from = x + first;
        __global float *to = out + first;
        const ulongw quads = LANE_NUMBERS + first_quad;
        uintw c0 = convert_uintw(quads);
        uintw c1 = convert_uintw(quads >> 32);
        uintw c2 = (uintw)((uint)stream);
        uintw c3 = (uintw)((uint)(stream >> 32));
        uint2 key = seed_key;
        for (int round = 0; round < 10; round++) {
            PHILOX_ROUND(uintw, convert_uintw, convert_ulongw)
        }
        EACH_LANE(DROP_LANE)
    } else {
        CLM_EDGE for (ulong i = first; i < count; i += 4) {
            uint4 words = philox4x32_10(i / 4, stream, seed_key);
            CLM_EDGE for (ulong k = i; k < min(i + 4, count); k++) {
                out[k] = words.x < threshold ? 0.0F : x[k] * scale;
                words = words.yzwx;
            }
        }
    }
}
