/* Runs that take less of the device: steps of several passes, activations computed again or kept in
 * 16 bits, and buffers cut to what the device allocates in one piece.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "recipe.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "device/internal.h"
#include "model/opened.h"

/* Rows of its token embedding take 64 bytes, 125 KiB all together; nothing else of it has 16 KiB.
 */
static const char *const source =
    "random:n_layer=3,n_embd=16,n_head=2,n_ctx=16,n_vocab=2000,seed=5";
enum { V = 2000, T = 7 };

/* Tokens from all over the vocabulary; the label is whether the first is odd. */
static clm_dataset *make_set(size_t count, uint32_t seed) {
    enum { most = 40 };
    static int32_t tokens[most][T];
    const int32_t *rows[most];
    size_t lengths[most];
    int32_t labels[most];
    assert_true(count <= most);
    for (size_t i = 0; i < count; i++) {
        for (size_t t = 0; t < T; t++) {
            seed = seed * 1664525U + 1013904223U;
            tokens[i][t] = (int32_t)((seed >> 8) % V);
        }
        rows[i] = tokens[i];
        lengths[i] = T;
        labels[i] = tokens[i][0] % 2;
    }
    clm_dataset *set = NULL;
    clm_dataset_options options = CLM_DATASET_OPTIONS_DEFAULT;
    options.pad_token = 0;
    assert_ok(clm_dataset_create_from_ids(&set, rows, lengths, labels, count, &options));
    return set;
}

/* How models lie on the device. */
static clm_precision precision = CLM_PRECISION_F32;

/* 34 training texts: four steps of 8 an epoch, two are left out; the others end in part of a step,
 * and in part of a pass. */
static clm_status run_limited(clm_device *device, clm_train_policy policy, bool recompute,
                              const char *run, const clm_finetune_options *options) {
    sets s = {make_set(34, 1), make_set(13, 2), make_set(11, 3)};
    clm_model *model = NULL;
    const clm_model_options model_options = {.train = policy,
                                             .n_labels = 2,
                                             .head_seed = 7,
                                             .recompute = recompute,
                                             .precision = precision};
    assert_ok(clm_model_open(&model, device, source, &model_options));
    clm_run *opened = NULL;
    clm_status status = clm_run_open(&opened, run, run_use);
    if (status == CLM_OK) {
        status = clm_finetune_classifier(model, NULL, s.train, s.validation, s.test, opened,
                                         options, NULL);
    }
    clm_run_close(opened);
    clm_model_close(model);
    free_sets(&s);
    return status;
}

static clm_finetune_options settings(int batch, int accumulate) {
    clm_finetune_options options = recipe();
    options.epochs = 2;
    options.learning_rate = 1e-3;
    options.batch = batch;
    options.accumulate = accumulate;
    return options;
}

/* Sums of a step's gradients are taken in another order, which is some roundings of 6e-8 of losses
 * near 1; eight steps of 1e-3 do not multiply them by more than a hundred, not even where AdamW
 * turns a gradient near zero round. Other texts in a step are off by 1e-2 and more. */
static void assert_same_losses(const char *run, const char *other, bool same) {
    static const double tolerance = 1e-4;
    clm_metrics got;
    clm_metrics want;
    double most = 0.0;
    read_metrics(&got, run);
    read_metrics(&want, other);
    if (same) {
        assert_int_equal(want.step_count, 8);
        assert_int_equal(got.step_count, want.step_count);
        assert_int_equal(got.eval_count, want.eval_count);
        assert_true(want.eval_count > 0);
        for (size_t i = 0; i < want.eval_count; i++) {
            assert_close(got.evals[i].train_loss, want.evals[i].train_loss, tolerance, 0.0);
            assert_close(got.evals[i].val_loss, want.evals[i].val_loss, tolerance, 0.0);
            assert_close(got.evals[i].examples, want.evals[i].examples, 0.0, 0.0);
        }
        assert_close(got.batch, want.batch, 0.0, 0.0);
        assert_close(got.steps[0].loss, want.steps[0].loss, 1e-6, 0.0);
    }
    for (size_t i = 0; i < want.step_count && i < got.step_count; i++) {
        most = fmax(most, fabs(got.steps[i].loss - want.steps[i].loss));
    }
    assert_true(same ? most <= tolerance : most > 10.0 * tolerance);
    clm_metrics_free(&got);
    clm_metrics_free(&want);
}

