/* The host side of cl/gemm.cl: packs what has to be packed, in slices of a bounded size, and
 * launches the kernel for the device.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/clock.h"
#include "ops/gemm_backend.h"
#include "ops/tuning.h"

/* What a device gets where its tuning sets nothing. */
enum {
    VECTORS = 3,
    /* As in cl/gemm.cl. Of 512, 768 and 1536 the fastest at GPT-2 sizes; smaller ones give products
     * of few rows more work-groups, and have smaller errors. */
    K_BLOCK = 768,
    K_STEP = 16,
    SIDE = 4,
    /* Up to so many rows it costs less to read a B that was not packed as it lies. */
    DIRECT_ROWS = 32,
    /* Elements of K that a work-item packs: enough to be worth its launch. */
    PACK_DEPTH = 96,
    PACK_DEPTH_TRANSPOSED = 256,
    /* The block of tiles that a work-item computes: the deeper and higher, the less often sums go
     * through C and panels of B come from afar, while they fit the second-level cache (2 MiB where
     * this was measured; 'clm tune' finds out for another). */
    GROUP_ROWS = 24,
    GROUP_PANELS = 4,
    /* Work-groups for each compute unit, at least, so that all end at about the same time. */
    GROUPS_A_UNIT = 8
};

enum {
    /* Elements of K that are packed and multiplied at a time, rounded to whole K_BLOCKs. */
    SLICE_DEPTH = 3072,
    /* What a slice of A or of B may take when it is packed for one product. */
    SLICE_BYTES = 32 << 20,
    PACK_PANELS = 8 /* as in cl/gemm.cl */
};

/* How gemm.cl is built and launched for a device. */
typedef struct own_shape {
    int width;   /* floats in a vector */
    int rows;    /* of a tile */
    int columns; /* of a tile, which is a panel of B */
    int items;   /* of each side of a work-group of gemm_tiled */
    int side;    /* elements of C that each of those computes, along each side */
    int k_block, k_step;
    int slice_depth;
    int group_rows, group_panels, groups_a_unit;
    int pack_depth, pack_depth_transposed;
    int direct_rows;
    char options[CLM_OPS_OPTIONS_SIZE];
} own_shape;

/* In vectors of `width`, of which there are whole ones in a panel. ITEM is for cl/gemm_few.cl,
 * which is one program with gemm.cl where it has the same options. */
static void write_options(char options[CLM_OPS_OPTIONS_SIZE], const own_shape *shape, int width) {
    (void)snprintf(options, CLM_OPS_OPTIONS_SIZE,
                   "-DWIDTH=%d -DVECTORS=%d -DROWS=%d -DK_BLOCK=%d -DITEMS=%d -DSIDE=%d "
                   "-DK_STEP=%d -DITEM",
                   width, shape->columns / width, shape->rows, shape->k_block, shape->items,
                   shape->side, shape->k_step);
}

