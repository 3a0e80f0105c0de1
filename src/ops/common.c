/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/common.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "ops/tuning.h"

/* On processors a row's items are a loop, whose length is a part of what the driver compiles: one
 * length for all, and 16 of 16 floats are a third of GPT-2's smallest row. */
enum { FLAT_GROUP = 256, ROW_GROUP = 64, ITEM_ROW_GROUP = 16, GPU_WIDTH = 4 };

clm_status clm_ops_check_positive(const char *op, const char *names, int first, int second,
                                  int third) {
    if (first > 0 && second > 0 && third > 0) {
        return CLM_OK;
    }
    int wrong = first <= 0 ? first : second <= 0 ? second : third;
    return clm_fail(CLM_ERROR_SHAPE, "%s: %s must be positive, and one is %d", op, names, wrong);
}

clm_status clm_ops_check_buffer(const char *op, const char *name, const clm_buffer *buffer,
                                size_t rows, size_t columns, size_t element_bytes) {
    if (buffer == NULL) {
        return clm_fail(CLM_ERROR_SHAPE, "%s: no buffer for %s", op, name);
    }
    if (rows == 0 || columns == 0 || rows > SIZE_MAX / element_bytes / columns) {
        return clm_fail(CLM_ERROR_SHAPE, "%s: %s cannot have %zu x %zu elements", op, name, rows,
                        columns);
    }
    size_t have = clm_buffer_size_bytes(buffer);
    if (have < rows * columns * element_bytes) {
        return clm_fail(CLM_ERROR_SHAPE, "%s: %s of %zu x %zu elements needs %zu bytes, not %zu",
                        op, name, rows, columns, rows * columns * element_bytes, have);
    }
    return CLM_OK;
}

clm_status clm_ops_check_scratch(const char *op, const clm_buffer *scratch, size_t bytes) {
    return bytes == 0 ? CLM_OK : clm_ops_check_buffer(op, "scratch", scratch, bytes, 1, 1);
}

clm_status clm_ops_check_view(const char *op, const char *name, const clm_view *view, size_t rows,
                              size_t width) {
    const size_t stride = view->stride > 0 ? (size_t)view->stride : width;
    const size_t most = SIZE_MAX / sizeof(float);
    if (view->stride < 0 || stride < width || width == 0 || rows == 0) {
        return clm_fail(CLM_ERROR_SHAPE, "%s: %zu rows of %s have %zu elements, %d apart", op, rows,
                        name, width, view->stride);
    }
    if (width > most || rows - 1 > (most - width) / stride ||
        view->offset > most - width - (rows - 1) * stride) {
        return clm_fail(CLM_ERROR_SHAPE, "%s: %s cannot have %zu rows of %zu elements", op, name,
                        rows, stride);
    }
    return clm_ops_check_buffer(op, name, view->buffer, 1,
                                view->offset + (rows - 1) * stride + width, sizeof(float));
}

/* ---- forms ---- */

enum { MOST_FORMS = 32 };

/* The operations of a device that run in another form than is usual there. */
typedef struct used_forms {
    int count;
    const char *ops[MOST_FORMS];
    clm_ops_form forms[MOST_FORMS];
} used_forms;

static void close_forms(void *context) {
    clm_free(context);
}

clm_status clm_ops_use_form(clm_device *device, const char *op, clm_ops_form form) {
    clm_status status = CLM_OK;
    used_forms *used = clm_device_close_context(device, close_forms);
    used_forms *made = NULL;
    if (used == NULL) {
        CLM_TRY(clm_allocate(&made, 1, sizeof *made, "the forms of a device's operations"));
        CLM_TRY(clm_device_on_close(device, close_forms, made));
        used = made;
        made = NULL;
    }
    int i = 0;
    while (i < used->count && strcmp(used->ops[i], op) != 0) {
        i++;
    }
    if (i == MOST_FORMS) {
        status = clm_fail(CLM_ERROR_INTERNAL, "%s: more than %d operations", op, MOST_FORMS);
        goto cleanup;
    }
    used->ops[i] = op;
    used->forms[i] = form;
    used->count = i == used->count ? i + 1 : used->count;
cleanup:
    clm_free(made);
    return status;
}

clm_ops_form clm_ops_form_of(const clm_device *device, const char *op) {
    const char *forced = getenv("CLM_OPS_VARIANT");
    const used_forms *used = clm_device_close_context(device, close_forms);
    if (forced != NULL && strcmp(forced, "item") == 0) {
        return CLM_OPS_ITEM;
    }
    if (forced != NULL && strcmp(forced, "group") == 0) {
        return CLM_OPS_GROUP;
    }
    for (int i = 0; used != NULL && i < used->count; i++) {
        if (used->forms[i] != CLM_OPS_USUAL && strcmp(used->ops[i], op) == 0) {
            return used->forms[i];
        }
    }
    return clm_device_is_cpu(device) ? CLM_OPS_ITEM : CLM_OPS_GROUP;
}

clm_ops_variant clm_ops_variant_for(const clm_device *device, const char *op) {
    const clm_tuning *tuning = clm_tuning_of(device);
    const bool item = clm_ops_form_of(device, op) == CLM_OPS_ITEM;
    clm_ops_variant variant;
    const size_t flat = clm_device_work_group(device, FLAT_GROUP);
    const int width = item ? clm_device_vector_width(device) : GPU_WIDTH;
    variant.flat = (size_t)clm_tuning_get(tuning, CLM_SET_OPS_FLAT_GROUP, (int)flat);
    variant.width = clm_tuning_get(tuning, CLM_SET_OPS_WIDTH, width);
    variant.local = item ? 1 : (size_t)clm_tuning_get(tuning, CLM_SET_OPS_ROW_ITEMS, (int)flat);
    const size_t row_group = item ? ITEM_ROW_GROUP : ROW_GROUP;
    variant.row_group = (size_t)clm_tuning_get(tuning, CLM_SET_OPS_ROW_GROUP,
                                               (int)(flat < row_group ? flat : row_group));
    (void)snprintf(variant.options, sizeof variant.options, "-DWIDTH=%d -DLOCAL=%zu", variant.width,
                   variant.local);
    return variant;
}

clm_status clm_ops_launch_flat(clm_launch *launch, const clm_ops_variant *variant, size_t count) {
    size_t width = (size_t)variant->width;
    return clm_launch_1d(launch, count / width + (count % width != 0), variant->flat);
}

clm_status clm_ops_launch_ranges(clm_launch *launch, const clm_ops_variant *variant, size_t count) {
    enum { ITEM_RANGE = 8192 }; /* elements an item takes on processors */
    const size_t range = variant->local == 1 ? ITEM_RANGE : variant->local * (size_t)variant->width;
    clm_launch_ulong(launch, count);
    clm_launch_ulong(launch, range);
    return clm_launch_1d(launch, ((count - 1) / range + 1) * variant->local, variant->local);
}

clm_status clm_ops_launch_rows(clm_launch *launch, const clm_ops_variant *variant, int columns,
                               size_t rows) {
    const size_t global[2] = {((size_t)columns - 1) / (size_t)variant->width + 1, rows};
    size_t local[2] = {variant->local == 1 ? variant->row_group : 1, 1}; /* one length for all */
    while (local[0] < global[0] && local[0] < variant->row_group) {
        local[0] *= 2;
    }
    return clm_launch_2d(launch, global, local);
}
