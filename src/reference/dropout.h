/* Philox4x32-10 (Salmon et al. 2011) and dropout in plain C: the oracle for cl/dropout.cl.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_REFERENCE_DROPOUT_H
#define CLM_REFERENCE_DROPOUT_H

#include <stddef.h>
#include <stdint.h>

void clm_reference_philox4x32_10(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2]);

/* probability in [0, 1). */
void clm_reference_dropout(float *out, const float *x, size_t count, float probability,
                           uint64_t seed, uint64_t stream);

#endif
