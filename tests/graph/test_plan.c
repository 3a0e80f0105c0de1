/* Plans on every device present: GPT-2's against the model's own passes, launch for launch and bit
 * for bit, and in no more memory.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "graph/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/reference.h"
#include "model/gpt2.h"
#include "model/gpt2_graph.h"
#include "support/test_devices.h"
#include "support/test_golden.h"

enum { B = 3, T = 7, LABELS = 3, MOST_LAUNCHES = 10000 };

/* ---- the launches of a pass ---- */

typedef struct launches {
    char *names[MOST_LAUNCHES];
    size_t count;
} launches;

static clm_status note_launch(void *context, const char *kernel) {
    launches *l = context;
    assert_true(l->count < MOST_LAUNCHES);
    l->names[l->count] = strdup(kernel);
    assert_non_null(l->names[l->count++]);
    return CLM_OK;
}

static void free_launches(launches *l) {
    for (size_t i = 0; i < l->count; i++) {
        free(l->names[i]);
    }
    l->count = 0;
}

/* ---- both ways ---- */

typedef struct passes {
    clm_device *device;
    clm_model *model;
    clm_graph *graph;
    int32_t *tokens, *labels;
    char cut[16];    /* the input of the lowest trained block; "" if all are trained */
    float *features; /* its values, those that the model's pass left */
    int32_t rows[B];
} passes;

static clm_graph *describe(const clm_model_config *config, int sequences, int positions) {
    const int64_t tokens[] = {sequences, positions};
    const int64_t each[] = {sequences};
    clm_graph *g = NULL;
    assert_ok(clm_graph_create(&g));
    const clm_tensor hidden =
        clm_gpt2_describe(g, config, clm_graph_input(g, "tokens", CLM_I32, 2, tokens));
    const clm_tensor logits =
        clm_classifier_describe(g, config, hidden, clm_graph_input(g, "rows", CLM_I32, 1, each));
    clm_graph_output(g, logits, "logits");
    clm_graph_output(
        g, clm_graph_crossentropy(g, logits, clm_graph_input(g, "targets", CLM_I32, 1, each)),
        "losses");
    assert_ok(clm_graph_status(g));
    return g;
}

/* The model runs frozen blocks in place, where products begin with the residual rather than end
 * with it: other bits. So both start from what the model made of them. */
static void cut_off_frozen(passes *p) {
    const int first = p->model->first_trained_layer;
    (void)snprintf(p->cut, sizeof p->cut, "h.%d", first);
    const uint32_t x = clm_graph_find(p->graph, CLM_TENSOR_VALUE, p->cut);
    assert_int_not_equal(x, 0);
    if (first == 0) {
        p->cut[0] = '\0';
        return;
    }
    p->graph->tensors[x].kind = CLM_TENSOR_INPUT;
    p->features = malloc((size_t)clm_shape_count(&p->graph->tensors[x].shape) * sizeof(float));
    assert_non_null(p->features);
}

/* What is trained, and how a pass saves memory. */
typedef struct saving {
    clm_train_policy train;
    bool recompute;
    clm_dtype kept;
    bool apart, poison; /* of the plan only */
} saving;

/* Weights stay floats, and as they are in the file: plans have no other storage yet. */
static passes open_passes(clm_device *device, const saving *how) {
    passes p = {.device = device};
    size_t count = 0;
    const clm_model_options options = {.train = how->train,
                                       .precision = CLM_PRECISION_F32,
                                       .recompute = how->recompute,
                                       .one_pass = true};
    assert_ok(clm_model_open(&p.model, device, clm_test_source("golden/tiny"), &options));
    p.model->kept_storage = how->kept;
    p.graph = describe(&p.model->config, B, T);
    cut_off_frozen(&p);
    p.tokens =
        clm_test_golden_tensor(clm_test_golden("tiny/expected.safetensors"), "tokens", &count);
    p.labels =
        clm_test_golden_tensor(clm_test_golden("tiny/expected.safetensors"), "labels", &count);
    for (int b = 0; b < B; b++) {
        p.rows[b] = b * T + T - 1;
    }
    return p;
}

static void close_passes(passes *p) {
    clm_model_close(p->model);
    clm_graph_free(p->graph);
    free(p->features);
    free(p->tokens);
    free(p->labels);
}

/* The losses, and all gradients one after the other. */
typedef struct result {
    float logits[B * LABELS], losses[B];
    float *gradients;
    size_t count;
    launches launches;
} result;

