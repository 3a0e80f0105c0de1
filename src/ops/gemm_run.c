/* One product by a given way: which kernel serves it, in how many pieces where packed weights lie
 * in parts or are made floats again, and the scratch that it takes.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "ops/gemm_backend.h"

/* What weights of 16 bits may take as floats, for one product. */
enum { WIDENED_BYTES = 32 << 20 };

/* ---- kernels ---- */

typedef enum serving { FEW, OUTER, OWN, HALF, CLBLAST } serving;

static serving serving_of(const clm_gemm_way *way, const clm_gemm_task *task) {
    /* CLBlast before 1.6.3 is wrong for K = 1 with some tunings (CLBlast issues 533 and 542). */
    return way->in_halves                 ? HALF
           : way->clblast && task->K > 1  ? CLBLAST
           : way->one_kernel              ? OWN
           : task->M <= CLM_GEMM_FEW_ROWS ? FEW
           : clm_gemm_outer_serves(task)  ? OUTER
                                          : OWN;
}

static clm_status multiply(clm_device *device, const clm_gemm_way *way, const clm_gemm_task *task) {
    switch (serving_of(way, task)) {
        case FEW:
            return clm_gemm_few(device, way->form, task);
        case OUTER:
            return clm_gemm_outer(device, way->form, task);
        case HALF:
            return clm_gemm_half(device, task);
        case CLBLAST:
            return clm_gemm_clblast(device, task);
        case OWN:
            break;
    }
    return clm_gemm_own(device, way->form, task);
}

/* In floats. */
static size_t kernel_scratch(clm_device *device, const clm_gemm_way *way,
                             const clm_gemm_task *task) {
    switch (serving_of(way, task)) {
        case FEW:
            return clm_gemm_few_scratch(device, way->form, task);
        case OUTER:
            return clm_gemm_outer_scratch(task);
        case HALF:
            return 0;
        case CLBLAST:
            return clm_gemm_clblast_scratch(device, task);
        case OWN:
            break;
    }
    return clm_gemm_own_scratch(device, way->form, task);
}

/* A task's columns from `first` on, `columns` at most; its B is still the whole one. */
static clm_gemm_task columns_of(const clm_gemm_task *task, int first, int columns) {
    clm_gemm_task some = *task;
    some.N = smaller(task->N - first, columns);
    some.c_offset += (size_t)first;
    some.bias_offset += (size_t)first;
    some.tail_offset += (size_t)first;
    return some;
}

/* ---- weights of 16 bits ---- */

/* For many rows they are made floats again, so many columns at a time that those are not much
 * memory. They lie in scratch behind what the kernel keeps there. */
static bool is_widened(const clm_gemm_way *way, const clm_gemm_task *task) {
    const serving by = serving_of(way, task);
    return task->b.storage != CLM_GEMM_F32 && by != HALF && by != FEW;
}

static int widened_columns(const clm_device *device, const clm_gemm_task *task) {
    const int panel = clm_gemm_own_panel_columns(device);
    const int panels = parts_of(task->N, panel);
    const size_t fit = WIDENED_BYTES / ((size_t)panel * (size_t)task->K * sizeof(float));
    return (fit == 0 ? 1 : fit < (size_t)panels ? (int)fit : panels) * panel;
}

/* Of a task with widened weights, the columns from `first` on; without their place in scratch. */
static clm_gemm_task widened(const clm_gemm_task *task, int first, int columns) {
    clm_gemm_task some = columns_of(task, first, columns);
    some.b = (clm_gemm_matrix){
        .buffer = task->scratch, .stride = some.N, .panel_depth = task->b.panel_depth};
    return some;
}

/* Where widened weights begin: the last columns may be fewer, and served in another way. */
static size_t widened_at(clm_device *device, const clm_gemm_way *way, const clm_gemm_task *task) {
    const int columns = widened_columns(device, task);
    const clm_gemm_task first = widened(task, 0, columns);
    const clm_gemm_task last = widened(task, (task->N - 1) / columns * columns, columns);
    const size_t floats[2] = {kernel_scratch(device, way, &first),
                              kernel_scratch(device, way, &last)};
    return clm_gemm_section(floats[0] > floats[1] ? floats[0] : floats[1]);
}

static clm_status multiply_widened(clm_device *device, const clm_gemm_way *way,
                                   const clm_gemm_task *task) {
    clm_status status = CLM_OK;
    const bool in_panels = task->b.panel_depth != 0;
    const int panel = clm_gemm_own_panel_columns(device);
    const int columns = widened_columns(device, task);
    const size_t at = widened_at(device, way, task);
    for (int first = 0; first < task->N; first += columns) {
        clm_gemm_task some = widened(task, first, columns);
        clm_gemm_matrix b = task->b;
        some.b.offset = at;
        if (in_panels) {
            b.offset += (size_t)first * (size_t)task->K;
            b.stride = task->K;
            CLM_TRY(clm_gemm_widen(device, task->scratch, at, &b, parts_of(some.N, panel) * panel,
                                   task->K));
        } else {
            b.offset += (size_t)first;
            CLM_TRY(clm_gemm_widen(device, task->scratch, at, &b, task->K, some.N));
        }
        CLM_TRY(multiply(device, way, &some));
    }
cleanup:
    return status;
}

static size_t task_scratch(clm_device *device, const clm_gemm_way *way, const clm_gemm_task *task) {
    return is_widened(way, task) ? widened_at(device, way, task) +
                                       (size_t)widened_columns(device, task) * (size_t)task->K
                                 : kernel_scratch(device, way, task);
}

/* ---- parts of packed weights ---- */

/* The columns of part i: they are columns of c. Without the part's buffer. */
static clm_gemm_task part_of(const clm_gemm_task *whole, const clm_gemm_packing *packing, int i) {
    clm_gemm_task part = columns_of(whole, i * packing->part_columns, packing->part_columns);
    part.b =
        (clm_gemm_matrix){.stride = part.N,
                          .storage = packing->storage,
                          .panel_depth = packing->backend == CLM_GEMM_OWN_PANELS ? packing->K : 0};
    return part;
}

clm_status clm_gemm_run(clm_device *device, const clm_gemm_way *way, const clm_gemm_task *task,
                        const clm_gemm_packed *packed) {
    if (packed == NULL) {
        return multiply(device, way, task);
    }
    clm_status status = CLM_OK;
    for (int i = 0; i < packed->part_count; i++) {
        clm_gemm_task part = part_of(task, &packed->packing, i);
        part.b.buffer = packed->parts[i];
        CLM_TRY(is_widened(way, &part) ? multiply_widened(device, way, &part)
                                       : multiply(device, way, &part));
    }
cleanup:
    return status;
}

size_t clm_gemm_run_scratch_bytes(clm_device *device, const clm_gemm_way *way,
                                  const clm_gemm_task *task, const clm_gemm_packing *packing) {
    if (packing == NULL) {
        return kernel_scratch(device, way, task) * sizeof(float);
    }
    const clm_gemm_task first = part_of(task, packing, 0);
    const clm_gemm_task last = part_of(task, packing, (task->N - 1) / packing->part_columns);
    const size_t floats[2] = {task_scratch(device, way, &first), task_scratch(device, way, &last)};
    return (floats[0] > floats[1] ? floats[0] : floats[1]) * sizeof(float);
}
