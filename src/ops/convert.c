/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/common.h"
#include "ops/ops.h"

static clm_status convert(clm_device *device, const char *kernel, clm_buffer *out,
                          size_t out_element_bytes, const clm_buffer *x, size_t x_element_bytes,
                          size_t count) {
    clm_status status = CLM_OK;
    CLM_TRY(clm_ops_check_buffer("convert", "out", out, count, 1, out_element_bytes));
    CLM_TRY(clm_ops_check_buffer("convert", "x", x, count, 1, x_element_bytes));
    clm_ops_variant variant = clm_ops_variant_for(device, "convert");
    clm_launch launch = clm_launch_begin(device, "convert", kernel, variant.options);
    clm_launch_buffer(&launch, out);
    clm_launch_buffer(&launch, x);
    clm_launch_ulong(&launch, count);
    status = clm_ops_launch_flat(&launch, &variant, count);
cleanup:
    return status;
}

clm_status clm_convert_f32_to_f16(clm_device *device, clm_buffer *out, const clm_buffer *x,
                                  size_t count) {
    return convert(device, "convert_f32_to_f16", out, 2, x, 4, count);
}

clm_status clm_convert_f16_to_f32(clm_device *device, clm_buffer *out, const clm_buffer *x,
                                  size_t count) {
    return convert(device, "convert_f16_to_f32", out, 4, x, 2, count);
}

clm_status clm_convert_f32_to_bf16(clm_device *device, clm_buffer *out, const clm_buffer *x,
                                   size_t count) {
    return convert(device, "convert_f32_to_bf16", out, 2, x, 4, count);
}

clm_status clm_convert_bf16_to_f32(clm_device *device, clm_buffer *out, const clm_buffer *x,
                                   size_t count) {
    return convert(device, "convert_bf16_to_f32", out, 4, x, 2, count);
}

clm_status clm_convert_narrow(clm_device *device, clm_dtype type, clm_buffer *halves,
                              const clm_buffer *floats, size_t count) {
    return type == CLM_F16 ? clm_convert_f32_to_f16(device, halves, floats, count)
                           : clm_convert_f32_to_bf16(device, halves, floats, count);
}

clm_status clm_convert_widen(clm_device *device, clm_dtype type, clm_buffer *floats,
                             const clm_buffer *halves, size_t count) {
    return type == CLM_F16 ? clm_convert_f16_to_f32(device, floats, halves, count)
                           : clm_convert_bf16_to_f32(device, floats, halves, count);
}
