/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"
#include "model/folder.h"
#include "model/gpt2.h"

/* What was trained comes from the device, the rest from where it was read. */
static clm_status read_parameter(void *context, const clm_parameter *about, float *out) {
    const clm_model *model = context;
    const clm_model_parameter *parameter = clm_model_find(model, about->kind, about->layer);
    const bool head =
        about->kind == CLM_PARAMETER_SCORE_WEIGHT || about->kind == CLM_PARAMETER_SCORE_BIAS;
    if (parameter->trained || (head && model->new_head)) {
        return clm_buffer_read(parameter->value, 0, out, about->count * sizeof *out);
    }
    return clm_weights_read(model->weights, about, out);
}

clm_status clm_model_save(clm_model *model, const char *folder) {
    return clm_model_folder_write(folder, &model->config, read_parameter, model);
}
