/* What a training run consists of.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TRAIN_TRAINING_H
#define CLM_TRAIN_TRAINING_H

#include "base/string.h"
#include "clm/train.h"
#include "train/checkpoint.h"
#include "train/evaluate.h"
#include "train/metrics.h"
#include "train/optimizer.h"
#include "train/pace.h"
#include "train/run.h"

/* A step whose losses have not been read yet. */
typedef struct clm_pending_step {
    bool begun;
    clm_read read;
    float *losses; /* (texts of a step) */
    int32_t *rows;
    size_t count;
    double started;
    uint64_t computed;     /* texts whose features it computed */
    clm_train_event event; /* which step, epoch, and how many examples */
} clm_pending_step;

typedef struct clm_trainer {
    clm_model *model;
    const clm_tokenizer *tokenizer;
    const clm_dataset *train, *validation, *test;
    clm_run *run;
    const clm_finetune_options *options;
    clm_string fingerprint;
    clm_torch_random *random;
    clm_loader *train_loader;      /* the iteration that trains */
    clm_loader *train_eval_loader; /* those that look at the training set meanwhile */
    clm_loader *validation_loader;
    clm_loader *test_loader;
    clm_batch batch;
    clm_features *features;
    clm_optimizer optimizer;
    clm_metrics_writer metrics;
    clm_train_state state;
    double started;            /* the clock when state.seconds was 0 */
    clm_pending_step steps[2]; /* the latest, and the one before while it is finished */
    double finished;           /* the clock when the last step was */
    clm_pace pace;
    int64_t batches;    /* of an epoch */
    int64_t saved_step; /* steps done when the last checkpoint was saved; -1 for none */
    bool may_stop;      /* what is enqueued now would be lost anyway */
    int queued;         /* kernels since the queue was last waited for */
    int queue_most;
    clm_finetune_result result;
} clm_trainer;

static inline int clm_trainer_step_texts(const clm_trainer *t) {
    return t->options->batch * t->options->accumulate;
}

/* The largest T of the three sets. */
int clm_trainer_longest(const clm_trainer *t);

/* Of the whole run. */
static inline int64_t clm_trainer_step_count(const clm_trainer *t) {
    const int64_t all = t->batches * t->options->epochs;
    return t->options->max_steps > 0 && t->options->max_steps < all ? t->options->max_steps : all;
}

static inline bool clm_trainer_should_stop(const clm_trainer *t) {
    return t->options->should_stop != NULL && t->options->should_stop(t->options->context);
}

/* Checks that all goes together, and makes what the stages use. */
clm_status clm_trainer_prepare(clm_trainer *t);
void clm_trainer_release(clm_trainer *t);

/* Batches of the training and the validation set that are looked at meanwhile. */
int64_t clm_trainer_looked_at(const clm_trainer *t);
int64_t clm_trainer_final_batches(const clm_trainer *t);

/* The estimate of all that is left; negative when it is not known. */
double clm_trainer_seconds_left(const clm_trainer *t);

#endif