static own_shape shape_for(const clm_device *device) {
    const clm_tuning *t = clm_tuning_of(device);
    own_shape shape = {.items = 16};
    const int vectors = clm_tuning_get(t, CLM_SET_GEMM_VECTORS, VECTORS);
    shape.k_block = clm_tuning_get(t, CLM_SET_GEMM_K_BLOCK, K_BLOCK);
    shape.k_step = clm_tuning_get(t, CLM_SET_GEMM_K_STEP, K_STEP);
    shape.width = clm_tuning_get(t, CLM_SET_GEMM_WIDTH, clm_device_vector_width(device));
    /* AVX-512 has 32 registers: 24 sums, 3 of B, and one of A. With 16: 12 sums. */
    shape.rows = clm_tuning_get(t, CLM_SET_GEMM_ROWS, shape.width == 16 ? 8 : 4);
    shape.columns = shape.width * vectors;
    const int largest = (int)clm_device_work_group(device, 256);
    while (shape.items * shape.items > largest) {
        shape.items /= 2;
    }
    shape.items = clm_tuning_get(t, CLM_SET_GEMM_ITEMS, shape.items);
    shape.side = clm_tuning_get(t, CLM_SET_GEMM_SIDE, SIDE);
    shape.slice_depth =
        shape.k_block < SLICE_DEPTH ? SLICE_DEPTH / shape.k_block * shape.k_block : shape.k_block;
    shape.group_rows = clm_tuning_get(t, CLM_SET_GEMM_GROUP_ROWS, GROUP_ROWS);
    shape.group_panels = clm_tuning_get(t, CLM_SET_GEMM_GROUP_PANELS, GROUP_PANELS);
    shape.groups_a_unit = clm_tuning_get(t, CLM_SET_GEMM_GROUPS_A_UNIT, GROUPS_A_UNIT);
    shape.pack_depth = clm_tuning_get(t, CLM_SET_GEMM_PACK_DEPTH, PACK_DEPTH);
    shape.pack_depth_transposed =
        clm_tuning_get(t, CLM_SET_GEMM_PACK_DEPTH_TRANSPOSED, PACK_DEPTH_TRANSPOSED);
    shape.direct_rows = clm_tuning_get(t, CLM_SET_GEMM_DIRECT_ROWS, DIRECT_ROWS);
    write_options(shape.options, &shape, shape.width);
    return shape;
}

void clm_gemm_own_options(const clm_device *device, int width, char options[CLM_OPS_OPTIONS_SIZE]) {
    const own_shape shape = shape_for(device);
    write_options(options, &shape, width);
}

int clm_gemm_own_items(const clm_device *device) {
    return shape_for(device).items;
}

int clm_gemm_own_panel_columns(const clm_device *device) {
    return shape_for(device).columns;
}

int clm_gemm_own_k_block(const clm_device *device) {
    return shape_for(device).k_block;
}

/* ---- packing ---- */

static clm_status pack_b(clm_device *device, const own_shape *shape, clm_buffer *panels, size_t at,
                         const clm_gemm_matrix *b, int K, int N) {
    const int depth = b->transposed ? shape->pack_depth_transposed : shape->pack_depth;
    clm_launch launch = clm_launch_begin(
        device, "gemm", b->transposed ? "gemm_pack_columns_transposed" : "gemm_pack_columns",
        shape->options);
    clm_launch_buffer(&launch, panels);
    clm_launch_ulong(&launch, at);
    clm_launch_buffer(&launch, b->buffer);
    clm_launch_ulong(&launch, b->offset);
    clm_launch_int(&launch, b->stride);
    clm_launch_int(&launch, K);
    clm_launch_int(&launch, N);
    clm_launch_int(&launch, depth);
    const size_t global[2] = {(size_t)parts_of(N, shape->columns), (size_t)parts_of(K, depth)};
    const size_t local[2] = {1, 1};
    return clm_launch_2d(&launch, global, local);
}

/* A, which is transposed. */
static clm_status pack_a(clm_device *device, const own_shape *shape, clm_buffer *panels, size_t at,
                         const clm_gemm_matrix *a, int K, int M) {
    clm_launch launch = clm_launch_begin(device, "gemm", "gemm_pack_rows", shape->options);
    clm_launch_buffer(&launch, panels);
    clm_launch_ulong(&launch, at);
    clm_launch_buffer(&launch, a->buffer);
    clm_launch_ulong(&launch, a->offset);
    clm_launch_int(&launch, a->stride);
    clm_launch_int(&launch, K);
    clm_launch_int(&launch, M);
    clm_launch_int(&launch, shape->pack_depth);
    const size_t global[2] = {(size_t)parts_of(M, PACK_PANELS * shape->rows),
                              (size_t)parts_of(K, shape->pack_depth)};
    const size_t local[2] = {1, 1};
    return clm_launch_2d(&launch, global, local);
}

