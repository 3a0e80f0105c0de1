/* A model's internals: parameters on the device, activations, forward and backward passes.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_MODEL_GPT2_H
#define CLM_MODEL_GPT2_H

#include "clm/model.h"
#include "device/device.h"
#include "model/arena.h"
#include "model/parameters.h"
#include "model/weights.h"
#include "ops/ops.h"

typedef struct clm_model_parameter {
    const clm_parameter *about;
    bool trained;
    clm_buffer *value;       /* NULL when packed; lent by the model's arena when trained */
    clm_gemm_packed *packed; /* replaces the value of a frozen weight of a linear layer */
    /* For the top block's queries, keys and values, `packed` has keys and values only, and this has
     * the queries, unless the whole block runs on all positions. */
    clm_gemm_packed *packed_query;
    clm_buffer *gradient; /* trained ones only; lent by the model's arena */
} clm_model_parameter;

/* What one block's forward pass keeps for its backward pass. rows = B * T. In the top block, unless
 * it runs whole, qkv has keys and values only, (rows,2C), lse is (B,H), and what comes after has B
 * rows. */
typedef struct clm_block_activations {
    clm_buffer *x;         /* (rows,C), the block's input; NULL in the lowest: activations.x */
    clm_buffer *ln_1;      /* (rows,C) */
    clm_buffer *ln_1_mean; /* (rows) */
    clm_buffer *ln_1_rstd;
    clm_buffer *qkv;       /* (rows,3C) */
    clm_buffer *lse;       /* (B,H,T) */
    clm_buffer *attention; /* (rows,C) */
    clm_buffer *x_middle;  /* (rows,C), after attention */
    clm_buffer *ln_2;      /* (rows,C) */
    clm_buffer *ln_2_mean;
    clm_buffer *ln_2_rstd;
    clm_buffer *fc;   /* (rows,inner), before GELU */
    clm_buffer *gelu; /* (rows,inner) */
    /* x, qkv, attention, x_middle and fc, if kept in 16 bits; NULL for those that are not, and NULL
     * itself if none is. */
    const struct clm_block_activations *halves;
} clm_block_activations;

typedef struct clm_pass_size {
    int B, T;
} clm_pass_size;

/* Buffers for passes up to a size; allocated at the first pass, enlarged when a pass needs more. */
typedef struct clm_activations {
    clm_pass_size pass;
    clm_pass_size training; /* of what is for the backward pass */
    clm_block_activations
        *kept; /* n_layer of them; those of blocks that are not trained are empty */
    clm_block_activations scratch; /* for blocks that keep nothing */
    /* With `recompute` a trained block keeps only its input, and with a kept_storage of 16 bits
     * everything that it keeps is in 16 bits. The floats are then here and in scratch, from which
     * the backward pass reads them after they have been recomputed. This has what scratch lacks
     * and, with 16 bits, the stream between trained blocks, as x. The top block, the last to run,
     * finds its own values there. */
    clm_block_activations shared;
    clm_buffer *x; /* (rows,C), the stream of frozen blocks, which the lowest trained one reads */
    clm_buffer *tokens;      /* (B,T) int32 */
    clm_buffer *pooled_rows; /* (B) int32 */
    clm_buffer *pooled_x;    /* (B,C), the pooled rows of the top block's input */
    clm_buffer *pooled_ln_1; /* (B,C), those of its first LayerNorm */
    clm_buffer *query;       /* (B,C), their queries */
    clm_buffer *pooled;      /* (B,C), those of its output */
    clm_buffer *x_top;       /* (rows,C), its output, when it is trained and runs whole */
    clm_buffer *ln_f;        /* (B,C) */
    clm_buffer *ln_f_mean;   /* (B) */
    clm_buffer *ln_f_rstd;
    clm_buffer *logits; /* (B,n_labels) */
    /* The backward pass. */
    clm_buffer *dlogits; /* (B,n_labels) */
    clm_buffer *dln_f;   /* (B,C) */
    clm_buffer *dpooled; /* (B,C) */
    clm_buffer *dquery;  /* (B,C) */
    clm_buffer *dx;      /* (rows,C) */
    clm_buffer *dln;     /* (rows,C) */
    clm_buffer *dhidden; /* (rows, the larger of inner and 3C) */
} clm_activations;