static void passes_make_the_step_of_a_larger_batch(clm_device *device) {
    static const struct {
        clm_train_policy policy;
        int batch;
    } cases[] = {{CLM_TRAIN_LAST_BLOCK, 1}, {CLM_TRAIN_ALL, 4}};
    for (size_t i = 0; i < 2; i++) {
        char whole[512];
        const char *run = NULL;
        clm_finetune_options options = settings(8, 1);
        (void)snprintf(whole, sizeof whole, "%s", fresh_run());
        assert_ok(run_limited(device, cases[i].policy, false, whole, &options));
        run = fresh_run();
        options = settings(cases[i].batch, 8 / cases[i].batch);
        assert_ok(run_limited(device, cases[i].policy, false, run, &options));
        assert_same_losses(run, whole, true);
        /* Without them it is another run. */
        run = fresh_run();
        options = settings(4, 1);
        options.max_steps = 3;
        assert_ok(run_limited(device, cases[i].policy, false, run, &options));
        assert_same_losses(run, whole, false);
    }
}

static bool stop_at_tenth(void *context) {
    return ++*(int *)context == 10;
}

static void a_stopped_run_of_passes_goes_on(clm_device *device) {
    char whole[512];
    int asked = 1000;
    clm_finetune_options options = settings(4, 2);
    options.should_stop = stop_at_tenth;
    options.context = &asked;
    (void)snprintf(whole, sizeof whole, "%s", fresh_run());
    assert_ok(run_limited(device, CLM_TRAIN_ALL, false, whole, &options));
    asked = 0;
    const char *run = fresh_run();
    assert_status(CLM_ERROR_INTERRUPTED, run_limited(device, CLM_TRAIN_ALL, false, run, &options));
    run_use = CLM_RUN_RESUME;
    options.accumulate = 1;
    assert_status(CLM_ERROR_ARGUMENT, run_limited(device, CLM_TRAIN_ALL, false, run, &options));
    assert_message_has("batch 4 x 2");
    /* Recomputing may begin in the midst of a run: it changes no bit. */
    options.accumulate = 2;
    assert_ok(run_limited(device, CLM_TRAIN_ALL, true, run, &options));
    assert_same_run(run, whole);
    run_use = CLM_RUN_NEW;
    options.accumulate = 0;
    assert_status(CLM_ERROR_ARGUMENT,
                  run_limited(device, CLM_TRAIN_ALL, false, fresh_run(), &options));
    options.accumulate = INT32_MAX;
    assert_status(CLM_ERROR_ARGUMENT,
                  run_limited(device, CLM_TRAIN_ALL, false, fresh_run(), &options));
}

/* The same device, which allocates no more than `mib` in one piece. */
static clm_device *open_limited(const clm_device *device, const char *mib) {
    assert_int_equal(setenv("CLM_MAX_ALLOC_MIB", mib, 1), 0);
    clm_device *limited = clm_test_open_again(device);
    assert_int_equal(unsetenv("CLM_MAX_ALLOC_MIB"), 0);
    return limited;
}

static void buffers_in_parts_give_the_same_bits(clm_device *device) {
    static const clm_train_policy policies[] = {CLM_TRAIN_LAST_BLOCK, CLM_TRAIN_ALL};
    clm_device *limited = open_limited(device, "0.02"); /* 20,971 bytes: seven parts */
    for (size_t p = 0; p < 2; p++) {
        char whole[512];
        clm_finetune_options options = settings(4, 2);
        options.epochs = 1;
        (void)snprintf(whole, sizeof whole, "%s", fresh_run());
        assert_ok(run_limited(device, policies[p], false, whole, &options));
        const char *run = fresh_run();
        assert_ok(run_limited(limited, policies[p], false, run, &options));
        assert_same_run(run, whole);
    }
    /* A batch whose activations are larger than that can only be cut into passes. */
    const clm_finetune_options large = settings(16, 1);
    assert_status(CLM_ERROR_DEVICE_MEMORY,
                  run_limited(limited, CLM_TRAIN_ALL, false, fresh_run(), &large));
    assert_message_has("--batch 8 --accumulate 2");
    clm_finetune_options small = settings(8, 2);
    small.max_steps = 1;
    assert_ok(run_limited(limited, CLM_TRAIN_ALL, false, fresh_run(), &small));
    clm_device_close(limited);
}

