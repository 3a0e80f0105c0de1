/* SPDX-License-Identifier: Apache-2.0 */
#include "base/utf8.h"

#include <string.h>

#include "base/number.h"

size_t clm_utf8_decode(const unsigned char *bytes, size_t count, uint32_t *code_point) {
    if (count == 0) {
        return 0;
    }
    if (bytes[0] < 0x80) {
        *code_point = bytes[0];
        return 1;
    }
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = (bytes[0] & 0xE0) == 0xC0   ? 2
                    : (bytes[0] & 0xF0) == 0xE0 ? 3
                    : (bytes[0] & 0xF8) == 0xF0 ? 4
                                                : 0;
    if (length == 0 || length > count) {
        return 0;
    }
    uint32_t value = bytes[0] & (0x7FU >> length);
    for (size_t i = 1; i < length; i++) {
        if ((bytes[i] & 0xC0) != 0x80) {
            return 0;
        }
        value = value << 6 | (bytes[i] & 0x3FU);
    }
    if (value < least[length] || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) {
        return 0;
    }
    *code_point = value;
    return length;
}

size_t clm_utf8_encode(uint32_t code_point, unsigned char bytes[4]) {
    if (code_point < 0x80) {
        bytes[0] = (unsigned char)code_point;
        return 1;
    }
    if (code_point < 0x800) {
        bytes[0] = (unsigned char)(0xC0 | code_point >> 6);
        bytes[1] = (unsigned char)(0x80 | (code_point & 0x3F));
        return 2;
    }
    if (code_point < 0x10000) {
        bytes[0] = (unsigned char)(0xE0 | code_point >> 12);
        bytes[1] = (unsigned char)(0x80 | (code_point >> 6 & 0x3F));
        bytes[2] = (unsigned char)(0x80 | (code_point & 0x3F));
        return 3;
    }
    bytes[0] = (unsigned char)(0xF0 | code_point >> 18);
    bytes[1] = (unsigned char)(0x80 | (code_point >> 12 & 0x3F));
    bytes[2] = (unsigned char)(0x80 | (code_point >> 6 & 0x3F));
    bytes[3] = (unsigned char)(0x80 | (code_point & 0x3F));
    return 4;
}

size_t clm_utf8_check(const void *bytes, size_t count) {
    const unsigned char *p = bytes;
    size_t at = 0;
    while (at < count) {
        /* Most text is ASCII: eight bytes at a time while none has its highest bit set. */
        uint64_t eight = 0;
        for (; at + sizeof eight <= count; at += sizeof eight) {
            memcpy(&eight, p + at, sizeof eight);
            if ((eight & 0x8080808080808080ULL) != 0) {
                break;
            }
        }
        if (at == count) {
            break;
        }
        uint32_t ignored = 0;
        size_t length = clm_utf8_decode(p + at, count - at, &ignored);
        if (length == 0) {
            return at;
        }
        at += length;
    }
    return count;
}

bool clm_is_visible(uint32_t code_point) {
    return code_point >= 0x20 && !(code_point >= 0x7F && code_point <= 0x9F) &&
           code_point != 0x61C && !(code_point >= 0x200B && code_point <= 0x200F) &&
           !(code_point >= 0x2028 && code_point <= 0x202E) &&
           !(code_point >= 0x2066 && code_point <= 0x2069);
}

size_t clm_show_character(char shown[CLM_SHOWN_CAPACITY], const char *text, size_t length) {
    uint32_t code_point = 0;
    const size_t taken = clm_utf8_decode((const unsigned char *)text, length, &code_point);
    if (taken > 0 && clm_is_visible(code_point)) {
        memcpy(shown, text, taken);
        shown[taken] = '\0';
    } else if (taken == 0) {
        (void)clm_format(shown, CLM_SHOWN_CAPACITY, "\\x%02x", (unsigned char)*text);
    } else if (*text == '\n' || *text == '\r' || *text == '\t') {
        (void)clm_format(shown, CLM_SHOWN_CAPACITY, "\\%c",
                         *text == '\n'   ? 'n'
                         : *text == '\r' ? 'r'
                                         : 't');
    } else {
        (void)clm_format(shown, CLM_SHOWN_CAPACITY, "\\u%04x", (unsigned)code_point);
    }
    return taken > 0 ? taken : 1;
}

void clm_show_text(char *to, size_t capacity, const char *text) {
    char shown[CLM_SHOWN_CAPACITY];
    size_t put = 0;
    for (const char *end = text + strlen(text); text < end;) {
        text += clm_show_character(shown, text, (size_t)(end - text));
        const size_t length = strlen(shown);
        if (put + length >= capacity) {
            break;
        }
        memcpy(to + put, shown, length);
        put += length;
    }
    to[put] = '\0';
}
