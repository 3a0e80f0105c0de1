/* SPDX-License-Identifier: Apache-2.0 */
#include "base/dtype.h"

#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "clm maps little-endian files as they are; this host is big-endian"
#endif

static const struct {
    const char *name;
    size_t size_bytes;
} dtypes[] = {
    [CLM_F32] = {"F32", 4},   [CLM_F16] = {"F16", 2}, [CLM_BF16] = {"BF16", 2},
    [CLM_F64] = {"F64", 8},   [CLM_I8] = {"I8", 1},   [CLM_I16] = {"I16", 2},
    [CLM_I32] = {"I32", 4},   [CLM_I64] = {"I64", 8}, [CLM_U8] = {"U8", 1},
    [CLM_U16] = {"U16", 2},   [CLM_U32] = {"U32", 4}, [CLM_U64] = {"U64", 8},
    [CLM_BOOL] = {"BOOL", 1},
};

enum { dtype_count = sizeof dtypes / sizeof *dtypes };

size_t clm_dtype_size(clm_dtype dtype) {
    return (unsigned)dtype < dtype_count ? dtypes[dtype].size_bytes : 0;
}

const char *clm_dtype_name(clm_dtype dtype) {
    return (unsigned)dtype < dtype_count ? dtypes[dtype].name : "?";
}

bool clm_dtype_parse(clm_dtype *dtype, const char *name) {
    for (unsigned i = 0; i < dtype_count; i++) {
        if (strcmp(dtypes[i].name, name) == 0) {
            *dtype = (clm_dtype)i;
            return true;
        }
    }
    return false;
}

bool clm_dtype_is_floating(clm_dtype dtype) {
    return dtype == CLM_F32 || dtype == CLM_F16 || dtype == CLM_BF16 || dtype == CLM_F64;
}

static float float_of_bits(uint32_t bits) {
    float value = 0.0F;
    memcpy(&value, &bits, sizeof value);
    return value;
}

float clm_float_of_f16(uint16_t bits) {
    uint32_t sign = (uint32_t)(bits & 0x8000U) << 16;
    uint32_t exponent = bits >> 10 & 0x1FU;
    uint32_t fraction = bits & 0x3FFU;
    if (exponent == 0x1F) {
        return float_of_bits(sign | 0x7F800000U | fraction << 13);
    }
    if (exponent == 0) {
        /* A subnormal is fraction * 2^-24, which binary32 holds as a normal number. */
        float magnitude = (float)fraction * 0x1p-24F;
        return sign != 0 ? -magnitude : magnitude;
    }
    return float_of_bits(sign | (exponent + 112) << 23 | fraction << 13);
}

clm_status clm_dtype_to_float(float *out, const void *in, clm_dtype dtype, size_t count) {
    const unsigned char *bytes = in;
    switch (dtype) {
        case CLM_F32:
            if (count > 0) {
                memcpy(out, in, count * sizeof *out);
            }
            return CLM_OK;
        case CLM_F16:
            for (size_t i = 0; i < count; i++) {
                uint16_t bits = 0;
                memcpy(&bits, bytes + 2 * i, sizeof bits);
                out[i] = clm_float_of_f16(bits);
            }
            return CLM_OK;
        case CLM_BF16:
            for (size_t i = 0; i < count; i++) {
                uint16_t bits = 0;
                memcpy(&bits, bytes + 2 * i, sizeof bits);
                out[i] = float_of_bits((uint32_t)bits << 16);
            }
            return CLM_OK;
        case CLM_F64:
            for (size_t i = 0; i < count; i++) {
                double value = 0.0;
                memcpy(&value, bytes + 8 * i, sizeof value);
                out[i] = (float)value;
            }
            return CLM_OK;
        default:
            return clm_fail(CLM_ERROR_UNSUPPORTED, "elements of %s cannot be read as floats",
                            clm_dtype_name(dtype));
    }
}
