/* SPDX-License-Identifier: Apache-2.0 */
#include "text/settings.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/memory.h"
#include "text/names.h"

static const char end_of_text[] = "<|endoftext|>";

const char *const clm_role_names[clm_role_count] = {
    "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"};

static const cJSON *member(const cJSON *object, const char *name) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsNull(item) ? NULL : item;
}

clm_status clm_named_tokens_add(clm_named_tokens *list, const clm_named_token *token) {
    clm_status status = CLM_OK;
    CLM_TRY(clm_reserve(&list->tokens, &list->capacity, list->count + 1, sizeof *list->tokens,
                        "added tokens"));
    list->tokens[list->count] = *token;
    list->tokens[list->count].place = list->count;
    list->count++;
cleanup:
    return status;
}

static int compare_ids(const void *a, const void *b) {
    const clm_named_token *left = a;
    const clm_named_token *right = b;
    if (left->id != right->id) {
        return left->id < right->id ? -1 : 1;
    }
    return left->place < right->place ? -1 : left->place > right->place;
}

void clm_named_tokens_sort(clm_named_tokens *list) {
    size_t kept = 0;
    if (list->count > 0) {
        qsort(list->tokens, list->count, sizeof *list->tokens, compare_ids);
    }
    for (size_t i = 0; i < list->count; i++) {
        kept -= kept > 0 && list->tokens[kept - 1].id == list->tokens[i].id;
        list->tokens[kept++] = list->tokens[i];
    }
    list->count = kept;
}

clm_status clm_named_token_read(clm_named_token *token, const cJSON *item, bool special,
                                const char *where) {
    clm_status status = CLM_OK;
    *token = (clm_named_token){.id = -1, .where = where, .special = special};
    CLM_TRY(clm_json_get_string(item, "content", true, &token->content, where));
    CLM_TRY(clm_json_get_bool(item, "special", false, &token->special, where));
    token->normalized = !token->special;
    CLM_TRY(clm_json_get_bool(item, "normalized", false, &token->normalized, where));
    CLM_TRY(clm_json_get_bool(item, "lstrip", false, &token->lstrip, where));
    CLM_TRY(clm_json_get_bool(item, "rstrip", false, &token->rstrip, where));
    CLM_TRY(clm_json_get_bool(item, "single_word", false, &token->single_word, where));
cleanup:
    return status;
}

/* A token that a member names: a string, which is a special token, or an object with flags, which
 * in special_tokens_map.json is one too. */
static clm_status read_named(clm_named_token *token, const cJSON *item, const char *name,
                             bool is_map, const char *where) {
    clm_status status = CLM_OK;
    *token = (clm_named_token){.id = -1, .where = where};
    if (cJSON_IsString(item)) {
        token->content = item->valuestring;
        token->special = true;
    } else if (cJSON_IsObject(item)) {
        status = clm_named_token_read(token, item, is_map, where);
        status = status == CLM_OK ? status : clm_error_prefix(status, "\"%s\"", name);
        token->special = token->special || is_map;
    } else if (!cJSON_IsNull(item)) {
        status = clm_fail(CLM_ERROR_FORMAT, "%s: \"%s\" must be a token", where, name);
    }
    if (token->content != NULL && token->content[0] == '\0') {
        token->content = NULL;
    }
    return status;
}

static clm_status add_extra(clm_settings *settings, const cJSON *item, const char *name,
                            bool is_map, bool named, const char *where) {
    clm_named_token token;
    clm_status status = read_named(&token, item, name, is_map, where);
    token.named = named;
    /* transformers 5 looks for additional_special_tokens too late in special_tokens_map.json. */
    token.extra = !named && !(is_map && strcmp(name, "additional_special_tokens") == 0);
    return status == CLM_OK && token.content != NULL
               ? clm_named_tokens_add(&settings->extra, &token)
               : status;
}

/* A list of tokens, or an object of them by name. */
static clm_status add_extras(clm_settings *settings, const cJSON *list, bool is_map,
                             const char *where) {
    clm_status status = CLM_OK;
    const cJSON *item = NULL;
    if (!cJSON_IsArray(list) && !cJSON_IsObject(list)) {
        return clm_fail(CLM_ERROR_FORMAT, "%s: \"%s\" must be a list of tokens", where,
                        list->string);
    }
    cJSON_ArrayForEach(item, list) {
        CLM_TRY(add_extra(settings, item, list->string, is_map, cJSON_IsObject(list), where));
    }
cleanup:
    return status;
}

static int role_of(const char *name) {
    for (int role = 0; role < clm_role_count; role++) {
        if (strcmp(name, clm_role_names[role]) == 0) {
            return role;
        }
    }
    return -1;
}

