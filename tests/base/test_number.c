/* SPDX-License-Identifier: Apache-2.0 */
#include "support/test_support.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/number.h"
#include "base/string.h"

static const char *const locales[] = {"C", "de_DE.UTF-8", "tr_TR.UTF-8"};

static int leave_locale(void **state) {
    (void)state;
    (void)setlocale(LC_ALL, "C");
    return 0;
}

/* What the locale itself would make of it: if this were a point, the tests would show nothing. */
static void assert_comma(void) {
    char text[16];
    (void)snprintf(text, sizeof text, "%.1f", 0.5);
    assert_string_equal(text, "0,5");
}

static bool parse(const char *text, double *value) {
    return clm_number_parse(text, strlen(text), value);
}

static void check_parsing(void) {
    static const struct {
        const char *text;
        double value;
    } good[] = {{"0", 0.0},      {"-1", -1.0}, {"+2.5", 2.5},
                {".5", 0.5},     {"5.", 5.0},  {"5e-5", 5e-5},
                {"1E+3", 1e3},   {"0.1", 0.1}, {"1.7976931348623157e308", DBL_MAX},
                {"1e-400", 0.0}, {"007", 7.0}};
    static const char *const bad[] = {
        "",   " 1",    "1 ",  "0,5",   "nan",   "inf",      "-",     ".",     "1e",      "1e+",
        "e5", "0x1p3", "--1", "1.2.3", "1e999", "infinity", "1_000", "1e5.0", "\xD9\xA1"};
    double value = -7.0;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (parse(bad[i], &value) || value != -7.0) {
            fail_msg("\"%s\" was read as a number", bad[i]);
        }
    }
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        if (!parse(good[i].text, &value) || value != good[i].value) {
            fail_msg("\"%s\" was not read as what it is", good[i].text);
        }
    }
    assert_true(clm_number_parse("0.25,9", 4, &value) && value == 0.25);
    char digits[2000];
    memset(digits, '0', sizeof digits);
    assert_true(clm_number_parse(digits, 1000, &value) && value == 0.0);
    assert_false(clm_number_parse(digits, sizeof digits, &value));
}

static void check_formatting(void) {
    char text[64];
    assert_int_equal(clm_format(text, sizeof text, "%.2f %g %d", 1234.5, 5e-5, 7), 15);
    assert_string_equal(text, "1234.50 5e-05 7");
    clm_string string = {0};
    clm_string_add_format(&string, "%.1f|", 0.5);
    clm_json_add_float(&string, 0.1F);
    clm_string_add(&string, "|");
    clm_json_add_double(&string, 0.1);
    clm_json_add_double(&string, (double)NAN);
    assert_string_equal(string.text, "0.5|0.1|0.1null");
    clm_string_free(&string);
    (void)clm_fail(CLM_ERROR_IO, "%g", 0.5);
    (void)clm_error_prefix(CLM_ERROR_IO, "%g", 1.5);
    assert_string_equal(clm_error_message(), "1.5: 0.5");

    FILE *stream = tmpfile();
    assert_non_null(stream);
    clm_print(stream, "%.3f\n", 0.125);
    rewind(stream);
    assert_non_null(fgets(text, sizeof text, stream));
    assert_string_equal(text, "0.125\n");
    (void)fclose(stream);
}

static void check_json(void) {
    static const char text[] = "{\"p\": 0.1, \"e\": 1.5e-5}";
    cJSON *json = NULL;
    double value = 0.0;
    assert_ok(clm_json_parse(&json, text, sizeof text - 1, "here"));
    assert_ok(clm_json_get_double(json, "p", true, &value, "here"));
    assert_true(value == 0.1);
    assert_ok(clm_json_get_double(json, "e", true, &value, "here"));
    assert_true(value == 1.5e-5);
    cJSON_Delete(json);
    assert_status(CLM_ERROR_FORMAT, clm_json_parse(&json, "{\"p\": 0,1}", 10, "here"));
}

