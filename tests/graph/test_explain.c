/* Explanations of plans, on every device present: that their sums are the plan's own, and that what
 * transformations did is said.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/explain.h"

#include <string.h>

#include "support/test_devices.h"

enum { B = 2, T = 8, LAYERS = 5 };

static const int step = CLM_PASS_LOSSES | CLM_PASS_GRADIENTS;

static clm_model_config small_config(void) {
    clm_model_config config = CLM_MODEL_CONFIG_DEFAULT;
    config.n_vocab = 50;
    config.n_ctx = 16;
    config.n_embd = 32;
    config.n_head = 2;
    config.n_layer = LAYERS;
    config.n_labels = 2;
    return config;
}

static clm_pass_explanation explain(clm_device *device, const clm_memory_plan *how, int kind) {
    const clm_model_config config = small_config();
    clm_pass_explanation explained;
    assert_ok(clm_pass_explain(&explained, device, &config, how, kind));
    return explained;
}

static size_t count_noted(const clm_explanation *x, unsigned notes) {
    size_t count = 0;
    for (size_t i = 0; i < x->operation_count; i++) {
        count += (x->operations[i].notes & notes) != 0;
    }
    return count;
}

static void check_sums(const clm_explanation *x) {
    uint64_t read_bytes = 0;
    uint64_t written_bytes = 0;
    uint64_t flops = 0;
    uint64_t live_bytes = 0;
    size_t in_sections = 0;
    for (size_t i = 0; i < x->operation_count; i++) {
        const clm_explained_operation *o = &x->operations[i];
        read_bytes += o->read_bytes;
        written_bytes += o->written_bytes;
        flops += o->flops;
        live_bytes = o->live_bytes > live_bytes ? o->live_bytes : live_bytes;
        assert_true(i >= x->sections[o->section].first);
        assert_true(i < x->sections[o->section].first + x->sections[o->section].count);
    }
    for (size_t i = 0; i < x->section_count; i++) {
        assert_int_equal(x->sections[i].first, in_sections);
        in_sections += x->sections[i].count;
    }
    assert_int_equal(in_sections, x->operation_count);
    assert_int_equal(read_bytes, x->read_bytes);
    assert_int_equal(written_bytes, x->written_bytes);
    assert_int_equal(flops, x->flops);
    assert_int_equal(live_bytes, x->peak_bytes);
}

/* The memory is that of the fit report, and what is in use at once fits into it. */
static void sums_are_the_plans(clm_device *device) {
    const clm_train_policy policies[] = {CLM_TRAIN_HEAD, CLM_TRAIN_LAST_BLOCK, CLM_TRAIN_ALL};
    const clm_model_config config = small_config();
    for (size_t i = 0; i < sizeof policies / sizeof *policies; i++) {
        const clm_memory_plan how = {.train = policies[i], .B = B, .T = T};
        clm_memory_estimate estimate;
        clm_pass_explanation explained = explain(device, &how, step);
        const clm_explanation *x = &explained.plan;
        check_sums(x);
        assert_ok(clm_model_estimate_memory(device, &config, &how, &estimate));
        assert_int_equal(explained.memory.values_bytes, estimate.parameters_bytes);
        assert_int_equal(explained.memory.gradients_bytes, estimate.gradients_bytes);
        assert_true(x->peak_bytes <= x->workspace_bytes);
        assert_true(2 * x->peak_bytes > x->workspace_bytes);
        assert_true(x->kept_bytes > 0 && x->kept_bytes < x->peak_bytes);
        assert_true(x->tensors[0].size_bytes <= x->largest_bytes);
        assert_int_equal(x->counts.fused, x->operation_count);
        clm_pass_explanation_free(&explained);
    }
}
CLM_ON_EACH_DEVICE(sums_are_the_plans)

/* Of a forward pass over all positions: products of 12 C^2 a block, and half a square of scores. */
static void computes_what_the_formula_says(clm_device *device) {
    const clm_memory_plan how = {.whole_top_block = true, .B = B, .T = T};
    clm_pass_explanation explained = explain(device, &how, 0);
    uint64_t products = 0;
    uint64_t attention = 0;
    for (size_t i = 0; i < explained.plan.operation_count; i++) {
        const clm_explained_operation *o = &explained.plan.operations[i];
        products += strcmp(o->operation, "linear") == 0 ? o->flops : 0;
        attention += strcmp(o->operation, "attention") == 0 ? o->flops : 0;
    }
    assert_int_equal(products, LAYERS * 2 * B * T * 12 * 32 * 32 + 2 * B * 32 * 2);
    assert_int_equal(attention, LAYERS * 4 * B * 32 * T * (T + 1) / 2);
    assert_int_equal(explained.plan.backward, explained.plan.operation_count);
    clm_pass_explanation_free(&explained);
}
CLM_ON_EACH_DEVICE(computes_what_the_formula_says)

