/* SPDX-License-Identifier: Apache-2.0 */
#include "base/string.h"

#include <stdarg.h>
#include <string.h>

#include "base/memory.h"
#include "base/number.h"

static bool make_room(clm_string *string, size_t more) {
    if (string->status == CLM_OK) {
        string->status =
            clm_reserve(&string->text, &string->capacity, string->length + more + 1, 1, "a string");
    }
    return string->status == CLM_OK;
}

void clm_string_add_bytes(clm_string *string, const void *bytes, size_t count) {
    if (!make_room(string, count)) {
        return;
    }
    if (count > 0) {
        memcpy(string->text + string->length, bytes, count);
    }
    string->length += count;
    string->text[string->length] = '\0';
}

void clm_string_add(clm_string *string, const char *text) {
    clm_string_add_bytes(string, text, strlen(text));
}

void clm_string_add_format(clm_string *string, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    va_list again;
    va_copy(again, arguments);
    int length = clm_format_list(NULL, 0, format, arguments);
    va_end(arguments);
    if (length >= 0 && make_room(string, (size_t)length)) {
        (void)clm_format_list(string->text + string->length, (size_t)length + 1, format, again);
        string->length += (size_t)length;
    }
    va_end(again);
}

void clm_string_clear(clm_string *string) {
    string->length = 0;
    string->status = CLM_OK;
    if (string->text != NULL) {
        string->text[0] = '\0';
    }
}

void clm_string_free(clm_string *string) {
    clm_free(string->text);
    *string = (clm_string){0};
}

clm_status clm_string_status(const clm_string *string) {
    return string->status;
}

void clm_string_add_visible(clm_string *string, const char *text, size_t length) {
    char shown[CLM_SHOWN_CAPACITY];
    for (size_t at = 0; at < length;) {
        at += clm_show_character(shown, text + at, length - at);
        clm_string_add(string, shown);
    }
}

static unsigned char lower(char letter) {
    return (unsigned char)(letter >= 'A' && letter <= 'Z' ? letter - 'A' + 'a' : letter);
}

bool clm_begin_alike_ignoring_case(const char *a, const char *b, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (lower(a[i]) != lower(b[i])) {
            return false;
        }
        if (a[i] == '\0') {
            break;
        }
    }
    return true;
}

bool clm_starts_ignoring_case(const char *text, const char *start) {
    return clm_begin_alike_ignoring_case(text, start, strlen(start));
}

bool clm_equal_ignoring_case(const char *a, const char *b) {
    return clm_begin_alike_ignoring_case(a, b, strlen(a) + 1);
}

bool clm_contains_ignoring_case(const char *text, const char *part) {
    for (; !clm_starts_ignoring_case(text, part); text++) {
        if (*text == '\0') {
            return false;
        }
    }
    return true;
}
