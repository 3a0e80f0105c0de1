/* Checks a product, takes it apart where packed weights lie in several pieces, and hands it to a
 * backend.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "ops/gemm.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "ops/gemm_backend.h"
#include "ops/tuning.h"

/* Kernels multiply strides by the rows or columns of a tile, at most 64, in int. */
enum { LARGEST_STRIDE = INT_MAX / 64 };

/* What weights of 16 bits may take as floats, for one product. */
enum { WIDENED_BYTES = 32 << 20 };

/* ---- which backend ---- */

/* Kept for a device until it is closed. */
typedef struct gemm_state {
    clm_gemm_backend backend;       /* AUTO until chosen */
    bool forced;                    /* for few rows too: by $CLM_GEMM, or clm_gemm_use() */
    clm_gemm_backend form;          /* that OWN stands for; AUTO: the usual one */
    clm_gemm_arithmetic arithmetic; /* AUTO until chosen */
} gemm_state;

static void close_state(void *context) {
    clm_free(context);
}

static clm_status state_of(clm_device *device, gemm_state **state) {
    *state = clm_device_close_context(device, close_state);
    if (*state != NULL) {
        return CLM_OK;
    }
    clm_status status = clm_allocate(state, 1, sizeof **state, "the choice of a GEMM");
    if (status == CLM_OK) {
        status = clm_device_on_close(device, close_state, *state);
        if (status != CLM_OK) {
            clm_free(*state);
            *state = NULL;
        }
    }
    return status;
}

static clm_status forced_backend(clm_gemm_backend *backend) {
    const char *name = getenv("CLM_GEMM");
    *backend = CLM_GEMM_AUTO;
    if (name == NULL || name[0] == '\0' || strcmp(name, "auto") == 0) {
        return CLM_OK;
    }
    for (int i = CLM_GEMM_OWN; i <= CLM_GEMM_OWN_TILED; i++) {
        if (strcmp(name, clm_gemm_backend_name((clm_gemm_backend)i)) == 0) {
            *backend = (clm_gemm_backend)i;
            return CLM_OK;
        }
    }
    return clm_fail(CLM_ERROR_ARGUMENT, "CLM_GEMM is \"%s\": it may be auto, own or clblast", name);
}

const char *clm_gemm_backend_name(clm_gemm_backend backend) {
    switch (backend) {
        case CLM_GEMM_OWN:
            return "own";
        case CLM_GEMM_CLBLAST:
            return "clblast";
        case CLM_GEMM_OWN_PANELS:
            return "own-panels";
        case CLM_GEMM_OWN_TILED:
            return "own-tiled";
        case CLM_GEMM_AUTO:
            break;
    }
    return "auto";
}

clm_status clm_gemm_backend_for(clm_device *device, clm_gemm_backend *backend) {
    gemm_state *state = NULL;
    clm_status status = state_of(device, &state);
    if (status != CLM_OK) {
        return status;
    }
    if (state->backend == CLM_GEMM_AUTO) {
        clm_gemm_backend chosen = CLM_GEMM_AUTO;
        CLM_TRY(forced_backend(&chosen));
        state->forced = chosen != CLM_GEMM_AUTO;
        if (!state->forced) {
            CLM_TRY(clm_gemm_choose(device, &chosen));
        }
        state->backend = chosen;
    }
    *backend = state->backend;
cleanup:
    return status;
}

clm_status clm_gemm_use(clm_device *device, clm_gemm_backend backend, bool few_too) {
    gemm_state *state = NULL;
    clm_status status = state_of(device, &state);
    if (status == CLM_OK) {
        const bool own = backend == CLM_GEMM_OWN_PANELS || backend == CLM_GEMM_OWN_TILED;
        state->backend = backend;
        state->forced = few_too;
        state->form = own ? backend : CLM_GEMM_AUTO;
    }
    return status;
}

clm_status clm_gemm_use_arithmetic(clm_device *device, clm_gemm_arithmetic arithmetic) {
    gemm_state *state = NULL;
    clm_status status = state_of(device, &state);
    if (status == CLM_OK) {
        state->arithmetic = arithmetic;
    }
    return status;
}

