/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/common.h"
#include "ops/ops.h"

static const char *const op = "crossentropy";

/* What both passes take. */
static clm_status check(const clm_buffer *logits, const clm_buffer *sums, const clm_buffer *targets,
                        int rows, int V, bool sums_wanted) {
    clm_status status = CLM_OK;
    CLM_TRY(clm_ops_check_positive(op, "rows and V", rows, V, 1));
    CLM_TRY(clm_ops_check_buffer(op, "logits", logits, (size_t)rows, (size_t)V, sizeof(float)));
    CLM_TRY(clm_ops_check_buffer(op, "targets", targets, (size_t)rows, 1, sizeof(int32_t)));
    if (sums_wanted) {
        CLM_TRY(clm_ops_check_buffer(op, "sums", sums, (size_t)rows, 2, sizeof(float)));
    }
cleanup:
    return status;
}

static clm_status launch_rows(clm_launch *launch, const clm_ops_variant *variant, int rows) {
    return clm_launch_1d(launch, (size_t)rows * variant->local, variant->local);
}

clm_status clm_crossentropy_forward(clm_device *device, clm_buffer *losses, clm_buffer *sums,
                                    clm_buffer *probabilities, const clm_buffer *logits,
                                    const clm_buffer *targets, int rows, int V) {
    clm_status status = CLM_OK;
    CLM_TRY(check(logits, sums, targets, rows, V, sums != NULL));
    CLM_TRY(clm_ops_check_buffer(op, "losses", losses, (size_t)rows, 1, sizeof(float)));
    if (probabilities != NULL) {
        CLM_TRY(clm_ops_check_buffer(op, "probabilities", probabilities, (size_t)rows, (size_t)V,
                                     sizeof(float)));
    }
    const clm_ops_variant variant = clm_ops_variant_for(device, op);
    clm_launch launch = clm_launch_begin(device, op, "crossentropy_forward", variant.options);
    clm_launch_buffer(&launch, losses);
    clm_launch_buffer(&launch, sums);
    clm_launch_int(&launch, sums != NULL);
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
                                     const clm_buffer *logits, const clm_buffer *sums,
                                     const clm_buffer *targets, float scale, int rows, int V) {
    clm_status status = CLM_OK;
    CLM_TRY(check(logits, sums, targets, rows, V, true));
    CLM_TRY(clm_ops_check_buffer(op, "dlogits", dlogits, (size_t)rows, (size_t)V, sizeof(float)));
    const clm_ops_variant variant = clm_ops_variant_for(device, op);
    clm_launch launch = clm_launch_begin(device, op, "crossentropy_backward", variant.options);
    clm_launch_buffer(&launch, dlogits);
    clm_launch_buffer(&launch, logits);
    clm_launch_buffer(&launch, sums);
    clm_launch_buffer(&launch, targets);
    clm_launch_float(&launch, scale);
    clm_launch_int(&launch, V);
    status = launch_rows(&launch, &variant, rows);
cleanup:
    return status;
}