static bool ends_in_token(const char *name) {
    static const char end[] = "_token";
    const size_t length = strlen(name);
    return length >= sizeof end - 1 && strcmp(name + length - (sizeof end - 1), end) == 0;
}

/* The members of tokenizer_config.json or special_tokens_map.json that name tokens. Those with a
 * name of their own come before those in lists. */
static clm_status read_names(clm_settings *settings, const cJSON *json, bool is_map,
                             const char *where) {
    static const char *const lists[] = {"model_specific_special_tokens",
                                        "additional_special_tokens", "extra_special_tokens"};
    clm_status status = CLM_OK;
    const cJSON *item = NULL;
    cJSON_ArrayForEach(item, json) {
        const int role = role_of(item->string);
        if (role >= 0) {
            CLM_TRY(read_named(&settings->roles[role], item, item->string, is_map, where));
            settings->roles[role].named = true;
        } else if (ends_in_token(item->string) && (cJSON_IsString(item) || cJSON_IsObject(item))) {
            CLM_TRY(add_extra(settings, item, item->string, is_map, true, where));
        }
    }
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        item = member(json, lists[i]);
        if (item != NULL) {
            CLM_TRY(add_extras(settings, item, is_map, where));
        }
    }
cleanup:
    return status;
}

/* Whether a number is an id; it ends where the text ends. */
static bool read_id(double number, int32_t *id) {
    if (!(number >= 0 && number <= INT32_MAX) || (double)(int32_t)number != number) {
        return false;
    }
    *id = (int32_t)number;
    return true;
}

/* {"50257": {"content": "<url>", ...}, ...} */
static clm_status read_decoder(clm_settings *settings, const cJSON *decoder, const char *where) {
    clm_status status = CLM_OK;
    const cJSON *item = NULL;
    settings->lists_added = true;
    if (!cJSON_IsObject(decoder)) {
        return clm_fail(CLM_ERROR_FORMAT, "%s: \"added_tokens_decoder\" must be an object", where);
    }
    cJSON_ArrayForEach(item, decoder) {
        clm_named_token token;
        const char *name = item->string;
        double id = 0;
        const size_t digits = strspn(name, "0123456789");
        for (size_t i = 0; i < digits && id <= INT32_MAX; i++) {
            id = 10 * id + (name[i] - '0');
        }
        status = clm_named_token_read(&token, item, false, where);
        if (status != CLM_OK) {
            return clm_error_prefix(status, "\"added_tokens_decoder\"");
        }
        if (digits == 0 || name[digits] != '\0' || !read_id(id, &token.id)) {
            return clm_fail(CLM_ERROR_FORMAT, "%s: \"added_tokens_decoder\": %s is not an id",
                            where, clm_quote(name, strlen(name)).text);
        }
        CLM_TRY(clm_named_tokens_add(&settings->added, &token));
    }
cleanup:
    return status;
}

/* added_tokens.json: {"<url>": 50257, ...}. What has a stated role or is an extra token is special;
 * these are known by now. */
static clm_status read_added_file(clm_settings *settings, const cJSON *json, const char *where) {
    clm_status status = CLM_OK;
    clm_names special = {0};
    const cJSON *item = NULL;
    CLM_TRY(clm_names_make(&special, clm_role_count + settings->extra.count));
    for (int role = 0; role < clm_role_count; role++) {
        const char *content = settings->roles[role].content;
        if (content != NULL && settings->roles[role].where != NULL) {
            clm_names_set(&special, content, strlen(content), 1);
        }
    }
    for (size_t i = 0; i < settings->extra.count; i++) {
        const char *content = settings->extra.tokens[i].content;
        if (settings->extra.tokens[i].extra) {
            clm_names_set(&special, content, strlen(content), 1);
        }
    }
    cJSON_ArrayForEach(item, json) {
        clm_named_token token = {.content = item->string, .where = where};
        if (!cJSON_IsNumber(item) || !read_id(item->valuedouble, &token.id)) {
            status =
                clm_fail(CLM_ERROR_FORMAT, "%s: the id of token %s must be a whole number from 0",
                         where, clm_quote(item->string, strlen(item->string)).text);
            goto cleanup;
        }
        token.special = clm_names_find(&special, item->string, strlen(item->string)) >= 0;
        token.normalized = !token.special;
        CLM_TRY(clm_named_tokens_add(&settings->added, &token));
    }
cleanup:
    clm_names_free(&special);
    return status;
}

static clm_status take_class(clm_settings *settings, const char *name, const char *where) {
    static const char *const generic[] = {"PreTrainedTokenizerFast", "PreTrainedTokenizer",
                                          "TokenizersBackend"};
    settings->gpt2 = strcmp(name, "GPT2Tokenizer") == 0 || strcmp(name, "GPT2TokenizerFast") == 0;
    for (size_t i = 0; i < sizeof generic / sizeof *generic; i++) {
        if (strcmp(name, generic[i]) == 0) {
            return CLM_OK;
        }
    }
    return settings->gpt2 ? CLM_OK
                          : clm_fail(CLM_ERROR_UNSUPPORTED,
                                     "%s: \"tokenizer_class\" is %s: clm reads GPT2Tokenizer and "
                                     "PreTrainedTokenizerFast",
                                     where, clm_quote(name, strlen(name)).text);
}

