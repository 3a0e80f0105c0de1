/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "ops/common.h"
#include "ops/norm.h"

static clm_status check(const char *name, const clm_buffer *buffer, int rows, int C) {
    return clm_ops_check_buffer("rmsnorm", name, buffer, (size_t)rows, (size_t)C, sizeof(float));
}

clm_status clm_rmsnorm_forward(clm_device *device, clm_buffer *out, clm_buffer *rrms,
                               const clm_buffer *x, const clm_buffer *weight, int rows, int C,
                               float epsilon) {
    clm_status status = CLM_OK;
    CLM_TRY(clm_ops_check_positive("rmsnorm", "rows and C", rows, C, 1));
    CLM_TRY(check("out", out, rows, C));
    CLM_TRY(check("x", x, rows, C));
    CLM_TRY(check("weight", weight, 1, C));
    if (rrms != NULL) {
        CLM_TRY(check("rrms", rrms, rows, 1));
    }
    const clm_ops_variant variant = clm_ops_variant_for(device, "rmsnorm");
    const int group_rows = variant.local == 1 ? CLM_NORM_GROUP_ROWS : 1;
    clm_launch launch = clm_launch_begin(device, "rmsnorm", "rmsnorm_forward", variant.options);
    clm_launch_buffer(&launch, out);
    clm_launch_buffer(&launch, rrms);
    clm_launch_buffer(&launch, x);
    clm_launch_buffer(&launch, weight);
    clm_launch_int(&launch, rows);
    clm_launch_int(&launch, C);
    clm_launch_float(&launch, epsilon);
    clm_launch_int(&launch, group_rows);
    clm_launch_int(&launch, rrms != NULL);
    CLM_TRY(
        clm_launch_1d(&launch, clm_norm_groups(rows, group_rows) * variant.local, variant.local));
cleanup:
    return status;
}

size_t clm_rmsnorm_backward_scratch_bytes(const clm_device *device, int rows, int C) {
    return clm_norm_scratch_bytes(device, rows, C, 1);
}

static clm_status check_backward(const clm_buffer *dx, const clm_buffer *dweight,
                                 const clm_buffer *dout, const clm_buffer *x,
                                 const clm_buffer *weight, const clm_buffer *rrms,
                                 const clm_buffer *dresidual, int rows, int C) {
    clm_status status = CLM_OK;
    CLM_TRY(clm_ops_check_positive("rmsnorm", "rows and C", rows, C, 1));
    CLM_TRY(check("dout", dout, rows, C));
    CLM_TRY(check("x", x, rows, C));
    CLM_TRY(check("weight", weight, 1, C));
    CLM_TRY(check("rrms", rrms, rows, 1));
    if (dx != NULL) {
        CLM_TRY(check("dx", dx, rows, C));
        if (dresidual != NULL) {
            CLM_TRY(check("dresidual", dresidual, rows, C));
        }
    }
    if (dweight != NULL) {
        CLM_TRY(check("dweight", dweight, 1, C));
    }
cleanup:
    return status;
}

clm_status clm_rmsnorm_backward(clm_device *device, clm_buffer *dx, clm_buffer *dweight,
                                const clm_buffer *dout, const clm_buffer *x,
                                const clm_buffer *weight, const clm_buffer *rrms,
                                const clm_buffer *dresidual, int rows, int C, clm_buffer *scratch) {
    clm_status status = CLM_OK;
    CLM_TRY(check_backward(dx, dweight, dout, x, weight, rrms, dresidual, rows, C));
    const size_t groups = clm_norm_groups(rows, CLM_NORM_GROUP_ROWS);
    const size_t offset = clm_norm_sums_offset(device, groups, C);
    if (dweight != NULL) {
        CLM_TRY(clm_ops_check_scratch("rmsnorm", scratch,
                                      clm_rmsnorm_backward_scratch_bytes(device, rows, C)));
    }
    const clm_ops_variant variant = clm_ops_variant_for(device, "rmsnorm");
    char options[CLM_OPS_OPTIONS_SIZE + 32];
    (void)snprintf(options, sizeof options, "%s%s", variant.options,
                   dweight != NULL ? "" : " -DWANT_DWEIGHT=0");
    clm_launch launch = clm_launch_begin(device, "rmsnorm", "rmsnorm_backward", options);
    clm_launch_buffer(&launch, dx);
    clm_launch_buffer(&launch, dweight != NULL ? scratch : NULL);
    clm_launch_ulong(&launch, offset);
    clm_launch_buffer(&launch, dout);
    clm_launch_buffer(&launch, x);
    clm_launch_buffer(&launch, weight);
    clm_launch_buffer(&launch, rrms);
    clm_launch_buffer(&launch, dresidual);
    clm_launch_int(&launch, rows);
    clm_launch_int(&launch, C);
    clm_launch_int(&launch, CLM_NORM_GROUP_ROWS);
    clm_launch_int(&launch, dx != NULL);
    clm_launch_int(&launch, dresidual != NULL);
    CLM_TRY(clm_launch_1d(&launch, groups * variant.local, variant.local));
    if (dweight != NULL) {
        CLM_TRY(
            clm_reduce_columns(device, dweight, 0, scratch, offset, (int)groups, C, true, scratch));
    }
cleanup:
    return status;
}
