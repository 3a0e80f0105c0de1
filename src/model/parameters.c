/* SPDX-License-Identifier: Apache-2.0 */
#include "model/parameters.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"

/* A dimension of a shape, by what it stands for. */
typedef enum size_symbol { none, V, P, C, C3, I, K } size_symbol;

typedef struct role {
    const char *name; /* within its block, for those that have one */
    size_symbol shape[2];
    clm_init init;
    bool in_block;
    bool residual; /* a projection back to the residual stream */
} role;

static const role roles[CLM_PARAMETER_KINDS] = {
    [CLM_PARAMETER_WTE_WEIGHT] = {"wte.weight", {V, C}, CLM_INIT_NORMAL, false, false},
    [CLM_PARAMETER_WPE_WEIGHT] = {"wpe.weight", {P, C}, CLM_INIT_NORMAL, false, false},
    [CLM_PARAMETER_LN_1_WEIGHT] = {"ln_1.weight", {C, none}, CLM_INIT_ONE, true, false},
    [CLM_PARAMETER_LN_1_BIAS] = {"ln_1.bias", {C, none}, CLM_INIT_ZERO, true, false},
    [CLM_PARAMETER_ATTN_QKV_WEIGHT] = {"attn.c_attn.weight", {C, C3}, CLM_INIT_NORMAL, true, false},
    [CLM_PARAMETER_ATTN_QKV_BIAS] = {"attn.c_attn.bias", {C3, none}, CLM_INIT_ZERO, true, false},
    [CLM_PARAMETER_ATTN_PROJ_WEIGHT] = {"attn.c_proj.weight", {C, C}, CLM_INIT_NORMAL, true, true},
    [CLM_PARAMETER_ATTN_PROJ_BIAS] = {"attn.c_proj.bias", {C, none}, CLM_INIT_ZERO, true, false},
    [CLM_PARAMETER_LN_2_WEIGHT] = {"ln_2.weight", {C, none}, CLM_INIT_ONE, true, false},
    [CLM_PARAMETER_LN_2_BIAS] = {"ln_2.bias", {C, none}, CLM_INIT_ZERO, true, false},
    [CLM_PARAMETER_MLP_FC_WEIGHT] = {"mlp.c_fc.weight", {C, I}, CLM_INIT_NORMAL, true, false},
    [CLM_PARAMETER_MLP_FC_BIAS] = {"mlp.c_fc.bias", {I, none}, CLM_INIT_ZERO, true, false},
    [CLM_PARAMETER_MLP_PROJ_WEIGHT] = {"mlp.c_proj.weight", {I, C}, CLM_INIT_NORMAL, true, true},
    [CLM_PARAMETER_MLP_PROJ_BIAS] = {"mlp.c_proj.bias", {C, none}, CLM_INIT_ZERO, true, false},
    [CLM_PARAMETER_LN_F_WEIGHT] = {"ln_f.weight", {C, none}, CLM_INIT_ONE, false, false},
    [CLM_PARAMETER_LN_F_BIAS] = {"ln_f.bias", {C, none}, CLM_INIT_ZERO, false, false},
    [CLM_PARAMETER_SCORE_WEIGHT] = {"score.weight", {K, C}, CLM_INIT_NORMAL, false, false},
    [CLM_PARAMETER_SCORE_BIAS] = {"score.bias", {K, none}, CLM_INIT_ZERO, false, false},
};

static size_t size_of(size_symbol symbol, const clm_model_config *config) {
    switch (symbol) {
        case V:
            return (size_t)config->n_vocab;
        case P:
            return (size_t)config->n_ctx;
        case C:
            return (size_t)config->n_embd;
        case C3:
            return 3 * (size_t)config->n_embd;
        case I:
            return (size_t)clm_model_config_inner(config);
        case K:
            return (size_t)config->n_labels;
        case none:
            break;
    }
    return 1;
}

