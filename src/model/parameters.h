/* The one place where the names, order and shapes of GPT-2's parameters are known.
 *
 * Names are those of Hugging Face transformers without "transformer.". The weights of the linear
 * layers within a block are Conv1D: (in, out), so that y = x W + b reads them in order; the head's
 * is (out, in), as in torch.nn.Linear.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_MODEL_PARAMETERS_H
#define CLM_MODEL_PARAMETERS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "clm/config.h"
#include "clm/graph.h"

typedef enum clm_parameter_kind {
    CLM_PARAMETER_WTE_WEIGHT = 0,   /* (V, C), also the language model's head */
    CLM_PARAMETER_WPE_WEIGHT,       /* (n_ctx, C) */
    CLM_PARAMETER_LN_1_WEIGHT,      /* (C) */
    CLM_PARAMETER_LN_1_BIAS,        /* (C) */
    CLM_PARAMETER_ATTN_QKV_WEIGHT,  /* (C, 3 C): query, key, value side by side */
    CLM_PARAMETER_ATTN_QKV_BIAS,    /* (3 C) */
    CLM_PARAMETER_ATTN_PROJ_WEIGHT, /* (C, C) */
    CLM_PARAMETER_ATTN_PROJ_BIAS,   /* (C) */
    CLM_PARAMETER_LN_2_WEIGHT,      /* (C) */
    CLM_PARAMETER_LN_2_BIAS,        /* (C) */
    CLM_PARAMETER_MLP_FC_WEIGHT,    /* (C, n_inner) */
    CLM_PARAMETER_MLP_FC_BIAS,      /* (n_inner) */
    CLM_PARAMETER_MLP_PROJ_WEIGHT,  /* (n_inner, C) */
    CLM_PARAMETER_MLP_PROJ_BIAS,    /* (C) */
    CLM_PARAMETER_LN_F_WEIGHT,      /* (C) */
    CLM_PARAMETER_LN_F_BIAS,        /* (C) */
    CLM_PARAMETER_SCORE_WEIGHT,     /* (n_labels, C), only with labels */
    CLM_PARAMETER_SCORE_BIAS,       /* (n_labels), only with labels; files may lack it: zero */
    CLM_PARAMETER_KINDS
} clm_parameter_kind;

typedef struct clm_parameter {
    char name[40]; /* "h.0.attn.c_attn.weight" */
    clm_parameter_kind kind;
    int layer; /* -1 outside the blocks */
    int rank;  /* 1 or 2 */
    size_t shape[2];
    size_t count; /* elements */
    /* Whether pretraining usually decays it: matrices, not biases or LayerNorm. The recipe of
     * LLMs-from-scratch decays everything that it trains and ignores this. */
    bool decays;
    /* GPT-2's initialisation (Radford et al. 2019, section 2.3; openai/gpt-2 src/model.py):
     * N(0, 0.02), the projections back to the residual stream divided by sqrt(2 L). */
    clm_init init;
    float init_std; /* of CLM_INIT_NORMAL */
} clm_parameter;

typedef struct clm_parameter_table {
    clm_parameter *parameters;
    size_t count;
    size_t total; /* elements of all */
} clm_parameter_table;

/* The table of a model in the order of its forward pass: wte, wpe, the blocks, ln_f, score.
 * CLM_ERROR_SHAPE when the config cannot be. Free it with clm_parameter_table_free(). */
clm_status clm_parameter_table_make(clm_parameter_table *table, const clm_model_config *config);
void clm_parameter_table_free(clm_parameter_table *table); /* fine on a zeroed one */

/* Lent by the table; NULL when there is none. `layer` is -1 outside the blocks. */
const clm_parameter *clm_parameter_find(const clm_parameter_table *table, clm_parameter_kind kind,
                                        int layer);
const clm_parameter *clm_parameter_named(const clm_parameter_table *table, const char *name);

/* The block that a name such as "h.11.ln_1.bias" belongs to, or -1; *rest is what follows
 * "h.11.", or the whole name. A number that is not in C's decimal form, or over a million, is not a
 * block. */
int clm_parameter_layer(const char *name, const char **rest);

#endif
