/* The loop, as a machine of stages. A stage is done whole or not at all: what a stage draws from
 * the random stream is put back when it is interrupted, so that a checkpoint between two stages is
 * all it takes to go on in the same bits.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/string.h"
#include "clm/train.h"
#include "model/fit.h"
#include "train/checkpoint.h"
#include "train/evaluate.h"
#include "train/metrics.h"
#include "train/optimizer.h"

/* A step whose losses have not been read yet. */
typedef struct under_way {
    bool begun;
    clm_read read;
    float *losses; /* (texts of a step) */
    int32_t *rows;
    size_t count;
    double started;
    clm_train_event event; /* which step, epoch, and how many examples */
} under_way;

typedef struct trainer {
    clm_model *model;
    const clm_tokenizer *tokenizer;
    const clm_dataset *train, *validation, *test;
    const char *run;
    const clm_finetune_options *options;
    char *checkpoint_path;
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
    double started;        /* the clock when state.seconds was 0 */
    under_way steps[2];    /* the latest, and the one before while it is finished */
    double finished;       /* the clock when the last step was */
    double recent_seconds; /* of a step, smoothed */
    int64_t batches;       /* of an epoch */
    clm_finetune_result result;
} trainer;

/* Texts of a step. */
static int step_texts(const trainer *t) {
    return t->options->batch * t->options->accumulate;
}

static int64_t step_count(const trainer *t) {
    const int64_t all = t->batches * t->options->epochs;
    return t->options->max_steps > 0 && t->options->max_steps < all ? t->options->max_steps : all;
}

static clm_train_event event_of(const trainer *t, clm_train_event_kind kind) {
    return (clm_train_event){
        .kind = kind,
        .step = t->state.step - 1, /* the last that was done */
        .step_count = step_count(t),
        .epoch = t->state.epoch + 1,
        .examples = t->state.step * step_texts(t),
        .seconds = clm_seconds() - t->started,
        .tokens_second =
            t->recent_seconds > 0.0 ? (double)step_texts(t) * t->batch.T / t->recent_seconds : 0.0,
        .seconds_left = t->recent_seconds > 0.0
                            ? t->recent_seconds * (double)(step_count(t) - t->state.step)
                            : -1.0,
    };
}

static clm_status tell(trainer *t, const clm_train_event *event) {
    clm_status status = clm_metrics_writer_add(&t->metrics, event);
    if (status == CLM_OK && t->options->on_event != NULL) {
        t->options->on_event(t->options->context, event);
    }
    return status;
}

/* ---- stages ---- */

/* Names the step and its batch: the rows of train.csv, counted from 1 without its header. */
static clm_status fail_not_finite(const trainer *t, const under_way *step, double loss) {
    enum { named = 16 };
    const int64_t number = step->event.step;
    clm_string list = {0};
    for (size_t i = 0; i < step->count && i < named; i++) {
        clm_string_add_format(&list, "%s%d", i > 0 ? ", " : "", (int)step->rows[i] + 1);
    }
    clm_string_add(&list, step->count > named ? ", ..." : "");
    clm_status status = clm_string_status(&list);
    if (status == CLM_OK) {
        status = clm_fail(CLM_ERROR_NOT_FINITE,
                          "%s: the loss of step %" PRId64 " is %g (batch %" PRId64
                          " of epoch %d: training texts %s); try a smaller learning rate than %g, "
                          "or look at the weights",
                          t->run, number, loss, number % t->batches + 1, step->event.epoch,
                          list.text, t->options->learning_rate);
    }
    clm_string_free(&list);
    return status;
}

/* Waits for a step that is under way, if one is, and tells of it. */
static clm_status finish_step(trainer *t, under_way *step) {
    double sum = 0.0;
    clm_status status = CLM_OK;
    if (!step->begun) {
        return CLM_OK;
    }
    step->begun = false;
    CLM_TRY(clm_read_wait(&step->read));
    for (size_t i = 0; i < step->count; i++) {
        sum += (double)step->losses[i];
    }
    const double loss = sum / (double)step->count;
    if (!isfinite(loss)) {
        status = fail_not_finite(t, step, loss);
        goto cleanup;
    }
    /* It had the device from its beginning, or from the end of the one before. */
    const double now = clm_seconds();
    const double seconds = now - (t->finished > step->started ? t->finished : step->started);
    t->finished = now;
    t->recent_seconds = t->recent_seconds > 0.0 ? 0.9 * t->recent_seconds + 0.1 * seconds : seconds;
    clm_train_event event = event_of(t, CLM_TRAIN_STEP);
    event.step = step->event.step;
    event.epoch = step->event.epoch;
    event.examples = step->event.examples;
    event.loss = loss;
    event.seconds = seconds;
    CLM_TRY(tell(t, &event));
cleanup:
    return status;
}

