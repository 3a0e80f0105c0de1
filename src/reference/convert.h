/* 16-bit storage in plain C: the oracle for cl/convert.cl. Values are searched for and compared as
 * numbers, not moved as bits, so that the two cannot be wrong in the same way.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_REFERENCE_CONVERT_H
#define CLM_REFERENCE_CONVERT_H

#include <stddef.h>
#include <stdint.h>

float clm_reference_f16_to_f32(uint16_t half_bits);
float clm_reference_bf16_to_f32(uint16_t bf16_bits);

/* To the nearest, and to the even one of two equally near; NaN becomes some quiet NaN with its
 * sign.
 */
uint16_t clm_reference_f32_to_f16(float x);
uint16_t clm_reference_f32_to_bf16(float x);

void clm_reference_convert_f32_to_f16(uint16_t *out, const float *x, size_t count);
void clm_reference_convert_f16_to_f32(float *out, const uint16_t *x, size_t count);
void clm_reference_convert_f32_to_bf16(uint16_t *out, const float *x, size_t count);
void clm_reference_convert_bf16_to_f32(float *out, const uint16_t *x, size_t count);

#endif
