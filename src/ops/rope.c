/* SPDX-License-Identifier: Apache-2.0 */
#include <limits.h>
#include <math.h>

#include "ops/common.h"
#include "ops/ops.h"

/* Whole numbers up to D / 2 times a number of as many bits are exact in float. */
enum { STEP_BITS = 12, D_MOST = 1 << STEP_BITS };

/* log2(theta) 2 / D, in two parts. */
static void split_step(float theta, int D, float *high, float *low) {
    const double step = log2((double)theta) * 2.0 / D;
    int exponent = 0;
    (void)frexp(step, &exponent);
    const double whole = ldexp(rint(ldexp(step, STEP_BITS - exponent)), exponent - STEP_BITS);
    *high = (float)whole;
    *low = (float)(step - whole);
}

clm_status clm_rope_forward(clm_device *device, clm_buffer *out, clm_view x,
                            const clm_buffer *first, int B, int T, int H, int D, float theta,
                            bool back) {
    clm_status status = CLM_OK;
    float high = 0.0F;
    float low = 0.0F;
    CLM_TRY(clm_ops_check_positive("rope", "B, T and H", B, T, H));
    CLM_TRY(clm_ops_check_positive("rope", "D", D, 1, 1));
    if (D % 2 != 0 || D > D_MOST || H > INT_MAX / D) {
        return clm_fail(CLM_ERROR_SHAPE, "rope: %d heads of %d channels: needs an even D up to %d",
                        H, D, D_MOST);
    }
    if (!(theta > 1.0F && isfinite(theta))) {
        return clm_fail(CLM_ERROR_ARGUMENT, "rope: theta %g is not above 1", (double)theta);
    }
    const size_t rows = (size_t)B * (size_t)T;
    const size_t width = (size_t)H * (size_t)D;
    CLM_TRY(clm_ops_check_view("rope", "x", &x, rows, width));
    CLM_TRY(clm_ops_check_buffer("rope", "out", out, rows, width, sizeof(float)));
    if (first != NULL) {
        CLM_TRY(clm_ops_check_buffer("rope", "first", first, (size_t)B, 1, sizeof(int32_t)));
    }
    split_step(theta, D, &high, &low);
    const clm_ops_variant variant = clm_ops_variant_for(device, "rope");
    clm_launch launch = clm_launch_begin(device, "rope", "rope_forward", variant.options);
    clm_launch_buffer(&launch, out);
    clm_launch_buffer(&launch, x.buffer);
    clm_launch_buffer(&launch, first);
    clm_launch_ulong(&launch, x.offset);
    clm_launch_int(&launch, x.stride != 0 ? x.stride : (int)width);
    clm_launch_int(&launch, T);
    clm_launch_int(&launch, H);
    clm_launch_int(&launch, D);
    clm_launch_float(&launch, high);
    clm_launch_float(&launch, low);
    clm_launch_int(&launch, first != NULL);
    clm_launch_int(&launch, back);
    status = clm_ops_launch_rows(&launch, &variant, D / 2, rows);
cleanup:
    return status;
}
