/* SPDX-License-Identifier: Apache-2.0 */
#include "text/load_files.h"

#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/lines.h"
#include "base/memory.h"
#include "text/load.h"

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
