/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"
#include "graph/restore.h"
#include "graph/transform.h"

clm_status clm_graph_recompute(clm_graph *graph) {
    clm_value_use *uses = NULL;
    clm_held *held = NULL;
    uint32_t last = 0;
    clm_status status = CLM_OK;
    CLM_TRY(clm_graph_status(graph));
    CLM_TRY(clm_allocate(&uses, graph->tensor_count, sizeof *uses, "a graph"));
    CLM_TRY(clm_allocate(&held, graph->tensor_count, sizeof *held, "a graph"));
    clm_graph_uses(graph, uses, &last);
    for (uint32_t i = 1; i < graph->tensor_count; i++) {
        if (uses[i].from == uses[i].until && uses[i].from < last) {
            held[i] = CLM_HELD_AGAIN;
        }
    }
    CLM_TRY(clm_graph_restore(graph, held, CLM_F32));
cleanup:
    clm_free(uses);
    clm_free(held);
    return status;
}
