/* Opening and closing a model, and its parameters' way to the device.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "clm/model.h"

#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "model/fit.h"
#include "model/opened.h"
#include "model/tasks/classify.h"

/* ---- where values come from ---- */

/* Whether the parameter is not what the weights have, but drawn anew. */
static bool is_new(const clm_model *model, const clm_parameter *parameter) {
    return model->new_head && clm_classify_is_head(parameter->name);
}

/* The new head comes from one stream, the weight first. */
static clm_status read_new_head(const clm_model *model, const clm_parameter *parameter,
                                float *values) {
    const size_t out = (size_t)model->config.n_labels;
    const size_t in = (size_t)model->config.n_embd;
    float *weight = NULL;
    float *bias = NULL;
    clm_status status = CLM_OK;
    CLM_TRY(clm_allocate(&weight, out * in, sizeof *weight, "the head"));
    CLM_TRY(clm_allocate(&bias, out, sizeof *bias, "the head"));
    CLM_TRY(clm_classify_draw_head(&model->config, model->head_seed, weight, bias));
    memcpy(values, parameter->rank == 2 ? weight : bias, parameter->count * sizeof *values);
cleanup:
    clm_free(weight);
    clm_free(bias);
    return status;
}

static bool is_read_whole(void *context, const clm_parameter *parameter) {
    const clm_model *model = context;
    return is_new(model, parameter) || clm_weights_are_drawn(model->weights);
}

static clm_status read_values(void *context, const clm_parameter *parameter, size_t first,
                              size_t count, float *values) {
    const clm_model *model = context;
    if (is_new(model, parameter)) {
        return read_new_head(model, parameter, values);
    }
    return clm_weights_are_drawn(model->weights)
               ? clm_weights_read(model->weights, parameter, values)
               : clm_weights_read_part(model->weights, parameter, first, count, values);
}

clm_status clm_model_read_parameter(const clm_model *model, const clm_parameter *parameter,
                                    float *values) {
    return is_new(model, parameter) ? read_new_head(model, parameter, values)
                                    : clm_weights_read(model->weights, parameter, values);
}

static clm_status map_values(void *context, const clm_parameter *parameter, const float **values) {
    const clm_model *model = context;
    *values = NULL;
    return is_new(model, parameter) ? CLM_OK : clm_weights_map(model->weights, parameter, values);
}

static clm_status load_parameters(clm_model *model) {
    const clm_memory_plan plan = clm_model_plan(model, 1, 1);
    const clm_parameter_source source = {
        .context = model, .read = read_values, .is_whole = is_read_whole, .map = map_values};
    clm_status status = CLM_OK;
    CLM_TRY(clm_pass_make_parameters(&model->parameters, model->device, &model->config, &plan,
                                     model->one_pass));
    CLM_TRY(clm_parameters_load(model->parameters, &source));
cleanup:
    return status;
}

/* ---- opening and closing ---- */

static clm_status set_up_config(clm_model *model, const char *source,
                                const clm_model_options *options) {
    clm_status status = CLM_OK;
    CLM_TRY(clm_model_config_copy(&model->config, clm_weights_config(model->weights)));
    if (options->n_labels > 0) {
        CLM_TRY(clm_model_config_set_labels(&model->config, options->n_labels, options->labels));
        model->new_head = true;
        model->head_seed = options->head_seed;
    }
    if (model->config.n_labels == 0) {
        status = clm_fail(CLM_ERROR_FORMAT,
                          "%s: has no classification head; train one with 'clm finetune classify'",
                          source);
    }
cleanup:
    return status;
}

/* For batches of B x T; B 0: of any number, before anything is known of texts. */
static clm_fit fit_of(const clm_model *model, int B, int T) {
    return (clm_fit){.config = &model->config,
                     .device = model->device,
                     .info = clm_device_get_info(model->device),
                     .plan = clm_model_plan(model, B, T),
                     .accumulate = 1};
}

/* With CLM_PRECISION_AUTO frozen weights have 16 bits where there is no room for them otherwise. */
static clm_status set_up_precision(clm_model *model) {
    const clm_precision precision = model->precision;
    clm_status status = CLM_OK;
    bool has_room = true;
    model->frozen_storage = precision == CLM_PRECISION_F16    ? CLM_F16
                            : precision == CLM_PRECISION_BF16 ? CLM_BF16
                                                              : CLM_F32;
    model->kept_storage = model->frozen_storage;
    clm_fit fit = fit_of(model, 0, 0);
    if (precision == CLM_PRECISION_AUTO) {
        CLM_TRY(clm_fit_has_room(&has_room, &fit));
    }
    if (!has_room) {
        fit.plan.frozen_storage = CLM_F16;
        CLM_TRY(clm_fit_has_room(&has_room, &fit));
        model->frozen_storage = has_room ? CLM_F16 : CLM_F32;
    }
    if (precision == CLM_PRECISION_AUTO && model->frozen_storage == CLM_F16) {
        clm_log(CLM_LOG_INFO, "precision: frozen weights are f16, for which the device has room");
    }
cleanup:
    return status;
}

