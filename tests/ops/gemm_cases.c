/* SPDX-License-Identifier: Apache-2.0 */
#include "gemm_cases.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/string.h"
#include "reference/convert.h"
#include "reference/gemm.h"
#include "support/test_scratch.h"

/* Rounding error of a sum of K fused multiply-adds, and of adding it to C in parts: at most
 * (K + K / 16 + 4) * 2^-24 * (|A| |B| + |C|) in any order (Higham 2002, section 3.1). Forgetting
 * one of K products changes a result by about |A| |B| / K, which is far more for the K tested. */
static double product_tolerance(int K, double bound) {
    return (K + K / 16.0 + 4.0) * 0x1p-24 * bound;
}

typedef struct gemm_data {
    size_t a_count, b_count, c_count, dense_count;
    float *a, *b, *c, *bias, *residual;
    float *b_stored;
    float *c_expected, *pre_expected, *bound;
    float *c_got, *pre_got;
} gemm_data;

typedef struct gemm_buffers {
    clm_buffer *a, *b, *c, *bias, *pre, *residual;
    clm_gemm_packed *packed;
} gemm_buffers;

static float *floats(size_t count) {
    float *values = malloc((count > 0 ? count : 1) * sizeof *values);
    assert_non_null(values);
    return values;
}

static float *normals(size_t count) {
    float *values = floats(count);
    clm_test_fill_normal(values, count, 1.0f);
    return values;
}

static int a_stride(const gemm_case *test) {
    return (test->a_transposed ? test->M : test->K) + test->gaps.a_gap;
}

static int b_stride(const gemm_case *test) {
    return (test->b_transposed ? test->K : test->N) + test->gaps.b_gap;
}

static int c_stride(const gemm_case *test) {
    return test->N + test->gaps.c_gap;
}

/* From the offset to the last row's last element, so that an overrun meets the guard. */
static size_t count_of(int offset, int rows, int columns, int stride) {
    return (size_t)offset + (size_t)(rows - 1) * (size_t)stride + (size_t)columns;
}

static void make_data(gemm_data *data, const gemm_case *test) {
    int a_rows = test->a_transposed ? test->K : test->M;
    int b_rows = test->b_transposed ? test->N : test->K;
    data->a_count =
        count_of(test->gaps.a_offset, a_rows, a_stride(test) - test->gaps.a_gap, a_stride(test));
    data->b_count =
        count_of(test->gaps.b_offset, b_rows, b_stride(test) - test->gaps.b_gap, b_stride(test));
    data->c_count = count_of(test->gaps.c_offset, test->M, test->N, c_stride(test));
    data->dense_count = (size_t)test->M * (size_t)test->N;
    data->a = normals(data->a_count);
    data->b = normals(data->b_count);
    data->c = normals(data->c_count);
    data->b_stored = floats(data->b_count);
    memcpy(data->b_stored, data->b, data->b_count * sizeof *data->b);
    data->bias = normals((size_t)test->N);
    data->residual = normals(data->dense_count);
    data->c_expected = floats(data->c_count);
    data->pre_expected = floats(data->dense_count);
    data->bound = floats(data->dense_count);
    data->c_got = floats(data->c_count);
    data->pre_got = floats(data->dense_count);
}

static void free_data(gemm_data *data) {
    float *all[] = {data->a,     data->b,        data->b_stored,   data->c,
                    data->bias,  data->residual, data->c_expected, data->pre_expected,
                    data->bound, data->c_got,    data->pre_got};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        free(all[i]);
    }
}

/* The weights as they are stored: what is left is f32's own rounding. */
static void round_weights(gemm_data *data, const gemm_case *test) {
    for (size_t i = 0; i < data->b_count && test->storage != CLM_GEMM_F32; i++) {
        data->b_stored[i] = test->storage == CLM_GEMM_F16
                                ? clm_reference_f16_to_f32(clm_reference_f32_to_f16(data->b[i]))
                                : clm_reference_bf16_to_f32(clm_reference_f32_to_bf16(data->b[i]));
    }
}

static void compute_expected(gemm_data *data, const gemm_case *test) {
    memcpy(data->c_expected, data->c, data->c_count * sizeof *data->c);
    round_weights(data, test);
    clm_reference_gemm_arguments reference = {
        .M = test->M,
        .N = test->N,
        .K = test->K,
        .a_transposed = test->a_transposed,
        .b_transposed = test->b_transposed,
        .a = data->a + test->gaps.a_offset,
        .lda = a_stride(test),
        .b = data->b_stored + test->gaps.b_offset,
        .ldb = b_stride(test),
        .c = data->c_expected + test->gaps.c_offset,
        .ldc = c_stride(test),
        .accumulate = test->accumulate,
        .bias = test->bias ? data->bias : NULL,
        .gelu = test->gelu,
        .pre = test->pre ? data->pre_expected : NULL,
        .residual = test->residual != NO_RESIDUAL ? data->residual : NULL,
    };
    clm_reference_gemm_bound(&reference, data->bound);
    clm_reference_gemm(&reference);
}

