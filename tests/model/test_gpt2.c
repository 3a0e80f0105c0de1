/* The model against PyTorch: logits, loss and every gradient of a tiny classifier with awkward
 * sizes. Made by tests/golden/make_tiny.py.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/test_devices.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/opened.h"
#include "support/test_golden.h"

enum { B = 3, T = 7, n_labels = 3 };

/* Sums of up to 84 terms of size 1, in another order than PyTorch's, three blocks deep: about a
 * hundred roundings of 6e-8. Values and gradients here are between 1e-3 and 10. */
static const double absolute = 2e-5;
static const double relative = 2e-5;

/* Freed by the caller. */
static void *tensor(const char *name, size_t *count) {
    return clm_test_golden_tensor(clm_test_golden("tiny/expected.safetensors"), name, count);
}

/* Whether the models below run the top block at all positions: the results are the same. */
static bool whole_top_block;
/* Whether they run trained blocks again in the backward pass: the same bits. */
static bool recompute;
/* How they lie on the device. */
static clm_precision precision = CLM_PRECISION_F32;

static clm_model *open_tiny(clm_device *device, clm_train_policy policy) {
    clm_model *model = NULL;
    const clm_model_options options = {.train = policy,
                                       .whole_top_block = whole_top_block,
                                       .recompute = recompute,
                                       .precision = precision};
    assert_ok(clm_model_open(&model, device, clm_test_source("golden/tiny"), &options));
    return model;
}

static void logits_are_pytorchs(clm_device *device) {
    size_t count = 0;
    int32_t *tokens = tensor("tokens", &count);
    float *logits = tensor("logits", &count);
    float got[B * n_labels];
    clm_model *model = open_tiny(device, CLM_TRAIN_NOTHING);
    assert_ok(clm_model_logits(model, tokens, NULL, B, T, got));
    assert_all_close(got, logits, count, absolute, relative, "logits");
    /* The same rows in a smaller batch, after a larger one; and again, bit for bit. */
    float alone[n_labels];
    float again[B * n_labels];
    assert_ok(clm_model_logits(model, tokens + T, NULL, 1, T, alone));
    assert_all_close(alone, logits + n_labels, n_labels, absolute, relative, "logits of one row");
    if (!clm_test_is_simulator(device)) {
        assert_ok(clm_model_logits(model, tokens, NULL, B, T, again));
        assert_memory_equal(again, got, sizeof got);
    }
    clm_model_close(model);
    free(tokens);
    free(logits);
}

static void compute_gradients(clm_model *model, const int32_t *tokens, const int32_t *labels,
                              float *losses) {
    clm_buffer *device_losses = NULL;
    assert_ok(clm_buffer_create(&device_losses, model->device, B * sizeof *losses, "losses"));
    assert_ok(clm_parameters_zero_gradients(model->parameters));
    assert_ok(clm_model_pass(model, &(clm_pass){.B = B,
                                                .T = T,
                                                .tokens = tokens,
                                                .targets = labels,
                                                .losses = device_losses,
                                                .scale = 1.0F / B}));
    assert_ok(clm_buffer_read(device_losses, 0, losses, B * sizeof *losses));
    clm_buffer_release(device_losses);
}