static void tells_what_was_done(clm_device *device) {
    clm_memory_plan how = {.train = CLM_TRAIN_ALL, .B = B, .T = T};
    clm_pass_explanation explained = explain(device, &how, step);
    assert_int_equal(count_noted(&explained.plan, CLM_NOTE_GELU), LAYERS);
    assert_int_equal(count_noted(&explained.plan, CLM_NOTE_RESIDUAL), 2 * LAYERS);
    assert_true(count_noted(&explained.plan, CLM_NOTE_PICKED) > 4);
    assert_true(count_noted(&explained.plan, CLM_NOTE_IN_PLACE) > LAYERS);
    assert_true(count_noted(&explained.plan, CLM_NOTE_KEPT) > 4 * LAYERS);
    assert_int_equal(count_noted(&explained.plan, CLM_NOTE_KEPT_16 | CLM_NOTE_AGAIN), 0);
    assert_int_equal(explained.features.rank, 0);
    const uint64_t kept_bytes = explained.plan.kept_bytes;
    clm_pass_explanation_free(&explained);

    how.whole_top_block = true;
    how.recompute = true;
    explained = explain(device, &how, step);
    assert_int_equal(count_noted(&explained.plan, CLM_NOTE_PICKED), 0);
    assert_true(count_noted(&explained.plan, CLM_NOTE_AGAIN) >= 6 * (LAYERS - 1));
    assert_true(explained.plan.kept_bytes < kept_bytes);
    clm_pass_explanation_free(&explained);

    how.recompute = false;
    how.kept_storage = CLM_F16;
    explained = explain(device, &how, step);
    assert_true(count_noted(&explained.plan, CLM_NOTE_KEPT_16) >= 4 * (LAYERS - 1));
    clm_pass_explanation_free(&explained);
}
CLM_ON_EACH_DEVICE(tells_what_was_done)

/* Blocks in the middle are equal, forward and backward; the first and the last are not like them.
 */
static void finds_equal_blocks(clm_device *device) {
    const clm_memory_plan how = {.train = CLM_TRAIN_ALL, .recompute = true, .B = B, .T = T};
    clm_pass_explanation explained = explain(device, &how, step);
    const clm_explanation *x = &explained.plan;
    size_t alike[2] = {0, 0};
    for (size_t i = 0; i < x->section_count; i++) {
        const clm_explained_section *section = &x->sections[i];
        assert_true(section->like <= i);
        if (section->like != i) {
            assert_int_equal(x->sections[section->like].backward, section->backward);
            alike[section->backward]++;
        }
    }
    assert_true(alike[0] >= LAYERS - 3);
    assert_true(alike[1] >= LAYERS - 3);
    clm_pass_explanation_free(&explained);
}
CLM_ON_EACH_DEVICE(finds_equal_blocks)

/* The two parts that begin and end with features. */
static void parts_meet_at_the_features(clm_device *device) {
    const clm_memory_plan how = {.train = CLM_TRAIN_LAST_BLOCK, .B = B, .T = T};
    const int64_t shape[] = {B, T, 32};
    clm_pass_explanation frozen = explain(device, &how, CLM_PASS_FEATURES);
    clm_pass_explanation trained = explain(device, &how, step | CLM_PASS_FROM_FEATURES);
    check_sums(&frozen.plan);
    check_sums(&trained.plan);
    assert_true(clm_shape_is(&frozen.features, 3, shape));
    assert_int_equal(frozen.plan.backward, frozen.plan.operation_count);
    assert_true(trained.plan.backward < trained.plan.operation_count);
    clm_pass_explanation_free(&frozen);
    clm_pass_explanation_free(&trained);
}
CLM_ON_EACH_DEVICE(parts_meet_at_the_features)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_the_plans_test),
        cmocka_unit_test(computes_what_the_formula_says_test),
        cmocka_unit_test(tells_what_was_done_test),
        cmocka_unit_test(finds_equal_blocks_test),
        cmocka_unit_test(parts_meet_at_the_features_test),
    };
    return cmocka_run_group_tests(tests, NULL, clm_test_close_devices);
}
