/* AdamW over the trained parameters of a model.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TRAIN_OPTIMIZER_H
#define CLM_TRAIN_OPTIMIZER_H

#include "model/opened.h"
#include "ops/ops.h"

typedef struct clm_optimizer {
    clm_model *model;
    clm_arena first_moments; /* laid out as the model's trained parameters */
    clm_arena second_moments;
} clm_optimizer;

/* Moments of zero. Free it with clm_optimizer_free() in any case. */
clm_status clm_optimizer_make(clm_optimizer *optimizer, clm_model *model);
void clm_optimizer_free(clm_optimizer *optimizer);

/* Enqueues one step from the model's gradients, and leaves them zero for the next backward pass;
 * adamw->step counts from 1. */
clm_status clm_optimizer_step(clm_optimizer *optimizer, const clm_adamw *adamw);

/* CLM_ERROR_NOT_FINITE if an element of a trained parameter is not finite: such a state is not
 * worth saving. Blocks. */
clm_status clm_optimizer_check_finite(const clm_optimizer *optimizer);

#endif
