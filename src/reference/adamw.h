/* AdamW in plain C: the oracle for cl/adamw.cl. One step computed in double, kept in float.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_REFERENCE_ADAMW_H
#define CLM_REFERENCE_ADAMW_H

#include <stddef.h>

/* The settings of clm_adamw (ops/ops.h). */
typedef struct clm_reference_adamw {
    double learning_rate, beta1, beta2, epsilon, weight_decay;
    int step;
    double gradient_scale;
} clm_reference_adamw;

void clm_reference_adamw_step(float *parameter, const float *gradient, float *first_moment,
                              float *second_moment, size_t count, const clm_reference_adamw *adamw);

#endif
