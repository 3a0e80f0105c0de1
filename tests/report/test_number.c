/* SPDX-License-Identifier: Apache-2.0 */
#include "support/test_support.h"

#include <locale.h>
#include <math.h>

#include "report/number.h"

static void assert_number(double value, int decimals, bool grouped, const char *expected) {
    clm_string out = {0};
    clm_number_add(&out, value, decimals, grouped);
    assert_string_equal(out.text, expected);
    clm_string_free(&out);
}

static void numbers_read_well(void **state) {
    (void)state;
    assert_number(0.0, 0, true, "0");
    assert_number(0.05, 1, true, "0.1");
    assert_number(-0.004, 2, true, "0.00");
    assert_number(-1234.5, 1, true, "-1,234.5");
    assert_number(999999.6, 0, true, "1,000,000");
    assert_number(999.0, 0, true, "999");
    assert_number(1234567.0, 0, false, "1234567");
    assert_number(7.0, 9, false, "7.000000000");
    assert_number(NAN, 0, true, "-");
    assert_number(1e300, 2, true, "-");
}

static void assert_short(double value, const char *expected) {
    clm_string out = {0};
    clm_number_add_short(&out, value);
    assert_string_equal(out.text, expected);
    clm_string_free(&out);
}

static void short_numbers_have_three_digits(void **state) {
    (void)state;
    assert_short(0.0, "0");
    assert_short(1234.4, "1,234");
    assert_short(99.96, "100");
    assert_short(99.94, "99.9");
    assert_short(9.996, "10.0");
    assert_short(1.234, "1.23");
    assert_short(0.01234, "0.0123");
    assert_short(1e-30, "0.000000000");
    assert_short(1e30, "-");
    assert_short(NAN, "-");
}

static void a_locale_changes_nothing(void **state) {
    (void)state;
    if (setlocale(LC_ALL, "de_DE.UTF-8") == NULL) {
        print_message("no German locale here: only the C locale is tested\n");
    }
    assert_number(1234.5, 1, true, "1,234.5");
    (void)setlocale(LC_ALL, "C");
}

static void assert_ticks(double low, double high, int wanted, bool whole, int count, double first,
                         double step, int decimals) {
    clm_ticks ticks;
    clm_ticks_make(&ticks, low, high, wanted, whole);
    assert_int_equal(ticks.count, count);
    assert_int_equal(ticks.decimals, decimals);
    for (int i = 0; i < count; i++) {
        /* Products of small whole numbers and a step: a few units in the last place. */
        assert_close(ticks.values[i], first + i * step, 1e-12 * step, 1e-14);
    }
}

static void ticks_are_round(void **state) {
    (void)state;
    assert_ticks(0, 5, 10, true, 6, 0, 1, 0);
    assert_ticks(0, 5, 10, false, 11, 0, 0.5, 1);
    assert_ticks(0, 1, 10, false, 11, 0, 0.1, 1);
    assert_ticks(0, 1, 10, true, 2, 0, 1, 0);
    assert_ticks(0, 25, 10, true, 6, 0, 5, 0);
    assert_ticks(0, 5200, 7, true, 6, 0, 1000, 0);
    assert_ticks(2.91, 3.09, 8, false, 7, 2.925, 0.025, 3);
    assert_ticks(0, 3e-5, 8, false, 7, 0, 5e-6, 6);
    assert_ticks(-3, 3, 6, false, 7, -3, 1, 0);
}

static void no_range_makes_too_many_ticks(void **state) {
    (void)state;
    for (int i = 0; i < 2000; i++) {
        double low = (double)clm_test_uniform(-1.0F, 1.0F) * pow(10.0, clm_test_random() % 8);
        double high = low + pow(10.0, (double)clm_test_uniform(-6.0F, 9.0F));
        for (int wanted = 2; wanted <= 30; wanted += 7) {
            clm_ticks ticks;
            clm_ticks_make(&ticks, low, high, wanted, clm_test_random() % 2 == 0);
            assert_true(ticks.count <= wanted + 1);
            assert_true(ticks.decimals <= 9);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_read_well),
        cmocka_unit_test(short_numbers_have_three_digits),
        cmocka_unit_test(a_locale_changes_nothing),
        cmocka_unit_test(ticks_are_round),
        cmocka_unit_test(no_range_makes_too_many_ticks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
