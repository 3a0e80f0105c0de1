/* The loop, as a machine of stages. A stage is done whole or not at all: what a stage draws from
 * the random stream and from the batches is put back when it is interrupted, so that a checkpoint
 * between two stages is all it takes to go on in the same bits.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "train/training.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/progress.h"
#include "model/folder.h"
#include "text/save.h"
#include "train/card.h"

static clm_train_event event_of(const clm_trainer *t, clm_train_event_kind kind) {
    const double tokens = (double)clm_trainer_step_texts(t) * clm_dataset_length(t->train);
    return (clm_train_event){
        .kind = kind,
        .step = t->state.step - 1, /* the last that was done */
        .step_count = clm_trainer_step_count(t),
        .epoch = t->state.epoch + 1,
        .examples = t->state.step * clm_trainer_step_texts(t),
        .seconds = clm_seconds() - t->started,
        .tokens_second = t->pace.any_seconds > 0.0 ? tokens / t->pace.any_seconds : 0.0,
        .seconds_left = clm_trainer_seconds_left(t),
    };
}

static clm_status tell(clm_trainer *t, const clm_train_event *event) {
    clm_status status = clm_run_write_notes(t->run, &t->metrics);
    if (status == CLM_OK) {
        status = clm_metrics_writer_add(&t->metrics, event);
    }
    if (status == CLM_OK && t->options->on_event != NULL) {
        t->options->on_event(t->options->context, event);
    }
    return status;
}

static void tell_progress(const clm_trainer *t) {
    clm_progress_tell_left("training", t->state.step, clm_trainer_step_count(t), "steps",
                           clm_trainer_seconds_left(t));
}

/* ---- stopping in the midst of a step ---- */

/* Work that is enqueued cannot be called back, so that no more than about a tenth of a second of it
 * may wait on the device. How many kernels that is shows how long waiting for them takes; where
 * they are quick, the limit soon is so large that it costs nothing. */
static clm_status keep_queue_short(clm_trainer *t) {
    enum { MOST = 1 << 20 };
    if (++t->queued < t->queue_most) {
        return CLM_OK;
    }
    const double start = clm_seconds();
    const clm_status status = clm_device_finish(t->model->device);
    const double took = clm_seconds() - start;
    t->queued = 0;
    if (took > 0.2 && t->queue_most > 1) {
        t->queue_most /= 2;
    } else if (took < 0.05 && t->queue_most < MOST) {
        t->queue_most *= 2;
    }
    return status;
}

static clm_status before_kernel(void *context, const char *kernel) {
    clm_trainer *t = context;
    (void)kernel;
    if (!t->may_stop) {
        return CLM_OK;
    }
    if (clm_trainer_should_stop(t)) {
        return clm_fail(CLM_ERROR_INTERRUPTED, "stopped on request");
    }
    return keep_queue_short(t);
}

/* ---- stages ---- */

/* Names the step and its batch: the rows of train.csv, counted from 1 without its header. */
static clm_status fail_not_finite(const clm_trainer *t, const clm_pending_step *step, double loss) {
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
                          clm_run_folder(t->run), number, loss, number % t->batches + 1,
                          step->event.epoch, list.text, t->options->learning_rate);
    }
    clm_string_free(&list);
    return status;
}

/* Waits for a step that is pending, if one is, and tells of it. */
static clm_status finish_step(clm_trainer *t, clm_pending_step *step) {
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
    clm_pace_step(&t->pace, seconds, step->computed);
    clm_train_event event = event_of(t, CLM_TRAIN_STEP);
    event.step = step->event.step;
    event.epoch = step->event.epoch;
    event.examples = step->event.examples;
    event.loss = loss;
    event.seconds = seconds;
    CLM_TRY(tell(t, &event));
    tell_progress(t);
cleanup:
    return status;
}

/* Before anything that looks at what the last step did. */
static clm_status finish_steps(clm_trainer *t) {
    return finish_step(t, &t->steps[(t->state.step + 1) % 2]);
}

/* Weights that a step made infinite are caught before they are saved over good ones. */
static clm_status check_weights(const clm_trainer *t) {
    clm_progress_tell("checking the weights", 0, 0, "");
    const clm_status status = clm_optimizer_check_finite(&t->optimizer);
    return status != CLM_ERROR_NOT_FINITE
               ? status
               : clm_error_prefix(status,
                                  "%s: the weights after step %" PRId64 " (batch %" PRId64
                                  " of epoch %d) are not finite; try a smaller learning rate than "
                                  "%g",
                                  clm_run_folder(t->run), t->state.step - 1,
                                  (t->state.step - 1) % t->batches + 1,
                                  (int)((t->state.step - 1) / t->batches) + 1,
                                  t->options->learning_rate);
}

