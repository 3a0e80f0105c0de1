/* SPDX-License-Identifier: Apache-2.0 */
#include "model/declare.h"

#include "model/gpt2.h"
#include "model/tasks/classify.h"

clm_status clm_model_declare(clm_parameter_table *table, const clm_model_config *config) {
    static const int64_t one[] = {1, 1};
    clm_graph *graph = NULL;
    clm_status status = CLM_OK;
    *table = (clm_parameter_table){0};
    CLM_TRY(clm_model_config_check(config));
    CLM_TRY(clm_graph_create(&graph));
    if (config->n_labels > 0) {
        clm_classify_describe(graph, config, 1, 1, false);
    } else {
        clm_gpt2_describe(graph, config, clm_graph_input(graph, "tokens", CLM_I32, 2, one));
    }
    CLM_TRY(clm_parameter_table_make(table, graph));
cleanup:
    clm_graph_free(graph);
    return status;
}
