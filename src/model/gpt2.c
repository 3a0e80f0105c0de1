/* SPDX-License-Identifier: Apache-2.0 */
#include "model/gpt2.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* A block, or what stands outside of them: -1. Names are "h.<layer>.<name>", or the name alone. */
typedef struct scope {
    clm_graph *graph;
    const clm_model_config *config;
    int layer;
    int64_t capacity; /* of the states of keys and values; 0: there are none */
    clm_tensor first; /* with states: the position of each sequence's first token */
} scope;

static clm_tensor parameter(const scope *s, const char *name, const char *kind, int rank,
                            const int64_t *shape, const clm_parameter_options *options) {
    char full[64];
    if (s->layer >= 0) {
        (void)snprintf(full, sizeof full, "h.%d.%s.%s", s->layer, name, kind);
    } else {
        (void)snprintf(full, sizeof full, "%s.%s", name, kind);
    }
    return clm_graph_parameter(s->graph, full, rank, shape, options);
}

static clm_tensor norm(const scope *s, const char *name, clm_tensor x) {
    const int64_t shape[] = {s->config->n_embd};
    const clm_parameter_options one = {.init = CLM_INIT_ONE};
    const clm_tensor weight = parameter(s, name, "weight", 1, shape, &one);
    const clm_tensor bias = parameter(s, name, "bias", 1, shape, NULL);
    return clm_graph_layernorm(s->graph, x, weight, bias, s->config->layer_norm_epsilon);
}

/* N(0, 0.02), which the projections back to the residual stream divide by sqrt(2 L) (section 2.3;
 * openai/gpt-2 src/model.py). */
static clm_tensor linear(const scope *s, const char *name, clm_tensor x, int64_t in, int64_t out,
                         bool to_residual) {
    const int64_t weight_shape[] = {in, out};
    const int64_t bias_shape[] = {out};
    const double shared = to_residual ? sqrt(2.0 * s->config->n_layer) : 1.0;
    const clm_parameter_options drawn = {
        .init = CLM_INIT_NORMAL, .spread = (float)(0.02 / shared), .decays = true};
    const clm_tensor weight = parameter(s, name, "weight", 2, weight_shape, &drawn);
    const clm_tensor bias = parameter(s, name, "bias", 1, bias_shape, NULL);
    return clm_graph_linear(s->graph, x, weight, CLM_LINEAR_IN_OUT, bias);
}

/* (B,T,C) of queries, keys or values as (B,T,H,D). */
static clm_tensor heads(const scope *s, clm_tensor qkv, int which, const int64_t *shape) {
    const int64_t C = s->config->n_embd;
    return clm_graph_reshape(s->graph, clm_graph_columns(s->graph, qkv, which * C, C), 4, shape);
}

/* Keys or values, also those of earlier executions. */
static clm_tensor remembered(const scope *s, const char *name, clm_tensor x) {
    char full[64];
    int rank = 0;
    int64_t shape[CLM_TENSOR_RANK_MOST] = {0};
    if (s->capacity == 0) {
        return x;
    }
    clm_graph_shape(s->graph, x, &rank, shape);
    shape[1] = s->capacity;
    (void)snprintf(full, sizeof full, "h.%d.%s", s->layer, name);
    return clm_graph_append(s->graph, clm_graph_state(s->graph, full, 4, shape), x, s->first);
}

static clm_tensor attend(const scope *s, clm_tensor x, int64_t B, int64_t T) {
    const int64_t C = s->config->n_embd;
    const int64_t by_head[] = {B, T, s->config->n_head, C / s->config->n_head};
    const int64_t joined[] = {B, T, C};
    const clm_attention_options causal = {.causal = true, .first = s->first};
    const clm_tensor qkv = linear(s, "attn.c_attn", x, C, 3 * C, false);
    const clm_tensor q = heads(s, qkv, 0, by_head);
    const clm_tensor k = remembered(s, "attn.k", heads(s, qkv, 1, by_head));
    const clm_tensor v = remembered(s, "attn.v", heads(s, qkv, 2, by_head));
    const clm_tensor mixed = clm_graph_attention(s->graph, q, k, v, &causal);
    return linear(s, "attn.c_proj", clm_graph_reshape(s->graph, mixed, 3, joined), C, C, true);
}