static void gradients_are_pytorchs(clm_device *device) {
    size_t count = 0;
    int32_t *tokens = tensor("tokens", &count);
    int32_t *labels = tensor("labels", &count);
    float *loss = tensor("loss", &count);
    for (int policy = CLM_TRAIN_HEAD; policy <= CLM_TRAIN_ALL; policy++) {
        /* All layers run what fewer do; a simulator takes minutes for what it learns nothing from.
         */
        if (clm_test_is_simulator(device) && policy != CLM_TRAIN_ALL) {
            continue;
        }
        clm_model *model = open_tiny(device, (clm_train_policy)policy);
        float losses[B];
        compute_gradients(model, tokens, labels, losses);
        assert_close((losses[0] + losses[1] + losses[2]) / B, *loss, absolute, relative);
        size_t trained = 0;
        for (size_t i = 0; i < model->parameters->table.count; i++) {
            const clm_stored_parameter *parameter = &model->parameters->stored[i];
            if (!parameter->trained) {
                assert_null(parameter->gradient);
                continue;
            }
            char name[128];
            (void)snprintf(name, sizeof name, "gradient.%s", parameter->about->name);
            float *want = tensor(name, &count);
            float *got = malloc(count * sizeof *got);
            assert_non_null(got);
            assert_int_equal(count, parameter->about->count);
            assert_ok(clm_buffer_read(parameter->gradient, 0, got, count * sizeof *got));
            assert_all_close(got, want, count, absolute, relative, name);
            /* The comparison sees one wrong element. */
            got[count / 2] += 1e-3F;
            assert_int_equal(clm_test_worst(got, want, count, absolute, relative), count / 2);
            free(got);
            free(want);
            trained++;
        }
        static const size_t expected_trained[] = {
            [CLM_TRAIN_HEAD] = 2,
            [CLM_TRAIN_LAST_BLOCK] = 16,
            [CLM_TRAIN_LAST_TWO_BLOCKS] = 28,
            [CLM_TRAIN_ALL] = 42,
        };
        assert_int_equal(trained, expected_trained[policy]);
        assert_int_equal(clm_model_parameter_count(model), model->parameters->table.total);
        assert_true(clm_model_trained_count(model) <= model->parameters->table.total);
        assert_int_equal(clm_model_trained_count(model) == model->parameters->table.total,
                         policy == CLM_TRAIN_ALL);
        clm_model_close(model);
    }
    free(tokens);
    free(labels);
    free(loss);
}

static void padding_after_the_last_token_does_not_matter(clm_device *device) {
    clm_model *model = open_tiny(device, CLM_TRAIN_NOTHING);
    assert_ok(clm_model_set_pooling(model, CLM_POOLING_LAST_TOKEN, 36, T));
    int32_t tokens[2][T] = {{1, 2, 3, 36, 36, 36, 36}, {1, 2, 3, 9, 8, 7, 6}};
    const int32_t lengths[2] = {3, 3};
    float logits[2][n_labels];
    assert_ok(clm_model_logits(model, tokens[0], lengths, 2, T, logits[0]));
    assert_memory_equal(logits[0], logits[1], sizeof logits[0]);
    const int32_t wrong[2] = {0, T + 1};
    assert_status(CLM_ERROR_SHAPE, clm_model_logits(model, tokens[0], wrong, 2, T, logits[0]));
    clm_model_close(model);
}

static void bad_batches_are_refused(clm_device *device) {
    clm_model *model = open_tiny(device, CLM_TRAIN_NOTHING);
    int32_t tokens[12] = {0};
    float logits[n_labels];
    assert_status(CLM_ERROR_SHAPE, clm_model_logits(model, tokens, NULL, 1, 12, logits));
    assert_message_has("context of 11");
    assert_status(CLM_ERROR_SHAPE, clm_model_logits(model, tokens, NULL, 0, 1, logits));
    tokens[3] = 37;
    assert_status(CLM_ERROR_ARGUMENT, clm_model_logits(model, tokens, NULL, 1, 5, logits));
    assert_message_has("token 37");
    tokens[3] = -1;
    assert_status(CLM_ERROR_ARGUMENT, clm_model_logits(model, tokens, NULL, 1, 5, logits));
    clm_model_close(model);
}

/* The device's own account of its memory is not above the estimate by more than its rounding, and
 * not far below. */
static void the_estimate_is_what_training_takes(clm_device *device) {
    if (clm_test_is_simulator(device)) {
        return; /* the host's bookkeeping is the same there, and the kernels have run */
    }
    size_t count = 0;
    int32_t *tokens = tensor("tokens", &count);
    int32_t *labels = tensor("labels", &count);
    float losses[B];
    const uint64_t before = clm_device_memory_bytes(device);
    clm_model *model = open_tiny(device, CLM_TRAIN_ALL);
    compute_gradients(model, tokens, labels, losses);
    const double used = (double)(clm_device_memory_bytes(device) - before);
    clm_memory_estimate estimate;
    const clm_memory_plan plan = {.train = CLM_TRAIN_ALL,
                                  .kept_storage = model->kept_storage,
                                  .whole_top_block = whole_top_block,
                                  .recompute = recompute,
                                  .B = B,
                                  .T = T};
    assert_ok(clm_model_estimate_memory(device, &model->config, &plan, &estimate));
    const double said = (double)(estimate.total_bytes - estimate.moments_bytes);
    /* The pool rounds each of some 140 buffers up, by 64 bytes or an eighth; in the arenas of
     * values and gradients there is a gap behind each tensor, shorter than a part's alignment. */
    const double gaps = 2.0 * (double)model->parameters->table.count *
                        (double)clm_device_part_alignment_bytes(device);
    assert_true(used >= said && used <= 1.125 * said + 140 * 64 + gaps);
    clm_model_close(model);
    assert_int_equal(clm_device_memory_bytes(device), before);
    free(tokens);
    free(labels);
}

