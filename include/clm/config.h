/* What a GPT-2 is, apart from its weights: sizes, dropout, the classification head.
 *
 * Read from and written to the config.json of Hugging Face transformers (GPT2Config); fields that
 * only clm knows are stored under one key, "clm".
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_CONFIG_H
#define CLM_CONFIG_H

#include <stdint.h>

#include "clm/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Which position's hidden state the classification head sees. */
typedef enum clm_pooling {
    CLM_POOLING_LAST_POSITION = 0, /* of the padded sequence: LLMs-from-scratch, chapter 6 */
    CLM_POOLING_LAST_TOKEN = 1     /* the last that is not padding: GPT2ForSequenceClassification */
} clm_pooling;

typedef struct clm_model_config {
    int n_vocab; /* V */
    int n_ctx;   /* most positions, T */
    int n_embd;  /* C */
    int n_head;  /* H, divides C */
    int n_layer; /* L */
    int n_inner; /* channels inside the MLP; 0: 4 C */
    float layer_norm_epsilon;
    float embd_dropout; /* probabilities */
    float attn_dropout;
    float resid_dropout;
    int n_labels;        /* classes; 0 for a language model */
    char **labels;       /* n_labels names, owned by the config; NULL without classes */
    clm_pooling pooling; /* used only with labels */
    int pad_token;       /* id; -1 when there is none */
    int padded_length;   /* positions that the head was trained on; 0 if unknown */
} clm_model_config;

/* GPT-2 with 124M parameters. */
#define CLM_MODEL_CONFIG_DEFAULT                                             \
    {                                                                        \
        50257, 1024, 768, 12, 12, 0, 1e-5F, 0.1F, 0.1F, 0.1F, 0, (char **)0, \
            CLM_POOLING_LAST_POSITION, -1, 0                                 \
    }

/* The functions that fill a whole config overwrite its contents, so free them first. The caller
 * frees the result with clm_model_config_free(). */

/* The config of "gpt2" (124M parameters), "gpt2-medium" (355M), "gpt2-large" (774M) or "gpt2-xl"
 * (1558M). CLM_ERROR_ARGUMENT for another name. */
CLM_API clm_status clm_model_config_preset(clm_model_config *config, const char *name);

/* The config and seed of "random", "random:gpt2-medium,seed=1" or
 * "random:n_layer=2,n_embd=64,n_head=2,n_ctx=128,n_vocab=50257,n_inner=256,seed=0": an optional
 * preset, then any of these fields. Fields that are not given come from the preset (gpt2 without
 * one, seed 0); with n_embd and without n_head, n_head is max(1, n_embd / 64). CLM_ERROR_ARGUMENT,
 * naming the field, for anything else. */
CLM_API clm_status clm_model_config_parse(clm_model_config *config, uint64_t *seed,
                                          const char *text);

/* Checks that the sizes are valid and consistent. CLM_ERROR_SHAPE otherwise, naming the field. */
CLM_API clm_status clm_model_config_check(const clm_model_config *config);

/* Reads config.json. Missing members default to gpt2's, unnamed classes to LABEL_0, LABEL_1 and so
 * on; unknown members are ignored with a warning. A wrong type or range is CLM_ERROR_FORMAT, a
 * contradiction CLM_ERROR_SHAPE; CLM_ERROR_UNSUPPORTED names the member that asks for a different
 * model: another architecture, a variant of GPT-2 that computes something else, a task other than
 * choosing one of several classes. Needs only the config, so it can be called before the weights
 * are read. */
CLM_API clm_status clm_model_config_read(clm_model_config *config, const char *path);

/* The config of whatever clm_model_open() opens, without a device: a folder, a .safetensors file or
 * "random:...". Reads headers, and checks that all parameters are there. The caller frees it. */
CLM_API clm_status clm_model_config_open(clm_model_config *config, const char *source);

/* Writes config.json, as GPT2ForSequenceClassification when there are labels, else as
 * GPT2LMHeadModel. The file appears whole or not at all. CLM_ERROR_IO, CLM_ERROR_NO_SPACE. */
CLM_API clm_status clm_model_config_write(const clm_model_config *config, const char *path);

/* Replaces the classes. With `labels` NULL they are named LABEL_0, LABEL_1 and so on; names are
 * copied, and must be UTF-8 and distinct; otherwise CLM_ERROR_ENCODING or CLM_ERROR_ARGUMENT, and
 * nothing is replaced. */
CLM_API clm_status clm_model_config_set_labels(clm_model_config *config, int n_labels,
                                               const char *const *labels);

/* A deep copy, for the caller to free. CLM_ERROR_MEMORY. */
CLM_API clm_status clm_model_config_copy(clm_model_config *copy, const clm_model_config *config);

/* Frees what the config owns and zeroes it. */
CLM_API void clm_model_config_free(clm_model_config *config);

/* n_inner, or 4 C if it is 0. */
CLM_API int clm_model_config_inner(const clm_model_config *config);

#ifdef __cplusplus
}
#endif
#endif
