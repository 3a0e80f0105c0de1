/* SPDX-License-Identifier: Apache-2.0 */
#include "graph_cases.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

clm_tensor clm_test_loss(clm_graph *graph, clm_tensor x) {
    int rank = 0;
    int64_t shape[CLM_TENSOR_RANK_MOST] = {0};
    clm_graph_shape(graph, x, &rank, shape);
    int64_t rows = 1;
    for (int i = 0; i + 1 < rank; i++) {
        rows *= shape[i];
    }
    const clm_tensor losses =
        clm_graph_crossentropy(graph, x, clm_graph_input(graph, "targets", CLM_I32, 1, &rows));
    clm_graph_output(graph, losses, "losses");
    return losses;
}

clm_tensor clm_test_parameter(clm_graph *graph, const char *name, int rank, int64_t a, int64_t b,
                              int64_t c, int64_t d) {
    const int64_t shape[] = {a, b, c, d};
    return clm_graph_parameter(graph, name, rank, shape, NULL);
}

bool clm_test_trains_all(void *context, const char *name) {
    (void)context;
    (void)name;
    return true;
}

void clm_test_draw_values(clm_reference_run *run, const clm_test_draw *draw) {
    for (uint32_t i = 1; i < run->graph->tensor_count; i++) {
        const clm_tensor_about *about = clm_graph_about(run->graph, i);
        const int64_t count = clm_shape_count(&about->shape);
        for (int64_t k = 0;
             k < count && about->type == CLM_F32 && about->kind <= CLM_TENSOR_PARAMETER; k++) {
            run->values[i][k] = draw->scale * (double)clm_test_normal();
        }
        for (int64_t k = 0; k < count && about->type == CLM_I32; k++) {
            const uint32_t random = clm_test_random();
            const int part = draw->rows_of / (int)count;
            run->ids[i][k] = strcmp(about->name, "targets") == 0
                                 ? (int32_t)(random % (uint32_t)draw->classes)
                             : strcmp(about->name, "first") == 0   ? (int32_t)(random % 2)
                             : strcmp(about->name, "lengths") == 0 ? (int32_t)(random % 2) + 1
                             : strncmp(about->name, "rows", 4) == 0
                                 ? (int32_t)(k * part) + (int32_t)(random % (uint32_t)part)
                                 : (int32_t)(random % (uint32_t)draw->vocabulary);
        }
    }
}

static double loss_of(clm_reference_run *run, uint32_t losses) {
    assert_ok(clm_reference_execute(run, 1.0));
    double sum = 0.0;
    for (int64_t i = 0; i < clm_shape_count(&clm_graph_about(run->graph, losses)->shape); i++) {
        sum += run->values[losses][i];
    }
    return sum;
}

/* The central difference of the loss over 2 h at an element. */
static double difference(clm_reference_run *plain, uint32_t losses, double *value, double h) {
    const double kept = *value;
    *value = kept + h;
    const double above = loss_of(plain, losses);
    *value = kept - h;
    const double below = loss_of(plain, losses);
    *value = kept;
    return (above - below) / (2.0 * h);
}

/* Two central differences give one whose error is of the fourth order in h, and how far off the
 * better of the two is, which is more than that of their combination. What is left is the rounding
 * of the loss, some 1e-14 of it by h: layers upon layers amplify roundings of 1e-16. */
static void check_parameter(clm_reference_run *plain, uint32_t losses, uint32_t parameter,
                            const double *gradient, int most) {
    const double h = 1e-5;
    const double loss = loss_of(plain, losses);
    const clm_tensor_about *about = clm_graph_about(plain->graph, parameter);
    const int64_t count = clm_shape_count(&about->shape);
    for (int n = 0; n < most && n < count; n++) {
        const int64_t k = count <= most ? n : (int64_t)(clm_test_random() % (uint64_t)count);
        double *value = &plain->values[parameter][k];
        const double coarse = difference(plain, losses, value, 2.0 * h);
        const double fine = difference(plain, losses, value, h);
        const double expected = (4.0 * fine - coarse) / 3.0;
        const double rounding = 1e-14 * fabs(loss) / h;
        const double tolerance = 1e-7 + 1e-6 * fabs(expected) + fabs(fine - expected) + rounding;
        if (!(fabs(gradient[k] - expected) <= tolerance)) {
            print_error("%s[%lld]: %.12g, by differences %.12g\n", about->name, (long long)k,
                        gradient[k], expected);
            fail();
        }
    }
}

