/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/common.h"
#include "ops/ops.h"

#include <math.h>

clm_status clm_dropout(clm_device *device, clm_buffer *out, const clm_buffer *x, size_t count,
                       float probability, uint64_t seed, uint64_t stream) {
    clm_status status = CLM_OK;
    if (!(probability >= 0.0F && probability < 1.0F)) {
        return clm_fail(CLM_ERROR_ARGUMENT, "dropout: probability %g is not in [0, 1)",
                        (double)probability);
    }
    CLM_TRY(clm_ops_check_buffer("dropout", "out", out, count, 1, sizeof(float)));
    CLM_TRY(clm_ops_check_buffer("dropout", "x", x, count, 1, sizeof(float)));
    if (probability == 0.0F) {
        return out == x ? CLM_OK : clm_buffer_copy(out, 0, x, 0, count * sizeof(float));
    }
    clm_ops_variant variant = clm_ops_variant_for(device, "dropout");
    clm_launch launch = clm_launch_begin(device, "dropout", "dropout_forward", variant.options);
    clm_launch_buffer(&launch, out);
    clm_launch_buffer(&launch, x);
    clm_launch_ulong(&launch, count);
    /* Below 2^32, because the largest float below 1 is 1 - 2^-24. */
    clm_launch_uint(&launch, (unsigned)rint((double)probability * 4294967296.0));
    clm_launch_float(&launch, (float)(1.0 / (1.0 - (double)probability)));
    clm_launch_ulong(&launch, seed);
    clm_launch_ulong(&launch, stream);
    status = clm_ops_launch_flat(&launch, &variant, count / 4 + (count % 4 != 0));
cleanup:
    return status;
}