/* A weight of a block is no larger than the device allocates, or there is nothing to be done. */
static void what_cannot_be_cut_is_told(clm_device *device) {
    clm_device *limited = open_limited(device, "0.003"); /* less than a matrix of 16 x 64 */
    clm_model *model = NULL;
    const clm_model_options options = {.train = CLM_TRAIN_ALL, .n_labels = 2};
    assert_status(CLM_ERROR_DEVICE_MEMORY, clm_model_open(&model, limited, source, &options));
    assert_message_has("in one piece");
    assert_null(model);
    clm_device_close(limited);
}

/* Rounding what is frozen or kept moves a gradient by some units of 2^-11 or 2^-8 of itself, and
 * eight steps of 1e-3 by as much of the way they go, on which losses near 0.7 change by some
 * hundredths: they stay within 2e-4 or 1e-3, and differ. */
static void precisions_train_alike(clm_device *device) {
    static const clm_train_policy policies[] = {CLM_TRAIN_LAST_BLOCK, CLM_TRAIN_ALL};
    for (size_t p = 0; p < 2; p++) {
        char whole[512];
        clm_finetune_options options = settings(8, 1);
        (void)snprintf(whole, sizeof whole, "%s", fresh_run());
        precision = CLM_PRECISION_AUTO; /* there is room */
        assert_ok(run_limited(device, policies[p], false, whole, &options));
        const char *same = fresh_run();
        precision = CLM_PRECISION_F32;
        assert_ok(run_limited(device, policies[p], false, same, &options));
        assert_same_file(whole, same, "model.safetensors");
        /* Only where lower blocks are trained is anything kept, or computed again. */
        for (int run = 0; run < (policies[p] == CLM_TRAIN_ALL ? 4 : 2); run++) {
            clm_metrics want;
            clm_metrics got;
            double most = 0.0;
            const char *folder = fresh_run();
            precision = run % 2 == 0 ? CLM_PRECISION_F16 : CLM_PRECISION_BF16;
            assert_ok(run_limited(device, policies[p], run / 2 == 1, folder, &options));
            read_metrics(&want, whole);
            read_metrics(&got, folder);
            assert_int_equal(got.step_count, want.step_count);
            for (size_t i = 0; i < want.step_count; i++) {
                most = fmax(most, fabs(got.steps[i].loss - want.steps[i].loss));
            }
            assert_true(most > 0.0 && most <= (run % 2 == 0 ? 2e-4 : 1e-3));
            clm_metrics_free(&want);
            clm_metrics_free(&got);
            /* No silent change in the midst of a run. */
            run_use = CLM_RUN_RESUME;
            precision = CLM_PRECISION_F32;
            assert_status(CLM_ERROR_ARGUMENT,
                          run_limited(device, policies[p], false, folder, &options));
            run_use = CLM_RUN_NEW;
        }
    }
}

/* Frozen blocks in half arithmetic, emulated, give other bits than in floats, and losses that are
 * off by no more than the sums of 16 halves are: some units of 2^-11. */
static void halves_train_alike(clm_device *device) {
    char in_floats[512];
    clm_metrics want;
    clm_metrics got;
    double most = 0.0;
    const clm_finetune_options options = settings(8, 1);
    precision = CLM_PRECISION_F16;
    (void)snprintf(in_floats, sizeof in_floats, "%s", fresh_run());
    assert_ok(run_limited(device, CLM_TRAIN_LAST_BLOCK, false, in_floats, &options));
    assert_int_equal(setenv("CLM_HALF_ARITHMETIC", "emulated", 1), 0);
    clm_device *alone = clm_test_open_again(device);
    const char *in_halves = fresh_run();
    assert_ok(run_limited(alone, CLM_TRAIN_LAST_BLOCK, false, in_halves, &options));
    clm_device_close(alone);
    assert_int_equal(unsetenv("CLM_HALF_ARITHMETIC"), 0);
    precision = CLM_PRECISION_F32;
    read_metrics(&want, in_floats);
    read_metrics(&got, in_halves);
    assert_int_equal(got.step_count, want.step_count);
    for (size_t i = 0; i < want.step_count; i++) {
        most = fmax(most, fabs(got.steps[i].loss - want.steps[i].loss));
    }
    assert_true(most > 0.0 && most <= 1e-3);
    clm_metrics_free(&want);
    clm_metrics_free(&got);
}