/* Rounding moves each of a layer's products by at most a unit of the storage times the sum of their
 * sizes; those errors have signs at random, layer by layer, and logits here are of size 1 to 10, so
 * that they move by some units. Half a unit at least, or nothing was rounded. */
static void frozen_weights_may_have_16_bits(clm_device *device) {
    static const struct {
        clm_precision precision;
        clm_dtype dtype;
        double unit;
    } storages[] = {{CLM_PRECISION_F16, CLM_F16, 0x1p-11}, {CLM_PRECISION_BF16, CLM_BF16, 0x1p-8}};
    size_t count = 0;
    int32_t *tokens = tensor("tokens", &count);
    float *expected = tensor("logits", &count);
    const uint64_t empty = clm_device_memory_bytes(device);
    clm_model *model = open_tiny(device, CLM_TRAIN_NOTHING);
    const double floats_used = (double)(clm_device_memory_bytes(device) - empty);
    clm_model_close(model);
    /* For a simulator one will do: ops/convert shows it both. */
    const size_t storage_count = clm_test_is_simulator(device) ? 1 : 2;
    for (size_t i = 0; i < storage_count; i++) {
        float got[B * n_labels];
        double moved = 0.0;
        const uint64_t before = clm_device_memory_bytes(device);
        clm_model_options options = {.precision = storages[i].precision};
        assert_ok(clm_model_open(&model, device, clm_test_source("golden/tiny"), &options));
        const double used = (double)(clm_device_memory_bytes(device) - before);
        clm_memory_estimate floats, halves;
        clm_memory_plan plan = {.B = B, .T = T};
        assert_ok(clm_model_estimate_memory(device, &model->config, &plan, &floats));
        plan.frozen_storage = storages[i].dtype;
        assert_ok(clm_model_estimate_memory(device, &model->config, &plan, &halves));
        uint64_t in_layers = 0;
        uint64_t packed_bytes = 0; /* with what pads them */
        for (size_t p = 0; p < model->parameters->table.count; p++) {
            const clm_stored_parameter *stored = &model->parameters->stored[p];
            const clm_parameter *about = stored->about;
            in_layers += strncmp(about->name, "h.", 2) == 0 && about->rank == 2 ? about->count : 0;
            for (int k = 0; k < stored->packing_count; k++) {
                packed_bytes += clm_gemm_packed_size_bytes(stored->packings[k].packed);
            }
        }
        assert_true(in_layers > 0 && packed_bytes >= 2 * in_layers);
        assert_int_equal(floats.parameters_bytes - halves.parameters_bytes, packed_bytes);
        assert_true(used + (double)in_layers < floats_used);
        assert_ok(clm_model_logits(model, tokens, NULL, B, T, got));
        for (size_t at = 0; at < count; at++) {
            const double change = fabs((double)got[at] - (double)expected[at]);
            assert_true(change <= 16.0 * storages[i].unit);
            moved = fmax(moved, change);
        }
        assert_true(moved >= 0.1 * storages[i].unit);
        clm_model_close(model);
    }
    free(tokens);
    free(expected);
}

