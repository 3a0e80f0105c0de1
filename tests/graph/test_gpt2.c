/* GPT-2's description in plain C against PyTorch: logits, loss, and the gradients of whatever is
 * trained. Golden values by tests/golden/make_tiny.py.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/derive.h"
#include "graph/reference.h"
#include "graph/transform.h"
#include "model/tasks/classify.h"
#include "predicates.h"
#include "support/test_golden.h"
#include "support/test_support.h"

enum { B = 3, T = 7, LABELS = 3 };
static const clm_model_config config = {.n_layer = 3,
                                        .n_embd = 20,
                                        .n_head = 2,
                                        .n_vocab = 37,
                                        .n_ctx = 11,
                                        .n_inner = 28,
                                        .n_labels = LABELS,
                                        .layer_norm_epsilon = 1e-5F};

static void *golden(const char *file, const char *name, size_t *count) {
    return clm_test_golden_tensor(clm_test_golden(file), name, count);
}

static clm_graph *describe(uint32_t *losses, uint32_t *logits) {
    clm_graph *g = NULL;
    assert_ok(clm_graph_create(&g));
    clm_classify_describe(g, &config, B, T, true);
    assert_ok(clm_graph_status(g));
    *losses = clm_graph_find_output(g, "losses");
    *logits = clm_graph_find_output(g, "logits");
    return g;
}

static void bind(clm_reference_run *run) {
    size_t count = 0;
    int32_t *tokens = golden("tiny/expected.safetensors", "tokens", &count);
    int32_t *labels = golden("tiny/expected.safetensors", "labels", &count);
    memcpy(run->ids[clm_graph_find(run->graph, CLM_TENSOR_INPUT, "tokens")], tokens,
           (size_t)B * T * sizeof *tokens);
    memcpy(run->ids[clm_graph_find(run->graph, CLM_TENSOR_INPUT, "targets")], labels,
           B * sizeof *labels);
    for (int b = 0; b < B; b++) {
        run->ids[clm_graph_find(run->graph, CLM_TENSOR_INPUT, "rows")][b] = b * T + T - 1;
    }
    for (uint32_t i = 1; i < run->graph->tensor_count; i++) {
        const clm_tensor_about *about = clm_graph_about(run->graph, i);
        if (about->kind != CLM_TENSOR_PARAMETER) {
            continue;
        }
        float *values = golden("tiny/model.safetensors", about->name, &count);
        assert_int_equal(count, clm_shape_count(&about->shape));
        for (size_t k = 0; k < count; k++) {
            run->values[i][k] = (double)values[k];
        }
        free(values);
    }
    free(tokens);
    free(labels);
}

/* PyTorch's are sums of floats; the largest element of each gradient is the measure. A gradient
 * that is zero, those of the keys' biases, is compared with the largest of its operation. */
static void check_gradient(const clm_reference_run *run, uint32_t parameter) {
    const clm_tensor_about *about = clm_graph_about(run->graph, parameter);
    char name[80];
    size_t count = 0;
    (void)snprintf(name, sizeof name, "gradient.%s", about->name);
    float *expected = golden("tiny/expected.safetensors", name, &count);
    double *got = calloc(count, sizeof *got);
    assert_non_null(got);
    clm_reference_gradient(run, parameter, got);
    double largest = 0.0;
    for (size_t k = 0; k < count; k++) {
        largest = fmax(largest, fabs((double)expected[k]));
    }
    for (size_t k = 0; k < count; k++) {
        if (!(fabs(got[k] - (double)expected[k]) <= 1e-5 * largest)) {
            print_error("%s[%zu]: %g, PyTorch %g\n", name, k, got[k], (double)expected[k]);
            fail();
        }
    }
    free(expected);
    free(got);
}

