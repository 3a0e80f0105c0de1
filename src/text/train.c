/* Learning merges: count the pairs within the distinct pieces, merge the most frequent, and keep
 * the counts up to date (Sennrich, Haddow and Birch 2016, section 3.2).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/keyed_hash.h"
#include "base/memory.h"
#include "text/alphabet.h"
#include "text/tokenizer.h"

/* A distinct piece, and how often the texts have it. */
typedef struct clm_train_word {
    const unsigned char *bytes; /* lent by the texts */
    size_t length;
    int64_t count;
    int32_t *symbols; /* the ids that it consists of so far */
    size_t symbol_count;
} clm_train_word;

typedef struct clm_train_pair {
    int32_t left;
    int32_t right;
    int64_t count;   /* in all texts, now */
    uint32_t *words; /* those it was found in; it may have gone from some since */
    size_t word_count;
    size_t word_capacity;
    bool merged;  /* has a rank already */
    bool touched; /* grew during the present merge */
} clm_train_pair;

typedef struct clm_train_entry {
    int64_t count; /* of the pair when it was put in the heap */
    uint32_t pair;
} clm_train_entry;

typedef struct clm_trainer {
    clm_split split;
    clm_train_word *words;
    size_t word_count;
    size_t word_capacity;
    uint32_t *word_slots; /* index + 1, or 0 */
    size_t word_slot_count;
    int32_t *symbols; /* of all words */
    clm_train_pair *pairs;
    size_t pair_count;
    size_t pair_capacity;
    uint32_t *pair_slots; /* index + 1, or 0 */
    size_t pair_slot_count;
    clm_train_entry *heap;
    size_t heap_count;
    size_t heap_capacity;
    uint32_t *touched;
    size_t touched_count;
    size_t touched_capacity;
    clm_token *tokens; /* bytes not NULL, owned */
    size_t token_count;
    size_t token_capacity;
    uint32_t *token_slots; /* index + 1, or 0 */
    size_t token_slot_count;
    clm_merge *merges;
    size_t merge_count;
    size_t merge_capacity;
} clm_trainer;

static uint64_t pair_hash(int32_t left, int32_t right) {
    return clm_mix(clm_mix(((uint64_t)(uint32_t)left << 32 | (uint32_t)right) ^ clm_hash_key()));
}

static uint64_t word_hash_at(const clm_trainer *trainer, size_t index) {
    return clm_keyed_hash(trainer->words[index].bytes, trainer->words[index].length);
}

static uint64_t pair_hash_at(const clm_trainer *trainer, size_t index) {
    return pair_hash(trainer->pairs[index].left, trainer->pairs[index].right);
}

static uint64_t token_hash_at(const clm_trainer *trainer, size_t index) {
    return clm_keyed_hash(trainer->tokens[index].bytes, trainer->tokens[index].length);
}

/* Keeps a table of indices at most half full. */
static clm_status grow_slots(clm_trainer *trainer, uint32_t **slots, size_t *slot_count,
                             size_t count, uint64_t (*hash_at)(const clm_trainer *, size_t)) {
    if (2 * (count + 1) <= *slot_count) {
        return CLM_OK;
    }
    size_t grown = *slot_count == 0 ? 1024 : 2 * *slot_count;
    uint32_t *fresh = NULL;
    clm_status status = clm_allocate(&fresh, grown, sizeof *fresh, "training a tokenizer");
    if (status != CLM_OK) {
        return status;
    }
    for (size_t i = 0; i < count; i++) {
        size_t at = hash_at(trainer, i) & (grown - 1);
        while (fresh[at] != 0) {
            at = (at + 1) & (grown - 1);
        }
        fresh[at] = (uint32_t)i + 1;
    }
    clm_free(*slots);
    *slots = fresh;
    *slot_count = grown;
    return CLM_OK;
}