static void a_new_head_replaces_the_old(clm_device *device) {
    clm_model *model = NULL;
    const char *const names[5] = {"a", "b", "c", "d", "e"};
    clm_model_options options = CLM_MODEL_OPTIONS_DEFAULT;
    options.n_labels = 5;
    options.labels = names;
    assert_ok(clm_model_open(&model, device, clm_test_source("golden/tiny"), &options));
    const clm_model_config *config = clm_model_get_config(model);
    assert_int_equal(config->n_labels, 5);
    assert_string_equal(config->labels[4], "e");
    float weight[5 * 20];
    assert_ok(clm_buffer_read(clm_parameters_find(model->parameters, "score.weight")->value, 0,
                              weight, sizeof weight));
    for (size_t i = 0; i < 100; i++) {
        assert_true(fabsf(weight[i]) <= 1.0F / sqrtf(20.0F));
    }
    clm_model_close(model);
    assert_status(CLM_ERROR_FORMAT,
                  clm_model_open(&model, device, "random:n_layer=1,n_embd=8,n_vocab=9", NULL));
    assert_message_has("no classification head");
    assert_null(model);
}

CLM_ON_EACH_DEVICE(logits_are_pytorchs)
CLM_ON_EACH_DEVICE(gradients_are_pytorchs)
CLM_ON_EACH_DEVICE(padding_after_the_last_token_does_not_matter)
CLM_ON_EACH_DEVICE(bad_batches_are_refused)
CLM_ON_EACH_DEVICE(the_estimate_is_what_training_takes)
CLM_ON_EACH_DEVICE(frozen_weights_may_have_16_bits)
CLM_ON_EACH_DEVICE(a_new_head_replaces_the_old)

/* The kernels are those of the other blocks, so a simulator, which takes minutes for the gradients,
 * has seen them; padding is the same question for it. */
static void with_a_whole_top_block_too(clm_device *device) {
    whole_top_block = true;
    logits_are_pytorchs(device);
    if (!clm_test_is_simulator(device)) {
        gradients_are_pytorchs(device);
        padding_after_the_last_token_does_not_matter(device);
    }
    whole_top_block = false;
}

CLM_ON_EACH_DEVICE(with_a_whole_top_block_too)

/* All gradients of one step, one after the other; freed by the caller. */
static float *all_gradients(clm_device *device, clm_train_policy policy, const int32_t *tokens,
                            const int32_t *labels, size_t *count, uint64_t *used_bytes) {
    const uint64_t before = clm_device_memory_bytes(device);
    clm_model *model = open_tiny(device, policy);
    float losses[B];
    float *gradients = malloc(model->parameters->table.total * sizeof *gradients);
    assert_non_null(gradients);
    compute_gradients(model, tokens, labels, losses);
    *used_bytes = clm_device_memory_bytes(device) - before;
    *count = 0;
    for (size_t i = 0; i < model->parameters->table.count; i++) {
        const clm_stored_parameter *parameter = &model->parameters->stored[i];
        if (parameter->trained) {
            assert_ok(clm_buffer_read(parameter->gradient, 0, gradients + *count,
                                      parameter->about->count * sizeof *gradients));
            *count += parameter->about->count;
        }
    }
    clm_model_close(model);
    return gradients;
}

static void recomputing_gives_the_same_bits_in_less_memory(clm_device *device) {
    int32_t *tokens = tensor("tokens", NULL);
    int32_t *labels = tensor("labels", NULL);
    for (int policy = CLM_TRAIN_HEAD; policy <= CLM_TRAIN_ALL; policy++) {
        if (clm_test_is_simulator(device) && policy != CLM_TRAIN_ALL) {
            continue; /* all layers run what fewer do */
        }
        for (int whole = 0; whole < (clm_test_is_simulator(device) ? 1 : 2); whole++) {
            size_t count = 0;
            uint64_t used = 0;
            uint64_t less = 0;
            whole_top_block = whole == 1;
            float *want =
                all_gradients(device, (clm_train_policy)policy, tokens, labels, &count, &used);
            recompute = true;
            float *got =
                all_gradients(device, (clm_train_policy)policy, tokens, labels, &count, &less);
            recompute = false;
            whole_top_block = false;
            assert_memory_equal(got, want, count * sizeof *got);
            /* The topmost block need not run again. */
            assert_true(policy > CLM_TRAIN_LAST_BLOCK ? less < used : less <= used);
            free(want);
            free(got);
        }
    }
    recompute = true;
    the_estimate_is_what_training_takes(device);
    recompute = false;
    free(tokens);
    free(labels);
}