clm_status clm_gemm_arithmetic_of(clm_device *device, clm_gemm_arithmetic *arithmetic) {
    gemm_state *state = NULL;
    clm_status status = state_of(device, &state);
    if (status == CLM_OK && state->arithmetic == CLM_GEMM_ARITHMETIC_AUTO) {
        status = clm_gemm_choose_arithmetic(device, &state->arithmetic);
    }
    *arithmetic = status == CLM_OK ? state->arithmetic : CLM_GEMM_IN_FLOATS;
    return status;
}

clm_status clm_gemm_resolve(clm_device *device, clm_gemm_backend *backend) {
    clm_status status = CLM_OK;
    if (*backend == CLM_GEMM_AUTO) {
        status = clm_gemm_backend_for(device, backend);
    }
    if (*backend == CLM_GEMM_OWN) {
        const gemm_state *state = clm_device_close_context(device, close_state);
        *backend = state != NULL && state->form != CLM_GEMM_AUTO
                       ? state->form
                       : (clm_gemm_backend)clm_tuning_get(
                             clm_tuning_of(device), CLM_SET_GEMM_FORM,
                             clm_device_is_cpu(device) ? CLM_GEMM_OWN_PANELS : CLM_GEMM_OWN_TILED);
    }
    return status;
}

/* What serves a product that may choose: one of few rows, or of a small K, goes to the kernels made
 * for that. */
static clm_status choose_for(clm_device *device, const clm_gemm_arguments *arguments,
                             clm_gemm_backend *backend) {
    clm_status status = CLM_OK;
    gemm_state *state = NULL;
    *backend = arguments->b_packed != NULL ? arguments->b_packed->backend : CLM_GEMM_AUTO;
    CLM_TRY(clm_gemm_resolve(device, backend));
    const bool has_own_kernels =
        arguments->M <= CLM_GEMM_FEW_ROWS || arguments->K <= CLM_GEMM_OUTER_DEPTH;
    if (*backend == CLM_GEMM_CLBLAST && has_own_kernels) {
        CLM_TRY(state_of(device, &state));
        if (!state->forced) {
            *backend = CLM_GEMM_OWN;
            status = clm_gemm_resolve(device, backend);
        }
    }
cleanup:
    return status;
}

static clm_status multiply(clm_device *device, clm_gemm_backend backend,
                           const clm_gemm_task *task) {
    /* CLBlast before 1.6.3 is wrong for K = 1 with some tunings (CLBlast issues 533 and 542). */
    if (backend == CLM_GEMM_CLBLAST && task->K == 1) {
        backend = CLM_GEMM_OWN;
        (void)clm_gemm_resolve(device, &backend);
    }
    return backend == CLM_GEMM_CLBLAST ? clm_gemm_clblast(device, task)
                                       : clm_gemm_own(device, backend, task);
}

/* ---- checks ---- */

/* A stride of 0 is dense. */
static int stride_or(int stride, int columns) {
    return stride == 0 ? columns : stride;
}

static clm_status check_matrix(const char *name, const clm_buffer *buffer, size_t offset, int rows,
                               int columns, int stride) {
    if (buffer == NULL) {
        return clm_fail(CLM_ERROR_ARGUMENT, "gemm: no buffer for %s", name);
    }
    if (stride < columns || stride > LARGEST_STRIDE) {
        return clm_fail(CLM_ERROR_SHAPE, "gemm: rows of %s have %d elements and are %d apart", name,
                        columns, stride);
    }
    size_t last = (size_t)(rows - 1) * (size_t)stride + (size_t)columns;
    size_t have = clm_buffer_size_bytes(buffer) / sizeof(float);
    if (offset > have || last > have - offset) {
        return clm_fail(CLM_ERROR_SHAPE,
                        "gemm: %s (%d x %d, rows %d apart, from element %zu) ends past its %zu "
                        "elements",
                        name, rows, columns, stride, offset, have);
    }
    return CLM_OK;
}

