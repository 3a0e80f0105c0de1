/* Matrix products in half arithmetic in plain C, operation by operation: what cl/gemm_half.cl gives
 * to the bit when it emulates halves, and the oracle for its tests.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_REFERENCE_GEMM_HALF_H
#define CLM_REFERENCE_GEMM_HALF_H

#include "reference/gemm.h"

/* c (M,N) as clm_reference_gemm() has it, without a tail and nothing added to: elements of A are
 * rounded to halves, those of B are halves already. Sums over 16 of K are halves, each
 * multiply-add rounded once; their sums are floats. */
void clm_reference_gemm_half(const clm_reference_gemm_arguments *g);

/* How far a device's result may be off, given bound = |A| |B| of the element. */
double clm_reference_gemm_half_tolerance(int K, double bound, double largest);

#endif
