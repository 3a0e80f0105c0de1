/* How vocabularies write bytes: GPT-2 gives each byte a printable character (Radford et al. 2019,
 * encoder.py, bytes_to_unicode). The bytes 33-126, 161-172 and 174-255 are themselves as code
 * points; the other 68, in order, are U+0100 and up, so that a space is U+0120.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TEXT_ALPHABET_H
#define CLM_TEXT_ALPHABET_H

#include <stdbool.h>
#include <stddef.h>

#include "base/string.h"

/* The code point of a byte, 33 to 323. */
uint32_t clm_alphabet_code_point(unsigned char byte);

/* The n-th byte in the order of their code points, which is the order of GPT-2's ids. */
unsigned char clm_alphabet_byte(size_t n);

/* Adds bytes as a vocabulary writes them. */
void clm_alphabet_add(clm_string *out, const void *bytes, size_t count);

/* The inverse: writes the bytes that `count` bytes of UTF-8 represent to `bytes` (room for
 * `count`), and their number to *length. False if a character represents no byte. */
bool clm_alphabet_read(const char *text, size_t count, unsigned char *bytes, size_t *length);

#endif
