/* SPDX-License-Identifier: Apache-2.0 */
#include <limits.h>
#include <math.h>
#include <stdio.h>

#include "ops/common.h"
#include "ops/ops.h"

/* What a launch needs to know beside the arguments. */
typedef struct attention_plan {
    bool is_item; /* the _item kernels, else the _group ones */
    bool is_one;  /* one query a sequence: cl/attention_one.cl */
    int items;    /* work-items a group */
    int tile;     /* queries, or keys, a group */
    char options[64];
} attention_plan;

enum {
    tile_vectors = 3, /* LANES in cl/attention.clh */
    /* Narrower vectors gain too little: where they are wanted, compilers for CPU devices other than
     * PoCL (rusticl's) work for half a minute on the unrolled loops of the _item kernels. */
    least_width = 8,
    one_items = 128 /* that share a query */
};

/* HAS_ and WANT_ in cl/attention.clh */
enum { has_causal = 1, has_first = 2, has_lengths = 4, has_lse = 8 };
enum { want_dq = 1, want_dk = 2, want_dv = 4 };

/* ---- checks ---- */

static size_t stride_of(const clm_view *view, int heads, int D) {
    return view->stride != 0 ? (size_t)view->stride : (size_t)heads * (size_t)D;
}

static int capacity_of(const clm_attention_shape *shape) {
    return shape->capacity != 0 ? shape->capacity : shape->Tk;
}

static clm_status check_view(const char *name, const clm_view *view, size_t rows, int heads,
                             int D) {
    return clm_ops_check_view("attention", name, view, rows, (size_t)heads * (size_t)D);
}

static clm_status check_dense(const char *name, const clm_buffer *buffer, size_t rows,
                              size_t columns) {
    return clm_ops_check_buffer("attention", name, buffer, rows, columns, sizeof(float));
}

static clm_status check_shape(const clm_attention_shape *s) {
    clm_status status = CLM_OK;
    CLM_TRY(clm_ops_check_positive("attention", "B, Tq and Tk", s->B, s->Tq, s->Tk));
    CLM_TRY(clm_ops_check_positive("attention", "H, G and D", s->H, s->G, s->D));
    if (s->D > CLM_ATTENTION_D_MOST) {
        status = clm_fail(CLM_ERROR_UNSUPPORTED, "attention: heads of %d channels (at most %d)",
                          s->D, CLM_ATTENTION_D_MOST);
    } else if (s->H % s->G != 0) {
        status = clm_fail(CLM_ERROR_SHAPE, "attention: %d heads cannot share %d key-value heads",
                          s->H, s->G);
    } else if (s->capacity != 0 && s->capacity < s->Tk) {
        status =
            clm_fail(CLM_ERROR_SHAPE, "attention: %d keys, and room for %d", s->Tk, s->capacity);
    } else if (s->B > INT_MAX / s->H || s->Tq > INT_MAX / 2 || s->Tk > INT_MAX / 2 / s->B ||
               s->H > INT_MAX / s->D) {
        status = clm_fail(CLM_ERROR_SHAPE, "attention: B %d, H %d, D %d, Tq %d, Tk %d are too many",
                          s->B, s->H, s->D, s->Tq, s->Tk);
    }
cleanup:
    return status;
}

static clm_status check(const clm_attention_arguments *a, const clm_buffer *out,
                        const clm_buffer *lse) {
    const clm_attention_shape *s = &a->shape;
    clm_status status = CLM_OK;
    CLM_TRY(check_shape(s));
    const size_t B = (size_t)s->B;
    const size_t queries = B * (size_t)s->Tq;
    const size_t keys = (B - 1) * (size_t)capacity_of(s) + (size_t)s->Tk;
    CLM_TRY(check_view("q", &a->q, queries, s->H, s->D));
    CLM_TRY(check_view("k", &a->k, keys, s->G, s->D));
    CLM_TRY(check_view("v", &a->v, keys, s->G, s->D));
    CLM_TRY(check_dense("out", out, queries, (size_t)s->H * (size_t)s->D));
    if (lse != NULL) {
        CLM_TRY(check_dense("lse", lse, queries, (size_t)s->H));
    }
    if (a->first != NULL) {
        CLM_TRY(clm_ops_check_buffer("attention", "first", a->first, B, 1, sizeof(int32_t)));
    }
    if (a->lengths != NULL) {
        CLM_TRY(clm_ops_check_buffer("attention", "lengths", a->lengths, B, 1, sizeof(int32_t)));
    }
cleanup:
    return status;
}