static clm_status count_piece(clm_trainer *trainer, const unsigned char *piece, size_t length) {
    clm_status status = CLM_OK;
    CLM_TRY(grow_slots(trainer, &trainer->word_slots, &trainer->word_slot_count,
                       trainer->word_count, word_hash_at));
    size_t at = clm_keyed_hash(piece, length) & (trainer->word_slot_count - 1);
    for (; trainer->word_slots[at] != 0; at = (at + 1) & (trainer->word_slot_count - 1)) {
        clm_train_word *word = &trainer->words[trainer->word_slots[at] - 1];
        if (word->length == length && memcmp(word->bytes, piece, length) == 0) {
            word->count++;
            return CLM_OK;
        }
    }
    if (trainer->word_count >= UINT32_MAX - 1) {
        return clm_fail(CLM_ERROR_ARGUMENT, "too many different words to train on");
    }
    CLM_TRY(clm_reserve(&trainer->words, &trainer->word_capacity, trainer->word_count + 1,
                        sizeof *trainer->words, "training a tokenizer"));
    trainer->words[trainer->word_count++] =
        (clm_train_word){.bytes = piece, .length = length, .count = 1};
    trainer->word_slots[at] = (uint32_t)trainer->word_count;
cleanup:
    return status;
}

static clm_status count_words(clm_trainer *trainer, const char *const *texts,
                              const size_t *lengths_bytes, size_t text_count) {
    clm_status status = CLM_OK;
    for (size_t i = 0; i < text_count; i++) {
        clm_split_text(&trainer->split, texts[i], lengths_bytes[i]);
        for (;;) {
            const unsigned char *piece = NULL;
            size_t length = 0;
            CLM_TRY(clm_split_next(&trainer->split, &piece, &length));
            if (length == 0) {
                break;
            }
            CLM_TRY(count_piece(trainer, piece, length));
        }
    }
cleanup:
    return status;
}

/* Takes over `bytes`, also after a failure. */
static clm_status add_token(clm_trainer *trainer, unsigned char *bytes, size_t length,
                            bool special) {
    clm_status status =
        clm_reserve(&trainer->tokens, &trainer->token_capacity, trainer->token_count + 1,
                    sizeof *trainer->tokens, "training a tokenizer");
    if (status != CLM_OK) {
        clm_free(bytes);
        return status;
    }
    trainer->tokens[trainer->token_count++] = (clm_token){bytes, length, !special};
    return CLM_OK;
}

/* The token of these bytes in *id, a new one unless there is one already. */
static clm_status token_of(clm_trainer *trainer, clm_token left, clm_token right, int32_t *id) {
    clm_status status = CLM_OK;
    unsigned char *bytes = NULL;
    size_t length = left.length + right.length;
    CLM_TRY(grow_slots(trainer, &trainer->token_slots, &trainer->token_slot_count,
                       trainer->token_count, token_hash_at));
    CLM_TRY(clm_allocate(&bytes, length, 1, "training a tokenizer"));
    memcpy(bytes, left.bytes, left.length);
    memcpy(bytes + left.length, right.bytes, right.length);
    size_t at = clm_keyed_hash(bytes, length) & (trainer->token_slot_count - 1);
    for (; trainer->token_slots[at] != 0; at = (at + 1) & (trainer->token_slot_count - 1)) {
        const clm_token *token = &trainer->tokens[trainer->token_slots[at] - 1];
        if (token->length == length && memcmp(token->bytes, bytes, length) == 0) {
            *id = (int32_t)trainer->token_slots[at] - 1;
            goto cleanup;
        }
    }
    status = add_token(trainer, bytes, length, false);
    bytes = NULL;
    CLM_TRY(status);
    *id = (int32_t)trainer->token_count - 1;
    trainer->token_slots[at] = (uint32_t)trainer->token_count;
cleanup:
    clm_free(bytes);
    return status;
}

