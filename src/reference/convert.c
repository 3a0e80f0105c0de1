/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/convert.h"

#include <math.h>
#include <stdbool.h>

/* A format of 16 bits: sign, exponent, mantissa. */
typedef struct format {
    int mantissa_bits;
    int bias;
} format;

static const format f16 = {10, 15};
static const format bf16 = {7, 127};

/* The value of a magnitude (the bits without the sign). The one after the largest finite value,
 * which stands for inf, gets the value it would have if the exponents went on: so rounding has
 * something to compare with. */
static double magnitude_value(const format *f, int bits) {
    int exponent = bits >> f->mantissa_bits;
    int mantissa = bits & ((1 << f->mantissa_bits) - 1);
    if (exponent == 0) {
        return ldexp(mantissa, 1 - f->bias - f->mantissa_bits);
    }
    return ldexp(mantissa + (1 << f->mantissa_bits), exponent - f->bias - f->mantissa_bits);
}

static int infinity_bits(const format *f) {
    return (0x7FFF >> f->mantissa_bits) << f->mantissa_bits;
}

static float widen(const format *f, uint16_t bits) {
    int magnitude = bits & 0x7FFF;
    double value = NAN;
    if (magnitude == infinity_bits(f)) {
        value = INFINITY;
    } else if (magnitude < infinity_bits(f)) {
        value = magnitude_value(f, magnitude);
    }
    return (float)copysign(value, (bits & 0x8000) != 0 ? -1.0 : 1.0);
}

static uint16_t narrow(const format *f, float x) {
    uint16_t sign = signbit(x) ? 0x8000 : 0;
    double magnitude = fabs((double)x);
    if (isnan(x)) {
        return (uint16_t)(sign | infinity_bits(f) | 1 << (f->mantissa_bits - 1));
    }
    /* The last one that is not larger, by bisection: values rise with their bits. */
    int below = 0;
    int above = infinity_bits(f);
    if (magnitude >= magnitude_value(f, above)) {
        return (uint16_t)(sign | above);
    }
    while (above - below > 1) {
        int middle = (below + above) / 2;
        *(magnitude_value(f, middle) <= magnitude ? &below : &above) = middle;
    }
    double up = magnitude_value(f, above) - magnitude;
    double down = magnitude - magnitude_value(f, below);
    bool round_up = up < down || (up == down && below % 2 != 0);
    return (uint16_t)(sign | (round_up ? above : below));
}

float clm_reference_f16_to_f32(uint16_t half_bits) {
    return widen(&f16, half_bits);
}

float clm_reference_bf16_to_f32(uint16_t bf16_bits) {
    return widen(&bf16, bf16_bits);
}

uint16_t clm_reference_f32_to_f16(float x) {
    return narrow(&f16, x);
}

uint16_t clm_reference_f32_to_bf16(float x) {
    return narrow(&bf16, x);
}

void clm_reference_convert_f32_to_f16(uint16_t *out, const float *x, size_t count) {
    for (size_t i = 0; i < count; i++) {
        out[i] = clm_reference_f32_to_f16(x[i]);
    }
}

void clm_reference_convert_f16_to_f32(float *out, const uint16_t *x, size_t count) {
    for (size_t i = 0; i < count; i++) {
        out[i] = clm_reference_f16_to_f32(x[i]);
    }
}

void clm_reference_convert_f32_to_bf16(uint16_t *out, const float *x, size_t count) {
    for (size_t i = 0; i < count; i++) {
        out[i] = clm_reference_f32_to_bf16(x[i]);
    }
}

void clm_reference_convert_bf16_to_f32(float *out, const uint16_t *x, size_t count) {
    for (size_t i = 0; i < count; i++) {
        out[i] = clm_reference_bf16_to_f32(x[i]);
    }
}