static clm_status check_tail(const clm_gemm_arguments *arguments) {
    clm_status status = CLM_OK;
    const int M = arguments->M;
    const int N = arguments->N;
    bool has_tail = arguments->bias != NULL || arguments->gelu || arguments->pre != NULL ||
                    arguments->residual != NULL;
    if (arguments->accumulate && has_tail) {
        return clm_fail(CLM_ERROR_ARGUMENT, "gemm: accumulating excludes a tail");
    }
    if (arguments->bias != NULL) {
        CLM_TRY(check_matrix("the bias", arguments->bias, arguments->bias_offset, 1, N, N));
    }
    if (arguments->pre != NULL) {
        CLM_TRY(check_matrix("pre", arguments->pre, 0, M, N, N));
    }
    if (arguments->residual != NULL) {
        CLM_TRY(check_matrix("the residual", arguments->residual, 0, M, N, N));
        bool is_dense = arguments->c_offset == 0 && stride_or(arguments->ldc, N) == N;
        if (arguments->residual == arguments->c && !is_dense) {
            return clm_fail(CLM_ERROR_ARGUMENT, "gemm: the residual is c, and c is not dense");
        }
    }
cleanup:
    return status;
}

static clm_status check(const clm_gemm_arguments *arguments) {
    clm_status status = CLM_OK;
    const int M = arguments->M;
    const int N = arguments->N;
    const int K = arguments->K;
    if (M <= 0 || N <= 0 || K <= 0 || K > LARGEST_STRIDE) {
        return clm_fail(CLM_ERROR_SHAPE, "gemm: (%d x %d) * (%d x %d) is not a product", M, K, K,
                        N);
    }
    int a_rows = arguments->a_transposed ? K : M;
    int a_columns = arguments->a_transposed ? M : K;
    CLM_TRY(check_matrix("A", arguments->a, arguments->a_offset, a_rows, a_columns,
                         stride_or(arguments->lda, a_columns)));
    if (arguments->b_packed != NULL) {
        if (arguments->b_packed->K != K || arguments->b_packed->N != N) {
            return clm_fail(CLM_ERROR_SHAPE, "gemm: B was packed as %d x %d, not %d x %d",
                            arguments->b_packed->K, arguments->b_packed->N, K, N);
        }
    } else {
        int b_rows = arguments->b_transposed ? N : K;
        int b_columns = arguments->b_transposed ? K : N;
        CLM_TRY(check_matrix("B", arguments->b, arguments->b_offset, b_rows, b_columns,
                             stride_or(arguments->ldb, b_columns)));
    }
    CLM_TRY(
        check_matrix("C", arguments->c, arguments->c_offset, M, N, stride_or(arguments->ldc, N)));
    CLM_TRY(check_tail(arguments));
cleanup:
    return status;
}

/* ---- the product ---- */

static clm_gemm_task task_from(const clm_gemm_arguments *arguments) {
    const int a_columns = arguments->a_transposed ? arguments->M : arguments->K;
    const int b_columns = arguments->b_transposed ? arguments->K : arguments->N;
    return (clm_gemm_task){
        .M = arguments->M,
        .N = arguments->N,
        .K = arguments->K,
        .a = {arguments->a, arguments->a_offset, stride_or(arguments->lda, a_columns),
              arguments->a_transposed, 0, CLM_GEMM_F32},
        .b = {arguments->b, arguments->b_offset, stride_or(arguments->ldb, b_columns),
              arguments->b_transposed, 0, CLM_GEMM_F32},
        .c = arguments->c,
        .c_offset = arguments->c_offset,
        .c_stride = stride_or(arguments->ldc, arguments->N),
        .flags = (arguments->accumulate ? CLM_GEMM_ADD_C : 0) |
                 (arguments->bias != NULL ? CLM_GEMM_ADD_BIAS : 0) |
                 (arguments->pre != NULL ? CLM_GEMM_STORE_PRE : 0) |
                 (arguments->gelu ? CLM_GEMM_GELU : 0) |
                 (arguments->residual == NULL                 ? 0
                  : arguments->gelu || arguments->pre != NULL ? CLM_GEMM_ADD_RESIDUAL
                                                              : CLM_GEMM_BEGIN_RESIDUAL),
        .bias = arguments->bias,
        .bias_offset = arguments->bias_offset,
        .pre = arguments->pre,
        .residual = arguments->residual,
        .tail_stride = arguments->N,
    };
}

/* Backends write sums of a part of K to c before the tail comes, which a residual that is c would
 * not survive, unless it begins the sum: it is copied. The caller releases *copy. */
