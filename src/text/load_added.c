/* Which tokens are added to a vocabulary, with which ids: as transformers 5 adds them.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/memory.h"
#include "text/load.h"
#include "text/names.h"

typedef struct added_list {
    clm_vocab_reader *reader;
    size_t listed_count; /* of the vocabulary's tokens */
    size_t next;         /* the id of the next token that is new */
    clm_added_token *tokens;
    size_t count;
    clm_names places;     /* content -> place in `tokens` */
    clm_names vocabulary; /* name -> id; made when it is first needed */
    clm_names named;      /* contents that a member of its own names */
    clm_names plain;      /* contents that roles and lists have given as mere strings */
    size_t given;         /* of `tokens`, those that are listed with their flags */
} added_list;

/* The id of the vocabulary's token with this name, or -1. */
static clm_status find_listed(added_list *list, const clm_named_token *token, size_t length,
                              int32_t *id) {
    clm_status status = CLM_OK;
    const char *const *names = list->reader->names;
    /* Where it says, or at the end, is where it mostly is. */
    const size_t guess = token->id >= 0 && (size_t)token->id < list->listed_count
                             ? (size_t)token->id
                             : list->listed_count - (list->listed_count > 0);
    if (list->listed_count > 0 && strcmp(names[guess], token->content) == 0) {
        *id = (int32_t)guess;
        return CLM_OK;
    }
    if (list->vocabulary.slots == NULL) {
        CLM_TRY(clm_names_make(&list->vocabulary, list->listed_count));
        for (size_t i = 0; i < list->listed_count; i++) {
            clm_names_set(&list->vocabulary, names[i], strlen(names[i]), (int32_t)i);
        }
    }
    *id = clm_names_find(&list->vocabulary, token->content, length);
cleanup:
    return status;
}

static clm_status refuse_id(const clm_named_token *token, size_t length, int32_t id) {
    return clm_fail(CLM_ERROR_FORMAT,
                    "%s: added token %s says that its id is %d, but it gets %d: a token of the "
                    "vocabulary keeps its id, and new ones follow without a hole",
                    token->where, clm_quote(token->content, length).text, (int)token->id, (int)id);
}

/* A token that is there gets other flags; one that was special stays so. */
static clm_status add(added_list *list, const clm_named_token *token) {
    clm_status status = CLM_OK;
    const size_t length = strlen(token->content);
    const int32_t place = clm_names_find(&list->places, token->content, length);
    bool special = token->special || clm_names_find(&list->named, token->content, length) >= 0;
    int32_t id = -1;
    if (length == 0) {
        return clm_fail(CLM_ERROR_FORMAT, "%s: added token %d is empty", token->where,
                        (int)token->id);
    }
    if (place >= 0) {
        id = list->tokens[place].id;
        special = special || list->tokens[place].special;
    } else {
        CLM_TRY(find_listed(list, token, length, &id));
    }
    if (id < 0) {
        id = (int32_t)list->next++;
        list->reader->names[id] = token->content;
        list->reader->tokens[id] =
            (clm_token){(const unsigned char *)token->content, length, false};
    }
    if (token->id >= 0 && token->id != id) {
        return refuse_id(token, length, id);
    }
    const size_t at = place >= 0 ? (size_t)place : list->count++;
    list->tokens[at] = (clm_added_token){(const unsigned char *)token->content,
                                         length,
                                         id,
                                         special,
                                         token->normalized,
                                         token->lstrip,
                                         token->rstrip,
                                         token->single_word};
    clm_names_set(&list->places, token->content, length, (int32_t)at);
cleanup:
    return status;
}

/* A token of a role or a list, which is added when none is listed for it; of several with the same
 * content the last counts, but a string only the first time. That which GPT2Tokenizer
 * names by itself is not added to a vocabulary without it: no model would know it. */
static clm_status add_if_new(added_list *list, const clm_named_token *token) {
    if (token->content == NULL) {
        return CLM_OK;
    }
    const size_t length = strlen(token->content);
    const int32_t place = clm_names_find(&list->places, token->content, length);
    if (place >= 0 && (size_t)place < list->given) {
        return CLM_OK;
    }
    if (!token->normalized && !token->lstrip && !token->rstrip && !token->single_word) {
        if (clm_names_find(&list->plain, token->content, length) >= 0) {
            return CLM_OK;
        }
        clm_names_set(&list->plain, token->content, length, 1);
    }
    if (token->where == NULL && place < 0) {
        int32_t id = -1;
        clm_status status = find_listed(list, token, length, &id);
        if (status != CLM_OK || id < 0) {
            return status;
        }
    }
    return add(list, token);
}

