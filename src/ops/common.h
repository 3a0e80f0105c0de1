/* What operations share on the host: checks of shapes, and which variant of a kernel a device
 * gets.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_OPS_COMMON_H
#define CLM_OPS_COMMON_H

#include "device/device.h"

/* CLM_ERROR_SHAPE unless all three are positive; `names` is "B, T and C". Pass 1 for what an
 * operation does not have. */
clm_status clm_ops_check_positive(const char *op, const char *names, int first, int second,
                                  int third);

/* CLM_ERROR_SHAPE unless `buffer` is there and holds rows * columns elements, and that product is
 * one. */
clm_status clm_ops_check_buffer(const char *op, const char *name, const clm_buffer *buffer,
                                size_t rows, size_t columns, size_t element_bytes);

/* The two shapes of a kernel: one work-item a row or range, or a work-group. */
typedef enum clm_ops_form { CLM_OPS_USUAL = 0, CLM_OPS_ITEM = 1, CLM_OPS_GROUP = 2 } clm_ops_form;

enum { CLM_OPS_OPTIONS_SIZE = 128 };

/* The macros of cl/common.clh. A processor gets one work-item a row or range, in its widest
 * vectors; other devices a work-group of `local` items in vectors of 4; the device's tuning
 * may set all but that. $CLM_OPS_VARIANT = "item"
 * or "group" forces one, so that tests see both on each device. */
typedef struct clm_ops_variant {
    int width;
    size_t local;     /* items that share a row */
    size_t flat;      /* work-group of kernels whose items share nothing */
    size_t row_group; /* the most of a work-group along a row, of kernels with an item an element */
    char options[CLM_OPS_OPTIONS_SIZE]; /* "-DWIDTH=16 -DLOCAL=1" */
} clm_ops_variant;

/* For the operation `op`, which is the name of its file in cl/. */
clm_ops_variant clm_ops_variant_for(const clm_device *device, const char *op);

/* From now on the device runs `op` (a static name) in this form, CLM_OPS_USUAL in its own again:
 * for the self-test, which puts one form in the place of another that computes wrongly.
 * $CLM_OPS_VARIANT goes before it. */
clm_status clm_ops_use_form(clm_device *device, const char *op, clm_ops_form form);
/* The form it runs in, never CLM_OPS_USUAL. */
clm_ops_form clm_ops_form_of(const clm_device *device, const char *op);

/* Launches one item for each `width` of `count` elements. */
clm_status clm_ops_launch_flat(clm_launch *launch, const clm_ops_variant *variant, size_t count);

/* Launches (columns / width rounded up, rows) items. */
clm_status clm_ops_launch_rows(clm_launch *launch, const clm_ops_variant *variant, int columns,
                               size_t rows);

#endif