static clm_status free_residual(clm_device *device, clm_gemm_task *task, clm_buffer **copy) {
    clm_status status = CLM_OK;
    if (task->residual != task->c) {
        return CLM_OK;
    }
    if ((task->flags & CLM_GEMM_BEGIN_RESIDUAL) != 0) {
        task->flags = (task->flags & ~CLM_GEMM_BEGIN_RESIDUAL) | CLM_GEMM_ADD_C;
        task->residual = NULL;
        return CLM_OK;
    }
    size_t size_bytes = (size_t)task->M * (size_t)task->N * sizeof(float);
    CLM_TRY(clm_buffer_create(copy, device, size_bytes, "a copy of a residual"));
    CLM_TRY(clm_buffer_copy(*copy, 0, task->residual, 0, size_bytes));
    task->residual = *copy;
cleanup:
    return status;
}

/* A task's columns from `first` on, `columns` at most; its B is still the whole one. */
static clm_gemm_task columns_of(const clm_gemm_task *task, size_t first, int columns) {
    clm_gemm_task some = *task;
    const int left = task->N - (int)first;
    some.N = left < columns ? left : columns;
    some.c_offset += first;
    some.bias_offset += first;
    some.tail_offset += first;
    return some;
}

/* B of 16 bits, for many rows: made floats again, so many columns at a time that those are not much
 * memory. */
static clm_status multiply_widened(clm_device *device, clm_gemm_backend backend,
                                   const clm_gemm_task *task) {
    clm_status status = CLM_OK;
    clm_buffer *floats = NULL;
    bool in_panels = task->b.panel_depth != 0;
    const int panel = clm_gemm_own_panel_columns(device);
    const int panels = (task->N - 1) / panel + 1;
    const size_t fit = WIDENED_BYTES / ((size_t)panel * (size_t)task->K * sizeof(float));
    const int columns = (fit == 0 ? 1 : fit < (size_t)panels ? (int)fit : panels) * panel;
    CLM_TRY(clm_buffer_create(&floats, device, (size_t)columns * (size_t)task->K * sizeof(float),
                              "weights as floats"));
    for (int first = 0; first < task->N; first += columns) {
        clm_gemm_task some = columns_of(task, (size_t)first, columns);
        clm_gemm_matrix b = task->b;
        some.b = (clm_gemm_matrix){
            .buffer = floats, .stride = some.N, .panel_depth = task->b.panel_depth};
        if (in_panels) {
            b.offset += (size_t)first * (size_t)task->K;
            b.stride = task->K;
            CLM_TRY(
                clm_gemm_widen(device, floats, &b, ((some.N - 1) / panel + 1) * panel, task->K));
        } else {
            b.offset += (size_t)first;
            CLM_TRY(clm_gemm_widen(device, floats, &b, task->K, some.N));
        }
        CLM_TRY(multiply(device, backend, &some));
    }
cleanup:
    clm_buffer_release(floats);
    return status;
}

/* How one product is computed. */
typedef struct way {
    clm_gemm_backend backend;
    clm_gemm_arithmetic arithmetic;
} way;

/* One product for each piece of a packed B: its columns are columns of c. */
static clm_status multiply_parts(clm_device *device, const way *w, const clm_gemm_task *whole,
                                 const clm_gemm_packed *packed) {
    const bool widen =
        packed->storage != CLM_GEMM_F32 &&
        (whole->M > CLM_GEMM_FEW_ROWS || whole->one_kernel || w->backend == CLM_GEMM_CLBLAST);
    for (int i = 0; i < packed->part_count; i++) {
        clm_gemm_task part =
            columns_of(whole, (size_t)i * (size_t)packed->part_columns, packed->part_columns);
        part.b = (clm_gemm_matrix){
            .buffer = packed->parts[i], .stride = part.N, .storage = packed->storage};
        if (packed->backend == CLM_GEMM_OWN_PANELS) {
            part.b.panel_depth = packed->K;
        }
        clm_status status = w->arithmetic == CLM_GEMM_IN_HALVES ? clm_gemm_half(device, &part)
                            : widen ? multiply_widened(device, w->backend, &part)
                                    : multiply(device, w->backend, &part);
        if (status != CLM_OK) {
            return status;
        }
    }
    return CLM_OK;
}

