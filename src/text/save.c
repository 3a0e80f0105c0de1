/* SPDX-License-Identifier: Apache-2.0 */
#include "text/save.h"

#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "text/alphabet.h"
#include "text/tokenizer.h"

/* Adds a token as vocabularies write it, without quotes: an added token as plain text, unless that
 * could be read as other bytes; any other token by the characters of its bytes. */
static void add_name(clm_string *out, const clm_tokenizer *tokenizer, int32_t id) {
    size_t length = 0;
    const unsigned char *bytes = clm_token_bytes(tokenizer, id, &length);
    if (clm_tokenizer_find(tokenizer, bytes, length) == id) {
        clm_alphabet_add(out, bytes, length);
    } else {
        clm_string_add_bytes(out, bytes, length);
    }
}

static clm_status add_vocab(clm_string *out, const clm_tokenizer *tokenizer) {
    clm_status status = CLM_OK;
    clm_string name = {0};
    clm_string_add(out, "{");
    for (int32_t id = 0; id < tokenizer->listed_size; id++) {
        clm_string_clear(&name);
        add_name(&name, tokenizer, id);
        CLM_TRY(clm_string_status(&name));
        clm_string_add(out, id > 0 ? ", " : "");
        clm_json_add_bytes(out, name.text, name.length);
        clm_string_add_format(out, ": %d", id);
    }
    clm_string_add(out, "}");
cleanup:
    clm_string_free(&name);
    return status;
}

static void add_merge(clm_string *out, const clm_tokenizer *tokenizer, clm_merge merge) {
    size_t length = 0;
    const unsigned char *bytes = clm_token_bytes(tokenizer, merge.left, &length);
    clm_alphabet_add(out, bytes, length);
    clm_string_add(out, " ");
    bytes = clm_token_bytes(tokenizer, merge.right, &length);
    clm_alphabet_add(out, bytes, length);
}

static clm_status add_merges_json(clm_string *out, const clm_tokenizer *tokenizer) {
    clm_status status = CLM_OK;
    clm_string line = {0};
    clm_string_add(out, "[");
    for (size_t rank = 0; rank < tokenizer->merge_count; rank++) {
        clm_string_clear(&line);
        add_merge(&line, tokenizer, tokenizer->merges[rank]);
        CLM_TRY(clm_string_status(&line));
        clm_string_add(out, rank > 0 ? ", " : "");
        clm_json_add_bytes(out, line.text, line.length);
    }
    clm_string_add(out, "]");
cleanup:
    clm_string_free(&line);
    return status;
}

static void add_flag(clm_string *out, const char *name, bool value) {
    clm_string_add_format(out, ", \"%s\": %s", name, value ? "true" : "false");
}

/* tokenizer.json's list of added tokens, or tokenizer_config.json's object with ids as names. */
static void add_added_tokens(clm_string *out, const clm_tokenizer *tokenizer, bool by_id) {
    size_t count = 0;
    const clm_added_token *tokens = clm_added_tokens(tokenizer->added, &count);
    clm_string_add(out, by_id ? "{" : "[");
    for (size_t i = 0; i < count; i++) {
        const clm_added_token *token = &tokens[i];
        clm_string_add_format(out,
                              by_id ? "%s\"%d\": {\"content\": " : "%s{\"id\": %d, \"content\": ",
                              i > 0 ? ",\n" : "", (int)token->id);
        clm_json_add_bytes(out, (const char *)token->content, token->length);
        add_flag(out, "single_word", token->single_word);
        add_flag(out, "lstrip", token->lstrip);
        add_flag(out, "rstrip", token->rstrip);
        add_flag(out, "normalized", token->normalized);
        add_flag(out, "special", token->special);
        clm_string_add(out, "}");
    }
    clm_string_add(out, by_id ? "}" : "]");
}

/* The text by which an id is named, quoted. */
static clm_status add_quoted_name(clm_string *out, const clm_tokenizer *tokenizer, int32_t id) {
    clm_string name = {0};
    add_name(&name, tokenizer, id);
    clm_status status = clm_string_status(&name);
    if (status == CLM_OK) {
        clm_json_add_bytes(out, name.text, name.length);
    }
    clm_string_free(&name);
    return status;
}

static clm_status add_template_side(clm_string *out, const clm_tokenizer *tokenizer, int side) {
    clm_status status = CLM_OK;
    const clm_template *frame = &tokenizer->frame;
    for (size_t i = 0; i < frame->counts[side]; i++) {
        clm_string_add(out, side == 1 ? ", " : "");
        clm_string_add(out, "{\"SpecialToken\": {\"id\": ");
        CLM_TRY(add_quoted_name(out, tokenizer, frame->ids[side][i]));
        clm_string_add(out, ", \"type_id\": 0}}");
        clm_string_add(out, side == 0 ? ", " : "");
    }
cleanup:
    return status;
}

