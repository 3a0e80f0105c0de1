/* GPT-2 on a device, with a classification head.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_MODEL_H
#define CLM_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clm/config.h"
#include "clm/device.h"
#include "clm/dtype.h"
#include "clm/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Which parameters are trained; each includes those before it. The token and position embeddings
 * are trained by "all" only. */
typedef enum clm_train_policy {
    CLM_TRAIN_NOTHING = 0, /* inference: every weight may be packed */
    CLM_TRAIN_HEAD,
    CLM_TRAIN_LAST_BLOCK, /* the head, the final LayerNorm and the last block: the recipe */
    CLM_TRAIN_LAST_TWO_BLOCKS,
    CLM_TRAIN_ALL
} clm_train_policy;

/* "head", "last-block", "last-two-blocks" or "all"; CLM_ERROR_ARGUMENT, listing them, for another
 * text. */
CLM_API clm_status clm_train_policy_parse(clm_train_policy *policy, const char *text);
/* The inverse, for one of the values above; CLM_TRAIN_NOTHING is "nothing". Static. */
CLM_API const char *clm_train_policy_name(clm_train_policy policy);

/* How a model is stored on the device. Arithmetic is in floats for every precision, with one
 * exception: a device with half arithmetic uses it for products with F16 weights if it is faster
 * and passes the self-test. Such products also round their input to halves, and sum 16 products at
 * a time in halves. Trained weights, their gradients, AdamW's moments and the gradients of
 * activations stay floats, so no loss scaling is needed. These are stored in 16 bits, rounded to
 * nearest even:
 *
 * - weights of the blocks' linear layers that are not trained: relative error at most 2^-11 (F16;
 *   below 6.1e-5, absolute error at most 2^-25) or 2^-8 (BF16);
 * - what every trained block except the top one keeps for its backward pass. Such a block also
 *   keeps less: the outputs of its LayerNorms and GELU are computed again. Attention reads queries,
 *   keys and values in the stored form. A value above 65504 becomes infinite in F16, and so does
 *   the loss's gradient; BF16 has the range of floats. */
typedef enum clm_precision {
    CLM_PRECISION_AUTO = 0, /* F32 if it fits the device, else F16 for as much as necessary */
    CLM_PRECISION_F32,
    CLM_PRECISION_F16,
    CLM_PRECISION_BF16
} clm_precision;

/* "auto", "f32", "f16" or "bf16"; CLM_ERROR_ARGUMENT, listing them, for another text. */
CLM_API clm_status clm_precision_parse(clm_precision *precision, const char *text);

typedef struct clm_model_options {
    clm_train_policy train;
    /* More than 0 classes: replaces the model's head, if any, by a new one, (n_labels,C) with bias,
     * initialised like torch.nn.Linear after torch.manual_seed(head_seed). */
    int n_labels;
    const char *const *labels; /* their names; NULL: LABEL_0 and so on */
    uint64_t head_seed;
    /* The head reads one position of a sequence, so the top block computes query, projection and
     * MLP for that position only, with the same result. True: for all positions, for comparison. */
    bool whole_top_block;
    clm_precision precision; /* does not affect saved models */
    /* The forward pass keeps only the input of a trained block; the backward pass runs the block
     * again from it (Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost"). Less
     * memory for activations, about a quarter more time when all blocks are trained, and in F32 the
     * same bits. */
    bool recompute;
    /* Frozen weights in F32 keep the file's layout instead of being packed for products first:
     * ready sooner, slower from the second pass on. The same result except for rounding. */
    bool one_pass;
} clm_model_options;

#define CLM_MODEL_OPTIONS_DEFAULT \
    { CLM_TRAIN_NOTHING, 0, NULL, 123, false, CLM_PRECISION_AUTO, false, false }

/* A model with its parameters on a device. One thread at a time may use it. */
typedef struct clm_model clm_model;

