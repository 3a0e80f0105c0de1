/* What a tokenizer is made of, for the files of this room.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TEXT_TOKENIZER_H
#define CLM_TEXT_TOKENIZER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "clm/text.h"
#include "text/added.h"
#include "text/split.h"

/* The merge of rank r is merges[r]: left, right -> result. */
typedef struct clm_merge {
    int32_t left;
    int32_t right;
    int32_t result;
} clm_merge;

/* A slot of the open-addressed table pair -> rank and result; at most half are taken. */
typedef struct clm_pair_slot {
    uint64_t pair; /* left << 32 | right, or UINT64_MAX in an empty slot */
    uint32_t rank;
    int32_t result;
} clm_pair_slot;

/* A slot of the open-addressed table bytes -> word; at most half are taken. */
typedef struct clm_word_slot {
    uint32_t hash;
    int32_t id; /* -1 in an empty slot */
} clm_word_slot;

/* Whether encoding a word's own bytes as one piece gives that token: true for nearly all words, and
 * computed on first use. Threads that compute it at the same time get the same result, so a relaxed
 * store suffices. */
enum { clm_whole_unknown = 0, clm_whole_yes = 1, clm_whole_no = 2 };

/* What a token is for, by the names of transformers. */
typedef enum clm_role {
    clm_role_bos,
    clm_role_eos,
    clm_role_unk,
    clm_role_sep,
    clm_role_pad,
    clm_role_cls,
    clm_role_mask,
    clm_role_count
} clm_role;

extern const char *const clm_role_names[clm_role_count];

/* The ids before (0) and after (1) the ids of each text: BOS, EOS. */
enum { clm_template_most = 16 };
typedef struct clm_template {
    int32_t ids[2][clm_template_most];
    size_t counts[2];
} clm_template;

/* Text becomes tokens in five steps: there is no normalizer; added tokens are cut out (`added`);
 * what is left is cut into pieces by the pattern (`prefix_space`, `splitter`); the model merges
 * each piece (`words`, `pairs`); and the frame goes around it all (`frame`). */
struct clm_tokenizer {
    int32_t vocab_size;
    unsigned char *bytes;          /* of all tokens, in the order of their ids */
    uint32_t *offsets;             /* [V + 1], into bytes */
    bool *special;                 /* [V] */
    atomic_uchar *whole;           /* [V] clm_whole_... */
    int32_t listed_size;           /* lower ids are the vocabulary's, the others are added */
    clm_added *added;              /* NULL if there are none */
    int32_t roles[clm_role_count]; /* ids, or -1 */
    int32_t max_length;            /* model_max_length; 0: not stated */
    int32_t byte_ids[256];
    int32_t end_of_text; /* the id of <|endoftext|>, or -1 */
    bool prefix_space;   /* each text between added tokens that starts with no space gets one */
    bool ignore_merges;  /* a piece that is a token is not split by merges */
    clm_template frame;
    clm_merge *merges; /* by rank */
    size_t merge_count;
    clm_pair_slot *pairs;
    size_t pair_mask;
    uint64_t pair_key; /* clm_hash_key(), so that no file can force collisions */
    clm_word_slot *words;
    size_t word_mask;
    clm_splitter *splitter;
};

/* A token as a file gives it. `bytes` are lent until clm_tokenizer_make() returns. */
typedef struct clm_token {
    const unsigned char *bytes; /* NULL where an id has no token yet */
    size_t length;
    bool word; /* whether merging can give it */
} clm_token;

/* Makes a tokenizer without merges from the tokens 0 to count - 1; none is missing.
 * CLM_ERROR_FORMAT: two words have the same bytes, or a byte has no token. */
clm_status clm_tokenizer_make(clm_tokenizer **tokenizer, const clm_token *tokens, size_t count);

/* Adds the merges, by rank. The tokenizer owns `merges` (clm_free) from here on, also after a
 * failure. *repeated is the rank of the first pair that occurs again, else `count`. */
clm_status clm_tokenizer_take_merges(clm_tokenizer *tokenizer, clm_merge *merges, size_t count,
                                     size_t *repeated);

/* Sets the added tokens. All ids are below the number of tokens, and no two contents are equal. */
clm_status clm_tokenizer_take_added(clm_tokenizer *tokenizer, const clm_added_token *tokens,
                                    size_t count);

/* The id of the word with these bytes, or -1. */
int32_t clm_tokenizer_find(const clm_tokenizer *tokenizer, const void *bytes, size_t length);

static inline const unsigned char *clm_token_bytes(const clm_tokenizer *tokenizer, int32_t id,
                                                   size_t *length) {
    *length = tokenizer->offsets[id + 1] - tokenizer->offsets[id];
    return tokenizer->bytes + tokenizer->offsets[id];
}

static inline uint64_t clm_mix(uint64_t value) {
    value *= 0x9E3779B97F4A7C15ULL;
    return value ^ value >> 32;
}

/* NULL when the pair is not merged. */
static inline const clm_pair_slot *clm_tokenizer_pair(const clm_tokenizer *tokenizer, int32_t left,
                                                      int32_t right) {
    uint64_t pair = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    for (size_t at = clm_mix(pair ^ tokenizer->pair_key);; at++) {
        const clm_pair_slot *slot = &tokenizer->pairs[at & tokenizer->pair_mask];
        if (slot->pair == pair) {
            return slot;
        }
        if (slot->pair == UINT64_MAX) {
            return NULL;
        }
    }
}

/* Memory for merging long pieces, reused from one to the next. Start from `{0}`. */
typedef struct clm_merge_space {
    struct clm_merge_node *nodes;
    size_t node_capacity;
    uint64_t *heap;
    size_t heap_capacity;
} clm_merge_space;

/* Merges one piece of at least one byte. Writes at most `length` ids and their number. */
clm_status clm_merge_piece(const clm_tokenizer *tokenizer, const unsigned char *piece,
                           size_t length, clm_merge_space *space, int32_t *ids, size_t *count);
void clm_merge_space_free(clm_merge_space *space);

/* The number of slots of a table for `count` entries: a power of two, at least twice as many. */
size_t clm_text_slots(size_t count);

#endif