/* `on_stop`: the run ends with it, and who waits for that may give it up. */
static clm_status save_checkpoint(clm_trainer *t, bool on_stop) {
    const clm_finetune_options *options = t->options;
    clm_checkpoint checkpoint = {.fingerprint = t->fingerprint.text};
    clm_status status = CLM_OK;
    clm_loader_save(t->train_loader, &t->state.position);
    clm_torch_random_save(t->random, t->state.random);
    t->state.seconds = clm_seconds() - t->started;
    CLM_TRY(finish_steps(t));
    CLM_TRY(check_weights(t));
    CLM_TRY(clm_run_write_notes(t->run, &t->metrics));
    CLM_TRY(clm_metrics_writer_sync(&t->metrics));
    checkpoint.state = t->state;
    checkpoint.metrics_bytes = t->metrics.size_bytes;
    CLM_TRY(clm_checkpoint_save(clm_run_open_folder(t->run), &checkpoint, &t->optimizer,
                                on_stop ? options->should_abandon : NULL, options->context));
    t->saved_step = t->state.step;
    if (options->on_event != NULL) {
        const clm_train_event event = event_of(t, CLM_TRAIN_CHECKPOINT);
        options->on_event(options->context, &event);
    }
cleanup:
    return status;
}

/* Enqueues a step and, while the device works at it, finishes the one before: the host never holds
 * the device up, and its own work, the next batch, costs nothing. */
static clm_status train_step(clm_trainer *t, const int32_t *rows, size_t count) {
    const clm_finetune_options *options = t->options;
    clm_pending_step *step = &t->steps[t->state.step % 2];
    const clm_adamw adamw = {.learning_rate = options->learning_rate,
                             .beta1 = options->beta1,
                             .beta2 = options->beta2,
                             .epsilon = options->epsilon,
                             .weight_decay = options->weight_decay,
                             .step = (int)t->state.step + 1,
                             .gradient_scale = 1.0};
    const uint64_t computed = clm_features_computed(t->features);
    clm_status status = CLM_OK;
    step->started = clm_seconds();
    step->count = count;
    memcpy(step->rows, rows, count * sizeof *rows);
    CLM_TRY(clm_batch_take(&t->batch, t->train, rows, count));
    CLM_TRY(clm_parameters_zero_gradients(t->model->parameters));
    CLM_TRY(clm_batch_backward(&t->batch));
    t->may_stop = false; /* parameters change all together */
    CLM_TRY(clm_optimizer_step(&t->optimizer, &adamw));
    CLM_TRY(clm_buffer_read_begin(&step->read, t->batch.device_losses, 0, step->losses,
                                  count * sizeof *step->losses));
    step->begun = true;
    step->computed = clm_features_computed(t->features) - computed;
    t->state.step++;
    step->event = event_of(t, CLM_TRAIN_STEP);
    CLM_TRY(finish_step(t, &t->steps[t->state.step % 2]));
    if (options->wait_for_each_step) {
        CLM_TRY(finish_step(t, step));
    }
cleanup:
    return status;
}

static clm_status stage_batch(clm_trainer *t) {
    const int32_t *rows = NULL;
    const size_t count = clm_loader_next(t->train_loader, &rows);
    if (count == 0) {
        t->state.stage = CLM_STAGE_EPOCH_END;
        return CLM_OK;
    }
    if (t->state.step == 0 || !t->pace.warm) {
        tell_progress(t); /* the first takes long */
    }
    const clm_status status = train_step(t, rows, count);
    if (status == CLM_OK) {
        t->state.stage = CLM_STAGE_EVALUATE;
    }
    return status;
}

/* What is evaluated in one go, for whoever watches. */
typedef struct evaluating {
    clm_trainer *trainer;
    const char *stage;
    int64_t before; /* batches done */
    int64_t all;
} evaluating;