static void read_gradients(const passes *p, result *r) {
    r->count = clm_model_trained_count(p->model);
    r->gradients = malloc(r->count * sizeof *r->gradients);
    assert_non_null(r->gradients);
    size_t at = 0;
    for (size_t i = 0; i < p->model->table.count; i++) {
        const clm_model_parameter *parameter = &p->model->parameters[i];
        if (parameter->gradient != NULL) {
            assert_ok(clm_buffer_read(parameter->gradient, 0, r->gradients + at,
                                      parameter->about->count * sizeof(float)));
            at += parameter->about->count;
        }
    }
    assert_int_equal(at, r->count);
}

/* The model's way. */
static result pass_of_model(const passes *p) {
    result r = {0};
    clm_buffer *targets = clm_test_buffer(p->device, p->labels, B);
    clm_buffer *losses = clm_test_buffer(p->device, NULL, B);
    clm_buffer *sums = clm_test_buffer(p->device, NULL, 2 * (size_t)B);
    const clm_activations *a = &p->model->activations;
    p->model->gradients_are_zero = false;
    assert_ok(clm_model_zero_gradients(p->model));
    clm_device_on_launch(p->device, note_launch, &r.launches);
    assert_ok(clm_model_forward(p->model, p->tokens, NULL, B, T, true));
    assert_ok(
        clm_crossentropy_forward(p->device, losses, sums, NULL, a->logits, targets, B, LABELS));
    assert_ok(clm_buffer_read(a->logits, 0, r.logits, sizeof r.logits));
    assert_ok(clm_crossentropy_backward(p->device, a->dlogits, a->logits, sums, targets, 1.0F / B,
                                        B, LABELS));
    assert_ok(clm_model_backward(p->model));
    clm_device_on_launch(p->device, NULL, NULL);
    assert_ok(clm_buffer_read(losses, 0, r.losses, sizeof r.losses));
    if (p->features != NULL) {
        assert_ok(clm_buffer_read(a->x, 0, p->features,
                                  (size_t)B * T * (size_t)p->model->config.n_embd * sizeof(float)));
    }
    read_gradients(p, &r);
    return r;
}

static clm_status find_parameter(void *context, const char *name, clm_plan_parameter *found) {
    const clm_model *model = context;
    const clm_parameter *about = clm_parameter_named(&model->table, name);
    assert_non_null(about);
    const clm_model_parameter *parameter = &model->parameters[about - model->table.parameters];
    *found = (clm_plan_parameter){parameter->value, parameter->gradient};
    return CLM_OK;
}

static bool trains(void *context, const char *name) {
    clm_plan_parameter found = {0};
    assert_ok(find_parameter(context, name, &found));
    return found.gradient != NULL;
}

/* The plan's, with the model's parameters and gradients. */
static result pass_of_plan(const passes *p, const saving *how, uint64_t *total_bytes) {
    result r = {0};
    clm_plan *plan = NULL;
    uint64_t largest_bytes = 0;
    const clm_plan_options options = {.loss = "losses",
                                      .trains = trains,
                                      .context = p->model,
                                      .recompute = how->recompute,
                                      .kept = how->kept,
                                      .apart = how->apart,
                                      .poison = how->poison};
    const clm_plan_binding bindings[] = {{.input = "tokens", .host = p->tokens},
                                         {.input = "rows", .host = p->rows},
                                         {.input = "targets", .host = p->labels},
                                         {.input = p->cut, .host = p->features}};
    assert_ok(clm_plan_make(&plan, p->device, p->graph, &options));
    clm_plan_memory(plan, total_bytes, &largest_bytes);
    assert_ok(clm_plan_allocate(plan, find_parameter, p->model));
    p->model->gradients_are_zero = false;
    assert_ok(clm_model_zero_gradients(p->model));
    clm_device_on_launch(p->device, note_launch, &r.launches);
    assert_ok(clm_plan_enqueue(plan, bindings, 4, 1.0F / B));
    clm_device_on_launch(p->device, NULL, NULL);
    assert_ok(clm_buffer_read(clm_plan_output(plan, "logits"), 0, r.logits, sizeof r.logits));
    assert_ok(clm_buffer_read(clm_plan_output(plan, "losses"), 0, r.losses, sizeof r.losses));
    read_gradients(p, &r);
    clm_plan_free(plan);
    return r;
}

static void free_result(result *r) {
    free(r->gradients);
    free_launches(&r->launches);
}

