/* Added tokens: texts that become one token each before the rest of a text is cut into pieces
 * (<|endoftext|>, <url>, @USER). Found as Hugging Face tokenizers finds them: first those that are
 * not `normalized`, in the text as it stands; then, in what those leave over, the `normalized` ones
 * (clm has no normalizer, so they differ in precedence only). Among the tokens of one pass the
 * match that starts first wins, and of those that start together the longest.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TEXT_ADDED_H
#define CLM_TEXT_ADDED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

typedef struct clm_added_token {
    const unsigned char *content; /* at least one byte of UTF-8 */
    size_t length;
    int32_t id;
    bool special;     /* found only where special tokens are asked for */
    bool normalized;  /* found in the second pass */
    bool lstrip;      /* takes the white space before it along, */
    bool rstrip;      /* and that behind it */
    bool single_word; /* not found where a word character precedes or follows */
} clm_added_token;

typedef struct clm_added clm_added;

/* `tokens`, whose contents differ, are copied with their contents. */
clm_status clm_added_make(clm_added **added, const clm_added_token *tokens, size_t count);
void clm_added_free(clm_added *added); /* NULL is fine */

/* In the order in which they were given; lent. NULL has none. */
const clm_added_token *clm_added_tokens(const clm_added *added, size_t *count);

/* Whether a text can contain any of them, with special tokens or without. */
bool clm_added_can_match(const clm_added *added, bool special_tokens);

/* A part of a text: an added token, or text between them (-1). Where one token strips white space
 * that is another token's text, parts may overlap, as they do in Hugging Face's. */
typedef struct clm_added_part {
    int32_t id;
    const unsigned char *text;
    size_t length;
} clm_added_part;

/* Room for the parts of one text after the other. Start from `{0}`. */
typedef struct clm_added_parts {
    clm_added_part *parts; /* [count], in order; none is empty */
    size_t count;
    size_t capacity;
    clm_added_part *first; /* what the first pass found */
    size_t first_count;
    size_t first_capacity;
    struct clm_added_match *matches;
    size_t match_capacity;
} clm_added_parts;

/* Cuts a text. Without `special_tokens` a special token is text like any other, though it still
 * hides other tokens that are found within it. Time is linear in the text. */
clm_status clm_added_cut(const clm_added *added, const unsigned char *text, size_t length,
                         bool special_tokens, clm_added_parts *parts);
void clm_added_parts_free(clm_added_parts *parts);

#endif
