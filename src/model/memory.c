/* What a model and its passes take of a device's memory, from plans that are not executed.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "graph/transform.h"
#include "model/opened.h"
#include "model/tasks/classify.h"

/* A model without a head will get one, of two classes. */
static clm_status describe(clm_graph **graph, const clm_model_config *config, int B, int T,
                           bool losses) {
    clm_model_config with_head = *config;
    clm_status status = CLM_OK;
    with_head.n_labels = config->n_labels > 0 ? config->n_labels : 2;
    CLM_TRY(clm_model_config_check(config));
    CLM_TRY(clm_graph_create(graph));
    clm_classify_describe(*graph, &with_head, B, T, losses);
    CLM_TRY(clm_graph_status(*graph));
cleanup:
    return status;
}

/* *largest_bytes: of what passes take alone. */
static clm_status estimate_memory(clm_device *device, const clm_model_config *config,
                                  const clm_memory_plan *plan, clm_memory_estimate *estimate,
                                  uint64_t *largest_bytes) {
    static const char *const bound[] = {"losses", NULL}; /* they are in the caller's memory */
    const bool trains = plan->train != CLM_TRAIN_NOTHING;
    clm_trained_part trained = {.policy = plan->train, .n_layer = config->n_layer};
    const clm_parameters_options stored = {.trains = trains ? clm_trains_by_policy : NULL,
                                           .context = &trained,
                                           .storage = plan->frozen_storage,
                                           .whole_rows = plan->whole_top_block};
    const clm_plan_options options = {.loss = trains ? "losses" : NULL,
                                      .bound = bound,
                                      .whole_rows = plan->whole_top_block,
                                      .recompute = plan->recompute,
                                      .kept = plan->kept_storage};
    clm_graph *graph = NULL;
    clm_parameters *parameters = NULL;
    clm_workspace *workspace = NULL;
    clm_plan *made = NULL;
    clm_parameters_memory memory;
    clm_status status = CLM_OK;
    *estimate = (clm_memory_estimate){0};
    CLM_TRY(describe(&graph, config, plan->B, plan->T, trains));
    CLM_TRY(clm_parameters_create(&parameters, device, graph, options.loss, &stored));
    CLM_TRY(clm_workspace_create(&workspace, device));
    CLM_TRY(clm_plan_make(&made, workspace, graph, parameters, &options));
    clm_parameters_measure(parameters, &memory);
    clm_plan_memory(made, &estimate->activations_bytes, largest_bytes);
    estimate->parameters_bytes = memory.values_bytes;
    estimate->gradients_bytes = memory.gradients_bytes;
    estimate->moments_bytes = memory.moments_bytes;
    estimate->largest_buffer_bytes =
        *largest_bytes > memory.largest_buffer_bytes ? *largest_bytes : memory.largest_buffer_bytes;
    estimate->total_bytes = estimate->parameters_bytes + estimate->gradients_bytes +
                            estimate->moments_bytes + estimate->activations_bytes;
cleanup:
    clm_plan_free(made);
    clm_workspace_free(workspace);
    clm_parameters_free(parameters);
    clm_graph_free(graph);
    return status;
}

clm_status clm_model_estimate_memory(clm_device *device, const clm_model_config *config,
                                     const clm_memory_plan *plan, clm_memory_estimate *estimate) {
    uint64_t largest_bytes = 0;
    return estimate_memory(device, config, plan, estimate, &largest_bytes);
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