clm_status clm_gemm_own_pack(clm_device *device, clm_buffer *panels, const clm_gemm_matrix *b,
                             int K, int N) {
    const own_shape shape = shape_for(device);
    return pack_b(device, &shape, panels, 0, b, K, N);
}

clm_status clm_gemm_own_copy(clm_device *device, clm_buffer *dense, const clm_gemm_matrix *matrix,
                             int rows, int columns) {
    const own_shape shape = shape_for(device);
    clm_launch launch = clm_launch_begin(device, "gemm", "gemm_copy", shape.options);
    clm_launch_buffer(&launch, dense);
    clm_launch_ulong(&launch, 0);
    clm_launch_buffer(&launch, matrix->buffer);
    clm_launch_ulong(&launch, matrix->offset);
    clm_launch_int(&launch, matrix->stride);
    clm_launch_int(&launch, matrix->transposed);
    clm_launch_int(&launch, rows);
    clm_launch_int(&launch, columns);
    const size_t global[2] = {(size_t)columns, (size_t)rows};
    const size_t local[2] = {clm_device_work_group(device, 64), 1};
    return clm_launch_2d(&launch, global, local);
}

/* ---- launches ---- */

void clm_gemm_launch_tail(clm_launch *launch, const clm_gemm_task *task) {
    clm_launch_buffer(launch, task->c);
    clm_launch_ulong(launch, task->c_offset);
    clm_launch_int(launch, task->c_stride);
    clm_launch_int(launch, task->flags);
    clm_launch_buffer(launch, task->bias);
    clm_launch_ulong(launch, task->bias_offset);
    clm_launch_buffer(launch, task->pre);
    clm_launch_buffer(launch, task->residual);
    clm_launch_ulong(launch, task->tail_offset);
    clm_launch_int(launch, task->tail_stride);
}

clm_status clm_gemm_own_tail(clm_device *device, const clm_gemm_task *task) {
    const own_shape shape = shape_for(device);
    clm_launch launch = clm_launch_begin(device, "gemm", "gemm_tail", shape.options);
    clm_launch_int(&launch, task->M);
    clm_launch_int(&launch, task->N);
    clm_gemm_launch_tail(&launch, task);
    const size_t global[2] = {(size_t)task->N, (size_t)task->M};
    const size_t local[2] = {clm_device_work_group(device, 256), 1};
    return clm_launch_2d(&launch, global, local);
}

static clm_status launch_tiled(clm_device *device, const own_shape *shape,
                               const clm_gemm_task *task) {
    clm_launch launch = clm_launch_begin(device, "gemm", "gemm_tiled", shape->options);
    clm_launch_int(&launch, task->M);
    clm_launch_int(&launch, task->N);
    clm_launch_int(&launch, task->K);
    const clm_gemm_matrix *const operands[2] = {&task->a, &task->b};
    for (int i = 0; i < 2; i++) {
        clm_launch_buffer(&launch, operands[i]->buffer);
        clm_launch_ulong(&launch, operands[i]->offset);
        clm_launch_int(&launch, operands[i]->transposed ? 1 : operands[i]->stride);
        clm_launch_int(&launch, operands[i]->transposed ? operands[i]->stride : 1);
    }
    clm_gemm_launch_tail(&launch, task);
    const size_t items = (size_t)shape->items;
    const size_t block = (size_t)shape->side * items;
    const size_t global[2] = {((size_t)task->N + block - 1) / block * items,
                              ((size_t)task->M + block - 1) / block * items};
    const size_t local[2] = {items, items};
    return clm_launch_2d(&launch, global, local);
}

/* How many of `tiles` a work-group takes: `most`, or what shares them more evenly. */
static int share(int tiles, int most, int groups_wanted) {
    int groups = parts_of(tiles, most);
    if (groups < groups_wanted) {
        groups = smaller(groups_wanted, tiles);
    }
    return parts_of(tiles, groups);
}

