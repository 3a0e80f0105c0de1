/* SPDX-License-Identifier: Apache-2.0 */
#include <limits.h>
#include <stdio.h>

#include "ops/common.h"
#include "ops/ops.h"

/* What a launch needs to know beside the shape. */
typedef struct attention_plan {
    bool is_item; /* the _item kernels, else the _group ones */
    int items;    /* work-items a group */
    int tile;     /* queries, or keys, a group */
    char options[64];
} attention_plan;

enum {
    tile_vectors = 3, /* LANES in cl/attention.cl */
    /* Narrower vectors gain too little: where they are wanted, compilers for CPU devices other than
     * PoCL (rusticl's) work for half a minute on the unrolled loops of the _item kernels. */
    least_width = 8
};

static size_t positions(const clm_attention_shape *shape) {
    return (size_t)shape->B * (size_t)shape->T;
}

static size_t channels(const clm_attention_shape *shape) {
    return (size_t)shape->H * (size_t)shape->D;
}

static clm_status check(const char *name, const clm_buffer *buffer,
                        const clm_attention_shape *shape, size_t row) {
    return clm_ops_check_buffer("attention", name, buffer, positions(shape), row, sizeof(float));
}

static clm_status check_shape(const clm_attention_shape *shape) {
    clm_status status = CLM_OK;
    CLM_TRY(clm_ops_check_positive("attention", "B, T and H", shape->B, shape->T, shape->H));
    CLM_TRY(clm_ops_check_positive("attention", "D", shape->D, 1, 1));
    if (shape->D > CLM_ATTENTION_D_MOST) {
        status = clm_fail(CLM_ERROR_UNSUPPORTED, "attention: heads of %d channels (at most %d)",
                          shape->D, CLM_ATTENTION_D_MOST);
    } else if (shape->B > INT_MAX / shape->H || shape->T > INT_MAX / 2) {
        status = clm_fail(CLM_ERROR_SHAPE, "attention: B %d, H %d, T %d are too many", shape->B,
                          shape->H, shape->T);
    }
cleanup:
    return status;
}

/* Local memory of the backward kernel, which needs more than the forward one. */
static size_t item_local_bytes(int D, int width) {
    const size_t lanes = (size_t)width;
    const size_t channels = (size_t)D;
    const size_t tile = tile_vectors * lanes;
    const size_t padded = (channels + lanes - 1) / lanes * lanes;
    return sizeof(float) * (3 * tile * channels + 3 * tile * padded + 2 * tile * tile);
}

static attention_plan plan_for(clm_device *device, const clm_attention_shape *shape) {
    const clm_ops_variant variant = clm_ops_variant_for(device, "attention");
    attention_plan plan = {.is_item = variant.local == 1};
    int width = variant.width;
    if (plan.is_item) {
        const uint64_t local = clm_device_get_info(device)->local_memory_size_bytes;
        while (width > least_width && item_local_bytes(shape->D, width) > local) {
            width /= 2;
        }
        plan.is_item = width >= least_width && item_local_bytes(shape->D, width) <= local;
    }
    plan.items = plan.is_item ? 1 : (int)clm_device_work_group(device, 64);
    plan.tile = plan.is_item ? tile_vectors * width : plan.items;
    (void)snprintf(plan.options, sizeof plan.options, "-DD=%d -DWIDTH=%d -DLOCAL=%d%s", shape->D,
                   width, plan.items, plan.is_item ? " -DITEM" : "");
    return plan;
}

static clm_status launch_groups(clm_launch *launch, const attention_plan *plan,
                                const clm_attention_shape *shape) {
    const size_t heads = (size_t)shape->B * (size_t)shape->H;
    const size_t tile = (size_t)plan->tile;
    const size_t tiles = ((size_t)shape->T + tile - 1) / tile;
    const size_t items = (size_t)plan->items;
    return clm_launch_2d(launch, (const size_t[2]){tiles * items, heads},
                         (const size_t[2]){items, 1});
}

