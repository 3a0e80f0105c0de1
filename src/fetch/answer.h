/* The headers of HTTP responses, as far as a download needs them. Nothing is trusted: a malformed
 * header counts as missing.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_FETCH_ANSWER_H
#define CLM_FETCH_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fetch/sha256.h"

enum { CLM_TAG_BYTES = 256, CLM_MOST_HEADER_BYTES = 256 << 10 };

typedef struct clm_answer {
    char tag[CLM_TAG_BYTES];             /* a strong ETag with its quotes, or "" */
    char stated_sha256[CLM_SHA256_TEXT]; /* by X-Linked-Etag, or ""; kept over redirects */
    int64_t range_at;                    /* Content-Range: first byte, last byte, */
    int64_t range_last;                  /* and the size of the file; each -1 when not stated */
    int64_t range_size;
    bool is_encoded;     /* Content-Encoding: the body is not the file's bytes */
    bool is_chunked;     /* Transfer-Encoding: the body marks its own end */
    size_t header_bytes; /* of all answers together */
} clm_answer;

/* Call before the first line. */
void clm_answer_begin(clm_answer *answer);

/* Takes one line, with or without its line end. A status line begins another response, after a
 * redirect or an interim one, and discards what earlier responses said except the SHA-256. The
 * first SHA-256 counts: it is the hub's, and the hosts that it redirects to cannot change it.
 * Another host's (`is_hub` false) does not count even if the hub stated none. False if there are
 * more bytes of headers than any honest server sends. */
bool clm_answer_take(clm_answer *answer, const char *line, size_t length, bool is_hub);

/* Whether text is a strong entity tag (RFC 9110, section 8.8.3), which is safe to send in a header
 * of the next request. */
bool clm_is_strong_tag(const char *text);

/* Whether both URLs have the same scheme, host and port. */
bool clm_same_origin(const char *a, const char *b);

#endif
