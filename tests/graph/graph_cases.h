/* Small descriptions, and their gradients by finite differences in doubles.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TEST_GRAPH_CASES_H
#define CLM_TEST_GRAPH_CASES_H

#include "graph/derive.h"
#include "graph/reference.h"
#include "support/test_support.h"

/* Adds a loss to a graph whose result is `x` (..., C), C at least 2: cross-entropy of its rows with
 * targets of an input of that name. Returns the losses. */
clm_tensor clm_test_loss(clm_graph *graph, clm_tensor x);

/* A parameter of a name and shape. */
clm_tensor clm_test_parameter(clm_graph *graph, const char *name, int rank, int64_t a, int64_t b,
                              int64_t c, int64_t d);

/* Draws all parameters and f32 inputs (normal, `scale`), and every i32 input: "targets" below the
 * columns of the loss's logits, "ids" below `vocabulary`, "rows" distinct and below `rows_of`,
 * "first" 0 or 1, "lengths" 1 or 2. */
typedef struct clm_test_draw {
    double scale;
    int vocabulary;
    int rows_of; /* rows of what "rows" picks from, in as many equal parts as there are rows */
    int classes;
} clm_test_draw;
void clm_test_draw_values(clm_reference_run *run, const clm_test_draw *draw);

/* Derives a copy of `graph` with respect to the parameters that `trains` names and compares the
 * gradients of all of them with differences of the loss, at up to `most` elements of each. Returns
 * how many nodes the backward pass has. */
uint32_t clm_test_check_gradients(const clm_graph *graph, clm_tensor losses, clm_trains *trains,
                                  void *context, const clm_test_draw *draw, int most);

bool clm_test_trains_all(void *context, const char *name);

/* ---- random graphs ---- */

enum { CLM_TEST_B = 2, CLM_TEST_T = 3, CLM_TEST_C = 4, CLM_TEST_H = 2 };

clm_tensor clm_test_any(const clm_tensor *pool, int count);

/* One more tensor (B,T,C) from those there are; parameters are "pa" to "pi", drawn again and again,
 * so that most are shared. */
clm_tensor clm_test_grow(clm_graph *graph, const clm_tensor *pool, int count);

/* Which of them are trained: the context is an unsigned with a bit for each. */
bool clm_test_trains_by_bit(void *context, const char *name);

#endif
