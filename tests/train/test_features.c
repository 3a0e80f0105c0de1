/* Features that are kept: the same runs as without, wherever they lie and however many fit.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "recipe.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "train/features.h"

enum { batch = 4, C = 20, bytes_of_text = CLM_RECIPE_T * C * 4 };

/* The budgets below are counted in texts of it. */
static void the_tiny_model_has_20_channels(clm_device *device) {
    clm_model *model = NULL;
    size_t count = 0;
    const clm_model_options options = {.train = CLM_TRAIN_LAST_BLOCK, .n_labels = 2};
    assert_ok(clm_model_open(&model, device, clm_test_source("golden/tiny"), &options));
    assert_ok(clm_model_count_features(model, CLM_RECIPE_T, &count));
    assert_int_equal(count * sizeof(float), bytes_of_text);
    clm_model_close(model);
}

static int files_in(const char *folder) {
    int count = 0;
    DIR *stream = opendir(folder);
    assert_non_null(stream);
    while (readdir(stream) != NULL) {
        count++;
    }
    (void)closedir(stream);
    return count;
}

static void wherever_they_are_kept_a_run_has_the_same_bits(clm_device *device) {
    static const clm_train_policy policies[] = {CLM_TRAIN_HEAD, CLM_TRAIN_LAST_BLOCK,
                                                CLM_TRAIN_LAST_TWO_BLOCKS, CLM_TRAIN_ALL};
    static const clm_feature_place places[] = {CLM_FEATURES_AUTO, CLM_FEATURES_DEVICE,
                                               CLM_FEATURES_HOST, CLM_FEATURES_DISK};
    /* All of them, some, not one. */
    static const uint64_t budgets[] = {0, 9 * bytes_of_text, 5};
    for (size_t p = 0; p < sizeof policies / sizeof *policies; p++) {
        char without[512];
        clm_finetune_options options = recipe();
        options.epochs = 1;
        options.features = CLM_FEATURES_OFF;
        (void)snprintf(without, sizeof without, "%s", fresh_run());
        assert_ok(train(device, policies[p], without, &options, NULL));
        for (size_t i = 0; i < 4 * 3; i++) {
            /* Each place with all of them; the last block, which most people train, with fewer. */
            if (i % 3 > 0 && policies[p] != CLM_TRAIN_LAST_BLOCK) {
                continue;
            }
            const char *run = fresh_run();
            options.features = places[i / 3];
            options.feature_budget_bytes = budgets[i % 3];
            assert_ok(train(device, policies[p], run, &options, NULL));
            assert_same_run(run, without);
            assert_int_equal(files_in(run), files_in(without));
        }
    }
}

/* The host's turn comes before or after the device's: the same bits. */
static void waiting_for_each_step_changes_nothing(clm_device *device) {
    static const clm_train_policy policies[] = {CLM_TRAIN_LAST_BLOCK, CLM_TRAIN_ALL};
    for (size_t p = 0; p < 2; p++) {
        char overlapped[512];
        clm_finetune_options options = recipe();
        options.epochs = 2;
        (void)snprintf(overlapped, sizeof overlapped, "%s", fresh_run());
        assert_ok(train(device, policies[p], overlapped, &options, NULL));
        options.wait_for_each_step = true;
        const char *run = fresh_run();
        assert_ok(train(device, policies[p], run, &options, NULL));
        assert_same_run(run, overlapped);
    }
}

/* Rounding features of size 1 to 11 bits moves a logit by about 2^-12 * sqrt(C), less than 1e-3,
 * and 6 steps at this rate do not multiply that: losses differ by less than 5e-3, but do. */
static void in_16_bits_losses_are_close(clm_device *device) {
    clm_finetune_options options = recipe();
    options.epochs = 1;
    options.learning_rate = 1e-3;
    char exact[512];
    char whole[512];
    (void)snprintf(exact, sizeof exact, "%s", fresh_run());
    (void)snprintf(whole, sizeof whole, "%s", fresh_run());
    assert_ok(train(device, CLM_TRAIN_LAST_BLOCK, exact, &options, NULL));
    options.feature_storage = CLM_FEATURES_F16;
    assert_ok(train(device, CLM_TRAIN_LAST_BLOCK, whole, &options, NULL));
    clm_metrics want;
    clm_metrics got;
    read_metrics(&want, exact);
    read_metrics(&got, whole);
    assert_int_equal(got.step_count, want.step_count);
    double most = 0.0;
    for (size_t i = 0; i < want.step_count; i++) {
        const double difference = fabs(got.steps[i].loss - want.steps[i].loss);
        assert_true(difference <= 5e-3);
        most = fmax(most, difference);
    }
    assert_true(most > 0.0);
    clm_metrics_free(&want);
    clm_metrics_free(&got);
    /* Whether a text's features are kept or computed again, they are rounded. */
    static const clm_feature_place places[] = {CLM_FEATURES_DEVICE, CLM_FEATURES_HOST,
                                               CLM_FEATURES_DISK};
    for (size_t i = 0; i < 2 * sizeof places / sizeof *places; i++) {
        const char *run = fresh_run();
        options.features = places[i / 2];
        options.feature_budget_bytes = i % 2 == 0 ? 0 : 9 * bytes_of_text / 2;
        assert_ok(train(device, CLM_TRAIN_LAST_BLOCK, run, &options, NULL));
        assert_same_run(run, whole);
    }
    /* It is another run: no silent change of storage in its midst. */
    options.feature_storage = CLM_FEATURES_F32;
    run_use = CLM_RUN_RESUME;
    assert_status(CLM_ERROR_ARGUMENT, train(device, CLM_TRAIN_LAST_BLOCK, whole, &options, NULL));
}