static clm_status check_gradients(const clm_attention_gradients *to, const clm_attention_shape *s,
                                  int wanted) {
    const size_t B = (size_t)s->B;
    clm_status status = CLM_OK;
    if ((wanted & want_dq) != 0) {
        CLM_TRY(check_view("dq", &to->dq, B * (size_t)s->Tq, s->H, s->D));
    }
    if ((wanted & want_dk) != 0) {
        CLM_TRY(check_view("dk", &to->dk, B * (size_t)s->Tk, s->G, s->D));
    }
    if ((wanted & want_dv) != 0) {
        CLM_TRY(check_view("dv", &to->dv, B * (size_t)s->Tk, s->G, s->D));
    }
    if (wanted == 0) {
        status = clm_fail(CLM_ERROR_ARGUMENT, "attention: no gradient is wanted");
    }
cleanup:
    return status;
}

/* ---- launches ---- */

/* Local memory of the backward kernel, which needs more than the forward one. */
static size_t item_local_bytes(int D, int width) {
    const size_t lanes = (size_t)width;
    const size_t channels = (size_t)D;
    const size_t tile = tile_vectors * lanes;
    const size_t padded = (channels + lanes - 1) / lanes * lanes;
    return sizeof(float) * (3 * tile * channels + 3 * tile * padded + 2 * tile * tile);
}

static attention_plan plan_for(clm_device *device, const clm_attention_shape *shape) {
    const bool is_one = shape->Tq == 1;
    const clm_ops_variant variant =
        clm_ops_variant_for(device, is_one ? "attention_one" : "attention");
    attention_plan plan = {.is_item = variant.local == 1, .is_one = is_one};
    int width = variant.width;
    if (plan.is_item) {
        const uint64_t local = clm_device_get_info(device)->local_memory_size_bytes;
        while (width > least_width && item_local_bytes(shape->D, width) > local) {
            width /= 2;
        }
        plan.is_item = width >= least_width && item_local_bytes(shape->D, width) <= local;
    }
    if (plan.is_item || (plan.is_one && variant.local == 1)) {
        plan.items = 1;
    } else {
        plan.items = (int)clm_device_work_group(device, plan.is_one ? one_items : 64);
    }
    plan.tile = plan.is_item ? tile_vectors * width : plan.items;
    (void)snprintf(plan.options, sizeof plan.options, "-DD=%d -DWIDTH=%d -DLOCAL=%d%s", shape->D,
                   width, plan.items, plan.is_item ? " -DITEM" : "");
    return plan;
}

static clm_launch begin(clm_device *device, const attention_plan *plan, const char *kernel) {
    return clm_launch_begin(device, plan->is_one ? "attention_one" : "attention", kernel,
                            plan->options);
}

/* The first pointers of a kernel, in the order of its parameters. */
static void pass_buffers(clm_launch *launch, const clm_buffer *const *buffers, size_t count) {
    for (size_t i = 0; i < count; i++) {
        clm_launch_buffer(launch, buffers[i]);
    }
}

/* ATTENTION_OPERANDS and ATTENTION_SIZES */
static void pass_arguments(clm_launch *launch, const clm_attention_arguments *a, bool keep_lse) {
    const clm_attention_shape *s = &a->shape;
    const clm_buffer *const buffers[] = {a->q.buffer, a->k.buffer, a->v.buffer, a->first,
                                         a->lengths};
    const float scale = s->scale != 0.0F ? s->scale : 1.0F / sqrtf((float)s->D);
    pass_buffers(launch, buffers, sizeof buffers / sizeof *buffers);
    clm_launch_ulong(launch, a->q.offset);
    clm_launch_ulong(launch, a->k.offset);
    clm_launch_ulong(launch, a->v.offset);
    clm_launch_int(launch, (int)stride_of(&a->q, s->H, s->D));
    clm_launch_int(launch, (int)stride_of(&a->k, s->G, s->D));
    clm_launch_int(launch, (int)stride_of(&a->v, s->G, s->D));
    clm_launch_int(launch, capacity_of(s));
    clm_launch_int(launch, a->first_step);
    clm_launch_int(launch, s->Tq);
    clm_launch_int(launch, s->Tk);
    clm_launch_int(launch, s->H);
    clm_launch_int(launch, s->G);
    clm_launch_float(launch, scale);
    clm_launch_int(launch, (s->causal ? has_causal : 0) | (a->first != NULL ? has_first : 0) |
                               (a->lengths != NULL ? has_lengths : 0) | (keep_lse ? has_lse : 0));
}

