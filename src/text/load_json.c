/* tokenizer.json: only GPT-2's scheme is read, and whatever asks for another is refused by name.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/json.h"
#include "base/memory.h"
#include "text/load.h"

static clm_status unsupported(const char *where, const char *member, const char *what) {
    return clm_fail(CLM_ERROR_UNSUPPORTED, "%s: \"%s\": %s", where, member, what);
}

static const cJSON *member(const cJSON *object, const char *name) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsNull(item) ? NULL : item;
}

static bool has_type(const cJSON *object, const char *type) {
    const char *value = cJSON_GetStringValue(member(object, "type"));
    return value != NULL && strcmp(value, type) == 0;
}

static bool is_empty_string(const cJSON *item) {
    const char *value = cJSON_GetStringValue(item);
    return value != NULL && value[0] == '\0';
}

static clm_status check_model(const cJSON *model, const char *where) {
    static const char *const affixes[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    if (!cJSON_IsObject(model)) {
        return clm_fail(CLM_ERROR_FORMAT, "%s: \"model\" is missing", where);
    }
    if (member(model, "type") != NULL && !has_type(model, "BPE")) {
        return unsupported(where, "model", "only BPE is supported");
    }
    const cJSON *dropout = member(model, "dropout");
    if (dropout != NULL && !(cJSON_IsNumber(dropout) && dropout->valuedouble == 0.0)) {
        return unsupported(where, "dropout", "merging at random is not supported");
    }
    for (size_t i = 0; i < sizeof affixes / sizeof *affixes; i++) {
        const cJSON *affix = member(model, affixes[i]);
        if (affix != NULL && !is_empty_string(affix)) {
            return unsupported(where, affixes[i], "only byte-level BPE without it is supported");
        }
    }
    if (cJSON_IsTrue(member(model, "byte_fallback"))) {
        return unsupported(where, "byte_fallback", "only byte-level BPE is supported");
    }
    return CLM_OK;
}

static clm_status check_scheme(const cJSON *json, const char *where) {
    if (!cJSON_IsObject(json)) {
        return clm_fail(CLM_ERROR_FORMAT, "%s: not a JSON object", where);
    }
    if (member(json, "normalizer") != NULL) {
        return unsupported(where, "normalizer", "text is only encoded as it stands");
    }
    const cJSON *cut = member(json, "pre_tokenizer");
    if (!has_type(cut, "ByteLevel") || cJSON_IsFalse(member(cut, "use_regex"))) {
        return unsupported(where, "pre_tokenizer", "only ByteLevel, GPT-2's, is supported");
    }
    /* Its default is true. */
    if (!cJSON_IsFalse(member(cut, "add_prefix_space"))) {
        return unsupported(where, "add_prefix_space", "must be false, as in GPT-2");
    }
    return check_model(member(json, "model"), where);
}

static clm_status take_added_token(clm_vocab_reader *reader, const cJSON *added, int id,
                                   const char *content) {
    static const char *const options[] = {"single_word", "lstrip", "rstrip"};
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        if (cJSON_IsTrue(member(added, options[i]))) {
            return unsupported(reader->where, options[i],
                               "added tokens are only found as they stand");
        }
    }
    if (content[0] == '\0') {
        return clm_fail(CLM_ERROR_FORMAT, "%s: added token %d is empty", reader->where, id);
    }
    if ((size_t)id >= reader->capacity) {
        reader->beyond = id > reader->beyond ? id : reader->beyond;
        return CLM_OK;
    }
    const char *there = reader->names[id];
    if (there != NULL && strcmp(there, content) != 0) {
        return clm_fail(CLM_ERROR_FORMAT, "%s: id %d stands twice, for %s and for %s",
                        reader->where, id, clm_quote(there, strlen(there)).text,
                        clm_quote(content, strlen(content)).text);
    }
    clm_token *token = &reader->tokens[id];
    size_t length = strlen(content);
    /* Unlike the vocabulary, added tokens are written as the text that they are. */
    bool word =
        token->word && token->length == length && memcmp(token->bytes, content, length) == 0;
    *token = (clm_token){(const unsigned char *)content, length, true, word};
    reader->names[id] = content;
    return CLM_OK;
}

