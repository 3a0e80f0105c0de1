/* Behind clm_gemm: a normalised description of one product, and the backends that compute it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_OPS_GEMM_BACKEND_H
#define CLM_OPS_GEMM_BACKEND_H

#include <limits.h>

#include "ops/common.h"
#include "ops/gemm_types.h"

/* clm_gemm_few() computes products of up to this many rows of A; as in cl/gemm_few.cl.
 * clm_gemm_outer() those of up to this K. */
enum { CLM_GEMM_FEW_ROWS = 16, CLM_GEMM_OUTER_DEPTH = 16 };

/* The same bits as in cl/gemm.clh. */
enum {
    CLM_GEMM_ADD_C = 1,
    CLM_GEMM_ADD_BIAS = 2,
    CLM_GEMM_STORE_PRE = 4,
    CLM_GEMM_GELU = 8,
    CLM_GEMM_ADD_RESIDUAL = 16,
    CLM_GEMM_BEGIN_RESIDUAL = 32, /* in its place, unless there is a GELU or pre */
    CLM_GEMM_BEGIN = CLM_GEMM_ADD_C | CLM_GEMM_BEGIN_RESIDUAL,
    CLM_GEMM_TAIL = CLM_GEMM_ADD_BIAS | CLM_GEMM_STORE_PRE | CLM_GEMM_GELU | CLM_GEMM_ADD_RESIDUAL
};

/* Rows `stride` elements apart, from `offset` elements on. */
typedef struct clm_gemm_matrix {
    const clm_buffer *buffer;
    size_t offset;
    int stride;
    bool transposed;
    /* Not 0: the matrix is stored in panels as drawn in cl/gemm.cl, each this long in K. Then
     * `offset` counts from the first panel's first element, and `stride` and `transposed` are
     * ignored. */
    int panel_depth;
    clm_gemm_storage storage; /* other than CLM_GEMM_F32 only for a packed B */
} clm_gemm_matrix;

/* A product with checked shapes, either whole or part of a larger one. */
typedef struct clm_gemm_task {
    int M, N, K;
    clm_gemm_matrix a, b;
    clm_buffer *c;
    size_t c_offset;
    int c_stride;
    int flags; /* of the enum above */
    const clm_buffer *bias;
    size_t bias_offset;
    clm_buffer *pre;
    const clm_buffer *residual; /* c itself at most with ADD_RESIDUAL at the same elements */
    size_t tail_offset;         /* of pre and residual */
    int tail_stride;
    clm_buffer *scratch; /* as large as the backend's ..._scratch() says, which gives floats */
} clm_gemm_task;

/* How a B is packed. */
typedef struct clm_gemm_packing {
    clm_gemm_backend backend; /* OWN_PANELS, OWN_TILED or CLBLAST */
    clm_gemm_storage storage;
    int K, N;
    int part_columns; /* of every part but the last */
} clm_gemm_packing;

struct clm_gemm_packed {
    clm_device *device;
    clm_gemm_packing packing;
    int part_count;
    clm_buffer **parts; /* panels for OWN_PANELS, else dense (K, columns of the part) */
};

/* How a product is computed; resolved, so that nothing is left to choose but by its shape. */
typedef struct clm_gemm_way {
    clm_gemm_backend form; /* OWN_PANELS or OWN_TILED; of clm's own kernels */
    bool clblast;          /* where it can */
    bool in_halves;
    bool one_kernel; /* not by those for few rows or a small K, which sum in another order */
} clm_gemm_way;

/* ---- shared by clm's own kernels on the host ---- */

static inline int smaller(int a, int b) {
    return a < b ? a : b;
}

static inline int larger(int a, int b) {
    return a > b ? a : b;
}

/* a / b, rounded up. */
static inline int parts_of(int a, int b) {
    return a / b + (a % b != 0);
}

/* The arguments for TAIL_PARAMETERS of cl/gemm.clh. */
void clm_gemm_launch_tail(clm_launch *launch, const clm_gemm_task *task);