/* Before anything that looks at what the last step did. */
static clm_status finish_steps(trainer *t) {
    return finish_step(t, &t->steps[(t->state.step + 1) % 2]);
}

/* Weights that a step made infinite are caught before they are saved over good ones. */
static clm_status check_weights(const trainer *t) {
    const clm_status status = clm_optimizer_check_finite(&t->optimizer);
    return status != CLM_ERROR_NOT_FINITE
               ? status
               : clm_error_prefix(status,
                                  "%s: the weights after step %" PRId64 " (batch %" PRId64
                                  " of epoch %d) are not finite; try a smaller learning rate than "
                                  "%g",
                                  t->run, t->state.step - 1, (t->state.step - 1) % t->batches + 1,
                                  (int)((t->state.step - 1) / t->batches) + 1,
                                  t->options->learning_rate);
}

static clm_status save_checkpoint(trainer *t) {
    clm_loader_save(t->train_loader, &t->state.position);
    clm_torch_random_save(t->random, t->state.random);
    t->state.seconds = clm_seconds() - t->started;
    clm_status status = CLM_OK;
    CLM_TRY(finish_steps(t));
    CLM_TRY(check_weights(t));
    CLM_TRY(clm_metrics_writer_sync(&t->metrics));
    CLM_TRY(clm_checkpoint_save(t->checkpoint_path, &t->state, t->fingerprint.text,
                                t->metrics.size_bytes, &t->optimizer));
    if (t->options->on_event != NULL) {
        const clm_train_event event = event_of(t, CLM_TRAIN_CHECKPOINT);
        t->options->on_event(t->options->context, &event);
    }
cleanup:
    return status;
}

/* Enqueues a step and, while the device works at it, finishes the one before: the host never holds
 * the device up, and its own work, the next batch, costs nothing. */
static clm_status train_step(trainer *t, const int32_t *rows, size_t count) {
    const clm_finetune_options *options = t->options;
    clm_model *model = t->model;
    under_way *step = &t->steps[t->state.step % 2];
    const clm_adamw adamw = {.learning_rate = options->learning_rate,
                             .beta1 = options->beta1,
                             .beta2 = options->beta2,
                             .epsilon = options->epsilon,
                             .weight_decay = options->weight_decay,
                             .step = (int)t->state.step + 1,
                             .gradient_scale = 1.0};
    clm_status status = CLM_OK;
    step->started = clm_seconds();
    step->count = count;
    memcpy(step->rows, rows, count * sizeof *rows);
    CLM_TRY(clm_batch_take(&t->batch, t->train, rows, count));
    CLM_TRY(clm_model_zero_gradients(model));
    CLM_TRY(clm_batch_backward(&t->batch));
    CLM_TRY(clm_optimizer_step(&t->optimizer, &adamw));
    CLM_TRY(clm_buffer_read_begin(&step->read, t->batch.device_losses, 0, step->losses,
                                  count * sizeof *step->losses));
    step->begun = true;
    t->state.step++;
    step->event = event_of(t, CLM_TRAIN_STEP);
    CLM_TRY(finish_step(t, &t->steps[t->state.step % 2]));
    if (options->wait_for_each_step) {
        CLM_TRY(finish_step(t, step));
    }
cleanup:
    return status;
}

static clm_status stage_batch(trainer *t) {
    const int32_t *rows = NULL;
    const size_t count = clm_loader_next(t->train_loader, &rows);
    if (count == 0) {
        t->state.stage = CLM_STAGE_EPOCH_END;
        return CLM_OK;
    }
    clm_status status = train_step(t, rows, count);
    t->state.stage = CLM_STAGE_EVALUATE;
    return status;
}

static clm_status evaluate(trainer *t, clm_evaluation *evaluation, const clm_dataset *dataset,
                           clm_loader *loader, int64_t most) {
    const clm_evaluate_hooks hooks = {.stop = t->options->should_stop,
                                      .context = t->options->context};
    return clm_evaluate_batches(evaluation, &t->batch, dataset, loader, most, &hooks);
}

