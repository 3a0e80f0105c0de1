/* SPDX-License-Identifier: Apache-2.0 */
#include "model/tasks/classify.h"

#include <string.h>

#include "base/random.h"
#include "model/gpt2.h"

/* The head stays floats: it is small, and answers come from it. */
static clm_tensor head(clm_graph *graph, const clm_model_config *config, clm_tensor picked) {
    const int64_t weight_shape[] = {config->n_labels, config->n_embd};
    const int64_t bias_shape[] = {config->n_labels};
    const clm_parameter_options normal = {
        .init = CLM_INIT_NORMAL, .spread = 0.02F, .decays = true, .exact = true};
    const clm_parameter_options optional = {.optional = true, .exact = true};
    const clm_tensor weight = clm_graph_parameter(graph, "score.weight", 2, weight_shape, &normal);
    const clm_tensor bias = clm_graph_parameter(graph, "score.bias", 1, bias_shape, &optional);
    return clm_graph_linear(graph, picked, weight, CLM_LINEAR_OUT_IN, bias);
}

void clm_classify_describe(clm_graph *graph, const clm_model_config *config, int64_t B, int64_t T,
                           bool losses) {
    const int64_t tokens[] = {B, T};
    const int64_t each[] = {B};
    const clm_tensor hidden =
        clm_gpt2_describe(graph, config, clm_graph_input(graph, "tokens", CLM_I32, 2, tokens));
    const clm_tensor picked =
        clm_graph_pick(graph, hidden, clm_graph_input(graph, "rows", CLM_I32, 1, each));
    const clm_tensor logits = head(graph, config, picked);
    clm_graph_output(graph, logits, "logits");
    if (losses) {
        clm_graph_output(graph,
                         clm_graph_crossentropy(
                             graph, logits, clm_graph_input(graph, "targets", CLM_I32, 1, each)),
                         "losses");
    }
}

bool clm_classify_is_head(const char *name) {
    return strncmp(name, "score.", 6) == 0;
}

clm_status clm_classify_rows(const clm_model_config *config, const int32_t *lengths, int B, int T,
                             int32_t *rows) {
    const bool last_token = config->pooling == CLM_POOLING_LAST_TOKEN && lengths != NULL;
    for (int b = 0; b < B; b++) {
        const int length = last_token ? lengths[b] : T;
        if (length < 1 || length > T) {
            return clm_fail(CLM_ERROR_SHAPE, "sequence %d has %d of %d tokens", b, length, T);
        }
        rows[b] = b * T + length - 1;
    }
    return CLM_OK;
}

clm_status clm_classify_draw_head(const clm_model_config *config, uint64_t seed, float *weight,
                                  float *bias) {
    clm_torch_random *random = NULL;
    clm_status status = clm_torch_random_create(&random, seed);
    if (status == CLM_OK) {
        status = clm_torch_linear_init(random, weight, bias, config->n_labels, config->n_embd);
    }
    clm_torch_random_free(random);
    return status;
}