static void evaluated(void *context, int64_t batches) {
    const evaluating *e = context;
    const clm_trainer *t = e->trainer;
    const int64_t done = e->before + batches;
    const clm_work_left rest = {.texts = (int64_t)clm_features_missing(t->features),
                                .batches = e->all - done};
    clm_progress_tell_left(e->stage, done, e->all, "batches",
                           t->state.stage == CLM_STAGE_FINAL ? clm_pace_left(&t->pace, &rest)
                                                             : clm_trainer_seconds_left(t));
}

/* `most` batches of a set; 0 for all. */
static clm_status evaluate(evaluating *e, clm_evaluation *evaluation, const clm_dataset *dataset,
                           clm_loader *loader, int64_t most) {
    clm_trainer *t = e->trainer;
    const clm_evaluate_hooks hooks = {.progress = evaluated, .context = e};
    const uint64_t computed = clm_features_computed(t->features);
    const double start = clm_seconds();
    evaluated(e, 0);
    const clm_status status =
        clm_evaluate_batches(evaluation, &t->batch, dataset, loader, most, &hooks);
    if (status == CLM_OK) {
        clm_pace_evaluation(&t->pace, clm_seconds() - start, evaluation->batches,
                            clm_features_computed(t->features) - computed);
    }
    e->before += evaluation->batches;
    return status;
}

/* The few batches that losses and accuracies are told of in training. */
static clm_status look(clm_trainer *t, clm_evaluation *train, clm_evaluation *validation) {
    evaluating e = {.trainer = t, .stage = "evaluating", .all = clm_trainer_looked_at(t)};
    const int most = t->options->eval_batches;
    clm_status status = evaluate(&e, train, t->train, t->train_eval_loader, most);
    if (status == CLM_OK) {
        status = evaluate(&e, validation, t->validation, t->validation_loader, most);
    }
    return status;
}

/* Weights may be finite and yet too large for any sum of them. */
static clm_status check_losses(const clm_trainer *t, double train_loss, double val_loss) {
    const int64_t step = t->state.step - 1;
    if (isfinite(train_loss) && isfinite(val_loss)) {
        return CLM_OK;
    }
    clm_status status = check_weights(t);
    if (status == CLM_OK) {
        status =
            clm_fail(CLM_ERROR_NOT_FINITE,
                     "%s: the losses after step %" PRId64 " (batch %" PRId64
                     " of epoch %d) are %g in training and %g in validation; try a smaller "
                     "learning rate than %g",
                     clm_run_folder(t->run), step, step % t->batches + 1,
                     (int)(step / t->batches) + 1, train_loss, val_loss, t->options->learning_rate);
    }
    return status;
}

static clm_status stage_evaluate(clm_trainer *t) {
    const clm_finetune_options *options = t->options;
    const int64_t step = t->state.step - 1;
    clm_status status = CLM_OK;
    if (options->eval_every > 0 && step % options->eval_every == 0) {
        CLM_TRY(finish_steps(t));
        clm_evaluation train;
        clm_evaluation validation;
        CLM_TRY(look(t, &train, &validation));
        clm_train_event event = event_of(t, CLM_TRAIN_EVAL);
        event.train_loss = train.loss_sum / (double)train.batches;
        event.val_loss = validation.loss_sum / (double)validation.batches;
        CLM_TRY(tell(t, &event));
        CLM_TRY(check_losses(t, event.train_loss, event.val_loss));
    }
    t->state.stage = CLM_STAGE_BATCH;
    if (options->max_steps > 0 && t->state.step >= options->max_steps) {
        t->state.stage = CLM_STAGE_FINAL;
        t->may_stop = false;
        CLM_TRY(save_checkpoint(t, false));
    }
cleanup:
    return status;
}

static double accuracy(const clm_evaluation *evaluation) {
    return (double)evaluation->correct / (double)evaluation->rows;
}

static clm_status stage_epoch_end(clm_trainer *t) {
    clm_evaluation train;
    clm_evaluation validation;
    clm_status status = CLM_OK;
    CLM_TRY(finish_steps(t));
    CLM_TRY(look(t, &train, &validation));
    CLM_TRY(check_losses(t, train.loss_sum, validation.loss_sum));
    clm_train_event event = event_of(t, CLM_TRAIN_EPOCH);
    event.train_accuracy = accuracy(&train);
    event.val_accuracy = accuracy(&validation);
    CLM_TRY(tell(t, &event));
    t->state.epoch++;
    t->state.stage = t->state.epoch < t->options->epochs ? CLM_STAGE_EPOCH_BEGIN : CLM_STAGE_FINAL;
    t->may_stop = false;
    CLM_TRY(save_checkpoint(t, false));
cleanup:
    return status;
}

