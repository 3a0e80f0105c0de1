/* SPDX-License-Identifier: Apache-2.0 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memmem */
#endif
#include "text/load.h"

#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/lines.h"
#include "base/memory.h"
#include "text/alphabet.h"

clm_quoted clm_quote(const char *text, size_t length) {
    enum { most = 40 };
    clm_quoted quoted = {"\"?\""};
    clm_string out = {0};
    size_t shown = length;
    if (shown > most) {
        for (shown = most; shown > 0 && ((unsigned char)text[shown] & 0xC0) == 0x80; shown--) {
        }
    }
    clm_json_add_bytes(&out, text, shown);
    if (shown < length) {
        clm_string_add(&out, "...");
    }
    /* Escapes can make it longer than the room; then the question mark has to do. */
    if (clm_string_status(&out) == CLM_OK && out.length < sizeof quoted.text) {
        memcpy(quoted.text, out.text, out.length + 1);
    }
    clm_string_free(&out);
    return quoted;
}

clm_status clm_source_parse(cJSON **json, const clm_source *source) {
    static const char nul[] = "\\u0000";
    *json = NULL;
    const char *end = source->text + source->length;
    const char *at = source->text;
    while ((at = memmem(at, (size_t)(end - at), nul, sizeof nul - 1)) != NULL) {
        /* After an odd number of backslashes this one is itself escaped. */
        const char *first = at;
        while (first > source->text && first[-1] == '\\') {
            first--;
        }
        if ((at - first) % 2 == 0) {
            return clm_fail(CLM_ERROR_FORMAT, "%s: byte %zu: a NUL character in a string",
                            source->where, (size_t)(at - source->text));
        }
        at++;
    }
    return clm_json_parse(json, source->text, source->length, source->where);
}

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

/* The lines of a merges file. *first_line is the number of the line of rank 0. */
static clm_status read_merges(clm_merge_list *list, const clm_source *source, size_t *first_line) {
    static const char version[] = "#version";
    const char *end = source->text + source->length;
    *first_line = source->length >= sizeof version - 1 &&
                          memcmp(source->text, version, sizeof version - 1) == 0
                      ? 2
                      : 1;
    size_t number = 0;
    const char *next = source->text;
    const char *line = NULL;
    for (size_t length = 0; clm_text_next_line(&next, end, &line, &length);) {
        const char *stop = line + length;
        number++;
        if (number < *first_line || (stop == line && next == end)) {
            continue;
        }
        const char *space = memchr(line, ' ', (size_t)(stop - line));
        if (space == NULL || space == line || space + 1 == stop ||
            memchr(space + 1, ' ', (size_t)(stop - space - 1)) != NULL) {
            return clm_fail(CLM_ERROR_FORMAT,
                            "%s: line %zu: a merge is two tokens with a space between, not %s",
                            source->where, number, clm_quote(line, (size_t)(stop - line)).text);
        }
        clm_status status = clm_merge_list_add(list, line, (size_t)(space - line), space + 1,
                                               (size_t)(stop - space - 1));
        if (status != CLM_OK) {
            return clm_error_prefix(status, "%s: line %zu", source->where, number);
        }
    }
    return CLM_OK;
}

static clm_status take_merges_file(clm_tokenizer *tokenizer, const clm_source *merges) {
    clm_status status = CLM_OK;
    clm_merge_list list = {.tokenizer = tokenizer};
    size_t first_line = 1;
    size_t repeated = 0;
    CLM_TRY(read_merges(&list, merges, &first_line));
    status = clm_tokenizer_take_merges(tokenizer, list.merges, list.count, &repeated);
    list.merges = NULL;
    if (status != CLM_OK && repeated < list.count) {
        status = clm_error_prefix(status, "%s: line %zu", merges->where, first_line + repeated);
    }
cleanup:
    clm_merge_list_free(&list);
    return status;
}

