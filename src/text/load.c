/* SPDX-License-Identifier: Apache-2.0 */
#include "text/load.h"

#include <string.h>

#include "base/memory.h"
#include "text/alphabet.h"

static clm_status take_token(clm_vocab_reader *reader, const cJSON *item,
                             unsigned char **free_bytes) {
    const char *name = item->string;
    size_t length = strlen(name);
    double id = item->valuedouble;
    if (!cJSON_IsNumber(item) || !(id >= 0 && id <= INT32_MAX) || (double)(int32_t)id != id) {
        return clm_fail(CLM_ERROR_FORMAT, "%s: the id of token %s must be a whole number from 0",
                        reader->where, clm_quote(name, length).text);
    }
    if (length == 0) {
        return clm_fail(CLM_ERROR_FORMAT, "%s: token %d is empty", reader->where, (int)id);
    }
    if (id >= (double)reader->capacity) {
        reader->beyond = id > reader->beyond ? id : reader->beyond;
        return CLM_OK;
    }
    clm_token *token = &reader->tokens[(size_t)id];
    if (token->bytes != NULL) {
        const char *there = reader->names[(size_t)id];
        return clm_fail(CLM_ERROR_FORMAT, "%s: id %d appears twice, for %s and for %s",
                        reader->where, (int)id, clm_quote(there, strlen(there)).text,
                        clm_quote(name, length).text);
    }
    reader->names[(size_t)id] = name;
    token->bytes = *free_bytes;
    token->word = clm_alphabet_read(name, length, *free_bytes, &token->length);
    if (!token->word) {
        memcpy(*free_bytes, name, length);
        token->length = length;
    }
    *free_bytes += token->length;
    return CLM_OK;
}

clm_status clm_vocab_reader_take_vocab(clm_vocab_reader *reader, const cJSON *vocab) {
    clm_status status = CLM_OK;
    if (!cJSON_IsObject(vocab)) {
        return clm_fail(CLM_ERROR_FORMAT, "%s: the vocabulary must be an object {\"token\": id}",
                        reader->where);
    }
    size_t total = 0;
    const cJSON *item = NULL;
    cJSON_ArrayForEach(item, vocab) {
        reader->capacity++;
        total += strlen(item->string);
    }
    CLM_TRY(clm_allocate(&reader->tokens, reader->capacity, sizeof *reader->tokens, "tokens"));
    CLM_TRY(clm_allocate(&reader->names, reader->capacity, sizeof *reader->names, "tokens"));
    CLM_TRY(clm_allocate(&reader->bytes, total, 1, "tokens"));
    unsigned char *free_bytes = reader->bytes;
    cJSON_ArrayForEach(item, vocab) {
        CLM_TRY(take_token(reader, item, &free_bytes));
    }
cleanup:
    return status;
}

clm_status clm_vocab_reader_count(const clm_vocab_reader *reader, size_t *count) {
    size_t end = reader->capacity;
    double highest = reader->beyond;
    if (!(highest > 0)) {
        while (end > 0 && reader->tokens[end - 1].bytes == NULL) {
            end--;
        }
        highest = (double)end - 1;
    }
    for (size_t id = 0; id < end; id++) {
        if (reader->tokens[id].bytes == NULL) {
            return clm_fail(CLM_ERROR_FORMAT, "%s: id %zu has no token, though ids go up to %.0f",
                            reader->where, id, highest);
        }
    }
    *count = end;
    return CLM_OK;
}

void clm_vocab_reader_free(clm_vocab_reader *reader) {
    clm_free(reader->tokens);
    clm_free((void *)reader->names);
    clm_free(reader->bytes);
    *reader = (clm_vocab_reader){0};
}

/* Vocabularies list what merges make in the order of the merges, so the next token is likely it. */
static int32_t find_result(const clm_merge_list *list, size_t length) {
    const clm_tokenizer *tokenizer = list->tokenizer;
    int32_t next = list->count > 0 ? list->merges[list->count - 1].result + 1 : 0;
    if (next < tokenizer->listed_size) {
        size_t next_length = 0;
        const unsigned char *bytes = clm_token_bytes(tokenizer, next, &next_length);
        if (next_length == length && memcmp(bytes, list->scratch, length) == 0) {
            return next;
        }
    }
    return clm_tokenizer_find(tokenizer, list->scratch, length);
}

clm_status clm_merge_list_add(clm_merge_list *list, const char *left, size_t left_length,
                              const char *right, size_t right_length) {
    clm_status status = CLM_OK;
    clm_merge merge = {-1, -1, -1};
    size_t left_bytes = 0;
    size_t right_bytes = 0;
    CLM_TRY(clm_reserve(&list->scratch, &list->scratch_capacity, left_length + right_length, 1,
                        "a merge"));
    if (clm_alphabet_read(left, left_length, list->scratch, &left_bytes)) {
        merge.left = clm_tokenizer_find(list->tokenizer, list->scratch, left_bytes);
    }
    if (merge.left < 0) {
        return clm_fail(CLM_ERROR_FORMAT, "%s is not in the vocabulary",
                        clm_quote(left, left_length).text);
    }
    if (clm_alphabet_read(right, right_length, list->scratch + left_bytes, &right_bytes)) {
        merge.right = clm_tokenizer_find(list->tokenizer, list->scratch + left_bytes, right_bytes);
    }
    if (merge.right < 0) {
        return clm_fail(CLM_ERROR_FORMAT, "%s is not in the vocabulary",
                        clm_quote(right, right_length).text);
    }
    merge.result = find_result(list, left_bytes + right_bytes);
    if (merge.result < 0) {
        return clm_fail(CLM_ERROR_FORMAT, "%s and %s make a token that is not in the vocabulary",
                        clm_quote(left, left_length).text, clm_quote(right, right_length).text);
    }
    CLM_TRY(clm_reserve(&list->merges, &list->capacity, list->count + 1, sizeof *list->merges,
                        "merges"));
    list->merges[list->count++] = merge;
cleanup:
    return status;
}

void clm_merge_list_free(clm_merge_list *list) {
    clm_free(list->merges);
    clm_free(list->scratch);
    *list = (clm_merge_list){0};
}
