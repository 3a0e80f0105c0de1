/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/json.h"
#include "base/memory.h"
#include "text/alphabet.h"
#include "text/tokenizer.h"

/* Adds a token as vocabularies write it, without quotes: a special token as it stands where that
 * is text, any other by the characters of its bytes. */
static void add_name(clm_string *out, const clm_tokenizer *tokenizer, int32_t id) {
    size_t length = 0;
    const unsigned char *bytes = clm_token_bytes(tokenizer, id, &length);
    if (tokenizer->special[id] && clm_utf8_check(bytes, length) == length) {
        clm_string_add_bytes(out, bytes, length);
    } else {
        clm_alphabet_add(out, bytes, length);
    }
}

/* Whether a special token, as it stands, would be read as other bytes: then it cannot stand in a
 * vocabulary, only among the added tokens. */
static bool is_ambiguous(const clm_tokenizer *tokenizer, int32_t id, unsigned char *scratch) {
    size_t length = 0;
    size_t read = 0;
    const unsigned char *bytes = clm_token_bytes(tokenizer, id, &length);
    return tokenizer->special[id] && clm_utf8_check(bytes, length) == length &&
           clm_alphabet_read((const char *)bytes, length, scratch, &read) &&
           !(read == length && memcmp(bytes, scratch, length) == 0);
}

static clm_status add_vocab(clm_string *out, const clm_tokenizer *tokenizer) {
    clm_status status = CLM_OK;
    clm_string name = {0};
    unsigned char *scratch = NULL;
    const char *comma = "";
    CLM_TRY(clm_allocate(&scratch, tokenizer->offsets[tokenizer->vocab_size], 1, "a vocabulary"));
    clm_string_add(out, "{");
    for (int32_t id = 0; id < tokenizer->vocab_size; id++) {
        if (is_ambiguous(tokenizer, id, scratch)) {
            continue;
        }
        clm_string_clear(&name);
        add_name(&name, tokenizer, id);
        CLM_TRY(clm_string_status(&name));
        clm_string_add(out, comma);
        clm_json_add_bytes(out, name.text, name.length);
        clm_string_add_format(out, ": %d", id);
        comma = ", ";
    }
    clm_string_add(out, "}");
cleanup:
    clm_string_free(&name);
    clm_free(scratch);
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

static void add_special(clm_string *out, const clm_tokenizer *tokenizer, int32_t id) {
    size_t length = 0;
    const unsigned char *bytes = clm_token_bytes(tokenizer, id, &length);
    clm_string_add_format(out, "{\"id\": %d, \"content\": ", id);
    clm_json_add_bytes(out, (const char *)bytes, length);
    clm_string_add(out,
                   ", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, "
                   "\"normalized\": false, \"special\": true}");
}

static clm_status add_tokenizer_json(clm_string *out, const clm_tokenizer *tokenizer) {
    clm_status status = CLM_OK;
    const char *comma = "";
    clm_string_add(out,
                   "{\"version\": \"1.0\", \"truncation\": null, \"padding\": null,\n"
                   "\"added_tokens\": [");
    for (int32_t id = 0; id < tokenizer->vocab_size; id++) {
        size_t length = 0;
        const unsigned char *bytes = clm_token_bytes(tokenizer, id, &length);
        if (tokenizer->special[id] && clm_utf8_check(bytes, length) == length) {
            clm_string_add(out, comma);
            add_special(out, tokenizer, id);
            comma = ", ";
        }
    }
    clm_string_add(out,
                   "],\n\"normalizer\": null,\n"
                   "\"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, "
                   "\"trim_offsets\": true, \"use_regex\": true},\n"
                   "\"post_processor\": {\"type\": \"ByteLevel\", \"add_prefix_space\": true, "
                   "\"trim_offsets\": false, \"use_regex\": true},\n"
                   "\"decoder\": {\"type\": \"ByteLevel\", \"add_prefix_space\": true, "
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

static clm_status write_file(const char *folder, const char *name, const clm_string *text) {
    clm_status status = CLM_OK;
    char *path = NULL;
    CLM_TRY(clm_string_status(text));
    CLM_TRY(clm_path_join(&path, folder, name));
    CLM_TRY(clm_file_write_own(path, text->text, text->length));
cleanup:
    clm_free(path);
    return status;
}

/* What Hugging Face transformers wants beside tokenizer.json. */
static clm_status write_settings(const clm_tokenizer *tokenizer, const char *folder) {
    static const char roles[] =
        "\"bos_token\": \"<|endoftext|>\", \"eos_token\": \"<|endoftext|>\", "
        "\"unk_token\": \"<|endoftext|>\"";
    clm_status status = CLM_OK;
    bool ends = tokenizer->end_of_text >= 0;
    clm_string out = {0};
    clm_string_add_format(&out, "{%s}\n", ends ? roles : "");
    CLM_TRY(write_file(folder, "special_tokens_map.json", &out));
    clm_string_clear(&out);
    /* The class for GPT-2 would add an <|endoftext|> of its own where there is none. */
    clm_string_add_format(&out,
                          "{\"tokenizer_class\": \"%s\", \"add_prefix_space\": false, "
                          "\"clean_up_tokenization_spaces\": false%s%s}\n",
                          ends ? "GPT2Tokenizer" : "PreTrainedTokenizerFast", ends ? ", " : "",
                          ends ? roles : "");
    CLM_TRY(write_file(folder, "tokenizer_config.json", &out));
cleanup:
    clm_string_free(&out);
    return status;
}

clm_status clm_tokenizer_save(const clm_tokenizer *tokenizer, const char *folder) {
    clm_status status = CLM_OK;
    clm_string out = {0};
    CLM_TRY(clm_folder_make(folder));
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
    CLM_TRY(write_settings(tokenizer, folder));
    /* Last, because clm_tokenizer_open() reads it first: once it is there, all is. */
    clm_string_clear(&out);
    CLM_TRY(add_tokenizer_json(&out, tokenizer));
    CLM_TRY(write_file(folder, "tokenizer.json", &out));
cleanup:
    clm_string_free(&out);
    return status;
}