static clm_tensor block(const scope *s, clm_tensor x, int64_t B, int64_t T) {
    const int64_t C = s->config->n_embd;
    const int64_t inner = clm_model_config_inner(s->config);
    x = clm_graph_add(s->graph, x, attend(s, norm(s, "ln_1", x), B, T));
    const clm_tensor hidden = linear(s, "mlp.c_fc", norm(s, "ln_2", x), C, inner, false);
    return clm_graph_add(s->graph, x,
                         linear(s, "mlp.c_proj", clm_graph_gelu(s->graph, hidden), inner, C, true));
}

/* The embedding of tokens at positions 0 to T - 1, or at those given (B,T). */
static clm_tensor embed(const scope *s, clm_tensor tokens, clm_tensor positions) {
    const int64_t words[] = {s->config->n_vocab, s->config->n_embd};
    const int64_t places[] = {s->config->n_ctx, s->config->n_embd};
    const clm_parameter_options normal = {.init = CLM_INIT_NORMAL, .spread = 0.02F, .decays = true};
    const clm_tensor none = {0};
    const clm_tensor wte = parameter(s, "wte", "weight", 2, words, &normal);
    const clm_tensor wpe = parameter(s, "wpe", "weight", 2, places, &normal);
    if (positions.id == 0) {
        return clm_graph_embedding(s->graph, tokens, wte, wpe);
    }
    const clm_tensor words_of = clm_graph_embedding(s->graph, tokens, wte, none);
    return clm_graph_add(s->graph, words_of, clm_graph_embedding(s->graph, positions, wpe, none));
}

static clm_tensor describe(scope *s, clm_tensor tokens, clm_tensor positions) {
    int rank = 0;
    int64_t shape[CLM_TENSOR_RANK_MOST] = {0};
    clm_graph_shape(s->graph, tokens, &rank, shape);
    clm_tensor x = embed(s, tokens, positions);
    for (s->layer = 0; s->layer < s->config->n_layer; s->layer++) {
        char name[16];
        (void)snprintf(name, sizeof name, "h.%d", s->layer);
        clm_graph_mark(s->graph, x, name);
        x = block(s, x, shape[0], shape[1]);
    }
    s->layer = -1;
    return norm(s, "ln_f", x);
}

clm_tensor clm_gpt2_describe(clm_graph *graph, const clm_model_config *config, clm_tensor tokens) {
    scope s = {.graph = graph, .config = config, .layer = -1};
    return describe(&s, tokens, (clm_tensor){0});
}

clm_tensor clm_gpt2_describe_decoder(clm_graph *graph, const clm_model_config *config,
                                     clm_tensor tokens, int64_t capacity) {
    scope s = {.graph = graph, .config = config, .layer = -1, .capacity = capacity};
    int rank = 0;
    int64_t shape[CLM_TENSOR_RANK_MOST] = {0};
    clm_graph_shape(graph, tokens, &rank, shape);
    s.first = clm_graph_input(graph, "first", CLM_I32, 1, shape);
    return describe(&s, tokens, clm_graph_input(graph, "positions", CLM_I32, 2, shape));
}

int clm_gpt2_layer(const char *name, const char **rest) {
    *rest = name;
    if (strncmp(name, "h.", 2) != 0) {
        return -1;
    }
    const char *at = name + 2;
    int layer = 0;
    while (*at >= '0' && *at <= '9' && layer <= 100000) {
        layer = layer * 10 + (*at++ - '0');
    }
    if (at == name + 2 || *at != '.' || (name[2] == '0' && at > name + 3)) {
        return -1;
    }
    *rest = at + 1;
    return layer;
}
