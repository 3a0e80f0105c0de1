/* Passes through a model, as plans of its description.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"
#include "graph/cut.h"
#include "graph/transform.h"
#include "model/opened.h"
#include "model/tasks/classify.h"

static const char *const bound[] = {"features.0", "losses", NULL};

/* ---- plans ---- */

/* The part of the description that a plan of this kind computes. */
static clm_status describe(clm_graph **graph, const clm_model_config *config,
                           const clm_memory_plan *plan, int kind) {
    clm_trained_part trained = {.policy = plan->train, .n_layer = config->n_layer};
    clm_graph *whole = NULL;
    clm_graph *narrowed = NULL;
    clm_cut cut = {0};
    clm_status status = CLM_OK;
    CLM_TRY(clm_graph_create(&whole));
    clm_classify_describe(whole, config, plan->B, plan->T, (kind & CLM_PASS_LOSSES) != 0);
    if ((kind & (CLM_PASS_FROM_FEATURES | CLM_PASS_FEATURES)) == 0) {
        *graph = whole;
        return clm_graph_status(whole);
    }
    if (!plan->whole_top_block) {
        CLM_TRY(clm_graph_narrow(&narrowed, whole));
    }
    CLM_TRY(
        clm_graph_cut(&cut, narrowed != NULL ? narrowed : whole, clm_trains_by_policy, &trained));
    if (cut.count != 1) {
        status = clm_fail(CLM_ERROR_UNSUPPORTED, "nothing of the model is frozen");
        goto cleanup;
    }
    clm_graph **part = (kind & CLM_PASS_FEATURES) != 0 ? &cut.frozen : &cut.trained;
    *graph = *part;
    *part = NULL;
cleanup:
    clm_cut_free(&cut);
    clm_graph_free(whole);
    clm_graph_free(narrowed);
    return status;
}

clm_status clm_pass_make_plan(clm_plan **made, clm_workspace *workspace, clm_parameters *parameters,
                              const clm_model_config *config, const clm_memory_plan *plan,
                              int kind) {
    const bool is_part = (kind & (CLM_PASS_FROM_FEATURES | CLM_PASS_FEATURES)) != 0;
    const clm_plan_options options = {.loss = (kind & CLM_PASS_GRADIENTS) != 0 ? "losses" : NULL,
                                      .bound = bound,
                                      .whole_rows = plan->whole_top_block || is_part,
                                      .recompute = plan->recompute,
                                      .kept = plan->kept_storage};
    clm_graph *graph = NULL;
    clm_status status = CLM_OK;
    *made = NULL;
    CLM_TRY(describe(&graph, config, plan, kind));
    CLM_TRY(clm_plan_make(made, workspace, graph, parameters, &options));
cleanup:
    clm_graph_free(graph);
    return status;
}

clm_status clm_pass_make_parameters(clm_parameters **parameters, clm_device *device,
                                    const clm_model_config *config, const clm_memory_plan *plan,
                                    bool one_pass) {
    const bool trains = plan->train != CLM_TRAIN_NOTHING;
    clm_trained_part trained = {.policy = plan->train, .n_layer = config->n_layer};
    const clm_parameters_options options = {.trains = trains ? clm_trains_by_policy : NULL,
                                            .context = &trained,
                                            .storage = plan->frozen_storage,
                                            .one_pass = one_pass,
                                            .whole_rows = plan->whole_top_block};
    clm_graph *graph = NULL;
    clm_status status = CLM_OK;
    CLM_TRY(clm_graph_create(&graph));
    clm_classify_describe(graph, config, 1, 1, trains);
    CLM_TRY(clm_parameters_create(parameters, device, graph, trains ? "losses" : NULL, &options));
cleanup:
    clm_graph_free(graph);
    return status;
}

clm_status clm_pass_draft_make(clm_pass_draft *draft, clm_device *device,
                               const clm_model_config *config, const clm_memory_plan *plan,
                               int kind) {
    clm_status status = CLM_OK;
    *draft = (clm_pass_draft){.config = *config};
    draft->config.n_labels = config->n_labels > 0 ? config->n_labels : 2;
    CLM_TRY(clm_model_config_check(config));
    CLM_TRY(clm_pass_make_parameters(&draft->parameters, device, &draft->config, plan, false));
    CLM_TRY(clm_workspace_create(&draft->workspace, device));
    CLM_TRY(clm_pass_make_plan(&draft->plan, draft->workspace, draft->parameters, &draft->config,
                               plan, kind));
cleanup:
    return status;
}