/* Weights may be finite and yet too large for any sum of them. */
static clm_status check_losses(const trainer *t, double train_loss, double val_loss) {
    const int64_t step = t->state.step - 1;
    if (isfinite(train_loss) && isfinite(val_loss)) {
        return CLM_OK;
    }
    clm_status status = check_weights(t);
    if (status == CLM_OK) {
        status = clm_fail(CLM_ERROR_NOT_FINITE,
                          "%s: the losses after step %" PRId64 " (batch %" PRId64
                          " of epoch %d) are %g in training and %g in validation; try a smaller "
                          "learning rate than %g",
                          t->run, step, step % t->batches + 1, (int)(step / t->batches) + 1,
                          train_loss, val_loss, t->options->learning_rate);
    }
    return status;
}

static clm_status stage_evaluate(trainer *t) {
    const clm_finetune_options *options = t->options;
    const int64_t step = t->state.step - 1;
    clm_status status = CLM_OK;
    if (options->eval_every > 0 && step % options->eval_every == 0) {
        CLM_TRY(finish_steps(t));
        clm_evaluation train;
        clm_evaluation validation;
        CLM_TRY(evaluate(t, &train, t->train, t->train_eval_loader, options->eval_batches));
        CLM_TRY(
            evaluate(t, &validation, t->validation, t->validation_loader, options->eval_batches));
        clm_train_event event = event_of(t, CLM_TRAIN_EVAL);
        event.train_loss = train.loss_sum / (double)train.batches;
        event.val_loss = validation.loss_sum / (double)validation.batches;
        CLM_TRY(tell(t, &event));
        CLM_TRY(check_losses(t, event.train_loss, event.val_loss));
    }
    t->state.stage = CLM_STAGE_BATCH;
    if (options->max_steps > 0 && t->state.step >= options->max_steps) {
        t->state.stage = CLM_STAGE_FINAL;
        CLM_TRY(save_checkpoint(t));
    }
cleanup:
    return status;
}

static double accuracy(const clm_evaluation *evaluation) {
    return (double)evaluation->correct / (double)evaluation->rows;
}

static clm_status stage_epoch_end(trainer *t) {
    clm_evaluation train;
    clm_evaluation validation;
    clm_status status = CLM_OK;
    const int most = t->options->eval_batches;
    CLM_TRY(finish_steps(t));
    CLM_TRY(evaluate(t, &train, t->train, t->train_eval_loader, most));
    CLM_TRY(evaluate(t, &validation, t->validation, t->validation_loader, most));
    CLM_TRY(check_losses(t, train.loss_sum, validation.loss_sum));
    clm_train_event event = event_of(t, CLM_TRAIN_EPOCH);
    event.train_accuracy = accuracy(&train);
    event.val_accuracy = accuracy(&validation);
    CLM_TRY(tell(t, &event));
    t->state.epoch++;
    t->state.stage = t->state.epoch < t->options->epochs ? CLM_STAGE_EPOCH_BEGIN : CLM_STAGE_FINAL;
    CLM_TRY(save_checkpoint(t));
cleanup:
    return status;
}

/* How the batches of the final accuracies are counted for whoever watches. */
typedef struct final_progress {
    trainer *trainer;
    int64_t before;
    int64_t all;
} final_progress;

static bool final_stop(void *context) {
    const trainer *t = ((final_progress *)context)->trainer;
    return t->options->should_stop != NULL && t->options->should_stop(t->options->context);
}

static void final_step(void *context, int64_t batches) {
    final_progress *progress = context;
    const trainer *t = progress->trainer;
    if (t->options->on_event != NULL) {
        clm_train_event event = event_of(t, CLM_TRAIN_EVALUATING);
        event.batch = progress->before + batches;
        event.batch_count = progress->all;
        t->options->on_event(t->options->context, &event);
    }
}

static clm_status final_accuracy(final_progress *progress, double *result,
                                 const clm_dataset *dataset, clm_loader *loader) {
    const clm_evaluate_hooks hooks = {
        .stop = final_stop, .progress = final_step, .context = progress};
    clm_evaluation evaluation;
    clm_status status =
        clm_evaluate_batches(&evaluation, &progress->trainer->batch, dataset, loader, 0, &hooks);
    *result = accuracy(&evaluation);
    if (status == CLM_OK) {
        status = check_losses(progress->trainer, evaluation.loss_sum, evaluation.loss_sum);
    }
    progress->before += evaluation.batches;
    return status;
}