static clm_status final_accuracy(evaluating *e, double *result, const clm_dataset *dataset,
                                 clm_loader *loader) {
    clm_evaluation evaluation;
    clm_status status = evaluate(e, &evaluation, dataset, loader, 0);
    *result = accuracy(&evaluation);
    if (status == CLM_OK) {
        status = check_losses(e->trainer, evaluation.loss_sum, evaluation.loss_sum);
    }
    return status;
}

/* The model first: what was trained is safe before the long look at it. */
static clm_status save_model(clm_trainer *t) {
    const clm_folder *folder = clm_run_open_folder(t->run);
    clm_status status = CLM_OK;
    if (t->tokenizer != NULL) {
        const clm_model_config *config = clm_model_get_config(t->model);
        const clm_tokenizer_save_options as_trained = {
            .pad_token = config->pad_token,
            .max_length = config->padded_length > 0 ? config->padded_length : config->n_ctx};
        CLM_TRY(clm_tokenizer_save_in(t->tokenizer, folder, &as_trained));
    }
    CLM_TRY(clm_model_save_in(t->model, folder));
    CLM_TRY(clm_card_write(t));
cleanup:
    return status;
}

static clm_status stage_final(clm_trainer *t) {
    clm_finetune_result *result = &t->result;
    clm_status status = CLM_OK;
    *result = (clm_finetune_result){t->state.step, NAN, NAN, NAN};
    t->may_stop = false;
    CLM_TRY(save_model(t));
    t->may_stop = true;
    if (t->options->final_accuracies) {
        evaluating e = {
            .trainer = t, .stage = "final accuracies", .all = clm_trainer_final_batches(t)};
        CLM_TRY(final_accuracy(&e, &result->train_accuracy, t->train, t->train_eval_loader));
        CLM_TRY(final_accuracy(&e, &result->val_accuracy, t->validation, t->validation_loader));
        CLM_TRY(final_accuracy(&e, &result->test_accuracy, t->test, t->test_loader));
    }
    clm_train_event event = event_of(t, CLM_TRAIN_FINAL);
    event.train_accuracy = result->train_accuracy;
    event.val_accuracy = result->val_accuracy;
    event.test_accuracy = result->test_accuracy;
    CLM_TRY(tell(t, &event));
    CLM_TRY(clm_card_write(t)); /* with them */
    t->state.stage = CLM_STAGE_DONE;
cleanup:
    return status;
}

