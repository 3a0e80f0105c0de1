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
