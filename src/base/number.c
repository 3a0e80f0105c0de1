/* SPDX-License-Identifier: Apache-2.0 */
#include "base/number.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static locale_t c_locale;

/* Never freed: other threads may be in it. */
static void make_c_locale(void) {
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

locale_t clm_number_locale_enter(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, make_c_locale);
    return uselocale(c_locale); /* 0, which changes nothing, if there was no memory for it */
}

void clm_number_locale_leave(locale_t before) {
    (void)uselocale(before);
}

static size_t count_digits(const char *text, size_t length) {
    size_t count = 0;
    while (count < length && text[count] >= '0' && text[count] <= '9') {
        count++;
    }
    return count;
}

/* strtod() also takes blanks, hexadecimals and names, which no format of clm's has. */
static bool is_decimal(const char *text, size_t length) {
    size_t at = length > 0 && (text[0] == '-' || text[0] == '+') ? 1 : 0;
    size_t digits = count_digits(text + at, length - at);
    at += digits;
    if (at < length && text[at] == '.') {
        const size_t decimals = count_digits(text + at + 1, length - at - 1);
        at += 1 + decimals;
        digits += decimals;
    }
    if (digits > 0 && at < length && (text[at] == 'e' || text[at] == 'E')) {
        at++;
        at += at < length && (text[at] == '-' || text[at] == '+') ? 1 : 0;
        const size_t exponent = count_digits(text + at, length - at);
        digits = exponent; /* there must be some */
        at += exponent;
    }
    return digits > 0 && at == length;
}

bool clm_number_parse(const char *text, size_t length, double *value) {
    /* No double needs more digits than 767 to be told from its neighbours. */
    char copy[1024];
    if (length >= sizeof copy || !is_decimal(text, length)) {
        return false;
    }
    memcpy(copy, text, length);
    copy[length] = '\0';
    const locale_t before = clm_number_locale_enter();
    const double number = strtod(copy, NULL);
    clm_number_locale_leave(before);
    if (!(number - number == 0.0)) {
        return false;
    }
    *value = number;
    return true;
}

int clm_format_list(char *buffer, size_t size_bytes, const char *format, va_list arguments) {
    const locale_t before = clm_number_locale_enter();
    const int length = vsnprintf(buffer, size_bytes, format, arguments);
    clm_number_locale_leave(before);
    return length;
}

int clm_format(char *buffer, size_t size_bytes, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    const int length = clm_format_list(buffer, size_bytes, format, arguments);
    va_end(arguments);
    return length;
}

void clm_print_list(FILE *stream, const char *format, va_list arguments) {
    const locale_t before = clm_number_locale_enter();
    (void)vfprintf(stream, format, arguments);
    clm_number_locale_leave(before);
}

void clm_print(FILE *stream, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    clm_print_list(stream, format, arguments);
    va_end(arguments);
}

void clm_number_of_float(char text[CLM_NUMBER_CAPACITY], float value) {
    const locale_t before = clm_number_locale_enter();
    for (int precision = 6; precision <= 9; precision++) {
        (void)snprintf(text, CLM_NUMBER_CAPACITY, "%.*g", precision, (double)value);
        if (strtof(text, NULL) == value) {
            break;
        }
    }
    clm_number_locale_leave(before);
}

void clm_number_of_double(char text[CLM_NUMBER_CAPACITY], double value) {
    const locale_t before = clm_number_locale_enter();
    for (int precision = 6; precision <= 17; precision++) {
        (void)snprintf(text, CLM_NUMBER_CAPACITY, "%.*g", precision, value);
        if (strtod(text, NULL) == value) {
            break;
        }
    }
    clm_number_locale_leave(before);
}