static int apart(const clm_view *view, int heads, int D) {
    return (int)stride_of(view, heads, D);
}

/* ATTENTION_GRADIENT_SIZES, in whole or, for the kernels that have some of the gradients, in part.
 */
static void pass_gradient_sizes(clm_launch *launch, const clm_attention_gradients *to,
                                const clm_attention_shape *s, int wanted, int passed) {
    const bool of_queries = (passed & want_dq) != 0;
    const bool of_keys = (passed & want_dk) != 0;
    if (of_queries) {
        clm_launch_ulong(launch, to->dq.offset);
    }
    if (of_keys) {
        clm_launch_ulong(launch, to->dk.offset);
        clm_launch_ulong(launch, to->dv.offset);
    }
    if (of_queries) {
        clm_launch_int(launch, apart(&to->dq, s->H, s->D));
    }
    if (of_keys) {
        clm_launch_int(launch, apart(&to->dk, s->G, s->D));
        clm_launch_int(launch, apart(&to->dv, s->G, s->D));
    }
    clm_launch_int(launch, wanted);
}

/* Tiles of `positions` for each of `heads` heads; one group a head where there is one query. */
static clm_status launch_groups(clm_launch *launch, const attention_plan *plan, int positions,
                                size_t heads) {
    const size_t tile = (size_t)plan->tile;
    const size_t tiles = ((size_t)positions + tile - 1) / tile;
    const size_t items = (size_t)plan->items;
    if (plan->is_one) {
        return clm_launch_1d(launch, heads * items, items);
    }
    return clm_launch_2d(launch, (const size_t[2]){tiles * items, heads},
                         (const size_t[2]){items, 1});
}

clm_status clm_attention_forward(clm_device *device, clm_buffer *out, clm_buffer *lse,
                                 const clm_attention_arguments *arguments) {
    const clm_attention_shape *s = &arguments->shape;
    clm_status status = CLM_OK;
    CLM_TRY(check(arguments, out, lse));
    const attention_plan plan = plan_for(device, s);
    clm_launch launch = begin(device, &plan,
                              plan.is_one    ? "attention_one_forward"
                              : plan.is_item ? "attention_forward_item"
                                             : "attention_forward_group");
    pass_buffers(&launch, (const clm_buffer *const[]){out, lse}, 2);
    pass_arguments(&launch, arguments, lse != NULL);
    CLM_TRY(launch_groups(&launch, &plan, s->Tq, (size_t)s->B * (size_t)s->H));
cleanup:
    return status;
}

size_t clm_attention_backward_scratch_bytes(clm_device *device, const clm_attention_shape *shape) {
    const attention_plan plan = plan_for(device, shape);
    return plan.is_one || plan.is_item
               ? 0
               : (size_t)shape->B * (size_t)shape->H * (size_t)shape->Tq * sizeof(float);
}

/* The kernel that computes all gradients: of one query, or of the item form. */
static clm_status backward_whole(clm_device *device, const attention_plan *plan,
                                 const clm_attention_gradients *to, const clm_buffer *dout,
                                 const clm_buffer *out, const clm_buffer *lse,
                                 const clm_attention_arguments *a, int wanted) {
    const clm_attention_shape *s = &a->shape;
    const clm_buffer *const buffers[] = {to->dq.buffer, to->dk.buffer, to->dv.buffer,
                                         dout,          out,           lse};
    const size_t items = (size_t)plan->items;
    clm_launch launch =
        begin(device, plan, plan->is_one ? "attention_one_backward" : "attention_backward_item");
    pass_buffers(&launch, buffers, sizeof buffers / sizeof *buffers);
    pass_arguments(&launch, a, false);
    pass_gradient_sizes(&launch, to, s, wanted, want_dq | want_dk);
    return clm_launch_1d(&launch, (size_t)s->B * (size_t)s->G * items, items);
}

