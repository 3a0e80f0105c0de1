/* SPDX-License-Identifier: Apache-2.0 */
#include "text/tokenizer.h"

#include <string.h>

#include "base/keyed_hash.h"
#include "base/memory.h"

static const char end_of_text[] = "<|endoftext|>";

size_t clm_text_slots(size_t count) {
    size_t slots = 16;
    while (slots < 2 * count) {
        slots *= 2;
    }
    return slots;
}

/* The slot of the word with these bytes, or the empty one where it would stand. */
static clm_word_slot *find_word(const clm_tokenizer *tokenizer, const void *bytes, size_t length,
                                uint32_t hash) {
    for (size_t at = hash;; at++) {
        clm_word_slot *slot = &tokenizer->words[at & tokenizer->word_mask];
        if (slot->id < 0) {
            return slot;
        }
        if (slot->hash == hash) {
            size_t length_there = 0;
            const unsigned char *there = clm_token_bytes(tokenizer, slot->id, &length_there);
            if (length_there == length && memcmp(there, bytes, length) == 0) {
                return slot;
            }
        }
    }
}

int32_t clm_tokenizer_find(const clm_tokenizer *tokenizer, const void *bytes, size_t length) {
    return find_word(tokenizer, bytes, length, (uint32_t)clm_keyed_hash(bytes, length))->id;
}

static clm_status copy_bytes(clm_tokenizer *tokenizer, const clm_token *tokens, size_t count) {
    size_t total = 0;
    for (size_t id = 0; id < count; id++) {
        total += tokens[id].length;
    }
    if (count > INT32_MAX || total > UINT32_MAX) {
        return clm_fail(CLM_ERROR_FORMAT, "%zu tokens of %zu bytes are more than a vocabulary has",
                        count, total);
    }
    clm_status status = clm_allocate(&tokenizer->bytes, total, 1, "tokens");
    if (status != CLM_OK) {
        return status;
    }
    uint32_t at = 0;
    for (size_t id = 0; id < count; id++) {
        tokenizer->offsets[id] = at;
        memcpy(tokenizer->bytes + at, tokens[id].bytes, tokens[id].length);
        at += (uint32_t)tokens[id].length;
    }
    tokenizer->offsets[count] = at;
    return CLM_OK;
}

static clm_status index_words(clm_tokenizer *tokenizer, const clm_token *tokens) {
    for (size_t i = 0; i <= tokenizer->word_mask; i++) {
        tokenizer->words[i].id = -1;
    }
    for (int32_t id = 0; id < tokenizer->vocab_size; id++) {
        if (!tokens[id].word) {
            continue;
        }
        size_t length = 0;
        const unsigned char *bytes = clm_token_bytes(tokenizer, id, &length);
        uint32_t hash = (uint32_t)clm_keyed_hash(bytes, length);
        clm_word_slot *slot = find_word(tokenizer, bytes, length, hash);
        if (slot->id >= 0) {
            return clm_fail(CLM_ERROR_FORMAT, "the ids %d and %d are the same token", slot->id, id);
        }
        *slot = (clm_word_slot){hash, id};
    }
    for (int byte = 0; byte < 256; byte++) {
        unsigned char text = (unsigned char)byte;
        tokenizer->byte_ids[byte] = clm_tokenizer_find(tokenizer, &text, 1);
        if (tokenizer->byte_ids[byte] < 0) {
            return clm_fail(
                CLM_ERROR_FORMAT,
                "no token stands for the byte 0x%02X, so this is not a byte-level vocabulary",
                (unsigned)byte);
        }
    }
    return CLM_OK;
}

clm_status clm_tokenizer_make(clm_tokenizer **tokenizer, const clm_token *tokens, size_t count) {
    clm_status status = CLM_OK;
    clm_tokenizer *made = NULL;
    *tokenizer = NULL;
    CLM_TRY(clm_allocate(&made, 1, sizeof *made, "a tokenizer"));
    made->end_of_text = -1;
    for (int role = 0; role < clm_role_count; role++) {
        made->roles[role] = -1;
    }
    CLM_TRY(clm_allocate(&made->offsets, count + 1, sizeof *made->offsets, "tokens"));
    CLM_TRY(clm_allocate(&made->special, count, sizeof *made->special, "tokens"));
    CLM_TRY(clm_allocate(&made->whole, count, sizeof *made->whole, "tokens"));
    CLM_TRY(copy_bytes(made, tokens, count));
    made->vocab_size = (int32_t)count;
    made->listed_size = made->vocab_size;
    made->word_mask = clm_text_slots(count) - 1;
    CLM_TRY(clm_allocate(&made->words, made->word_mask + 1, sizeof *made->words, "tokens"));
    CLM_TRY(index_words(made, tokens));
    CLM_TRY(clm_splitter_open(&made->splitter, true));
    *tokenizer = made;
    made = NULL;
cleanup:
    clm_tokenizer_close(made);
    return status;
}

