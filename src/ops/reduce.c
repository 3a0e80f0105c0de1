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

static size_t ranges_of(size_t count) {
    return count / RANGE + (count % RANGE != 0);
}

size_t clm_reduce_scratch_bytes(const clm_device *device, size_t count) {
    (void)device;
    return ranges_of(count) > 1 ? ranges_of(count) * sizeof(float) : 0;
}

/* Ranges do not depend on the device's cores, so that a sum's bits do not either. */
static clm_status reduce(clm_device *device, const char *kernel, clm_buffer *out, int out_index,
                         const clm_buffer *x, size_t count, clm_buffer *scratch) {
    const char *op = "reduce";
    clm_status status = CLM_OK;
    if (out_index < 0) {
        return clm_fail(CLM_ERROR_SHAPE, "reduce: there is no out[%d]", out_index);
    }
    size_t index = (size_t)out_index;
    CLM_TRY(clm_ops_check_buffer(op, "out", out, index + 1, 1, sizeof(float)));
    CLM_TRY(clm_ops_check_buffer(op, "x", x, count, 1, sizeof(float)));
    CLM_TRY(clm_ops_check_scratch(op, scratch, clm_reduce_scratch_bytes(device, count)));
    clm_ops_variant variant = clm_ops_variant_for(device, "reduce");
    const size_t ranges = ranges_of(count);
    if (ranges == 1) {
        return reduce_ranges(device, &variant, kernel, out, index, x, count, RANGE, 1);
    }
    CLM_TRY(reduce_ranges(device, &variant, kernel, scratch, 0, x, count, RANGE, ranges));
    CLM_TRY(reduce_ranges(device, &variant, "reduce_sum", out, index, scratch, ranges, ranges, 1));
cleanup:
    return status;
}

clm_status clm_reduce_sum(clm_device *device, clm_buffer *out, int out_index, const clm_buffer *x,
                          size_t count, clm_buffer *scratch) {
    return reduce(device, "reduce_sum", out, out_index, x, count, scratch);
}

clm_status clm_reduce_square_sum(clm_device *device, clm_buffer *out, int out_index,
                                 const clm_buffer *x, size_t count, clm_buffer *scratch) {
    return reduce(device, "reduce_square_sum", out, out_index, x, count, scratch);
}

clm_status clm_reduce_nonfinite(clm_device *device, clm_buffer *out, int out_index,
                                const clm_buffer *x, size_t count, clm_buffer *scratch) {
    return reduce(device, "reduce_nonfinite", out, out_index, x, count, scratch);
}

/* ---- columns ---- */

static size_t parts_of(size_t rows) {
    return (rows - 1) / PART_ROWS + 1;
}

/* Levels of parts take turns in two places of scratch: the first level's, and the second's. */
size_t clm_reduce_columns_scratch_bytes(const clm_device *device, int rows, int N) {
    (void)device;
    if (rows <= PART_ROWS || N <= 0) {
        return 0;
    }
    const size_t parts = parts_of((size_t)rows);
    return (parts + (parts > PART_ROWS ? parts_of(parts) : 0)) * (size_t)N * sizeof(float);
}

static clm_status column_parts(clm_device *device, clm_buffer *out, size_t out_offset,
                               const clm_buffer *x, size_t x_offset, size_t rows, int N,
                               bool accumulate) {
    const clm_ops_variant variant = clm_ops_variant_for(device, "reduce");
    clm_launch launch = clm_launch_begin(device, "reduce", "reduce_columns", variant.options);
    clm_launch_buffer(&launch, out);
    clm_launch_ulong(&launch, out_offset);
    clm_launch_buffer(&launch, x);
    clm_launch_ulong(&launch, x_offset);
    clm_launch_int(&launch, (int)rows);
    clm_launch_int(&launch, N);
    clm_launch_int(&launch, PART_ROWS);
    clm_launch_int(&launch, accumulate);
    const size_t parts = parts_of(rows);
    if (variant.local > 1) {
        return clm_ops_launch_rows(&launch, &variant, N, parts);
    }
    const size_t columns = (size_t)variant.width * ITEM_VECTORS;
    return clm_launch_2d(&launch, (const size_t[2]){((size_t)N - 1) / columns + 1, parts},
                         (const size_t[2]){1, 1});
}

clm_status clm_reduce_columns(clm_device *device, clm_buffer *out, size_t out_offset,
                              const clm_buffer *x, size_t x_offset, int rows, int N,
                              bool accumulate, clm_buffer *scratch) {
    const char *op = "reduce";
    clm_status status = CLM_OK;
    CLM_TRY(clm_ops_check_positive(op, "rows and N", rows, N, 1));
    const size_t columns = (size_t)N;
    size_t left = (size_t)rows;
    if (out_offset > SIZE_MAX - columns || x_offset > SIZE_MAX - left * columns) {
        return clm_fail(CLM_ERROR_SHAPE, "reduce: there is no out[%zu] or x[%zu]", out_offset,
                        x_offset);
    }
    CLM_TRY(clm_ops_check_buffer(op, "out", out, 1, out_offset + columns, sizeof(float)));
    CLM_TRY(clm_ops_check_buffer(op, "x", x, 1, x_offset + left * columns, sizeof(float)));
    CLM_TRY(clm_ops_check_scratch(op, scratch, clm_reduce_columns_scratch_bytes(device, rows, N)));
    const size_t second_offset = parts_of(left) * columns;
    for (size_t offset = 0; left > PART_ROWS; offset = second_offset - offset) {
        CLM_TRY(column_parts(device, scratch, offset, x, x_offset, left, N, false));
        x = scratch;
        x_offset = offset;
        left = parts_of(left);
    }
    status = column_parts(device, out, out_offset, x, x_offset, left, N, accumulate);
cleanup:
    return status;
}