/* B lies in panels, or may be read as if it did: whole tiles only. */
static clm_status launch_panels(clm_device *device, const own_shape *shape,
                                const clm_gemm_task *task) {
    const clm_gemm_matrix *a = &task->a;
    const clm_gemm_matrix *b = &task->b;
    bool a_in_panels = a->panel_depth != 0;
    bool b_in_panels = b->panel_depth != 0;
    const int tiles = parts_of(task->M, shape->rows);
    const int panels = parts_of(task->N, shape->columns);
    const int wanted = shape->groups_a_unit * clm_device_get_info(device)->compute_units;
    const int most_tiles = larger(clm_device_iteration_limit(device) / larger(task->K, 1), 1);
    const int group_rows = share(tiles, smaller(shape->group_rows, most_tiles), 1);
    const int row_groups = parts_of(tiles, group_rows);
    const int most_panels = larger(smaller(shape->group_panels, most_tiles / group_rows), 1);
    const int group_panels = share(panels, most_panels, parts_of(wanted, row_groups));

    clm_launch launch = clm_launch_begin(device, "gemm", "gemm_panels", shape->options);
    clm_launch_int(&launch, task->M);
    clm_launch_int(&launch, task->N);
    clm_launch_int(&launch, task->K);
    clm_launch_buffer(&launch, a->buffer);
    clm_launch_ulong(&launch, a->offset);
    clm_launch_int(&launch, shape->rows * (a_in_panels ? a->panel_depth : a->stride));
    clm_launch_int(&launch, a_in_panels ? 1 : a->stride);
    clm_launch_int(&launch, a_in_panels ? shape->rows : 1);
    clm_launch_buffer(&launch, b->buffer);
    clm_launch_ulong(&launch, b->offset);
    clm_launch_int(&launch, shape->columns * (b_in_panels ? b->panel_depth : 1));
    clm_launch_int(&launch, b_in_panels ? shape->columns : b->stride);
    clm_gemm_launch_tail(&launch, task);
    clm_launch_int(&launch, group_rows);
    clm_launch_int(&launch, group_panels);
    const size_t global[2] = {(size_t)row_groups, (size_t)parts_of(panels, group_panels)};
    const size_t local[2] = {1, 1};
    return clm_launch_2d(&launch, global, local);
}

/* ---- slices ---- */

static clm_gemm_task slice_rows(const clm_gemm_task *task, int first, int rows) {
    clm_gemm_task slice = *task;
    slice.M = smaller(rows, task->M - first);
    slice.a.offset += (size_t)first * (size_t)(task->a.transposed ? 1 : task->a.stride);
    slice.c_offset += (size_t)first * (size_t)task->c_stride;
    slice.tail_offset += (size_t)first * (size_t)task->tail_stride;
    return slice;
}

static clm_gemm_task slice_columns(const clm_gemm_task *task, int first, int columns) {
    clm_gemm_task slice = *task;
    slice.N = smaller(columns, task->N - first);
    slice.b.offset += task->b.panel_depth != 0
                          ? (size_t)first * (size_t)task->b.panel_depth
                          : (size_t)first * (size_t)(task->b.transposed ? task->b.stride : 1);
    slice.c_offset += (size_t)first;
    slice.bias_offset += (size_t)first;
    slice.tail_offset += (size_t)first;
    return slice;
}

/* The tail waits for the last slice, and all but the first add to what is there. A slice is whole
 * K_BLOCKs, so that the sums are those of the whole. */
static clm_gemm_task slice_depth(const clm_gemm_task *task, int first, int depth, int panel) {
    clm_gemm_task slice = *task;
    slice.K = smaller(depth, task->K - first);
    slice.a.offset += (size_t)first * (size_t)(task->a.transposed ? task->a.stride : 1);
    if (task->b.panel_depth != 0) {
        slice.b.offset += (size_t)first * (size_t)panel;
    } else {
        slice.b.offset += (size_t)first * (size_t)(task->b.transposed ? 1 : task->b.stride);
    }
    if (first > 0) {
        slice.flags = (slice.flags & ~CLM_GEMM_BEGIN) | CLM_GEMM_ADD_C;
    }
    if (first + slice.K < task->K) {
        slice.flags &= CLM_GEMM_BEGIN;
    }
    return slice;
}

