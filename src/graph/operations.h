/* The table of operations: one row each, defined in the file of that name in graph/operations/. A
 * backward operation is an operation like any other, but no description asks for it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_GRAPH_OPERATIONS_H
#define CLM_GRAPH_OPERATIONS_H

#include "graph/graph.h"

extern const clm_operation clm_operation_embedding;
extern const clm_operation clm_operation_embedding_backward;
extern const clm_operation clm_operation_linear;
extern const clm_operation clm_operation_linear_backward;
extern const clm_operation clm_operation_layernorm;
extern const clm_operation clm_operation_layernorm_backward;
extern const clm_operation clm_operation_rmsnorm;
extern const clm_operation clm_operation_rmsnorm_backward;
extern const clm_operation clm_operation_gelu;
extern const clm_operation clm_operation_gelu_backward;
extern const clm_operation clm_operation_silu_gate;
extern const clm_operation clm_operation_silu_gate_backward;
extern const clm_operation clm_operation_add;
extern const clm_operation clm_operation_scale;
extern const clm_operation clm_operation_accumulate;
extern const clm_operation clm_operation_columns;
extern const clm_operation clm_operation_join;
extern const clm_operation clm_operation_reshape;
extern const clm_operation clm_operation_rope;
extern const clm_operation clm_operation_attention;
extern const clm_operation clm_operation_attention_backward;
extern const clm_operation clm_operation_append;
extern const clm_operation clm_operation_gather;
extern const clm_operation clm_operation_scatter;
extern const clm_operation clm_operation_round16;
extern const clm_operation clm_operation_widen16;
extern const clm_operation clm_operation_crossentropy;
extern const clm_operation clm_operation_crossentropy_backward;

/* A tensor of `shape` with parts[i] in the columns from firsts[i] on, and zeros elsewhere. Parts do
 * not overlap. Returns its id; one part that is all of it is returned itself. */
enum { CLM_JOIN_MOST = 4 };
uint32_t clm_graph_join(clm_graph *graph, const clm_shape *shape, const uint32_t *parts,
                        const int64_t *firsts, int count);

#endif
