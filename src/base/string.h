/* A string that grows.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_BASE_STRING_H
#define CLM_BASE_STRING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/utf8.h"

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

/* Appends text[0..length) in the form of clm_show_character(). */
void clm_string_add_visible(clm_string *string, const char *text, size_t length);

/* Ignores the case of ASCII letters only. strcasecmp() depends on the locale, and in Turkish I is
 * not the capital of i. */
bool clm_equal_ignoring_case(const char *a, const char *b);
bool clm_starts_ignoring_case(const char *text, const char *start);
/* Whether the first `count` bytes are equal, or both strings if they are shorter. */
bool clm_begin_alike_ignoring_case(const char *a, const char *b, size_t count);
bool clm_contains_ignoring_case(const char *text, const char *part);

#endif
