/* Products in half arithmetic: emulated on every device, where the bits are known, and by the
 * device's own halves where it has them; and when clm_gemm() takes them.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gemm_cases.h"
#include "ops/gemm_backend.h"
#include "reference/convert.h"
#include "reference/gemm_half.h"
#include "support/test_devices.h"

/* A product of packed f16 weights, on both sides. */
typedef struct half_case {
    int M, N, K;
    bool a_transposed;
    size_t piece_bytes; /* of packed weights, at most */
    float *a, *b, *c;   /* dense; b (K,N) as it is stored */
    clm_buffer *a_buffer, *c_buffer;
    clm_gemm_packed *packed;
} half_case;

static void set_arithmetic(const char *text) {
    assert_int_equal(0, setenv("CLM_HALF_ARITHMETIC", text, 1));
}

static int reset_arithmetic(void **state) {
    (void)state;
    return unsetenv("CLM_HALF_ARITHMETIC");
}

static float stored(float x) {
    return clm_reference_f16_to_f32(clm_reference_f32_to_f16(x));
}

/* Random, with a few subnormal halves among them; C begins as what must not be read. */
static void make_case(half_case *test, clm_device *device, clm_gemm_backend backend) {
    const size_t a_count = (size_t)test->M * (size_t)test->K;
    const size_t b_count = (size_t)test->K * (size_t)test->N;
    const size_t c_count = (size_t)test->M * (size_t)test->N;
    test->a = malloc(a_count * sizeof(float));
    test->b = malloc(b_count * sizeof(float));
    test->c = malloc(c_count * sizeof(float));
    assert_true(test->a != NULL && test->b != NULL && test->c != NULL);
    clm_test_fill_normal(test->a, a_count, 1.0f);
    clm_test_fill_normal(test->b, b_count, 0.5f);
    for (size_t i = 0; i < a_count; i += 7) {
        test->a[i] *= 1e-5f;
    }
    for (size_t i = 0; i < b_count; i++) {
        test->b[i] = stored(i % 11 == 0 ? test->b[i] * 1e-4f : test->b[i]);
    }
    clm_buffer *b = clm_test_buffer(device, test->b, b_count);
    assert_ok(clm_gemm_pack_with(&test->packed, device, backend, test->piece_bytes, b, 0, 0, false,
                                 test->K, test->N, CLM_GEMM_F16));
    clm_test_buffer_check(b, b_count);
    test->a_buffer = clm_test_buffer(device, test->a, a_count);
    test->c_buffer = clm_test_buffer(device, NULL, c_count);
}

static void free_case(half_case *test) {
    clm_gemm_packed_release(test->packed);
    clm_test_buffer_check(test->a_buffer, (size_t)test->M * (size_t)test->K);
    clm_test_buffer_check(test->c_buffer, (size_t)test->M * (size_t)test->N);
    free(test->a);
    free(test->b);
    free(test->c);
}

static clm_gemm_arguments arguments_of(const half_case *test) {
    return (clm_gemm_arguments){.M = test->M,
                                .N = test->N,
                                .K = test->K,
                                .a_transposed = test->a_transposed,
                                .a = test->a_buffer,
                                .b_packed = test->packed,
                                .c = test->c_buffer};
}

static clm_reference_gemm_arguments right_of(const half_case *test) {
    return (clm_reference_gemm_arguments){.M = test->M,
                                          .N = test->N,
                                          .K = test->K,
                                          .a_transposed = test->a_transposed,
                                          .a = test->a,
                                          .lda = test->a_transposed ? test->M : test->K,
                                          .b = test->b,
                                          .ldb = test->N,
                                          .c = test->c,
                                          .ldc = test->N};
}

static void read_c(const half_case *test, float *got) {
    clm_test_buffer_read(test->c_buffer, got, (size_t)test->M * (size_t)test->N);
}

/* At and around blocks and chunks; and a K of GPT-2's. */
static const int shapes[][3] = {{17, 1, 1},     {17, 3, 15},   {63, 64, 16},
                                {64, 65, 17},   {65, 4, 33},   {66, 131, 48},
                                {130, 61, 100}, {33, 257, 31}, {19, 70, 768}};
enum { SHAPE_COUNT = sizeof shapes / sizeof *shapes };

static half_case case_of(int i) {
    half_case test = {.M = shapes[i][0], .N = shapes[i][1], .K = shapes[i][2]};
    test.a_transposed = i % 2 != 0;
    test.piece_bytes = i % 3 == 0 ? 1 : SIZE_MAX;
    return test;
}

/* ---- the product ---- */

