/* Plans on every device present: GPT-2's against plain C in doubles, and against one another, where
 * memory is shared, saved, or cut in two.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "graph/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/cut.h"
#include "graph/reference.h"
#include "graph/transform.h"
#include "model/opened.h"
#include "model/tasks/classify.h"
#include "reference/gelu.h"
#include "support/test_devices.h"
#include "support/test_golden.h"

enum { B = 3, T = 7, LABELS = 3 };

/* ---- one model, executed in several ways ---- */

/* What is trained, and how a plan saves memory. */
typedef struct manner {
    clm_train_policy train;
    bool recompute;
    clm_dtype kept;
    bool apart, poison;
    bool in_two; /* the frozen part by a plan of its own */
} manner;

typedef struct passes {
    clm_device *device;
    clm_model *model;
    clm_graph *graph;
    int32_t *tokens, *labels;
    int32_t rows[B];
} passes;

static passes open_passes(clm_device *device, clm_train_policy train) {
    passes p = {.device = device};
    const clm_safetensors *expected = clm_test_golden("tiny/expected.safetensors");
    const clm_model_options options = {.train = train, .precision = CLM_PRECISION_F32};
    assert_ok(clm_model_open(&p.model, device, clm_test_source("golden/tiny"), &options));
    assert_ok(clm_graph_create(&p.graph));
    clm_classify_describe(p.graph, &p.model->config, B, T, true);
    assert_ok(clm_graph_status(p.graph));
    p.tokens = clm_test_golden_tensor(expected, "tokens", NULL);
    p.labels = clm_test_golden_tensor(expected, "labels", NULL);
    assert_ok(clm_classify_rows(&p.model->config, NULL, B, T, p.rows));
    return p;
}

static void close_passes(passes *p) {
    clm_model_close(p->model);
    clm_graph_free(p->graph);
    free(p->tokens);
    free(p->labels);
}

/* Losses, and all gradients one after the other. */
typedef struct result {
    float logits[B * LABELS], losses[B];
    float *gradients;
    size_t count;
    uint64_t bytes; /* of the workspace that the plan with the loss needs */
} result;

static void read_result(const passes *p, clm_plan *plan, result *r) {
    const clm_parameters *parameters = p->model->parameters;
    uint64_t largest_bytes = 0;
    size_t at = 0;
    clm_plan_memory(plan, &r->bytes, &largest_bytes);
    assert_ok(clm_buffer_read(clm_plan_output(plan, "logits"), 0, r->logits, sizeof r->logits));
    assert_ok(clm_buffer_read(clm_plan_output(plan, "losses"), 0, r->losses, sizeof r->losses));
    r->count = clm_model_trained_count(p->model);
    r->gradients = malloc(r->count * sizeof *r->gradients);
    assert_non_null(r->gradients);
    for (size_t i = 0; i < parameters->table.count; i++) {
        const clm_stored_parameter *stored = &parameters->stored[i];
        if (stored->trained) {
            assert_ok(clm_buffer_read(stored->gradient, 0, r->gradients + at,
                                      stored->about->count * sizeof(float)));
            at += stored->about->count;
        }
    }
    assert_int_equal(at, r->count);
}

/* The features that the trained part begins with, in a buffer; NULL when nothing is frozen. */
static clm_buffer *features_of(const passes *p, const clm_cut *cut, clm_workspace *workspace) {
    static const char *const bound[] = {"features.0", NULL};
    const clm_plan_options options = {.whole_rows = true, .bound = bound};
    const clm_graph *frozen = cut->frozen;
    clm_buffer *features = NULL;
    clm_plan *plan = NULL;
    const size_t count =
        (size_t)clm_shape_count(&clm_graph_about(frozen, frozen->outputs[0].tensor)->shape);
    assert_int_equal(cut->count, 1);
    features = clm_test_buffer(p->device, NULL, count);
    const clm_plan_binding bindings[] = {{.name = "tokens", .host = p->tokens},
                                         {.name = "rows", .host = p->rows},
                                         {.name = "features.0", .buffer = features}};
    assert_ok(clm_plan_make(&plan, workspace, frozen, p->model->parameters, &options));
    assert_ok(clm_plan_enqueue(plan, bindings, 3, 0.0F));
    clm_plan_free(plan);
    return features;
}

