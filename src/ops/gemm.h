/* The one seam for matrix products: C = op(A) * op(B) [+ C], row-major, with an optional fused
 * tail.
 *
 * Its backends are CLBlast and clm's own packed kernel. Which one a device uses is measured on that
 * device and remembered (never guessed from a vendor's name); $CLM_GEMM = "clblast" or "own" forces
 * one.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_OPS_GEMM_H
#define CLM_OPS_GEMM_H

#include "device/device.h"

typedef enum clm_gemm_backend {
    CLM_GEMM_AUTO = 0, /* the faster one, as measured on the device */
    CLM_GEMM_OWN = 1,
    CLM_GEMM_CLBLAST = 2,
    /* The two forms of clm's own kernel; OWN means the first on CPU devices and the second on
     * others, unless the device's tuning says otherwise. */
    CLM_GEMM_OWN_PANELS = 3,
    CLM_GEMM_OWN_TILED = 4
} clm_gemm_backend;

/* How elements of a packed B are stored; the same numbers as in cl/gemm_few.cl. */
typedef enum clm_gemm_storage {
    CLM_GEMM_F32 = 0,
    CLM_GEMM_F16 = 1,
    CLM_GEMM_BF16 = 2
} clm_gemm_storage;

/* How products of more than a few rows with packed F16 weights are computed. */
typedef enum clm_gemm_arithmetic {
    CLM_GEMM_ARITHMETIC_AUTO = 0, /* the faster one, as measured, if the device has both */
    CLM_GEMM_IN_FLOATS = 1,       /* the weights are converted to floats */
    CLM_GEMM_IN_HALVES = 2        /* A is rounded to halves; errors: cl/gemm_half.cl */
} clm_gemm_arithmetic;

/* Whether a device has half arithmetic. */
typedef enum clm_gemm_halves {
    CLM_GEMM_NO_HALVES = 0,
    CLM_GEMM_HALVES,
    CLM_GEMM_HALVES_FORCED,  /* to be used without being measured */
    CLM_GEMM_HALVES_EMULATED /* in floats, to the bit, slowly: for tests */
} clm_gemm_halves;

/* A frozen B in the layout that suits the device's backend. */
typedef struct clm_gemm_packed clm_gemm_packed;

typedef struct clm_gemm_arguments {
    int M, N, K;
    bool a_transposed, b_transposed;
    /* A is (M,K) with row stride lda, or (K,M) when transposed; B is (K,N) or (N,K); C is (M,N).
     * Offsets and strides count elements; a stride of 0 means dense. */
    const clm_buffer *a;
    size_t a_offset;
    int lda;
    const clm_buffer *b;
    size_t b_offset;
    int ldb;
    const clm_gemm_packed *b_packed; /* replaces b when not NULL */
    clm_buffer *c;
    size_t c_offset;
    int ldc;
    bool accumulate; /* C += instead of C = ; excludes a tail */
    /* The tail, all optional: c = gelu(product + bias) + residual. */
    const clm_buffer *bias; /* (N), from bias_offset on */
    size_t bias_offset;
    bool gelu;
    clm_buffer *pre;            /* gets product + bias, (M,N) dense */
    const clm_buffer *residual; /* (M,N) dense; may be c itself when c is dense */
} clm_gemm_arguments;

/* Enqueues. Products of up to 16 rows have their own kernels, which read B once, at the speed of
 * memory, and need no packing for it. So do products with a K of up to 16 (the gradient of a weight
 * from few rows), whose kernels read and write C once. Both are used with every backend, unless
 * CLBlast is forced. Equal inputs give equal bits on the same device and backend. K = 0 is
 * CLM_ERROR_SHAPE. c may not overlap a, b, bias or pre. A b_packed is processed by the backend that
 * it was packed for. */
clm_status clm_gemm(clm_device *device, const clm_gemm_arguments *arguments);

/* The same with a given backend, for tests, tuning and comparison. CLM_ERROR_UNSUPPORTED if it is
 * not built in; CLM_ERROR_ARGUMENT if b_packed has a layout that only another backend reads. */
clm_status clm_gemm_with(clm_device *device, clm_gemm_backend backend,
                         const clm_gemm_arguments *arguments);

/* clm_gemm() in one arithmetic. CLM_ERROR_UNSUPPORTED for IN_HALVES on a device that has none, or
 * when b_packed is not F16. */
clm_status clm_gemm_with_arithmetic(clm_device *device, clm_gemm_arithmetic arithmetic,
                                    const clm_gemm_arguments *arguments);

/* Packs B (K,N), or (N,K) when transposed, through *packed; `b` may be released afterwards. If it
 * is larger than the device's largest allocation, it is stored in several pieces.
 *
 * F16 and BF16 take half the memory of F32: elements are rounded to nearest even (relative error at
 * most 2^-11 in F16 for 6.1e-5 and above, 2^-8 in BF16), infinities and NaN are kept. Products are
 * still computed and summed in floats, except by clm_gemm() with F16 on a device that is faster in
 * halves (clm_gemm_arithmetic). Packing to 16 bits blocks, and is CLM_ERROR_UNSUPPORTED when a
 * finite element would become infinite (65520 and above in F16). */
clm_status clm_gemm_pack(clm_gemm_packed **packed, clm_device *device, const clm_buffer *b,
                         size_t b_offset, int ldb, bool transposed, int K, int N,
                         clm_gemm_storage storage);
/* The same for a given backend, in pieces of at most `piece_bytes`. */
clm_status clm_gemm_pack_with(clm_gemm_packed **packed, clm_device *device,
                              clm_gemm_backend backend, size_t piece_bytes, const clm_buffer *b,
                              size_t b_offset, int ldb, bool transposed, int K, int N,
                              clm_gemm_storage storage);
/* NULL is fine. */
void clm_gemm_packed_release(clm_gemm_packed *packed);
size_t clm_gemm_packed_size_bytes(const clm_gemm_packed *packed);

/* The backend that AUTO means on this device; measured at the first call. */
clm_status clm_gemm_backend_for(clm_device *device, clm_gemm_backend *backend);
const char *clm_gemm_backend_name(clm_gemm_backend backend);

/* Replaces AUTO and OWN by the backend that they mean on this device: OWN_PANELS, OWN_TILED or
 * CLBLAST. */
clm_status clm_gemm_resolve(clm_device *device, clm_gemm_backend *backend);

/* From now on AUTO means this backend on the device (and so does OWN, if it is one of clm's own
 * forms); AUTO restores the default. With `few_too`, CLBLAST also computes products of few rows.
 * For the self-test, which replaces a backend that computes wrong results; weights that were packed
 * before may be read wrongly. */
clm_status clm_gemm_use(clm_device *device, clm_gemm_backend backend, bool few_too);

/* From now on AUTO means this arithmetic on the device; AUTO restores the default. For the
 * self-test. */
clm_status clm_gemm_use_arithmetic(clm_device *device, clm_gemm_arithmetic arithmetic);

/* The arithmetic that AUTO means on this device; measured at the first call. */
clm_status clm_gemm_arithmetic_of(clm_device *device, clm_gemm_arithmetic *arithmetic);

/* Whether it has halves; $CLM_HALF_ARITHMETIC = "on", "off" or "emulated" overrides this. */
clm_status clm_gemm_halves_of(const clm_device *device, clm_gemm_halves *halves);

#endif