static void note_named(added_list *list, const clm_named_token *token) {
    if (token->named && token->content != NULL) {
        clm_names_set(&list->named, token->content, strlen(token->content), 1);
    }
}

/* Room for all that may come. */
static clm_status make_room(added_list *list, size_t count, const clm_settings *settings) {
    clm_status status = CLM_OK;
    clm_vocab_reader *reader = list->reader;
    const size_t capacity = list->listed_count + count;
    if (capacity > INT32_MAX) {
        return clm_fail(CLM_ERROR_FORMAT, "%s: more than %d tokens", reader->where, INT32_MAX);
    }
    CLM_TRY(clm_reallocate(&reader->tokens, capacity + 1, sizeof *reader->tokens, "tokens"));
    CLM_TRY(clm_reallocate(&reader->names, capacity + 1, sizeof *reader->names, "tokens"));
    CLM_TRY(clm_allocate(&list->tokens, count, sizeof *list->tokens, "added tokens"));
    CLM_TRY(clm_names_make(&list->places, count));
    CLM_TRY(clm_names_make(&list->named, clm_role_count + settings->extra.count));
    CLM_TRY(clm_names_make(&list->plain, clm_role_count + settings->extra.count));
cleanup:
    return status;
}

static clm_status add_all(added_list *list, const clm_settings *settings,
                          const clm_named_tokens *listed) {
    clm_status status = CLM_OK;
    /* GPT2Tokenizer makes a tokenizer of its own, and knows tokenizer.json's tokens by what
     * transformers hands on: all settings in one list. */
    for (size_t i = 0; !settings->gpt2 && i < listed->count; i++) {
        CLM_TRY(add(list, &listed->tokens[i]));
    }
    for (int role = 0; role < clm_role_count; role++) {
        note_named(list, &settings->roles[role]);
    }
    for (size_t i = 0; i < settings->extra.count; i++) {
        note_named(list, &settings->extra.tokens[i]);
    }
    for (size_t i = 0; i < settings->added.count; i++) {
        CLM_TRY(add(list, &settings->added.tokens[i]));
    }
    list->given = list->count;
    for (int role = 0; role < clm_role_count; role++) {
        clm_named_token token = settings->roles[role];
        token.special = true;
        CLM_TRY(add_if_new(list, &token));
    }
    for (size_t i = 0; i < settings->extra.count; i++) {
        CLM_TRY(add_if_new(list, &settings->extra.tokens[i]));
    }
cleanup:
    return status;
}

clm_status clm_load_added(clm_added_token **added, size_t *added_count, clm_vocab_reader *reader,
                          size_t *count, clm_settings *settings, const clm_named_tokens *listed) {
    clm_status status = CLM_OK;
    added_list list = {.reader = reader, .listed_count = *count, .next = *count};
    *added = NULL;
    *added_count = 0;
    for (size_t i = 0; !settings->lists_added && i < listed->count; i++) {
        CLM_TRY(clm_named_tokens_add(&settings->added, &listed->tokens[i]));
    }
    clm_named_tokens_sort(&settings->added);
    CLM_TRY(make_room(
        &list, listed->count + settings->added.count + clm_role_count + settings->extra.count,
        settings));
    CLM_TRY(add_all(&list, settings, listed));
    *count = list.next;
    *added = list.tokens;
    *added_count = list.count;
    list.tokens = NULL;
cleanup:
    clm_free(list.tokens);
    clm_names_free(&list.places);
    clm_names_free(&list.vocabulary);
    clm_names_free(&list.named);
    clm_names_free(&list.plain);
    return status;
}

void clm_load_roles(clm_tokenizer *tokenizer, const clm_settings *settings) {
    size_t count = 0;
    const clm_added_token *tokens = clm_added_tokens(tokenizer->added, &count);
    for (int role = 0; role < clm_role_count; role++) {
        const char *content = settings->roles[role].content;
        for (size_t i = 0; content != NULL && i < count; i++) {
            if (tokens[i].special && tokens[i].length == strlen(content) &&
                memcmp(tokens[i].content, content, tokens[i].length) == 0) {
                tokenizer->roles[role] = tokens[i].id;
            }
        }
    }
    tokenizer->max_length = settings->max_length;
}