static result execute(const passes *p, const manner *how) {
    static const char *const bound[] = {"features.0", NULL};
    const clm_plan_options options = {.loss = "losses",
                                      .recompute = how->recompute,
                                      .kept = how->kept,
                                      .whole_rows = how->in_two,
                                      .bound = bound,
                                      .apart = how->apart,
                                      .poison = how->poison};
    clm_workspace *workspace = NULL;
    clm_graph *narrowed = NULL;
    clm_cut cut = {0};
    clm_plan *plan = NULL;
    clm_buffer *features = NULL;
    result r = {0};
    assert_ok(clm_workspace_create(&workspace, p->device));
    if (how->in_two) {
        assert_ok(clm_graph_narrow(&narrowed, p->graph));
        assert_ok(clm_graph_cut(&cut, narrowed, clm_trains_by_policy, &p->model->trained));
        features = features_of(p, &cut, workspace);
    }
    p->model->parameters->gradients_are_zero = false;
    assert_ok(clm_parameters_zero_gradients(p->model->parameters));
    const clm_plan_binding bindings[] = {{.name = "tokens", .host = p->tokens},
                                         {.name = "rows", .host = p->rows},
                                         {.name = "targets", .host = p->labels},
                                         {.name = "features.0", .buffer = features}};
    assert_ok(clm_plan_make(&plan, workspace, how->in_two ? cut.trained : p->graph,
                            p->model->parameters, &options));
    assert_ok(clm_plan_enqueue(plan, bindings, 4, 1.0F / B));
    read_result(p, plan, &r);
    clm_plan_free(plan);
    clm_workspace_free(workspace);
    clm_buffer_release(features);
    clm_cut_free(&cut);
    clm_graph_free(narrowed);
    return r;
}

static void check_same_bits(const result *a, const result *b) {
    assert_memory_equal(a->logits, b->logits, sizeof a->logits);
    assert_memory_equal(a->losses, b->losses, sizeof a->losses);
    assert_int_equal(a->count, b->count);
    assert_memory_equal(a->gradients, b->gradients, a->count * sizeof *a->gradients);
}

/* ---- plain C ---- */

/* The gradient of each trained parameter, by the description in doubles. */
static void check_against_reference(const passes *p, const result *r) {
    const clm_parameters *parameters = p->model->parameters;
    clm_graph *g = NULL;
    clm_reference_run run;
    size_t at = 0;
    assert_ok(clm_graph_copy(&g, p->graph));
    assert_ok(clm_graph_derive(g, clm_graph_find_output(g, "losses"), clm_trains_by_policy,
                               &p->model->trained));
    assert_ok(clm_reference_run_make(&run, g));
    memcpy(run.ids[clm_graph_find(g, CLM_TENSOR_INPUT, "tokens")], p->tokens,
           (size_t)B * T * sizeof *p->tokens);
    memcpy(run.ids[clm_graph_find(g, CLM_TENSOR_INPUT, "targets")], p->labels,
           B * sizeof *p->labels);
    memcpy(run.ids[clm_graph_find(g, CLM_TENSOR_INPUT, "rows")], p->rows, sizeof p->rows);
    for (size_t i = 0; i < parameters->table.count; i++) {
        const clm_parameter *about = &parameters->table.parameters[i];
        double *to = run.values[clm_graph_find(g, CLM_TENSOR_PARAMETER, about->name)];
        float *values = malloc(about->count * sizeof *values);
        assert_non_null(values);
        assert_ok(clm_weights_read(p->model->weights, about, values));
        for (size_t k = 0; k < about->count; k++) {
            to[k] = (double)values[k];
        }
        free(values);
    }
    assert_ok(clm_reference_execute(&run, 1.0 / B));
    for (size_t i = 0; i < parameters->table.count; i++) {
        const clm_stored_parameter *stored = &parameters->stored[i];
        double *want = malloc(stored->about->count * sizeof *want);
        assert_non_null(want);
        if (stored->trained) {
            /* Three blocks deep, values between 1e-3 and 10: about a hundred roundings. */
            clm_reference_gradient(
                &run, clm_graph_find(g, CLM_TENSOR_PARAMETER, stored->about->name), want);
            for (size_t k = 0; k < stored->about->count; k++) {
                assert_close((double)r->gradients[at + k], want[k], 2e-5, 2e-5);
            }
            at += stored->about->count;
        }
        free(want);
    }
    for (size_t i = 0; i < B * LABELS; i++) {
        assert_close((double)r->logits[i], run.values[clm_graph_find_output(g, "logits")][i], 2e-5,
                     2e-5);
    }
    clm_reference_run_free(&run);
    clm_graph_free(g);
}

static void plans_compute_what_plain_c_does_on(clm_device *device) {
    for (int train = CLM_TRAIN_HEAD; train <= CLM_TRAIN_ALL; train++) {
        if (clm_test_is_simulator(device) && train != CLM_TRAIN_ALL) {
            continue; /* all layers run what fewer do */
        }
        passes p = open_passes(device, (clm_train_policy)train);
        /* A simulator sees overruns where each tensor is apart. */
        const bool simulated = clm_test_is_simulator(device);
        result r = execute(
            &p, &(manner){
                    .train = (clm_train_policy)train, .recompute = simulated, .apart = simulated});
        check_against_reference(&p, &r);
        free(r.gradients);
        close_passes(&p);
    }
}

