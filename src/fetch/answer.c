/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch/answer.h"

#include <string.h>

#include "base/string.h"

static void forget(clm_answer *answer) {
    answer->tag[0] = '\0';
    answer->range_at = answer->range_last = answer->range_size = -1;
    answer->is_encoded = answer->is_chunked = false;
}

void clm_answer_begin(clm_answer *answer) {
    *answer = (clm_answer){0};
    forget(answer);
}

/* "Name: value\r\n" with that name, compared without case: its value, trimmed, to `value`. Values
 * that do not fit, or have a NUL in them, are none of those that are looked for. */
static bool header_is(const char *line, size_t length, const char *name, char *value,
                      size_t value_bytes) {
    const size_t name_length = strlen(name);
    if (length <= name_length || line[name_length] != ':' ||
        !clm_starts_ignoring_case(line, name)) {
        return false;
    }
    size_t from = name_length + 1;
    while (from < length && (line[from] == ' ' || line[from] == '\t')) {
        from++;
    }
    while (length > from && (line[length - 1] == ' ' || line[length - 1] == '\t' ||
                             line[length - 1] == '\r' || line[length - 1] == '\n')) {
        length--;
    }
    const size_t count = length - from;
    if (count >= value_bytes || memchr(line + from, '\0', count) != NULL) {
        return false;
    }
    memcpy(value, line + from, count);
    value[count] = '\0';
    return true;
}

bool clm_is_strong_tag(const char *text) {
    const size_t length = strlen(text);
    if (length < 2 || length >= CLM_TAG_BYTES || text[0] != '"' || text[length - 1] != '"') {
        return false;
    }
    for (size_t i = 1; i < length - 1; i++) {
        const unsigned char byte = (unsigned char)text[i];
        if (byte < 0x21 || byte == '"' || byte == 0x7F) {
            return false;
        }
    }
    return true;
}

bool clm_same_origin(const char *a, const char *b) {
    const char *host = strstr(a, "://");
    if (host == NULL) {
        return false;
    }
    host += 3;
    const size_t length = (size_t)(host - a) + strcspn(host, "/?#");
    return clm_begin_alike_ignoring_case(a, b, length) &&
           (b[length] == '\0' || strchr("/?#", b[length]));
}

/* The hub states the SHA-256 of a large file in X-Linked-Etag, before it redirects to its store. */
static void take_sha256(clm_answer *answer, const char *value) {
    const char *digits = value[0] == '"' ? value + 1 : value;
    if (strspn(digits, "0123456789abcdef") == 64 && (digits[64] == '\0' || digits[64] == '"')) {
        memcpy(answer->stated_sha256, digits, 64);
        answer->stated_sha256[64] = '\0';
    }
}

/* Digits, up to what no file exceeds; returns where they end, NULL when there are none. */
static const char *take_number(const char *text, int64_t *number) {
    enum { MOST_DIGITS = 18 };
    const size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > MOST_DIGITS) {
        return NULL;
    }
    *number = 0;
    for (size_t i = 0; i < digits; i++) {
        *number = *number * 10 + (text[i] - '0');
    }
    return text + digits;
}

/* "bytes 100-199/1000", "bytes 100-199/" and a star, or "bytes " and a star, "/1000". */
static void take_range(clm_answer *answer, const char *value) {
    int64_t at = -1;
    int64_t last = -1;
    int64_t size = -1;
    if (!clm_starts_ignoring_case(value, "bytes ")) {
        return;
    }
    const char *text = value + 6;
    if (*text == '*') {
        text++;
    } else if ((text = take_number(text, &at)) == NULL || *text != '-' ||
               (text = take_number(text + 1, &last)) == NULL) {
        return;
    }
    if (*text != '/') {
        return;
    }
    text++;
    if (*text == '*') {
        text++;
    } else if ((text = take_number(text, &size)) == NULL) {
        return;
    }
    if (*text != '\0' || last < at || (size >= 0 && last >= size)) {
        return;
    }
    answer->range_at = at;
    answer->range_last = last;
    answer->range_size = size;
}

bool clm_answer_take(clm_answer *answer, const char *line, size_t length, bool is_hub) {
    char value[CLM_TAG_BYTES] = "";
    answer->header_bytes += length < CLM_MOST_HEADER_BYTES ? length : CLM_MOST_HEADER_BYTES;
    if (answer->header_bytes >= CLM_MOST_HEADER_BYTES) {
        return false;
    }
    if (length >= 5 && memcmp(line, "HTTP/", 5) == 0) {
        forget(answer);
    } else if (header_is(line, length, "ETag", value, sizeof value)) {
        if (clm_is_strong_tag(value)) { /* W/"..." is a weak one, and says nothing about bytes */
            memcpy(answer->tag, value, sizeof value);
        }
    } else if (header_is(line, length, "X-Linked-Etag", value, sizeof value)) {
        if (is_hub && answer->stated_sha256[0] == '\0') {
            take_sha256(answer, value);
        }
    } else if (header_is(line, length, "Content-Range", value, sizeof value)) {
        take_range(answer, value);
    } else if (header_is(line, length, "Content-Encoding", value, sizeof value)) {
        answer->is_encoded = value[0] != '\0' && !clm_equal_ignoring_case(value, "identity");
    } else if (header_is(line, length, "Transfer-Encoding", value, sizeof value)) {
        answer->is_chunked = clm_equal_ignoring_case(value, "chunked");
    }
    return true;
}