static clm_status start_symbols(clm_trainer *trainer) {
    clm_status status = CLM_OK;
    int32_t ids[256];
    for (size_t i = 0; i < 256; i++) {
        unsigned char byte = clm_alphabet_byte(i);
        ids[byte] = (int32_t)i;
        int32_t id = 0;
        CLM_TRY(token_of(trainer, (clm_token){.bytes = &byte, .length = 1},
                         (clm_token){.bytes = &byte}, &id));
    }
    size_t total = 0;
    for (size_t i = 0; i < trainer->word_count; i++) {
        total += trainer->words[i].length;
    }
    CLM_TRY(
        clm_allocate(&trainer->symbols, total, sizeof *trainer->symbols, "training a tokenizer"));
    int32_t *next = trainer->symbols;
    for (size_t i = 0; i < trainer->word_count; i++) {
        clm_train_word *word = &trainer->words[i];
        word->symbols = next;
        word->symbol_count = word->length;
        for (size_t j = 0; j < word->length; j++) {
            *next++ = ids[word->bytes[j]];
        }
    }
cleanup:
    return status;
}

/* Changes the count of a pair by `change`; a pair that grows remembers the word. */
static clm_status change_pair(clm_trainer *trainer, int32_t left, int32_t right, int64_t change,
                              uint32_t word) {
    clm_status status = CLM_OK;
    CLM_TRY(grow_slots(trainer, &trainer->pair_slots, &trainer->pair_slot_count,
                       trainer->pair_count, pair_hash_at));
    size_t at = pair_hash(left, right) & (trainer->pair_slot_count - 1);
    for (; trainer->pair_slots[at] != 0; at = (at + 1) & (trainer->pair_slot_count - 1)) {
        const clm_train_pair *there = &trainer->pairs[trainer->pair_slots[at] - 1];
        if (there->left == left && there->right == right) {
            break;
        }
    }
    if (trainer->pair_slots[at] == 0) {
        CLM_TRY(clm_reserve(&trainer->pairs, &trainer->pair_capacity, trainer->pair_count + 1,
                            sizeof *trainer->pairs, "training a tokenizer"));
        trainer->pairs[trainer->pair_count++] = (clm_train_pair){.left = left, .right = right};
        trainer->pair_slots[at] = (uint32_t)trainer->pair_count;
    }
    clm_train_pair *pair = &trainer->pairs[trainer->pair_slots[at] - 1];
    pair->count += change;
    if (change < 0) {
        return CLM_OK;
    }
    if (pair->word_count == 0 || pair->words[pair->word_count - 1] != word) {
        CLM_TRY(clm_reserve(&pair->words, &pair->word_capacity, pair->word_count + 1,
                            sizeof *pair->words, "training a tokenizer"));
        pair->words[pair->word_count++] = word;
    }
    if (!pair->touched) {
        CLM_TRY(clm_reserve(&trainer->touched, &trainer->touched_capacity,
                            trainer->touched_count + 1, sizeof *trainer->touched,
                            "training a tokenizer"));
        trainer->touched[trainer->touched_count++] = (uint32_t)(pair - trainer->pairs);
        pair->touched = true;
    }
cleanup:
    return status;
}

/* Whether `one` is merged before `other`. */
static bool comes_first(const clm_trainer *trainer, clm_train_entry one, clm_train_entry other) {
    if (one.count != other.count) {
        return one.count > other.count;
    }
    const clm_train_pair *a = &trainer->pairs[one.pair];
    const clm_train_pair *b = &trainer->pairs[other.pair];
    return a->left != b->left ? a->left < b->left : a->right < b->right;
}

static void push(clm_trainer *trainer, clm_train_entry entry) {
    clm_train_entry *heap = trainer->heap;
    size_t at = trainer->heap_count++;
    while (at > 0 && comes_first(trainer, entry, heap[(at - 1) / 2])) {
        heap[at] = heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap[at] = entry;
}

static clm_train_entry pop(clm_trainer *trainer) {
    clm_train_entry *heap = trainer->heap;
    clm_train_entry first = heap[0];
    size_t count = --trainer->heap_count;
    clm_train_entry entry = heap[count];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= count) {
            break;
        }
        if (child + 1 < count && comes_first(trainer, heap[child + 1], heap[child])) {
            child++;
        }
        if (!comes_first(trainer, heap[child], entry)) {
            break;
        }
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = entry;
    return first;
}

