/* Whole runs: the recipe against PyTorch (tests/golden/make_recipe.py), and runs that are stopped.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "recipe.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "support/test_golden.h"

static void check_values(const char *name, clm_train_policy policy, const float *got,
                         size_t got_count, double tolerance) {
    char key[40];
    size_t count = 0;
    (void)snprintf(key, sizeof key, "%s.%s", name, clm_train_policy_name(policy));
    float *want = clm_test_golden_tensor(clm_test_golden("recipe.safetensors"), key, &count);
    assert_int_equal(got_count, count);
    assert_all_close(got, want, count, tolerance, tolerance, key);
    free(want);
}

/* The losses of 18 steps at a large learning rate: roundings of 1e-6 grow with each step. Another
 * order of batches, or another head, is off by 0.1 and more. Accuracies are exact. */
static void a_run_is_pytorchs(clm_device *device) {
    const clm_train_policy policies[] = {CLM_TRAIN_LAST_BLOCK, CLM_TRAIN_ALL};
    for (size_t p = 0; p < 2; p++) {
        const char *run = fresh_run();
        const clm_finetune_options options = recipe();
        clm_finetune_result result;
        clm_metrics metrics;
        float values[64];
        assert_ok(train(device, policies[p], run, &options, &result));
        read_metrics(&metrics, run);
        for (size_t i = 0; i < metrics.step_count; i++) {
            values[i] = (float)metrics.steps[i].loss;
        }
        check_values("losses", policies[p], values, metrics.step_count, 2e-3);
        for (size_t i = 0; i < metrics.eval_count; i++) {
            values[2 * i] = (float)metrics.evals[i].train_loss;
            values[2 * i + 1] = (float)metrics.evals[i].val_loss;
        }
        check_values("evals", policies[p], values, 2 * metrics.eval_count, 2e-3);
        for (size_t i = 0; i < metrics.epoch_count; i++) {
            values[2 * i] = (float)metrics.epochs[i].train_acc;
            values[2 * i + 1] = (float)metrics.epochs[i].val_acc;
        }
        check_values("epochs", policies[p], values, 2 * metrics.epoch_count, 1e-6);
        values[0] = (float)result.train_accuracy;
        values[1] = (float)result.val_accuracy;
        values[2] = (float)result.test_accuracy;
        check_values("final", policies[p], values, 3, 1e-6);
        assert_int_equal(result.steps, 18);
        clm_metrics_free(&metrics);
    }
}

/* ---- runs that are stopped ---- */

typedef struct stopper {
    int asked;
    int at; /* says stop the at-th time it is asked; 0 for never */
} stopper;

static bool stop_at(void *context) {
    stopper *s = context;
    return ++s->asked == s->at;
}

/* Stops a run at moments from its first to its last kernel, in the midst of steps and evaluations,
 * and goes on until it is done: the weights and the metrics are, bit for bit, those of a run that
 * was left alone. */
static void a_stopped_run_ends_in_the_same_bits(clm_device *device) {
    char whole[512];
    clm_finetune_options options = recipe();
    options.epochs = 2;
    options.max_steps = 9;
    stopper s = {0};
    options.should_stop = stop_at;
    options.context = &s;
    (void)snprintf(whole, sizeof whole, "%s", fresh_run());
    assert_ok(train(device, CLM_TRAIN_LAST_BLOCK, whole, &options, NULL));
    char *expected = metrics_without_seconds(whole);
    const int moments = s.asked;
    assert_true(moments > 500);
    for (int at = 1; at <= moments; at += moments / 31) {
        const char *run = fresh_run();
        s = (stopper){.at = at};
        run_use = CLM_RUN_NEW;
        assert_status(CLM_ERROR_INTERRUPTED,
                      train(device, CLM_TRAIN_LAST_BLOCK, run, &options, NULL));
        assert_message_has("--resume");
        s = (stopper){0};
        run_use = CLM_RUN_RESUME;
        clm_finetune_result result;
        assert_ok(train(device, CLM_TRAIN_LAST_BLOCK, run, &options, &result));
        assert_int_equal(result.steps, 9);
        assert_same_file(whole, run, "model.safetensors");
        char *got = metrics_without_seconds(run);
        assert_string_equal(got, expected);
        clm_free(got);
    }
    clm_free(expected);
}

static void stopping_again_and_again_changes_nothing(clm_device *device) {
    char whole[512];
    char run[512];
    clm_finetune_options options = recipe();
    options.epochs = 1;
    stopper s = {0};
    options.should_stop = stop_at;
    options.context = &s;
    (void)snprintf(whole, sizeof whole, "%s", fresh_run());
    (void)snprintf(run, sizeof run, "%s", fresh_run());
    assert_ok(train(device, CLM_TRAIN_ALL, whole, &options, NULL));
    const int moments = s.asked;
    clm_status status = CLM_ERROR_INTERRUPTED;
    int sessions = 0;
    for (; status == CLM_ERROR_INTERRUPTED && sessions < 100; sessions++) {
        s = (stopper){.at = moments / 4}; /* a whole evaluation fits in between */
        run_use = sessions > 0 ? CLM_RUN_RESUME : CLM_RUN_NEW;
        status = train(device, CLM_TRAIN_ALL, run, &options, NULL);
    }
    assert_status(CLM_OK, status);
    assert_true(sessions > 2);
    assert_same_file(whole, run, "model.safetensors");
}

