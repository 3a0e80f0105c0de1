/* Losses and accuracies of batches of a data set.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TRAIN_EVALUATE_H
#define CLM_TRAIN_EVALUATE_H

#include "clm/data.h"
#include "train/features.h"

/* What a batch is put together in. Its rows go through the model in passes of `pass` of them, one
 * after the other, so that activations are those of a pass. */
typedef struct clm_batch {
    clm_model *model;
    clm_features *features; /* borrowed; NULL: every pass begins with the tokens */
    const clm_dataset *set; /* of the present batch */
    int32_t *rows;
    int capacity; /* rows */
    int pass;     /* rows, at most capacity */
    int32_t *tokens;
    int32_t *labels;
    int32_t *lengths;
    float *losses;
    float *logits;
    clm_buffer *device_losses; /* (capacity) */
    clm_buffer *pass_losses;   /* (pass); NULL where a pass has the whole batch */
    int count;                 /* rows of the present batch */
    int T;                     /* of the present batch */
    int longest;               /* T is at most this */
} clm_batch;

clm_status clm_batch_make(clm_batch *batch, clm_model *model, int capacity, int pass, int longest);
void clm_batch_free(clm_batch *batch);

/* Takes rows of a data set. */
clm_status clm_batch_take(clm_batch *batch, const clm_dataset *dataset, const int32_t *rows,
                          size_t count);

/* Enqueues a pass of `count` rows from `first` on: the losses, and the gradient of their sum times
 * `scale`, which is added to the model's gradients; none for a scale of 0. `from_features`: those
 * of these rows are in clm_model_features(). */
clm_status clm_batch_pass(clm_batch *batch, int first, int count, float scale, bool from_features);

/* The same for rows whose features, if there are any, have to be taken first. */
clm_status clm_batch_forward(clm_batch *batch, int first, int count, float scale);

/* Enqueues forward and backward passes of the whole batch: the losses, and the gradient of their
 * mean, which is added to the model's gradients. */
clm_status clm_batch_backward(clm_batch *batch);

/* Reads the mean of the losses. Blocks. */
clm_status clm_batch_mean_loss(clm_batch *batch, double *loss);

/* The sums over up to `most` batches (0: all) of a new iteration of `loader`. `progress` (may be
 * NULL) hears how many batches are done. */
typedef struct clm_evaluation {
    int64_t batches;
    int64_t rows;
    int64_t correct;
    double loss_sum; /* of the batches' means */
} clm_evaluation;

typedef struct clm_evaluate_hooks {
    void (*progress)(void *context, int64_t batches);
    void *context;
} clm_evaluate_hooks;

clm_status clm_evaluate_batches(clm_evaluation *evaluation, clm_batch *batch,
                                const clm_dataset *dataset, clm_loader *loader, int64_t most,
                                const clm_evaluate_hooks *hooks);

#endif
