/* Whole jobs: a training step by policy, classification, opening a model.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/number.h"
#include "bench/bench.h"

enum { N_LABELS = 2 };

/* ---- work ---- */

/* The form of a training case is its policy, with this added when it begins at what the frozen
 * layers gave, which the trainer computes once and keeps. */
enum { FROM_FEATURES = 16 };

static clm_train_policy policy_of(const clm_bench_entry *entry) {
    return (clm_train_policy)(entry->form & ~FROM_FEATURES);
}

static int trained_blocks(clm_train_policy policy, int n_layer) {
    return policy == CLM_TRAIN_ALL               ? n_layer
           : policy == CLM_TRAIN_LAST_TWO_BLOCKS ? 2
           : policy == CLM_TRAIN_LAST_BLOCK      ? 1
                                                 : 0;
}

/* The products and attention of a forward pass (B,T), of its part from the lowest trained block on,
 * or of that and the backward pass. The top block's queries, projection and MLP are needed for one
 * position of each text. Causal attention is half of a square; its backward pass is five products
 * for the forward's two. */
typedef struct flops {
    double forward, trained, backward;
} flops;

static flops count_flop(const clm_model_config *config, clm_train_policy policy, int B, int T) {
    const double C = config->n_embd;
    const double rows = (double)B * T;
    const double square = 2.0 * C * C; /* a position through a layer (C,C) */
    const double after = square + 4.0 * C * clm_model_config_inner(config);
    const double head = 2.0 * C * N_LABELS * B;
    flops count = {head, head, 2.0 * head};
    for (int from_top = 0; from_top < config->n_layer; from_top++) {
        const bool top = from_top == 0;
        const double products =
            top ? 2.0 * square * rows + (square + after) * B : (3.0 * square + after) * rows;
        const double attention = top ? 4.0 * C * T * B : 2.0 * C * T * rows;
        count.forward += products + attention;
        if (from_top < trained_blocks(policy, config->n_layer)) {
            count.trained += products + attention;
            count.backward += 2.0 * products + 2.5 * attention;
        }
    }
    return count;
}

/* Adds the model's sizes to the parameters, so that only reports of equal ones are compared. */
static void describe(clm_bench_subject *subject, const char *item, double items) {
    const clm_model_config *config = clm_model_get_config(subject->model);
    clm_bench_result *result = subject->result;
    const size_t length = strlen(result->parameters);
    (void)snprintf(result->parameters + length, sizeof result->parameters - length,
                   "%sL=%d C=%d V=%d", length > 0 ? " " : "", config->n_layer, config->n_embd,
                   config->n_vocab);
    (void)snprintf(result->item, sizeof result->item, "%s", item);
    result->items = items;
}

static clm_status open_model(clm_bench_subject *subject, clm_train_policy policy) {
    const clm_model_options options = {.train = policy, .n_labels = N_LABELS, .head_seed = 123};
    return clm_model_open(&subject->model, subject->device, clm_bench_model_path(subject->source),
                          &options);
}

/* Whether the model and the device can; says in the result why not. */
static clm_status check_size(clm_bench_subject *subject, clm_train_policy policy, int B, int T) {
    const clm_model_config *config = clm_model_get_config(subject->model);
    const clm_device_info *info = clm_device_get_info(subject->device);
    clm_bench_result *result = subject->result;
    clm_memory_estimate needs;
    if (T > config->n_ctx) {
        (void)snprintf(result->skipped, sizeof result->skipped,
                       "the model has a context of %d tokens", config->n_ctx);
        return CLM_OK;
    }
    const clm_memory_plan plan = {.train = policy, .B = B, .T = T};
    const clm_status status = clm_model_estimate_memory(subject->device, config, &plan, &needs);
    if (status == CLM_OK && (needs.total_bytes > info->memory_size_bytes ||
                             needs.largest_buffer_bytes > info->max_allocation_size_bytes)) {
        const double mib = 1024.0 * 1024.0;
        (void)clm_format(
            result->skipped, sizeof result->skipped,
            "needs %.0f MiB, %.0f in one piece; the device has %.0f, %.0f in one piece",
            (double)needs.total_bytes / mib, (double)needs.largest_buffer_bytes / mib,
            (double)info->memory_size_bytes / mib, (double)info->max_allocation_size_bytes / mib);
    }
    return status;
}

/* ---- training: sizes B, T, steps before a batch is evaluated (0: a step alone) ---- */

