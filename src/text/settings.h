/* Settings of a tokenizer, from the files beside its vocabulary: tokenizer_config.json,
 * special_tokens_map.json, added_tokens.json, and config.json's tokenizer_class and model_type.
 * They are read as transformers 5 reads them. The members of tokenizer_config.json:
 *
 *   honoured    tokenizer_class, added_tokens_decoder, add_prefix_space, add_bos_token,
 *               add_eos_token, model_max_length, additional_special_tokens, extra_special_tokens,
 *               model_specific_special_tokens, bos_token, eos_token, unk_token, sep_token,
 *               pad_token, cls_token, mask_token, and any other name of a token that ends in _token
 *   refused     any other tokenizer_class; vocab, merges and init_inputs, which would replace
 *               files
 *   irrelevant  all others, which do not change the ids of a text in transformers: padding_side and
 *               truncation_side (clm pads and cuts on the right), split_special_tokens (the caller
 *               decides), clean_up_tokenization_spaces and errors (decoding), chat_template, names
 *               of files, model_input_names, and what other programs add
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TEXT_SETTINGS_H
#define CLM_TEXT_SETTINGS_H

#include <cjson/cJSON.h>

#include "text/source.h"
#include "text/tokenizer.h"

/* A token as settings give it; `content` is lent by their JSON. */
typedef struct clm_named_token {
    const char *content; /* NULL: none */
    const char *where;   /* the file that says so; NULL: GPT2Tokenizer's default */
    int32_t id;          /* as stated; -1: not stated */
    bool special;
    bool normalized;
    bool lstrip;
    bool rstrip;
    bool single_word;
    bool named;   /* has a member of its own ("mask_token"), and so is special in any list */
    bool extra;   /* makes the same token of added_tokens.json special */
    size_t place; /* in the list, which is sorted by id */
} clm_named_token;

typedef struct clm_named_tokens {
    clm_named_token *tokens;
    size_t count;
    size_t capacity;
} clm_named_tokens;

typedef struct clm_settings {
    /* The class is GPT2Tokenizer: it takes vocabulary, merges, added tokens and post_processor from
     * tokenizer.json, and everything else is GPT-2's. Other classes take all of tokenizer.json. */
    bool gpt2;
    bool prefix_space; /* of GPT2Tokenizer */
    bool add_bos;      /* without tokenizer.json */
    bool add_eos;
    bool lists_added;       /* added_tokens_decoder exists */
    clm_named_tokens added; /* of added_tokens_decoder, else of added_tokens.json */
    clm_named_token roles[clm_role_count];
    clm_named_tokens extra; /* other special tokens, with a name or from a list */
    int32_t max_length;     /* model_max_length; 0: not stated */
    cJSON *documents[4];    /* own the strings above */
} clm_settings;

/* The files of a tokenizer, NULL if missing. The vocabulary is in
 * tokenizer.json or in a pair of files: vocab.json and merges.txt, or encoder.json and vocab.bpe.
 */
typedef struct clm_tokenizer_files {
    const clm_source *json;
    const clm_source *vocab;
    const clm_source *merges;
    const clm_source *config;       /* tokenizer_config.json */
    const clm_source *special_map;  /* special_tokens_map.json */
    const clm_source *added;        /* added_tokens.json */
    const clm_source *model_config; /* config.json */
} clm_tokenizer_files;

/* Start from `{0}`, and free it in any case. */
clm_status clm_settings_read(clm_settings *settings, const clm_tokenizer_files *files);
void clm_settings_free(clm_settings *settings);

/* Reads {"content": ..., flags} of tokenizer.json or added_tokens_decoder. `special` is the default
 * of that flag. */
clm_status clm_named_token_read(clm_named_token *token, const cJSON *item, bool special,
                                const char *where);
clm_status clm_named_tokens_add(clm_named_tokens *list, const clm_named_token *token);

/* Sorts by id; of several with one id, the last added stays. */
void clm_named_tokens_sort(clm_named_tokens *list);

#endif