/* What is read on the way to a tokenizer. */
typedef struct clm_loading {
    const clm_tokenizer_files *files;
    const clm_source *main; /* where the vocabulary is */
    cJSON *json;            /* of the main file */
    clm_settings settings;
    clm_vocab_reader reader;
    clm_named_tokens listed; /* tokenizer.json's added tokens */
    clm_added_token *added;
    size_t added_count;
    clm_tokenizer *tokenizer;
} clm_loading;

/* All tokens, and a tokenizer of them that merges nothing yet. */
static clm_status load_tokens(clm_loading *l) {
    clm_status status = CLM_OK;
    const cJSON *vocab = NULL;
    size_t count = 0;
    CLM_TRY(clm_source_parse(&l->json, l->main));
    vocab = l->json;
    if (l->files->json != NULL) {
        CLM_TRY(clm_json_check(l->json, &l->settings, l->main->where));
        CLM_TRY(clm_json_list_added(&l->listed, l->json, l->main->where));
        vocab = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(l->json, "model"),
                                                 "vocab");
    }
    CLM_TRY(clm_vocab_reader_take_vocab(&l->reader, vocab));
    CLM_TRY(clm_vocab_reader_count(&l->reader, &count));
    const size_t listed_count = count;
    CLM_TRY(
        clm_load_added(&l->added, &l->added_count, &l->reader, &count, &l->settings, &l->listed));
    status = clm_tokenizer_make(&l->tokenizer, l->reader.tokens, count);
    if (status != CLM_OK) {
        return clm_error_prefix(status, "%s", l->main->where);
    }
    l->tokenizer->listed_size = (int32_t)listed_count;
    CLM_TRY(clm_tokenizer_take_added(l->tokenizer, l->added, l->added_count));
    clm_load_roles(l->tokenizer, &l->settings);
cleanup:
    return status;
}

/* What GPT2Tokenizer does to a pair of files. */
static void take_pair_scheme(clm_tokenizer *tokenizer, const clm_settings *settings) {
    const clm_role roles[2] = {clm_role_bos, clm_role_eos};
    const bool adds[2] = {settings->add_bos, settings->add_eos};
    tokenizer->prefix_space = settings->prefix_space;
    for (int side = 0; side < 2; side++) {
        const int32_t id = tokenizer->roles[roles[side]];
        if (adds[side] && id >= 0) {
            tokenizer->frame.ids[side][0] = id;
            tokenizer->frame.counts[side] = 1;
        }
    }
}

clm_status clm_load_files(clm_tokenizer **tokenizer, const clm_tokenizer_files *files) {
    clm_status status = CLM_OK;
    clm_loading l = {.files = files, .main = files->json != NULL ? files->json : files->vocab};
    *tokenizer = NULL;
    if (l.main == NULL) {
        return clm_fail(CLM_ERROR_INTERNAL, "a tokenizer of no file");
    }
    l.reader.where = l.main->where;
    CLM_TRY(clm_settings_read(&l.settings, files));
    CLM_TRY(load_tokens(&l));
    if (files->json != NULL) {
        CLM_TRY(clm_json_take_merges(l.tokenizer, l.json, l.main->where));
        CLM_TRY(clm_json_take_scheme(l.tokenizer, l.json, &l.settings, l.main->where));
    } else {
        CLM_TRY(take_merges_file(l.tokenizer, files->merges));
        take_pair_scheme(l.tokenizer, &l.settings);
    }
    *tokenizer = l.tokenizer;
    l.tokenizer = NULL;
cleanup:
    clm_tokenizer_close(l.tokenizer);
    clm_free(l.added);
    clm_free(l.listed.tokens);
    clm_vocab_reader_free(&l.reader);
    cJSON_Delete(l.json);
    clm_settings_free(&l.settings);
    return status;
}

clm_status clm_load_pair(clm_tokenizer **tokenizer, const clm_source *vocab,
                         const clm_source *merges) {
    const clm_tokenizer_files files = {.vocab = vocab, .merges = merges};
    return clm_load_files(tokenizer, &files);
}

clm_status clm_load_tokenizer_json(clm_tokenizer **tokenizer, const clm_source *source) {
    const clm_tokenizer_files files = {.json = source};
    return clm_load_files(tokenizer, &files);
}