/* How large packed slices are, and where in scratch; an operand that is read as it lies is one
 * slice, but not of more of K than a work-item may go round for. */
typedef struct own_plan {
    int rows, columns, depth;
    bool packs_a, packs_b;
    size_t b_at;   /* A is at 0 */
    size_t floats; /* of both */
} own_plan;

/* The most tiles of `tile` rows or columns, `depth` deep, that fit a slice: at least one. */
static int tiles_in_slice(int all, int tile, int depth) {
    const size_t tile_bytes = (size_t)tile * (size_t)depth * sizeof(float);
    const size_t fit = SLICE_BYTES / tile_bytes;
    const int tiles = parts_of(all, tile);
    return fit == 0 ? 1 : fit < (size_t)tiles ? (int)fit : tiles;
}

static own_plan plan_slices(const clm_device *device, const own_shape *shape,
                            const clm_gemm_task *task) {
    own_plan plan = {.rows = task->M,
                     .columns = task->N,
                     .packs_a = task->a.transposed,
                     .packs_b = task->b.panel_depth == 0};
    const int most =
        larger(clm_device_iteration_limit(device) / shape->k_block, 1) * shape->k_block;
    plan.depth = smaller(task->K, plan.packs_a || plan.packs_b ? shape->slice_depth : most);
    if (plan.packs_a) {
        plan.rows = tiles_in_slice(task->M, shape->rows, plan.depth) * shape->rows;
        plan.b_at = clm_gemm_section((size_t)plan.rows * (size_t)plan.depth);
    }
    plan.floats = plan.b_at;
    if (plan.packs_b) {
        plan.columns = tiles_in_slice(task->N, shape->columns, plan.depth) * shape->columns;
        plan.floats += (size_t)plan.columns * (size_t)plan.depth;
    }
    return plan;
}

static clm_status pack_a_slice(clm_device *device, const own_shape *shape, clm_gemm_task *slice) {
    const clm_status status =
        pack_a(device, shape, slice->scratch, 0, &slice->a, slice->K, slice->M);
    slice->a = (clm_gemm_matrix){.buffer = slice->scratch, .panel_depth = slice->K};
    return status;
}

/* One slice of K and of columns, by slices of rows. */
static clm_status multiply_rows(clm_device *device, const own_shape *shape, const own_plan *plan,
                                const clm_gemm_task *task) {
    clm_status status = CLM_OK;
    for (int m = 0; m < task->M; m += plan->rows) {
        clm_gemm_task slice = task->a.panel_depth != 0 ? *task : slice_rows(task, m, plan->rows);
        if (slice.a.transposed) {
            CLM_TRY(pack_a_slice(device, shape, &slice));
        }
        CLM_TRY(launch_panels(device, shape, &slice));
    }
cleanup:
    return status;
}

/* The queue is in order, so the next slice may be packed over the last one. */
static clm_status multiply_slices(clm_device *device, const own_shape *shape, const own_plan *plan,
                                  const clm_gemm_task *task) {
    clm_status status = CLM_OK;
    for (int k = 0; k < task->K; k += plan->depth) {
        clm_gemm_task deep = slice_depth(task, k, plan->depth, shape->columns);
        if (plan->packs_a && plan->rows >= task->M) {
            CLM_TRY(pack_a_slice(device, shape, &deep));
        }
        for (int n = 0; n < task->N; n += plan->columns) {
            clm_gemm_task slice = slice_columns(&deep, n, plan->columns);
            if (plan->packs_b) {
                CLM_TRY(
                    pack_b(device, shape, slice.scratch, plan->b_at, &slice.b, slice.K, slice.N));
                slice.b = (clm_gemm_matrix){
                    .buffer = slice.scratch, .offset = plan->b_at, .panel_depth = slice.K};
            }
            CLM_TRY(multiply_rows(device, shape, plan, &slice));
        }
    }
cleanup:
    return status;
}

