/* SPDX-License-Identifier: Apache-2.0 */
#include <limits.h>
#include <stdio.h>

#include "ops/common.h"
#include "ops/ops.h"

enum { GROUP = 128, OPTIONS_SIZE = 64 };

static clm_status check(const char *name, const clm_buffer *buffer, size_t rows, size_t columns) {
    return clm_ops_check_buffer("attention_pooled", name, buffer, rows, columns, sizeof(float));
}

/* The shape, and what forward and backward both have. */
static clm_status check_common(const clm_buffer *out, const clm_buffer *q, const clm_buffer *kv,
                               const clm_buffer *rows, const clm_attention_shape *shape) {
    const char *op = "attention_pooled";
    clm_status status = CLM_OK;
    CLM_TRY(clm_ops_check_positive(op, "B, T and H", shape->B, shape->T, shape->H));
    CLM_TRY(clm_ops_check_positive(op, "D", shape->D, 1, 1));
    if (shape->D > CLM_ATTENTION_D_MOST) {
        return clm_fail(CLM_ERROR_UNSUPPORTED, "%s: heads of %d channels (at most %d)", op,
                        shape->D, CLM_ATTENTION_D_MOST);
    }
    if (shape->T > INT_MAX / 2 / shape->B) {
        return clm_fail(CLM_ERROR_SHAPE, "%s: B %d and T %d are too many", op, shape->B, shape->T);
    }
    const size_t B = (size_t)shape->B;
    const size_t C = (size_t)shape->H * (size_t)shape->D;
    CLM_TRY(check("out", out, B, C));
    CLM_TRY(check("q", q, B, C));
    CLM_TRY(check("kv", kv, B * (size_t)shape->T, 2 * C));
    CLM_TRY(clm_ops_check_buffer(op, "rows", rows, B, 1, sizeof(int32_t)));
cleanup:
    return status;
}

static size_t work_group(clm_device *device) {
    const clm_ops_variant variant = clm_ops_variant_for(device, "attention_pooled");
    return variant.local == 1 ? 1 : clm_device_work_group(device, GROUP);
}

static clm_launch begin(clm_device *device, const char *kernel, int D) {
    char options[OPTIONS_SIZE];
    const size_t items = work_group(device);
    /* ITEM is for attention.cl, which is built together with this file where the options agree. */
    (void)snprintf(options, sizeof options, "-DD=%d -DWIDTH=%d -DLOCAL=%zu%s", D,
                   clm_ops_variant_for(device, "attention_pooled").width, items,
                   items == 1 ? " -DITEM" : "");
    return clm_launch_begin(device, "attention_pooled", kernel, options);
}

static clm_status launch_heads(clm_launch *launch, const clm_attention_shape *shape) {
    const size_t local = work_group(launch->device);
    return clm_launch_1d(launch, (size_t)shape->B * (size_t)shape->H * local, local);
}

clm_status clm_attention_pooled_forward(clm_device *device, clm_buffer *out, clm_buffer *lse,
                                        const clm_buffer *q, const clm_buffer *kv,
                                        const clm_buffer *rows, clm_attention_shape shape) {
    clm_status status = CLM_OK;
    CLM_TRY(check_common(out, q, kv, rows, &shape));
    if (lse != NULL) {
        CLM_TRY(check("lse", lse, (size_t)shape.B, (size_t)shape.H));
    }
    clm_launch launch = begin(device, "attention_pooled_forward", shape.D);
    clm_launch_buffer(&launch, out);
    clm_launch_buffer(&launch, lse);
    clm_launch_buffer(&launch, q);
    clm_launch_buffer(&launch, kv);
    clm_launch_buffer(&launch, rows);
    clm_launch_int(&launch, shape.T);
    clm_launch_int(&launch, shape.H);
    clm_launch_int(&launch, lse != NULL);
    CLM_TRY(launch_heads(&launch, &shape));
cleanup:
    return status;
}

clm_status clm_attention_pooled_backward(clm_device *device, clm_buffer *dq, clm_buffer *dkv,
                                         const clm_buffer *dout, const clm_buffer *q,
                                         const clm_buffer *kv, const clm_buffer *out,
                                         const clm_buffer *lse, const clm_buffer *rows,
                                         clm_attention_shape shape) {
    clm_status status = CLM_OK;
    CLM_TRY(check_common(out, q, kv, rows, &shape));
    const size_t B = (size_t)shape.B;
    const size_t C = (size_t)shape.H * (size_t)shape.D;
    CLM_TRY(check("dq", dq, B, C));
    CLM_TRY(check("dkv", dkv, B * (size_t)shape.T, 2 * C));
    CLM_TRY(check("dout", dout, B, C));
    CLM_TRY(check("lse", lse, B, (size_t)shape.H));
    clm_launch launch = begin(device, "attention_pooled_backward", shape.D);
    clm_launch_buffer(&launch, dq);
    clm_launch_buffer(&launch, dkv);
    clm_launch_buffer(&launch, dout);
    clm_launch_buffer(&launch, q);
    clm_launch_buffer(&launch, kv);
    clm_launch_buffer(&launch, out);
    clm_launch_buffer(&launch, lse);
    clm_launch_buffer(&launch, rows);
    clm_launch_int(&launch, shape.T);
    clm_launch_int(&launch, shape.H);
    CLM_TRY(launch_heads(&launch, &shape));
cleanup:
    return status;
}
