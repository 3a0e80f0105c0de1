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
 * sticky: after a failed addition, later ones do nothing and clm_string_status() returns the error,
 * so that a writer checks once, at its end. */
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

/* Whether a character may be written to a terminal or a page unchanged: not those that control a
 * terminal (C0, DEL, C1), nor invisible ones that change the meaning or direction of the text
 * around them (U+061C, U+200B to U+200F, U+2028 to U+202E, U+2066 to U+2069). */
bool clm_is_visible(uint32_t code_point);

/* Appends text[0..length) in a form that is safe to show: with \n, \r, \t and \uXXXX for characters
 * that are not visible, and \xXX for bytes that are not UTF-8. Text from files and other programs
 * reaches a terminal only in this form. JSON stays the same JSON, except for line ends between its
 * members. */
void clm_string_add_visible(clm_string *string, const char *text, size_t length);

/* The same for all of `text`, cut to fit into to[0..capacity) with a final NUL. */
void clm_show_text(char *to, size_t capacity, const char *text);

/* The first character of text[0..length) (length is not 0) in the same form, with a final NUL.
 * Returns its length in bytes in `text`. */
enum { CLM_SHOWN_CAPACITY = 8 };
size_t clm_show_character(char shown[CLM_SHOWN_CAPACITY], const char *text, size_t length);

/* Ignores the case of ASCII letters only. strcasecmp() depends on the locale, and in Turkish I is
 * not the capital of i. */
bool clm_equal_ignoring_case(const char *a, const char *b);
bool clm_starts_ignoring_case(const char *text, const char *start);
/* Whether the first `count` bytes are equal, or both strings if they are shorter. */
bool clm_begin_alike_ignoring_case(const char *a, const char *b, size_t count);
bool clm_contains_ignoring_case(const char *text, const char *part);

#endif
