/* The host side of cl/gemm_few.cl: products of few rows, at the speed of memory.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "ops/common.h"
#include "ops/gemm_backend.h"

enum {
    /* As in cl/gemm_few.cl. */
    BLOCK = 512,
    STEP = 8,
    /* Work-groups for each compute unit, at least, before K is shared out ... */
    ITEM_GROUPS_A_UNIT = 2, /* ... of one work-item that is a thread */
    GROUPS_A_UNIT = 4,
    GROUP = 128,       /* work-items of a group on GPUs ... */
    GROUP_ACROSS = 16, /* ... that read side by side */
    /* Elements of K for which a slice is worth its sums on GPUs. */
    SLICE_DEPTH = 128
};

/* How the kernels are built for a device and a storage; in the form for GPUs also for a number of
 * rows. */
typedef struct few_shape {
    int width;
    int columns; /* of a panel */
    int group;   /* items of a work-group */
    int across;
    int rows;        /* of A that an item has in registers */
    char panels[24]; /* the kernel for panels, in the form for processors; else "" */
    char options[CLM_OPS_OPTIONS_SIZE];
} few_shape;

static few_shape item_shape(const clm_device *device, int M, clm_gemm_storage storage) {
    few_shape shape = {.width = clm_device_vector_width(device), .group = 1, .across = 1};
    shape.columns = clm_gemm_own_panel_columns(device);
    /* While B comes from memory, processors have time for rows that are not there. */
    shape.rows = M == 1 ? 1 : M <= 4 || shape.width < 16 ? 4 : 8;
    (void)snprintf(shape.panels, sizeof shape.panels, "gemm_few_panels_%d", shape.rows);
    clm_gemm_own_options(device, shape.width, shape.options);
    if (storage != CLM_GEMM_F32) {
        const size_t length = strlen(shape.options);
        (void)snprintf(shape.options + length, sizeof shape.options - length, " -DSTORAGE=%d",
                       (int)storage);
    }
    return shape;
}

static few_shape group_shape(const clm_device *device, int M, clm_gemm_storage storage) {
    few_shape shape = {.width = 4, .rows = 1};
    shape.columns = clm_gemm_own_panel_columns(device);
    shape.group = (int)clm_device_work_group(device, GROUP);
    shape.across = smaller(shape.group, GROUP_ACROSS);
    while (shape.rows < M) {
        shape.rows *= 2;
    }
    (void)snprintf(shape.options, sizeof shape.options,
                   "-DWIDTH=%d -DROWS=%d -DSTORAGE=%d -DLOCAL=%d -DACROSS=%d", shape.width,
                   shape.rows, (int)storage, shape.group, shape.across);
    return shape;
}

static few_shape shape_for(const clm_device *device, clm_gemm_backend form, int M,
                           clm_gemm_storage storage) {
    return form == CLM_GEMM_OWN_TILED ? group_shape(device, M, storage)
                                      : item_shape(device, M, storage);
}

clm_ops_variant clm_gemm_few_variant(const clm_device *device, clm_gemm_storage storage) {
    clm_ops_variant variant = clm_ops_variant_for(device, "gemm_few");
    const few_shape shape = shape_for(
        device, variant.local == 1 ? CLM_GEMM_OWN_PANELS : CLM_GEMM_OWN_TILED, 1, storage);
    variant.width = shape.width;
    (void)snprintf(variant.options, sizeof variant.options, "%s", shape.options);
    return variant;
}

/* Which kernel a product gets, and how it is shared. */
typedef struct few_plan {
    const char *kernel;
    int group_columns; /* of C, for a work-group */
    int groups;
    int slices;         /* of K */
    int depth;          /* of a slice */
    bool takes_columns; /* the kernel's last argument is group_columns */
} few_plan;

/* How often a work-item goes round its inner loops at most: that leaves the device's limit room for
 * what is done at edges and between blocks. */
static int most_rounds(const clm_device *device) {
    return clm_device_iteration_limit(device) / 5 * 3;
}

/* Columns of a work-group for kernels that read B as it lies: long runs of memory, but something
 * for each unit. `rounds` is what a vector of columns takes for one K_BLOCK. */
