/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "ops/common.h"
#include "ops/norm.h"

static clm_status check(const char *name, const clm_buffer *buffer, int rows, int C) {
    return clm_ops_check_buffer("layernorm", name, buffer, (size_t)rows, (size_t)C, sizeof(float));
}

clm_status clm_layernorm_forward(clm_device *device, clm_buffer *out, clm_buffer *mean,
                                 clm_buffer *rstd, const clm_buffer *x, const clm_buffer *weight,
                                 const clm_buffer *bias, int rows, int C, float epsilon) {
    clm_status status = CLM_OK;
    const bool keep = mean != NULL || rstd != NULL;
    CLM_TRY(clm_ops_check_positive("layernorm", "rows and C", rows, C, 1));
    CLM_TRY(check("out", out, rows, C));
    CLM_TRY(check("x", x, rows, C));
    CLM_TRY(check("weight", weight, 1, C));
    CLM_TRY(check("bias", bias, 1, C));
    if (keep) {
        CLM_TRY(check("mean", mean, rows, 1));
        CLM_TRY(check("rstd", rstd, rows, 1));
    }
    const clm_ops_variant variant = clm_ops_variant_for(device, "layernorm");
    const int group_rows = variant.local == 1 ? CLM_NORM_GROUP_ROWS : 1;
    clm_launch launch = clm_launch_begin(device, "layernorm", "layernorm_forward", variant.options);
    clm_launch_buffer(&launch, out);
    clm_launch_buffer(&launch, mean);
    clm_launch_buffer(&launch, rstd);
    clm_launch_buffer(&launch, x);
    clm_launch_buffer(&launch, weight);
    clm_launch_buffer(&launch, bias);
    clm_launch_int(&launch, rows);
    clm_launch_int(&launch, C);
    clm_launch_float(&launch, epsilon);
    clm_launch_int(&launch, group_rows);
    clm_launch_int(&launch, keep);
    CLM_TRY(
        clm_launch_1d(&launch, clm_norm_groups(rows, group_rows) * variant.local, variant.local));
cleanup:
    return status;
}

static clm_status check_backward(const clm_buffer *dx, const clm_buffer *dweight,
                                 const clm_buffer *dbias, const clm_buffer *dout,
                                 const clm_buffer *x, const clm_buffer *weight,
                                 const clm_buffer *mean, const clm_buffer *rstd,
                                 const clm_buffer *dresidual, int rows, int C) {
    clm_status status = CLM_OK;
    CLM_TRY(clm_ops_check_positive("layernorm", "rows and C", rows, C, 1));
    CLM_TRY(check("dout", dout, rows, C));
    CLM_TRY(check("x", x, rows, C));
    CLM_TRY(check("mean", mean, rows, 1));
    CLM_TRY(check("rstd", rstd, rows, 1));
    CLM_TRY(check("weight", weight, 1, C));
    if (dx != NULL) {
        CLM_TRY(check("dx", dx, rows, C));
        if (dresidual != NULL) {
            CLM_TRY(check("dresidual", dresidual, rows, C));
        }
    }
    if (dweight != NULL) {
        CLM_TRY(check("dweight", dweight, 1, C));
    }
    if (dbias != NULL) {
        CLM_TRY(check("dbias", dbias, 1, C));
    }
cleanup:
    return status;
}

size_t clm_layernorm_backward_scratch_bytes(const clm_device *device, int rows, int C) {
    return clm_norm_scratch_bytes(device, rows, C, 2);
}

clm_status clm_layernorm_backward(clm_device *device, clm_buffer *dx, clm_buffer *dweight,
                                  clm_buffer *dbias, const clm_buffer *dout, const clm_buffer *x,
                                  const clm_buffer *weight, const clm_buffer *mean,
                                  const clm_buffer *rstd, const clm_buffer *dresidual, int rows,
                                  int C, clm_buffer *scratch) {
    clm_status status = CLM_OK;
    CLM_TRY(check_backward(dx, dweight, dbias, dout, x, weight, mean, rstd, dresidual, rows, C));
    const size_t groups = clm_norm_groups(rows, CLM_NORM_GROUP_ROWS);
    const size_t offset = clm_norm_sums_offset(device, groups, C);
    const bool is_trained = dweight != NULL || dbias != NULL;
    if (is_trained) {
        CLM_TRY(clm_ops_check_scratch("layernorm", scratch,
                                      clm_layernorm_backward_scratch_bytes(device, rows, C)));
    }
    const clm_ops_variant variant = clm_ops_variant_for(device, "layernorm");
    char options[CLM_OPS_OPTIONS_SIZE + 32];
    /* Without macros of its own it is built with others (src/device/program.c). */
    (void)snprintf(options, sizeof options, "%s%s", variant.options,
                   is_trained ? "" : " -DWANT_DWEIGHT=0");
    clm_launch launch = clm_launch_begin(device, "layernorm", "layernorm_backward", options);
    clm_launch_buffer(&launch, dx);
    clm_launch_buffer(&launch, is_trained ? scratch : NULL);
    clm_launch_ulong(&launch, offset);
    clm_launch_buffer(&launch, dout);
    clm_launch_buffer(&launch, x);
    clm_launch_buffer(&launch, weight);
    clm_launch_buffer(&launch, mean);
    clm_launch_buffer(&launch, rstd);
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
    if (dbias != NULL) {
        CLM_TRY(clm_reduce_columns(device, dbias, 0, scratch, offset + groups * (size_t)C,
                                   (int)groups, C, true, scratch));
    }
cleanup:
    return status;
}