static clm_status backward_group(clm_device *device, const attention_plan *plan,
                                 const clm_attention_gradients *to, const clm_buffer *dout,
                                 const clm_buffer *out, const clm_buffer *lse,
                                 const clm_attention_arguments *a, int wanted,
                                 clm_buffer *scratch) {
    const clm_attention_shape *s = &a->shape;
    const clm_buffer *const of_query[] = {to->dq.buffer, dout, out, lse, scratch};
    const clm_buffer *const of_key[] = {to->dk.buffer, to->dv.buffer, dout, lse, scratch};
    clm_status status = CLM_OK;
    CLM_TRY(check_dense("scratch", scratch, (size_t)s->B * (size_t)s->H, (size_t)s->Tq));
    clm_launch query = begin(device, plan, "attention_backward_group_query");
    pass_buffers(&query, of_query, sizeof of_query / sizeof *of_query);
    pass_arguments(&query, a, false);
    pass_gradient_sizes(&query, to, s, wanted, want_dq);
    CLM_TRY(launch_groups(&query, plan, s->Tq, (size_t)s->B * (size_t)s->H));
    if ((wanted & (want_dk | want_dv)) != 0) {
        clm_launch key = begin(device, plan, "attention_backward_group_key");
        pass_buffers(&key, of_key, sizeof of_key / sizeof *of_key);
        pass_arguments(&key, a, false);
        pass_gradient_sizes(&key, to, s, wanted, want_dk);
        CLM_TRY(launch_groups(&key, plan, s->Tk, (size_t)s->B * (size_t)s->G));
    }
cleanup:
    return status;
}

clm_status clm_attention_backward(clm_device *device, const clm_attention_gradients *gradients,
                                  const clm_buffer *dout, const clm_buffer *out,
                                  const clm_buffer *lse, const clm_attention_arguments *arguments,
                                  clm_buffer *scratch) {
    const clm_attention_shape *s = &arguments->shape;
    const int wanted = (gradients->dq.buffer != NULL ? want_dq : 0) |
                       (gradients->dk.buffer != NULL ? want_dk : 0) |
                       (gradients->dv.buffer != NULL ? want_dv : 0);
    clm_status status = CLM_OK;
    CLM_TRY(check(arguments, out, NULL));
    const size_t queries = (size_t)s->B * (size_t)s->Tq;
    CLM_TRY(check_dense("dout", dout, queries, (size_t)s->H * (size_t)s->D));
    CLM_TRY(check_dense("lse", lse, queries, (size_t)s->H));
    CLM_TRY(check_gradients(gradients, s, wanted));
    const attention_plan plan = plan_for(device, s);
    if (plan.is_one || plan.is_item) {
        CLM_TRY(backward_whole(device, &plan, gradients, dout, out, lse, arguments, wanted));
    } else {
        CLM_TRY(
            backward_group(device, &plan, gradients, dout, out, lse, arguments, wanted, scratch));
    }
cleanup:
    return status;
}

/* ---- queries, keys and values of one product ---- */

static clm_view part(clm_buffer *buffer, int index, int C) {
    return (clm_view){.buffer = buffer, .offset = (size_t)index * (size_t)C, .stride = 3 * C};
}

clm_attention_arguments clm_attention_fused(clm_buffer *qkv, int B, int T, int H, int D,
                                            bool causal) {
    const int C = H * D;
    return (clm_attention_arguments){
        .shape = {.B = B, .Tq = T, .Tk = T, .H = H, .G = H, .D = D, .causal = causal},
        .q = part(qkv, 0, C),
        .k = part(qkv, 1, C),
        .v = part(qkv, 2, C)};
}

clm_attention_gradients clm_attention_fused_gradients(clm_buffer *dqkv, int H, int D) {
    const int C = H * D;
    return (clm_attention_gradients){part(dqkv, 0, C), part(dqkv, 1, C), part(dqkv, 2, C)};
}