clm_status clm_model_settle_precision(clm_model *model, int B, int T) {
    clm_status status = CLM_OK;
    bool has_room = true;
    clm_fit fit = fit_of(model, B, T);
    if (model->precision == CLM_PRECISION_AUTO) {
        CLM_TRY(clm_fit_has_room(&has_room, &fit));
    }
    if (!has_room) {
        fit.plan.kept_storage = CLM_F16;
        CLM_TRY(clm_fit_has_room(&has_room, &fit));
        model->kept_storage = has_room ? CLM_F16 : CLM_F32;
        clm_passes_free(&model->passes); /* their plans keep floats */
        clm_log(CLM_LOG_INFO, has_room ? "precision: what is kept for gradients is f16, for which "
                                         "the device has room"
                                       : "precision: f16 would not make room either");
    }
cleanup:
    return status;
}

clm_status clm_model_open(clm_model **model, clm_device *device, const char *source,
                          const clm_model_options *options) {
    static const clm_model_options defaults = CLM_MODEL_OPTIONS_DEFAULT;
    options = options != NULL ? options : &defaults;
    *model = NULL;
    clm_status status = CLM_OK;
    clm_model *opened = NULL;
    CLM_TRY(clm_allocate(&opened, 1, sizeof *opened, "a model"));
    opened->device = device;
    opened->trained.policy = options->train;
    opened->whole_top_block = options->whole_top_block;
    opened->recompute = options->recompute;
    opened->precision = options->precision;
    opened->one_pass = options->one_pass;
    CLM_TRY(clm_weights_open(&opened->weights, source));
    CLM_TRY(set_up_config(opened, source, options));
    opened->trained.n_layer = opened->config.n_layer;
    CLM_TRY(set_up_precision(opened));
    const clm_fit fit = fit_of(opened, 0, 0);
    CLM_TRY(clm_fit_check(&fit));
    CLM_TRY(load_parameters(opened));
    *model = opened;
    opened = NULL;
cleanup:
    clm_model_close(opened);
    return status;
}

void clm_model_close(clm_model *model) {
    if (model == NULL) {
        return;
    }
    clm_passes_free(&model->passes);
    clm_parameters_free(model->parameters);
    clm_model_config_free(&model->config);
    if (model->weights != NULL) {
        /* Kernels may still read the mapped files. */
        clm_error_hold();
        (void)clm_device_finish(model->device);
        clm_error_release();
        if (clm_device_is_given_up(model->device)) {
            clm_device_keep(model->device, model->weights);
        } else {
            clm_weights_close(model->weights);
        }
    }
    clm_free(model);
}

const clm_model_config *clm_model_get_config(const clm_model *model) {
    return &model->config;
}

size_t clm_model_parameter_count(const clm_model *model) {
    return model->parameters->table.total;
}

size_t clm_model_trained_count(const clm_model *model) {
    return clm_parameters_trained_count(model->parameters);
}

clm_status clm_model_set_pooling(clm_model *model, clm_pooling pooling, int pad_token,
                                 int padded_length) {
    if (padded_length < 0 || padded_length > model->config.n_ctx) {
        return clm_fail(CLM_ERROR_SHAPE, "padding to %d tokens, with a context of %d",
                        padded_length, model->config.n_ctx);
    }
    model->config.pooling = pooling;
    model->config.pad_token = pad_token;
    model->config.padded_length = padded_length;
    return CLM_OK;
}

clm_status clm_model_logits(clm_model *model, const int32_t *tokens, const int32_t *lengths, int B,
                            int T, float *logits) {
    clm_status status = CLM_OK;
    CLM_TRY(
        clm_model_pass(model, &(clm_pass){.B = B, .T = T, .tokens = tokens, .lengths = lengths}));
    CLM_TRY(clm_buffer_read(clm_model_pass_logits(model), 0, logits,
                            (size_t)B * (size_t)model->config.n_labels * sizeof *logits));
    CLM_TRY(clm_weights_check(model->weights)); /* of what the answer was computed */
cleanup:
    return status;
}

int clm_largest_logit(const float *logits, int count) {
    int best = 0;
    for (int i = 1; i < count; i++) {
        best = logits[i] > logits[best] ? i : best;
    }
    return best;
}
