/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/common.h"
#include "ops/ops.h"

static clm_status check(const char *name, const clm_buffer *buffer, size_t count) {
    return clm_ops_check_buffer("silu_gate", name, buffer, count, 1, sizeof(float));
}

clm_status clm_silu_gate_forward(clm_device *device, clm_buffer *out, const clm_buffer *gate,
                                 const clm_buffer *up, size_t count) {
    clm_status status = CLM_OK;
    CLM_TRY(check("out", out, count));
    CLM_TRY(check("gate", gate, count));
    CLM_TRY(check("up", up, count));
    const clm_ops_variant variant = clm_ops_variant_for(device, "silu_gate");
    clm_launch launch = clm_launch_begin(device, "silu_gate", "silu_gate_forward", variant.options);
    clm_launch_buffer(&launch, out);
    clm_launch_buffer(&launch, gate);
    clm_launch_buffer(&launch, up);
    status = clm_ops_launch_ranges(&launch, &variant, count);
cleanup:
    return status;
}

clm_status clm_silu_gate_backward(clm_device *device, clm_buffer *dgate, clm_buffer *dup,
                                  const clm_buffer *dout, const clm_buffer *gate,
                                  const clm_buffer *up, size_t count) {
    clm_status status = CLM_OK;
    if (dgate != NULL) {
        CLM_TRY(check("dgate", dgate, count));
    }
    if (dup != NULL) {
        CLM_TRY(check("dup", dup, count));
    }
    CLM_TRY(check("dout", dout, count));
    CLM_TRY(check("gate", gate, count));
    CLM_TRY(check("up", up, count));
    const clm_ops_variant variant = clm_ops_variant_for(device, "silu_gate");
    clm_launch launch =
        clm_launch_begin(device, "silu_gate", "silu_gate_backward", variant.options);
    clm_launch_buffer(&launch, dgate);
    clm_launch_buffer(&launch, dup);
    clm_launch_buffer(&launch, dout);
    clm_launch_buffer(&launch, gate);
    clm_launch_buffer(&launch, up);
    clm_launch_int(&launch, dgate != NULL);
    clm_launch_int(&launch, dup != NULL);
    status = clm_ops_launch_ranges(&launch, &variant, count);
cleanup:
    return status;
}
