/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/common.h"
#include "ops/ops.h"

enum {
    RANGE = 16384,    /* elements a group sums up */
    PART_ROWS = 64,   /* rows an item sums up */
    ITEM_VECTORS = 16 /* vectors of columns that an item sums up on processors, as in reduce.cl */
};

static clm_status reduce_ranges(clm_device *device, const clm_ops_variant *variant,
                                const char *kernel, clm_buffer *out, size_t out_index,
                                const clm_buffer *x, size_t count, size_t range, size_t parts) {
    clm_launch launch = clm_launch_begin(device, "reduce", kernel, variant->options);
    clm_launch_buffer(&launch, out);
    clm_launch_ulong(&launch, out_index);
    clm_launch_buffer(&launch, x);
    clm_launch_ulong(&launch, count);
    clm_launch_ulong(&launch, range);
    return clm_launch_1d(&launch, parts * variant->local, variant->local);
}

/* Ranges do not depend on the device's cores, so that a sum's bits do not either. */
static clm_status reduce(clm_device *device, const char *kernel, clm_buffer *out, int out_index,
                         const clm_buffer *x, size_t count) {
    const char *op = "reduce";
    clm_status status = CLM_OK;
    clm_buffer *partial = NULL;
    if (out_index < 0) {
        return clm_fail(CLM_ERROR_SHAPE, "reduce: there is no out[%d]", out_index);
    }
    size_t index = (size_t)out_index;
    CLM_TRY(clm_ops_check_buffer(op, "out", out, index + 1, 1, sizeof(float)));
    CLM_TRY(clm_ops_check_buffer(op, "x", x, count, 1, sizeof(float)));
    clm_ops_variant variant = clm_ops_variant_for(device, "reduce");
    size_t parts = count / RANGE + (count % RANGE != 0);
    if (parts == 1) {
        CLM_TRY(reduce_ranges(device, &variant, kernel, out, index, x, count, RANGE, 1));
    } else {
        CLM_TRY(clm_buffer_create(&partial, device, parts * sizeof(float), "partial sums"));
        CLM_TRY(reduce_ranges(device, &variant, kernel, partial, 0, x, count, RANGE, parts));
        CLM_TRY(
            reduce_ranges(device, &variant, "reduce_sum", out, index, partial, parts, parts, 1));
    }
cleanup:
    clm_buffer_release(partial);
    return status;
}

clm_status clm_reduce_sum(clm_device *device, clm_buffer *out, int out_index, const clm_buffer *x,
                          size_t count) {
    return reduce(device, "reduce_sum", out, out_index, x, count);
}

clm_status clm_reduce_square_sum(clm_device *device, clm_buffer *out, int out_index,
                                 const clm_buffer *x, size_t count) {
    return reduce(device, "reduce_square_sum", out, out_index, x, count);
}

clm_status clm_reduce_nonfinite(clm_device *device, clm_buffer *out, int out_index,
                                const clm_buffer *x, size_t count) {
    return reduce(device, "reduce_nonfinite", out, out_index, x, count);
}

static clm_status column_parts(clm_device *device, const clm_ops_variant *variant, clm_buffer *out,
                               size_t out_offset, const clm_buffer *x, int rows, int N,
                               bool accumulate) {
    const bool is_item = variant->local == 1;
    clm_launch launch = clm_launch_begin(device, "reduce", "reduce_columns", variant->options);
    clm_launch_buffer(&launch, out);
    clm_launch_ulong(&launch, out_offset);
    clm_launch_buffer(&launch, x);
    clm_launch_int(&launch, rows);
    clm_launch_int(&launch, N);
    clm_launch_int(&launch, PART_ROWS);
    clm_launch_int(&launch, accumulate);
    const size_t parts = (size_t)(rows - 1) / PART_ROWS + 1;
    if (!is_item) {
        return clm_ops_launch_rows(&launch, variant, N, parts);
    }
    const size_t columns = (size_t)variant->width * ITEM_VECTORS;
    return clm_launch_2d(&launch, (const size_t[2]){((size_t)N - 1) / columns + 1, parts},
                         (const size_t[2]){1, 1});
}

clm_status clm_reduce_columns(clm_device *device, clm_buffer *out, size_t out_offset,
                              const clm_buffer *x, int rows, int N, bool accumulate) {
    const char *op = "reduce";
    clm_status status = CLM_OK;
    clm_buffer *from = NULL;
    clm_buffer *to = NULL;
    CLM_TRY(clm_ops_check_positive(op, "rows and N", rows, N, 1));
    if (out_offset > SIZE_MAX - (size_t)N) {
        return clm_fail(CLM_ERROR_SHAPE, "reduce: there is no out[%zu]", out_offset);
    }
    CLM_TRY(clm_ops_check_buffer(op, "out", out, 1, out_offset + (size_t)N, sizeof(float)));
    CLM_TRY(clm_ops_check_buffer(op, "x", x, (size_t)rows, (size_t)N, sizeof(float)));
    clm_ops_variant variant = clm_ops_variant_for(device, "reduce");
    while (rows > PART_ROWS) {
        int parts = (rows - 1) / PART_ROWS + 1;
        CLM_TRY(clm_buffer_create(&to, device, (size_t)parts * (size_t)N * sizeof(float),
                                  "partial column sums"));
        CLM_TRY(column_parts(device, &variant, to, 0, from != NULL ? from : x, rows, N, false));
        clm_buffer_release(from);
        from = to;
        to = NULL;
        rows = parts;
    }
    status = column_parts(device, &variant, out, out_offset, from != NULL ? from : x, rows, N,
                          accumulate);
cleanup:
    clm_buffer_release(to);
    clm_buffer_release(from);
    return status;
}
