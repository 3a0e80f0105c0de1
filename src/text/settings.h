/* What the files beside a vocabulary say of its tokens: tokenizer_config.json,
 * special_tokens_map.json, added_tokens.json, and config.json's tokenizer_class and model_type.
 *
 * They are read as transformers 5 reads them. Each member of tokenizer_config.json
 *
 *   honoured    tokenizer_class, added_tokens_decoder, add_prefix_space, add_bos_token,
 *               add_eos_token, model_max_length, additional_special_tokens, extra_special_tokens,
 *               model_specific_special_tokens, bos_token, eos_token, unk_token, sep_token,
 *               pad_token, cls_token, mask_token, and any other name of a token that ends in _token
 *   refused     a tokenizer_class of another kind; vocab, merges and init_inputs, which would stand
 *               in for files
 *   irrelevant  the rest, none of which changes the ids of a text in transformers: padding_side and
 *               truncation_side (clm works on the right), split_special_tokens (the caller says),
 *               clean_up_tokenization_spaces and errors (decoding), chat_template, names of files,
 *               model_input_names, and what programs add
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
    bool named;   /* a member of its own names it, which makes it special wherever it is listed */
    bool extra;   /* it makes a token of added_tokens.json special from the start */
    size_t place; /* in the list, which is sorted by id */
} clm_named_token;

typedef struct clm_named_tokens {
    clm_named_token *tokens;
    size_t count;
    size_t capacity;
} clm_named_tokens;

typedef struct clm_settings {
    /* The class is GPT2Tokenizer: of tokenizer.json it takes vocabulary, merges, added tokens and
     * post_processor, and all else is as in GPT-2. Otherwise tokenizer.json holds as it stands. */
    bool gpt2;
    bool prefix_space; /* of GPT2Tokenizer */
    bool add_bos;      /* where there is no tokenizer.json */
    bool add_eos;
    bool lists_added;       /* added_tokens_decoder is there, */
    clm_named_tokens added; /* with these; else those of added_tokens.json */
    clm_named_token roles[clm_role_count];
    clm_named_tokens extra; /* further special tokens, named or not */
    int32_t max_length;     /* model_max_length; 0: not stated */
    cJSON *documents[4];    /* what all is lent from */
} clm_settings;

/* Where a tokenizer is read from; NULL where a file is not there. The vocabulary is in
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

/* {"content": ..., and the flags}, as tokenizer.json and added_tokens_decoder have it. `special` is
 * what holds when it does not say. */
clm_status clm_named_token_read(clm_named_token *token, const cJSON *item, bool special,
                                const char *where);
clm_status clm_named_tokens_add(clm_named_tokens *list, const clm_named_token *token);

/* By id; of several with one id, the one that was added last stays. */
void clm_named_tokens_sort(clm_named_tokens *list);

#endif
