/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"
#include "base/progress.h"
#include "model/folder.h"
#include "model/opened.h"
#include "model/tasks/classify.h"

typedef struct saving {
    const clm_model *model;
    int64_t done; /* parameters */
} saving;

/* What was trained comes from the device, the rest from where it was read. */
static clm_status read_parameter(void *context, const clm_parameter *about, float *out) {
    saving *s = context;
    const clm_model *model = s->model;
    const clm_stored_parameter *parameter = clm_parameters_find(model->parameters, about->name);
    const int64_t count = (int64_t)model->parameters->table.count;
    /* A few are read twice: the head is folded into what lies before it. */
    clm_progress_tell("saving the model", s->done < count ? s->done : count, count, "tensors");
    s->done++;
    if (parameter->trained || (model->new_head && clm_classify_is_head(about->name))) {
        return clm_buffer_read(parameter->value, 0, out, about->count * sizeof *out);
    }
    return clm_weights_read(model->weights, about, out);
}

clm_status clm_model_save_in(clm_model *model, const clm_folder *folder) {
    saving s = {.model = model};
    return clm_model_folder_write_in(folder, &model->config, read_parameter, &s);
}

clm_status clm_model_save(clm_model *model, const char *folder) {
    saving s = {.model = model};
    return clm_model_folder_write(folder, &model->config, read_parameter, &s);
}
