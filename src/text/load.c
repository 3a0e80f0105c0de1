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

clm_status clm_vocab_reader_parse(cJSON **json, const clm_source *source) {
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
        return clm_fail(CLM_ERROR_FORMAT, "%s: id %d stands twice, for %s and for %s",
                        reader->where, (int)id, clm_quote(there, strlen(there)).text,
                        clm_quote(name, length).text);
    }
    reader->names[(size_t)id] = name;
    token->bytes = *free_bytes;
    token->word = clm_alphabet_read(name, length, *free_bytes, &token->length);
    token->special = !token->word;
    if (!token->word) {
        memcpy(*free_bytes, name, length);
        token->length = length;
    }
    *free_bytes += token->length;
    return CLM_OK;
}

clm_status clm_vocab_reader_take_vocab(clm_vocab_reader *reader, const cJSON *vocab, size_t more) {
    clm_status status = CLM_OK;
    if (!cJSON_IsObject(vocab)) {
        return clm_fail(CLM_ERROR_FORMAT, "%s: the vocabulary must be an object {\"token\": id}",
                        reader->where);
    }
    size_t total = 0;
    const cJSON *item = NULL;
    reader->capacity = more;
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
    if (next < tokenizer->vocab_size && !tokenizer->special[next]) {
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

/* What is no byte and what no merge makes can only be a special token. */
static clm_status mark_specials(clm_tokenizer *tokenizer) {
    bool *made = NULL;
    clm_status status = clm_allocate(&made, (size_t)tokenizer->vocab_size, sizeof *made, "tokens");
    if (status != CLM_OK) {
        return status;
    }
    for (size_t rank = 0; rank < tokenizer->merge_count; rank++) {
        made[tokenizer->merges[rank].result] = true;
    }
    for (size_t byte = 0; byte < 256; byte++) {
        made[tokenizer->byte_ids[byte]] = true;
    }
    for (int32_t id = 0; id < tokenizer->vocab_size; id++) {
        tokenizer->special[id] = !made[id];
    }
    clm_free(made);
    return clm_tokenizer_list_specials(tokenizer);
}

clm_status clm_load_pair(clm_tokenizer **tokenizer, const clm_source *vocab,
                         const clm_source *merges) {
    clm_status status = CLM_OK;
    cJSON *json = NULL;
    clm_vocab_reader reader = {.where = vocab->where};
    clm_merge_list list = {0};
    clm_tokenizer *made = NULL;
    size_t count = 0;
    size_t first_line = 1;
    size_t repeated = 0;
    *tokenizer = NULL;
    CLM_TRY(clm_vocab_reader_parse(&json, vocab));
    CLM_TRY(clm_vocab_reader_take_vocab(&reader, json, 0));
    CLM_TRY(clm_vocab_reader_count(&reader, &count));
    status = clm_tokenizer_make(&made, reader.tokens, count);
    if (status != CLM_OK) {
        status = clm_error_prefix(status, "%s", vocab->where);
        goto cleanup;
    }
    list.tokenizer = made;
    CLM_TRY(read_merges(&list, merges, &first_line));
    status = clm_tokenizer_take_merges(made, list.merges, list.count, &repeated);
    list.merges = NULL;
    if (status != CLM_OK) {
        status = repeated < list.count ? clm_error_prefix(status, "%s: line %zu", merges->where,
                                                          first_line + repeated)
                                       : status;
        goto cleanup;
    }
    CLM_TRY(mark_specials(made));
    *tokenizer = made;
    made = NULL;
cleanup:
    clm_tokenizer_close(made);
    clm_merge_list_free(&list);
    clm_vocab_reader_free(&reader);
    cJSON_Delete(json);
    return status;
}

static clm_status read_source(clm_source *source, char **text, const char *path) {
    source->where = path;
    clm_status status = clm_file_read(path, CLM_FILE_TOKENIZER, text, &source->length);
    if (status == CLM_OK) {
        status = clm_text_refuse_nul(*text, source->length, path);
        const size_t mark = clm_text_mark(*text, source->length);
        source->text = *text + mark;
        source->length -= mark;
    }
    return status;
}

static clm_status open_pair(clm_tokenizer **tokenizer, const char *vocab, const char *merges) {
    clm_status status = CLM_OK;
    char *vocab_text = NULL;
    char *merges_text = NULL;
    clm_source vocab_source;
    clm_source merges_source;
    CLM_TRY(read_source(&vocab_source, &vocab_text, vocab));
    CLM_TRY(read_source(&merges_source, &merges_text, merges));
    CLM_TRY(clm_load_pair(tokenizer, &vocab_source, &merges_source));
cleanup:
    clm_free(vocab_text);
    clm_free(merges_text);
    return status;
}

static clm_status open_json(clm_tokenizer **tokenizer, const char *path) {
    char *text = NULL;
    clm_source source;
    clm_status status = read_source(&source, &text, path);
    if (status == CLM_OK) {
        status = clm_load_tokenizer_json(tokenizer, &source);
    }
    clm_free(text);
    return status;
}

clm_status clm_tokenizer_open(clm_tokenizer **tokenizer, const char *folder) {
    static const char *const names[] = {"tokenizer.json", "vocab.json", "merges.txt",
                                        "encoder.json", "vocab.bpe"};
    enum { name_count = sizeof names / sizeof *names };
    clm_status status = CLM_OK;
    char *paths[name_count] = {0};
    *tokenizer = NULL;
    for (size_t i = 0; i < name_count; i++) {
        CLM_TRY(clm_path_join(&paths[i], folder, names[i]));
    }
    if (clm_file_exists(paths[0])) {
        CLM_TRY(open_json(tokenizer, paths[0]));
    } else if (clm_file_exists(paths[1])) {
        CLM_TRY(open_pair(tokenizer, paths[1], paths[2]));
    } else if (clm_file_exists(paths[3])) {
        CLM_TRY(open_pair(tokenizer, paths[3], paths[4]));
    } else {
        status = clm_fail(CLM_ERROR_NOT_FOUND,
                          "%s: no tokenizer here: needs tokenizer.json, vocab.json with "
                          "merges.txt, or encoder.json with vocab.bpe (GPT-2's come with "
                          "`clm fetch gpt2`)",
                          folder);
    }
cleanup:
    for (size_t i = 0; i < name_count; i++) {
        clm_free(paths[i]);
    }
    return status;
}