static clm_status stage_final(trainer *t) {
    clm_status status = CLM_OK;
    t->result = (clm_finetune_result){t->state.step, NAN, NAN, NAN};
    /* The model first: what was trained is safe before the long look at it. */
    if (t->tokenizer != NULL) {
        const clm_model_config *config = clm_model_get_config(t->model);
        const clm_tokenizer_save_options as_trained = {
            .pad_token = config->pad_token,
            .max_length = config->padded_length > 0 ? config->padded_length : config->n_ctx};
        CLM_TRY(clm_tokenizer_save(t->tokenizer, t->run, &as_trained));
    }
    CLM_TRY(clm_model_save(t->model, t->run));
    if (t->options->final_accuracies) {
        final_progress progress = {.trainer = t};
        progress.all = (int64_t)(clm_loader_batch_count(t->train_eval_loader) +
                                 clm_loader_batch_count(t->validation_loader) +
                                 clm_loader_batch_count(t->test_loader));
        CLM_TRY(
            final_accuracy(&progress, &t->result.train_accuracy, t->train, t->train_eval_loader));
        CLM_TRY(final_accuracy(&progress, &t->result.val_accuracy, t->validation,
                               t->validation_loader));
        CLM_TRY(final_accuracy(&progress, &t->result.test_accuracy, t->test, t->test_loader));
    }
    clm_train_event event = event_of(t, CLM_TRAIN_FINAL);
    event.train_accuracy = t->result.train_accuracy;
    event.val_accuracy = t->result.val_accuracy;
    event.test_accuracy = t->result.test_accuracy;
    CLM_TRY(tell(t, &event));
    t->state.stage = CLM_STAGE_DONE;
cleanup:
    return status;
}

static clm_status run_stage(trainer *t) {
    switch (t->state.stage) {
        case CLM_STAGE_EPOCH_BEGIN:
            clm_loader_begin(t->train_loader);
            t->state.stage = CLM_STAGE_BATCH;
            return CLM_OK;
        case CLM_STAGE_BATCH:
            return stage_batch(t);
        case CLM_STAGE_EVALUATE:
            return stage_evaluate(t);
        case CLM_STAGE_EPOCH_END:
            return stage_epoch_end(t);
        case CLM_STAGE_FINAL:
            return stage_final(t);
        case CLM_STAGE_DONE:
            break;
    }
    return CLM_OK;
}

static bool should_stop(const trainer *t) {
    return t->options->should_stop != NULL && t->options->should_stop(t->options->context);
}

static clm_status stop(trainer *t) {
    clm_status status = save_checkpoint(t);
    if (status != CLM_OK) {
        return clm_error_prefix(status, "stopped, but the checkpoint could not be saved");
    }
    return clm_fail(CLM_ERROR_INTERRUPTED,
                    "stopped after %" PRId64 " of %" PRId64
                    " steps; everything is in %s, go on with --resume",
                    t->state.step, step_count(t), t->checkpoint_path);
}

static clm_status run_stages(trainer *t) {
    while (t->state.stage != CLM_STAGE_DONE) {
        uint8_t random[CLM_TORCH_RANDOM_STATE_BYTES];
        clm_torch_random_save(t->random, random);
        clm_status status = run_stage(t);
        if (status == CLM_ERROR_INTERRUPTED) {
            /* Only evaluations stop in their midst, and only the stream remembers them. */
            status = clm_torch_random_restore(t->random, random);
            return status == CLM_OK ? stop(t) : status;
        }
        if (status != CLM_OK) {
            return status;
        }
        if (t->state.stage != CLM_STAGE_DONE && should_stop(t)) {
            return stop(t);
        }
    }
    return CLM_OK;
}

/* ---- before the first stage ---- */

/* Of what is trained on: a run must not be resumed on other data. */
static uint64_t hash_of(const clm_dataset *dataset, uint64_t hash) {
    const size_t rows = clm_dataset_count(dataset);
    const size_t tokens = rows * (size_t)clm_dataset_length(dataset);
    hash = clm_hash(hash, clm_dataset_tokens(dataset), tokens * sizeof(int32_t));
    return clm_hash(hash, clm_dataset_labels(dataset), rows * sizeof(int32_t));
}

