/* The words in which products are spoken of (ops/gemm.h).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_OPS_GEMM_TYPES_H
#define CLM_OPS_GEMM_TYPES_H

#include "clm/dtype.h"
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

/* Floats for what is neither CLM_F16 nor CLM_BF16. */
static inline clm_gemm_storage clm_gemm_storage_of(clm_dtype type) {
    return type == CLM_F16 ? CLM_GEMM_F16 : type == CLM_BF16 ? CLM_GEMM_BF16 : CLM_GEMM_F32;
}

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

/* NULL is fine. */
void clm_gemm_packed_release(clm_gemm_packed *packed);
size_t clm_gemm_packed_size_bytes(const clm_gemm_packed *packed);

/* What clm_gemm_pack() will allocate for a B (K,N), in bytes; while it packs, it takes more. While
 * the device has yet to measure which backend it takes, the most that it could be. */
size_t clm_gemm_packing_bytes(const clm_device *device, int K, int N, clm_gemm_storage storage);

#endif