struct clm_model {
    clm_device *device;
    clm_weights *weights; /* frozen values are read from here again when the model is saved */
    clm_model_config config;
    clm_parameter_table table;
    clm_model_parameter *parameters; /* as many as the table has, in its order */
    clm_arena_layout trained;        /* which of them are trained, and where they lie in arenas */
    clm_arena values;
    clm_arena gradients;
    bool gradients_are_zero;
    clm_train_policy policy;
    clm_precision precision;
    clm_dtype frozen_storage; /* of packed parameters */
    clm_dtype kept_storage;   /* of what trained blocks keep */
    int first_trained_layer;  /* n_layer when no block is trained */
    bool whole_top_block;     /* as in clm_model_options */
    bool recompute;           /* as there */
    bool one_pass;            /* as there */
    bool new_head;            /* the head is not that of `weights` */
    uint64_t head_seed;
    clm_activations activations;
    int32_t *tokens; /* those of the last kept forward pass, for the embedding's gradient */
    size_t token_capacity;
    int B, T; /* of the last forward pass */
};

/* NULL when there is none. `layer` is -1 outside the blocks. */
clm_model_parameter *clm_model_find(const clm_model *model, clm_parameter_kind kind, int layer);

/* Whether the policy trains a parameter. */
bool clm_train_policy_trains(clm_train_policy policy, const clm_parameter *parameter, int n_layer);

/* `count` floats to 16 bits of a type, CLM_F16 or CLM_BF16, and back. */
clm_status clm_model_narrow(const clm_model *model, clm_dtype type, clm_buffer *halves,
                            const clm_buffer *floats, size_t count);
clm_status clm_model_widen(const clm_model *model, clm_dtype type, clm_buffer *floats,
                           const clm_buffer *halves, size_t count);

/* What passes of B x T take, as the model was opened. */
clm_memory_plan clm_model_plan(const clm_model *model, int B, int T);

/* With CLM_PRECISION_AUTO, before the first pass that trains: keeps activations in 16 bits when
 * they do not fit as floats but do so. */
clm_status clm_model_settle_precision(clm_model *model, int B, int T);

/* Makes activations large enough for B x T. `training` also makes what the backward pass needs. */
clm_status clm_activations_reserve(clm_model *model, int B, int T, bool training);
void clm_activations_free(clm_model *model);
void clm_activations_estimate(const clm_model_config *config, const clm_memory_plan *plan,
                              uint64_t *total_bytes, uint64_t *largest_bytes);

/* How many sequences of T positions make an efficient pass: products of many rows run closer to the
 * device's peak, so about 4096 positions; fewer if their activations would take much of the memory
 * left besides `taken_bytes`. At least 1. */
int clm_model_wide_batch(const clm_model *model, int T, uint64_t taken_bytes);

/* Enqueues the forward pass of tokens (B,T) in host memory and leaves logits (B,n_labels) in
 * activations.logits. With `training` it keeps what clm_model_backward() needs. Blocks only until
 * the tokens are copied. */
clm_status clm_model_forward(clm_model *model, const int32_t *tokens, const int32_t *lengths, int B,
                             int T, bool training);

/* The same in two halves. The layers below the lowest trained one always have the same output for a
 * text, here called features: clm_model_feature_count() floats a text, (T,C), or (C) when no block
 * is trained. The first half leaves those of B texts in clm_model_features(); the second starts
 * from them, also from those of an earlier first half. That requires activations reserved for the
 * largest batch, because these buffers move when they grow. `lengths` must be the same in both.
 * Without anything frozen (the policy CLM_TRAIN_ALL) there are no features to keep. */
clm_status clm_model_forward_frozen(clm_model *model, const int32_t *tokens, const int32_t *lengths,
                                    int B, int T);
clm_status clm_model_forward_trained(clm_model *model, const int32_t *lengths, int B, int T,
                                     bool training);
bool clm_model_has_features(const clm_model *model);
size_t clm_model_feature_count(const clm_model *model, int T);
clm_buffer *clm_model_features(const clm_model *model);

/* The answer for logits (count, at least 1): the first of the largest, as in torch.argmax. */
int clm_largest_logit(const float *logits, int count);

/* Adds to the gradients of trained parameters, from activations.dlogits and what the last forward
 * pass with `training` kept. */
clm_status clm_model_backward(clm_model *model);

/* Zeroes the gradients of trained parameters, unless they are known to be zero. */
clm_status clm_model_zero_gradients(clm_model *model);

#endif