void clm_pass_draft_free(clm_pass_draft *draft) {
    clm_plan_free(draft->plan);
    clm_workspace_free(draft->workspace);
    clm_parameters_free(draft->parameters);
    *draft = (clm_pass_draft){0};
}

clm_memory_plan clm_model_plan(const clm_model *model, int B, int T) {
    return (clm_memory_plan){.train = model->trained.policy,
                             .frozen_storage = model->frozen_storage,
                             .kept_storage = model->kept_storage,
                             .whole_top_block = model->whole_top_block,
                             .recompute = model->recompute,
                             .B = B,
                             .T = T};
}

clm_status clm_model_make_plan(clm_plan **plan, clm_model *model, int kind, int B, int T) {
    const clm_memory_plan how = clm_model_plan(model, B, T);
    clm_status status = CLM_OK;
    *plan = NULL;
    if (model->passes.workspace == NULL) {
        CLM_TRY(clm_workspace_create(&model->passes.workspace, model->device));
    }
    CLM_TRY(clm_pass_make_plan(plan, model->passes.workspace, model->parameters, &model->config,
                               &how, kind));
cleanup:
    return status;
}

/* The cached plan, or a new one in place of that which was used longest ago. */
static clm_status find_plan(clm_model *model, int kind, int B, int T, clm_plan **plan) {
    clm_passes *passes = &model->passes;
    clm_cached_plan *oldest = &passes->plans[0];
    clm_status status = CLM_OK;
    passes->count++;
    for (size_t i = 0; i < CLM_PLANS_MOST; i++) {
        clm_cached_plan *cached = &passes->plans[i];
        if (cached->plan != NULL && cached->kind == kind && cached->B == B && cached->T == T) {
            cached->used = passes->count;
            *plan = cached->plan;
            return CLM_OK;
        }
        oldest = cached->used < oldest->used ? cached : oldest;
    }
    if (passes->last == oldest->plan) {
        passes->last = NULL;
    }
    clm_plan_free(oldest->plan);
    *oldest = (clm_cached_plan){0};
    CLM_TRY(clm_model_make_plan(plan, model, kind, B, T));
    *oldest = (clm_cached_plan){.kind = kind, .B = B, .T = T, .used = passes->count, .plan = *plan};
cleanup:
    return status;
}

void clm_passes_free(clm_passes *passes) {
    for (size_t i = 0; i < CLM_PLANS_MOST; i++) {
        clm_plan_free(passes->plans[i].plan);
    }
    clm_workspace_free(passes->workspace);
    clm_buffer_release(passes->features);
    *passes = (clm_passes){0};
}

/* ---- executing ---- */

static clm_status check_sizes(const clm_model *model, int B, int T) {
    if (B <= 0 || T <= 0) {
        return clm_fail(CLM_ERROR_SHAPE, "a batch of %d x %d tokens", B, T);
    }
    if (B > INT32_MAX / T) {
        return clm_fail(CLM_ERROR_SHAPE, "a batch of %d x %d tokens: more than 2^31 - 1", B, T);
    }
    if (T > model->config.n_ctx) {
        return clm_fail(CLM_ERROR_SHAPE, "%d tokens are more than the model's context of %d", T,
                        model->config.n_ctx);
    }
    return CLM_OK;
}

static clm_status check_tokens(const clm_model *model, const int32_t *tokens, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (tokens[i] < 0 || tokens[i] >= model->config.n_vocab) {
            return clm_fail(CLM_ERROR_ARGUMENT,
                            "token %d is outside the model's vocabulary of %d: is this the "
                            "tokenizer that the model was trained with?",
                            (int)tokens[i], model->config.n_vocab);
        }
    }
    return CLM_OK;
}

