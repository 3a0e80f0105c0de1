/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/crossentropy.h"

#include <math.h>
#include <stddef.h>

enum { IGNORED = -100 };

static double row_max(const double *x, int V) {
    double largest = -INFINITY;
    for (int i = 0; i < V; i++) {
        largest = x[i] > largest ? x[i] : largest;
    }
    return largest;
}

static double row_sum(const double *x, int V, double largest) {
    double sum = 0.0;
    for (int i = 0; i < V; i++) {
        sum += exp(x[i] - largest);
    }
    return sum;
}

void clm_reference_crossentropy_forward(double *losses, double *sums, double *probabilities,
                                        const double *logits, const int32_t *targets, int rows,
                                        int V) {
    for (ptrdiff_t row = 0; row < rows; row++) {
        const double *x = logits + row * V;
        int32_t target = targets[row];
        double largest = row_max(x, V);
        double sum = row_sum(x, V, largest);
        for (int i = 0; probabilities != NULL && i < V; i++) {
            probabilities[row * V + i] = exp(x[i] - largest) / sum;
        }
        if (sums != NULL) {
            sums[2 * row] = largest;
            sums[2 * row + 1] = sum;
        }
        if (target == IGNORED) {
            losses[row] = 0.0;
        } else if (target < 0 || target >= V) {
            losses[row] = NAN;
        } else {
            losses[row] = log(sum) + largest - x[target];
        }
    }
}

void clm_reference_crossentropy_backward(double *dlogits, const double *logits,
                                         const int32_t *targets, double scale, int rows, int V) {
    for (ptrdiff_t row = 0; row < rows; row++) {
        const double *x = logits + row * V;
        int32_t target = targets[row];
        double largest = row_max(x, V);
        double sum = row_sum(x, V, largest);
        for (int i = 0; i < V; i++) {
            double gradient = exp(x[i] - largest) / sum - (i == target ? 1.0 : 0.0);
            if (target == IGNORED) {
                gradient = 0.0;
            } else if (target < 0 || target >= V) {
                gradient = NAN;
            }
            dlogits[row * V + i] = scale * gradient;
        }
    }
}
