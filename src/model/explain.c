/* SPDX-License-Identifier: Apache-2.0 */
#include "model/explain.h"

#include "base/memory.h"

static clm_status fill(clm_pass_explanation *explanation, const clm_plan *plan,
                       const clm_parameters *parameters, const clm_model_config *config,
                       const clm_memory_plan *how) {
    clm_parameters_measure(parameters, &explanation->memory);
    explanation->parameter_count = parameters->table.total;
    explanation->trained_count = clm_parameters_trained_count(parameters);
    clm_status status = CLM_OK;
    if (how->train != CLM_TRAIN_NOTHING) {
        status = clm_pass_features(&explanation->features, config, how);
    }
    return status == CLM_OK ? clm_plan_explain(&explanation->plan, plan) : status;
}

clm_status clm_pass_explain(clm_pass_explanation *explanation, clm_device *device,
                            const clm_model_config *config, const clm_memory_plan *plan, int kind) {
    clm_pass_draft draft;
    clm_status status = CLM_OK;
    *explanation = (clm_pass_explanation){.kind = kind};
    CLM_TRY(clm_pass_draft_make(&draft, device, config, plan, kind));
    CLM_TRY(fill(explanation, draft.plan, draft.parameters, &draft.config, plan));
cleanup:
    clm_pass_draft_free(&draft);
    return status;
}

void clm_pass_explanation_free(clm_pass_explanation *explanation) {
    clm_explanation_free(&explanation->plan);
    *explanation = (clm_pass_explanation){0};
}

/* ---- executing ---- */

/* What a plan of B x T is bound to: tokens, classes and where the head looks, at random. */
typedef struct bound_inputs {
    int32_t *tokens, *rows, *targets;
    clm_buffer *losses;
    clm_plan_binding bindings[5];
} bound_inputs;

enum { BINDINGS = sizeof(((bound_inputs *)0)->bindings) / sizeof(clm_plan_binding) };

/* From a generator by Knuth, whose high bits will do. */
static int32_t draw(uint64_t *state, int below) {
    *state = *state * 6364136223846793005U + 1442695040888963407U;
    return (int32_t)((*state >> 33) % (uint64_t)below);
}

static clm_status make_inputs(bound_inputs *in, clm_model *model, int kind, int B, int T) {
    const size_t texts = (size_t)B;
    const size_t count = texts * (size_t)T;
    uint64_t state = 1;
    clm_status status = CLM_OK;
    CLM_TRY(clm_allocate(&in->tokens, count, sizeof *in->tokens, "tokens"));
    CLM_TRY(clm_allocate(&in->rows, texts, sizeof *in->rows, "rows"));
    CLM_TRY(clm_allocate(&in->targets, texts, sizeof *in->targets, "classes"));
    for (size_t i = 0; i < count; i++) {
        in->tokens[i] = draw(&state, model->config.n_vocab);
    }
    for (size_t i = 0; i < texts; i++) {
        in->targets[i] = draw(&state, model->config.n_labels);
        in->rows[i] = (int32_t)i * T + draw(&state, T);
    }
    CLM_TRY(clm_buffer_create(&in->losses, model->device, texts * sizeof(float), "losses"));
    if ((kind & CLM_PASS_FROM_FEATURES) != 0) {
        CLM_TRY(clm_model_compute_features(model, in->tokens, NULL, B, T));
    } else if ((kind & CLM_PASS_FEATURES) != 0) {
        size_t features = 0;
        CLM_TRY(clm_model_count_features(model, T, &features));
        CLM_TRY(clm_model_reserve_features(model, texts * features));
    }
    in->bindings[0] = (clm_plan_binding){.name = "tokens", .host = in->tokens};
    in->bindings[1] = (clm_plan_binding){.name = "features.0", .buffer = clm_model_features(model)};
    in->bindings[2] = (clm_plan_binding){.name = "rows", .host = in->rows};
    in->bindings[3] = (clm_plan_binding){.name = "targets", .host = in->targets};
    in->bindings[4] = (clm_plan_binding){.name = "losses", .buffer = in->losses};
cleanup:
    return status;
}

static void free_inputs(bound_inputs *in) {
    clm_free(in->tokens);
    clm_free(in->rows);
    clm_free(in->targets);
    clm_buffer_release(in->losses);
}

/* The plan, its explanation, and gradients that are zero. */
static clm_status prepare(clm_pass_explanation *explanation, clm_plan **plan, bound_inputs *in,
                          clm_model *model, int B, int T) {
    const clm_memory_plan how = clm_model_plan(model, B, T);
    const int kind = explanation->kind;
    clm_status status = CLM_OK;
    CLM_TRY(make_inputs(in, model, kind, B, T));
    CLM_TRY(clm_model_make_plan(plan, model, kind, B, T));
    CLM_TRY(fill(explanation, *plan, model->parameters, &model->config, &how));
    CLM_TRY(clm_parameters_zero_gradients(model->parameters));
    model->parameters->gradients_are_zero = (kind & CLM_PASS_GRADIENTS) == 0;
cleanup:
    return status;
}

clm_status clm_model_profile(clm_pass_explanation *explanation, clm_model *model, int kind, int B,
                             int T) {
    clm_plan *plan = NULL;
    bound_inputs in = {0};
    clm_status status = CLM_OK;
    *explanation = (clm_pass_explanation){.kind = kind};
    CLM_TRY(prepare(explanation, &plan, &in, model, B, T));
    CLM_TRY(clm_plan_profile(&explanation->plan, plan, model->device, in.bindings, BINDINGS,
                             1.0F / (float)B));
cleanup:
    clm_plan_free(plan);
    free_inputs(&in);
    return status;
}

static clm_status read_parameter(void *context, const clm_parameter *parameter, float *values) {
    return clm_model_read_parameter(context, parameter, values);
}

clm_status clm_model_check(clm_plan_check *check, clm_pass_explanation *explanation,
                           clm_model *model, int kind, int B, int T) {
    clm_plan *plan = NULL;
    bound_inputs in = {0};
    clm_status status = CLM_OK;
    *explanation = (clm_pass_explanation){.kind = kind};
    *check = (clm_plan_check){.read = read_parameter, .context = model};
    CLM_TRY(prepare(explanation, &plan, &in, model, B, T));
    CLM_TRY(clm_plan_check_run(check, plan, model->device, &explanation->plan, in.bindings,
                               BINDINGS, 1.0F / (float)B));
cleanup:
    clm_plan_free(plan);
    free_inputs(&in);
    return status;
}
