/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/common.h"
#include "ops/ops.h"

enum {
    /* Rows that a work-item which is a thread takes in turn, at most: the first is read and the
     * last written alone ... */
    ITEM_ROWS = 32,
    ITEM_GROUPS_A_UNIT = 4 /* ... but enough work-items for each compute unit */
};

/* Rows of a work-group in the backward pass. */
static int rows_of_group(const clm_device *device, const clm_ops_variant *variant, int rows,
                         int V) {
    if (variant->local > 1) {
        return 1;
    }
    const int fair = rows / (ITEM_GROUPS_A_UNIT * clm_device_get_info(device)->compute_units);
    const int possible = clm_device_most_rounds(device) / (V / variant->width + 64);
    int group_rows = fair < ITEM_ROWS ? fair : ITEM_ROWS;
    group_rows = group_rows < possible ? group_rows : possible;
    return group_rows > 1 ? group_rows : 1;
}

static clm_status launch_rows(clm_launch *launch, const clm_ops_variant *variant, int rows) {
    return clm_launch_1d(launch, (size_t)rows * variant->local, variant->local);
}

clm_status clm_crossentropy_forward(clm_device *device, clm_buffer *losses,
                                    clm_buffer *probabilities, const clm_buffer *logits,
                                    const clm_buffer *targets, int rows, int V) {
    const char *op = "crossentropy";
    clm_status status = CLM_OK;
    CLM_TRY(clm_ops_check_positive(op, "rows and V", rows, V, 1));
    CLM_TRY(clm_ops_check_buffer(op, "losses", losses, (size_t)rows, 1, sizeof(float)));
    if (probabilities != NULL) {
        CLM_TRY(clm_ops_check_buffer(op, "probabilities", probabilities, (size_t)rows, (size_t)V,
                                     sizeof(float)));
    }
    CLM_TRY(clm_ops_check_buffer(op, "logits", logits, (size_t)rows, (size_t)V, sizeof(float)));
    CLM_TRY(clm_ops_check_buffer(op, "targets", targets, (size_t)rows, 1, sizeof(int32_t)));
    clm_ops_variant variant = clm_ops_variant_for(device, "crossentropy");
    clm_launch launch =
        clm_launch_begin(device, "crossentropy", "crossentropy_forward", variant.options);
    clm_launch_buffer(&launch, losses);
    clm_launch_buffer(&launch, probabilities);
    clm_launch_int(&launch, probabilities != NULL);
    clm_launch_buffer(&launch, logits);
    clm_launch_buffer(&launch, targets);
    clm_launch_int(&launch, V);
    status = launch_rows(&launch, &variant, rows);
cleanup:
    return status;
}

clm_status clm_crossentropy_backward(clm_device *device, clm_buffer *dlogits,
                                     const clm_buffer *logits, const clm_buffer *targets,
                                     float scale, int rows, int V) {
    const char *op = "crossentropy";
    clm_status status = CLM_OK;
    CLM_TRY(clm_ops_check_positive(op, "rows and V", rows, V, 1));
    CLM_TRY(clm_ops_check_buffer(op, "dlogits", dlogits, (size_t)rows, (size_t)V, sizeof(float)));
    CLM_TRY(clm_ops_check_buffer(op, "logits", logits, (size_t)rows, (size_t)V, sizeof(float)));
    CLM_TRY(clm_ops_check_buffer(op, "targets", targets, (size_t)rows, 1, sizeof(int32_t)));
    clm_ops_variant variant = clm_ops_variant_for(device, "crossentropy");
    clm_launch launch =
        clm_launch_begin(device, "crossentropy", "crossentropy_backward", variant.options);
    clm_launch_buffer(&launch, dlogits);
    clm_launch_buffer(&launch, logits);
    clm_launch_buffer(&launch, targets);
    clm_launch_float(&launch, scale);
    clm_launch_int(&launch, V);
    const int group_rows = rows_of_group(device, &variant, rows, V);
    clm_launch_int(&launch, rows);
    clm_launch_int(&launch, group_rows);
    status = launch_rows(&launch, &variant, (rows - 1) / group_rows + 1);
cleanup:
    return status;
}