/* The columns that are read as B lies, in whole panels: of few rows, for which packing costs more.
 */
static int direct_columns(const own_shape *shape, const clm_gemm_task *task) {
    const bool direct = task->b.panel_depth == 0 && !task->b.transposed && !task->a.transposed &&
                        task->M <= shape->direct_rows;
    return direct ? task->N - task->N % shape->columns : 0;
}

static clm_status multiply_panels(clm_device *device, const own_shape *shape,
                                  const clm_gemm_task *task) {
    clm_status status = CLM_OK;
    const int whole = direct_columns(shape, task);
    if (whole > 0) {
        const clm_gemm_task head = slice_columns(task, 0, whole);
        CLM_TRY(launch_panels(device, shape, &head));
    }
    if (whole < task->N) {
        const clm_gemm_task rest = slice_columns(task, whole, task->N - whole);
        const own_plan plan = plan_slices(device, shape, &rest);
        CLM_TRY(multiply_slices(device, shape, &plan, &rest));
    }
cleanup:
    return status;
}

clm_status clm_gemm_own(clm_device *device, clm_gemm_backend form, const clm_gemm_task *task) {
    const own_shape shape = shape_for(device);
    return form == CLM_GEMM_OWN_PANELS ? multiply_panels(device, &shape, task)
                                       : launch_tiled(device, &shape, task);
}

size_t clm_gemm_own_scratch(const clm_device *device, clm_gemm_backend form,
                            const clm_gemm_task *task) {
    const own_shape shape = shape_for(device);
    const int whole = direct_columns(&shape, task);
    if (form != CLM_GEMM_OWN_PANELS || whole == task->N) {
        return 0;
    }
    const clm_gemm_task rest = slice_columns(task, whole, task->N - whole);
    return plan_slices(device, &shape, &rest).floats;
}

/* ---- the device's limit ---- */

clm_status clm_gemm_own_peak(clm_device *device, double *flops) {
    clm_status status = CLM_OK;
    clm_buffer *out = NULL;
    const own_shape shape = shape_for(device);
    bool is_cpu = clm_device_is_cpu(device);
    const size_t local = is_cpu ? 1 : clm_device_work_group(device, 64);
    const size_t units = (size_t)clm_device_get_info(device)->compute_units;
    const size_t items = units * (is_cpu ? 8 : 32 * local);
    int rounds = 4; /* a simulator is slow even at that */
    double seconds = 0;
    CLM_TRY(clm_buffer_create(&out, device, items * sizeof(float), "the measurement of a peak"));
    /* Doubled until one launch takes long against what a launch costs. */
    for (int i = 0; i < 24 && seconds < 4e-3; i++, rounds *= 2) {
        seconds = 1e30;
        for (int repeat = 0; repeat < 3; repeat++) {
            CLM_TRY(clm_device_finish(device));
            const double start = clm_seconds();
            clm_launch launch = clm_launch_begin(device, "gemm", "gemm_peak", shape.options);
            clm_launch_buffer(&launch, out);
            clm_launch_int(&launch, rounds);
            clm_launch_float(&launch, 0.5f);
            clm_launch_float(&launch, 1.0f);
            CLM_TRY(clm_launch_1d(&launch, items, local));
            CLM_TRY(clm_device_finish(device));
            const double took = clm_seconds() - start;
            seconds = took < seconds ? took : seconds;
        }
        *flops = 2.0 * (double)items * (double)rounds * shape.rows * shape.columns / seconds;
    }
cleanup:
    clm_buffer_release(out);
    return status;
}
