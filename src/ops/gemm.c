/* Checks a product and chooses the way to compute it, or all ways that it could be.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "ops/gemm.h"

#include "ops/gemm_backend.h"

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
    if (stride < columns || stride > CLM_GEMM_MOST_STRIDE) {
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
        /* Kernels write sums of a part of K to c before the tail comes. */
        if (arguments->residual == arguments->c && (arguments->gelu || arguments->pre != NULL)) {
            return clm_fail(CLM_ERROR_ARGUMENT,
                            "gemm: a residual that is c cannot be added after GELU or pre");
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
    if (M <= 0 || N <= 0 || K <= 0 || K > CLM_GEMM_MOST_STRIDE) {
        return clm_fail(CLM_ERROR_SHAPE, "gemm: (%d x %d) * (%d x %d) is not a product", M, K, K,
                        N);
    }
    int a_rows = arguments->a_transposed ? K : M;
    int a_columns = arguments->a_transposed ? M : K;
    CLM_TRY(check_matrix("A", arguments->a, arguments->a_offset, a_rows, a_columns,
                         stride_or(arguments->lda, a_columns)));
    if (arguments->b_packed != NULL) {
        if (arguments->b_packed->packing.K != K || arguments->b_packed->packing.N != N) {
            return clm_fail(CLM_ERROR_SHAPE, "gemm: B was packed as %d x %d, not %d x %d",
                            arguments->b_packed->packing.K, arguments->b_packed->packing.N, K, N);
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

static clm_gemm_task task_from(const clm_gemm_arguments *arguments) {
    const int a_columns = arguments->a_transposed ? arguments->M : arguments->K;
    const int b_columns = arguments->b_transposed ? arguments->K : arguments->N;
    const bool in_place = arguments->residual != NULL && arguments->residual == arguments->c;
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
        .flags = (arguments->accumulate || in_place ? CLM_GEMM_ADD_C : 0) |
                 (arguments->bias != NULL ? CLM_GEMM_ADD_BIAS : 0) |
                 (arguments->pre != NULL ? CLM_GEMM_STORE_PRE : 0) |
                 (arguments->gelu ? CLM_GEMM_GELU : 0) |
                 (arguments->residual == NULL || in_place     ? 0
                  : arguments->gelu || arguments->pre != NULL ? CLM_GEMM_ADD_RESIDUAL
                                                              : CLM_GEMM_BEGIN_RESIDUAL),
        .bias = arguments->bias,
        .bias_offset = arguments->bias_offset,
        .pre = arguments->pre,
        .residual = arguments->residual,
        .tail_stride = arguments->N,
        .scratch = arguments->scratch,
    };
}

/* ---- the way ---- */

/* By a backend and an arithmetic that are known. */
static clm_gemm_way way_by(clm_device *device, const clm_gemm_arguments *arguments,
                           clm_gemm_backend backend, clm_gemm_arithmetic arithmetic) {
    const bool may_choose = arguments->backend == CLM_GEMM_AUTO;
    const bool has_own_kernels =
        arguments->M <= CLM_GEMM_FEW_ROWS || arguments->K <= CLM_GEMM_OUTER_DEPTH;
    clm_gemm_way way = {.form = backend,
                        .clblast = backend == CLM_GEMM_CLBLAST,
                        .in_halves = arithmetic == CLM_GEMM_IN_HALVES};
    /* Where it may choose, CLBlast gets neither few rows nor a small K. */
    if (way.clblast && may_choose && has_own_kernels && !clm_gemm_is_forced(device)) {
        way.clblast = false;
    }
    if (backend == CLM_GEMM_CLBLAST) {
        way.form = clm_gemm_own_form(device);
    }
    /* A processor's rows are summed in one order in the form for GPUs, too, unless the kernels of
     * that form are asked for, or forced by the environment. */
    way.one_kernel = way.form == CLM_GEMM_OWN_TILED && clm_device_is_cpu(device) &&
                     arguments->backend != CLM_GEMM_OWN_TILED && !arguments->a_transposed &&
                     !clm_gemm_is_forced(device);
    return way;
}

/* Whether a product may be in halves where they are the faster. */
static bool may_have_halves(const clm_gemm_arguments *arguments, const clm_gemm_packing *packing) {
    return packing != NULL && packing->storage == CLM_GEMM_F16 && arguments->M > CLM_GEMM_FEW_ROWS;
}

static clm_status choose_arithmetic(clm_device *device, const clm_gemm_arguments *arguments,
                                    const clm_gemm_packing *packing,
                                    clm_gemm_arithmetic *arithmetic) {
    *arithmetic = arguments->arithmetic;
    if (*arithmetic == CLM_GEMM_IN_HALVES && !may_have_halves(arguments, packing)) {
        return clm_fail(CLM_ERROR_UNSUPPORTED,
                        "gemm: half arithmetic is for packed f16 weights and more than %d rows",
                        (int)CLM_GEMM_FEW_ROWS);
    }
    if (*arithmetic == CLM_GEMM_ARITHMETIC_AUTO) {
        *arithmetic = CLM_GEMM_IN_FLOATS;
        return arguments->backend == CLM_GEMM_AUTO && may_have_halves(arguments, packing)
                   ? clm_gemm_arithmetic_of(device, arithmetic)
                   : CLM_OK;
    }
    return CLM_OK;
}

/* ---- the product ---- */

clm_status clm_gemm(clm_device *device, const clm_gemm_arguments *arguments) {
    clm_status status = CLM_OK;
    const clm_gemm_packed *packed = arguments->b_packed;
    const clm_gemm_packing *packing = packed != NULL ? &packed->packing : NULL;
    clm_gemm_backend backend = arguments->backend;
    clm_gemm_arithmetic arithmetic = CLM_GEMM_IN_FLOATS;
    CLM_TRY(check(arguments));
    CLM_TRY(choose_arithmetic(device, arguments, packing, &arithmetic));
    if (backend == CLM_GEMM_AUTO && packed != NULL) {
        backend = packing->backend;
    }
    CLM_TRY(clm_gemm_resolve(device, &backend));
    const clm_gemm_way way = way_by(device, arguments, backend, arithmetic);
    if (packed != NULL && packing->backend == CLM_GEMM_OWN_PANELS &&
        (way.clblast || way.form != CLM_GEMM_OWN_PANELS)) {
        status = clm_fail(CLM_ERROR_ARGUMENT, "gemm: B is packed in panels, which %s cannot read",
                          clm_gemm_backend_name(backend));
        goto cleanup;
    }
    const clm_gemm_task task = task_from(arguments);
    CLM_TRY(clm_ops_check_scratch("gemm", arguments->scratch,
                                  clm_gemm_run_scratch_bytes(device, &way, &task, packing)));
    CLM_TRY(clm_gemm_run(device, &way, &task, packed));
cleanup:
    return status;
}

/* ---- its scratch ---- */

/* For a B that is packed by the backend that has yet to be known, with `storage`. */
typedef struct planned_packing {
    bool is_packed;
    clm_gemm_storage storage;
} planned_packing;

/* The most of what the product takes in each way that it could be computed. */
static size_t most_scratch(clm_device *device, const clm_gemm_arguments *arguments,
                           const planned_packing *planned) {
    const clm_gemm_packed *packed = arguments->b_packed;
    const clm_gemm_task task = task_from(arguments);
    size_t most_bytes = 0;
    clm_gemm_backend backend = arguments->backend != CLM_GEMM_AUTO ? arguments->backend
                               : packed != NULL                    ? packed->packing.backend
                                                                   : clm_gemm_known_backend(device);
    const bool unknown = backend == CLM_GEMM_AUTO;
    for (int i = 0; i < (unknown && CLM_WITH_CLBLAST ? 2 : 1); i++) {
        clm_gemm_backend by = !unknown ? backend : i == 0 ? CLM_GEMM_OWN : CLM_GEMM_CLBLAST;
        by = by == CLM_GEMM_OWN ? clm_gemm_own_form(device) : by;
        clm_gemm_packing packing = packed != NULL ? packed->packing : (clm_gemm_packing){0};
        if (planned->is_packed) {
            packing = clm_gemm_packing_for(device, by, clm_gemm_piece_bytes(device), arguments->K,
                                           arguments->N, planned->storage);
        }
        const clm_gemm_packing *of_b = packing.K != 0 ? &packing : NULL;
        /* Halves take none, so floats are the most unless it is known that they are not used. */
        clm_gemm_arithmetic arithmetic = arguments->arithmetic;
        if (arithmetic == CLM_GEMM_ARITHMETIC_AUTO && arguments->backend == CLM_GEMM_AUTO &&
            may_have_halves(arguments, of_b)) {
            arithmetic = clm_gemm_known_arithmetic(device);
        }
        const clm_gemm_way way = way_by(device, arguments, by, arithmetic);
        const size_t bytes = clm_gemm_run_scratch_bytes(device, &way, &task, of_b);
        most_bytes = bytes > most_bytes ? bytes : most_bytes;
    }
    return most_bytes;
}

/* A product without an element has none, and is refused by clm_gemm(). */
static bool is_product(const clm_gemm_arguments *arguments) {
    return arguments->M > 0 && arguments->N > 0 && arguments->K > 0 &&
           arguments->K <= CLM_GEMM_MOST_STRIDE;
}

size_t clm_gemm_scratch_bytes(clm_device *device, const clm_gemm_arguments *arguments) {
    return is_product(arguments) ? most_scratch(device, arguments, &(planned_packing){0}) : 0;
}

size_t clm_gemm_packed_scratch_bytes(clm_device *device, const clm_gemm_arguments *arguments,
                                     clm_gemm_storage storage) {
    return is_product(arguments)
               ? most_scratch(device, arguments, &(planned_packing){true, storage})
               : 0;
}

clm_status clm_gemm_on_lent_scratch(clm_device *device, const clm_gemm_arguments *arguments) {
    clm_status status = CLM_OK;
    clm_gemm_arguments product = *arguments;
    CLM_TRY(clm_scratch_take(device, clm_gemm_scratch_bytes(device, arguments), &product.scratch,
                             "scratch of a product"));
    CLM_TRY(clm_gemm(device, &product));
cleanup:
    return status;
}

/* ---- packed weights ---- */

clm_status clm_gemm_pack_with(clm_gemm_packed **packed, clm_device *device,
                              clm_gemm_backend backend, size_t piece_bytes, const clm_buffer *b,
                              size_t b_offset, int ldb, bool transposed, int K, int N,
                              clm_gemm_storage storage) {
    clm_status status = CLM_OK;
    *packed = NULL;
    if (K <= 0 || N <= 0 || K > CLM_GEMM_MOST_STRIDE) {
        return clm_fail(CLM_ERROR_SHAPE, "gemm: a matrix of %d x %d cannot be packed", K, N);
    }
    const int columns = transposed ? K : N;
    const clm_gemm_matrix matrix = {.buffer = b,
                                    .offset = b_offset,
                                    .stride = stride_or(ldb, columns),
                                    .transposed = transposed};
    CLM_TRY(check_matrix("B", b, b_offset, transposed ? N : K, columns, matrix.stride));
    CLM_TRY(clm_gemm_resolve(device, &backend));
    const clm_gemm_packing packing =
        clm_gemm_packing_for(device, backend, piece_bytes, K, N, storage);
    CLM_TRY(clm_gemm_pack_as(packed, device, &packing, &matrix));
cleanup:
    return status;
}

clm_status clm_gemm_pack(clm_gemm_packed **packed, clm_device *device, const clm_buffer *b,
                         size_t b_offset, int ldb, bool transposed, int K, int N,
                         clm_gemm_storage storage) {
    return clm_gemm_pack_with(packed, device, CLM_GEMM_AUTO, clm_gemm_piece_bytes(device), b,
                              b_offset, ldb, transposed, K, N, storage);
}

size_t clm_gemm_packing_bytes(const clm_device *device, int K, int N, clm_gemm_storage storage) {
    const clm_gemm_backend known = clm_gemm_known_backend(device);
    const bool is_own = known == CLM_GEMM_AUTO || known == CLM_GEMM_OWN; /* panels are the most */
    return clm_gemm_packing_bytes_as(device, is_own ? clm_gemm_own_form(device) : known, K, N,
                                     storage);
}
