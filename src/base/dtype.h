/* Element types: names, and conversion to float on the host.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_BASE_DTYPE_H
#define CLM_BASE_DTYPE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "clm/dtype.h"

/* Sets *dtype and returns true when `name` is one of clm_dtype_name()'s. */
bool clm_dtype_parse(clm_dtype *dtype, const char *name);

/* Whether clm_dtype_to_float() takes it: F32, F16, BF16 and F64. */
bool clm_dtype_is_floating(clm_dtype dtype);

/* `count` little-endian elements of `dtype` at `in`, which need not be aligned, as floats. F32,
 * F16 and BF16 are exact, subnormals, infinities and NaN (sign and payload) included; F64 is
 * rounded to nearest. CLM_ERROR_UNSUPPORTED for integers. */
clm_status clm_dtype_to_float(float *out, const void *in, clm_dtype dtype, size_t count);

/* IEEE 754 binary16 to binary32, exact for all 65,536 patterns. */
float clm_float_of_f16(uint16_t bits);

#endif