static void check_same_bits(const result *a, const result *b) {
    assert_memory_equal(a->logits, b->logits, sizeof a->logits);
    assert_memory_equal(a->losses, b->losses, sizeof a->losses);
    assert_int_equal(a->count, b->count);
    assert_memory_equal(a->gradients, b->gradients, a->count * sizeof *a->gradients);
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static uint64_t bytes_of_model(const passes *p) {
    uint64_t total_bytes = 0;
    uint64_t largest_bytes = 0;
    const clm_memory_plan memory = clm_model_plan(p->model, B, T);
    clm_activations_estimate(&p->model->config, &memory, &total_bytes, &largest_bytes);
    return total_bytes;
}

static void same_launches_on(clm_device *device) {
    const saving all = {.train = CLM_TRAIN_ALL};
    passes p = open_passes(device, &all);
    uint64_t bytes = 0;
    result first = pass_of_model(&p); /* may measure which GEMM is the faster one */
    result old = pass_of_model(&p);
    result plan = pass_of_plan(&p, &all, &bytes);
    /* The same launches; where two do not need each other, in another order. The one that differs:
     * the gradient of the picked rows of the residual stream is added to that of the norm, which
     * comes first, where the model begins with zeros around it. */
    assert_int_equal(old.launches.count, plan.launches.count);
    for (size_t i = 0; i < old.launches.count; i++) {
        if (strcmp(old.launches.names[i], "rows_scatter") == 0) {
            free(old.launches.names[i]);
            old.launches.names[i] = strdup("rows_add");
        }
    }
    qsort(old.launches.names, old.launches.count, sizeof(char *), compare_names);
    qsort(plan.launches.names, plan.launches.count, sizeof(char *), compare_names);
    for (size_t i = 0; i < old.launches.count; i++) {
        assert_string_equal(old.launches.names[i], plan.launches.names[i]);
    }
    free_result(&first);
    free_result(&old);
    free_result(&plan);
    close_passes(&p);
}

static void same_launches_as_the_model(void **state) {
    (void)state;
    clm_test_each_device(same_launches_on);
}

/* Oclgrind, which takes minutes, sees overruns only when all is apart. */
static void same_bits_with(clm_device *device, saving how) {
    passes p = open_passes(device, &how);
    uint64_t bytes[4] = {0};
    const int first_way = clm_test_is_simulator(device) ? 3 : 0;
    result first = pass_of_model(&p); /* may measure which GEMM is the faster one */
    result old = pass_of_model(&p);
    for (int way = first_way; way < 4; way++) {
        how.apart = way >= 2;
        how.poison = way % 2 != 0;
        result plan = pass_of_plan(&p, &how, &bytes[way]);
        check_same_bits(&old, &plan);
        if (way == 0) {
            assert_true(bytes[way] <= bytes_of_model(&p));
        }
        free_result(&plan);
    }
    print_message("train %s, %s%s: workspace %llu bytes, each apart %llu, the model's %llu\n",
                  clm_train_policy_name(how.train), clm_dtype_name(how.kept),
                  how.recompute ? ", recompute" : "", (unsigned long long)bytes[0],
                  (unsigned long long)bytes[3], (unsigned long long)bytes_of_model(&p));
    assert_true(bytes[0] < bytes[3]);
    free_result(&first);
    free_result(&old);
    close_passes(&p);
}

static void same_bits_on(clm_device *device) {
    static const clm_train_policy policies[] = {CLM_TRAIN_ALL, CLM_TRAIN_LAST_TWO_BLOCKS,
                                                CLM_TRAIN_LAST_BLOCK};
    static const clm_dtype kept[] = {CLM_F32, CLM_F16, CLM_BF16};
    for (int i = 0; i < 18; i++) {
        const saving how = {
            .train = policies[i / 6], .recompute = i % 2 != 0, .kept = kept[i / 2 % 3]};
        if (!clm_test_is_simulator(device) || i == 1 || i == 2) {
            same_bits_with(device, how);
        }
    }
}

static void same_bits_as_the_model(void **state) {
    (void)state;
    clm_test_each_device(same_bits_on);
}

/* ---- memory ---- */

/* The lowest trained layer is the context's; all above it and what is outside of blocks, but not
 * the embedding unless that is 0. */
static bool trains_from(void *context, const char *name) {
    const int first = *(const int *)context;
    int layer = 0;
    if (sscanf(name, "h.%d.", &layer) == 1) {
        return layer >= first;
    }
    return first == 0 || strncmp(name, "w", 1) != 0;
}

/* No more than the model takes for the same. */
static void memory_with(clm_device *device, const clm_model_config *config, const saving *how,
                        int sequences, int positions) {
    clm_plan *plan = NULL;
    uint64_t bytes = 0;
    uint64_t old_bytes = 0;
    uint64_t largest_bytes = 0;
    int first = how->train == CLM_TRAIN_ALL ? 0 : config->n_layer - 2;
    const clm_memory_plan memory = {.train = how->train,
                                    .kept_storage = how->kept,
                                    .recompute = how->recompute,
                                    .B = sequences,
                                    .T = positions};
    const clm_plan_options options = {.loss = "losses",
                                      .trains = trains_from,
                                      .context = &first,
                                      .recompute = how->recompute,
                                      .kept = how->kept};
    clm_graph *g = describe(config, sequences, positions);
    assert_ok(clm_plan_make(&plan, device, g, &options));
    clm_plan_memory(plan, &bytes, &largest_bytes);
    clm_activations_estimate(config, &memory, &old_bytes, &largest_bytes);
    print_message("%d layers, %d x %d, train %s, %s%s: %.2f MB, the model's %.2f MB\n",
                  config->n_layer, sequences, positions, clm_train_policy_name(how->train),
                  clm_dtype_name(how->kept), how->recompute ? ", recompute" : "",
                  (double)bytes / 1e6, (double)old_bytes / 1e6);
    assert_true(bytes <= old_bytes);
    clm_plan_free(plan);
    clm_graph_free(g);
}

static void no_more_memory_on(clm_device *device) {
    static const char *const models[] = {"random:gpt2", "random:n_layer=2,n_embd=64",
                                         "random:gpt2-medium"};
    static const int sizes[][2] = {{1, 16}, {8, 120}, {2, 1024}};
    for (int i = 0; i < 9 * 8 && !clm_test_is_simulator(device); i++) {
        clm_model_config config = CLM_MODEL_CONFIG_DEFAULT;
        uint64_t seed = 0;
        const saving how = {.train = i / 4 % 2 == 0 ? CLM_TRAIN_ALL : CLM_TRAIN_LAST_TWO_BLOCKS,
                            .recompute = i % 2 != 0,
                            .kept = i / 2 % 2 == 0 ? CLM_F32 : CLM_F16};
        assert_ok(clm_model_config_parse(&config, &seed, models[i / 8 % 3]));
        config.n_labels = LABELS;
        memory_with(device, &config, &how, sizes[i / 24][0], sizes[i / 24][1]);
        clm_model_config_free(&config);
    }
}

static void no_more_memory_than_the_model(void **state) {
    (void)state;
    clm_test_each_device(no_more_memory_on);
}

static void what_has_no_kernels_is_named_on(clm_device *device) {
    const int64_t shape[] = {2, 4};
    const int64_t weight[] = {4};
    clm_graph *g = NULL;
    clm_plan *plan = NULL;
    const clm_plan_options options = {0};
    assert_ok(clm_graph_create(&g));
    clm_graph_output(g,
                     clm_graph_rmsnorm(g, clm_graph_input(g, "x", CLM_F32, 2, shape),
                                       clm_graph_parameter(g, "w", 1, weight, NULL), 1e-5F),
                     "y");
    assert_status(CLM_ERROR_UNSUPPORTED, clm_plan_make(&plan, device, g, &options));
    assert_message_has("rmsnorm has no kernels yet");
    assert_null(plan);
    clm_graph_free(g);
    /* Rows apart, and an operation that wants them dense. */
    assert_ok(clm_graph_create(&g));
    clm_graph_output(
        g,
        clm_graph_gelu(g, clm_graph_columns(g, clm_graph_input(g, "x", CLM_F32, 2, shape), 1, 2)),
        "y");
    assert_status(CLM_ERROR_UNSUPPORTED, clm_plan_make(&plan, device, g, &options));
    assert_message_has("gelu: the rows of x are not contiguous");
    clm_graph_free(g);
    const clm_plan_options no_loss = {.loss = "loss"};
    assert_ok(clm_graph_create(&g));
    clm_graph_output(g, clm_graph_input(g, "x", CLM_F32, 2, shape), "y");
    assert_status(CLM_ERROR_ARGUMENT, clm_plan_make(&plan, device, g, &no_loss));
    assert_message_has("no output \"loss\"");
    clm_graph_free(g);
}

static void what_has_no_kernels_is_named(void **state) {
    (void)state;
    clm_test_each_device(what_has_no_kernels_is_named_on);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_launches_as_the_model),
        cmocka_unit_test(same_bits_as_the_model),
        cmocka_unit_test(no_more_memory_than_the_model),
        cmocka_unit_test(what_has_no_kernels_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, clm_test_close_devices);
}