/* As much of 16 bits as the device's memory asks for, and no more. */
static void auto_precision_takes_what_fits(clm_device *device) {
    enum { B = 8 };
    const uint64_t memory_bytes = device->info.memory_size_bytes;
    clm_memory_estimate floats;
    clm_memory_estimate halves;
    clm_model *model = NULL;
    clm_model_options options = {.train = CLM_TRAIN_ALL, .n_labels = 2};
    assert_ok(clm_model_open(&model, device, source, &options));
    clm_memory_plan plan = {.train = CLM_TRAIN_ALL, .B = B, .T = T};
    assert_ok(clm_model_estimate_memory(device, &model->config, &plan, &floats));
    plan.kept_storage = CLM_F16;
    assert_ok(clm_model_estimate_memory(device, &model->config, &plan, &halves));
    assert_true(halves.total_bytes < floats.total_bytes);
    const struct {
        uint64_t memory_bytes;
        clm_dtype kept;
    } cases[] = {{floats.total_bytes, CLM_F32},
                 {halves.total_bytes - 1, CLM_F32}, /* neither fits: the report will say so */
                 {floats.total_bytes - 1, CLM_F16}};
    for (size_t i = 0; i < 3; i++) {
        device->info.memory_size_bytes = cases[i].memory_bytes;
        assert_ok(clm_model_settle_precision(model, B, T));
        assert_int_equal(model->kept_storage, cases[i].kept);
    }
    clm_model_close(model);
    /* A model alone. */
    plan = (clm_memory_plan){.B = 1, .T = 1};
    options.train = CLM_TRAIN_NOTHING;
    device->info.memory_size_bytes = memory_bytes;
    assert_ok(clm_model_open(&model, device, source, &options));
    assert_int_equal(model->frozen_storage, CLM_F32);
    assert_ok(clm_model_estimate_memory(device, &model->config, &plan, &floats));
    clm_model_close(model);
    device->info.memory_size_bytes = floats.total_bytes - 1;
    assert_ok(clm_model_open(&model, device, source, &options));
    assert_int_equal(model->frozen_storage, CLM_F16);
    clm_model_close(model);
    options.precision = CLM_PRECISION_F32;
    assert_status(CLM_ERROR_DEVICE_MEMORY, clm_model_open(&model, device, source, &options));
    assert_message_has("--precision f16");
    device->info.memory_size_bytes = memory_bytes;
}

CLM_ON_EACH_DEVICE(precisions_train_alike)
CLM_ON_EACH_DEVICE(halves_train_alike)
CLM_ON_EACH_DEVICE(auto_precision_takes_what_fits)
CLM_ON_EACH_DEVICE(passes_make_the_step_of_a_larger_batch)
CLM_ON_EACH_DEVICE(a_stopped_run_of_passes_goes_on)
CLM_ON_EACH_DEVICE(buffers_in_parts_give_the_same_bits)
CLM_ON_EACH_DEVICE(what_cannot_be_cut_is_told)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passes_make_the_step_of_a_larger_batch_test),
        cmocka_unit_test(a_stopped_run_of_passes_goes_on_test),
        cmocka_unit_test(precisions_train_alike_test),
        cmocka_unit_test(halves_train_alike_test),
        cmocka_unit_test(auto_precision_takes_what_fits_test),
        cmocka_unit_test(buffers_in_parts_give_the_same_bits_test),
        cmocka_unit_test(what_cannot_be_cut_is_told_test),
    };
    return cmocka_run_group_tests(tests, NULL, clm_test_close_devices);
}