uint32_t clm_test_check_gradients(const clm_graph *graph, clm_tensor losses, clm_trains *trains,
                                  void *context, const clm_test_draw *draw, int most) {
    clm_graph *derived = NULL;
    clm_reference_run plain = {0};
    clm_reference_run run = {0};
    assert_ok(clm_graph_status(graph));
    assert_ok(clm_graph_copy(&derived, graph));
    assert_ok(clm_graph_derive(derived, losses.id, trains, context));
    assert_ok(clm_reference_run_make(&plain, graph));
    assert_ok(clm_reference_run_make(&run, derived));
    clm_test_draw_values(&plain, draw);
    for (uint32_t i = 1; i < graph->tensor_count; i++) {
        const size_t count = (size_t)clm_shape_count(&clm_graph_about(graph, i)->shape);
        if (plain.ids[i] != NULL) {
            memcpy(run.ids[i], plain.ids[i], count * sizeof **run.ids);
        } else {
            memcpy(run.values[i], plain.values[i], count * sizeof **run.values);
        }
    }
    assert_ok(clm_reference_execute(&run, 1.0));
    for (uint32_t i = 1; i < graph->tensor_count; i++) {
        const clm_tensor_about *about = clm_graph_about(graph, i);
        if (about->kind != CLM_TENSOR_PARAMETER) {
            continue;
        }
        double *gradient = calloc((size_t)clm_shape_count(&about->shape), sizeof *gradient);
        assert_non_null(gradient);
        clm_reference_gradient(&run, i, gradient);
        if (trains(context, about->name)) {
            check_parameter(&plain, losses.id, i, gradient, most);
        } else {
            for (int64_t k = 0; k < clm_shape_count(&about->shape); k++) {
                assert_true(gradient[k] == 0.0);
            }
        }
        free(gradient);
    }
    const uint32_t nodes = derived->node_count - graph->node_count;
    clm_reference_run_free(&plain);
    clm_reference_run_free(&run);
    clm_graph_free(derived);
    return nodes;
}

/* ---- random graphs ---- */

enum { B = CLM_TEST_B, T = CLM_TEST_T, C = CLM_TEST_C, H = CLM_TEST_H };

bool clm_test_trains_by_bit(void *context, const char *name) {
    const unsigned *bits = context;
    return (*bits >> (unsigned)(name[1] - 'a') & 1U) != 0;
}

clm_tensor clm_test_any(const clm_tensor *pool, int count) {
    return pool[clm_test_random() % (uint32_t)count];
}

clm_tensor clm_test_grow(clm_graph *g, const clm_tensor *pool, int count) {
    char name[] = "pa";
    name[1] = (char)('a' + clm_test_random() % 4);
    char other[] = "pe";
    other[1] = (char)('e' + clm_test_random() % 4);
    const clm_tensor x = clm_test_any(pool, count);
    const clm_tensor square = clm_test_parameter(g, name, 2, C, C, 0, 0);
    const clm_tensor line = clm_test_parameter(g, other, 1, C, 0, 0, 0);
    const int64_t by_head[] = {B, T, H, C / H};
    const int64_t plain[] = {B, T, C};
    const clm_attention_options causal = {.causal = (clm_test_random() & 1) != 0};
    switch (clm_test_random() % 9) {
        case 0:
            return clm_graph_add(g, x, clm_test_any(pool, count));
        case 1:
            return clm_graph_linear(g, x, square, CLM_LINEAR_IN_OUT, line);
        case 2:
            return clm_graph_linear(g, x, square, CLM_LINEAR_OUT_IN, (clm_tensor){0});
        case 3:
            return clm_graph_layernorm(g, x, line, line, 0.1F);
        case 4:
            return clm_graph_rmsnorm(g, x, line, 0.1F);
        case 5:
            return clm_graph_silu_gate(g, clm_graph_scale(g, x, 0.3F), clm_test_any(pool, count));
        case 6:
            return clm_graph_scale(g, clm_graph_gelu(g, x), 0.5F);
        case 7: {
            const clm_tensor wide =
                clm_graph_linear(g, x, clm_test_parameter(g, "pi", 2, C, 2 * C, 0, 0),
                                 CLM_LINEAR_IN_OUT, (clm_tensor){0});
            const int64_t first = (int64_t)(clm_test_random() % (C + 1));
            return clm_graph_silu_gate(g, clm_graph_columns(g, wide, 0, C),
                                       clm_graph_columns(g, wide, first, C));
        }
        default:
            return clm_graph_reshape(
                g,
                clm_graph_attention(g, clm_graph_reshape(g, x, 4, by_head),
                                    clm_graph_reshape(g, clm_test_any(pool, count), 4, by_head),
                                    clm_graph_reshape(g, clm_test_any(pool, count), 4, by_head),
                                    &causal),
                3, plain);
    }
}