static int unpacked_columns(const clm_device *device, const few_shape *shape,
                            const clm_gemm_task *task, int rounds) {
    const int units = clm_device_get_info(device)->compute_units;
    const int tiles = parts_of(task->N, shape->width);
    const int most =
        larger(smaller(BLOCK / shape->width, most_rounds(device) / larger(rounds, 1)), 1);
    const int fewest = parts_of(tiles, most);
    const int groups = smaller(tiles, parts_of(fewest, units) * units);
    return parts_of(tiles, groups) * shape->width;
}

/* All of K in a work-item, or one K_BLOCK where there are too few work-items otherwise or the
 * device stops them sooner: the sum is the same (cl/gemm.clh). */
static few_plan item_plan(const clm_device *device, const few_shape *shape,
                          const clm_gemm_task *task) {
    const int units = clm_device_get_info(device)->compute_units;
    const int block = smaller(clm_gemm_own_k_block(device), task->K);
    const int blocks = parts_of(task->K, block);
    few_plan plan = {.depth = task->K, .slices = 1};
    int wanted = ITEM_GROUPS_A_UNIT * units;
    long rounds = 0; /* of a work-item for one block */
    if (task->b.panel_depth != 0) {
        plan.kernel = shape->panels;
        plan.group_columns = shape->columns;
        rounds = (long)block * parts_of(task->M, shape->rows);
    } else {
        /* Transposing a square is some loops, which compilers need not unroll. */
        const int tile_rounds = task->b.transposed
                                    ? (task->M + 4 * shape->width) * parts_of(block, shape->width)
                                    : (task->M + 1) * parts_of(block, STEP);
        plan.kernel = task->b.transposed ? "gemm_few_columns" : "gemm_few_rows";
        plan.group_columns = unpacked_columns(device, shape, task, tile_rounds);
        plan.takes_columns = true;
        rounds = (long)tile_rounds * (plan.group_columns / shape->width);
        wanted = units;
    }
    plan.groups = parts_of(task->N, plan.group_columns);
    if (plan.groups < wanted || rounds * blocks > most_rounds(device)) {
        plan.depth = block;
        plan.slices = blocks;
    }
    return plan;
}

static few_plan group_plan(const clm_device *device, const few_shape *shape,
                           const clm_gemm_task *task) {
    const int wanted = GROUPS_A_UNIT * clm_device_get_info(device)->compute_units;
    few_plan plan = {
        .kernel = task->b.transposed ? "gemm_few_group_columns" : "gemm_few_group",
        .group_columns = task->b.transposed ? shape->group / shape->across : 4 * shape->across};
    plan.groups = parts_of(task->N, plan.group_columns);
    int slices = 1;
    if (plan.groups < wanted) {
        slices = smaller(parts_of(wanted, plan.groups), parts_of(task->K, SLICE_DEPTH));
    }
    slices = larger(slices, task->K / most_rounds(device) + 1);
    /* Whole steps, but in the last slice. */
    plan.depth = parts_of(parts_of(task->K, STEP), slices) * STEP;
    plan.slices = parts_of(task->K, plan.depth);
    return plan;
}

static few_plan plan_for(const clm_device *device, const few_shape *shape,
                         const clm_gemm_task *task) {
    return shape->panels[0] != '\0' ? item_plan(device, shape, task)
                                    : group_plan(device, shape, task);
}

