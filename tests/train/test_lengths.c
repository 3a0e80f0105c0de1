/* Sets that are padded to lengths of their own: a run reads every text whole, wherever features are
 * kept, and goes on in the same bits.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "recipe.h"

#include <math.h>
#include <stdio.h>

#include "base/memory.h"

enum { V = 50, C = 16, most_rows = 24, most_tokens = 25 };

static const char source[] = "random:n_layer=2,n_embd=16,n_head=2,n_ctx=24,n_vocab=50,seed=3";

/* Texts of 3 to `longest` tokens. All sets begin with the same texts, so that they share some. */
static clm_dataset *make_set(size_t count, int longest, uint32_t seed) {
    static int32_t tokens[most_rows][most_tokens];
    const int32_t *rows[most_rows];
    size_t lengths[most_rows];
    int32_t labels[most_rows];
    uint32_t random = 1;
    for (size_t i = 0; i < count; i++) {
        random = i == 2 ? seed : random;
        for (size_t t = 0; t < most_tokens; t++) {
            random = random * 1664525U + 1013904223U;
            tokens[i][t] = 1 + (int32_t)((random >> 8) % (V - 1));
        }
        rows[i] = tokens[i];
        lengths[i] = i < 2    ? 5
                     : i == 2 ? (size_t)longest
                              : 3 + (random >> 8) % (size_t)(longest - 2);
        labels[i] = tokens[i][0] % 2;
    }
    clm_dataset *set = NULL;
    clm_dataset_options options = CLM_DATASET_OPTIONS_DEFAULT;
    options.pad_token = 0;
    assert_ok(clm_dataset_create_from_ids(&set, rows, lengths, labels, count, &options));
    assert_int_equal(clm_dataset_cut_count(set), 0);
    return set;
}

static sets make_sets(void) {
    return (sets){make_set(22, 9, 1), make_set(11, 17, 2), make_set(7, 13, 3)};
}

static clm_status train_on(clm_device *device, const sets *s, clm_train_policy policy,
                           clm_pooling pooling, const char *run,
                           const clm_finetune_options *options, clm_finetune_result *result) {
    clm_model *model = NULL;
    clm_run *opened = NULL;
    const clm_model_options model_options = {.train = policy, .n_labels = 2, .head_seed = 7};
    assert_ok(clm_model_open(&model, device, source, &model_options));
    assert_ok(clm_model_set_pooling(model, pooling, 0, 0));
    clm_status status = clm_run_open(&opened, run, run_use);
    if (status == CLM_OK) {
        status = clm_finetune_classifier(model, NULL, s->train, s->validation, s->test, opened,
                                         options, result);
    }
    clm_run_close(opened);
    clm_model_close(model);
    return status;
}

static clm_status train_whole(clm_device *device, clm_train_policy policy, const char *run,
                              const clm_finetune_options *options) {
    sets s = make_sets();
    const clm_status status =
        train_on(device, &s, policy, CLM_POOLING_LAST_TOKEN, run, options, NULL);
    free_sets(&s);
    return status;
}

/* The mean loss and the accuracy of a saved model on texts that are read one by one, unpadded. */
static void answer_alone(clm_device *device, const char *run, const clm_dataset *set, double *loss,
                         double *accuracy) {
    clm_model *model = NULL;
    const int T = clm_dataset_length(set);
    const size_t count = clm_dataset_count(set);
    assert_ok(clm_model_open(&model, device, run, NULL));
    *loss = 0.0;
    *accuracy = 0.0;
    for (size_t i = 0; i < count; i++) {
        const int32_t *tokens = clm_dataset_tokens(set) + i * (size_t)T;
        const int32_t length = clm_dataset_lengths(set)[i];
        const int32_t label = clm_dataset_labels(set)[i];
        float logits[2];
        assert_ok(clm_model_logits(model, tokens, &length, 1, length, logits));
        const double margin = (double)logits[1 - label] - (double)logits[label];
        *loss += log1p(exp(margin)) / (double)count;
        *accuracy += (logits[1] > logits[0] ? 1 : 0) == label ? 1.0 / (double)count : 0.0;
    }
    clm_model_close(model);
}

static double last_validation_loss(const char *run) {
    clm_metrics metrics;
    read_metrics(&metrics, run);
    assert_true(metrics.eval_count > 0);
    const double loss = metrics.evals[metrics.eval_count - 1].val_loss;
    clm_metrics_free(&metrics);
    return loss;
}

static void texts_are_read_whole(clm_device *device) {
    static const clm_train_policy policies[] = {CLM_TRAIN_HEAD, CLM_TRAIN_LAST_BLOCK,
                                                CLM_TRAIN_ALL};
    sets s = make_sets();
    for (size_t p = 0; p < sizeof policies / sizeof *policies; p++) {
        clm_finetune_options options = recipe();
        clm_finetune_result result;
        double loss = 0.0;
        double accuracy = 0.0;
        options.epochs = 1;
        options.batch = 11; /* the validation set is one batch, whose mean loss is the set's */
        options.eval_every = 1;
        const char *run = fresh_run();
        assert_ok(
            train_on(device, &s, policies[p], CLM_POOLING_LAST_TOKEN, run, &options, &result));
        /* In another order of sums: losses of size 1 with 24 bits. */
        answer_alone(device, run, s.validation, &loss, &accuracy);
        assert_close(last_validation_loss(run), loss, 1e-5, 1e-5);
        assert_close(result.val_accuracy, accuracy, 1e-12, 0.0);
        answer_alone(device, run, s.test, &loss, &accuracy);
        assert_close(result.test_accuracy, accuracy, 1e-12, 0.0);
    }
    free_sets(&s);
}

