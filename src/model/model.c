/* Opening and closing a model, and its parameters' way to the device.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "clm/model.h"

#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/progress.h"
#include "base/random.h"
#include "model/fit.h"
#include "model/gpt2.h"

static const char *const policy_names[] = {
    [CLM_TRAIN_NOTHING] = "nothing",
    [CLM_TRAIN_HEAD] = "head",
    [CLM_TRAIN_LAST_BLOCK] = "last-block",
    [CLM_TRAIN_LAST_TWO_BLOCKS] = "last-two-blocks",
    [CLM_TRAIN_ALL] = "all",
};

clm_status clm_train_policy_parse(clm_train_policy *policy, const char *text) {
    for (int i = CLM_TRAIN_HEAD; i <= CLM_TRAIN_ALL; i++) {
        if (strcmp(text, policy_names[i]) == 0) {
            *policy = (clm_train_policy)i;
            return CLM_OK;
        }
    }
    return clm_fail(CLM_ERROR_ARGUMENT,
                    "\"%s\" is not a training policy: use head, last-block, last-two-blocks or all",
                    text);
}

const char *clm_train_policy_name(clm_train_policy policy) {
    return policy_names[policy];
}

bool clm_train_policy_trains(clm_train_policy policy, const clm_parameter *parameter, int n_layer) {
    if (parameter->kind == CLM_PARAMETER_SCORE_WEIGHT ||
        parameter->kind == CLM_PARAMETER_SCORE_BIAS) {
        return policy >= CLM_TRAIN_HEAD;
    }
    if (parameter->kind == CLM_PARAMETER_LN_F_WEIGHT ||
        parameter->kind == CLM_PARAMETER_LN_F_BIAS) {
        return policy >= CLM_TRAIN_LAST_BLOCK;
    }
    if (parameter->layer >= 0) {
        const int from_top = n_layer - 1 - parameter->layer;
        return policy == CLM_TRAIN_ALL || (policy >= CLM_TRAIN_LAST_BLOCK && from_top == 0) ||
               (policy == CLM_TRAIN_LAST_TWO_BLOCKS && from_top == 1);
    }
    return policy == CLM_TRAIN_ALL;
}

/* The weights of a block's linear layers: the only ones that a GEMM reads as its B. */
static bool can_be_packed(const clm_parameter *parameter) {
    return parameter->layer >= 0 && parameter->rank == 2;
}

/* Elements of a row of what may lie in several buffers, by rows, when one cannot hold it: the token
 * embedding, by far the largest matrix. 0 for all others, which are read by products. */
static size_t row_elements(const clm_parameter *parameter) {
    return parameter->kind == CLM_PARAMETER_WTE_WEIGHT ? parameter->shape[1] : 0;
}

static bool is_head(const clm_parameter *parameter) {
    return parameter->kind == CLM_PARAMETER_SCORE_WEIGHT ||
           parameter->kind == CLM_PARAMETER_SCORE_BIAS;
}

/* Whether the parameter is not what the weights have, but drawn anew. */
static bool is_new(const clm_model *model, const clm_parameter *parameter) {
    return model->new_head && is_head(parameter);
}

/* The new head comes from one stream, the weight first. */
static clm_status read_new_head(const clm_model *model, const clm_parameter *parameter,
                                float *values) {
    const int out = model->config.n_labels;
    const int in = model->config.n_embd;
    clm_status status = CLM_OK;
    clm_torch_random *random = NULL;
    float *weight = NULL;
    float *bias = NULL;
    CLM_TRY(clm_torch_random_create(&random, model->head_seed));
    CLM_TRY(clm_allocate(&weight, (size_t)out * (size_t)in, sizeof *weight, "the head"));
    CLM_TRY(clm_allocate(&bias, (size_t)out, sizeof *bias, "the head"));
    CLM_TRY(clm_torch_linear_init(random, weight, bias, out, in));
    memcpy(values, parameter->kind == CLM_PARAMETER_SCORE_WEIGHT ? weight : bias,
           parameter->count * sizeof *values);
cleanup:
    clm_torch_random_free(random);
    clm_free(weight);
    clm_free(bias);
    return status;
}

