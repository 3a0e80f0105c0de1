/* UTF-8, and text that is shown, not obeyed.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_BASE_UTF8_H
#define CLM_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

/* The first character of text[0..length) (length is not 0) in a form that is safe to show, with a
 * final NUL: \n, \r, \t and \uXXXX for characters that are not visible, and \xXX for bytes that are
 * not UTF-8. Returns its length in bytes in `text`. Text from files and other programs reaches a
 * terminal only in this form. JSON stays the same JSON, except for line ends between its members.
 */
enum { CLM_SHOWN_CAPACITY = 8 };
size_t clm_show_character(char shown[CLM_SHOWN_CAPACITY], const char *text, size_t length);

/* The same for all of `text`, cut to fit into to[0..capacity) with a final NUL. */
void clm_show_text(char *to, size_t capacity, const char *text);

#endif
