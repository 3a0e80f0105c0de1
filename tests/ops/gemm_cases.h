/* A product on a device against the reference: what the tests of clm_gemm share.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TEST_GEMM_CASES_H
#define CLM_TEST_GEMM_CASES_H

#include "ops/gemm.h"
#include "support/test_devices.h"

enum gemm_residual { NO_RESIDUAL = 0, OTHER_RESIDUAL, RESIDUAL_IS_C };
enum gemm_packing { NOT_PACKED = 0, PACKED, PACKED_IN_PIECES };

/* Extra elements between rows, and before the first. */
typedef struct gemm_gaps {
    int a_gap, b_gap, c_gap;
    int a_offset, b_offset, c_offset;
} gemm_gaps;

typedef struct gemm_case {
    int M, N, K;
    bool a_transposed, b_transposed;
    gemm_gaps gaps;
    bool accumulate;
    bool bias, gelu, pre;
    enum gemm_residual residual;
    enum gemm_packing packing;
    clm_gemm_storage storage; /* of packed weights */
} gemm_case;

/* Computes the case on the device and in the reference from fresh random numbers, and fails the
 * test, naming the case and the worst element, when they differ by more than rounding explains,
 * when anything outside C was written, or when a second run gives other bits. */
void gemm_check_case(clm_device *device, clm_gemm_backend backend, const gemm_case *test);

/* The forms of clm's own kernels, each of which a test goes through. */
enum { FORM_COUNT = 2 };
extern const clm_gemm_backend gemm_forms[FORM_COUNT];

/* The same in every form. */
void gemm_check_forms(clm_device *device, const gemm_case *test);

/* A product by a backend, or in an arithmetic, on scratch that the device lends. */
clm_status gemm_by(clm_device *device, clm_gemm_backend backend,
                   const clm_gemm_arguments *arguments);
clm_status gemm_in(clm_device *device, clm_gemm_arithmetic arithmetic,
                   const clm_gemm_arguments *arguments);

/* A case of random sizes, at and around those of tiles, with random options. */
gemm_case gemm_random_case(int largest);

#endif