static void plans_compute_what_plain_c_does(void **state) {
    (void)state;
    clm_test_each_device(plans_compute_what_plain_c_does_on);
}

/* ---- memory ---- */

/* By at most half a unit of each number that is kept, which a gradient follows: some units in all.
 */
static void check_near(const result *got, const result *want, double unit) {
    double difference = 0.0;
    double length = 0.0;
    for (size_t i = 0; i < want->count; i++) {
        const double d = (double)got->gradients[i] - (double)want->gradients[i];
        difference += d * d;
        length += (double)want->gradients[i] * (double)want->gradients[i];
    }
    assert_true(difference <= 16.0 * unit * unit * length);
    assert_true(difference > 1e-4 * unit * unit * length); /* or nothing was rounded */
}

static void saving_with(const passes *p, clm_train_policy train, bool recompute, clm_dtype kept) {
    const manner plain = {.train = train, .recompute = recompute};
    const manner saved = {.train = train, .recompute = recompute, .kept = kept};
    const manner apart = {.train = train, .recompute = recompute, .kept = kept, .apart = true};
    const manner poisoned = {.train = train, .recompute = recompute, .kept = kept, .poison = true};
    result want = execute(p, &plain);
    result got = execute(p, &saved);
    result each = execute(p, &apart);
    result clean = execute(p, &poisoned);
    print_message("train %s, %s%s: workspace %llu bytes, each tensor apart %llu\n",
                  clm_train_policy_name(train), clm_dtype_name(kept),
                  recompute ? ", recompute" : "", (unsigned long long)got.bytes,
                  (unsigned long long)each.bytes);
    check_same_bits(&got, &each);
    check_same_bits(&got, &clean);
    assert_true(got.bytes < each.bytes);
    if (kept == CLM_F32) {
        check_same_bits(&got, &want);
    } else if (train == CLM_TRAIN_ALL || (train == CLM_TRAIN_LAST_TWO_BLOCKS && !recompute)) {
        /* Elsewhere nothing is rounded: the top block keeps floats, and so does the lowest one of
         * its input, which frozen blocks leave. */
        check_near(&got, &want, kept == CLM_F16 ? 0x1p-11 : 0x1p-8);
        assert_true(got.bytes < want.bytes);
    }
    free(want.gradients);
    free(got.gradients);
    free(each.gradients);
    free(clean.gradients);
}

static void saving_memory_changes_little_on(clm_device *device) {
    static const clm_dtype kept[] = {CLM_F32, CLM_F16, CLM_BF16};
    if (clm_test_is_simulator(device)) {
        return; /* graph/random has these under it */
    }
    for (int train = CLM_TRAIN_LAST_BLOCK; train <= CLM_TRAIN_ALL; train++) {
        passes p = open_passes(device, (clm_train_policy)train);
        result whole = execute(&p, &(manner){.train = (clm_train_policy)train});
        result less = execute(&p, &(manner){.train = (clm_train_policy)train, .recompute = true});
        check_same_bits(&whole, &less);
        assert_true(less.bytes <= whole.bytes);
        free(whole.gradients);
        free(less.gradients);
        for (int i = 0; i < 6; i++) {
            saving_with(&p, (clm_train_policy)train, i % 2 != 0, kept[i / 2]);
        }
        close_passes(&p);
    }
}

static void saving_memory_changes_little(void **state) {
    (void)state;
    clm_test_each_device(saving_memory_changes_little_on);
}

/* ---- features ---- */

static void the_frozen_part_may_be_computed_before_on(clm_device *device) {
    if (clm_test_is_simulator(device)) {
        return; /* no kernel that it has not seen */
    }
    for (int train = CLM_TRAIN_HEAD; train <= CLM_TRAIN_LAST_TWO_BLOCKS; train++) {
        passes p = open_passes(device, (clm_train_policy)train);
        result whole = execute(&p, &(manner){.train = (clm_train_policy)train});
        result parts = execute(&p, &(manner){.train = (clm_train_policy)train, .in_two = true});
        check_same_bits(&whole, &parts);
        free(whole.gradients);
        free(parts.gradients);
        close_passes(&p);
    }
    clm_cut cut;
    passes p = open_passes(device, CLM_TRAIN_ALL);
    assert_ok(clm_graph_cut(&cut, p.graph, clm_trains_by_policy, &p.model->trained));
    assert_int_equal(cut.count, 0);
    assert_null(cut.frozen);
    close_passes(&p);
}

