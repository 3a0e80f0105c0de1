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
    return CLM_OK;
}

/* ByteLevel, also as the only one of a Sequence; NULL when it is anything else. */
static const cJSON *find_byte_level(const cJSON *cut) {
    if (has_type(cut, "Sequence")) {
        const cJSON *list = member(cut, "pretokenizers");
        cut = cJSON_GetArraySize(list) == 1 ? list->child : NULL;
    }
    return has_type(cut, "ByteLevel") ? cut : NULL;
}

static clm_status check_cut(const cJSON *json, const char *where) {
    const cJSON *cut = member(json, "pre_tokenizer");
    const cJSON *byte_level = find_byte_level(cut);
    const char *type = cJSON_GetStringValue(member(cut, "type"));
    if (byte_level == NULL) {
        return clm_fail(CLM_ERROR_UNSUPPORTED,
                        "%s: \"pre_tokenizer\" is %s: only ByteLevel, GPT-2's, is supported", where,
                        type != NULL  ? clm_quote(type, strlen(type)).text
                        : cut != NULL ? "of no \"type\""
                                      : "null");
    }
    if (cJSON_IsFalse(member(byte_level, "use_regex"))) {
        return unsupported(where, "pre_tokenizer",
                           "\"use_regex\" is false: only GPT-2's pattern is supported");
    }
    if (!cJSON_IsBool(member(byte_level, "add_prefix_space"))) {
        return clm_fail(CLM_ERROR_FORMAT,
                        "%s: \"pre_tokenizer\": \"add_prefix_space\" must be true or false", where);
    }
    return CLM_OK;
}

clm_status clm_json_check(const cJSON *json, const clm_settings *settings, const char *where) {
    clm_status status = CLM_OK;
    if (!cJSON_IsObject(json)) {
        return clm_fail(CLM_ERROR_FORMAT, "%s: not a JSON object", where);
    }
    const cJSON *version = member(json, "version");
    const char *number = cJSON_GetStringValue(version);
    if (version != NULL && (number == NULL || strcmp(number, "1.0") != 0)) {
        return unsupported(where, "version", "only version 1.0 is known");
    }
    if (member(json, "normalizer") != NULL) {
        return unsupported(where, "normalizer", "must be null: clm encodes text unchanged");
    }
    CLM_TRY(check_cut(json, where));
    CLM_TRY(check_model(member(json, "model"), where));
    if (settings->gpt2 && cJSON_IsTrue(member(member(json, "model"), "ignore_merges"))) {
        return unsupported(where, "ignore_merges",
                           "is true, which the tokenizer_class GPT2Tokenizer leaves out: with "
                           "PreTrainedTokenizerFast it is honoured");
    }
cleanup:
    return status;
}