/* tokenizer_config.json names the class, else config.json, else it follows from the model. */
static clm_status read_class(clm_settings *settings, const clm_source *config,
                             const clm_source *model_config) {
    clm_status status = CLM_OK;
    const char *name = NULL;
    const char *type = NULL;
    const char *where = config != NULL ? config->where : "";
    if (config != NULL) {
        CLM_TRY(clm_json_get_string(settings->documents[0], "tokenizer_class", false, &name,
                                    config->where));
    }
    if (model_config != NULL) {
        type = cJSON_GetStringValue(member(settings->documents[3], "model_type"));
        if (name == NULL) {
            name = cJSON_GetStringValue(member(settings->documents[3], "tokenizer_class"));
            where = model_config->where;
        }
    }
    if (name != NULL) {
        CLM_TRY(take_class(settings, name, where));
    } else {
        settings->gpt2 = type != NULL && strcmp(type, "gpt2") == 0;
    }
cleanup:
    return status;
}

static clm_status read_config(clm_settings *settings, const cJSON *json, const char *where) {
    static const char *const refused[] = {"vocab", "merges", "init_inputs"};
    clm_status status = CLM_OK;
    double length = 0;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        const cJSON *item = member(json, refused[i]);
        if (item != NULL && !(cJSON_IsArray(item) && item->child == NULL)) {
            return clm_fail(CLM_ERROR_UNSUPPORTED,
                            "%s: \"%s\" is set: clm takes the vocabulary from the folder's files",
                            where, refused[i]);
        }
    }
    CLM_TRY(clm_json_get_bool(json, "add_prefix_space", false, &settings->prefix_space, where));
    CLM_TRY(clm_json_get_bool(json, "add_bos_token", false, &settings->add_bos, where));
    CLM_TRY(clm_json_get_bool(json, "add_eos_token", false, &settings->add_eos, where));
    CLM_TRY(clm_json_get_double(json, "model_max_length", false, &length, where));
    /* Where no limit is meant, transformers writes 1e30. */
    settings->max_length = length >= 1 && length <= INT32_MAX ? (int32_t)length : 0;
    CLM_TRY(read_names(settings, json, false, where));
    if (member(json, "added_tokens_decoder") != NULL) {
        CLM_TRY(read_decoder(settings, member(json, "added_tokens_decoder"), where));
    }
cleanup:
    return status;
}

/* Before anything is read: what GPT2Tokenizer gives roles to. */
static void set_default_roles(clm_settings *settings) {
    for (int role = 0; role < clm_role_count; role++) {
        const bool has = role == clm_role_bos || role == clm_role_eos || role == clm_role_unk;
        settings->roles[role] = (clm_named_token){.id = -1, .special = true, .named = true};
        settings->roles[role].content = settings->gpt2 && has ? end_of_text : NULL;
    }
}

clm_status clm_settings_read(clm_settings *settings, const clm_tokenizer_files *files) {
    clm_status status = CLM_OK;
    const clm_source *const sources[4] = {files->config, files->special_map, files->added,
                                          files->model_config};
    for (size_t i = 0; i < 4; i++) {
        if (sources[i] != NULL) {
            CLM_TRY(clm_source_parse(&settings->documents[i], sources[i]));
            if (!cJSON_IsObject(settings->documents[i])) {
                return clm_fail(CLM_ERROR_FORMAT, "%s: not a JSON object", sources[i]->where);
            }
        }
    }
    CLM_TRY(read_class(settings, files->config, files->model_config));
    /* No other class reads a pair of files. */
    settings->gpt2 = settings->gpt2 || files->json == NULL;
    set_default_roles(settings);
    if (files->config != NULL) {
        CLM_TRY(read_config(settings, settings->documents[0], files->config->where));
    }
    if (!settings->lists_added) {
        if (files->special_map != NULL) {
            CLM_TRY(read_names(settings, settings->documents[1], true, files->special_map->where));
        }
        if (files->added != NULL) {
            CLM_TRY(read_added_file(settings, settings->documents[2], files->added->where));
        }
    }
cleanup:
    return status;
}

void clm_settings_free(clm_settings *settings) {
    clm_free(settings->added.tokens);
    clm_free(settings->extra.tokens);
    for (size_t i = 0; i < 4; i++) {
        cJSON_Delete(settings->documents[i]);
    }
    *settings = (clm_settings){0};
}