/* The arithmetic that a product may have, where it may choose. */
static clm_status choose_arithmetic(clm_device *device, const clm_gemm_arguments *arguments,
                                    clm_gemm_arithmetic *arithmetic) {
    const clm_gemm_packed *packed = arguments->b_packed;
    const bool may_have_halves =
        packed != NULL && packed->storage == CLM_GEMM_F16 && arguments->M > CLM_GEMM_FEW_ROWS;
    if (*arithmetic == CLM_GEMM_IN_HALVES && !may_have_halves) {
        return clm_fail(CLM_ERROR_UNSUPPORTED,
                        "gemm: half arithmetic is for packed f16 weights and more than %d rows",
                        (int)CLM_GEMM_FEW_ROWS);
    }
    if (*arithmetic == CLM_GEMM_ARITHMETIC_AUTO) {
        *arithmetic = CLM_GEMM_IN_FLOATS;
        return may_have_halves ? clm_gemm_arithmetic_of(device, arithmetic) : CLM_OK;
    }
    return CLM_OK;
}

static clm_status multiply_with(clm_device *device, way w, const clm_gemm_arguments *arguments) {
    clm_status status = CLM_OK;
    clm_buffer *copy = NULL;
    const clm_gemm_packed *packed = arguments->b_packed;
    const bool wants_tiled = w.backend == CLM_GEMM_OWN_TILED;
    CLM_TRY(check(arguments));
    CLM_TRY(choose_arithmetic(device, arguments, &w.arithmetic));
    CLM_TRY(w.backend == CLM_GEMM_AUTO ? choose_for(device, arguments, &w.backend)
                                       : clm_gemm_resolve(device, &w.backend));
    if (packed != NULL && packed->backend == CLM_GEMM_OWN_PANELS &&
        w.backend != CLM_GEMM_OWN_PANELS) {
        status = clm_fail(CLM_ERROR_ARGUMENT, "gemm: B is packed in panels, which %s cannot read",
                          clm_gemm_backend_name(w.backend));
        goto cleanup;
    }
    clm_gemm_task task = task_from(arguments);
    /* A processor's rows are summed in one order in the form for GPUs, too, unless the kernels of
     * that form are asked for. */
    task.one_kernel = w.backend == CLM_GEMM_OWN_TILED && clm_device_is_cpu(device) &&
                      !wants_tiled && !arguments->a_transposed;
    CLM_TRY(free_residual(device, &task, &copy));
    CLM_TRY(packed != NULL ? multiply_parts(device, &w, &task, packed)
                           : multiply(device, w.backend, &task));
cleanup:
    clm_buffer_release(copy);
    return status;
}

clm_status clm_gemm_with(clm_device *device, clm_gemm_backend backend,
                         const clm_gemm_arguments *arguments) {
    return multiply_with(device, (way){backend, CLM_GEMM_IN_FLOATS}, arguments);
}

clm_status clm_gemm_with_arithmetic(clm_device *device, clm_gemm_arithmetic arithmetic,
                                    const clm_gemm_arguments *arguments) {
    return multiply_with(device, (way){CLM_GEMM_AUTO, arithmetic}, arguments);
}

clm_status clm_gemm(clm_device *device, const clm_gemm_arguments *arguments) {
    return clm_gemm_with_arithmetic(device, CLM_GEMM_ARITHMETIC_AUTO, arguments);
}

/* ---- packed weights ---- */

static size_t element_bytes(clm_gemm_storage storage) {
    return storage == CLM_GEMM_F32 ? 4 : 2;
}