/* Values that lie in a file, a piece at a time. */
static clm_status copy_from_file(const clm_model *model, const clm_parameter *parameter,
                                 clm_buffer *buffer) {
    const size_t piece = (size_t)1 << 18; /* a MiB stays in a cache between its two copies */
    const size_t most = parameter->count < piece ? parameter->count : piece;
    clm_status status = CLM_OK;
    float *values = NULL;
    CLM_TRY(clm_allocate(&values, most, sizeof *values, parameter->name));
    for (size_t at = 0; at < parameter->count; at += most) {
        const size_t count = parameter->count - at < most ? parameter->count - at : most;
        CLM_TRY(clm_weights_read_part(model->weights, parameter, at, count, values));
        CLM_TRY(clm_buffer_write(buffer, at * sizeof *values, values, count * sizeof *values));
    }
cleanup:
    clm_free(values);
    return status;
}

static clm_status write_value(clm_model *model, const clm_parameter *parameter,
                              clm_buffer *buffer) {
    if (!is_new(model, parameter) && !clm_weights_are_drawn(model->weights)) {
        return copy_from_file(model, parameter, buffer);
    }
    clm_status status = CLM_OK;
    float *values = NULL;
    CLM_TRY(clm_allocate(&values, parameter->count, sizeof *values, parameter->name));
    if (is_new(model, parameter)) {
        CLM_TRY(read_new_head(model, parameter, values));
    } else {
        CLM_TRY(clm_weights_read(model->weights, parameter, values));
    }
    CLM_TRY(clm_buffer_write(buffer, 0, values, parameter->count * sizeof *values));
cleanup:
    clm_free(values);
    return status;
}

/* Whether kernels read the values where the file has them: those of which a pass needs few rows,
 * and those that are read once, where that copies nothing. */
static bool stays_in_file(const clm_model *model, const clm_model_parameter *parameter) {
    const clm_parameter *about = parameter->about;
    return !parameter->trained && !is_new(model, about) && clm_device_is_cpu(model->device) &&
           (about->kind == CLM_PARAMETER_WTE_WEIGHT ||
            (can_be_packed(about) && model->one_pass && model->frozen_storage == CLM_F32));
}

static clm_gemm_storage gemm_storage(clm_dtype storage) {
    return storage == CLM_F16 ? CLM_GEMM_F16 : storage == CLM_BF16 ? CLM_GEMM_BF16 : CLM_GEMM_F32;
}

static clm_status pack_parameter(const clm_model *model, clm_model_parameter *parameter) {
    const clm_parameter *about = parameter->about;
    const int K = (int)about->shape[0];
    const int N = (int)about->shape[1];
    /* The top block multiplies queries by themselves. */
    const int queries = about->kind == CLM_PARAMETER_ATTN_QKV_WEIGHT && !model->whole_top_block &&
                                about->layer == model->config.n_layer - 1
                            ? model->config.n_embd
                            : 0;
    clm_status status = CLM_OK;
    if (queries > 0) {
        CLM_TRY(clm_gemm_pack(&parameter->packed_query, model->device, parameter->value, 0, N,
                              false, K, queries, gemm_storage(model->frozen_storage)));
    }
    CLM_TRY(clm_gemm_pack(&parameter->packed, model->device, parameter->value, (size_t)queries, N,
                          false, K, N - queries, gemm_storage(model->frozen_storage)));
cleanup:
    return status == CLM_OK ? status : clm_error_prefix(status, "%s", about->name);
}