clm_status clm_json_list_added(clm_named_tokens *tokens, const cJSON *json, const char *where) {
    clm_status status = CLM_OK;
    const cJSON *list = member(json, "added_tokens");
    const cJSON *item = NULL;
    size_t index = 0;
    if (list != NULL && !cJSON_IsArray(list)) {
        return clm_fail(CLM_ERROR_FORMAT, "%s: \"added_tokens\" must be an array", where);
    }
    cJSON_ArrayForEach(item, list) {
        clm_named_token token;
        int id = 0;
        status = clm_named_token_read(&token, item, false, where);
        if (status == CLM_OK) {
            status = clm_json_get_int(item, "id", true, 0, INT32_MAX, &id, where);
        }
        if (status != CLM_OK) {
            return clm_error_prefix(status, "added token %zu", index);
        }
        token.id = id;
        CLM_TRY(clm_named_tokens_add(tokens, &token));
        index++;
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

clm_status clm_json_take_merges(clm_tokenizer *tokenizer, const cJSON *json, const char *where) {
    clm_status status = CLM_OK;
    const cJSON *merges = member(member(json, "model"), "merges");
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

/* One piece of a template: {"SpecialToken": {"id": "<s>", ...}} or {"Sequence": {"id": "A", ...}}.
 * *side goes from 0 to 1 at the text. */
static clm_status take_piece(clm_tokenizer *tokenizer, const cJSON *piece, const cJSON *specials,
                             int *side, const char *where) {
    clm_template *frame = &tokenizer->frame;
    const char *sequence = cJSON_GetStringValue(member(member(piece, "Sequence"), "id"));
    const char *name = cJSON_GetStringValue(member(member(piece, "SpecialToken"), "id"));
    if (sequence != NULL && strcmp(sequence, "A") == 0 && *side == 0) {
        *side = 1;
        return CLM_OK;
    }
    const cJSON *ids = name != NULL ? member(member(specials, name), "ids") : NULL;
    if (name == NULL || ids == NULL || !cJSON_IsArray(ids) || ids->child == NULL) {
        return unsupported(where, "post_processor",
                           "a template must be special tokens before and behind one text");
    }
    const cJSON *item = NULL;
    cJSON_ArrayForEach(item, ids) {
        const double id = item->valuedouble;
        if (!cJSON_IsNumber(item) || !(id >= 0 && id < tokenizer->vocab_size) ||
            (double)(int32_t)id != id) {
            return clm_fail(CLM_ERROR_FORMAT,
                            "%s: \"post_processor\": %s has an id that no token has", where,
                            clm_quote(name, strlen(name)).text);
        }
        if (frame->counts[*side] == clm_template_most) {
            return unsupported(where, "post_processor",
                               "more than 16 tokens before or behind a text");
        }
        frame->ids[*side][frame->counts[*side]++] = (int32_t)id;
    }
    return CLM_OK;
}

static clm_status take_template(clm_tokenizer *tokenizer, const cJSON *processor,
                                const char *where) {
    clm_status status = CLM_OK;
    const cJSON *single = member(processor, "single");
    const cJSON *piece = NULL;
    int side = 0;
    if (!cJSON_IsArray(single)) {
        return clm_fail(CLM_ERROR_FORMAT, "%s: \"post_processor\": \"single\" must be an array",
                        where);
    }
    cJSON_ArrayForEach(piece, single) {
        CLM_TRY(take_piece(tokenizer, piece, member(processor, "special_tokens"), &side, where));
    }
    if (side == 0) {
        return unsupported(where, "post_processor", "the template has no place for the text");
    }
cleanup:
    return status;
}

static clm_status take_processor(clm_tokenizer *tokenizer, const cJSON *processor, bool *has,
                                 const char *where) {
    if (has_type(processor, "ByteLevel")) {
        return CLM_OK;
    }
    if (has_type(processor, "TemplateProcessing") && !*has) {
        *has = true;
        return take_template(tokenizer, processor, where);
    }
    const char *type = cJSON_GetStringValue(member(processor, "type"));
    return clm_fail(CLM_ERROR_UNSUPPORTED,
                    "%s: \"post_processor\" is %s: only ByteLevel and one TemplateProcessing are "
                    "supported",
                    where, type != NULL ? clm_quote(type, strlen(type)).text : "of no \"type\"");
}

clm_status clm_json_take_scheme(clm_tokenizer *tokenizer, const cJSON *json,
                                const clm_settings *settings, const char *where) {
    clm_status status = CLM_OK;
    const cJSON *processor = member(json, "post_processor");
    bool has = false;
    tokenizer->prefix_space = settings->prefix_space;
    if (!settings->gpt2) {
        tokenizer->prefix_space = cJSON_IsTrue(
            member(find_byte_level(member(json, "pre_tokenizer")), "add_prefix_space"));
    }
    if (has_type(processor, "Sequence")) {
        const cJSON *item = NULL;
        cJSON_ArrayForEach(item, member(processor, "processors")) {
            CLM_TRY(take_processor(tokenizer, item, &has, where));
        }
    } else if (processor != NULL) {
        CLM_TRY(take_processor(tokenizer, processor, &has, where));
    }
    if (cJSON_IsTrue(member(member(json, "model"), "ignore_merges"))) {
        tokenizer->ignore_merges = true;
        for (int32_t id = 0; id < tokenizer->listed_size; id++) {
            atomic_init(&tokenizer->whole[id], clm_whole_yes);
        }
    }
cleanup:
    return status;
}
