/* Text to tokens and back: GPT-2's byte-level BPE.
 *
 * A text is cut into pieces by the pattern that OpenAI published with GPT-2
 *     's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 * (\p{L} and \p{N} as of Unicode 16, \s the property White_Space), and within each piece the
 * adjacent pair of tokens with the lowest rank is merged, the leftmost first, until no pair is left
 * that the vocabulary merges (Radford et al. 2019; Sennrich, Haddow and Birch 2016). The ids are
 * those of Hugging Face tokenizers and of tiktoken.
 *
 * Any bytes are a text. Where they are not valid UTF-8, each longest run of invalid bytes is a
 * piece, and what stands before and after it is cut as a text of its own. Decoding gives back
 * exactly the bytes that were encoded.
 *
 * A tokenizer does not change after it was made, so any number of threads may share one.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TEXT_H
#define CLM_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clm/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct clm_tokenizer clm_tokenizer;

/* Reads the tokenizer in `folder`: tokenizer.json; else vocab.json and merges.txt; else
 * encoder.json and vocab.bpe. *tokenizer is owned by the caller; NULL after a failure.
 *
 * tokenizer.json comes first because only it says how text is cut; whatever there asks for more
 * than GPT-2's scheme (a normalizer, another pattern, dropout) is refused rather than ignored.
 * In the two pairs of files, a token that is no byte and that no merge makes is a special token; in
 * tokenizer.json, each of its added tokens is.
 *
 * CLM_ERROR_NOT_FOUND: no such file. CLM_ERROR_FORMAT: not JSON, an id twice or missing, a merge of
 * or into an unknown token, a byte without a token; the message names the file and the place (byte,
 * line, id or merge). CLM_ERROR_UNSUPPORTED: a tokenizer of another kind. */
CLM_API clm_status clm_tokenizer_open(clm_tokenizer **tokenizer, const char *folder);

/* NULL is fine. */
CLM_API void clm_tokenizer_close(clm_tokenizer *tokenizer);

typedef struct clm_encode_options {
    /* Whether the text of a special token, such as <|endoftext|>, becomes that token. Otherwise it
     * is text like any other, which is what text from outside needs. */
    bool special_tokens;
} clm_encode_options;

#define CLM_ENCODE_OPTIONS_DEFAULT \
    { false }

/* Encodes `length_bytes` bytes, which may contain NUL. `options` may be NULL. Nothing is added in
 * front or behind. *ids (never NULL after success) is owned by the caller: clm_tokens_free().
 * Time grows with n log n in the longest piece, and linearly in all else. With special tokens,
 * the one that starts first is taken, and of those the longest.
 * CLM_ERROR_ARGUMENT: a text of 2 GiB or more. CLM_ERROR_MEMORY. */
CLM_API clm_status clm_tokenizer_encode(const clm_tokenizer *tokenizer, const char *text,
                                        size_t length_bytes, const clm_encode_options *options,
                                        int32_t **ids, size_t *count);

/* The bytes of the tokens, one after the other; a special token gives its text. A NUL that
 * *length_bytes does not count stands behind them. *text is owned by the caller: clm_text_free().
 * What was cut within a character is not valid UTF-8; nothing is replaced.
 * CLM_ERROR_ARGUMENT: an id that is not in the vocabulary. */
CLM_API clm_status clm_tokenizer_decode(const clm_tokenizer *tokenizer, const int32_t *ids,
                                        size_t count, char **text, size_t *length_bytes);

/* NULL is fine. */
CLM_API void clm_tokens_free(int32_t *ids);
CLM_API void clm_text_free(char *text);

/* V: ids are 0 to V - 1. */
CLM_API int32_t clm_tokenizer_vocab_size(const clm_tokenizer *tokenizer);

/* The id of the special token <|endoftext|>, or -1 when there is none. */
CLM_API int32_t clm_tokenizer_end_of_text(const clm_tokenizer *tokenizer);

/* The bytes of one token, lent by the tokenizer. CLM_ERROR_ARGUMENT: no such id. */
CLM_API clm_status clm_tokenizer_token(const clm_tokenizer *tokenizer, int32_t id,
                                       const char **bytes, size_t *length_bytes);

/* Whether the id is that of a special token; false for an id that is not in the vocabulary. */
CLM_API bool clm_tokenizer_is_special(const clm_tokenizer *tokenizer, int32_t id);

typedef struct clm_tokenizer_train_options {
    /* At most so many tokens: 256 bytes, the merges, and the special token. */
    int32_t vocab_size;
    /* A pair that occurs less often is not merged. */
    int32_t min_frequency;
    /* Whether <|endoftext|> is added, with the last id. */
    bool end_of_text;
} clm_tokenizer_train_options;

#define CLM_TOKENIZER_TRAIN_OPTIONS_DEFAULT \
    { 50257, 2, true }

/* Makes a vocabulary from texts: the ids 0 to 255 are the bytes in GPT-2's order, and each further
 * token merges the pair that is most frequent within the pieces of the texts. Of pairs equally
 * frequent, the one with the lower left id is merged, then the one with the lower right id: this is
 * the order of Hugging Face's ByteLevelBPETokenizer.train_from_iterator. Training ends early
 * when no pair occurs `min_frequency` times. `options` may be NULL; *tokenizer is owned by the
 * caller. CLM_ERROR_ARGUMENT: a vocabulary smaller than its bytes, or a frequency below 1. */
CLM_API clm_status clm_tokenizer_train(clm_tokenizer **tokenizer, const char *const *texts,
                                       const size_t *lengths_bytes, size_t text_count,
                                       const clm_tokenizer_train_options *options);

/* Writes vocab.json, merges.txt, tokenizer.json, tokenizer_config.json and
 * special_tokens_map.json into `folder`, which is made when missing, so that clm_tokenizer_open()
 * and Hugging Face's AutoTokenizer open it. Each file is written aside and renamed. */
CLM_API clm_status clm_tokenizer_save(const clm_tokenizer *tokenizer, const char *folder);

#ifdef __cplusplus
}
#endif
#endif