static clm_status push_touched(clm_trainer *trainer) {
    clm_status status = CLM_OK;
    CLM_TRY(clm_reserve(&trainer->heap, &trainer->heap_capacity,
                        trainer->heap_count + trainer->touched_count, sizeof *trainer->heap,
                        "training a tokenizer"));
    for (size_t i = 0; i < trainer->touched_count; i++) {
        clm_train_pair *pair = &trainer->pairs[trainer->touched[i]];
        pair->touched = false;
        if (pair->count > 0) {
            push(trainer, (clm_train_entry){pair->count, trainer->touched[i]});
        }
    }
    trainer->touched_count = 0;
cleanup:
    return status;
}

static clm_status count_pairs(clm_trainer *trainer) {
    clm_status status = CLM_OK;
    for (size_t i = 0; i < trainer->word_count; i++) {
        const clm_train_word *word = &trainer->words[i];
        for (size_t j = 0; j + 1 < word->symbol_count; j++) {
            CLM_TRY(change_pair(trainer, word->symbols[j], word->symbols[j + 1], word->count,
                                (uint32_t)i));
        }
    }
    CLM_TRY(push_touched(trainer));
cleanup:
    return status;
}

/* Replaces the pair in one word, from the left, and counts what this changes at its sides. */
static clm_status merge_in_word(clm_trainer *trainer, uint32_t index, clm_merge merge) {
    clm_status status = CLM_OK;
    clm_train_word *word = &trainer->words[index];
    int32_t *symbols = word->symbols;
    size_t written = 0;
    for (size_t at = 0; at < word->symbol_count; at++) {
        if (at + 1 == word->symbol_count || symbols[at] != merge.left ||
            symbols[at + 1] != merge.right) {
            symbols[written++] = symbols[at];
            continue;
        }
        if (written > 0) {
            int32_t before = symbols[written - 1];
            CLM_TRY(change_pair(trainer, before, merge.left, -word->count, index));
            CLM_TRY(change_pair(trainer, before, merge.result, word->count, index));
        }
        if (at + 2 < word->symbol_count) {
            int32_t after = symbols[at + 2];
            CLM_TRY(change_pair(trainer, merge.right, after, -word->count, index));
            CLM_TRY(change_pair(trainer, merge.result, after, word->count, index));
        }
        symbols[written++] = merge.result;
        at++;
    }
    word->symbol_count = written;
cleanup:
    return status;
}

static clm_status merge_pair(clm_trainer *trainer, uint32_t index) {
    clm_status status = CLM_OK;
    clm_merge merge = {trainer->pairs[index].left, trainer->pairs[index].right, 0};
    /* Another pair may have made the same token before; then it keeps its id. */
    CLM_TRY(token_of(trainer, trainer->tokens[merge.left], trainer->tokens[merge.right],
                     &merge.result));
    if (!trainer->pairs[index].merged) {
        CLM_TRY(clm_reserve(&trainer->merges, &trainer->merge_capacity, trainer->merge_count + 1,
                            sizeof *trainer->merges, "training a tokenizer"));
        trainer->merges[trainer->merge_count++] = merge;
        trainer->pairs[index].merged = true;
    }
    /* The array of pairs may move meanwhile, and this pair finds no new words. */
    for (size_t i = 0; i < trainer->pairs[index].word_count; i++) {
        CLM_TRY(merge_in_word(trainer, trainer->pairs[index].words[i], merge));
    }
    trainer->pairs[index].count = 0;
    trainer->pairs[index].word_count = 0;
    CLM_TRY(push_touched(trainer));
cleanup:
    return status;
}

static clm_status learn(clm_trainer *trainer, size_t most_tokens, int64_t min_frequency) {
    clm_status status = CLM_OK;
    while (trainer->token_count < most_tokens && trainer->heap_count > 0) {
        clm_train_entry entry = pop(trainer);
        int64_t count = trainer->pairs[entry.pair].count;
        if (count != entry.count) {
            entry.count = count;
            if (count > 0) {
                push(trainer, entry);
            }
            continue;
        }
        if (count < min_frequency) {
            break;
        }
        CLM_TRY(merge_pair(trainer, entry.pair));
    }
cleanup:
    return status;
}