/* 22, 11 and 7 texts of 9, 17 and 13 positions. */
static void features_of_all_lengths_are_kept(clm_device *device) {
    enum { train_bytes = 22 * 9 * C * 4, text_bytes = 17 * C * 4 };
    /* All, some of the training texts, some of the validation texts, and some of the test. */
    static const struct {
        clm_feature_place place;
        uint64_t budget_bytes;
    } kept[] = {{CLM_FEATURES_AUTO, 0},
                {CLM_FEATURES_DEVICE, 0},
                {CLM_FEATURES_HOST, 0},
                {CLM_FEATURES_DISK, 0},
                {CLM_FEATURES_DEVICE, train_bytes / 2},
                {CLM_FEATURES_DISK, train_bytes + 3 * text_bytes},
                {CLM_FEATURES_HOST, train_bytes + 12 * text_bytes}};
    for (int halves = 0; halves < 2; halves++) {
        char first[512];
        clm_finetune_options options = recipe();
        options.epochs = 2;
        options.feature_storage = halves == 1 ? CLM_FEATURES_F16 : CLM_FEATURES_F32;
        options.features = halves == 1 ? CLM_FEATURES_HOST : CLM_FEATURES_OFF;
        (void)snprintf(first, sizeof first, "%s", fresh_run());
        assert_ok(train_whole(device, CLM_TRAIN_LAST_BLOCK, first, &options));
        for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
            const char *run = fresh_run();
            options.features = kept[i].place;
            options.feature_budget_bytes = kept[i].budget_bytes / (uint64_t)(halves + 1);
            assert_ok(train_whole(device, CLM_TRAIN_LAST_BLOCK, run, &options));
            assert_same_run(run, first);
        }
    }
}

static int kernels_left;

static bool stop_in_the_middle(void *context) {
    (void)context;
    return --kernels_left <= 0;
}

/* In a step, and in an evaluation of the longer texts. */
static void a_stopped_run_goes_on(clm_device *device) {
    for (int k = 0; k < 3; k++) {
        char whole[512];
        char stopped[512];
        clm_finetune_options options = recipe();
        options.epochs = 2;
        options.features = k == 0 ? CLM_FEATURES_OFF : CLM_FEATURES_AUTO;
        options.feature_storage = k == 2 ? CLM_FEATURES_F16 : CLM_FEATURES_F32;
        (void)snprintf(whole, sizeof whole, "%s", fresh_run());
        assert_ok(train_whole(device, CLM_TRAIN_LAST_BLOCK, whole, &options));
        (void)snprintf(stopped, sizeof stopped, "%s", fresh_run());
        options.should_stop = stop_in_the_middle;
        clm_status status = CLM_ERROR_INTERRUPTED;
        int stops = 0;
        for (kernels_left = 170; status == CLM_ERROR_INTERRUPTED; kernels_left = 300 * stops) {
            status = train_whole(device, CLM_TRAIN_LAST_BLOCK, stopped, &options);
            run_use = CLM_RUN_RESUME;
            stops += status == CLM_ERROR_INTERRUPTED;
        }
        assert_ok(status);
        assert_true(stops >= 2);
        assert_same_run(stopped, whole);
    }
}

/* One length for a head on the last position, and none above the context. */
static void lengths_that_cannot_be_are_refused(clm_device *device) {
    const clm_finetune_options options = recipe();
    sets s = make_sets();
    assert_status(CLM_ERROR_SHAPE, train_on(device, &s, CLM_TRAIN_HEAD, CLM_POOLING_LAST_POSITION,
                                            fresh_run(), &options, NULL));
    assert_message_has("padded to 9, 17 and 13 tokens");
    clm_dataset_free(s.test);
    s.test = make_set(3, 25, 1);
    assert_status(CLM_ERROR_SHAPE, train_on(device, &s, CLM_TRAIN_HEAD, CLM_POOLING_LAST_TOKEN,
                                            fresh_run(), &options, NULL));
    assert_message_has("25 tokens, more than the model's context of 24");
    free_sets(&s);
}

CLM_ON_EACH_DEVICE(texts_are_read_whole)
CLM_ON_EACH_DEVICE(features_of_all_lengths_are_kept)
CLM_ON_EACH_DEVICE(a_stopped_run_goes_on)
CLM_ON_EACH_DEVICE(lengths_that_cannot_be_are_refused)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_read_whole_test),
        cmocka_unit_test(features_of_all_lengths_are_kept_test),
        cmocka_unit_test(a_stopped_run_goes_on_test),
        cmocka_unit_test(lengths_that_cannot_be_are_refused_test),
    };
    return cmocka_run_group_tests(tests, NULL, clm_test_close_devices);
}
