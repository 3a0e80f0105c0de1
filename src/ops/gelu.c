/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/common.h"
#include "ops/ops.h"

clm_status clm_gelu_forward(clm_device *device, clm_buffer *out, const clm_buffer *x,
                            size_t count) {
    clm_status status = CLM_OK;
    CLM_TRY(clm_ops_check_buffer("gelu", "out", out, count, 1, sizeof(float)));
    CLM_TRY(clm_ops_check_buffer("gelu", "x", x, count, 1, sizeof(float)));
    clm_ops_variant variant = clm_ops_variant_for(device, "gelu");
    clm_launch launch = clm_launch_begin(device, "gelu", "gelu_forward", variant.options);
    clm_launch_buffer(&launch, out);
    clm_launch_buffer(&launch, x);
    status = clm_ops_launch_ranges(&launch, &variant, count);
cleanup:
    return status;
}

clm_status clm_gelu_backward(clm_device *device, clm_buffer *dx, const clm_buffer *dout,
                             const clm_buffer *x, size_t count) {
    clm_status status = CLM_OK;
    CLM_TRY(clm_ops_check_buffer("gelu", "dx", dx, count, 1, sizeof(float)));
    CLM_TRY(clm_ops_check_buffer("gelu", "dout", dout, count, 1, sizeof(float)));
    CLM_TRY(clm_ops_check_buffer("gelu", "x", x, count, 1, sizeof(float)));
    clm_ops_variant variant = clm_ops_variant_for(device, "gelu");
    clm_launch launch = clm_launch_begin(device, "gelu", "gelu_backward", variant.options);
    clm_launch_buffer(&launch, dx);
    clm_launch_buffer(&launch, dout);
    clm_launch_buffer(&launch, x);
    status = clm_ops_launch_ranges(&launch, &variant, count);
cleanup:
    return status;
}