static void add(clm_parameter_table *table, const clm_model_config *config, clm_parameter_kind kind,
                int layer) {
    const role *r = &roles[kind];
    clm_parameter *p = &table->parameters[table->count++];
    *p = (clm_parameter){.kind = kind, .layer = layer, .init = r->init};
    if (layer >= 0) {
        (void)snprintf(p->name, sizeof p->name, "h.%d.%s", layer, r->name);
    } else {
        (void)snprintf(p->name, sizeof p->name, "%s", r->name);
    }
    p->rank = r->shape[1] == none ? 1 : 2;
    p->shape[0] = size_of(r->shape[0], config);
    p->shape[1] = size_of(r->shape[1], config);
    p->count = p->shape[0] * p->shape[1];
    p->decays = p->rank == 2;
    if (r->init == CLM_INIT_NORMAL) {
        double scale = r->residual ? sqrt(2.0 * (double)config->n_layer) : 1.0;
        p->init_std = (float)(0.02 / scale);
    }
    table->total += p->count;
}

clm_status clm_parameter_table_make(clm_parameter_table *table, const clm_model_config *config) {
    *table = (clm_parameter_table){0};
    clm_status status = CLM_OK;
    CLM_TRY(clm_model_config_check(config));
    size_t most = (size_t)config->n_layer * CLM_PARAMETER_KINDS + CLM_PARAMETER_KINDS;
    CLM_TRY(clm_allocate(&table->parameters, most, sizeof *table->parameters,
                         "the table of parameters"));
    add(table, config, CLM_PARAMETER_WTE_WEIGHT, -1);
    add(table, config, CLM_PARAMETER_WPE_WEIGHT, -1);
    for (int layer = 0; layer < config->n_layer; layer++) {
        for (int kind = 0; kind < CLM_PARAMETER_KINDS; kind++) {
            if (roles[kind].in_block) {
                add(table, config, (clm_parameter_kind)kind, layer);
            }
        }
    }
    add(table, config, CLM_PARAMETER_LN_F_WEIGHT, -1);
    add(table, config, CLM_PARAMETER_LN_F_BIAS, -1);
    if (config->n_labels > 0) {
        add(table, config, CLM_PARAMETER_SCORE_WEIGHT, -1);
        add(table, config, CLM_PARAMETER_SCORE_BIAS, -1);
    }
cleanup:
    return status;
}

void clm_parameter_table_free(clm_parameter_table *table) {
    clm_free(table->parameters);
    *table = (clm_parameter_table){0};
}

const clm_parameter *clm_parameter_find(const clm_parameter_table *table, clm_parameter_kind kind,
                                        int layer) {
    /* The embeddings come first, then each block has its parameters in the order of their kinds. */
    enum { before = 2, in_block = CLM_PARAMETER_MLP_PROJ_BIAS - CLM_PARAMETER_LN_1_WEIGHT + 1 };
    size_t at = table->count;
    if (layer >= 0) {
        at = before + (size_t)layer * in_block + ((size_t)kind - CLM_PARAMETER_LN_1_WEIGHT);
    } else if (kind <= CLM_PARAMETER_WPE_WEIGHT) {
        at = (size_t)kind;
    } else if (kind >= CLM_PARAMETER_LN_F_WEIGHT) {
        size_t blocks = (table->count - before) / in_block;
        at = before + blocks * in_block + ((size_t)kind - CLM_PARAMETER_LN_F_WEIGHT);
    }
    if (at >= table->count || table->parameters[at].kind != kind ||
        table->parameters[at].layer != layer) {
        return NULL;
    }
    return &table->parameters[at];
}

int clm_parameter_layer(const char *name, const char **rest) {
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

const clm_parameter *clm_parameter_named(const clm_parameter_table *table, const char *name) {
    const char *rest = NULL;
    int layer = clm_parameter_layer(name, &rest);
    for (int kind = 0; kind < CLM_PARAMETER_KINDS; kind++) {
        if (roles[kind].in_block == (layer >= 0) && strcmp(roles[kind].name, rest) == 0) {
            return clm_parameter_find(table, (clm_parameter_kind)kind, layer);
        }
    }
    return NULL;
}
