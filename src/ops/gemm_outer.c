/* The host side of cl/gemm_outer.cl: products of a small K, at the speed at which C is read and
 * written.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "ops/gemm_backend.h"

enum {
    /* Tiles of a work-item that is a thread, as in cl/gemm_outer.cl ... */
    ITEM_ROWS = 4,
    ITEM_VECTORS = 2,
    ITEM_TILES = 4,         /* ... one below the other, at most */
    ITEM_GROUPS_A_UNIT = 8, /* work-groups for each compute unit, at least */
    /* ... and on GPUs. */
    ROWS = 8,
    GROUP_WIDTH = 4,
    GROUP = 64
};

typedef struct outer_shape {
    int local;
    int tile_rows, tile_columns;
    int rows, columns; /* of a work-group */
    char options[64];
} outer_shape;

/* Whole rows where there are groups enough: the longer the runs, the better memory reads ahead. */
static void share_among_items(outer_shape *shape, const clm_device *device,
                              const clm_gemm_task *task) {
    const int row_tiles = parts_of(task->M, shape->tile_rows);
    const int column_tiles = parts_of(task->N, shape->tile_columns);
    const int wanted = ITEM_GROUPS_A_UNIT * clm_device_get_info(device)->compute_units;
    /* A tile at an edge goes round for each of its vectors. */
    const int rounds = shape->tile_rows * ITEM_VECTORS * (task->K + 1);
    const int most = larger(clm_device_iteration_limit(device) / rounds, 1);
    int across = smaller(column_tiles, most);
    int down = larger(smaller(smaller(row_tiles / wanted, ITEM_TILES), most / across), 1);
    if (row_tiles < wanted) {
        across = smaller(across, parts_of(column_tiles, parts_of(wanted, row_tiles)));
    }
    shape->rows = down * shape->tile_rows;
    shape->columns = across * shape->tile_columns;
}

static outer_shape shape_for(const clm_device *device, clm_gemm_backend form,
                             const clm_gemm_task *task) {
    outer_shape shape = {.local = 1, .tile_rows = ITEM_ROWS};
    int width = clm_device_vector_width(device);
    if (form == CLM_GEMM_OWN_TILED) {
        width = GROUP_WIDTH;
        shape.local = (int)clm_device_work_group(device, GROUP);
    }
    if (shape.local > 1) {
        shape.tile_rows = shape.rows = ROWS;
        shape.columns = shape.local * width;
    } else {
        shape.tile_columns = width * ITEM_VECTORS;
        share_among_items(&shape, device, task);
    }
    /* As of other operations, with some of which it is built (src/device/program.c). */
    (void)snprintf(shape.options, sizeof shape.options, "-DWIDTH=%d -DLOCAL=%d", width,
                   shape.local);
    return shape;
}

bool clm_gemm_outer_serves(const clm_gemm_task *task) {
    return task->K <= CLM_GEMM_OUTER_DEPTH && task->b.panel_depth == 0 &&
           task->b.storage == CLM_GEMM_F32;
}

/* A copy of a transposed B, which is small beside C. */
size_t clm_gemm_outer_scratch(const clm_gemm_task *task) {
    return task->b.transposed ? (size_t)task->K * (size_t)task->N : 0;
}

clm_status clm_gemm_outer(clm_device *device, clm_gemm_backend form, const clm_gemm_task *task) {
    clm_status status = CLM_OK;
    clm_gemm_matrix b = task->b;
    if (b.transposed) {
        CLM_TRY(clm_gemm_own_copy(device, task->scratch, &task->b, task->K, task->N));
        b = (clm_gemm_matrix){.buffer = task->scratch, .stride = task->N};
    }
    const outer_shape shape = shape_for(device, form, task);
    clm_launch launch = clm_launch_begin(device, "gemm_outer", "gemm_outer", shape.options);
    clm_launch_int(&launch, task->M);
    clm_launch_int(&launch, task->N);
    clm_launch_int(&launch, task->K);
    clm_launch_buffer(&launch, task->a.buffer);
    clm_launch_ulong(&launch, task->a.offset);
    clm_launch_int(&launch, task->a.transposed ? 1 : task->a.stride);
    clm_launch_int(&launch, task->a.transposed ? task->a.stride : 1);
    clm_launch_buffer(&launch, b.buffer);
    clm_launch_ulong(&launch, b.offset);
    clm_launch_int(&launch, b.stride);
    clm_gemm_launch_tail(&launch, task);
    clm_launch_int(&launch, shape.rows);
    clm_launch_int(&launch, shape.columns);
    const size_t local[2] = {(size_t)shape.local, 1};
    const size_t global[2] = {(size_t)parts_of(task->N, shape.columns) * local[0],
                              (size_t)parts_of(task->M, shape.rows)};
    CLM_TRY(clm_launch_2d(&launch, global, local));
cleanup:
    return status;
}
