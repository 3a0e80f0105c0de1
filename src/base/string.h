/* A string that grows, and UTF-8.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_BASE_STRING_H
#define CLM_BASE_STRING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Start from `{0}`. `text` is NUL-terminated once anything was added; NULL before. The error is
 * sticky: after a failed addition further ones do nothing, and clm_string_status() says so, so
 * that a writer checks once at its end. */
typedef struct clm_string {
    char *text;
    size_t length;
    size_t capacity;
    clm_status status;
} clm_string;

void clm_string_add(clm_string *string, const char *text);
void clm_string_add_bytes(clm_string *string, const void *bytes, size_t count);
void clm_string_add_format(clm_string *string, const char *format, ...) CLM_PRINTF(2, 3);
void clm_string_clear(clm_string *string); /* keeps the memory and forgets the error */
void clm_string_free(clm_string *string);
clm_status clm_string_status(const clm_string *string);

/* Decodes one code point at bytes[0..count). Returns its length (1 to 4), or 0 when the bytes there
 * are not valid UTF-8 (overlong forms, surrogates and values over U+10FFFF are not). */
size_t clm_utf8_decode(const unsigned char *bytes, size_t count, uint32_t *code_point);

/* Writes one code point; returns its length (1 to 4). */
size_t clm_utf8_encode(uint32_t code_point, unsigned char bytes[4]);

/* The offset of the first byte that is not valid UTF-8, or `count` when all are. */
size_t clm_utf8_check(const void *bytes, size_t count);

/* Whether a character may go to a terminal or a page as it is: not those that control a terminal
 * (C0, DEL, C1), nor those without a form of their own that change how the text around them is read
 * or in which direction (U+061C, U+200B to U+200F, U+2028 to U+202E, U+2066 to U+2069). */
bool clm_is_visible(uint32_t code_point);

/* Appends text[0..length) as it can be shown: with \n, \r, \t and \uXXXX for characters that are
 * not visible, and \xXX for bytes that are not UTF-8. What files and other programs say reaches a
 * terminal only so. JSON stays the same JSON, but for line ends between its members. */
void clm_string_add_visible(clm_string *string, const char *text, size_t length);

/* The same for all of `text`, as far as it fits into to[0..capacity), with a NUL behind it. */
void clm_show_text(char *to, size_t capacity, const char *text);

/* The character that text[0..length) begins with (length is not 0), so shown, with a NUL behind it.
 * Returns how many bytes of `text` it is. */
enum { CLM_SHOWN_CAPACITY = 8 };
size_t clm_show_character(char shown[CLM_SHOWN_CAPACITY], const char *text, size_t length);

/* ASCII letters are compared without case, others as they are. strcasecmp() asks the locale, and in
 * Turkish I is not the capital of i. */
bool clm_equal_ignoring_case(const char *a, const char *b);
bool clm_starts_ignoring_case(const char *text, const char *start);
/* Whether the first `count` bytes are, or the whole of both where they are shorter. */
bool clm_begin_alike_ignoring_case(const char *a, const char *b, size_t count);
bool clm_contains_ignoring_case(const char *text, const char *part);

#endif