/* What C holds before: what is added to; the residual; or NaN, which must not be read. Between its
 * rows there are numbers that must stay. */
static void fill_c(gemm_data *data, const gemm_case *test) {
    for (size_t m = 0; m < (size_t)test->M; m++) {
        for (size_t n = 0; n < (size_t)test->N; n++) {
            size_t at = (size_t)test->gaps.c_offset + m * (size_t)c_stride(test) + n;
            if (test->residual == RESIDUAL_IS_C) {
                data->c[at] = data->residual[m * (size_t)test->N + n];
            } else if (!test->accumulate) {
                data->c[at] = NAN;
            }
        }
    }
}

static void make_buffers(gemm_buffers *buffers, clm_device *device, clm_gemm_backend backend,
                         const gemm_data *data, const gemm_case *test) {
    buffers->a = clm_test_buffer(device, data->a, data->a_count);
    buffers->b = clm_test_buffer(device, data->b, data->b_count);
    buffers->c = clm_test_buffer(device, data->c, data->c_count);
    if (test->bias) {
        buffers->bias = clm_test_buffer(device, data->bias, (size_t)test->N);
    }
    if (test->pre) {
        buffers->pre = clm_test_buffer(device, NULL, data->dense_count);
    }
    if (test->residual == OTHER_RESIDUAL) {
        buffers->residual = clm_test_buffer(device, data->residual, data->dense_count);
    }
    if (test->packing != NOT_PACKED) {
        /* Pieces of one panel each, or of all. */
        size_t piece_bytes = test->packing == PACKED ? SIZE_MAX : 1;
        assert_ok(clm_gemm_pack_with(&buffers->packed, device, backend, piece_bytes, buffers->b,
                                     (size_t)test->gaps.b_offset, b_stride(test),
                                     test->b_transposed, test->K, test->N, test->storage));
    }
}

static void run(clm_device *device, clm_gemm_backend backend, const gemm_buffers *buffers,
                const gemm_case *test) {
    clm_gemm_arguments arguments = {
        .M = test->M,
        .N = test->N,
        .K = test->K,
        .a_transposed = test->a_transposed,
        .b_transposed = test->b_transposed,
        .a = buffers->a,
        .a_offset = (size_t)test->gaps.a_offset,
        .lda = a_stride(test),
        .b = buffers->b,
        .b_offset = (size_t)test->gaps.b_offset,
        .ldb = b_stride(test),
        .b_packed = buffers->packed,
        .c = buffers->c,
        .c_offset = (size_t)test->gaps.c_offset,
        .ldc = c_stride(test),
        .accumulate = test->accumulate,
        .bias = buffers->bias,
        .gelu = test->gelu,
        .pre = buffers->pre,
        .residual = test->residual == RESIDUAL_IS_C ? buffers->c : buffers->residual,
        .backend = backend,
    };
    clm_test_scratch scratch =
        clm_test_scratch_begin(device, clm_gemm_scratch_bytes(device, &arguments));
    arguments.scratch = scratch.buffer;
    assert_ok(clm_gemm(device, &arguments));
    clm_test_scratch_end(&scratch);
}

static const char *const storage_names[] = {"f32", "f16", "bf16"};

static void describe(char *text, size_t capacity, clm_gemm_backend backend, const gemm_case *test) {
    (void)snprintf(text, capacity,
                   "%s M=%d N=%d K=%d %c%c gaps %d %d %d offsets %d %d %d%s%s%s%s residual %d "
                   "packing %d storage %s",
                   clm_gemm_backend_name(backend), test->M, test->N, test->K,
                   test->a_transposed ? 'T' : 'N', test->b_transposed ? 'T' : 'N', test->gaps.a_gap,
                   test->gaps.b_gap, test->gaps.c_gap, test->gaps.a_offset, test->gaps.b_offset,
                   test->gaps.c_offset, test->accumulate ? " accumulate" : "",
                   test->bias ? " bias" : "", test->gelu ? " gelu" : "", test->pre ? " pre" : "",
                   (int)test->residual, (int)test->packing, storage_names[test->storage]);
}

static void compare(const gemm_data *data, const gemm_case *test, const char *name) {
    for (size_t m = 0; m < (size_t)test->M; m++) {
        for (size_t n = 0; n < (size_t)test->N; n++) {
            size_t dense = m * (size_t)test->N + n;
            size_t at = (size_t)test->gaps.c_offset + m * (size_t)c_stride(test) + n;
            double product = product_tolerance(test->K, data->bound[dense]);
            /* The bias and the residual are rounded once each; GELU's slope is below 1.13, its own
             * error below 5e-7 * max(1, |x|), and |x| is not above the bound and the bias. */
            double size = data->bound[dense] + fabs((double)data->bias[n]) +
                          fabs((double)data->residual[dense]);
            double tolerance =
                1.13 * product + 3 * 0x1p-24 * size + (test->gelu ? 5e-7 * (1 + size) : 0);
            if (!(fabs((double)data->c_got[at] - data->c_expected[at]) <= tolerance)) {
                fail_msg("%s: c[%zu][%zu] is %.9g, not %.9g within %g", name, m, n,
                         (double)data->c_got[at], (double)data->c_expected[at], tolerance);
            }
            if (test->pre && !(fabs((double)data->pre_got[dense] - data->pre_expected[dense]) <=
                               product + 2 * 0x1p-24 * size)) {
                fail_msg("%s: pre[%zu][%zu] is %.9g, not %.9g", name, m, n,
                         (double)data->pre_got[dense], (double)data->pre_expected[dense]);
            }
        }
    }
    /* Between the rows, and before the first. */
    for (size_t i = 0; i < data->c_count; i++) {
        size_t from = i - (size_t)test->gaps.c_offset;
        bool inside =
            i >= (size_t)test->gaps.c_offset && from % (size_t)c_stride(test) < (size_t)test->N;
        if (!inside && data->c_got[i] != data->c[i]) {
            fail_msg("%s: element %zu, which is not of C, was written", name, i);
        }
    }
}