/* Whether the n-th of the frame's ids, counted over both sides, occurs before. */
static bool is_repeated(const clm_template *frame, size_t n) {
    const size_t before = frame->counts[0];
    const int32_t id = n < before ? frame->ids[0][n] : frame->ids[1][n - before];
    for (size_t i = 0; i < n; i++) {
        if ((i < before ? frame->ids[0][i] : frame->ids[1][i - before]) == id) {
            return true;
        }
    }
    return false;
}

static clm_status add_template(clm_string *out, const clm_tokenizer *tokenizer) {
    clm_status status = CLM_OK;
    const clm_template *frame = &tokenizer->frame;
    const char *comma = "";
    clm_string_add(out, "{\"type\": \"TemplateProcessing\", \"single\": [");
    CLM_TRY(add_template_side(out, tokenizer, 0));
    clm_string_add(out, "{\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}");
    CLM_TRY(add_template_side(out, tokenizer, 1));
    clm_string_add(out,
                   "],\n\"pair\": [{\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}, "
                   "{\"Sequence\": {\"id\": \"B\", \"type_id\": 1}}],\n"
                   "\"special_tokens\": {");
    for (size_t n = 0; n < frame->counts[0] + frame->counts[1]; n++) {
        if (is_repeated(frame, n)) {
            continue;
        }
        const int32_t id =
            n < frame->counts[0] ? frame->ids[0][n] : frame->ids[1][n - frame->counts[0]];
        clm_string_add(out, comma);
        CLM_TRY(add_quoted_name(out, tokenizer, id));
        clm_string_add(out, ": {\"id\": ");
        CLM_TRY(add_quoted_name(out, tokenizer, id));
        clm_string_add_format(out, ", \"ids\": [%d], \"tokens\": [", (int)id);
        CLM_TRY(add_quoted_name(out, tokenizer, id));
        clm_string_add(out, "]}");
        comma = ", ";
    }
    clm_string_add(out, "}}");
cleanup:
    return status;
}

static clm_status add_post_processor(clm_string *out, const clm_tokenizer *tokenizer) {
    if (tokenizer->frame.counts[0] + tokenizer->frame.counts[1] > 0) {
        return add_template(out, tokenizer);
    }
    clm_string_add(out,
                   "{\"type\": \"ByteLevel\", \"add_prefix_space\": true, "
                   "\"trim_offsets\": false, \"use_regex\": true}");
    return CLM_OK;
}

static clm_status add_tokenizer_json(clm_string *out, const clm_tokenizer *tokenizer) {
    clm_status status = CLM_OK;
    clm_string_add(out,
                   "{\"version\": \"1.0\", \"truncation\": null, \"padding\": null,\n"
                   "\"added_tokens\": ");
    add_added_tokens(out, tokenizer, false);
    clm_string_add_format(out,
                          ",\n\"normalizer\": null,\n"
                          "\"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": %s, "
                          "\"trim_offsets\": true, \"use_regex\": true},\n"
                          "\"post_processor\": ",
                          tokenizer->prefix_space ? "true" : "false");
    CLM_TRY(add_post_processor(out, tokenizer));
    clm_string_add(out,
                   ",\n\"decoder\": {\"type\": \"ByteLevel\", \"add_prefix_space\": true, "
                   "\"trim_offsets\": true, \"use_regex\": true},\n"
                   "\"model\": {\"type\": \"BPE\", \"dropout\": null, \"unk_token\": null, "
                   "\"continuing_subword_prefix\": \"\", \"end_of_word_suffix\": \"\", "
                   "\"fuse_unk\": false, \"byte_fallback\": false, \"ignore_merges\": ");
    clm_string_add(out, tokenizer->ignore_merges ? "true" : "false");
    clm_string_add(out, ",\n\"vocab\": ");
    CLM_TRY(add_vocab(out, tokenizer));
    clm_string_add(out, ",\n\"merges\": ");
    CLM_TRY(add_merges_json(out, tokenizer));
    clm_string_add(out, "}}\n");
cleanup:
    return status;
}

static clm_status write_file(const clm_folder *folder, const char *name, const clm_string *text) {
    const clm_status status = clm_string_status(text);
    return status == CLM_OK ? clm_folder_write(folder, name, text->text, text->length) : status;
}

/* The content of an added special token, or NULL. */
static const clm_added_token *special_token(const clm_tokenizer *tokenizer, int32_t id) {
    size_t count = 0;
    const clm_added_token *tokens = clm_added_tokens(tokenizer->added, &count);
    for (size_t i = 0; i < count; i++) {
        if (tokens[i].id == id && tokens[i].special) {
            return &tokens[i];
        }
    }
    return NULL;
}

/* "bos_token": "<|endoftext|>", ... Only special tokens are written: transformers makes what has a
 * role a special token, which would change the ids of texts that contain it. */
static void add_roles(clm_string *out, const clm_tokenizer *tokenizer, int32_t pad) {
    const char *comma = "";
    for (int role = 0; role < clm_role_count; role++) {
        const int32_t id = role == clm_role_pad && pad >= 0 ? pad : tokenizer->roles[role];
        const clm_added_token *token = id >= 0 ? special_token(tokenizer, id) : NULL;
        if (token != NULL) {
            clm_string_add_format(out, "%s\"%s\": ", comma, clm_role_names[role]);
            clm_json_add_bytes(out, (const char *)token->content, token->length);
            comma = ", ";
        }
    }
}

