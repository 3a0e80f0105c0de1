/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/residual.h"

void clm_reference_residual_forward(double *out, const double *a, const double *b, size_t count) {
    for (size_t i = 0; i < count; i++) {
        out[i] = a[i] + b[i];
    }
}
