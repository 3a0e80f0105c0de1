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
    unsigned char *spaced; /* a text with a space before it */
    size_t spaced_capacity;
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

/* A text between added tokens. */
static clm_status encode_between(clm_encoding *encoding, const unsigned char *text, size_t length) {
    clm_status status = CLM_OK;
    if (!encoding->tokenizer->prefix_space || length == 0 || text[0] == ' ') {
        return encode_plain(encoding, text, length);
    }
    CLM_TRY(clm_reserve(&encoding->spaced, &encoding->spaced_capacity, length + 1, 1, "a text"));
    encoding->spaced[0] = ' ';
    memcpy(encoding->spaced + 1, text, length);
    CLM_TRY(encode_plain(encoding, encoding->spaced, length + 1));
cleanup:
    return status;
}

static clm_status encode_with_added(clm_encoding *encoding, const unsigned char *text,
                                    size_t length, bool special_tokens) {
    clm_status status = CLM_OK;
    clm_added_parts parts = {0};
    CLM_TRY(clm_added_cut(encoding->tokenizer->added, text, length, special_tokens, &parts));
    for (size_t i = 0; i < parts.count; i++) {
        const clm_added_part *part = &parts.parts[i];
        if (part->id < 0) {
            CLM_TRY(encode_between(encoding, part->text, part->length));
            continue;
        }
        CLM_TRY(make_room(encoding, 1));
        encoding->ids[encoding->count++] = part->id;
    }
cleanup:
    clm_added_parts_free(&parts);
    return status;
}

static clm_status add_frame(clm_encoding *encoding, int side) {
    clm_status status = CLM_OK;
    const clm_template *frame = &encoding->tokenizer->frame;
    CLM_TRY(make_room(encoding, frame->counts[side]));
    for (size_t i = 0; i < frame->counts[side]; i++) {
        encoding->ids[encoding->count++] = frame->ids[side][i];
    }
cleanup:
    return status;
}

clm_status clm_tokenizer_encode(const clm_tokenizer *tokenizer, const char *text,
                                size_t length_bytes, const clm_encode_options *options,
                                int32_t **ids, size_t *count) {
    static const clm_encode_options defaults = CLM_ENCODE_OPTIONS_DEFAULT;
    clm_status status = CLM_OK;
    clm_encoding encoding = {.tokenizer = tokenizer};
    const unsigned char *bytes = (const unsigned char *)(length_bytes > 0 ? text : "");
    options = options != NULL ? options : &defaults;
    *ids = NULL;
    *count = 0;
    if (length_bytes > INT32_MAX - 1) {
        return clm_fail(CLM_ERROR_ARGUMENT, "a text of %zu bytes is too long: encode it in parts",
                        length_bytes);
    }
    CLM_TRY(clm_split_begin(&encoding.split, tokenizer->splitter));
    CLM_TRY(make_room(&encoding, length_bytes / 3 + 1));
    if (!options->bare) {
        CLM_TRY(add_frame(&encoding, 0));
    }
    if (clm_added_can_match(tokenizer->added, options->special_tokens)) {
        CLM_TRY(encode_with_added(&encoding, bytes, length_bytes, options->special_tokens));
    } else {
        CLM_TRY(encode_between(&encoding, bytes, length_bytes));
    }
    if (!options->bare) {
        CLM_TRY(add_frame(&encoding, 1));
    }
    *ids = encoding.ids;
    *count = encoding.count;
    encoding.ids = NULL;
cleanup:
    clm_split_end(&encoding.split);
    clm_merge_space_free(&encoding.space);
    clm_free(encoding.spaced);
    clm_free(encoding.ids);
    return status;
}

size_t clm_tokenizer_cut(const clm_tokenizer *tokenizer, int32_t *ids, size_t count, size_t most) {
    const size_t behind = tokenizer->frame.counts[1];
    if (count <= most) {
        return count;
    }
    if (behind < most) {
        memmove(ids + most - behind, ids + count - behind, behind * sizeof *ids);
    }
    return most;
}
