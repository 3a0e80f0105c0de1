/* The public calls that add an operation: each packs its operands and its attributes.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "graph/operations.h"

#define APPLY(operation, with, ...)                                                       \
    clm_graph_apply(graph, &clm_operation_##operation, (const clm_tensor[]){__VA_ARGS__}, \
                    (int)(sizeof((const clm_tensor[]){__VA_ARGS__}) / sizeof(clm_tensor)), with)

clm_tensor clm_graph_embedding(clm_graph *graph, clm_tensor ids, clm_tensor table,
                               clm_tensor positions) {
    return APPLY(embedding, NULL, ids, table, positions);
}

clm_tensor clm_graph_linear(clm_graph *graph, clm_tensor x, clm_tensor weight,
                            clm_linear_layout layout, clm_tensor bias) {
    const clm_attributes with = {.linear = {.layout = layout}};
    return APPLY(linear, &with, x, weight, bias);
}

clm_tensor clm_graph_layernorm(clm_graph *graph, clm_tensor x, clm_tensor weight, clm_tensor bias,
                               float epsilon) {
    const clm_attributes with = {.epsilon = epsilon};
    return APPLY(layernorm, &with, x, weight, bias);
}

clm_tensor clm_graph_rmsnorm(clm_graph *graph, clm_tensor x, clm_tensor weight, float epsilon) {
    const clm_attributes with = {.epsilon = epsilon};
    return APPLY(rmsnorm, &with, x, weight);
}

clm_tensor clm_graph_gelu(clm_graph *graph, clm_tensor x) {
    return APPLY(gelu, NULL, x);
}

clm_tensor clm_graph_silu_gate(clm_graph *graph, clm_tensor gate, clm_tensor up) {
    return APPLY(silu_gate, NULL, gate, up);
}

clm_tensor clm_graph_add(clm_graph *graph, clm_tensor a, clm_tensor b) {
    return APPLY(add, NULL, a, b);
}

clm_tensor clm_graph_scale(clm_graph *graph, clm_tensor x, float factor) {
    const clm_attributes with = {.factor = factor};
    return APPLY(scale, &with, x);
}

clm_tensor clm_graph_columns(clm_graph *graph, clm_tensor x, int64_t first, int64_t count) {
    const clm_attributes with = {.columns = {.first = first, .count = count}};
    return APPLY(columns, &with, x);
}

clm_tensor clm_graph_reshape(clm_graph *graph, clm_tensor x, int rank, const int64_t *shape) {
    clm_attributes with = {.shape = {.rank = rank}};
    for (int i = 0; i < rank && i < CLM_TENSOR_RANK_MOST; i++) {
        with.shape.size[i] = shape[i];
    }
    return APPLY(reshape, &with, x);
}

clm_tensor clm_graph_rope(clm_graph *graph, clm_tensor x, float theta, clm_tensor first) {
    const clm_attributes with = {.rope = {.theta = theta}};
    return APPLY(rope, &with, x, first);
}

clm_tensor clm_graph_attention(clm_graph *graph, clm_tensor q, clm_tensor k, clm_tensor v,
                               const clm_attention_options *options) {
    const clm_attention_options usual = {0};
    const clm_attention_options *o = options != NULL ? options : &usual;
    const clm_attributes with = {.attention = {.causal = o->causal, .scale = o->scale}};
    return APPLY(attention, &with, q, k, v, o->first, o->lengths);
}

clm_tensor clm_graph_append(clm_graph *graph, clm_tensor state, clm_tensor x, clm_tensor first) {
    return APPLY(append, NULL, state, x, first);
}

clm_tensor clm_graph_gather(clm_graph *graph, clm_tensor x, clm_tensor rows) {
    return APPLY(gather, NULL, x, rows);
}

clm_tensor clm_graph_pick(clm_graph *graph, clm_tensor x, clm_tensor rows) {
    const clm_attributes with = {.one_each = true};
    return APPLY(gather, &with, x, rows);
}

clm_tensor clm_graph_crossentropy(clm_graph *graph, clm_tensor logits, clm_tensor targets) {
    return APPLY(crossentropy, NULL, logits, targets);
}