static clm_status load_parameter(clm_model *model, clm_model_parameter *parameter) {
    const clm_parameter *about = parameter->about;
    clm_status status = CLM_OK;
    const float *mapped = NULL;
    if (stays_in_file(model, parameter)) {
        CLM_TRY(clm_weights_map(model->weights, about, &mapped));
    }
    if (!parameter->trained) {
        CLM_TRY(clm_buffer_create_in_parts(&parameter->value, model->device, mapped,
                                           about->count * sizeof(float),
                                           row_elements(about) * sizeof(float), about->name));
    }
    if (mapped == NULL) {
        CLM_TRY(write_value(model, about, parameter->value));
    }
    if (!parameter->trained && can_be_packed(about) &&
        !(model->one_pass && model->frozen_storage == CLM_F32)) {
        CLM_TRY(pack_parameter(model, parameter));
        clm_buffer_release(parameter->value);
        parameter->value = NULL;
    }
cleanup:
    return status;
}

/* Which parameters are trained, and memory for their values and gradients. */
static clm_status set_up_trained(clm_model *model) {
    clm_status status = CLM_OK;
    const size_t count = model->table.count;
    size_t *counts = NULL;
    size_t *units = NULL;
    CLM_TRY(clm_allocate(&model->parameters, count, sizeof *model->parameters,
                         "the model's parameters"));
    CLM_TRY(clm_allocate(&counts, count, sizeof *counts, "the model's parameters"));
    CLM_TRY(clm_allocate(&units, count, sizeof *units, "the model's parameters"));
    model->first_trained_layer = model->config.n_layer;
    for (size_t i = 0; i < count; i++) {
        clm_model_parameter *parameter = &model->parameters[i];
        const clm_parameter *about = &model->table.parameters[i];
        parameter->about = about;
        parameter->trained = clm_train_policy_trains(model->policy, about, model->config.n_layer);
        counts[i] = parameter->trained ? about->count : 0;
        units[i] = row_elements(about);
        if (parameter->trained && about->layer >= 0 && about->layer < model->first_trained_layer) {
            model->first_trained_layer = about->layer;
        }
    }
    CLM_TRY(clm_arena_layout_make(&model->trained, model->device, counts, units, count,
                                  clm_device_get_info(model->device)->max_allocation_size_bytes));
    CLM_TRY(clm_arena_make(&model->values, model->device, &model->trained, "parameters"));
    CLM_TRY(clm_arena_make(&model->gradients, model->device, &model->trained, "gradients"));
    CLM_TRY(clm_model_zero_gradients(model));
    for (size_t i = 0; i < count; i++) {
        model->parameters[i].value = model->values.tensors[i];
        model->parameters[i].gradient = model->gradients.tensors[i];
    }
cleanup:
    clm_free(counts);
    clm_free(units);
    return status;
}

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

clm_status clm_precision_parse(clm_precision *precision, const char *text) {
    static const char *const names[] = {[CLM_PRECISION_AUTO] = "auto",
                                        [CLM_PRECISION_F32] = "f32",
                                        [CLM_PRECISION_F16] = "f16",
                                        [CLM_PRECISION_BF16] = "bf16"};
    for (int i = CLM_PRECISION_AUTO; i <= CLM_PRECISION_BF16; i++) {
        if (strcmp(text, names[i]) == 0) {
            *precision = (clm_precision)i;
            return CLM_OK;
        }
    }
    return clm_fail(CLM_ERROR_ARGUMENT, "\"%s\" is not a precision: use auto, f32, f16 or bf16",
                    text);
}

clm_memory_plan clm_model_plan(const clm_model *model, int B, int T) {
    return (clm_memory_plan){.train = model->policy,
                             .frozen_storage = model->frozen_storage,
                             .kept_storage = model->kept_storage,
                             .whole_top_block = model->whole_top_block,
                             .recompute = model->recompute,
                             .B = B,
                             .T = T};
}

