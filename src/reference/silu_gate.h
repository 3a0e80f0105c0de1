/* silu(gate) * up, in plain C: the oracle for cl/silu_gate.cl. Computes in double.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_REFERENCE_SILU_GATE_H
#define CLM_REFERENCE_SILU_GATE_H

#include <stddef.h>

void clm_reference_silu_gate_forward(double *out, const double *gate, const double *up,
                                     size_t count);
/* Either gradient may be NULL. */
void clm_reference_silu_gate_backward(double *dgate, double *dup, const double *dout,
                                      const double *gate, const double *up, size_t count);

#endif
