/* What a run needs before its first stage: checks, batches, memory.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/hash.h"
#include "base/memory.h"
#include "base/progress.h"
#include "model/fit.h"
#include "train/training.h"

/* Of what is trained on: a run must not be resumed on other data. */
static uint64_t hash_of(const clm_dataset *dataset, uint64_t hash) {
    const size_t rows = clm_dataset_count(dataset);
    const size_t tokens = rows * (size_t)clm_dataset_length(dataset);
    hash = clm_hash(hash, clm_dataset_tokens(dataset), tokens * sizeof(int32_t));
    return clm_hash(hash, clm_dataset_labels(dataset), rows * sizeof(int32_t));
}

/* All that decides about the bits of a run but the device, on one line. */
static clm_status make_fingerprint(clm_trainer *t) {
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
        clm_train_policy_name(model->trained.policy), o->batch, passes, o->learning_rate,
        o->weight_decay, o->beta1, o->beta2, o->epsilon, o->eval_every, o->eval_batches, o->seed,
        data, model->config.pooling == CLM_POOLING_LAST_TOKEN ? "last-token" : "last-position",
        o->feature_storage == CLM_FEATURES_F16    ? ", features f16"
        : o->feature_storage == CLM_FEATURES_BF16 ? ", features bf16"
                                                  : "",
        model->frozen_storage != CLM_F32 ? ", frozen " : "",
        model->frozen_storage != CLM_F32 ? clm_dtype_name(model->frozen_storage) : "",
        model->kept_storage != CLM_F32 ? ", kept " : "",
        model->kept_storage != CLM_F32 ? clm_dtype_name(model->kept_storage) : "",
        model->parameters->table.total, o->source != NULL ? o->source : "");
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

static clm_status check_labels(const clm_dataset *set, int n_labels) {
    for (size_t i = 0; i < clm_dataset_count(set); i++) {
        const int32_t label = clm_dataset_labels(set)[i];
        if (label < 0 || label >= n_labels) {
            return clm_fail(CLM_ERROR_FORMAT, "row %zu has label %d, but the model has %d classes",
                            i, (int)label, n_labels);
        }
    }
    return CLM_OK;
}

static clm_status check_sets(const clm_finetune_options *options, const clm_dataset *train,
                             const clm_dataset *validation, const clm_dataset *test, int n_labels) {
    clm_status status = CLM_OK;
    CLM_TRY(check_options(options));
    CLM_TRY(check_labels(train, n_labels));
    CLM_TRY(check_labels(validation, n_labels));
    CLM_TRY(check_labels(test, n_labels));
cleanup:
    return status;
}

clm_status clm_finetune_check(const clm_finetune_options *options, const clm_dataset *train,
                              const clm_dataset *validation, const clm_dataset *test,
                              int n_labels) {
    clm_status status = check_sets(options, train, validation, test, n_labels);
    if (status == CLM_OK &&
        clm_dataset_count(train) < (size_t)options->batch * (size_t)options->accumulate) {
        status = clm_fail(CLM_ERROR_SHAPE,
                          "%zu training texts do not fill one step of %d, and smaller ones are "
                          "dropped; choose a smaller batch",
                          clm_dataset_count(train), options->batch * options->accumulate);
    }
    return status;
}

/* A head on the last position learns what that many paddings do. */
static clm_status check_lengths(const clm_trainer *t) {
    const int train = clm_dataset_length(t->train);
    const int validation = clm_dataset_length(t->validation);
    const int test = clm_dataset_length(t->test);
    if (t->model->config.pooling == CLM_POOLING_LAST_POSITION &&
        (validation != train || test != train)) {
        return clm_fail(CLM_ERROR_SHAPE,
                        "training, validation and test texts are padded to %d, %d and %d tokens, "
                        "but a head on the last position needs one length",
                        train, validation, test);
    }
    if (clm_trainer_longest(t) > t->model->config.n_ctx) {
        return clm_fail(CLM_ERROR_SHAPE,
                        "texts are padded to %d tokens, more than the model's context of %d",
                        clm_trainer_longest(t), t->model->config.n_ctx);
    }
    return CLM_OK;
}