static clm_status execute(clm_model *model, int kind, const clm_pass *pass) {
    clm_passes *passes = &model->passes;
    const size_t B = (size_t)pass->B;
    clm_plan *plan = NULL;
    int32_t *rows = NULL;
    clm_status status = CLM_OK;
    CLM_TRY(check_sizes(model, pass->B, pass->T));
    if (pass->tokens != NULL) {
        CLM_TRY(check_tokens(model, pass->tokens, B * (size_t)pass->T));
        CLM_TRY(clm_weights_check(model->weights));
    }
    CLM_TRY(clm_allocate(&rows, B, sizeof *rows, "rows"));
    CLM_TRY(clm_classify_rows(&model->config, pass->lengths, pass->B, pass->T, rows));
    CLM_TRY(find_plan(model, kind, pass->B, pass->T, &plan));
    const clm_plan_binding bindings[] = {
        {.name = "tokens", .host = pass->tokens},
        {.name = "features.0", .buffer = passes->features},
        {.name = "rows", .host = rows},
        {.name = "targets", .host = pass->targets},
        {.name = "losses", .buffer = pass->losses},
    };
    if ((kind & CLM_PASS_GRADIENTS) != 0) {
        model->parameters->gradients_are_zero = false;
    }
    CLM_TRY(clm_plan_enqueue(plan, bindings, sizeof bindings / sizeof *bindings, pass->scale));
    passes->last = plan;
cleanup:
    clm_free(rows);
    return status;
}

clm_status clm_model_pass(clm_model *model, const clm_pass *pass) {
    const int kind = (pass->tokens == NULL ? CLM_PASS_FROM_FEATURES : 0) |
                     (pass->targets != NULL ? CLM_PASS_LOSSES : 0) |
                     (pass->scale != 0.0F ? CLM_PASS_GRADIENTS : 0);
    return execute(model, kind, pass);
}

clm_buffer *clm_model_pass_logits(const clm_model *model) {
    return model->passes.last != NULL ? clm_plan_output(model->passes.last, "logits") : NULL;
}

/* ---- features ---- */

clm_status clm_pass_features(clm_shape *shape, const clm_model_config *config,
                             const clm_memory_plan *plan) {
    clm_graph *graph = NULL;
    *shape = (clm_shape){0};
    clm_status status = describe(&graph, config, plan, CLM_PASS_FEATURES);
    if (status == CLM_OK) {
        *shape = clm_graph_about(graph, graph->outputs[0].tensor)->shape;
    } else if (status == CLM_ERROR_UNSUPPORTED) {
        clm_error_clear();
        status = CLM_OK;
    }
    clm_graph_free(graph);
    return status;
}

clm_status clm_model_count_features(clm_model *model, int T, size_t *count) {
    const clm_memory_plan plan = clm_model_plan(model, 1, T);
    clm_shape shape;
    const clm_status status = clm_pass_features(&shape, &model->config, &plan);
    *count = shape.rank > 0 ? (size_t)clm_shape_count(&shape) : 0;
    return status;
}

clm_status clm_model_reserve_features(clm_model *model, size_t count) {
    const size_t size_bytes = count * sizeof(float);
    clm_passes *passes = &model->passes;
    if (passes->features != NULL && clm_buffer_size_bytes(passes->features) >= size_bytes) {
        return CLM_OK;
    }
    clm_buffer_release(passes->features);
    passes->features = NULL;
    return clm_buffer_create_exact(&passes->features, model->device, size_bytes, "features");
}

clm_status clm_model_compute_features(clm_model *model, const int32_t *tokens,
                                      const int32_t *lengths, int B, int T) {
    clm_plan *plan = NULL;
    clm_status status = CLM_OK;
    CLM_TRY(check_sizes(model, B, T));
    CLM_TRY(find_plan(model, CLM_PASS_FEATURES, B, T, &plan));
    const clm_graph *graph = clm_plan_graph(plan);
    const clm_shape *shape = &clm_graph_about(graph, graph->outputs[0].tensor)->shape;
    CLM_TRY(clm_model_reserve_features(model, (size_t)clm_shape_count(shape)));
    CLM_TRY(execute(model, CLM_PASS_FEATURES,
                    &(clm_pass){.B = B, .T = T, .tokens = tokens, .lengths = lengths}));
cleanup:
    return status;
}

clm_buffer *clm_model_features(const clm_model *model) {
    return model->passes.features;
}
