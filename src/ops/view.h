/* Operands whose rows are apart.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_OPS_VIEW_H
#define CLM_OPS_VIEW_H

#include "device/device.h"

/* Rows that need not be contiguous: the first begins at element `offset` of the buffer, each next
 * one `stride` elements later (0: contiguous). */
typedef struct clm_view {
    clm_buffer *buffer;
    size_t offset;
    int stride;
} clm_view;

#endif