static clm_status check_data(const clm_trainer *t) {
    if (t->model->trained.policy == CLM_TRAIN_NOTHING) {
        return clm_fail(CLM_ERROR_ARGUMENT, "the model was opened without anything to train");
    }
    clm_status status = check_lengths(t);
    if (status != CLM_OK) {
        return status;
    }
    return check_sets(t->options, t->train, t->validation, t->test, t->model->config.n_labels);
}

static clm_fit fit_of(const clm_trainer *t) {
    return (clm_fit){
        .config = &t->model->config,
        .device = t->model->device,
        .info = clm_device_get_info(t->model->device),
        .plan = clm_model_plan(t->model, t->options->batch, clm_dataset_length(t->train)),
        .accumulate = t->options->accumulate,
        .evaluated_T = clm_trainer_longest(t)};
}

/* Says what training needs, and what would fit when it does not. */
static clm_status check_memory(const clm_trainer *t) {
    const clm_fit fit = fit_of(t);
    return clm_fit_check(&fit);
}

static clm_status make_loaders(clm_trainer *t) {
    const clm_loader_options shuffled = {
        .batch = clm_trainer_step_texts(t), .shuffle = true, .drop_last = true};
    const clm_loader_options in_order = {.batch = clm_trainer_step_texts(t)};
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

static clm_status make_steps(clm_trainer *t) {
    const size_t batch = (size_t)clm_trainer_step_texts(t);
    clm_status status = CLM_OK;
    for (size_t i = 0; i < 2; i++) {
        CLM_TRY(clm_allocate(&t->steps[i].losses, batch, sizeof *t->steps[i].losses, "losses"));
        CLM_TRY(clm_allocate(&t->steps[i].rows, batch, sizeof *t->steps[i].rows, "a batch"));
    }
cleanup:
    return status;
}

static void free_steps(clm_trainer *t) {
    for (size_t i = 0; i < 2; i++) {
        clm_error_hold();
        (void)clm_read_wait(&t->steps[i].read); /* the device may still write there */
        clm_error_release();
        clm_free(t->steps[i].losses);
        clm_free(t->steps[i].rows);
    }
}

/* Before each pass over frozen layers. */
static void tell_features(void *context, size_t done, size_t all) {
    clm_progress_tell_left("computing features", (int64_t)done, (int64_t)all, "texts",
                           clm_trainer_seconds_left(context));
}

static clm_status make_features(clm_trainer *t) {
    const clm_dataset *const sets[] = {t->train, t->validation, t->test};
    const clm_finetune_options *o = t->options;
    clm_memory_estimate need;
    clm_status status = CLM_OK;
    const clm_fit fit = fit_of(t);
    CLM_TRY(clm_fit_estimate(&fit, &need));
    CLM_TRY(clm_features_make(&t->features, t->model, sets, sizeof sets / sizeof *sets,
                              &(clm_features_plan){.place = o->features,
                                                   .storage = o->feature_storage,
                                                   .budget_bytes = o->feature_budget_bytes,
                                                   .training_bytes = need.total_bytes,
                                                   .folder = clm_run_folder(t->run),
                                                   .batch = o->batch,
                                                   .on_compute = tell_features,
                                                   .context = t}));
    t->batch.features = t->features;
cleanup:
    return status;
}

clm_status clm_trainer_prepare(clm_trainer *t) {
    const clm_finetune_options *options = t->options;
    const int T = clm_dataset_length(t->train);
    clm_status status = CLM_OK;
    CLM_TRY(check_data(t));
    CLM_TRY(clm_model_settle_precision(t->model, options->batch, T));
    CLM_TRY(check_memory(t));
    CLM_TRY(make_loaders(t));
    CLM_TRY(make_fingerprint(t));
    CLM_TRY(clm_batch_make(&t->batch, t->model, clm_trainer_step_texts(t), options->batch,
                           clm_trainer_longest(t)));
    CLM_TRY(clm_optimizer_make(&t->optimizer, t->model));
    CLM_TRY(make_steps(t));
    CLM_TRY(make_features(t));
cleanup:
    return status;
}

void clm_trainer_release(clm_trainer *t) {
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
}