clm_status clm_attention_forward(clm_device *device, clm_buffer *out, clm_buffer *lse,
                                 const clm_buffer *qkv, clm_attention_shape shape) {
    clm_status status = CLM_OK;
    CLM_TRY(check_shape(&shape));
    const size_t C = channels(&shape);
    CLM_TRY(check("out", out, &shape, C));
    CLM_TRY(check("qkv", qkv, &shape, 3 * C));
    if (lse != NULL) {
        CLM_TRY(check("lse", lse, &shape, (size_t)shape.H));
    }
    const attention_plan plan = plan_for(device, &shape);
    clm_launch launch = clm_launch_begin(
        device, "attention", plan.is_item ? "attention_forward_item" : "attention_forward_group",
        plan.options);
    clm_launch_buffer(&launch, out);
    clm_launch_buffer(&launch, lse);
    clm_launch_buffer(&launch, qkv);
    clm_launch_int(&launch, shape.T);
    clm_launch_int(&launch, shape.H);
    clm_launch_int(&launch, shape.causal);
    clm_launch_int(&launch, lse != NULL);
    CLM_TRY(launch_groups(&launch, &plan, &shape));
cleanup:
    return status;
}

static clm_status backward_item(clm_device *device, const attention_plan *plan, clm_buffer *dqkv,
                                const clm_buffer *dout, const clm_buffer *qkv,
                                const clm_buffer *out, const clm_buffer *lse,
                                const clm_attention_shape *shape) {
    clm_launch launch =
        clm_launch_begin(device, "attention", "attention_backward_item", plan->options);
    clm_launch_buffer(&launch, dqkv);
    clm_launch_buffer(&launch, dout);
    clm_launch_buffer(&launch, qkv);
    clm_launch_buffer(&launch, out);
    clm_launch_buffer(&launch, lse);
    clm_launch_int(&launch, shape->T);
    clm_launch_int(&launch, shape->H);
    clm_launch_int(&launch, shape->causal);
    return clm_launch_1d(&launch, (size_t)shape->B * (size_t)shape->H, 1);
}

static clm_status backward_group(clm_device *device, const attention_plan *plan, clm_buffer *dqkv,
                                 const clm_buffer *dout, const clm_buffer *qkv,
                                 const clm_buffer *out, const clm_buffer *lse,
                                 const clm_attention_shape *shape) {
    clm_status status = CLM_OK;
    clm_buffer *delta = NULL;
    CLM_TRY(clm_buffer_create(&delta, device, positions(shape) * (size_t)shape->H * sizeof(float),
                              "attention's delta"));
    clm_launch query =
        clm_launch_begin(device, "attention", "attention_backward_group_query", plan->options);
    clm_launch_buffer(&query, dqkv);
    clm_launch_buffer(&query, delta);
    clm_launch_buffer(&query, dout);
    clm_launch_buffer(&query, qkv);
    clm_launch_buffer(&query, out);
    clm_launch_buffer(&query, lse);
    clm_launch_int(&query, shape->T);
    clm_launch_int(&query, shape->H);
    clm_launch_int(&query, shape->causal);
    CLM_TRY(launch_groups(&query, plan, shape));
    clm_launch key =
        clm_launch_begin(device, "attention", "attention_backward_group_key", plan->options);
    clm_launch_buffer(&key, dqkv);
    clm_launch_buffer(&key, delta);
    clm_launch_buffer(&key, dout);
    clm_launch_buffer(&key, qkv);
    clm_launch_buffer(&key, lse);
    clm_launch_int(&key, shape->T);
    clm_launch_int(&key, shape->H);
    clm_launch_int(&key, shape->causal);
    CLM_TRY(launch_groups(&key, plan, shape));
cleanup:
    clm_buffer_release(delta);
    return status;
}

clm_status clm_attention_backward(clm_device *device, clm_buffer *dqkv, const clm_buffer *dout,
                                  const clm_buffer *qkv, const clm_buffer *out,
                                  const clm_buffer *lse, clm_attention_shape shape) {
    clm_status status = CLM_OK;
    CLM_TRY(check_shape(&shape));
    const size_t C = channels(&shape);
    CLM_TRY(check("dqkv", dqkv, &shape, 3 * C));
    CLM_TRY(check("dout", dout, &shape, C));
    CLM_TRY(check("qkv", qkv, &shape, 3 * C));
    CLM_TRY(check("out", out, &shape, C));
    CLM_TRY(check("lse", lse, &shape, (size_t)shape.H));
    const attention_plan plan = plan_for(device, &shape);
    if (plan.is_item) {
        CLM_TRY(backward_item(device, &plan, dqkv, dout, qkv, out, lse, &shape));
    } else {
        CLM_TRY(backward_group(device, &plan, dqkv, dout, qkv, out, lse, &shape));
    }
cleanup:
    return status;
}