static clm_status take_added(clm_vocab_reader *reader, const cJSON *added, size_t index) {
    int id = 0;
    const char *content = NULL;
    clm_status status = CLM_OK;
    clm_string where = {0};
    clm_string_add_format(&where, "%s: added token %zu", reader->where, index);
    CLM_TRY(clm_string_status(&where));
    CLM_TRY(clm_json_get_int(added, "id", true, 0, INT32_MAX, &id, where.text));
    CLM_TRY(clm_json_get_string(added, "content", true, &content, where.text));
    CLM_TRY(take_added_token(reader, added, id, content));
cleanup:
    clm_string_free(&where);
    return status;
}

static clm_status read_tokens(clm_vocab_reader *reader, const cJSON *json) {
    clm_status status = CLM_OK;
    const cJSON *added_tokens = member(json, "added_tokens");
    if (added_tokens != NULL && !cJSON_IsArray(added_tokens)) {
        return clm_fail(CLM_ERROR_FORMAT, "%s: \"added_tokens\" must be an array", reader->where);
    }
    size_t more = (size_t)cJSON_GetArraySize(added_tokens);
    CLM_TRY(clm_vocab_reader_take_vocab(reader, member(member(json, "model"), "vocab"), more));
    size_t index = 0;
    const cJSON *added = NULL;
    cJSON_ArrayForEach(added, added_tokens) {
        CLM_TRY(take_added(reader, added, index++));
    }
cleanup:
    return status;
}

/* "left right", or since 0.20 ["left", "right"]. */
static clm_status take_merge(clm_merge_list *list, const cJSON *item) {
    const char *left = cJSON_GetStringValue(item);
    const char *right = NULL;
    size_t left_length = 0;
    if (left != NULL) {
        right = strchr(left, ' ');
        if (right != NULL) {
            left_length = (size_t)(right - left);
            right = strchr(right + 1, ' ') == NULL ? right + 1 : NULL;
        }
    } else if (cJSON_IsArray(item) && cJSON_GetArraySize(item) == 2) {
        left = cJSON_GetStringValue(item->child);
        right = cJSON_GetStringValue(item->child->next);
        left_length = left != NULL ? strlen(left) : 0;
    }
    if (left == NULL || right == NULL) {
        return clm_fail(CLM_ERROR_FORMAT, "not two tokens");
    }
    return clm_merge_list_add(list, left, left_length, right, strlen(right));
}

static clm_status read_merges(clm_tokenizer *tokenizer, const cJSON *merges, const char *where) {
    clm_status status = CLM_OK;
    clm_merge_list list = {.tokenizer = tokenizer};
    size_t repeated = 0;
    if (!cJSON_IsArray(merges)) {
        return clm_fail(CLM_ERROR_FORMAT, "%s: \"merges\" must be an array", where);
    }
    const cJSON *item = NULL;
    cJSON_ArrayForEach(item, merges) {
        status = take_merge(&list, item);
        if (status != CLM_OK) {
            status = clm_error_prefix(status, "%s: merge %zu", where, list.count);
            goto cleanup;
        }
    }
    status = clm_tokenizer_take_merges(tokenizer, list.merges, list.count, &repeated);
    list.merges = NULL;
    if (status != CLM_OK && repeated < list.count) {
        status = clm_error_prefix(status, "%s: merge %zu", where, repeated);
    }
cleanup:
    clm_merge_list_free(&list);
    return status;
}

clm_status clm_load_tokenizer_json(clm_tokenizer **tokenizer, const clm_source *source) {
    clm_status status = CLM_OK;
    cJSON *json = NULL;
    clm_vocab_reader reader = {.where = source->where};
    clm_tokenizer *made = NULL;
    size_t count = 0;
    *tokenizer = NULL;
    CLM_TRY(clm_vocab_reader_parse(&json, source));
    CLM_TRY(check_scheme(json, source->where));
    CLM_TRY(read_tokens(&reader, json));
    CLM_TRY(clm_vocab_reader_count(&reader, &count));
    status = clm_tokenizer_make(&made, reader.tokens, count);
    if (status != CLM_OK) {
        status = clm_error_prefix(status, "%s", source->where);
        goto cleanup;
    }
    const cJSON *model = member(json, "model");
    CLM_TRY(read_merges(made, member(model, "merges"), source->where));
    CLM_TRY(clm_tokenizer_list_specials(made));
    if (cJSON_IsTrue(member(model, "ignore_merges"))) {
        made->ignore_merges = true;
        for (size_t id = 0; id < count; id++) {
            atomic_init(&made->whole[id], clm_whole_yes);
        }
    }
    *tokenizer = made;
    made = NULL;
cleanup:
    clm_tokenizer_close(made);
    clm_vocab_reader_free(&reader);
    cJSON_Delete(json);
    return status;
}