static void fill_batch(clm_batch *batch, const clm_model_config *config) {
    batch->count = batch->capacity;
    for (int i = 0; i < batch->capacity * batch->T; i++) {
        batch->tokens[i] = (int32_t)((int64_t)i * 7919 % config->n_vocab);
    }
    for (int i = 0; i < batch->capacity; i++) {
        batch->labels[i] = i % N_LABELS;
        batch->lengths[i] = batch->T;
    }
}

/* Computes the batch's features and keeps them in a buffer, as the trainer does on the device. */
static clm_status keep_features(clm_bench_subject *subject) {
    clm_model *model = subject->model;
    const clm_batch *batch = &subject->batch;
    size_t count = 0;
    clm_status status = CLM_OK;
    CLM_TRY(clm_model_count_features(model, batch->T, &count));
    const size_t bytes = (size_t)batch->count * count * sizeof(float);
    CLM_TRY(
        clm_model_compute_features(model, batch->tokens, batch->lengths, batch->count, batch->T));
    CLM_TRY(clm_buffer_create(&subject->buffers[0], subject->device, bytes, "features"));
    CLM_TRY(clm_buffer_copy(subject->buffers[0], 0, clm_model_features(model), 0, bytes));
cleanup:
    return status;
}

static clm_status prepare_train(clm_bench_subject *subject) {
    const clm_train_policy policy = policy_of(subject->entry);
    const bool from_features = (subject->entry->form & FROM_FEATURES) != 0;
    const int B = subject->entry->sizes[0];
    const int T = subject->entry->sizes[1];
    const int evaluated_steps = subject->entry->sizes[2];
    const int steps = evaluated_steps > 0 ? evaluated_steps : 1;
    clm_status status = CLM_OK;
    CLM_TRY(open_model(subject, policy));
    describe(subject, "texts", (double)B * steps);
    CLM_TRY(check_size(subject, policy, B, T));
    if (subject->result->skipped[0] != '\0') {
        goto cleanup;
    }
    const clm_model_config *config = clm_model_get_config(subject->model);
    const flops count = count_flop(config, policy, B, T);
    const double forward = from_features ? count.trained : count.forward;
    subject->result->flop =
        steps * (forward + count.backward) + (evaluated_steps > 0 ? forward : 0.0);
    CLM_TRY(clm_optimizer_make(&subject->optimizer, subject->model));
    CLM_TRY(clm_batch_make(&subject->batch, subject->model, B, B, T));
    fill_batch(&subject->batch, config);
    if (from_features) {
        CLM_TRY(keep_features(subject));
    }
cleanup:
    return status;
}

/* As clm_batch_forward() does it with the trainer's features. */
static clm_status pass(clm_bench_subject *subject, float scale) {
    clm_batch *batch = &subject->batch;
    const clm_buffer *features = subject->buffers[0];
    clm_status status = CLM_OK;
    if (features != NULL) {
        CLM_TRY(clm_buffer_copy(clm_model_features(subject->model), 0, features, 0,
                                clm_buffer_size_bytes(features)));
    }
    CLM_TRY(clm_batch_pass(batch, 0, batch->count, scale, features != NULL));
cleanup:
    return status;
}

/* The trainer reads a step's losses while the next one runs; the benchmark does not. */
static clm_status train_step(clm_bench_subject *subject) {
    const clm_adamw adamw = {.learning_rate = 5e-5,
                             .beta1 = 0.9,
                             .beta2 = 0.999,
                             .epsilon = 1e-8,
                             .weight_decay = 0.1,
                             .step = 1,
                             .gradient_scale = 1.0};
    clm_status status = CLM_OK;
    CLM_TRY(clm_parameters_zero_gradients(subject->model->parameters));
    CLM_TRY(pass(subject, 1.0F / (float)subject->batch.count));
    CLM_TRY(clm_optimizer_step(&subject->optimizer, &adamw));
cleanup:
    return status;
}

static clm_status run_train(clm_bench_subject *subject) {
    const int evaluated_steps = subject->entry->sizes[2];
    double loss = 0.0;
    clm_status status = CLM_OK;
    CLM_TRY(train_step(subject));
    for (int i = 1; i < evaluated_steps; i++) {
        CLM_TRY(train_step(subject));
    }
    if (evaluated_steps > 0) {
        CLM_TRY(pass(subject, 0.0F));
        CLM_TRY(clm_batch_mean_loss(&subject->batch, &loss));
    }
cleanup:
    return status;
}

static const clm_bench_kind train = {
    .letters = {"B", "T", NULL}, .prepare = prepare_train, .run = run_train, .needs_model = true};

/* ---- classification: sizes B, T ---- */