/* All that decides about the bits of a run but the device, on one line. */
static clm_status make_fingerprint(trainer *t) {
    const clm_finetune_options *o = t->options;
    char passes[24] = "";
    if (o->accumulate > 1) {
        (void)snprintf(passes, sizeof passes, " x %d", o->accumulate);
    }
    uint64_t data = hash_of(t->train, CLM_HASH_START);
    data = hash_of(t->test, hash_of(t->validation, data));
    const clm_model *model = t->model;
    clm_string_add_format(
        &t->fingerprint,
        "train %s, batch %d%s, lr %.9g, weight decay %.9g, betas %.9g %.9g, eps "
        "%.9g, eval every %d over %d, seed %" PRIu64 ", data %016" PRIx64
        ", pooling %s%s%s%s%s%s, %zu parameters, model %s",
        clm_train_policy_name(model->policy), o->batch, passes, o->learning_rate, o->weight_decay,
        o->beta1, o->beta2, o->epsilon, o->eval_every, o->eval_batches, o->seed, data,
        model->config.pooling == CLM_POOLING_LAST_TOKEN ? "last-token" : "last-position",
        o->feature_storage == CLM_FEATURES_F16    ? ", features f16"
        : o->feature_storage == CLM_FEATURES_BF16 ? ", features bf16"
                                                  : "",
        model->frozen_storage != CLM_F32 ? ", frozen " : "",
        model->frozen_storage != CLM_F32 ? clm_dtype_name(model->frozen_storage) : "",
        model->kept_storage != CLM_F32 ? ", kept " : "",
        model->kept_storage != CLM_F32 ? clm_dtype_name(model->kept_storage) : "",
        model->table.total, o->source != NULL ? o->source : "");
    return clm_string_status(&t->fingerprint);
}

static bool is_positive(double value) {
    return value > 0.0 && isfinite(value);
}

static clm_status check_options(const clm_finetune_options *o) {
    if (o->accumulate < 1 || o->batch > INT32_MAX / o->accumulate) {
        return clm_fail(
            CLM_ERROR_ARGUMENT,
            "a step of %d passes of %d texts: passes are 1 at least, and texts of a step "
            "less than 2^31",
            o->accumulate, o->batch);
    }
    if (o->epochs < 1 || o->batch < 1 || o->eval_every < 0 || o->eval_batches < 1 ||
        o->max_steps < 0) {
        return clm_fail(CLM_ERROR_ARGUMENT,
                        "epochs (%d), batch (%d) and eval batches (%d) must be positive, eval "
                        "every (%d) and max steps (%" PRId64 ") not negative",
                        o->epochs, o->batch, o->eval_batches, o->eval_every, o->max_steps);
    }
    if (!is_positive(o->learning_rate) || !(o->weight_decay >= 0.0 && isfinite(o->weight_decay)) ||
        !(o->beta1 >= 0.0 && o->beta1 < 1.0) || !(o->beta2 >= 0.0 && o->beta2 < 1.0) ||
        !is_positive(o->epsilon)) {
        return clm_fail(CLM_ERROR_ARGUMENT,
                        "learning rate (%g) and epsilon (%g) must be positive, weight decay (%g) "
                        "not negative, betas (%g, %g) from 0 to below 1",
                        o->learning_rate, o->epsilon, o->weight_decay, o->beta1, o->beta2);
    }
    return CLM_OK;
}

static clm_status check_data(const trainer *t) {
    const int T = clm_dataset_length(t->train);
    if (clm_dataset_length(t->validation) != T || clm_dataset_length(t->test) != T) {
        return clm_fail(CLM_ERROR_SHAPE,
                        "training, validation and test texts are padded to %d, %d and %d tokens", T,
                        clm_dataset_length(t->validation), clm_dataset_length(t->test));
    }
    if (t->model->policy == CLM_TRAIN_NOTHING) {
        return clm_fail(CLM_ERROR_ARGUMENT, "the model was opened without anything to train");
    }
    const clm_dataset *sets[] = {t->train, t->validation, t->test};
    for (size_t s = 0; s < 3; s++) {
        for (size_t i = 0; i < clm_dataset_count(sets[s]); i++) {
            const int32_t label = clm_dataset_labels(sets[s])[i];
            if (label < 0 || label >= t->model->config.n_labels) {
                return clm_fail(CLM_ERROR_FORMAT,
                                "row %zu has label %d, but the model has %d classes", i, (int)label,
                                t->model->config.n_labels);
            }
        }
    }
    return CLM_OK;
}

