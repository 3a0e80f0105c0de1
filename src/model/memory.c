/* What a model and its passes take of a device's memory, from plans that are not executed.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/opened.h"

/* *largest_bytes: of what passes take alone. */
static clm_status estimate_memory(clm_device *device, const clm_model_config *config,
                                  const clm_memory_plan *plan, clm_memory_estimate *estimate,
                                  uint64_t *largest_bytes) {
    const int kind = plan->train != CLM_TRAIN_NOTHING ? CLM_PASS_LOSSES | CLM_PASS_GRADIENTS : 0;
    clm_pass_draft draft;
    clm_parameters_memory memory;
    clm_status status = CLM_OK;
    *estimate = (clm_memory_estimate){0};
    CLM_TRY(clm_pass_draft_make(&draft, device, config, plan, kind));
    clm_parameters_measure(draft.parameters, &memory);
    clm_plan_memory(draft.plan, &estimate->activations_bytes, largest_bytes);
    estimate->parameters_bytes = memory.values_bytes;
    estimate->gradients_bytes = memory.gradients_bytes;
    estimate->moments_bytes = memory.moments_bytes;
    estimate->largest_buffer_bytes =
        *largest_bytes > memory.largest_buffer_bytes ? *largest_bytes : memory.largest_buffer_bytes;
    estimate->total_bytes = estimate->parameters_bytes + estimate->gradients_bytes +
                            estimate->moments_bytes + estimate->activations_bytes;
cleanup:
    clm_pass_draft_free(&draft);
    return status;
}

clm_status clm_model_estimate_memory(clm_device *device, const clm_model_config *config,
                                     const clm_memory_plan *plan, clm_memory_estimate *estimate) {
    uint64_t largest_bytes = 0;
    return estimate_memory(device, config, plan, estimate, &largest_bytes);
}

/* A pass that answers takes the same for each text beyond the first. */
static clm_status measure_wide(clm_model *model, int T) {
    clm_passes *passes = &model->passes;
    clm_memory_estimate one;
    clm_memory_estimate two;
    uint64_t largest_bytes = 0;
    clm_status status = CLM_OK;
    if (passes->wide_T == T) {
        return CLM_OK;
    }
    clm_memory_plan plan = {.train = CLM_TRAIN_NOTHING, .B = 1, .T = T};
    CLM_TRY(
        estimate_memory(model->device, &model->config, &plan, &one, &passes->wide_largest_bytes));
    plan.B = 2;
    CLM_TRY(estimate_memory(model->device, &model->config, &plan, &two, &largest_bytes));
    passes->wide_T = T;
    passes->wide_first_bytes = one.activations_bytes;
    passes->wide_more_bytes = two.activations_bytes > one.activations_bytes
                                  ? two.activations_bytes - one.activations_bytes
                                  : 0;
cleanup:
    return status;
}

clm_status clm_model_wide_batch(clm_model *model, int T, uint64_t taken_bytes, int *B) {
    enum { positions = 4096 };
    const clm_device_info *info = clm_device_get_info(model->device);
    const uint64_t room_bytes =
        info->memory_size_bytes > taken_bytes ? (info->memory_size_bytes - taken_bytes) / 8 : 0;
    const clm_passes *passes = &model->passes;
    clm_status status = CLM_OK;
    *B = 1;
    CLM_TRY(measure_wide(model, T));
    for (int most = positions / T; most > 1 && *B == 1; most /= 2) {
        const uint64_t total_bytes =
            passes->wide_first_bytes + (uint64_t)(most - 1) * passes->wide_more_bytes;
        if (total_bytes <= room_bytes &&
            (uint64_t)most * passes->wide_largest_bytes <= info->max_allocation_size_bytes) {
            *B = most;
        }
    }
cleanup:
    return status;
}