/* GPT2Tokenizer gives <|endoftext|> any role that is not taken, even if there is no such token, and
 * ignores ignore_merges; the other class takes all of tokenizer.json. */
static const char *class_of(const clm_tokenizer *tokenizer) {
    bool all = !tokenizer->ignore_merges;
    for (int role = clm_role_bos; role <= clm_role_unk; role++) {
        all = all && tokenizer->roles[role] >= 0;
    }
    return all ? "GPT2Tokenizer" : "PreTrainedTokenizerFast";
}

/* What transformers wants beside tokenizer.json. */
static clm_status write_settings(const clm_tokenizer *tokenizer, const clm_folder *folder,
                                 const clm_tokenizer_save_options *options) {
    clm_status status = CLM_OK;
    clm_string roles = {0};
    clm_string out = {0};
    const int32_t length = options->max_length > 0 ? options->max_length : tokenizer->max_length;
    add_roles(&roles, tokenizer, options->pad_token);
    CLM_TRY(clm_string_status(&roles));
    const char *names = roles.text != NULL ? roles.text : "";
    clm_string_add_format(&out, "{%s}\n", names);
    CLM_TRY(write_file(folder, "special_tokens_map.json", &out));
    clm_string_clear(&out);
    clm_string_add_format(&out,
                          "{\"tokenizer_class\": \"%s\", \"add_prefix_space\": %s, "
                          "\"clean_up_tokenization_spaces\": false, \"padding_side\": \"right\", "
                          "\"truncation_side\": \"right\"",
                          class_of(tokenizer), tokenizer->prefix_space ? "true" : "false");
    if (length > 0) {
        clm_string_add_format(&out, ", \"model_max_length\": %d", (int)length);
    }
    clm_string_add_format(&out, "%s%s,\n\"added_tokens_decoder\": ", names[0] != '\0' ? ", " : "",
                          names);
    /* With these, neither transformers nor clm looks for an added_tokens.json of before. */
    add_added_tokens(&out, tokenizer, true);
    clm_string_add(&out, "}\n");
    CLM_TRY(write_file(folder, "tokenizer_config.json", &out));
cleanup:
    clm_string_free(&out);
    clm_string_free(&roles);
    return status;
}

static clm_status check_options(const clm_tokenizer *tokenizer,
                                const clm_tokenizer_save_options *options) {
    if (options->pad_token < -1 || options->pad_token >= tokenizer->vocab_size) {
        return clm_fail(CLM_ERROR_ARGUMENT,
                        "token id %d, for padding, is not in the vocabulary, which ends at %d",
                        (int)options->pad_token, (int)tokenizer->vocab_size - 1);
    }
    if (options->max_length < 0) {
        return clm_fail(CLM_ERROR_ARGUMENT, "a length of %d tokens", (int)options->max_length);
    }
    return CLM_OK;
}

clm_status clm_tokenizer_save(const clm_tokenizer *tokenizer, const char *folder,
                              const clm_tokenizer_save_options *options) {
    static const clm_tokenizer_save_options defaults = CLM_TOKENIZER_SAVE_OPTIONS_DEFAULT;
    clm_folder opened = {0};
    clm_status status = CLM_OK;
    options = options != NULL ? options : &defaults;
    CLM_TRY(check_options(tokenizer, options));
    CLM_TRY(clm_folder_make(folder));
    CLM_TRY(clm_folder_open(&opened, folder));
    CLM_TRY(clm_tokenizer_save_in(tokenizer, &opened, options));
cleanup:
    clm_folder_close(&opened);
    return status;
}

clm_status clm_tokenizer_save_in(const clm_tokenizer *tokenizer, const clm_folder *folder,
                                 const clm_tokenizer_save_options *options) {
    clm_status status = CLM_OK;
    clm_string out = {0};
    CLM_TRY(check_options(tokenizer, options));
    CLM_TRY(add_vocab(&out, tokenizer));
    clm_string_add(&out, "\n");
    CLM_TRY(write_file(folder, "vocab.json", &out));
    clm_string_clear(&out);
    clm_string_add(&out, "#version: 0.2\n");
    for (size_t rank = 0; rank < tokenizer->merge_count; rank++) {
        add_merge(&out, tokenizer, tokenizer->merges[rank]);
        clm_string_add(&out, "\n");
    }
    CLM_TRY(write_file(folder, "merges.txt", &out));
    CLM_TRY(write_settings(tokenizer, folder, options));
    /* Last, because clm_tokenizer_open() reads it first: once it is there, all is. */
    clm_string_clear(&out);
    CLM_TRY(add_tokenizer_json(&out, tokenizer));
    CLM_TRY(write_file(folder, "tokenizer.json", &out));
cleanup:
    clm_string_free(&out);
    return status;
}