static clm_memory_plan plan_of(const trainer *t) {
    return clm_model_plan(t->model, t->options->batch, clm_dataset_length(t->train));
}

/* Says what training needs, and what would fit when it does not. */
static clm_status check_memory(const trainer *t) {
    return clm_fit_check(&(clm_fit){.config = &t->model->config,
                                    .device = clm_device_get_info(t->model->device),
                                    .plan = plan_of(t),
                                    .accumulate = t->options->accumulate});
}

static clm_status make_loaders(trainer *t) {
    const clm_loader_options shuffled = {
        .batch = step_texts(t), .shuffle = true, .drop_last = true};
    const clm_loader_options in_order = {.batch = step_texts(t)};
    clm_status status = CLM_OK;
    CLM_TRY(clm_torch_random_create(&t->random, t->options->seed));
    CLM_TRY(clm_loader_create(&t->train_loader, t->train, t->random, &shuffled));
    CLM_TRY(clm_loader_create(&t->train_eval_loader, t->train, t->random, &shuffled));
    CLM_TRY(clm_loader_create(&t->validation_loader, t->validation, t->random, &in_order));
    CLM_TRY(clm_loader_create(&t->test_loader, t->test, t->random, &in_order));
    t->batches = (int64_t)clm_loader_batch_count(t->train_loader);
cleanup:
    return status;
}

static clm_status begin_afresh(trainer *t) {
    clm_status status = CLM_OK;
    CLM_TRY(clm_metrics_writer_open(&t->metrics, t->run, 0));
    CLM_TRY(clm_metrics_writer_start(&t->metrics, t->options, (int64_t)clm_dataset_count(t->train),
                                     t->batches, clm_dataset_length(t->train)));
    t->started = clm_seconds();
    const clm_train_event event = event_of(t, CLM_TRAIN_STARTED);
    CLM_TRY(tell(t, &event));
cleanup:
    return status;
}

static clm_status go_on(trainer *t) {
    uint64_t metrics_bytes = 0;
    clm_status status = CLM_OK;
    CLM_TRY(clm_checkpoint_load(t->checkpoint_path, &t->state, t->fingerprint.text, &metrics_bytes,
                                &t->optimizer));
    CLM_TRY(clm_torch_random_restore(t->random, t->state.random));
    CLM_TRY(clm_loader_restore(t->train_loader, &t->state.position));
    CLM_TRY(clm_metrics_writer_open(&t->metrics, t->run, metrics_bytes));
    /* A run that was at its end may be given more epochs or steps. */
    if (t->state.stage == CLM_STAGE_FINAL && t->state.step < step_count(t)) {
        t->state.stage =
            t->state.step == t->state.epoch * t->batches ? CLM_STAGE_EPOCH_BEGIN : CLM_STAGE_BATCH;
    }
    t->started = clm_seconds() - t->state.seconds;
    const clm_train_event event = event_of(t, CLM_TRAIN_RESUMED);
    CLM_TRY(tell(t, &event));
cleanup:
    return status;
}

/* Whether the folder holds a run, and whether that is as the options want it. */
static clm_status prepare_folder(trainer *t, bool *has_checkpoint) {
    clm_folder folder = {0};
    char *metrics = NULL;
    char *weights = NULL;
    clm_status status = CLM_OK;
    CLM_TRY(clm_path_join(&t->checkpoint_path, t->run, "checkpoint.safetensors"));
    CLM_TRY(clm_path_join(&metrics, t->run, "metrics.jsonl"));
    CLM_TRY(clm_path_join(&weights, t->run, "model.safetensors"));
    *has_checkpoint = clm_file_exists(t->checkpoint_path);
    const bool has_run = *has_checkpoint || clm_file_exists(metrics) || clm_file_exists(weights);
    if (has_run && !t->options->resume) {
        status = clm_fail(CLM_ERROR_EXISTS,
                          "%s: holds a run already; choose another folder, remove it, or go on "
                          "with --resume",
                          t->run);
        goto cleanup;
    }
    /* Every model that a run saves has a checkpoint beside it: this one is somebody's. */
    if (!*has_checkpoint && clm_file_exists(weights)) {
        status = clm_fail(CLM_ERROR_EXISTS,
                          "%s: holds a model but no checkpoint, so there is no run to resume; "
                          "choose another folder",
                          t->run);
        goto cleanup;
    }
    if (t->options->resume && !*has_checkpoint) {
        clm_log(CLM_LOG_WARNING, "%s: has no checkpoint to resume from; training starts afresh",
                t->run);
    }
    CLM_TRY(clm_folder_make(t->run));
    CLM_TRY(clm_folder_open(&folder, t->run));
    clm_folder_remove_parts(&folder);
cleanup:
    clm_folder_close(&folder);
    clm_free(metrics);
    clm_free(weights);
    return status;
}

