/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/common.h"
#include "ops/ops.h"

#include <math.h>

static clm_status check_settings(const clm_adamw *adamw) {
    if (!(adamw->beta1 >= 0.0 && adamw->beta1 < 1.0 && adamw->beta2 >= 0.0 && adamw->beta2 < 1.0)) {
        return clm_fail(CLM_ERROR_ARGUMENT, "adamw: betas %g and %g are not in [0, 1)",
                        adamw->beta1, adamw->beta2);
    }
    if (!(isfinite(adamw->learning_rate) && adamw->learning_rate >= 0.0 &&
          isfinite(adamw->weight_decay) && adamw->weight_decay >= 0.0 && isfinite(adamw->epsilon) &&
          adamw->epsilon >= 0.0)) {
        return clm_fail(CLM_ERROR_ARGUMENT,
                        "adamw: learning rate %g, weight decay %g and epsilon %g must be finite "
                        "and not negative",
                        adamw->learning_rate, adamw->weight_decay, adamw->epsilon);
    }
    if (adamw->step < 1) {
        return clm_fail(CLM_ERROR_ARGUMENT, "adamw: steps count from 1, not %d", adamw->step);
    }
    return CLM_OK;
}

clm_status clm_adamw_step(clm_device *device, clm_buffer *parameter, clm_buffer *gradient,
                          clm_buffer *first_moment, clm_buffer *second_moment, size_t count,
                          const clm_adamw *adamw) {
    const char *op = "adamw";
    clm_status status = CLM_OK;
    CLM_TRY(check_settings(adamw));
    CLM_TRY(clm_ops_check_buffer(op, "parameter", parameter, count, 1, sizeof(float)));
    CLM_TRY(clm_ops_check_buffer(op, "gradient", gradient, count, 1, sizeof(float)));
    CLM_TRY(clm_ops_check_buffer(op, "first_moment", first_moment, count, 1, sizeof(float)));
    CLM_TRY(clm_ops_check_buffer(op, "second_moment", second_moment, count, 1, sizeof(float)));
    double correction1 = 1.0 - pow(adamw->beta1, adamw->step);
    double correction2 = 1.0 - pow(adamw->beta2, adamw->step);
    clm_ops_variant variant = clm_ops_variant_for(device, "adamw");
    clm_launch launch = clm_launch_begin(device, "adamw", "adamw_step", variant.options);
    clm_launch_buffer(&launch, parameter);
    clm_launch_buffer(&launch, gradient);
    clm_launch_buffer(&launch, first_moment);
    clm_launch_buffer(&launch, second_moment);
    clm_launch_ulong(&launch, count);
    clm_launch_float(&launch, (float)adamw->gradient_scale);
    clm_launch_float(&launch, (float)(1.0 - adamw->learning_rate * adamw->weight_decay));
    clm_launch_float(&launch, (float)(1.0 - adamw->beta1));
    clm_launch_float(&launch, (float)adamw->beta2);
    clm_launch_float(&launch, (float)(1.0 - adamw->beta2));
    clm_launch_float(&launch, (float)(adamw->learning_rate / correction1));
    clm_launch_float(&launch, (float)sqrt(correction2));
    clm_launch_float(&launch, (float)adamw->epsilon);
    clm_launch_int(&launch, adamw->zero_gradient);
    status = clm_ops_launch_flat(&launch, &variant, count);
cleanup:
    return status;
}
