/* Added tokens: texts that become one token each before the rest of a text is cut into pieces
 * (<|endoftext|>, <url>, @USER). Found as Hugging Face tokenizers finds them: first those that are
 * not `normalized`, in the original text; then, between those, the `normalized` ones (clm has no
 * normalizer, so they differ in precedence only). Within a pass the match that starts first wins,
 * and of those that start at the same byte the longest.
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
    bool lstrip;      /* includes the white space before it */
    bool rstrip;      /* and after it */
    bool single_word; /* not found where a word character precedes or follows */
} clm_added_token;

typedef struct clm_added clm_added;

/* Copies `tokens` and their contents, no two of which are equal. */
clm_status clm_added_make(clm_added **added, const clm_added_token *tokens, size_t count);
void clm_added_free(clm_added *added); /* NULL is fine */

/* In the order in which they were given; lent. NULL has none. */
const clm_added_token *clm_added_tokens(const clm_added *added, size_t *count);

/* Whether a text can contain any of them, with special tokens or without. */
bool clm_added_can_match(const clm_added *added, bool special_tokens);

/* A part of a text: an added token, or text between tokens (-1). If a token strips white space that
 * is also another token's text, parts overlap, as with Hugging Face tokenizers. */
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

/* Cuts a text. Without `special_tokens` special tokens are ordinary text, but still hide other
 * tokens within them. Time is linear in the text. */
clm_status clm_added_cut(const clm_added *added, const unsigned char *text, size_t length,
                         bool special_tokens, clm_added_parts *parts);
void clm_added_parts_free(clm_added_parts *parts);

#endif
