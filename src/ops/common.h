/* Shared by the operations on the host: checks of shapes, and the choice of kernel variant for a
 * device.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_OPS_COMMON_H
#define CLM_OPS_COMMON_H

#include "device/device.h"
#include "ops/view.h"

/* CLM_ERROR_SHAPE unless all three are positive; `names` is "B, T and C". Pass 1 for a size that an
 * operation does not have. */
clm_status clm_ops_check_positive(const char *op, const char *names, int first, int second,
                                  int third);

/* CLM_ERROR_SHAPE unless `buffer` is not NULL, rows * columns does not overflow, and the buffer
 * holds that many elements. */
clm_status clm_ops_check_buffer(const char *op, const char *name, const clm_buffer *buffer,
                                size_t rows, size_t columns, size_t element_bytes);

/* The same for the scratch of an operation, of which it may need 0 bytes. */
clm_status clm_ops_check_scratch(const char *op, const clm_buffer *scratch, size_t bytes);

/* CLM_ERROR_SHAPE unless the view's buffer holds `rows` rows of `width` floats, each no wider than
 * they are apart. */
clm_status clm_ops_check_view(const char *op, const char *name, const clm_view *view, size_t rows,
                              size_t width);

/* The two forms of a kernel: one work-item per row or range, or one work-group. */
typedef enum clm_ops_form { CLM_OPS_USUAL = 0, CLM_OPS_ITEM = 1, CLM_OPS_GROUP = 2 } clm_ops_form;

enum { CLM_OPS_OPTIONS_SIZE = 128 };

/* The macros of cl/common.clh. A CPU gets one work-item per row or range, with its widest vectors;
 * other devices get a work-group of `local` items with vectors of 4. The device's tuning may set
 * everything but the form. $CLM_OPS_VARIANT = "item" or "group" forces one, so that tests see both
 * on each device. */
typedef struct clm_ops_variant {
    int width;
    size_t local;     /* items that share a row */
    size_t flat;      /* work-group of kernels whose items share nothing */
    size_t row_group; /* largest work-group along a row, for kernels with one item per element */
    char options[CLM_OPS_OPTIONS_SIZE]; /* "-DWIDTH=16 -DLOCAL=1" */
} clm_ops_variant;

/* For the operation `op`, which is the name of its file in cl/. */
clm_ops_variant clm_ops_variant_for(const clm_device *device, const char *op);

/* From now on the device runs `op` (a static name) in this form; CLM_OPS_USUAL restores the
 * default. For the self-test, which replaces a form that computes wrong results. $CLM_OPS_VARIANT
 * takes precedence. */
clm_status clm_ops_use_form(clm_device *device, const char *op, clm_ops_form form);
/* The form in use, never CLM_OPS_USUAL. */
clm_ops_form clm_ops_form_of(const clm_device *device, const char *op);

/* Launches one item for each `width` of `count` elements. */
clm_status clm_ops_launch_flat(clm_launch *launch, const clm_ops_variant *variant, size_t count);

/* For kernels with CLM_FOR_RANGE(): passes their last two arguments, and launches as many groups as
 * these ask for. */
clm_status clm_ops_launch_ranges(clm_launch *launch, const clm_ops_variant *variant, size_t count);

/* Launches (columns / width rounded up, rows) items. */
clm_status clm_ops_launch_rows(clm_launch *launch, const clm_ops_variant *variant, int columns,
                               size_t rows);

#endif
