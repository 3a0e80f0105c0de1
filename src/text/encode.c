/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/memory.h"
#include "text/tokenizer.h"

/* One call of clm_tokenizer_encode(). */
typedef struct clm_encoding {
    const clm_tokenizer *tokenizer;
    clm_split split;
    clm_merge_space space;
    int32_t *ids;
    size_t count;
    size_t capacity;
} clm_encoding;

/* Room for `more` ids. */
static clm_status make_room(clm_encoding *encoding, size_t more) {
    return clm_reserve(&encoding->ids, &encoding->capacity, encoding->count + more,
                       sizeof *encoding->ids, "tokens");
}

static clm_status encode_plain(clm_encoding *encoding, const unsigned char *text, size_t length) {
    clm_status status = CLM_OK;
    clm_split_text(&encoding->split, text, length);
    for (;;) {
        const unsigned char *piece = NULL;
        size_t piece_length = 0;
        size_t made = 0;
        CLM_TRY(clm_split_next(&encoding->split, &piece, &piece_length));
        if (piece_length == 0) {
            break;
        }
        CLM_TRY(make_room(encoding, piece_length));
        CLM_TRY(clm_merge_piece(encoding->tokenizer, piece, piece_length, &encoding->space,
                                encoding->ids + encoding->count, &made));
        encoding->count += made;
    }
cleanup:
    return status;
}

/* The special token that starts at `text`, the longest of them, or -1. */
static int32_t special_at(const clm_tokenizer *tokenizer, const unsigned char *text,
                          size_t length) {
    if (!tokenizer->special_start[text[0]]) {
        return -1;
    }
    for (size_t i = 0; i < tokenizer->special_count; i++) {
        size_t token_length = 0;
        const unsigned char *bytes =
            clm_token_bytes(tokenizer, tokenizer->specials[i], &token_length);
        if (token_length <= length && memcmp(bytes, text, token_length) == 0) {
            return tokenizer->specials[i];
        }
    }
    return -1;
}

static clm_status encode_with_specials(clm_encoding *encoding, const unsigned char *text,
                                       size_t length) {
    clm_status status = CLM_OK;
    size_t from = 0;
    for (size_t at = 0; at < length;) {
        int32_t id = special_at(encoding->tokenizer, text + at, length - at);
        if (id < 0) {
            at++;
            continue;
        }
        CLM_TRY(encode_plain(encoding, text + from, at - from));
        CLM_TRY(make_room(encoding, 1));
        encoding->ids[encoding->count++] = id;
        size_t token_length = 0;
        (void)clm_token_bytes(encoding->tokenizer, id, &token_length);
        at += token_length;
        from = at;
    }
    CLM_TRY(encode_plain(encoding, text + from, length - from));
cleanup:
    return status;
}

clm_status clm_tokenizer_encode(const clm_tokenizer *tokenizer, const char *text,
                                size_t length_bytes, const clm_encode_options *options,
                                int32_t **ids, size_t *count) {
    clm_status status = CLM_OK;
    clm_encoding encoding = {.tokenizer = tokenizer};
    const unsigned char *bytes = (const unsigned char *)(length_bytes > 0 ? text : "");
    *ids = NULL;
    *count = 0;
    if (length_bytes > INT32_MAX) {
        return clm_fail(CLM_ERROR_ARGUMENT, "a text of %zu bytes is too long: encode it in parts",
                        length_bytes);
    }
    CLM_TRY(clm_split_begin(&encoding.split, tokenizer->splitter));
    CLM_TRY(make_room(&encoding, length_bytes / 3 + 1));
    if (options != NULL && options->special_tokens) {
        CLM_TRY(encode_with_specials(&encoding, bytes, length_bytes));
    } else {
        CLM_TRY(encode_plain(&encoding, bytes, length_bytes));
    }
    *ids = encoding.ids;
    *count = encoding.count;
    encoding.ids = NULL;
cleanup:
    clm_split_end(&encoding.split);
    clm_merge_space_free(&encoding.space);
    clm_free(encoding.ids);
    return status;
}