static clm_status pack_part(clm_gemm_packed *packed, int part, const clm_gemm_matrix *b) {
    clm_status status = CLM_OK;
    clm_buffer *wide = NULL;
    const int first = part * packed->part_columns;
    const int left = packed->N - first;
    const int columns = left < packed->part_columns ? left : packed->part_columns;
    const int panel = clm_gemm_own_panel_columns(packed->device);
    bool in_panels = packed->backend == CLM_GEMM_OWN_PANELS;
    size_t padded = in_panels
                        ? ((size_t)columns + (size_t)panel - 1) / (size_t)panel * (size_t)panel
                        : (size_t)columns;
    clm_gemm_matrix piece = *b;
    piece.offset += b->transposed ? (size_t)first * (size_t)b->stride : (size_t)first;
    const size_t count = padded * (size_t)packed->K;
    clm_buffer **floats = packed->storage == CLM_GEMM_F32 ? &packed->parts[part] : &wide;
    CLM_TRY(clm_buffer_create(floats, packed->device, count * sizeof(float), "packed weights"));
    CLM_TRY(in_panels ? clm_gemm_own_pack(packed->device, *floats, &piece, packed->K, columns)
                      : clm_gemm_own_copy(packed->device, *floats, &piece, packed->K, columns));
    if (wide != NULL) {
        CLM_TRY(clm_buffer_create(&packed->parts[part], packed->device,
                                  count * element_bytes(packed->storage), "packed weights"));
        CLM_TRY(clm_gemm_narrow(packed->device, packed->parts[part], wide, count, packed->storage));
    }
cleanup:
    clm_buffer_release(wide);
    return status;
}

clm_status clm_gemm_pack_with(clm_gemm_packed **packed, clm_device *device,
                              clm_gemm_backend backend, size_t piece_bytes, const clm_buffer *b,
                              size_t b_offset, int ldb, bool transposed, int K, int N,
                              clm_gemm_storage storage) {
    clm_status status = CLM_OK;
    clm_gemm_packed *made = NULL;
    *packed = NULL;
    if (K <= 0 || N <= 0 || K > LARGEST_STRIDE) {
        return clm_fail(CLM_ERROR_SHAPE, "gemm: a matrix of %d x %d cannot be packed", K, N);
    }
    const int columns = transposed ? K : N;
    const clm_gemm_matrix matrix = {.buffer = b,
                                    .offset = b_offset,
                                    .stride = stride_or(ldb, columns),
                                    .transposed = transposed};
    const int panel = clm_gemm_own_panel_columns(device);
    const size_t panel_bytes = (size_t)K * (size_t)panel * element_bytes(storage);
    CLM_TRY(check_matrix("B", b, b_offset, transposed ? N : K, columns, matrix.stride));
    CLM_TRY(clm_gemm_resolve(device, &backend));
    CLM_TRY(clm_allocate(&made, 1, sizeof *made, "packed weights"));
    made->device = device;
    made->backend = backend;
    made->storage = storage;
    made->K = K;
    made->N = N;
    /* A piece of at least one panel: when the device cannot allocate even that, it says so. */
    const size_t most_panels = piece_bytes / panel_bytes > 0 ? piece_bytes / panel_bytes : 1;
    const size_t all_panels = ((size_t)N + (size_t)panel - 1) / (size_t)panel;
    const size_t part_panels = most_panels < all_panels ? most_panels : all_panels;
    made->part_columns = (int)part_panels * panel;
    CLM_TRY(clm_allocate(&made->parts, (all_panels + part_panels - 1) / part_panels,
                         sizeof *made->parts, "packed weights"));
    for (size_t i = 0; i * part_panels < all_panels; i++) {
        made->part_count++;
        CLM_TRY(pack_part(made, (int)i, &matrix));
    }
    *packed = made;
    made = NULL;
cleanup:
    clm_gemm_packed_release(made);
    return status;
}

clm_status clm_gemm_pack(clm_gemm_packed **packed, clm_device *device, const clm_buffer *b,
                         size_t b_offset, int ldb, bool transposed, int K, int N,
                         clm_gemm_storage storage) {
    uint64_t most = clm_device_get_info(device)->max_allocation_size_bytes;
    size_t piece_bytes = most < SIZE_MAX ? (size_t)most : SIZE_MAX;
    return clm_gemm_pack_with(packed, device, CLM_GEMM_AUTO, piece_bytes, b, b_offset, ldb,
                              transposed, K, N, storage);
}

void clm_gemm_packed_release(clm_gemm_packed *packed) {
    if (packed == NULL) {
        return;
    }
    for (int i = 0; i < packed->part_count; i++) {
        clm_buffer_release(packed->parts[i]);
    }
    clm_free(packed->parts);
    clm_free(packed);
}

size_t clm_gemm_packed_size_bytes(const clm_gemm_packed *packed) {
    size_t size_bytes = 0;
    for (int i = 0; i < packed->part_count; i++) {
        size_bytes += clm_buffer_size_bytes(packed->parts[i]);
    }
    return size_bytes;
}
