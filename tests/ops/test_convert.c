/* SPDX-License-Identifier: Apache-2.0 */
#include "op_test.h"
#include "reference/convert.h"

enum { all_halves = 65536 };

typedef clm_status convert_op(clm_device *device, clm_buffer *out, const clm_buffer *x,
                              size_t count);

/* A format, its conversions, and those of the reference. */
typedef struct format {
    convert_op *narrow, *widen;
    uint16_t (*reference_narrow)(float x);
    float (*reference_widen)(uint16_t bits);
    uint16_t infinity, quiet;
} format;

static const format formats[2] = {
    {clm_convert_f32_to_f16, clm_convert_f16_to_f32, clm_reference_f32_to_f16,
     clm_reference_f16_to_f32, 0x7C00, 0x0200},
    {clm_convert_f32_to_bf16, clm_convert_bf16_to_f32, clm_reference_f32_to_bf16,
     clm_reference_bf16_to_f32, 0x7F80, 0x0040},
};

static uint32_t bits_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static uint32_t *words(size_t count) {
    uint32_t *memory = calloc(count + 1, sizeof *memory);
    assert_non_null(memory);
    return memory;
}

/* Whether a result is the reference's, bit for bit; of a NaN, any quiet one with its sign. */
static bool narrowed_right(const format *f, uint16_t got, float x) {
    if (isnan(x)) {
        return (got & f->infinity) == f->infinity && (got & f->quiet) != 0 &&
               (got & 0x8000) >> 15 == (int)(bits_of(x) >> 31);
    }
    return got == f->reference_narrow(x);
}

static void check_narrow(clm_device *device, const format *f, const uint32_t *bits, size_t count) {
    size_t pairs = count / 2 + 1; /* `count` is even: the last pair stays as it was */
    uint32_t *packed = words(pairs);
    clm_buffer *x = clm_test_buffer(device, bits, count);
    clm_buffer *out = clm_test_buffer(device, NULL, pairs);
    assert_ok(f->narrow(device, out, x, count));
    clm_test_buffer_read(out, packed, pairs);
    assert_int_equal(packed[pairs - 1], 0x7FC00000);
    for (size_t i = 0; i < count; i++) {
        uint16_t got = (uint16_t)(packed[i / 2] >> (i % 2 * 16));
        if (!narrowed_right(f, got, float_of(bits[i]))) {
            fail_msg("%08x (%g) became %04x, not %04x", bits[i], (double)float_of(bits[i]), got,
                     f->reference_narrow(float_of(bits[i])));
        }
        assert_false(
            narrowed_right(f, got ^ (isnan(float_of(bits[i])) ? 0x8000 : 1), float_of(bits[i])));
    }
    clm_test_buffer_check(x, count);
    clm_test_buffer_check(out, pairs);
    free(packed);
}

static void all_patterns_widen_exactly_on(clm_device *device) {
    if (is_slow(device)) {
        return;
    }
    uint32_t *packed = words(all_halves / 2);
    float *values = normal_floats(all_halves, 1.0F);
    for (uint32_t i = 0; i < all_halves / 2; i++) {
        packed[i] = (2 * i) | (2 * i + 1) << 16;
    }
    for (int k = 0; k < 2; k++) {
        clm_buffer *x = clm_test_buffer(device, packed, all_halves / 2);
        clm_buffer *out = clm_test_buffer(device, NULL, all_halves);
        assert_ok(formats[k].widen(device, out, x, all_halves));
        clm_test_buffer_read(out, values, all_halves);
        for (uint32_t i = 0; i < all_halves; i++) {
            float expected = formats[k].reference_widen((uint16_t)i);
            if (isnan(expected) ? !isnan(values[i]) || signbit(values[i]) != signbit(expected)
                                : bits_of(values[i]) != bits_of(expected)) {
                fail_msg("%04x became %08x, not %08x", i, bits_of(values[i]), bits_of(expected));
            }
        }
        clm_test_buffer_check(x, all_halves / 2);
        clm_test_buffer_check(out, all_halves);
    }
    free(packed);
    free(values);
}

static void all_patterns_widen_exactly(void **state) {
    (void)state;
    each_variant(all_patterns_widen_exactly_on);
}

/* Each value of the format, the floats beside it, the middle to the next one and the floats beside
 * that: everything at which rounding could go wrong, subnormals and the step to inf included. */