void gemm_check_case(clm_device *device, clm_gemm_backend backend, const gemm_case *test) {
    char name[256];
    gemm_data data = {0};
    gemm_buffers buffers = {0};
    describe(name, sizeof name, backend, test);
    make_data(&data, test);
    compute_expected(&data, test);
    fill_c(&data, test);
    make_buffers(&buffers, device, backend, &data, test);
    run(device, backend, &buffers, test);
    clm_test_buffer_read(buffers.c, data.c_got, data.c_count);
    if (test->pre) {
        clm_test_buffer_read(buffers.pre, data.pre_got, data.dense_count);
    }
    compare(&data, test, name);

    float *again = floats(data.c_count);
    assert_ok(clm_buffer_write(buffers.c, 0, data.c, data.c_count * sizeof(float)));
    run(device, backend, &buffers, test);
    clm_test_buffer_read(buffers.c, again, data.c_count);
    if (memcmp(again, data.c_got, data.c_count * sizeof(float)) != 0) {
        fail_msg("%s: a second run gave other bits", name);
    }
    free(again);

    clm_gemm_packed_release(buffers.packed);
    clm_test_buffer_check(buffers.a, data.a_count);
    clm_test_buffer_check(buffers.b, data.b_count);
    clm_test_buffer_check(buffers.c, data.c_count);
    if (test->bias) {
        clm_test_buffer_check(buffers.bias, (size_t)test->N);
    }
    if (test->pre) {
        clm_test_buffer_check(buffers.pre, data.dense_count);
    }
    if (test->residual == OTHER_RESIDUAL) {
        clm_test_buffer_check(buffers.residual, data.dense_count);
    }
    free_data(&data);
}

/* ---- random cases ---- */

static bool heads(void) {
    return (clm_test_random() >> 16) % 2 == 0;
}

static int below(int count) {
    return (int)((clm_test_random() >> 8) % (uint32_t)count);
}

/* One, or a multiple of a tile's size and one more or less. */
static int random_size(int largest) {
    static const int tiles[] = {4, 8, 12, 16, 24, 48, 64};
    int size = tiles[below(7)] * (1 + below(3)) + below(3) - 1;
    if (below(6) == 0) {
        size = 1 + below(3);
    }
    return size < largest ? size : 1 + below(largest);
}

gemm_case gemm_random_case(int largest) {
    gemm_case test = {.M = random_size(largest),
                      .N = random_size(largest),
                      .K = random_size(largest),
                      .a_transposed = heads(),
                      .b_transposed = heads(),
                      .accumulate = below(3) == 0,
                      .packing = (enum gemm_packing)below(3)};
    if (heads()) {
        test.gaps = (gemm_gaps){below(5), below(5), below(5), below(20), below(20), below(20)};
    }
    if (!test.accumulate) {
        test.bias = heads();
        test.gelu = heads();
        test.pre = heads();
        test.residual = (enum gemm_residual)below(test.gelu || test.pre ? 2 : 3);
        if (test.residual == RESIDUAL_IS_C) {
            test.gaps.c_gap = 0;
            test.gaps.c_offset = 0;
        }
    }
    if (test.packing != NOT_PACKED) {
        test.storage = (clm_gemm_storage)below(3);
    }
    return test;
}

clm_status gemm_by(clm_device *device, clm_gemm_backend backend,
                   const clm_gemm_arguments *arguments) {
    clm_gemm_arguments product = *arguments;
    product.backend = backend;
    return clm_gemm_on_lent_scratch(device, &product);
}

clm_status gemm_in(clm_device *device, clm_gemm_arithmetic arithmetic,
                   const clm_gemm_arguments *arguments) {
    clm_gemm_arguments product = *arguments;
    product.arithmetic = arithmetic;
    return clm_gemm_on_lent_scratch(device, &product);
}

const clm_gemm_backend gemm_forms[FORM_COUNT] = {CLM_GEMM_OWN_PANELS, CLM_GEMM_OWN_TILED};

void gemm_check_forms(clm_device *device, const gemm_case *test) {
    for (int i = 0; i < FORM_COUNT; i++) {
        gemm_check_case(device, gemm_forms[i], test);
    }
}
