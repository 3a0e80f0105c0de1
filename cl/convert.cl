/* Storage of 16 bits: IEEE half (f16) and bfloat16 (bf16).
 *
 * To 16 bits: round to nearest even; beyond the largest finite value, inf; below half the smallest
 * subnormal, 0 with its sign; NaN stays NaN, made quiet, with the upper bits of its payload. From
 * 16 bits: exact, NaN payloads included. All of it is integer arithmetic on the bits: drivers'
 * vstore_half differ for subnormals and NaN, and devices that flush float subnormals must not flush
 * halves.
 *
 * Shapes: flat, `count` elements. Work: one item for WIDTH elements, the last one for what is left.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "common.clh"

/* For N = 1 (what is left at the end) and N = WIDTH.
 *
 * f32_to_f16: a normal result has its exponent moved from bias 127 to 15 and 13 bits rounded off,
 * where a carry grows the exponent as it should. For a subnormal result 0.5 + |x| is computed: its
 * lowest bit is worth 2^-24, the unit of subnormal halves, and the addition itself rounds to
 * nearest even. From 65520 on the result is inf.
 *
 * f32_to_bf16: adding 0x7FFF and the lowest bit that is kept carries exactly when nearest-even
 * rounds up; a NaN must not be rounded into inf.
 *
 * f16_to_f32: a subnormal half m 2^-24 is 0.5 + m 2^-24, whose bits are known, less 0.5. */
#define DEFINE_CONVERT(N, UINT, AS_UINT, AS_FLOAT)                                       \
    static inline UINT CLM_PASTE(f32_to_f16_, N)(UINT bits) {                            \
        const UINT magnitude = bits & 0x7FFFFFFFU;                                       \
        const UINT rounded = magnitude - 0x38000000U + 0xFFFU + (magnitude >> 13 & 1U);  \
        const UINT subnormal = AS_UINT(AS_FLOAT(magnitude) + 0.5F) - 0x3F000000U;        \
        UINT result = magnitude < 0x38800000U ? subnormal : rounded >> 13;               \
        result = magnitude >= 0x477FF000U ? (UINT)(0x7C00U) : result;                    \
        result = magnitude > 0x7F800000U ? (magnitude >> 13 & 0x3FFU) | 0x7E00U : result; \
        return (bits >> 16 & 0x8000U) | result;                                          \
    }                                                                                    \
    static inline UINT CLM_PASTE(f16_to_f32_, N)(UINT bits) {                            \
        const UINT magnitude = bits & 0x7FFFU;                                           \
        const UINT subnormal = AS_UINT(AS_FLOAT(magnitude + 0x3F000000U) - 0.5F);        \
        UINT result = (magnitude << 13) + 0x38000000U;                                   \
        result = magnitude < 0x400U ? subnormal : result;                                \
        result = magnitude >= 0x7C00U ? magnitude << 13 | 0x7F800000U : result;          \
        return (bits & 0x8000U) << 16 | result;                                          \
    }                                                                                    \
    static inline UINT CLM_PASTE(f32_to_bf16_, N)(UINT bits) {                           \
        const UINT rounded = (bits + 0x7FFFU + (bits >> 16 & 1U)) >> 16;                 \
        return (bits & 0x7FFFFFFFU) > 0x7F800000U ? bits >> 16 | 0x40U : rounded;        \
    }                                                                                    \
    static inline UINT CLM_PASTE(bf16_to_f32_, N)(UINT bits) {                           \
        return bits << 16;                                                               \
    }

DEFINE_CONVERT(1, uint, as_uint, as_float)
DEFINE_CONVERT(WIDTH, uintw, as_uintw, as_floatw)

#define DEFINE_NARROW(NAME)                                                                   \
    __kernel void convert_##NAME(__global ushort *out, __global const uint *x,                \
                                 const ulong count) {                                         \
        const ulong first = (ulong)get_global_id(0) * WIDTH;                                  \
        if (first + WIDTH <= count) {                                                         \
            const uintw bits = CLM_PASTE(NAME##_, WIDTH)(loadw(x, first));                    \
            storew(convert_ushortw(bits), out, first);                                        \
        } else {                                                                              \
            CLM_EDGE for (ulong i = first; i < count; i++) {                                  \
                out[i] = (ushort)NAME##_1(x[i]);                                              \
            }                                                                                 \
        }                                                                                     \
    }
#define DEFINE_WIDEN(NAME)                                                                    \
    __kernel void convert_##NAME(__global uint *out, __global const ushort *x,                \
                                 const ulong count) {                                         \
        const ulong first = (ulong)get_global_id(0) * WIDTH;                                  \
        if (first + WIDTH <= count) {                                                         \
            storew(CLM_PASTE(NAME##_, WIDTH)(convert_uintw(loadw(x, first))), out, first);    \
        } else {                                                                              \
            CLM_EDGE for (ulong i = first; i < count; i++) {                                  \
                out[i] = NAME##_1((uint)x[i]);                                                \
            }                                                                                 \
        }                                                                                     \
    }

DEFINE_NARROW(f32_to_f16)
DEFINE_NARROW(f32_to_bf16)
DEFINE_WIDEN(f16_to_f32)
DEFINE_WIDEN(bf16_to_f32)