/* Reads the weights of `source` to the device, through *model: a folder saved by Hugging Face
 * transformers, a .safetensors file, or "random:n_layer=2,n_embd=64,..." (initialised like GPT-2;
 * see clm_model_config_parse). `device` is borrowed until clm_model_close(); files of `source` stay
 * open until then, too. `options` may be NULL. The caller closes *model, which is NULL after a
 * failure. Blocks.
 *
 * CLM_ERROR_NOT_FOUND, CLM_ERROR_IO; CLM_ERROR_FORMAT (a file that is not what it claims to be, a
 * missing tensor, no classes in the model or the options), CLM_ERROR_SHAPE (tensors that contradict
 * config.json), CLM_ERROR_UNSUPPORTED (another architecture), CLM_ERROR_ARGUMENT (a field after
 * "random:" that does not exist); CLM_ERROR_UNSUPPORTED also for a weight too large for the
 * precision (65520 in F16); CLM_ERROR_DEVICE_MEMORY and other errors of the device;
 * CLM_ERROR_MEMORY. */
CLM_API clm_status clm_model_open(clm_model **model, clm_device *device, const char *source,
                                  const clm_model_options *options);
CLM_API void clm_model_close(clm_model *model); /* NULL is fine */

/* Lent until the model is closed; clm_model_set_pooling() changes it. */
CLM_API const clm_model_config *clm_model_get_config(const clm_model *model);

/* How many parameters there are, and how many are trained. */
CLM_API size_t clm_model_parameter_count(const clm_model *model);
CLM_API size_t clm_model_trained_count(const clm_model *model);

/* How the head is trained, for clm_finetune_classifier() and for later use of the model;
 * clm_model_save() writes it to config.json. pad_token: the id that pads short texts;
 * padded_length: T of the training texts, 0 if it varies. CLM_ERROR_SHAPE when padded_length is
 * negative or above the context. */
CLM_API clm_status clm_model_set_pooling(clm_model *model, clm_pooling pooling, int pad_token,
                                         int padded_length);

/* logits (B,n_labels) of tokens (B,T), both in host memory. lengths (B) are the tokens of each
 * before padding, needed for CLM_POOLING_LAST_TOKEN only. CLM_ERROR_SHAPE when T is above the
 * context, CLM_ERROR_ARGUMENT for a token outside the vocabulary. Blocks. */
CLM_API clm_status clm_model_logits(clm_model *model, const int32_t *tokens, const int32_t *lengths,
                                    int B, int T, float *logits);

/* Writes config.json and model.safetensors, so that Hugging Face transformers opens the folder as
 * GPT2ForSequenceClassification and computes the same logits; with the tokenizer's files
 * (clm_tokenizer_save()) the folder is complete. It is created if missing; files with these names
 * are replaced, each whole or not at all. CLM_ERROR_IO, CLM_ERROR_NO_SPACE, errors of the device,
 * CLM_ERROR_MEMORY. Blocks. */
CLM_API clm_status clm_model_save(clm_model *model, const char *folder);

/* The intended use of a model: passes over tokens (B,T), and the options of the same names. */
typedef struct clm_memory_plan {
    clm_train_policy train;
    clm_dtype frozen_storage; /* of frozen weights: CLM_F32, CLM_F16 or CLM_BF16 */
    clm_dtype kept_storage;   /* of what the backward pass needs, likewise */
    bool whole_top_block;
    bool recompute;
    int B, T;
} clm_memory_plan;

/* The device memory that it needs: the sizes of all buffers that opening the model, AdamW and a
 * pass allocate and keep, to the byte. Not in it are texts' features (clm_finetune_options), the
 * losses of a batch, what weights are copied and packed from while the model is opened, and what
 * the driver takes for itself. */
typedef struct clm_memory_estimate {
    uint64_t parameters_bytes;
    uint64_t gradients_bytes;
    uint64_t moments_bytes; /* AdamW's two */
    uint64_t activations_bytes;
    uint64_t largest_buffer_bytes; /* that cannot be split, as the token embedding can */
    uint64_t total_bytes;
} clm_memory_estimate;

/* Computes it before anything is allocated. What kernels need depends on the device and its
 * settings; while it has yet to measure which matrix products are the faster, this is the most that
 * it could be. CLM_ERROR_SHAPE for impossible sizes, CLM_ERROR_MEMORY. */
CLM_API clm_status clm_model_estimate_memory(clm_device *device, const clm_model_config *config,
                                             const clm_memory_plan *plan,
                                             clm_memory_estimate *estimate);

#ifdef __cplusplus
}
#endif
#endif