clm_status clm_tokenizer_take_merges(clm_tokenizer *tokenizer, clm_merge *merges, size_t count,
                                     size_t *repeated) {
    tokenizer->merges = merges;
    tokenizer->merge_count = count;
    *repeated = count;
    if (count >= UINT32_MAX) {
        return clm_fail(CLM_ERROR_FORMAT, "%zu merges are more than a vocabulary has", count);
    }
    size_t slots = clm_text_slots(count);
    clm_status status =
        clm_allocate(&tokenizer->pairs, slots, sizeof *tokenizer->pairs, "the table of merges");
    if (status != CLM_OK) {
        return status;
    }
    tokenizer->pair_mask = slots - 1;
    tokenizer->pair_key = clm_hash_key();
    for (size_t i = 0; i < slots; i++) {
        tokenizer->pairs[i].pair = UINT64_MAX;
    }
    for (size_t rank = 0; rank < count; rank++) {
        uint64_t pair = (uint64_t)(uint32_t)merges[rank].left << 32 | (uint32_t)merges[rank].right;
        size_t at = clm_mix(pair ^ tokenizer->pair_key) & tokenizer->pair_mask;
        while (tokenizer->pairs[at].pair != UINT64_MAX) {
            if (tokenizer->pairs[at].pair == pair) {
                *repeated = rank;
                return clm_fail(CLM_ERROR_FORMAT, "a pair is merged twice");
            }
            at = (at + 1) & tokenizer->pair_mask;
        }
        tokenizer->pairs[at] = (clm_pair_slot){pair, (uint32_t)rank, merges[rank].result};
    }
    return CLM_OK;
}

static clm_status no_such_id(const clm_tokenizer *tokenizer, int32_t id) {
    return clm_fail(CLM_ERROR_ARGUMENT, "token id %d is not in the vocabulary, which ends at %d",
                    id, tokenizer->vocab_size - 1);
}

clm_status clm_tokenizer_take_added(clm_tokenizer *tokenizer, const clm_added_token *tokens,
                                    size_t count) {
    for (size_t i = 0; i < count; i++) {
        const clm_added_token *token = &tokens[i];
        tokenizer->special[token->id] = token->special;
        if (token->special && token->length == sizeof end_of_text - 1 &&
            memcmp(token->content, end_of_text, token->length) == 0) {
            tokenizer->end_of_text = token->id;
        }
    }
    return clm_added_make(&tokenizer->added, tokens, count);
}

void clm_tokenizer_close(clm_tokenizer *tokenizer) {
    if (tokenizer == NULL) {
        return;
    }
    clm_free(tokenizer->bytes);
    clm_free(tokenizer->offsets);
    clm_free(tokenizer->special);
    clm_free((void *)tokenizer->whole);
    clm_added_free(tokenizer->added);
    clm_free(tokenizer->merges);
    clm_free(tokenizer->pairs);
    clm_free(tokenizer->words);
    clm_splitter_close(tokenizer->splitter);
    clm_free(tokenizer);
}

int32_t clm_tokenizer_vocab_size(const clm_tokenizer *tokenizer) {
    return tokenizer->vocab_size;
}

int32_t clm_tokenizer_end_of_text(const clm_tokenizer *tokenizer) {
    const int32_t named = tokenizer->roles[clm_role_eos];
    return named >= 0 ? named : tokenizer->end_of_text;
}

int32_t clm_tokenizer_pad_token(const clm_tokenizer *tokenizer) {
    const int32_t named = tokenizer->roles[clm_role_pad];
    return named >= 0 ? named : clm_tokenizer_end_of_text(tokenizer);
}

clm_status clm_tokenizer_token(const clm_tokenizer *tokenizer, int32_t id, const char **bytes,
                               size_t *length_bytes) {
    if (id < 0 || id >= tokenizer->vocab_size) {
        return no_such_id(tokenizer, id);
    }
    *bytes = (const char *)clm_token_bytes(tokenizer, id, length_bytes);
    return CLM_OK;
}

bool clm_tokenizer_is_special(const clm_tokenizer *tokenizer, int32_t id) {
    return id >= 0 && id < tokenizer->vocab_size && tokenizer->special[id];
}

clm_status clm_tokenizer_decode(const clm_tokenizer *tokenizer, const int32_t *ids, size_t count,
                                char **text, size_t *length_bytes) {
    *text = NULL;
    *length_bytes = 0;
    size_t total = 0;
    size_t length = 0;
    for (size_t i = 0; i < count; i++) {
        if (ids[i] < 0 || ids[i] >= tokenizer->vocab_size) {
            return no_such_id(tokenizer, ids[i]);
        }
        (void)clm_token_bytes(tokenizer, ids[i], &length);
        total += length;
    }
    clm_status status = clm_allocate(text, total + 1, 1, "decoded text");
    if (status != CLM_OK) {
        return status;
    }
    char *end = *text;
    for (size_t i = 0; i < count; i++) {
        const unsigned char *bytes = clm_token_bytes(tokenizer, ids[i], &length);
        memcpy(end, bytes, length);
        end += length;
    }
    *length_bytes = total;
    return CLM_OK;
}

void clm_tokens_free(int32_t *ids) {
    clm_free(ids);
}

void clm_text_free(char *text) {
    clm_free(text);
}
