/* The pieces that a tokenizer is read from; load_files.h puts them together. `where` names the
 * source in errors.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TEXT_LOAD_H
#define CLM_TEXT_LOAD_H

#include <cjson/cJSON.h>

#include "base/string.h"
#include "text/settings.h"
#include "text/tokenizer.h"

/* A vocabulary that is being read. Start from `{0}` but for `where`. */
typedef struct clm_vocab_reader {
    const char *where;
    clm_token *tokens;  /* [capacity], by id */
    const char **names; /* [capacity], as the file writes them; lent by its JSON */
    size_t capacity;
    double beyond;        /* the highest id beyond the array, else 0 */
    unsigned char *bytes; /* owns the tokens' bytes */
} clm_vocab_reader;

/* Reads {"token": id, ...}. A token with a character that represents no byte cannot be merged. */
clm_status clm_vocab_reader_take_vocab(clm_vocab_reader *reader, const cJSON *vocab);

/* Counts the tokens; CLM_ERROR_FORMAT if an id is missing in between. */
clm_status clm_vocab_reader_count(const clm_vocab_reader *reader, size_t *count);

/* The tokens that are added to a vocabulary of *count tokens: those that tokenizer.json lists
 * (`listed`), and those of the settings. Those that are new get the next ids, and *count counts
 * them. *added is owned by the caller (clm_free), its contents are lent.
 * CLM_ERROR_FORMAT: a token has another id than its file says. */
clm_status clm_load_added(clm_added_token **added, size_t *added_count, clm_vocab_reader *reader,
                          size_t *count, clm_settings *settings, const clm_named_tokens *listed);

/* The id of each role, once the tokenizer has its added tokens, and the length. */
void clm_load_roles(clm_tokenizer *tokenizer, const clm_settings *settings);
void clm_vocab_reader_free(clm_vocab_reader *reader);

/* Checks tokenizer.json apart from its vocabulary and merges: anything unsupported that would
 * change ids is refused. The members:
 *
 *   version         "1.0", else refused
 *   added_tokens    honoured: id, content, special, normalized, lstrip, rstrip, single_word
 *   normalizer      null, else refused
 *   pre_tokenizer   ByteLevel with use_regex (also alone in a Sequence), else refused;
 *                   add_prefix_space is honoured, but for GPT2Tokenizer that of
 *                   tokenizer_config.json counts; trim_offsets is irrelevant
 *   post_processor  null, ByteLevel (irrelevant: offsets), TemplateProcessing (honoured for a
 *                   single text), and a Sequence of these, else refused
 *   model           type BPE; vocab and merges; ignore_merges is honoured unless the class is
 *                   GPT2Tokenizer, which ignores it; dropout other than 0,
 *                   continuing_subword_prefix and end_of_word_suffix are refused; byte_fallback,
 *                   unk_token and fuse_unk are irrelevant, since each byte has a token
 *   decoder         irrelevant: clm decodes bytes
 *   truncation, padding   irrelevant: transformers sets them at each call */
clm_status clm_json_check(const cJSON *json, const clm_settings *settings, const char *where);
clm_status clm_json_list_added(clm_named_tokens *tokens, const cJSON *json, const char *where);
clm_status clm_json_take_merges(clm_tokenizer *tokenizer, const cJSON *json, const char *where);

/* prefix_space, ignore_merges and frame; the frame's ids must be the tokenizer's. */
clm_status clm_json_take_scheme(clm_tokenizer *tokenizer, const cJSON *json,
                                const clm_settings *settings, const char *where);

/* The merges of one file, by rank. Start from `{0}` with `tokenizer` set. */
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

#endif