static clm_status make_steps(trainer *t) {
    const size_t batch = (size_t)step_texts(t);
    clm_status status = CLM_OK;
    for (size_t i = 0; i < 2; i++) {
        CLM_TRY(clm_allocate(&t->steps[i].losses, batch, sizeof *t->steps[i].losses, "losses"));
        CLM_TRY(clm_allocate(&t->steps[i].rows, batch, sizeof *t->steps[i].rows, "a batch"));
    }
cleanup:
    return status;
}

static void free_steps(trainer *t) {
    for (size_t i = 0; i < 2; i++) {
        clm_error_hold();
        (void)clm_read_wait(&t->steps[i].read); /* the device may still write there */
        clm_error_release();
        clm_free(t->steps[i].losses);
        clm_free(t->steps[i].rows);
    }
}

static clm_status make_features(trainer *t) {
    const clm_dataset *const sets[] = {t->train, t->validation, t->test};
    const clm_finetune_options *o = t->options;
    clm_memory_estimate need;
    clm_status status = CLM_OK;
    const clm_memory_plan plan = plan_of(t);
    CLM_TRY(clm_model_estimate_memory(&t->model->config, &plan, &need));
    CLM_TRY(clm_features_make(&t->features, t->model, sets, sizeof sets / sizeof *sets,
                              &(clm_features_plan){.place = o->features,
                                                   .storage = o->feature_storage,
                                                   .budget_bytes = o->feature_budget_bytes,
                                                   .training_bytes = need.total_bytes,
                                                   .folder = t->run,
                                                   .batch = o->batch}));
    t->batch.features = t->features;
cleanup:
    return status;
}

static clm_status train(trainer *t) {
    bool has_checkpoint = false;
    clm_status status = CLM_OK;
    CLM_TRY(check_options(t->options));
    CLM_TRY(check_data(t));
    CLM_TRY(clm_model_settle_precision(t->model, t->options->batch, clm_dataset_length(t->train)));
    CLM_TRY(check_memory(t));
    CLM_TRY(make_loaders(t));
    CLM_TRY(make_fingerprint(t));
    CLM_TRY(prepare_folder(t, &has_checkpoint));
    CLM_TRY(clm_batch_make(&t->batch, t->model, step_texts(t), t->options->batch,
                           clm_dataset_length(t->train)));
    CLM_TRY(clm_optimizer_make(&t->optimizer, t->model));
    CLM_TRY(make_steps(t));
    CLM_TRY(make_features(t));
    CLM_TRY(t->options->resume && has_checkpoint ? go_on(t) : begin_afresh(t));
    CLM_TRY(run_stages(t));
cleanup:
    return status;
}

clm_status clm_finetune_classifier(clm_model *model, const clm_tokenizer *tokenizer,
                                   const clm_dataset *train_set, const clm_dataset *validation,
                                   const clm_dataset *test, const char *run,
                                   const clm_finetune_options *options,
                                   clm_finetune_result *result) {
    static const clm_finetune_options defaults = CLM_FINETUNE_OPTIONS_DEFAULT;
    trainer *t = NULL;
    clm_status status = clm_allocate(&t, 1, sizeof *t, "a trainer");
    if (status != CLM_OK) {
        return status;
    }
    t->model = model;
    t->tokenizer = tokenizer;
    t->train = train_set;
    t->validation = validation;
    t->test = test;
    t->run = run;
    t->options = options != NULL ? options : &defaults;
    status = train(t);
    if (result != NULL) {
        *result = t->result;
    }
    free_steps(t);
    clm_metrics_writer_close(&t->metrics);
    clm_optimizer_free(&t->optimizer);
    clm_batch_free(&t->batch);
    clm_features_free(t->features);
    clm_loader_free(t->train_loader);
    clm_loader_free(t->train_eval_loader);
    clm_loader_free(t->validation_loader);
    clm_loader_free(t->test_loader);
    clm_torch_random_free(t->random);
    clm_string_free(&t->fingerprint);
    clm_free(t->checkpoint_path);
    clm_free(t);
    return status;
}
