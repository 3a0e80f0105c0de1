/* SPDX-License-Identifier: Apache-2.0 */
#include "text/alphabet.h"

enum { first_moved = 0x100, moved_count = 68 };

/* The bytes that are not printable in Latin-1, in order. */
static unsigned char moved_byte(uint32_t n) {
    if (n < 33) {
        return (unsigned char)n;
    }
    return n < 67 ? (unsigned char)(n - 33 + 127) : 173;
}

uint32_t clm_alphabet_code_point(unsigned char byte) {
    if (byte < 33) {
        return first_moved + byte;
    }
    if (byte >= 127 && byte <= 160) {
        return first_moved + 33U + byte - 127U;
    }
    return byte == 173 ? first_moved + 67 : byte;
}

unsigned char clm_alphabet_byte(size_t n) {
    if (n < 94) {
        return (unsigned char)(33 + n);
    }
    if (n < 106) {
        return (unsigned char)(161 + n - 94);
    }
    return n < 188 ? (unsigned char)(174 + n - 106) : moved_byte((uint32_t)n - 188);
}

void clm_alphabet_add(clm_string *out, const void *bytes, size_t count) {
    const unsigned char *from = bytes;
    for (size_t i = 0; i < count; i++) {
        unsigned char encoded[4];
        size_t length = clm_utf8_encode(clm_alphabet_code_point(from[i]), encoded);
        clm_string_add_bytes(out, encoded, length);
    }
}

bool clm_alphabet_read(const char *text, size_t count, unsigned char *bytes, size_t *length) {
    const unsigned char *from = (const unsigned char *)text;
    size_t written = 0;
    for (size_t at = 0; at < count;) {
        if (from[at] > 32 && from[at] < 127) {
            bytes[written++] = from[at++];
            continue;
        }
        uint32_t code_point = 0;
        size_t step = clm_utf8_decode(from + at, count - at, &code_point);
        if (step == 0 || code_point >= first_moved + moved_count) {
            return false;
        }
        if (code_point >= first_moved) {
            bytes[written++] = moved_byte(code_point - first_moved);
        } else if (clm_alphabet_code_point((unsigned char)code_point) == code_point) {
            bytes[written++] = (unsigned char)code_point;
        } else {
            return false;
        }
        at += step;
    }
    *length = written;
    return true;
}