/* What follows in scratch begins on a line of a cache. */
static inline size_t clm_gemm_section(size_t floats) {
    return (floats + 15) / 16 * 16;
}

/* Files of gemm use those that come before them here. */

/* ---- gemm_own.c: clm's kernels for many rows, and what they share with the others ---- */

/* In one of the two forms. */
clm_status clm_gemm_own(clm_device *device, clm_gemm_backend form, const clm_gemm_task *task);
size_t clm_gemm_own_scratch(const clm_device *device, clm_gemm_backend form,
                            const clm_gemm_task *task);

/* Work-items on each side of a work-group that shares a block of C. */
int clm_gemm_own_items(const clm_device *device);

/* Columns in a panel of B on this device, and the elements of K that are summed at a time. */
int clm_gemm_own_panel_columns(const clm_device *device);
int clm_gemm_own_k_block(const clm_device *device);

/* The build options of cl/gemm.cl with vectors of `width` in place of the device's settings'.
 * Kernels that read panels are built with these too; where the widths are the same, as one program.
 */
void clm_gemm_own_options(const clm_device *device, int width, char options[CLM_OPS_OPTIONS_SIZE]);

/* B (K,N) into panels; `panels` holds K elements for each of N columns rounded up to panels. */
clm_status clm_gemm_own_pack(clm_device *device, clm_buffer *panels, const clm_gemm_matrix *b,
                             int K, int N);

/* A matrix, its transposition undone, into dense rows. */
clm_status clm_gemm_own_copy(clm_device *device, clm_buffer *dense, const clm_gemm_matrix *matrix,
                             int rows, int columns);

/* Only the tail, on a product that is in c. */
clm_status clm_gemm_own_tail(clm_device *device, const clm_gemm_task *task);

/* The device's peak of multiply-adds in registers, in FLOP/s. Blocks. */
clm_status clm_gemm_own_peak(clm_device *device, double *flops);

/* ---- the other kernels, each in its file ---- */

/* At most CLM_GEMM_FEW_ROWS rows: B unpacked or packed, in any storage. */
clm_status clm_gemm_few(clm_device *device, clm_gemm_backend form, const clm_gemm_task *task);
size_t clm_gemm_few_scratch(const clm_device *device, clm_gemm_backend form,
                            const clm_gemm_task *task);

/* For the other kernels of cl/gemm_few.cl, with the build options of those for one row. */
clm_ops_variant clm_gemm_few_variant(const clm_device *device, clm_gemm_storage storage);

/* A K of at most CLM_GEMM_OUTER_DEPTH and a B of floats that is not in panels;
 * clm_gemm_outer_serves() checks both. */
clm_status clm_gemm_outer(clm_device *device, clm_gemm_backend form, const clm_gemm_task *task);
size_t clm_gemm_outer_scratch(const clm_gemm_task *task);
bool clm_gemm_outer_serves(const clm_gemm_task *task);

/* A packed B of F16, in half arithmetic; more than a few rows. CLM_ERROR_UNSUPPORTED if the device
 * has none. */
clm_status clm_gemm_half(clm_device *device, const clm_gemm_task *task);

/* Whether it has halves; $CLM_HALF_ARITHMETIC = "on", "off" or "emulated" overrides this. */
clm_status clm_gemm_halves_of(const clm_device *device, clm_gemm_halves *halves);

/* CLBlast's SGEMM, then the tail. CLM_ERROR_UNSUPPORTED when it is not built in. */
clm_status clm_gemm_clblast(clm_device *device, const clm_gemm_task *task);
size_t clm_gemm_clblast_scratch(clm_device *device, const clm_gemm_task *task);

/* ---- gemm_storage.c ---- */

/* out = x, `count` elements of F16 or BF16 from floats, rounded to nearest even.
 * CLM_ERROR_UNSUPPORTED when a finite element would become infinite. Blocks. */
clm_status clm_gemm_narrow(clm_device *device, clm_buffer *out, const clm_buffer *x, size_t count,
                           clm_gemm_storage storage);

