/* SPDX-License-Identifier: Apache-2.0 */
#include "train/optimizer.h"

#include <math.h>

#include "base/memory.h"

clm_status clm_optimizer_make(clm_optimizer *optimizer, clm_model *model) {
    *optimizer = (clm_optimizer){.model = model};
    clm_status status = CLM_OK;
    CLM_TRY(clm_arena_make(&optimizer->first_moments, model->device, &model->parameters->trained,
                           "first moments"));
    CLM_TRY(clm_arena_make(&optimizer->second_moments, model->device, &model->parameters->trained,
                           "second moments"));
    CLM_TRY(clm_arena_zero(&optimizer->first_moments));
    CLM_TRY(clm_arena_zero(&optimizer->second_moments));
cleanup:
    return status;
}

void clm_optimizer_free(clm_optimizer *optimizer) {
    clm_arena_free(&optimizer->first_moments);
    clm_arena_free(&optimizer->second_moments);
    *optimizer = (clm_optimizer){0};
}

clm_status clm_optimizer_step(clm_optimizer *optimizer, const clm_adamw *adamw) {
    clm_parameters *parameters = optimizer->model->parameters;
    clm_adamw settings = *adamw;
    clm_status status = CLM_OK;
    settings.zero_gradient = true;
    for (size_t i = 0; i < parameters->trained.buffer_count; i++) {
        CLM_TRY(clm_adamw_step(
            parameters->device, parameters->values.buffers[i], parameters->gradients.buffers[i],
            optimizer->first_moments.buffers[i], optimizer->second_moments.buffers[i],
            parameters->trained.buffer_counts[i], &settings));
    }
    parameters->gradients_are_zero = true;
cleanup:
    return status;
}

clm_status clm_optimizer_check_finite(const clm_optimizer *optimizer) {
    const clm_parameters *parameters = optimizer->model->parameters;
    enum { chunk = 65536 };
    float *values = NULL;
    clm_status status = CLM_OK;
    CLM_TRY(clm_allocate(&values, chunk, sizeof *values, "parameters"));
    for (size_t i = 0; i < parameters->table.count; i++) {
        const clm_stored_parameter *parameter = &parameters->stored[i];
        const size_t count = parameter->trained ? parameter->about->count : 0;
        for (size_t at = 0; at < count; at += chunk) {
            const size_t size = count - at < chunk ? count - at : chunk;
            CLM_TRY(clm_buffer_read(parameter->value, at * sizeof *values, values,
                                    size * sizeof *values));
            for (size_t k = 0; k < size; k++) {
                if (!isfinite(values[k])) {
                    status = clm_fail(CLM_ERROR_NOT_FINITE, "%s[%zu] is %g", parameter->about->name,
                                      at + k, (double)values[k]);
                    goto cleanup;
                }
            }
        }
    }
cleanup:
    clm_free(values);
    return status;
}