static void trainer_free(clm_trainer *trainer) {
    clm_split_end(&trainer->split);
    for (size_t i = 0; i < trainer->pair_count; i++) {
        clm_free(trainer->pairs[i].words);
    }
    for (size_t i = 0; i < trainer->token_count; i++) {
        clm_free((void *)trainer->tokens[i].bytes);
    }
    clm_free(trainer->words);
    clm_free(trainer->word_slots);
    clm_free(trainer->symbols);
    clm_free(trainer->pairs);
    clm_free(trainer->pair_slots);
    clm_free(trainer->heap);
    clm_free(trainer->touched);
    clm_free(trainer->tokens);
    clm_free(trainer->token_slots);
    clm_free(trainer->merges);
}

static clm_status check_options(const clm_tokenizer_train_options *options) {
    int32_t least = options->end_of_text ? 257 : 256;
    if (options->vocab_size < least) {
        return clm_fail(CLM_ERROR_ARGUMENT,
                        "a vocabulary of %d tokens has no room for its bytes: take at least %d",
                        options->vocab_size, least);
    }
    if (options->min_frequency < 1) {
        return clm_fail(CLM_ERROR_ARGUMENT, "the minimum frequency is %d and must be at least 1",
                        options->min_frequency);
    }
    return CLM_OK;
}

/* The last token is <|endoftext|>, in the roles that GPT-2 gives it. */
static clm_status name_end_of_text(clm_tokenizer *tokenizer) {
    clm_added_token token = {.id = tokenizer->vocab_size - 1, .special = true};
    token.content = clm_token_bytes(tokenizer, token.id, &token.length);
    tokenizer->roles[clm_role_bos] = token.id;
    tokenizer->roles[clm_role_eos] = token.id;
    tokenizer->roles[clm_role_unk] = token.id;
    return clm_tokenizer_take_added(tokenizer, &token, 1);
}

clm_status clm_tokenizer_train(clm_tokenizer **tokenizer, const char *const *texts,
                               const size_t *lengths_bytes, size_t text_count,
                               const clm_tokenizer_train_options *options) {
    static const clm_tokenizer_train_options defaults = CLM_TOKENIZER_TRAIN_OPTIONS_DEFAULT;
    clm_status status = CLM_OK;
    clm_trainer trainer = {0};
    clm_splitter *splitter = NULL;
    clm_tokenizer *made = NULL;
    size_t repeated = 0;
    *tokenizer = NULL;
    options = options != NULL ? options : &defaults;
    CLM_TRY(check_options(options));
    CLM_TRY(clm_splitter_open(&splitter, true));
    CLM_TRY(clm_split_begin(&trainer.split, splitter));
    CLM_TRY(count_words(&trainer, texts, lengths_bytes, text_count));
    CLM_TRY(start_symbols(&trainer));
    CLM_TRY(count_pairs(&trainer));
    CLM_TRY(learn(&trainer, (size_t)options->vocab_size - options->end_of_text,
                  options->min_frequency));
    if (options->end_of_text) {
        char *bytes = NULL;
        CLM_TRY(clm_duplicate(&bytes, "<|endoftext|>"));
        CLM_TRY(add_token(&trainer, (unsigned char *)bytes, strlen(bytes), true));
    }
    CLM_TRY(clm_tokenizer_make(&made, trainer.tokens, trainer.token_count));
    status = clm_tokenizer_take_merges(made, trainer.merges, trainer.merge_count, &repeated);
    trainer.merges = NULL;
    CLM_TRY(status);
    if (options->end_of_text) {
        CLM_TRY(name_end_of_text(made));
    }
    *tokenizer = made;
    made = NULL;
cleanup:
    clm_tokenizer_close(made);
    trainer_free(&trainer);
    clm_splitter_close(splitter);
    return status;
}
