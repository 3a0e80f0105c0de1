/* SPDX-License-Identifier: Apache-2.0 */
#include "model/head_fold.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"

static double dot(const float *a, const float *b, size_t count) {
    double sum = 0.0;
    for (size_t i = 0; i < count; i++) {
        sum += (double)a[i] * (double)b[i];
    }
    return sum;
}

/* Cholesky, in place of the lower triangle of g (K, K). False when g is singular: a pivot is what
 * is left of its diagonal element, and below 1e-12 of it only rounding is left. */
static bool factor(double *g, size_t count) {
    for (size_t j = 0; j < count; j++) {
        double diagonal = g[j * count + j];
        double pivot = diagonal;
        for (size_t k = 0; k < j; k++) {
            pivot -= g[j * count + k] * g[j * count + k];
        }
        if (!(pivot > 1e-12 * diagonal)) {
            return false;
        }
        g[j * count + j] = sqrt(pivot);
        for (size_t i = j + 1; i < count; i++) {
            double sum = g[i * count + j];
            for (size_t k = 0; k < j; k++) {
                sum -= g[i * count + k] * g[j * count + k];
            }
            g[i * count + j] = sum / g[j * count + j];
        }
    }
    return true;
}

/* Solves L L^T y = y in place. */
static void solve(const double *l, double *y, size_t count) {
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < i; k++) {
            y[i] -= l[i * count + k] * y[k];
        }
        y[i] /= l[i * count + i];
    }
    for (size_t i = count; i-- > 0;) {
        for (size_t k = i + 1; k < count; k++) {
            y[i] -= l[k * count + i] * y[k];
        }
        y[i] /= l[i * count + i];
    }
}

/* Whether W (after - before) = b, near enough. */
static bool carries(const float *weight, const float *bias, const float *before, const float *after,
                    size_t label_count, size_t channel_count) {
    for (size_t k = 0; k < label_count; k++) {
        const float *row = weight + k * channel_count;
        double got = dot(row, after, channel_count) - dot(row, before, channel_count);
        double wanted = (double)bias[k];
        if (!(fabs(got - wanted) <= 1e-5 * fmax(1.0, fabs(wanted)))) {
            return false;
        }
    }
    return true;
}

clm_status clm_head_fold_bias(const float *weight, const float *bias, float *ln_f_bias,
                              size_t label_count, size_t channel_count, bool *folded) {
    clm_status status = CLM_OK;
    double *g = NULL;
    double *y = NULL;
    float *after = NULL;
    *folded = true;
    for (size_t k = 0; k < label_count; k++) {
        *folded = *folded && bias[k] == 0.0F;
    }
    if (*folded) {
        return CLM_OK;
    }
    if (label_count > channel_count) {
        return CLM_OK;
    }
    CLM_TRY(clm_allocate(&g, label_count * label_count, sizeof *g, "the head's Gram matrix"));
    CLM_TRY(clm_allocate(&y, label_count, sizeof *y, "the head's bias"));
    CLM_TRY(clm_allocate(&after, channel_count, sizeof *after, "ln_f.bias"));
    for (size_t i = 0; i < label_count; i++) {
        y[i] = (double)bias[i];
        for (size_t j = 0; j <= i; j++) {
            g[i * label_count + j] =
                dot(weight + i * channel_count, weight + j * channel_count, channel_count);
        }
    }
    if (!factor(g, label_count)) {
        goto cleanup;
    }
    solve(g, y, label_count);
    for (size_t c = 0; c < channel_count; c++) {
        double sum = (double)ln_f_bias[c];
        for (size_t k = 0; k < label_count; k++) {
            sum += (double)weight[k * channel_count + c] * y[k];
        }
        after[c] = (float)sum;
    }
    *folded = carries(weight, bias, ln_f_bias, after, label_count, channel_count);
    if (*folded) {
        memcpy(ln_f_bias, after, channel_count * sizeof *after);
    }
cleanup:
    clm_free(g);
    clm_free(y);
    clm_free(after);
    return status;
}