/* Emulated, it has the bits of the reference, whichever way the weights are packed. */
static void exact_on(clm_device *device) {
    for (int i = 0; i < SHAPE_COUNT - (clm_test_is_simulator(device) ? 3 : 0); i++) {
        for (int form = 0; form < FORM_COUNT; form++) {
            half_case test = case_of(i);
            make_case(&test, device, gemm_forms[form]);
            const size_t count = (size_t)test.M * (size_t)test.N;
            float *got = malloc(count * sizeof *got);
            assert_non_null(got);
            const clm_gemm_arguments product = arguments_of(&test);
            const clm_reference_gemm_arguments right = right_of(&test);
            assert_ok(gemm_in(device, CLM_GEMM_IN_HALVES, &product));
            read_c(&test, got);
            clm_reference_gemm_half(&right);
            for (size_t at = 0; at < count; at++) {
                if (memcmp(&got[at], &test.c[at], sizeof *got) != 0) {
                    fail_msg("M=%d N=%d K=%d, form %d: c[%zu] is %a, not %a", test.M, test.N,
                             test.K, form, at, (double)got[at], (double)test.c[at]);
                }
            }
            free(got);
            free_case(&test);
        }
    }
}

static void test_exact(void **state) {
    (void)state;
    set_arithmetic("emulated");
    clm_test_each_device(exact_on);
}

/* As close to the product of floats as halves allow: by the device's own halves where it has them,
 * and emulated. */
static void close_on(clm_device *device) {
    for (int i = 0; i < SHAPE_COUNT - (clm_test_is_simulator(device) ? 3 : 0); i++) {
        half_case test = case_of(i);
        make_case(&test, device, gemm_forms[i % FORM_COUNT]);
        const size_t count = (size_t)test.M * (size_t)test.N;
        float *got = malloc(count * sizeof *got);
        float *bound = malloc(count * sizeof *bound);
        assert_true(got != NULL && bound != NULL);
        const clm_gemm_arguments product = arguments_of(&test);
        const clm_reference_gemm_arguments right = right_of(&test);
        assert_ok(gemm_in(device, CLM_GEMM_IN_HALVES, &product));
        read_c(&test, got);
        clm_reference_gemm(&right);
        clm_reference_gemm_bound(&right, bound);
        for (size_t at = 0; at < count; at++) {
            const double tolerance =
                clm_reference_gemm_half_tolerance(test.K, (double)bound[at], 6.0);
            if (!(fabs((double)got[at] - (double)test.c[at]) <= tolerance)) {
                fail_msg("M=%d N=%d K=%d: c[%zu] is %.9g, not %.9g within %g", test.M, test.N,
                         test.K, at, (double)got[at], (double)test.c[at], tolerance);
            }
        }
        free(bound);
        free(got);
        free_case(&test);
    }
}

static void own_halves_on(clm_device *device) {
    set_arithmetic(clm_device_get_info(device)->has_fp16 ? "on" : "emulated");
    close_on(device);
}

static void test_close(void **state) {
    (void)state;
    clm_test_each_device(own_halves_on);
}

/* Tails, and C added to, do what they do to the same product without them. */
static void tails_on(clm_device *device) {
    for (int bits = 0; bits < 17; bits++) {
        half_case test = {.M = 37, .N = 53, .K = 20, .piece_bytes = 1};
        float got[37 * 53], pre_got[37 * 53], residual[37 * 53], bias[53];
        enum { COUNT = 37 * 53 };
        const bool adds = bits == 16;
        clm_test_fill_normal(residual, COUNT, 1.0f);
        clm_test_fill_normal(bias, 53, 1.0f);
        make_case(&test, device, gemm_forms[bits % FORM_COUNT]);
        clm_buffer *bias_buffer = clm_test_buffer(device, bias, 53);
        clm_buffer *pre = clm_test_buffer(device, NULL, COUNT);
        clm_buffer *c = clm_test_buffer(device, residual, COUNT);
        clm_gemm_arguments product = arguments_of(&test);
        product.c = c;
        product.bias = (bits & 1) != 0 ? bias_buffer : NULL;
        product.gelu = (bits & 2) != 0;
        product.pre = (bits & 4) != 0 ? pre : NULL;
        /* c itself where that is allowed */
        clm_buffer *other = clm_test_buffer(device, residual, COUNT);
        product.residual = (bits & 8) == 0 ? NULL : (bits & 6) == 0 ? c : other;
        product.accumulate = adds;
        const clm_reference_gemm_arguments right = right_of(&test);
        clm_reference_gemm_half(&right);
        assert_ok(gemm_in(device, CLM_GEMM_IN_HALVES, &product));
        clm_test_buffer_read(c, got, COUNT);
        clm_test_buffer_read(pre, pre_got, COUNT);
        /* The tail in plain C: a product of depth 1 with 1 that gets this bias and residual. */
        for (int at = 0; at < COUNT; at++) {
            const float one = 1.0f;
            float expected = adds ? residual[at] : 0.0f, pre_expected = 0.0f;
            const clm_reference_gemm_arguments tail = {
                .M = 1,
                .N = 1,
                .K = 1,
                .a = &one,
                .lda = 1,
                .b = &test.c[at],
                .ldb = 1,
                .c = &expected,
                .ldc = 1,
                .accumulate = adds,
                .bias = product.bias != NULL ? &bias[at % 53] : NULL,
                .gelu = product.gelu,
                .pre = product.pre != NULL ? &pre_expected : NULL,
                .residual = product.residual != NULL ? &residual[at] : NULL};
            clm_reference_gemm(&tail);
            assert_true(fabs((double)got[at] - (double)expected) <=
                        4e-6 * (1 + fabs((double)expected)));
            assert_true(product.pre == NULL || fabs((double)pre_got[at] - (double)pre_expected) <=
                                                   1e-6 * (1 + fabs((double)pre_expected)));
        }
        clm_test_buffer_check(other, COUNT);
        clm_test_buffer_check(bias_buffer, 53);
        clm_test_buffer_check(pre, COUNT);
        clm_test_buffer_check(c, COUNT);
        free_case(&test);
    }
}