static clm_status launch_few(clm_device *device, const few_shape *shape, const few_plan *plan,
                             const clm_gemm_task *task) {
    clm_launch launch = clm_launch_begin(device, "gemm_few", plan->kernel, shape->options);
    clm_launch_int(&launch, task->M);
    clm_launch_int(&launch, task->N);
    clm_launch_int(&launch, task->K);
    clm_launch_int(&launch, plan->depth);
    clm_launch_buffer(&launch, task->a.buffer);
    clm_launch_ulong(&launch, task->a.offset);
    clm_launch_int(&launch, task->a.stride);
    clm_launch_buffer(&launch, task->b.buffer);
    clm_launch_ulong(&launch, task->b.offset);
    clm_launch_int(
        &launch, task->b.panel_depth != 0 ? shape->columns * task->b.panel_depth : task->b.stride);
    clm_gemm_launch_tail(&launch, task);
    clm_launch_ulong(&launch, (size_t)task->M * (size_t)task->N);
    if (plan->takes_columns) {
        clm_launch_int(&launch, plan->group_columns);
    }
    const size_t global[2] = {(size_t)plan->groups * (size_t)shape->group, (size_t)plan->slices};
    const size_t local[2] = {(size_t)shape->group, 1};
    return clm_launch_2d(&launch, global, local);
}

/* The kernel is the same for any number of rows and any storage, and built once, for one row. */
static clm_status add_slices(clm_device *device, clm_gemm_backend form, const few_plan *plan,
                             size_t sums_at, const clm_gemm_task *task) {
    const few_shape shape = shape_for(device, form, 1, CLM_GEMM_F32);
    clm_launch launch = clm_launch_begin(device, "gemm_few", "gemm_few_add", shape.options);
    clm_launch_int(&launch, task->M);
    clm_launch_int(&launch, task->N);
    clm_launch_buffer(&launch, task->scratch);
    clm_launch_ulong(&launch, sums_at);
    clm_launch_int(&launch, plan->slices);
    clm_launch_ulong(&launch, (size_t)task->M * (size_t)task->N);
    clm_gemm_launch_tail(&launch, task);
    const size_t global[2] = {(size_t)task->N, (size_t)task->M};
    const size_t local[2] = {clm_device_work_group(device, 64), 1};
    return clm_launch_2d(&launch, global, local);
}

/* All the K, or slices of it into scratch and their sum. */
static clm_status multiply(clm_device *device, clm_gemm_backend form, const few_shape *shape,
                           const clm_gemm_task *task, size_t sums_at) {
    clm_status status = CLM_OK;
    const few_plan plan = plan_for(device, shape, task);
    if (plan.slices == 1) {
        return launch_few(device, shape, &plan, task);
    }
    clm_gemm_task part = *task;
    part.c = task->scratch;
    part.c_offset = sums_at;
    part.c_stride = task->N;
    part.flags = 0;
    CLM_TRY(launch_few(device, shape, &plan, &part));
    CLM_TRY(add_slices(device, form, &plan, sums_at, task));
cleanup:
    return status;
}

/* Other kernels than these two do not depend on the number of rows, and are built for one. */
static few_shape shape_of(const clm_device *device, clm_gemm_backend form,
                          const clm_gemm_task *task) {
    const bool by_rows = form == CLM_GEMM_OWN_TILED || task->b.panel_depth != 0;
    return shape_for(device, form, by_rows ? task->M : 1, task->b.storage);
}

/* Of a copy of a transposed A, which is small beside B; sums over slices of K come after it. */
static size_t copy_floats(const clm_gemm_task *task) {
    return task->a.transposed ? clm_gemm_section((size_t)task->M * (size_t)task->K) : 0;
}

size_t clm_gemm_few_scratch(const clm_device *device, clm_gemm_backend form,
                            const clm_gemm_task *task) {
    const few_shape shape = shape_of(device, form, task);
    const few_plan plan = plan_for(device, &shape, task);
    const size_t sums = (size_t)plan.slices * (size_t)task->M * (size_t)task->N;
    return copy_floats(task) + (plan.slices > 1 ? sums : 0);
}

clm_status clm_gemm_few(clm_device *device, clm_gemm_backend form, const clm_gemm_task *task) {
    clm_status status = CLM_OK;
    clm_gemm_task straight = *task;
    const few_shape shape = shape_of(device, form, task);
    if (task->a.transposed) {
        CLM_TRY(clm_gemm_own_copy(device, task->scratch, &task->a, task->M, task->K));
        straight.a = (clm_gemm_matrix){.buffer = task->scratch, .stride = task->K};
    }
    CLM_TRY(multiply(device, form, &shape, &straight, copy_floats(task)));
cleanup:
    return status;
}
