/* Reading a vocabulary from memory; clm_tokenizer_open() reads the files. `where` names the
 * source in errors.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TEXT_LOAD_H
#define CLM_TEXT_LOAD_H

#include <cjson/cJSON.h>

#include "base/string.h"
#include "text/tokenizer.h"

typedef struct clm_source {
    const char *text;
    size_t length;
    const char *where;
} clm_source;

/* encoder.json and vocab.bpe, or vocab.json and merges.txt: {"token": id, ...}, and a line
 * "left right" a merge, after an optional first line "#version: ...". */
clm_status clm_load_pair(clm_tokenizer **tokenizer, const clm_source *vocab,
                         const clm_source *merges);

/* tokenizer.json of Hugging Face tokenizers. */
clm_status clm_load_tokenizer_json(clm_tokenizer **tokenizer, const clm_source *source);

/* What both have in common. Start from `{0}` but for `where`. */
typedef struct clm_vocab_reader {
    const char *where;
    clm_token *tokens;  /* [capacity], by id */
    const char **names; /* [capacity], as the file writes them; lent by its JSON */
    size_t capacity;
    double beyond;        /* the highest id that is too high for the array, else 0 */
    unsigned char *bytes; /* what the tokens' bytes are lent from */
} clm_vocab_reader;

/* Parses; a string with a NUL character, which no vocabulary has, is CLM_ERROR_FORMAT. */
clm_status clm_vocab_reader_parse(cJSON **json, const clm_source *source);

/* Takes {"token": id, ...}, with room for `more` tokens. A token with a character that stands for
 * no byte is a special one. */
clm_status clm_vocab_reader_take_vocab(clm_vocab_reader *reader, const cJSON *vocab, size_t more);

/* How many tokens there are, from id 0 on without a hole. */
clm_status clm_vocab_reader_count(const clm_vocab_reader *reader, size_t *count);
void clm_vocab_reader_free(clm_vocab_reader *reader);

/* The merges of one file, by rank. Start from `{0}` but for the tokenizer. */
typedef struct clm_merge_list {
    const clm_tokenizer *tokenizer;
    clm_merge *merges;
    size_t count;
    size_t capacity;
    unsigned char *scratch;
    size_t scratch_capacity;
} clm_merge_list;

/* Adds the merge of two tokens as a vocabulary writes them. The message of a failure says which
 * token is unknown; the caller puts the place before it. */
clm_status clm_merge_list_add(clm_merge_list *list, const char *left, size_t left_length,
                              const char *right, size_t right_length);
void clm_merge_list_free(clm_merge_list *list);

/* A token as it can stand in a message: quoted, escaped, cut when long. */
typedef struct clm_quoted {
    char text[96];
} clm_quoted;
clm_quoted clm_quote(const char *text, size_t length);

#endif
