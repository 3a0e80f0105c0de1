/* Whether a model and its intended use fit a device, and what would fit otherwise.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_MODEL_FIT_H
#define CLM_MODEL_FIT_H

#include "clm/device.h"
#include "clm/model.h"

typedef struct clm_fit {
    const clm_model_config *config;
    clm_device *device;
    const clm_device_info *info; /* what of it counts: its name and sizes of memory */
    clm_memory_plan
        plan;        /* B: texts of a pass. 0: any number, as before anything is known of texts */
    int accumulate;  /* passes of a step */
    int evaluated_T; /* of passes that only evaluate, if longer than plan.T; 0: none */
} clm_fit;

/* One line in the log with what is needed, by kind, unless plan.B is 0. CLM_ERROR_DEVICE_MEMORY if
 * the device has less memory, or cannot allocate the largest buffer in one piece: the message has
 * the numbers, the largest batch that fits, and options of clm that make it fit with the same texts
 * per step, each with the memory it needs. Options that only cost time come first (--accumulate,
 * --recompute), then 16 bits (--precision f16), then training less (--train). */
clm_status clm_fit_check(const clm_fit *fit);

/* What it needs: parameters and all that belongs to them, and the activations of the pass that
 * takes most. */
clm_status clm_fit_estimate(const clm_fit *fit, clm_memory_estimate *need);

/* Whether it fits, without logging. Fails if that cannot be computed. */
clm_status clm_fit_has_room(bool *has_room, const clm_fit *fit);

#endif
