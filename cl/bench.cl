/* Measures the device's memory: out[i] = x[i], WIDTH floats per work-item.
 *
 * x, out  (count), count a multiple of WIDTH
 *
 * Work: one item for each WIDTH elements, in groups of any size. Exact.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "common.clh"

__kernel void bench_copy(__global float *out, __global const float *x, const ulong count) {
    const ulong i = (ulong)get_global_id(0) * WIDTH;
    if (i < count) {
        storew(loadw(x, i), out, i);
    }
}
