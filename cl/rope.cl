/* Rotary positions (Su et al. 2021): the pair (i, i + D/2) of each head of position p is rotated by
 * the angle p theta^(-2i/D), or back by it.
 *
 *     out[i]       = x[i] cos a - x[i + D/2] sin a
 *     out[i + D/2] = x[i + D/2] cos a + x[i] sin a
 *
 * Shapes: out (B,T,H,D); rows of x, a position's (H,D) each, lie `stride` elements apart; sequence
 * b's positions are first[b] + t. out may be x.
 *
 * Work: (D/2 / WIDTH rounded up, B * T) items: an item rotates its pairs in all heads.
 * Accuracy: of i step = i (step_high + step_low) the product with step_high is exact, so the
 * frequency is off by 2e-7 of itself, and the angle by that times the position, and its rounding;
 * sine and cosine by 1e-7. They are polynomials of what is left of the angle after whole quarters
 * of a turn: libraries' functions take some compilers minutes.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "common.clh"

#define convert_intw CLM_PASTE(convert_int, WIDTH)

/* cos and sin of position 2^(-i step), for floatw and float. */
#define DEFINE_ANGLES(NAME, FLOAT, INT, convert_integer, as_floats, exp_negative)                 \
    static inline void NAME(const FLOAT i, const float step_high, const float step_low,           \
                            const float position, FLOAT *cosine, FLOAT *sine) {                   \
        const FLOAT exponent = i * step_high;                                                     \
        const FLOAT whole = floor(exponent);                                                      \
        const FLOAT part = exponent - whole + i * step_low;                                       \
        const FLOAT frequency = exp_negative(part * -0.69314718056F) *                            \
                                as_floats((127 - convert_integer(whole)) << 23);                  \
        const FLOAT turns = frequency * position * 0.15915494309F;                                \
        const FLOAT rest = turns - rint(turns);                                                   \
        const FLOAT quarters = rint(rest * 4.0F);                                                 \
        const INT quarter = convert_integer(quarters);                                            \
        const FLOAT x = (rest - quarters * 0.25F) * 6.28318530718F;                               \
        const FLOAT xx = x * x;                                                                   \
        FLOAT s = xx * 2.75573192e-6F - 1.98412698e-4F;                                           \
        s = s * xx + 8.33333333e-3F;                                                              \
        s = s * xx - 1.66666667e-1F;                                                              \
        s = s * xx * x + x;                                                                       \
        FLOAT c = xx * 2.48015873e-5F - 1.38888889e-3F;                                           \
        c = c * xx + 4.16666667e-2F;                                                              \
        c = c * xx - 0.5F;                                                                        \
        c = c * xx + 1.0F;                                                                        \
        const FLOAT up = (quarter & 1) != 0 ? c : s;                                              \
        const FLOAT along = (quarter & 1) != 0 ? s : c;                                           \
        *sine = (quarter & 2) != 0 ? -up : up;                                                    \
        *cosine = ((quarter + 1) & 2) != 0 ? -along : along;                                      \
    }
DEFINE_ANGLES(anglesw, floatw, intw, convert_intw, as_floatw, exp_negativew)
DEFINE_ANGLES(angles1, float, int, convert_int, as_float, clm_exp_negative1)

#if WIDTH == 16
#define LANE_INDEX ((floatw)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15))
#elif WIDTH == 8
#define LANE_INDEX ((floatw)(0, 1, 2, 3, 4, 5, 6, 7))
#else
#define LANE_INDEX ((floatw)(0, 1, 2, 3))
#endif

__kernel void rope_forward(__global float *out, __global const float *x, __global const int *first,
                           const ulong offset, const int stride, const int T, const int H,
                           const int D, const float step_high, const float step_low,
                           const int has_first, const int back) {
    const int pair = (int)get_global_id(0) * WIDTH, pairs = D / 2;
    const size_t row = get_global_id(1);
    const int start = has_first ? first[row / T] : 0;
    const float position = (float)(start + (int)(row % T)) * (back ? -1.0F : 1.0F);
    __global const float *from = x + offset + row * stride + pair;
    __global float *to = out + row * H * D + pair;
    if (pair <= pairs - WIDTH) {
        floatw c, s;
        anglesw(LANE_INDEX + (float)pair, step_high, step_low, position, &c, &s);
        for (int head = 0; head < H; head++, from += D, to += D) {
            const floatw a = loadw(from, 0), b = loadw(from, pairs);
            storew(a * c - b * s, to, 0);
            storew(b * c + a * s, to, pairs);
        }
        return;
    }
    CLM_EDGE for (int k = 0; k < pairs - pair; k++) {
        float c, s;
        angles1((float)(pair + k), step_high, step_low, position, &c, &s);
        for (int head = 0; head < H; head++) {
            const float a = from[head * D + k], b = from[head * D + k + pairs];
            to[head * D + k] = a * c - b * s;
            to[head * D + k + pairs] = b * c + a * s;
        }
    }
}
