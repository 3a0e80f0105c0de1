/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/common.h"
#include "ops/ops.h"

static clm_status move_rows(clm_device *device, const char *kernel, clm_buffer *out,
                            const clm_buffer *x, const clm_buffer *rows, int n, int C) {
    clm_ops_variant variant = clm_ops_variant_for(device, "rows");
    clm_launch launch = clm_launch_begin(device, "rows", kernel, variant.options);
    clm_launch_buffer(&launch, out);
    clm_launch_buffer(&launch, x);
    clm_launch_buffer(&launch, rows);
    clm_launch_int(&launch, C);
    return clm_ops_launch_rows(&launch, &variant, C, (size_t)n);
}

clm_status clm_rows_gather(clm_device *device, clm_buffer *out, const clm_buffer *x,
                           const clm_buffer *rows, int n, int C) {
    clm_status status = CLM_OK;
    CLM_TRY(clm_ops_check_positive("rows", "n and C", n, C, 1));
    CLM_TRY(clm_ops_check_buffer("rows", "out", out, (size_t)n, (size_t)C, sizeof(float)));
    CLM_TRY(clm_ops_check_buffer("rows", "x", x, 1, (size_t)C, sizeof(float)));
    CLM_TRY(clm_ops_check_buffer("rows", "rows", rows, (size_t)n, 1, sizeof(int32_t)));
    status = move_rows(device, "rows_gather", out, x, rows, n, C);
cleanup:
    return status;
}

clm_status clm_rows_scatter(clm_device *device, clm_buffer *out, const clm_buffer *x,
                            const clm_buffer *rows, int n, int out_rows, int C) {
    clm_status status = CLM_OK;
    CLM_TRY(clm_ops_check_positive("rows", "n, out_rows and C", n, out_rows, C));
    if (n > out_rows) {
        return clm_fail(CLM_ERROR_SHAPE, "rows: %d distinct rows do not fit in %d", n, out_rows);
    }
    CLM_TRY(clm_ops_check_buffer("rows", "out", out, (size_t)out_rows, (size_t)C, sizeof(float)));
    CLM_TRY(clm_ops_check_buffer("rows", "x", x, (size_t)n, (size_t)C, sizeof(float)));
    CLM_TRY(clm_ops_check_buffer("rows", "rows", rows, (size_t)n, 1, sizeof(int32_t)));
    CLM_TRY(clm_buffer_zero(out, 0, (size_t)out_rows * (size_t)C * sizeof(float)));
    status = move_rows(device, "rows_scatter", out, x, rows, n, C);
cleanup:
    return status;
}

clm_status clm_rows_add(clm_device *device, clm_buffer *x, const clm_buffer *y,
                        const clm_buffer *rows, int n, int C) {
    clm_status status = CLM_OK;
    CLM_TRY(clm_ops_check_positive("rows", "n and C", n, C, 1));
    CLM_TRY(clm_ops_check_buffer("rows", "x", x, (size_t)n, (size_t)C, sizeof(float)));
    CLM_TRY(clm_ops_check_buffer("rows", "y", y, (size_t)n, (size_t)C, sizeof(float)));
    CLM_TRY(clm_ops_check_buffer("rows", "rows", rows, (size_t)n, 1, sizeof(int32_t)));
    status = move_rows(device, "rows_add", x, y, rows, n, C);
cleanup:
    return status;
}

clm_status clm_rows_append(clm_device *device, clm_buffer *to, clm_view x, const clm_buffer *first,
                           int B, int T, int capacity, int C) {
    clm_status status = CLM_OK;
    CLM_TRY(clm_ops_check_positive("rows", "B, T and C", B, T, C));
    CLM_TRY(clm_ops_check_positive("rows", "capacity", capacity, 1, 1));
    const size_t places = (size_t)B * (size_t)T;
    const size_t columns = (size_t)C;
    const size_t stride = x.stride != 0 ? (size_t)x.stride : columns;
    CLM_TRY(clm_ops_check_view("rows", "x", &x, places, columns));
    CLM_TRY(clm_ops_check_buffer("rows", "to", to, (size_t)B * (size_t)capacity, columns,
                                 sizeof(float)));
    CLM_TRY(clm_ops_check_buffer("rows", "first", first, (size_t)B, 1, sizeof(int32_t)));
    const clm_ops_variant variant = clm_ops_variant_for(device, "rows");
    clm_launch launch = clm_launch_begin(device, "rows", "rows_append", variant.options);
    clm_launch_buffer(&launch, to);
    clm_launch_buffer(&launch, x.buffer);
    clm_launch_buffer(&launch, first);
    clm_launch_ulong(&launch, x.offset);
    clm_launch_int(&launch, (int)stride);
    clm_launch_int(&launch, T);
    clm_launch_int(&launch, capacity);
    clm_launch_int(&launch, C);
    status = clm_ops_launch_rows(&launch, &variant, C, places);
cleanup:
    return status;
}