static void gradients_are_pytorchs_whatever_is_trained(void **state) {
    (void)state;
    uint32_t all_nodes = 0;
    const size_t count = clm_test_predicate_count;
    for (size_t p = 0; p < 2 * count; p++) {
        const bool narrowed = p >= count;
        size_t index = p % count;
        uint32_t losses = 0;
        uint32_t logits = 0;
        clm_graph *g = describe(&losses, &logits);
        if (narrowed) {
            clm_graph *whole = g;
            assert_ok(clm_graph_narrow(&g, whole));
            losses = g->outputs[1].tensor;
            clm_graph_free(whole);
        }
        const uint32_t described = g->node_count;
        clm_reference_run run = {0};
        assert_ok(clm_graph_derive(g, losses, clm_test_trains_by_predicate, &index));
        assert_ok(clm_graph_prune(g));
        const uint32_t nodes = g->node_count - described;
        if (narrowed) {
            assert_ok(clm_graph_fuse(g));
        }
        assert_ok(clm_reference_run_make(&run, g));
        bind(&run);
        assert_ok(clm_reference_execute(&run, 1.0 / B));
        int trained = 0;
        for (uint32_t i = 1; i < g->tensor_count; i++) {
            const clm_tensor_about *about = clm_graph_about(g, i);
            if (about->kind == CLM_TENSOR_PARAMETER &&
                clm_test_predicates[index].trains(about->name)) {
                check_gradient(&run, i);
                trained++;
            }
        }
        print_message("%s%s: %d parameters, %u backward nodes\n", clm_test_predicates[index].about,
                      narrowed ? ", narrowed" : "", trained, (unsigned)nodes);
        assert_true(trained > 0);
        all_nodes = index == 0 ? nodes : all_nodes;
        assert_true(nodes <= all_nodes);
        assert_true(clm_test_predicates[index].nodes == 0 ||
                    clm_test_predicates[index].nodes == nodes);
        clm_reference_run_free(&run);
        clm_graph_free(g);
    }
}

/* What the top block computes when one position of each sequence is looked at: keys and values for
 * all, the rest for B rows. */
static void the_top_block_is_short(void **state) {
    (void)state;
    static const struct {
        const char *operation;
        int64_t rows, columns;
    } expected[] = {{"layernorm", B * T, 20}, {"gather", B, 20},    {"linear", B, 20},
                    {"linear", B * T, 40},    {"attention", B, 0},  {"linear", B, 20},
                    {"add", B, 20},           {"layernorm", B, 20}, {"linear", B, 28},
                    {"gelu", B, 28},          {"linear", B, 20},    {"add", B, 20},
                    {"layernorm", B, 20},     {"linear", B, 3},     {"crossentropy", B, 0}};
    uint32_t losses = 0;
    uint32_t logits = 0;
    clm_graph *whole = describe(&losses, &logits);
    clm_graph *g = NULL;
    assert_ok(clm_graph_narrow(&g, whole));
    size_t at = 0;
    uint32_t adds = 0;
    for (uint32_t i = 0; i < g->node_count; i++) {
        const clm_node *node = &g->nodes[i];
        const clm_shape *shape = &clm_graph_about(g, node->outputs[0])->shape;
        const char *name = node->operation->name;
        /* Two blocks of two sums each come before. */
        if (adds < 4) {
            adds += strcmp(name, "add") == 0;
        } else if (strcmp(name, "columns") != 0 && strcmp(name, "reshape") != 0) {
            print_message("%s of %lld rows\n", name, (long long)clm_shape_rows(shape));
            if (strcmp(name, "gather") == 0 && strcmp(expected[at].operation, "gather") != 0) {
                continue; /* the residual stream's, wherever it stands */
            }
            assert_true(at < sizeof expected / sizeof *expected);
            assert_string_equal(name, expected[at].operation);
            if (expected[at].columns != 0) {
                assert_int_equal(clm_shape_rows(shape), expected[at].rows);
                assert_int_equal(clm_shape_last(shape), expected[at].columns);
            } else {
                assert_int_equal(shape->size[0], expected[at].rows);
            }
            at++;
        }
    }
    assert_int_equal(at, sizeof expected / sizeof *expected);
    clm_graph_free(g);
    clm_graph_free(whole);
}

static void logits_and_loss_are_pytorchs(void **state) {
    (void)state;
    uint32_t losses = 0;
    uint32_t logits = 0;
    size_t count = 0;
    clm_graph *g = describe(&losses, &logits);
    clm_reference_run run = {0};
    assert_ok(clm_reference_run_make(&run, g));
    bind(&run);
    assert_ok(clm_reference_execute(&run, 1.0));
    float *expected = golden("tiny/expected.safetensors", "logits", &count);
    float *loss = golden("tiny/expected.safetensors", "loss", &count);
    for (size_t i = 0; i < (size_t)B * LABELS; i++) {
        assert_close(run.values[logits][i], (double)expected[i], 2e-6, 2e-6);
    }
    assert_close((run.values[losses][0] + run.values[losses][1] + run.values[losses][2]) / B,
                 (double)*loss, 1e-6, 1e-6);
    free(expected);
    free(loss);
    clm_reference_run_free(&run);
    clm_graph_free(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_and_loss_are_pytorchs),
        cmocka_unit_test(gradients_are_pytorchs_whatever_is_trained),
        cmocka_unit_test(the_top_block_is_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