CLM_ON_EACH_DEVICE(recomputing_gives_the_same_bits_in_less_memory)

static double length_of(const float *values, const float *origin, size_t count) {
    double squares = 0.0;
    for (size_t i = 0; i < count; i++) {
        const double value = (double)values[i] - (origin != NULL ? (double)origin[i] : 0.0);
        squares += value * value;
    }
    return sqrt(squares);
}

/* Each number that is kept is off by at most half a unit of itself, which a gradient that is a sum
 * of products of such numbers follows, layer by layer: some units in all, where a value that was
 * not made again would show as a good part of the whole. More than a hundredth of a unit, or
 * nothing was rounded. */
static void activations_may_be_kept_in_16_bits(clm_device *device) {
    if (clm_test_is_simulator(device)) {
        return; /* no kernel that it has not seen: the host decides what goes where */
    }
    int32_t *tokens = tensor("tokens", NULL);
    int32_t *labels = tensor("labels", NULL);
    for (int run = 0; run < 8; run++) {
        const bool f16 = run % 2 == 0;
        const double unit = f16 ? 0x1p-11 : 0x1p-8;
        size_t count = 0;
        uint64_t used = 0;
        uint64_t less = 0;
        recompute = run / 2 % 2 == 1;
        whole_top_block = run / 4 % 2 == 1;
        float *want = all_gradients(device, CLM_TRAIN_ALL, tokens, labels, &count, &used);
        precision = f16 ? CLM_PRECISION_F16 : CLM_PRECISION_BF16;
        float *got = all_gradients(device, CLM_TRAIN_ALL, tokens, labels, &count, &less);
        the_estimate_is_what_training_takes(device);
        precision = CLM_PRECISION_F32;
        recompute = false;
        whole_top_block = false;
        const double moved = length_of(got, want, count) / length_of(want, NULL, count);
        assert_true(moved > 0.01 * unit && moved < 4.0 * unit);
        assert_true(less < used);
        free(want);
        free(got);
    }
    free(tokens);
    free(labels);
}

CLM_ON_EACH_DEVICE(activations_may_be_kept_in_16_bits)

static void precisions_have_names(void **state) {
    (void)state;
    clm_precision parsed = CLM_PRECISION_AUTO;
    assert_ok(clm_precision_parse(&parsed, "bf16"));
    assert_int_equal(parsed, CLM_PRECISION_BF16);
    assert_ok(clm_precision_parse(&parsed, "auto"));
    assert_int_equal(parsed, CLM_PRECISION_AUTO);
    assert_status(CLM_ERROR_ARGUMENT, clm_precision_parse(&parsed, "fp16"));
    assert_message_has("bf16");
}

static void policies_have_names(void **state) {
    (void)state;
    clm_train_policy policy = CLM_TRAIN_NOTHING;
    for (int i = CLM_TRAIN_HEAD; i <= CLM_TRAIN_ALL; i++) {
        assert_ok(clm_train_policy_parse(&policy, clm_train_policy_name((clm_train_policy)i)));
        assert_int_equal(policy, i);
    }
    assert_status(CLM_ERROR_ARGUMENT, clm_train_policy_parse(&policy, "first-block"));
    assert_message_has("last-block");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policies_have_names),
        cmocka_unit_test(precisions_have_names),
        cmocka_unit_test(logits_are_pytorchs_test),
        cmocka_unit_test(gradients_are_pytorchs_test),
        cmocka_unit_test(padding_after_the_last_token_does_not_matter_test),
        cmocka_unit_test(bad_batches_are_refused_test),
        cmocka_unit_test(the_estimate_is_what_training_takes_test),
        cmocka_unit_test(frozen_weights_may_have_16_bits_test),
        cmocka_unit_test(a_new_head_replaces_the_old_test),
        cmocka_unit_test(recomputing_gives_the_same_bits_in_less_memory_test),
        cmocka_unit_test(activations_may_be_kept_in_16_bits_test),
        cmocka_unit_test(with_a_whole_top_block_too_test),
    };
    return cmocka_run_group_tests(tests, NULL, clm_test_close_devices);
}