static clm_status run_stage(clm_trainer *t) {
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

static clm_status stop(clm_trainer *t) {
    const int64_t count = clm_trainer_step_count(t);
    clm_status status = save_checkpoint(t, true);
    if (status == CLM_ERROR_INTERRUPTED && t->saved_step < 0) {
        return clm_fail(status,
                        "stopped after %" PRId64 " of %" PRId64
                        " steps; no checkpoint was saved, so the run starts over",
                        t->state.step, count);
    }
    if (status == CLM_ERROR_INTERRUPTED) {
        return clm_fail(status,
                        "stopped after %" PRId64 " of %" PRId64
                        " steps; the checkpoint was not saved; --resume continues after step "
                        "%" PRId64,
                        t->state.step, count, t->saved_step);
    }
    if (status != CLM_OK) {
        return clm_error_prefix(status, "stopped, but the checkpoint could not be saved");
    }
    return clm_fail(CLM_ERROR_INTERRUPTED,
                    "stopped after %" PRId64 " of %" PRId64
                    " steps; everything is in %s, go on with --resume",
                    t->state.step, count, clm_run_checkpoint_path(t->run));
}

/* One stage; interrupted, it leaves the random stream and the batches as they were. */
static clm_status try_stage(clm_trainer *t) {
    uint8_t random[CLM_TORCH_RANDOM_STATE_BYTES];
    clm_loader_position position;
    clm_torch_random_save(t->random, random);
    clm_loader_save(t->train_loader, &position);
    t->may_stop = true;
    const clm_status status = run_stage(t);
    t->may_stop = false;
    if (status == CLM_ERROR_INTERRUPTED) {
        clm_error_hold();
        clm_status restored = clm_torch_random_restore(t->random, random);
        if (restored == CLM_OK) {
            restored = clm_loader_restore(t->train_loader, &position);
        }
        clm_error_release();
        return restored == CLM_OK ? status : restored;
    }
    return status;
}

static clm_status run_stages(clm_trainer *t) {
    while (t->state.stage != CLM_STAGE_DONE) {
        const clm_status status = try_stage(t);
        if (status == CLM_ERROR_INTERRUPTED ||
            (status == CLM_OK && t->state.stage != CLM_STAGE_DONE && clm_trainer_should_stop(t))) {
            return stop(t);
        }
        if (status != CLM_OK) {
            return status;
        }
    }
    return CLM_OK;
}

/* ---- before the first stage ---- */

static clm_status start_new_run(clm_trainer *t) {
    clm_status status = CLM_OK;
    CLM_TRY(clm_run_begin(t->run, clm_device_get_info(t->model->device)->name));
    CLM_TRY(clm_metrics_writer_open(&t->metrics, clm_run_open_folder(t->run), 0));
    CLM_TRY(clm_metrics_writer_start(&t->metrics, t->options, (int64_t)clm_dataset_count(t->train),
                                     t->batches, clm_dataset_length(t->train)));
    t->started = clm_seconds();
    const clm_train_event event = event_of(t, CLM_TRAIN_STARTED);
    CLM_TRY(tell(t, &event));
cleanup:
    return status;
}

/* A run may be given more epochs or steps, but not fewer than it has done. */
static clm_status check_steps(const clm_trainer *t) {
    const int64_t count = clm_trainer_step_count(t);
    return t->state.step <= count
               ? CLM_OK
               : clm_fail(CLM_ERROR_ARGUMENT,
                          "%s: %" PRId64 " steps are done already, more than the %" PRId64
                          " of %d epochs%s",
                          clm_run_folder(t->run), t->state.step, count, t->options->epochs,
                          t->options->max_steps > 0 ? " and the limit of steps" : "");
}

static clm_status resume_run(clm_trainer *t) {
    clm_checkpoint checkpoint = {.fingerprint = t->fingerprint.text};
    clm_status status = CLM_OK;
    CLM_TRY(clm_checkpoint_load(clm_run_checkpoint_path(t->run), &checkpoint, t->batches,
                                &t->optimizer));
    t->state = checkpoint.state;
    t->saved_step = t->state.step;
    CLM_TRY(check_steps(t));
    CLM_TRY(clm_torch_random_restore(t->random, t->state.random));
    CLM_TRY(clm_loader_restore(t->train_loader, &t->state.position));
    CLM_TRY(clm_run_begin(t->run, clm_device_get_info(t->model->device)->name));
    CLM_TRY(clm_metrics_writer_open(&t->metrics, clm_run_open_folder(t->run),
                                    checkpoint.metrics_bytes));
    CLM_TRY(clm_run_read_notes(t->run, &t->metrics));
    /* A run that was at its end may be given more epochs or steps. */
    if (t->state.stage == CLM_STAGE_FINAL && t->state.step < clm_trainer_step_count(t)) {
        t->state.stage =
            t->state.step == t->state.epoch * t->batches ? CLM_STAGE_EPOCH_BEGIN : CLM_STAGE_BATCH;
    }
    t->started = clm_seconds() - t->state.seconds;
    const clm_train_event event = event_of(t, CLM_TRAIN_RESUMED);
    CLM_TRY(tell(t, &event));
cleanup:
    return status;
}

static clm_status train(clm_trainer *t) {
    clm_status status = CLM_OK;
    CLM_TRY(clm_trainer_prepare(t));
    clm_device_on_launch(t->model->device, before_kernel, t);
    CLM_TRY(clm_run_is_resumed(t->run) ? resume_run(t) : start_new_run(t));
    CLM_TRY(run_stages(t));
cleanup:
    clm_device_on_launch(t->model->device, NULL, NULL);
    return status;
}

clm_status clm_finetune_classifier(clm_model *model, const clm_tokenizer *tokenizer,
                                   const clm_dataset *train_set, const clm_dataset *validation,
                                   const clm_dataset *test, clm_run *run,
                                   const clm_finetune_options *options,
                                   clm_finetune_result *result) {
    static const clm_finetune_options defaults = CLM_FINETUNE_OPTIONS_DEFAULT;
    clm_trainer *t = NULL;
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
    t->saved_step = -1;
    t->queue_most = 4;
    status = train(t);
    if (result != NULL) {
        *result = t->result;
    }
    clm_trainer_release(t);
    clm_free(t);
    return status;
}