static clm_status prepare_classify(clm_bench_subject *subject) {
    const int B = subject->entry->sizes[0];
    const int T = subject->entry->sizes[1];
    clm_status status = CLM_OK;
    CLM_TRY(open_model(subject, CLM_TRAIN_NOTHING));
    describe(subject, "texts", B);
    CLM_TRY(check_size(subject, CLM_TRAIN_NOTHING, B, T));
    if (subject->result->skipped[0] != '\0') {
        goto cleanup;
    }
    const clm_model_config *config = clm_model_get_config(subject->model);
    CLM_TRY(
        clm_allocate(&subject->tokens, (size_t)B * (size_t)T, sizeof *subject->tokens, "a batch"));
    CLM_TRY(
        clm_allocate(&subject->logits, (size_t)B * N_LABELS, sizeof *subject->logits, "logits"));
    for (int i = 0; i < B * T; i++) {
        subject->tokens[i] = (int32_t)((int64_t)i * 7919 % config->n_vocab);
    }
    CLM_TRY(clm_model_set_pooling(subject->model, CLM_POOLING_LAST_POSITION, 0, T));
    subject->result->flop = count_flop(config, CLM_TRAIN_NOTHING, B, T).forward;
cleanup:
    return status;
}

static clm_status run_classify(clm_bench_subject *subject) {
    return clm_model_logits(subject->model, subject->tokens, NULL, subject->entry->sizes[0],
                            subject->entry->sizes[1], subject->logits);
}

static const clm_bench_kind classify = {.letters = {"B", "T", NULL},
                                        .prepare = prepare_classify,
                                        .run = run_classify,
                                        .needs_model = true};

/* ---- opening ---- */

/* The weights are read from the file, which the system keeps in memory by then, and written to the
 * device. */
static clm_status prepare_open(clm_bench_subject *subject) {
    clm_status status = CLM_OK;
    CLM_TRY(open_model(subject, CLM_TRAIN_NOTHING));
    describe(subject, "", 0.0);
    subject->result->bytes =
        2.0 * sizeof(float) * (double)clm_model_parameter_count(subject->model);
    if (!clm_bench_model_is_file(subject->source)) {
        (void)snprintf(subject->result->skipped, sizeof subject->result->skipped,
                       "the random model could not be written to the cache folder");
    }
cleanup:
    return status;
}

static clm_status run_open(clm_bench_subject *subject) {
    clm_model_close(subject->model);
    subject->model = NULL;
    return open_model(subject, CLM_TRAIN_NOTHING);
}

static const clm_bench_kind opening = {
    .letters = {NULL, NULL, NULL}, .prepare = prepare_open, .run = run_open, .needs_model = true};

/* ---- the table ---- */

/* A step of each policy as in a first epoch, frozen layers and all; then as in the later ones. The
 * recipe evaluates ten batches after each fifty steps: hence one batch after five steps. */
static const clm_bench_entry entries[] = {
    {"train/head", &train, {CLM_BENCH_B, CLM_BENCH_T, 0}, CLM_TRAIN_HEAD, false},
    {"train/last-block", &train, {CLM_BENCH_B, CLM_BENCH_T, 0}, CLM_TRAIN_LAST_BLOCK, true},
    {"train/last-two-blocks",
     &train,
     {CLM_BENCH_B, CLM_BENCH_T, 0},
     CLM_TRAIN_LAST_TWO_BLOCKS,
     false},
    {"train/all", &train, {CLM_BENCH_B, CLM_BENCH_T, 0}, CLM_TRAIN_ALL, true},
    {"train/last-block-features",
     &train,
     {CLM_BENCH_B, CLM_BENCH_T, 0},
     CLM_TRAIN_LAST_BLOCK | FROM_FEATURES,
     true},
    {"train/5-steps-evaluated",
     &train,
     {CLM_BENCH_B, CLM_BENCH_T, 5},
     CLM_TRAIN_LAST_BLOCK | FROM_FEATURES,
     false},
    {"classify/batch", &classify, {32, CLM_BENCH_T, 0}, 0, false},
    {"classify/batch", &classify, {CLM_BENCH_B, CLM_BENCH_T, 0}, 0, true},
    {"classify/batch", &classify, {CLM_BENCH_B, 64, 0}, 0, false},
    {"classify/batch", &classify, {CLM_BENCH_B, 32, 0}, 0, false},
    {"classify/batch", &classify, {CLM_BENCH_B, 16, 0}, 0, false},
    {"classify/message", &classify, {1, CLM_BENCH_T, 0}, 0, true},
    {"classify/message", &classify, {1, 24, 0}, 0, false},
    {"open/model", &opening, {0, 0, 0}, 0, true},
};

clm_bench_table clm_bench_job_table(void) {
    return (clm_bench_table){entries, sizeof entries / sizeof *entries};
}