/* For batches of B x T; B 0: of any number, before anything is known of texts. */
static clm_fit fit_of(const clm_model *model, int B, int T) {
    return (clm_fit){.config = &model->config,
                     .device = clm_device_get_info(model->device),
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
    opened->policy = options->train;
    opened->whole_top_block = options->whole_top_block;
    opened->recompute = options->recompute;
    opened->precision = options->precision;
    opened->one_pass = options->one_pass;
    CLM_TRY(clm_weights_open(&opened->weights, source));
    CLM_TRY(set_up_config(opened, source, options));
    CLM_TRY(set_up_precision(opened));
    const clm_fit fit = fit_of(opened, 0, 0);
    CLM_TRY(clm_fit_check(&fit));
    CLM_TRY(clm_parameter_table_make(&opened->table, &opened->config));
    CLM_TRY(set_up_trained(opened));
    for (size_t i = 0; i < opened->table.count; i++) {
        clm_progress_tell("loading the model", (int64_t)i, (int64_t)opened->table.count, "tensors");
        CLM_TRY(clm_progress_check());
        CLM_TRY(load_parameter(opened, &opened->parameters[i]));
    }
    if (!opened->one_pass) {
        CLM_TRY(clm_buffer_pool_trim(device)); /* of what weights were packed from */
    }
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
    clm_activations_free(model);
    for (size_t i = 0; model->parameters != NULL && i < model->table.count; i++) {
        if (!model->parameters[i].trained) {
            clm_buffer_release(model->parameters[i].value);
        }
        clm_gemm_packed_release(model->parameters[i].packed);
        clm_gemm_packed_release(model->parameters[i].packed_query);
    }
    clm_arena_free(&model->values);
    clm_arena_free(&model->gradients);
    clm_arena_layout_free(&model->trained);
    clm_free(model->parameters);
    clm_free(model->tokens);
    clm_parameter_table_free(&model->table);
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
    return model->table.total;
}

size_t clm_model_trained_count(const clm_model *model) {
    size_t count = 0;
    for (size_t i = 0; i < model->table.count; i++) {
        count += model->parameters[i].trained ? model->parameters[i].about->count : 0;
    }
    return count;
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
    CLM_TRY(clm_model_forward(model, tokens, lengths, B, T, false));
    CLM_TRY(clm_buffer_read(model->activations.logits, 0, logits,
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

clm_status clm_model_estimate_memory(const clm_model_config *config, const clm_memory_plan *plan,
                                     clm_memory_estimate *estimate) {
    *estimate = (clm_memory_estimate){0};
    clm_parameter_table table = {0};
    clm_status status = clm_parameter_table_make(&table, config);
    if (status != CLM_OK) {
        return status;
    }
    for (size_t i = 0; i < table.count; i++) {
        const clm_parameter *about = &table.parameters[i];
        const uint64_t size_bytes = about->count * sizeof(float);
        const bool trained = clm_train_policy_trains(plan->train, about, config->n_layer);
        estimate->parameters_bytes += !trained && can_be_packed(about)
                                          ? about->count * clm_dtype_size(plan->frozen_storage)
                                          : size_bytes;
        if (trained) {
            estimate->gradients_bytes += size_bytes;
            estimate->moments_bytes += 2 * size_bytes;
        }
        const size_t row = row_elements(about);
        const uint64_t piece_bytes = row > 0 ? row * sizeof(float) : size_bytes;
        if (piece_bytes > estimate->largest_buffer_bytes) {
            estimate->largest_buffer_bytes = piece_bytes;
        }
    }
    clm_parameter_table_free(&table);
    uint64_t largest_bytes = 0;
    clm_activations_estimate(config, plan, &estimate->activations_bytes, &largest_bytes);
    if (largest_bytes > estimate->largest_buffer_bytes) {
        estimate->largest_buffer_bytes = largest_bytes;
    }
    estimate->total_bytes = estimate->parameters_bytes + estimate->gradients_bytes +
                            estimate->moments_bytes + estimate->activations_bytes;
    return CLM_OK;
}