static void test_tails(void **state) {
    (void)state;
    set_arithmetic("emulated");
    clm_test_each_device(tails_on);
}

/* What is not finite, or too large for a half, comes through in its row or column; nowhere else. */
static void not_finite_on(clm_device *device) {
    static const float specials[] = {NAN, INFINITY, -INFINITY, 65520.0f, 65519.0f};
    set_arithmetic(clm_device_get_info(device)->has_fp16 ? "on" : "emulated");
    for (int i = 0; i < 2 * 5; i++) {
        const bool in_a = i % 2 == 0;
        const float special = specials[i / 2];
        enum { M = 37, N = 53, K = 40 };
        float a[M * K], b[K * N], c[M * N];
        if (!in_a && isfinite(special)) {
            continue; /* packing refuses it */
        }
        for (int k = 0; k < M * K; k++) {
            a[k] = 0.5f;
        }
        for (int k = 0; k < K * N; k++) {
            b[k] = 0.5f;
        }
        *(in_a ? &a[7 * K + 30] : &b[30 * N + 49]) = special;
        clm_gemm_packed *packed = NULL;
        clm_buffer *a_buffer = clm_test_buffer(device, a, M * K);
        clm_buffer *b_buffer = clm_test_buffer(device, b, K * N);
        clm_buffer *c_buffer = clm_test_buffer(device, NULL, M * N);
        assert_ok(clm_gemm_pack(&packed, device, b_buffer, 0, 0, false, K, N, CLM_GEMM_F16));
        const clm_gemm_arguments product = {
            .M = M, .N = N, .K = K, .a = a_buffer, .b_packed = packed, .c = c_buffer};
        assert_ok(gemm_in(device, CLM_GEMM_IN_HALVES, &product));
        clm_test_buffer_read(c_buffer, c, M * N);
        for (int at = 0; at < M * N; at++) {
            const bool there = in_a ? at / N == 7 : at % N == 49;
            const bool stays_finite = !there || special == 65519.0f;
            assert_int_equal(stays_finite, isfinite(c[at]) != 0);
            assert_true(there || c[at] == K * 0.25f);
            assert_int_equal(there && isnan(special), isnan(c[at]) != 0);
        }
        clm_gemm_packed_release(packed);
        clm_test_buffer_check(a_buffer, M * K);
        clm_test_buffer_check(b_buffer, K * N);
        clm_test_buffer_check(c_buffer, M * N);
    }
}

static void test_not_finite(void **state) {
    (void)state;
    clm_test_each_device(not_finite_on);
}

/* ---- when it is used ---- */

/* clm_gemm() takes halves for f16 weights and more than a few rows, and nothing else does. */
static void seam_on(clm_device *device) {
    half_case test = {.M = 37, .N = 53, .K = 40, .piece_bytes = SIZE_MAX};
    enum { COUNT = 37 * 53 };
    float halves[COUNT], got[COUNT], floats[COUNT];
    clm_gemm_backend backend = CLM_GEMM_AUTO;
    assert_ok(clm_gemm_resolve(device, &backend));
    make_case(&test, device, backend);
    clm_gemm_arguments product = arguments_of(&test);
    assert_ok(gemm_in(device, CLM_GEMM_IN_FLOATS, &product));
    read_c(&test, floats);
    assert_ok(gemm_in(device, CLM_GEMM_IN_HALVES, &product));
    read_c(&test, halves);
    assert_memory_not_equal(halves, floats, sizeof floats);
    assert_ok(clm_gemm_on_lent_scratch(device, &product));
    read_c(&test, got);
    assert_memory_equal(got, halves, sizeof halves);
    assert_ok(gemm_by(device, backend, &product));
    read_c(&test, got);
    assert_memory_equal(got, floats, sizeof floats);

    /* Replaced by the self-test, and back. */
    assert_ok(clm_gemm_use_arithmetic(device, CLM_GEMM_IN_FLOATS));
    assert_ok(clm_gemm_on_lent_scratch(device, &product));
    read_c(&test, got);
    assert_memory_equal(got, floats, sizeof floats);
    assert_ok(clm_gemm_use_arithmetic(device, CLM_GEMM_ARITHMETIC_AUTO));

    product.M = CLM_GEMM_FEW_ROWS;
    assert_status(CLM_ERROR_UNSUPPORTED, gemm_in(device, CLM_GEMM_IN_HALVES, &product));
    product.M = test.M;
    product.b_packed = NULL;
    product.b = test.a_buffer;
    product.N = 1;
    assert_status(CLM_ERROR_UNSUPPORTED, gemm_in(device, CLM_GEMM_IN_HALVES, &product));
    free_case(&test);
}

