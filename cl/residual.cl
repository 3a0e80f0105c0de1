/* Residual connection: out = a + b; out may be a or b.
 *
 * Shapes: flat, `count` elements. Work: one item for WIDTH elements, the last one for what is left.
 * Accuracy: one rounding.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "common.clh"

__kernel void residual_forward(__global float *out, __global const float *a,
                               __global const float *b, const ulong count) {
    const ulong first = (ulong)get_global_id(0) * WIDTH;
    if (first + WIDTH <= count) {
        storew(loadw(a, first) + loadw(b, first), out, first);
    } else {
        CLM_EDGE for (ulong i = first; i < count; i++) {
            out[i] = a[i] + b[i];
        }
    }
}