/* Six rows, of which the fourth and sixth repeat the first and second. */
static clm_dataset *make_repeating_set(void) {
    static const int32_t texts[6][3] = {{1, 2, 3}, {4, 5, 6}, {7, 8, 9},
                                        {1, 2, 3}, {4, 5, 0}, {4, 5, 6}};
    static const int32_t labels[6] = {0, 1, 0, 1, 0, 1};
    const int32_t *ids[6];
    size_t lengths[6];
    for (size_t i = 0; i < 6; i++) {
        ids[i] = texts[i];
        lengths[i] = 3;
    }
    clm_dataset_options options = CLM_DATASET_OPTIONS_DEFAULT;
    options.pad_token = 36;
    clm_dataset *set = NULL;
    assert_ok(clm_dataset_create_from_ids(&set, ids, lengths, labels, 6, &options));
    return set;
}

static void assert_features(clm_model *model, clm_features *features, const clm_dataset *set,
                            const int32_t *rows, size_t count) {
    enum { most = batch * 3 * C };
    float got[most];
    float want[most];
    int32_t tokens[batch * 3];
    const size_t size_bytes = count * 3 * C * sizeof(float);
    assert_ok(clm_features_take(features, set, rows, count));
    assert_ok(clm_buffer_read(clm_model_features(model), 0, got, size_bytes));
    assert_ok(clm_dataset_gather(set, rows, count, tokens, NULL));
    assert_ok(clm_model_compute_features(model, tokens, NULL, (int)count, 3));
    assert_ok(clm_buffer_read(clm_model_features(model), 0, want, size_bytes));
    assert_memory_equal(got, want, size_bytes);
}

static void a_text_is_computed_once(clm_device *device) {
    clm_dataset *set = make_repeating_set();
    clm_model *model = NULL;
    clm_features *features = NULL;
    const clm_model_options options = {.train = CLM_TRAIN_LAST_BLOCK, .n_labels = 2};
    assert_ok(clm_model_open(&model, device, clm_test_source("golden/tiny"), &options));
    const clm_dataset *const all[] = {set};
    assert_ok(clm_features_make(
        &features, model, all, 1,
        &(clm_features_plan){
            .place = CLM_FEATURES_HOST, .folder = clm_test_folder(), .batch = batch}));
    assert_non_null(features);
    assert_features(model, features, set, (const int32_t[]){4, 1, 5}, 3);
    assert_int_equal(clm_features_computed(features), batch); /* all four different texts */
    assert_features(model, features, set, (const int32_t[]){0, 1, 2, 3}, 4);
    assert_features(model, features, set, (const int32_t[]){3, 5}, 2);
    assert_int_equal(clm_features_computed(features), batch);
    /* Neither a set that is not known nor a batch that is too large. */
    clm_dataset *other = make_repeating_set();
    const int32_t rows[batch + 1] = {0};
    assert_status(CLM_ERROR_ARGUMENT, clm_features_take(features, other, rows, 1));
    assert_status(CLM_ERROR_ARGUMENT, clm_features_take(features, set, rows, batch + 1));
    clm_features_free(features);
    clm_model_close(model);
    clm_dataset_free(set);
    clm_dataset_free(other);
}

/* A folder that is not there is no reason to fail, where another place does. */
static void a_place_that_fails_is_passed_over(clm_device *device) {
    clm_dataset *set = make_repeating_set();
    clm_model *model = NULL;
    clm_features *features = NULL;
    const clm_model_options options = {.train = CLM_TRAIN_LAST_BLOCK, .n_labels = 2};
    assert_ok(clm_model_open(&model, device, clm_test_source("golden/tiny"), &options));
    const clm_dataset *const all[] = {set};
    clm_features_plan plan = {
        .place = CLM_FEATURES_DISK, .folder = "/no/such/folder", .batch = batch};
    assert_ok(clm_features_make(&features, model, all, 1, &plan));
    assert_null(features); /* no room there is no features */
    plan.place = CLM_FEATURES_AUTO;
    plan.training_bytes = UINT64_MAX / 2; /* a full device */
    assert_ok(clm_features_make(&features, model, all, 1, &plan));
    assert_non_null(features);
    clm_features_free(features);
    clm_model_close(model);
    clm_dataset_free(set);
}

CLM_ON_EACH_DEVICE(the_tiny_model_has_20_channels)
CLM_ON_EACH_DEVICE(wherever_they_are_kept_a_run_has_the_same_bits)
CLM_ON_EACH_DEVICE(waiting_for_each_step_changes_nothing)
CLM_ON_EACH_DEVICE(in_16_bits_losses_are_close)
CLM_ON_EACH_DEVICE(a_text_is_computed_once)
CLM_ON_EACH_DEVICE(a_place_that_fails_is_passed_over)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_tiny_model_has_20_channels_test),
        cmocka_unit_test(wherever_they_are_kept_a_run_has_the_same_bits_test),
        cmocka_unit_test(waiting_for_each_step_changes_nothing_test),
        cmocka_unit_test(in_16_bits_losses_are_close_test),
        cmocka_unit_test(a_text_is_computed_once_test),
        cmocka_unit_test(a_place_that_fails_is_passed_over_test),
    };
    return cmocka_run_group_tests(tests, NULL, clm_test_close_devices);
}