/* A matrix of F16 or BF16, which is not transposed, into dense rows of floats, `at` elements into
 * their buffer. */
clm_status clm_gemm_widen(clm_device *device, clm_buffer *dense, size_t at,
                          const clm_gemm_matrix *matrix, int rows, int columns);

/* ---- gemm_run.c: one product, whichever kernels it takes ---- */

/* Kernels multiply strides by the rows or columns of a tile, at most 64, in int. */
enum { CLM_GEMM_MOST_STRIDE = INT_MAX / 64 };

/* `packed`, when not NULL, is the task's B. */
clm_status clm_gemm_run(clm_device *device, const clm_gemm_way *way, const clm_gemm_task *task,
                        const clm_gemm_packed *packed);

/* In bytes; of the task, buffers, offsets and strides do not matter. `packing` is of its B, NULL if
 * that is not packed. */
size_t clm_gemm_run_scratch_bytes(clm_device *device, const clm_gemm_way *way,
                                  const clm_gemm_task *task, const clm_gemm_packing *packing);

/* ---- gemm_packed.c ---- */

/* The bytes of a B (K,N) that is packed for a backend whose form is known, all parts together. */
size_t clm_gemm_packing_bytes_as(const clm_device *device, clm_gemm_backend backend, int K, int N,
                                 clm_gemm_storage storage);

/* How clm_gemm_pack_as() packs for a backend that is resolved. */
clm_gemm_packing clm_gemm_packing_for(const clm_device *device, clm_gemm_backend backend,
                                      size_t piece_bytes, int K, int N, clm_gemm_storage storage);
clm_status clm_gemm_pack_as(clm_gemm_packed **packed, clm_device *device,
                            const clm_gemm_packing *packing, const clm_gemm_matrix *b);

/* The largest piece in which the device allocates. */
size_t clm_gemm_piece_bytes(const clm_device *device);

/* ---- gemm_choose.c ---- */

/* The form of clm's own kernels that OWN means on the device. */
clm_gemm_backend clm_gemm_own_form(const clm_device *device);

/* Speeds in FLOP/s. */
typedef struct clm_gemm_measurement {
    double peak_flops;
    double own_flops;     /* 0: not measured, the peak being that of a simulator */
    double clblast_flops; /* 0: not tried, or it failed */
    clm_gemm_backend backend;
} clm_gemm_measurement;

/* Under this peak a device is a simulator or an emulation, and is not measured. */
#define CLM_GEMM_TOO_SLOW_FLOPS 5e9

/* Measures the own kernel and, unless that is near the peak, CLBlast. Blocks. */
clm_status clm_gemm_measure(clm_device *device, clm_gemm_measurement *result);

/* clm's own kernel on a processor, else the faster one. */
clm_status clm_gemm_choose(clm_device *device, clm_gemm_backend *backend);

/* The backend in the device's settings; if it is not set, measures it and stores it there. Blocks.
 * With CLM_TUNE=off, and on an emulation, clm's own kernel without measuring. */
clm_status clm_gemm_choose_faster(clm_device *device, clm_gemm_backend *backend);

/* The speed of a product with F16 weights in each arithmetic. Blocks. */
clm_status clm_gemm_measure_halves(clm_device *device, double *floats_flops, double *halves_flops);

/* The same without measuring: AUTO when it has to be measured, or when the environment is wrong. */
clm_gemm_backend clm_gemm_known_backend(const clm_device *device);
clm_gemm_arithmetic clm_gemm_known_arithmetic(const clm_device *device);

/* Whether a backend that is not the product's own choice is forced for few rows, too. */
bool clm_gemm_is_forced(const clm_device *device);

/* The arithmetic to use: from $CLM_HALF_ARITHMETIC, from the device's settings, or measured and
 * stored there. On processors, without halves, with CLM_TUNE=off, and on an emulation: floats. */
clm_status clm_gemm_choose_arithmetic(clm_device *device, clm_gemm_arithmetic *arithmetic);

#endif