static void the_frozen_part_may_be_computed_before(void **state) {
    (void)state;
    clm_test_each_device(the_frozen_part_may_be_computed_before_on);
}

/* ---- refusals ---- */

static clm_status make(clm_device *device, const clm_graph *g, const clm_plan_options *options) {
    clm_workspace *workspace = NULL;
    clm_parameters *parameters = NULL;
    clm_plan *plan = NULL;
    const clm_parameters_options none = {0};
    assert_ok(clm_workspace_create(&workspace, device));
    assert_ok(clm_parameters_create(&parameters, device, g, NULL, &none));
    const clm_status status = clm_plan_make(&plan, workspace, g, parameters, options);
    assert_int_equal(status == CLM_OK, plan != NULL);
    clm_plan_free(plan);
    clm_parameters_free(parameters);
    clm_workspace_free(workspace);
    return status;
}

static void what_cannot_be_is_named_on(clm_device *device) {
    const int64_t shape[] = {2, 4};
    const clm_plan_options plain = {0};
    const clm_plan_options no_loss = {.loss = "loss"};
    clm_graph *g = NULL;
    assert_ok(clm_graph_create(&g));
    clm_tensor x = clm_graph_input(g, "x", CLM_F32, 2, shape);
    clm_graph_output(g, clm_graph_gelu(g, clm_graph_columns(g, x, 1, 2)), "y");
    assert_status(CLM_ERROR_UNSUPPORTED, make(device, g, &plain));
    assert_message_has("gelu: the rows of x are not contiguous");
    clm_graph_free(g);
    assert_ok(clm_graph_create(&g));
    clm_graph_output(g, clm_graph_input(g, "x", CLM_F32, 2, shape), "y");
    assert_status(CLM_ERROR_ARGUMENT, make(device, g, &no_loss));
    assert_message_has("no output \"loss\"");
    clm_graph_free(g);
}

static void what_cannot_be_is_named(void **state) {
    (void)state;
    clm_test_each_device(what_cannot_be_is_named_on);
}

static void bindings_are_checked_on(clm_device *device) {
    static const char *const bound[] = {"y", NULL};
    const int64_t shape[] = {2, 4};
    const clm_parameters_options none = {0};
    const clm_plan_options options = {.bound = bound};
    const float x[] = {0, 1, 2, 3, 4, 5, 6, 7};
    float y[8];
    clm_workspace *workspace = NULL;
    clm_parameters *parameters = NULL;
    clm_plan *plan = NULL;
    clm_graph *g = NULL;
    clm_buffer *small = NULL;
    clm_buffer *enough = clm_test_buffer(device, NULL, 8);
    assert_ok(clm_buffer_create(&small, device, 7 * sizeof(float), "a small buffer"));
    assert_ok(clm_graph_create(&g));
    clm_graph_output(g, clm_graph_gelu(g, clm_graph_input(g, "x", CLM_F32, 2, shape)), "y");
    assert_ok(clm_workspace_create(&workspace, device));
    assert_ok(clm_parameters_create(&parameters, device, g, NULL, &none));
    assert_ok(clm_plan_make(&plan, workspace, g, parameters, &options));
    clm_plan_binding bindings[] = {{.name = "x", .host = x}, {.name = "y", .buffer = small}};
    assert_status(CLM_ERROR_ARGUMENT, clm_plan_enqueue(plan, bindings, 2, 0.0F));
    assert_message_has("\"y\" needs a buffer");
    assert_status(CLM_ERROR_ARGUMENT, clm_plan_enqueue(plan, bindings, 1, 0.0F));
    bindings[1].buffer = enough;
    assert_ok(clm_plan_enqueue(plan, bindings, 2, 0.0F));
    assert_ok(clm_buffer_read(enough, 0, y, sizeof y));
    for (int i = 0; i < 8; i++) {
        assert_close((double)y[i], clm_reference_gelu((double)x[i]), 1e-6, 1e-6);
    }
    assert_null(clm_plan_output(plan, "y"));
    clm_plan_free(plan);
    clm_parameters_free(parameters);
    clm_workspace_free(workspace);
    clm_graph_free(g);
    clm_buffer_release(small);
    clm_buffer_release(enough);
}

static void bindings_are_checked(void **state) {
    (void)state;
    clm_test_each_device(bindings_are_checked_on);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plans_compute_what_plain_c_does),
        cmocka_unit_test(saving_memory_changes_little),
        cmocka_unit_test(the_frozen_part_may_be_computed_before),
        cmocka_unit_test(what_cannot_be_is_named),
        cmocka_unit_test(bindings_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, clm_test_close_devices);
}
