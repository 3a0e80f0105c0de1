/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/silu_gate.h"

#include <math.h>

static double sigmoid(double x) {
    return 1.0 / (1.0 + exp(-x));
}

void clm_reference_silu_gate_forward(double *out, const double *gate, const double *up,
                                     size_t count) {
    for (size_t i = 0; i < count; i++) {
        out[i] = gate[i] * sigmoid(gate[i]) * up[i];
    }
}

void clm_reference_silu_gate_backward(double *dgate, double *dup, const double *dout,
                                      const double *gate, const double *up, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const double d = dout[i];
        const double s = sigmoid(gate[i]);
        if (dgate != NULL) {
            dgate[i] = d * up[i] * s * (1.0 + gate[i] * sigmoid(-gate[i]));
        }
        if (dup != NULL) {
            dup[i] = d * gate[i] * s;
        }
    }
}
