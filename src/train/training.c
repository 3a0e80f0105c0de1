/* SPDX-License-Identifier: Apache-2.0 */
#include "train/training.h"

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

int clm_trainer_longest(const clm_trainer *t) {
    const int train = clm_dataset_length(t->train);
    const int validation = clm_dataset_length(t->validation);
    const int test = clm_dataset_length(t->test);
    const int evaluated = validation > test ? validation : test;
    return train > evaluated ? train : evaluated;
}

int64_t clm_trainer_looked_at(const clm_trainer *t) {
    const int64_t most = t->options->eval_batches;
    return least(most, (int64_t)clm_loader_batch_count(t->train_eval_loader)) +
           least(most, (int64_t)clm_loader_batch_count(t->validation_loader));
}

int64_t clm_trainer_final_batches(const clm_trainer *t) {
    return t->options->final_accuracies ? (int64_t)(clm_loader_batch_count(t->train_eval_loader) +
                                                    clm_loader_batch_count(t->validation_loader) +
                                                    clm_loader_batch_count(t->test_loader))
                                        : 0;
}

double clm_trainer_seconds_left(const clm_trainer *t) {
    const int64_t count = clm_trainer_step_count(t);
    const int64_t every = t->options->eval_every;
    const int64_t done = t->state.step;
    /* Those after steps 0, every, 2 every... */
    const int64_t evaluations =
        every > 0 ? (count + every - 1) / every - (done + every - 1) / every : 0;
    const int64_t epochs = count / t->batches - done / t->batches;
    const clm_work_left work = {.steps = count - done,
                                .texts = (int64_t)clm_features_missing(t->features),
                                .batches = (evaluations + epochs) * clm_trainer_looked_at(t) +
                                           clm_trainer_final_batches(t)};
    return clm_pace_left(&t->pace, &work);
}
