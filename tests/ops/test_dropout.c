/* SPDX-License-Identifier: Apache-2.0 */
#include "op_test.h"
#include "reference/dropout.h"

/* The known answers of Random123 (kat_vectors, "philox4x32 10"). */
static void philox_gives_the_published_words(void **state) {
    (void)state;
    static const uint32_t cases[3][10] = {
        {0, 0, 0, 0, 0, 0, 0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8},
        {0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0x408F276D,
         0x41C83B0E, 0xA20BC7C6, 0x6D5451FD},
        {0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344, 0xA4093822, 0x299F31D0, 0xD16CFE09,
         0x94FDCCEB, 0x5001E420, 0x24126EA1},
    };
    for (int i = 0; i < 3; i++) {
        uint32_t words[4];
        clm_reference_philox4x32_10(words, &cases[i][0], &cases[i][4]);
        for (int w = 0; w < 4; w++) {
            assert_int_equal(words[w], cases[i][6 + w]);
        }
    }
}

/* One multiplication on each side: the same bits, and so the very mask. */
static void one(clm_device *device, size_t count, float probability, uint64_t seed, uint64_t stream,
                bool in_place) {
    float *x = normal_floats(count, 1.0F);
    float *expected = normal_floats(count, 1.0F);
    clm_reference_dropout(expected, x, count, probability, seed, stream);
    clm_buffer *x_buffer = clm_test_buffer(device, x, count);
    clm_buffer *out = in_place ? x_buffer : clm_test_buffer(device, NULL, count);
    assert_ok(clm_dropout(device, out, x_buffer, count, probability, seed, stream));
    check_buffer(out, expected, count, 0.0, 0.0, "dropout");
    if (!in_place) {
        clm_test_buffer_check(x_buffer, count);
    }
    free(x);
    free(expected);
}

static void agrees_with_the_reference_on(clm_device *device) {
    static const float probabilities[] = {0.0F, 0.1F, 0.5F, 0.9F, 1e-9F, 0.99999994F};
    for (size_t i = 0; i < awkward_count_count(device); i++) {
        float probability = probabilities[i % (sizeof probabilities / sizeof *probabilities)];
        one(device, awkward_counts[i], probability, 123, i, false);
        one(device, awkward_counts[i], 0.3F, 0xFEDCBA9876543210U, UINT64_MAX - i, true);
    }
}

static void agrees_with_the_reference(void **state) {
    (void)state;
    each_variant(agrees_with_the_reference_on);
}

static size_t count_kept(const float *x, size_t count) {
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        kept += x[i] != 0.0F;
    }
    return kept;
}

/* Kept elements are binomial: within 5 standard deviations but for one run in 1.7 million. */
static void keeps_the_share_it_should_on(clm_device *device) {
    if (is_slow(device)) {
        return;
    }
    enum { count = 100000 };
    static const float probabilities[] = {0.1F, 0.5F, 0.75F};
    float *ones = normal_floats(count, 1.0F);
    for (int i = 0; i < count; i++) {
        ones[i] = 1.0F;
    }
    clm_buffer *x = clm_test_buffer(device, ones, count);
    clm_buffer *out = clm_test_buffer(device, NULL, count);
    float *other_stream = NULL;
    for (uint64_t i = 0; i < 3; i++) {
        double p = (double)probabilities[i];
        assert_ok(clm_dropout(device, out, x, count, probabilities[i], clm_test_random(), i));
        float *kept = read_floats(out, count);
        assert_close((double)count_kept(kept, count), count * (1.0 - p),
                     5.0 * sqrt(count * p * (1.0 - p)), 0.0);
        free(kept);
    }
    /* Two streams agree where chance lets them: in half of all places, for probability 1/2. */
    assert_ok(clm_dropout(device, out, x, count, 0.5F, 1, 1));
    other_stream = read_floats(out, count);
    assert_ok(clm_dropout(device, out, x, count, 0.5F, 1, 2));
    float *this_stream = read_floats(out, count);
    size_t agree = 0;
    for (int i = 0; i < count; i++) {
        agree += other_stream[i] == this_stream[i];
    }
    assert_close((double)agree, count * 0.5, 5.0 * sqrt(count * 0.25), 0.0);
    free(other_stream);
    free(this_stream);
    free(ones);
    clm_test_buffer_check(x, count);
    clm_test_buffer_check(out, count);
}

static void keeps_the_share_it_should(void **state) {
    (void)state;
    clm_test_each_device(keeps_the_share_it_should_on);
}

static void the_gradient_gets_the_same_mask_on(clm_device *device) {
    enum { count = 1001 };
    float *x = normal_floats(count, 1.0F);
    float *dout = normal_floats(count, 1.0F);
    clm_buffer *x_buffer = clm_test_buffer(device, x, count);
    clm_buffer *dout_buffer = clm_test_buffer(device, dout, count);
    assert_ok(clm_dropout(device, x_buffer, x_buffer, count, 0.4F, 9, 4));
    assert_ok(clm_dropout(device, dout_buffer, dout_buffer, count, 0.4F, 9, 4));
    float *out = read_floats(x_buffer, count);
    float *dx = read_floats(dout_buffer, count);
    for (int i = 0; i < count; i++) {
        assert_int_equal(out[i] == 0.0F, dx[i] == 0.0F);
    }
    assert_in_range(count_kept(out, count), 1, count - 1);
    free(x);
    free(dout);
    free(out);
    free(dx);
    clm_test_buffer_check(x_buffer, count);
    clm_test_buffer_check(dout_buffer, count);
}

static void the_gradient_gets_the_same_mask(void **state) {
    (void)state;
    each_variant(the_gradient_gets_the_same_mask_on);
}

static void wrong_arguments_are_refused_on(clm_device *device) {
    clm_buffer *x = NULL;
    clm_buffer *small = NULL;
    assert_ok(clm_buffer_create(&x, device, 10 * sizeof(float), "x"));
    assert_ok(clm_buffer_create(&small, device, 9 * sizeof(float), "small"));
    assert_status(CLM_ERROR_ARGUMENT, clm_dropout(device, x, x, 10, 1.0F, 0, 0));
    assert_status(CLM_ERROR_ARGUMENT, clm_dropout(device, x, x, 10, -0.1F, 0, 0));
    assert_status(CLM_ERROR_ARGUMENT, clm_dropout(device, x, x, 10, NAN, 0, 0));
    assert_message_has("probability");
    assert_status(CLM_ERROR_SHAPE, clm_dropout(device, x, small, 10, 0.5F, 0, 0));
    assert_status(CLM_ERROR_SHAPE, clm_dropout(device, small, x, 10, 0.0F, 0, 0));
    clm_buffer_release(x);
    clm_buffer_release(small);
}

static void wrong_arguments_are_refused(void **state) {
    (void)state;
    clm_test_each_device(wrong_arguments_are_refused_on);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_gives_the_published_words),
        cmocka_unit_test(agrees_with_the_reference),
        cmocka_unit_test(keeps_the_share_it_should),
        cmocka_unit_test(the_gradient_gets_the_same_mask),
        cmocka_unit_test(wrong_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, clm_test_close_devices);
}