static void numbers_do_not_depend_on_the_locale(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof locales / sizeof locales[0]; i++) {
        clm_test_set_locale(locales[i]);
        check_parsing();
        check_formatting();
        check_json();
        if (i > 0) {
            assert_comma(); /* and the program's locale is as it was */
        }
    }
}

static void what_is_written_reads_back(void **state) {
    (void)state;
    clm_test_set_locale("de_DE.UTF-8");
    for (int i = 0; i < 2000; i++) {
        char text[CLM_NUMBER_CAPACITY];
        double back = 0.0;
        const double value =
            (double)clm_test_normal() * pow(10.0, (double)clm_test_uniform(-300, 300));
        clm_number_of_double(text, value);
        assert_true(parse(text, &back) && back == value);
        const float narrow = clm_test_normal() * powf(10.0F, clm_test_uniform(-30, 30));
        clm_number_of_float(text, narrow);
        assert_true(parse(text, &back) && (float)back == narrow);
    }
    char text[CLM_NUMBER_CAPACITY];
    clm_number_of_double(text, -DBL_MAX);
    assert_string_equal(text, "-1.7976931348623157e+308");
}

/* A thread may have a locale of its own, and other threads must not see ours. */
static void *in_a_german_thread(void *unused) {
    (void)unused;
    locale_t german = newlocale(LC_ALL_MASK, "de_DE.UTF-8", (locale_t)0);
    locale_t before = uselocale(german);
    bool good = german != (locale_t)0;
    for (int i = 0; good && i < 20000; i++) {
        char ours[16];
        char theirs[16];
        double value = 0.0;
        (void)clm_format(ours, sizeof ours, "%.1f", 0.5);
        (void)snprintf(theirs, sizeof theirs, "%.1f", 0.5);
        good = strcmp(ours, "0.5") == 0 && strcmp(theirs, "0,5") == 0 && parse("0.5", &value) &&
               value == 0.5 && uselocale((locale_t)0) == german;
    }
    (void)uselocale(before);
    if (german != (locale_t)0) {
        freelocale(german);
    }
    return good ? NULL : "wrong";
}

static void threads_keep_their_locales(void **state) {
    (void)state;
    clm_test_set_locale("tr_TR.UTF-8");
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, in_a_german_thread, NULL), 0);
    }
    for (int i = 0; i < 2000; i++) {
        check_json();
        assert_comma();
    }
    for (size_t i = 0; i < 4; i++) {
        void *wrong = NULL;
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
}

static void letters_do_not_depend_on_the_locale(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof locales / sizeof locales[0]; i++) {
        clm_test_set_locale(locales[i]);
        assert_true(clm_equal_ignoring_case("LABEL_ID", "label_id"));
        assert_false(clm_equal_ignoring_case("label", "label_id"));
        assert_false(clm_equal_ignoring_case("label_id", "label"));
        assert_true(clm_equal_ignoring_case("", ""));
        assert_true(clm_begin_alike_ignoring_case("HTTPS://Host/x", "https://host/y", 13));
        assert_false(clm_begin_alike_ignoring_case("https", "https:", 6));
        assert_true(clm_starts_ignoring_case("Content-Disposition: x", "CONTENT-DISPOSITION"));
        assert_false(clm_starts_ignoring_case("Con", "Content"));
        assert_true(clm_contains_ignoring_case("Oclgrind SIMULATOR", "simulator"));
        assert_true(clm_contains_ignoring_case("xyz", ""));
        assert_false(clm_contains_ignoring_case("simulato", "simulator"));
        assert_false(clm_equal_ignoring_case("@[`{", "`{@["));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(numbers_do_not_depend_on_the_locale, leave_locale),
        cmocka_unit_test_teardown(what_is_written_reads_back, leave_locale),
        cmocka_unit_test_teardown(threads_keep_their_locales, leave_locale),
        cmocka_unit_test_teardown(letters_do_not_depend_on_the_locale, leave_locale),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