static void seam_alone_on(clm_device *device) {
    clm_device *alone = clm_test_open_again(device);
    seam_on(alone);
    clm_device_close(alone);
}

static void test_seam(void **state) {
    (void)state;
    set_arithmetic("emulated");
    clm_test_each_device(seam_alone_on);
}

/* What the environment says, and what the device has. */
static void environment_on(clm_device *device) {
    static const struct {
        const char *text;
        clm_gemm_halves with, without;
    } rows[] = {{"", CLM_GEMM_HALVES, CLM_GEMM_NO_HALVES},
                {"auto", CLM_GEMM_HALVES, CLM_GEMM_NO_HALVES},
                {"off", CLM_GEMM_NO_HALVES, CLM_GEMM_NO_HALVES},
                {"emulated", CLM_GEMM_HALVES_EMULATED, CLM_GEMM_HALVES_EMULATED}};
    const bool has = clm_device_get_info(device)->has_fp16;
    clm_gemm_halves halves = CLM_GEMM_NO_HALVES;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        set_arithmetic(rows[i].text);
        assert_ok(clm_gemm_halves_of(device, &halves));
        assert_int_equal(halves, has ? rows[i].with : rows[i].without);
    }
    set_arithmetic("on");
    if (has) {
        assert_ok(clm_gemm_halves_of(device, &halves));
        assert_int_equal(halves, CLM_GEMM_HALVES_FORCED);
    } else {
        assert_status(CLM_ERROR_UNSUPPORTED, clm_gemm_halves_of(device, &halves));
        assert_message_has(clm_device_get_info(device)->name);
    }
    set_arithmetic("quarter");
    assert_status(CLM_ERROR_ARGUMENT, clm_gemm_halves_of(device, &halves));
    assert_message_has("\"quarter\"");
    set_arithmetic("off");
    clm_gemm_arithmetic arithmetic = CLM_GEMM_IN_HALVES;
    assert_ok(clm_gemm_choose_arithmetic(device, &arithmetic));
    assert_int_equal(arithmetic, CLM_GEMM_IN_FLOATS);
}

static void test_environment(void **state) {
    (void)state;
    clm_test_each_device(environment_on);
}

/* Both are timed; the device that has halves keeps what was found. */
static void measured_on(clm_device *device) {
    const bool has = clm_device_get_info(device)->has_fp16;
    double floats = 0, halves = 0;
    if (clm_test_is_simulator(device) || clm_device_vector_width(device) < 8) {
        return; /* emulated halves take long there */
    }
    set_arithmetic(has ? "auto" : "emulated");
    assert_ok(clm_gemm_measure_halves(device, &floats, &halves));
    assert_true(floats > 0 && halves > 0);
    clm_gemm_arithmetic chosen = CLM_GEMM_ARITHMETIC_AUTO;
    assert_ok(clm_gemm_choose_arithmetic(device, &chosen));
    assert_true(has ? chosen != CLM_GEMM_ARITHMETIC_AUTO : chosen == CLM_GEMM_IN_HALVES);
}

static void test_measured(void **state) {
    (void)state;
    clm_test_each_device(measured_on);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_exact, reset_arithmetic),
        cmocka_unit_test_teardown(test_close, reset_arithmetic),
        cmocka_unit_test_teardown(test_tails, reset_arithmetic),
        cmocka_unit_test_teardown(test_not_finite, reset_arithmetic),
        cmocka_unit_test_teardown(test_seam, reset_arithmetic),
        cmocka_unit_test_teardown(test_environment, reset_arithmetic),
        cmocka_unit_test_teardown(test_measured, reset_arithmetic),
    };
    /* Building CLBlast, to measure which GEMM is the faster, takes a minute on some. */
    if (setenv("CLM_GEMM", "own", 1) != 0) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, clm_test_close_devices);
}
