/* An opened model: its parameters on the device, and its passes.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_MODEL_OPENED_H
#define CLM_MODEL_OPENED_H

#include "clm/model.h"
#include "graph/parameters.h"
#include "graph/plan.h"
#include "model/weights.h"

/* What is trained, for clm_trains_by_policy(). */
typedef struct clm_trained_part {
    clm_train_policy policy;
    int n_layer;
} clm_trained_part;

/* A clm_trains of a clm_trained_part. */
bool clm_trains_by_policy(void *context, const char *name);

/* A plan of the model, in its cache. */
typedef struct clm_cached_plan {
    int kind, B, T;
    uint64_t used; /* when, by the count of passes */
    clm_plan *plan;
} clm_cached_plan;

enum { CLM_PLANS_MOST = 24 };

/* What passes work in, and where they leave their results. */
typedef struct clm_passes {
    clm_workspace *workspace;
    clm_cached_plan plans[CLM_PLANS_MOST];
    uint64_t count;       /* of passes */
    const clm_plan *last; /* the plan of the last pass; lent by the cache */
    clm_buffer *features; /* see clm_model_features() */
    /* What a pass takes by texts of `wide_T` tokens: for the first, for each further one, and in
     * one piece for each. */
    int wide_T;
    uint64_t wide_first_bytes, wide_more_bytes, wide_largest_bytes;
} clm_passes;

struct clm_model {
    clm_device *device;
    clm_weights *weights; /* frozen values are read from here again when the model is saved */
    clm_model_config config;
    clm_parameters *parameters;
    clm_trained_part trained;
    clm_precision precision;
    clm_dtype frozen_storage; /* of packed parameters */
    clm_dtype kept_storage;   /* of what is kept for the backward pass */
    bool whole_top_block;     /* as in clm_model_options */
    bool recompute;           /* as there */
    bool one_pass;            /* as there */
    bool new_head;            /* the head is not that of `weights` */
    uint64_t head_seed;
    clm_passes passes;
};

/* All values of a parameter, as it was loaded. */
clm_status clm_model_read_parameter(const clm_model *model, const clm_parameter *parameter,
                                    float *values);

/* ---- passes ---- */

/* What a plan begins with and computes, as bits. */
enum {
    CLM_PASS_FROM_FEATURES = 1, /* else from tokens */
    CLM_PASS_LOSSES = 2,
    CLM_PASS_GRADIENTS = 4,
    CLM_PASS_FEATURES = 8 /* these, and nothing else */
};

/* Passes of B x T, with what the model was opened to do. */
clm_memory_plan clm_model_plan(const clm_model *model, int B, int T);

/* A plan of the model, for the caller to free; not in its cache. */
clm_status clm_model_make_plan(clm_plan **plan, clm_model *model, int kind, int B, int T);

/* The same for any parameters of the config's model, which need not be loaded; `plan` says what of
 * it is trained, for what batch, and how memory is saved. */
clm_status clm_pass_make_plan(clm_plan **made, clm_workspace *workspace, clm_parameters *parameters,
                              const clm_model_config *config, const clm_memory_plan *plan,
                              int kind);

/* The store that the config's model needs for such plans; not loaded. `one_pass`: as in
 * clm_model_options. */
clm_status clm_pass_make_parameters(clm_parameters **parameters, clm_device *device,
                                    const clm_model_config *config, const clm_memory_plan *plan,
                                    bool one_pass);

/* A plan of a model that is not opened, and all that it needs: to be looked at, not executed. A
 * config without a head gets one, of two classes. */
typedef struct clm_pass_draft {
    clm_model_config config; /* its labels are lent */
    clm_parameters *parameters;
    clm_workspace *workspace;
    clm_plan *plan;
} clm_pass_draft;

/* Free it in any case. CLM_ERROR_SHAPE for a config that cannot be. */
clm_status clm_pass_draft_make(clm_pass_draft *draft, clm_device *device,
                               const clm_model_config *config, const clm_memory_plan *plan,
                               int kind);
void clm_pass_draft_free(clm_pass_draft *draft);

/* The shape of what its frozen part computes; of rank 0 when nothing is frozen. */
clm_status clm_pass_features(clm_shape *shape, const clm_model_config *config,
                             const clm_memory_plan *plan);

typedef struct clm_pass {
    int B, T;
    const int32_t *tokens;  /* (B,T) in host memory; NULL: from clm_model_features() */
    const int32_t *lengths; /* (B), for CLM_POOLING_LAST_TOKEN; may be NULL */
    const int32_t *targets; /* (B); NULL: no losses */
    clm_buffer *losses;     /* (B) at least, with targets */
    float scale;            /* adds the gradient of the losses' sum times this; 0: none */
} clm_pass;

/* Enqueues a forward pass, and the backward pass if there is a scale. Blocks only until tokens,
 * lengths and targets are copied. CLM_ERROR_SHAPE when T is above the context, CLM_ERROR_ARGUMENT
 * for a token outside the vocabulary. */
clm_status clm_model_pass(clm_model *model, const clm_pass *pass);

/* The logits (B,n_labels) of the last pass, lent until the next. */
clm_buffer *clm_model_pass_logits(const clm_model *model);

/* The layers below the lowest trained one always have the same output for a text, here called
 * features: *count floats a text, (T,C), or (C) when no block is trained; 0 when nothing is frozen.
 */
clm_status clm_model_count_features(clm_model *model, int T, size_t *count);

/* Computes the features of B texts into clm_model_features(), where a pass without tokens begins.
 * The buffer is lent until more floats are reserved, and its user may fill it with features of
 * earlier passes. `lengths` must be the same in both. */
clm_status clm_model_reserve_features(clm_model *model, size_t count);
clm_status clm_model_compute_features(clm_model *model, const int32_t *tokens,
                                      const int32_t *lengths, int B, int T);
clm_buffer *clm_model_features(const clm_model *model);

/* How many sequences of T positions make an efficient pass: products of many rows run closer to the
 * device's peak, so about 4096 positions; fewer if their activations would take much of the memory
 * left besides `taken_bytes`. *B is at least 1. */
clm_status clm_model_wide_batch(clm_model *model, int T, uint64_t taken_bytes, int *B);

void clm_passes_free(clm_passes *passes);

/* ---- memory ---- */

/* With CLM_PRECISION_AUTO, before the first pass that trains: keeps activations in 16 bits when
 * they do not fit as floats but do so. */
clm_status clm_model_settle_precision(clm_model *model, int B, int T);

/* The answer for logits (count, at least 1): the first of the largest, as in torch.argmax. */
int clm_largest_logit(const float *logits, int count);

#endif
