/* Any lines as the headers of HTTP answers: what is taken from them makes sense, and the SHA-256 is
 * the first that the hub states. "!" before a line: another host sends it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "fetch/answer.h"
#include "fuzz.h"

static const char *const words[] = {"HTTP/1.1 302 Found\r\n",
                                    "HTTP/1.1 206 Partial Content\r\n",
                                    "ETag: \"abc\"\r\n",
                                    "ETag: W/\"abc\"\r\n",
                                    "X-Linked-Etag: ",
                                    "Content-Range: bytes 0-9/10\r\n",
                                    "Content-Range: bytes */10\r\n",
                                    "Content-Encoding: gzip\r\n",
                                    "Content-Encoding: identity\r\n",
                                    "Transfer-Encoding: chunked\r\n",
                                    "bytes ",
                                    "/*",
                                    "9223372036854775807",
                                    "99999999999999999999",
                                    NULL};
const fuzz_target fuzz_this = {FUZZ_LINES, words, 1 << 16, 16};

static void check_answer(const clm_answer *answer) {
    const size_t digits = strlen(answer->stated_sha256);
    FUZZ_CHECK(digits == 0 || digits == 64);
    FUZZ_CHECK(strspn(answer->stated_sha256, "0123456789abcdef") == digits);
    FUZZ_CHECK(strlen(answer->tag) < sizeof answer->tag);
    FUZZ_CHECK(answer->tag[0] == '\0' || clm_is_strong_tag(answer->tag));
    FUZZ_CHECK(strpbrk(answer->tag, "\r\n") == NULL);
    FUZZ_CHECK(answer->range_at >= -1 && answer->range_last >= answer->range_at);
    FUZZ_CHECK(answer->range_size == -1 || answer->range_last < answer->range_size);
}

void fuzz_one(const uint8_t *data, size_t size) {
    static char tag[CLM_TAG_BYTES + 64];
    clm_answer answer;
    clm_answer_begin(&answer);
    for (size_t at = 0; at < size;) {
        const uint8_t *newline = memchr(data + at, '\n', size - at);
        const size_t end = newline != NULL ? (size_t)(newline - data) + 1 : size;
        const bool is_other = data[at] == '!';
        at += is_other;
        const clm_answer before = answer;
        if (!clm_answer_take(&answer, (const char *)data + at, end - at, !is_other)) {
            break;
        }
        FUZZ_CHECK(before.stated_sha256[0] == '\0' ||
                   strcmp(before.stated_sha256, answer.stated_sha256) == 0);
        FUZZ_CHECK(!is_other || strcmp(before.stated_sha256, answer.stated_sha256) == 0);
        check_answer(&answer);
        at = end;
    }
    const size_t length = size < sizeof tag - 1 ? size : sizeof tag - 1;
    memcpy(tag, data, length);
    tag[length] = '\0';
    FUZZ_CHECK(!clm_is_strong_tag(tag) || strpbrk(tag, "\r\n") == NULL);
    (void)clm_same_origin("https://a.example/x", tag);
    FUZZ_CHECK(strstr(tag, "://") == NULL || clm_same_origin(tag, tag));
}