static void boundaries_round_to_even_on(clm_device *device) {
    if (is_slow(device)) {
        return;
    }
    enum { each = 6, count = all_halves * each };
    uint32_t *bits = words(count);
    for (int k = 0; k < 2; k++) {
        for (uint32_t i = 0; i < all_halves; i++) {
            uint32_t here = bits_of(formats[k].reference_widen((uint16_t)i));
            uint32_t next = bits_of(formats[k].reference_widen((uint16_t)(i + 1)));
            uint32_t middle = here / 2 + next / 2 + (here & next & 1);
            if (k == 0 && (i & 0x7FFF) < 0x400) { /* float bits do not rise evenly there */
                middle = bits_of(0.5F * (float_of(here) + float_of(next)));
            } else if (k == 0 && (i & 0x7FFF) == 0x7BFF) {
                middle = bits_of(copysignf(65520.0F, float_of(here)));
            }
            const uint32_t around[each] = {here - 1,   here,   here + 1,
                                           middle - 1, middle, middle + 1};
            memcpy(bits + (size_t)i * each, around, sizeof around);
        }
        check_narrow(device, &formats[k], bits, count);
    }
    free(bits);
}

static void boundaries_round_to_even(void **state) {
    (void)state;
    each_variant(boundaries_round_to_even_on);
}

static void random_patterns_round_to_even_on(clm_device *device) {
    if (is_slow(device)) {
        return;
    }
    enum { count = 100000 };
    uint32_t *bits = words(count);
    for (int i = 0; i < count; i++) {
        bits[i] = clm_test_random();
        if (i % 2 == 0) { /* exponents from 2^-27 to 2^17: those of half */
            bits[i] = (bits[i] & 0x807FFFFFU) | (100 + clm_test_random() % 45) << 23;
        }
    }
    check_narrow(device, &formats[0], bits, count);
    check_narrow(device, &formats[1], bits, count);
    free(bits);
}

static void random_patterns_round_to_even(void **state) {
    (void)state;
    each_variant(random_patterns_round_to_even_on);
}

static void every_count_stays_in_bounds_on(clm_device *device) {
    for (size_t i = 0; i < awkward_count_count(device); i++) {
        size_t count = awkward_counts[i];
        size_t pairs = count / 2 + 1;
        float *x = normal_floats(count, 1.0F);
        uint32_t *packed = words(pairs);
        clm_buffer *x_buffer = clm_test_buffer(device, x, count);
        clm_buffer *narrow = clm_test_buffer(device, NULL, pairs);
        clm_buffer *wide = clm_test_buffer(device, NULL, count);
        assert_ok(clm_convert_f32_to_f16(device, narrow, x_buffer, count));
        assert_ok(clm_convert_f16_to_f32(device, wide, narrow, count));
        clm_test_buffer_read(narrow, packed, pairs);
        /* 0x7FC00000 filled the buffer: what is past the last half is as it was. */
        assert_int_equal(count % 2 == 0 ? packed[pairs - 1] : packed[pairs - 1] >> 16 << 16,
                         0x7FC00000);
        /* Half a unit in the last of 11 bits. */
        check_buffer(wide, x, count, 0x1p-25, 0x1p-11, "there and back");
        clm_test_buffer_check(x_buffer, count);
        clm_test_buffer_check(narrow, pairs);
        free(x);
        free(packed);
    }
}

static void every_count_stays_in_bounds(void **state) {
    (void)state;
    each_variant(every_count_stays_in_bounds_on);
}

static void wrong_shapes_are_refused_on(clm_device *device) {
    clm_buffer *x = NULL;
    clm_buffer *halves = NULL;
    assert_ok(clm_buffer_create(&x, device, 10 * sizeof(float), "x"));
    assert_ok(clm_buffer_create(&halves, device, 10 * sizeof(uint16_t), "halves"));
    assert_ok(clm_buffer_zero(x, 0, 10 * sizeof(float)));
    assert_ok(clm_convert_f32_to_f16(device, halves, x, 10));
    for (int k = 0; k < 2; k++) {
        assert_status(CLM_ERROR_SHAPE, formats[k].narrow(device, halves, x, 11));
        assert_status(CLM_ERROR_SHAPE, formats[k].narrow(device, x, halves, 10));
        assert_status(CLM_ERROR_SHAPE, formats[k].widen(device, halves, x, 10));
        assert_status(CLM_ERROR_SHAPE, formats[k].widen(device, x, halves, 0));
    }
    clm_buffer_release(x);
    clm_buffer_release(halves);
}

static void wrong_shapes_are_refused(void **state) {
    (void)state;
    clm_test_each_device(wrong_shapes_are_refused_on);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_patterns_widen_exactly),
        cmocka_unit_test(boundaries_round_to_even),
        cmocka_unit_test(random_patterns_round_to_even),
        cmocka_unit_test(every_count_stays_in_bounds),
        cmocka_unit_test(wrong_shapes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, clm_test_close_devices);
}
