/* What the host sides of the norms share: groups of rows, and the scratch in which a backward pass
 * sums gradients of weights over the rows of each group.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_OPS_NORM_H
#define CLM_OPS_NORM_H

#include "ops/ops.h"

/* Rows whose gradients of the weights a group sums up: the same on every device, because the bits
 * of those sums depend on it. */
enum { CLM_NORM_GROUP_ROWS = 16 };

static inline size_t clm_norm_groups(int rows, int group_rows) {
    return ((size_t)rows - 1) / (size_t)group_rows + 1;
}

/* Where the groups' sums begin in scratch, in elements: behind what adding them up needs. Those of
 * the weight come first, then those of the bias. */
static inline size_t clm_norm_sums_offset(const clm_device *device, size_t groups, int C) {
    return clm_reduce_columns_scratch_bytes(device, (int)groups, C) / sizeof(float);
}

/* The scratch of a backward pass with the gradients of `weights` vectors (C). */
static inline size_t clm_norm_scratch_bytes(const clm_device *device, int rows, int C,
                                            int weights) {
    if (rows <= 0 || C <= 0) {
        return 0;
    }
    const size_t groups = clm_norm_groups(rows, CLM_NORM_GROUP_ROWS);
    return (clm_norm_sums_offset(device, groups, C) + (size_t)weights * groups * (size_t)C) *
           sizeof(float);
}

#endif
