/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/common.h"
#include "ops/ops.h"

clm_status clm_residual_forward(clm_device *device, clm_buffer *out, const clm_buffer *a,
                                const clm_buffer *b, size_t count) {
    clm_status status = CLM_OK;
    CLM_TRY(clm_ops_check_buffer("residual", "out", out, count, 1, sizeof(float)));
    CLM_TRY(clm_ops_check_buffer("residual", "a", a, count, 1, sizeof(float)));
    CLM_TRY(clm_ops_check_buffer("residual", "b", b, count, 1, sizeof(float)));
    clm_ops_variant variant = clm_ops_variant_for(device, "residual");
    clm_launch launch = clm_launch_begin(device, "residual", "residual_forward", variant.options);
    clm_launch_buffer(&launch, out);
    clm_launch_buffer(&launch, a);
    clm_launch_buffer(&launch, b);
    clm_launch_ulong(&launch, count);
    status = clm_ops_launch_flat(&launch, &variant, count);
cleanup:
    return status;
}