static void a_folder_with_a_run_is_left_alone(clm_device *device) {
    char run[512];
    clm_finetune_options options = recipe();
    options.epochs = 1;
    options.final_accuracies = false;
    (void)snprintf(run, sizeof run, "%s", fresh_run());
    assert_ok(train(device, CLM_TRAIN_HEAD, run, &options, NULL));
    char *before = metrics_without_seconds(run);
    assert_status(CLM_ERROR_EXISTS, train(device, CLM_TRAIN_HEAD, run, &options, NULL));
    assert_message_has("holds a run already");
    /* Another learning rate is another run; more epochs of the same are not. */
    run_use = CLM_RUN_RESUME;
    options.learning_rate = 2e-2;
    assert_status(CLM_ERROR_ARGUMENT, train(device, CLM_TRAIN_HEAD, run, &options, NULL));
    assert_message_has("lr 0.01");
    char *after = metrics_without_seconds(run);
    assert_string_equal(after, before);
    clm_free(before);
    clm_free(after);
    options.learning_rate = 1e-2;
    options.epochs = 3;
    clm_finetune_result result;
    assert_ok(train(device, CLM_TRAIN_HEAD, run, &options, &result));
    assert_int_equal(result.steps, 18);
    run_use = CLM_RUN_NEW;
    const char *straight = fresh_run();
    assert_ok(train(device, CLM_TRAIN_HEAD, straight, &options, NULL));
    assert_same_file(straight, run, "model.safetensors");
}

static void a_damaged_checkpoint_is_refused(clm_device *device) {
    char run[512];
    clm_finetune_options options = recipe();
    options.epochs = 1;
    (void)snprintf(run, sizeof run, "%s", fresh_run());
    assert_ok(train(device, CLM_TRAIN_HEAD, run, &options, NULL));
    char *path = path_in(run, "checkpoint.safetensors");
    char *text = NULL;
    size_t size_bytes = 0;
    assert_ok(clm_file_read(path, CLM_FILE_TEXT, &text, &size_bytes));
    assert_ok(clm_file_write(path, text, size_bytes - 3));
    run_use = CLM_RUN_RESUME;
    assert_status(CLM_ERROR_FORMAT, train(device, CLM_TRAIN_HEAD, run, &options, NULL));
    assert_message_has("checkpoint.safetensors");
    /* The checkpoint of another policy lacks what this one trains. */
    assert_ok(clm_file_write(path, text, size_bytes));
    assert_status(CLM_ERROR_ARGUMENT, train(device, CLM_TRAIN_ALL, run, &options, NULL));
    clm_free(text);
    clm_free(path);
}

static void a_loss_that_is_no_number_stops_the_run(clm_device *device) {
    char run[512];
    clm_finetune_options options = recipe();
    options.learning_rate = 1e30;
    (void)snprintf(run, sizeof run, "%s", fresh_run());
    assert_status(CLM_ERROR_NOT_FINITE, train(device, CLM_TRAIN_ALL, run, &options, NULL));
    assert_message_has("the losses after step 0 (batch 1 of epoch 1)");
    char *path = path_in(run, "model.safetensors");
    assert_false(clm_file_exists(path));
    clm_free(path);
}

static void too_large_a_batch_is_told_what_fits(clm_device *device) {
    clm_finetune_options options = recipe();
    options.batch = 500 * 1000 * 1000;
    assert_status(CLM_ERROR_DEVICE_MEMORY,
                  train(device, CLM_TRAIN_ALL, fresh_run(), &options, NULL));
    assert_message_has("the largest batch that fits is");
    options.batch = 0;
    assert_status(CLM_ERROR_ARGUMENT, train(device, CLM_TRAIN_ALL, fresh_run(), &options, NULL));
    options.batch = 4;
    options.learning_rate = NAN;
    assert_status(CLM_ERROR_ARGUMENT, train(device, CLM_TRAIN_ALL, fresh_run(), &options, NULL));
}

CLM_ON_EACH_DEVICE(a_run_is_pytorchs)
CLM_ON_EACH_DEVICE(a_stopped_run_ends_in_the_same_bits)
CLM_ON_EACH_DEVICE(stopping_again_and_again_changes_nothing)
CLM_ON_EACH_DEVICE(a_folder_with_a_run_is_left_alone)
CLM_ON_EACH_DEVICE(a_damaged_checkpoint_is_refused)
CLM_ON_EACH_DEVICE(a_loss_that_is_no_number_stops_the_run)
CLM_ON_EACH_DEVICE(too_large_a_batch_is_told_what_fits)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_is_pytorchs_test),
        cmocka_unit_test(a_stopped_run_ends_in_the_same_bits_test),
        cmocka_unit_test(stopping_again_and_again_changes_nothing_test),
        cmocka_unit_test(a_folder_with_a_run_is_left_alone_test),
        cmocka_unit_test(a_damaged_checkpoint_is_refused_test),
        cmocka_unit_test(a_loss_that_is_no_number_stops_the_run_test),
        cmocka_unit_test(too_large_a_batch_is_told_what_fits_test),
    };
    return cmocka_run_group_tests(tests, NULL, clm_test_close_devices);
}
