/* Text to tokens and back: GPT-2's byte-level BPE.
 *
 * A text is cut into pieces by the pattern that OpenAI published with GPT-2
 *     's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 * (\p{L} and \p{N} as of Unicode 16, \s the property White_Space), and within each piece the
 * adjacent pair of tokens with the lowest rank is merged, the leftmost first, until no pair is left
 * that the vocabulary merges (Radford et al. 2019; Sennrich, Haddow and Birch 2016). The ids are
 * those of Hugging Face tokenizers and of tiktoken.
 *
 * Any sequence of bytes is a text. Each longest run of bytes that are not valid UTF-8 is a piece,
 * and the bytes before and after it are cut like texts of their own. Decoding returns exactly the
 * bytes that were encoded.
 *
 * A tokenizer does not change once it is made, so threads may share it.
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
 * encoder.json and vocab.bpe; and the settings beside them, tokenizer_config.json,
 * special_tokens_map.json, added_tokens.json and config.json. *tokenizer is owned by the caller;
 * NULL after a failure.
 *
 * The ids are those of the tokenizer that transformers 5 makes of the folder. Anything unsupported
 * that would change ids (a normalizer, another pattern, dropout) is refused by name, never ignored.
 * Where files contradict each other, clm follows transformers, as experiments showed:
 *
 *   - The class is tokenizer_config.json's tokenizer_class, else config.json's, else GPT2Tokenizer
 *     where config.json's model_type is gpt2. A name may end in Fast.
 *   - GPT2Tokenizer, and any pair of files: tokenizer.json gives vocabulary, merges, added tokens
 *     and post_processor only. add_prefix_space is taken from tokenizer_config.json (false by
 *     default), not from tokenizer.json.
 *   - PreTrainedTokenizerFast, TokenizersBackend, or no class: all of tokenizer.json, including its
 *     add_prefix_space and ignore_merges. Any other class is refused.
 *   - Added tokens are those of tokenizer_config.json's added_tokens_decoder. Where that is
 *     missing, they are those of added_tokens.json and of tokenizer.json, whose flags win, and
 *     special_tokens_map.json overrides the names in tokenizer_config.json. A class that takes all
 *     of tokenizer.json has its added tokens in any case.
 *   - A token with a role (bos_token, eos_token, unk_token, pad_token...) or in a list of further
 *     special tokens is added if it is missing. If the vocabulary has it, it keeps its id; a new
 *     token gets the next id; a file that states another id is refused. Unlike transformers,
 *     clm does not add GPT2Tokenizer's own <|endoftext|> to a vocabulary without it.
 *   - BOS and EOS go around a text as tokenizer.json's TemplateProcessing says; without
 *     tokenizer.json, as add_bos_token and add_eos_token say.
 *
 * src/text/settings.h and src/text/load.h list each member of these files.
 *
 * CLM_ERROR_NOT_FOUND: no such file. CLM_ERROR_FORMAT: not JSON, an id twice or missing, a merge of
 * or into an unknown token, a byte without a token; the message names the file and the place (byte,
 * line, id or merge). CLM_ERROR_UNSUPPORTED: a tokenizer of another kind. */
CLM_API clm_status clm_tokenizer_open(clm_tokenizer **tokenizer, const char *folder);

/* NULL is fine. */
CLM_API void clm_tokenizer_close(clm_tokenizer *tokenizer);

typedef struct clm_encode_options {
    /* Whether the text of a special token, such as <|endoftext|>, becomes that token, as in
     * transformers' tokenizer(text): clm trains and classifies with texts read so. Otherwise it is
     * text like any other, which is what text from outside needs where such a token commands
     * something (split_special_tokens=True). */
    bool special_tokens;
    /* Whether the tokens that the tokenizer puts before and behind each text (BOS, EOS) are left
     * out. GPT-2's has none. */
    bool bare;
} clm_encode_options;

#define CLM_ENCODE_OPTIONS_DEFAULT \
    { false, false }

/* Encodes `length_bytes` bytes, which may contain NUL. `options` may be NULL. *ids (never NULL
 * after success) is owned by the caller: clm_tokens_free(). Time grows with n log n in the longest
 * piece, and linearly in all else, whatever the number of added tokens. Of the added tokens the one
 * that starts first is taken, and of those the longest; those that are not special are always
 * found. CLM_ERROR_ARGUMENT: a text of 2 GiB or more. CLM_ERROR_MEMORY. */
CLM_API clm_status clm_tokenizer_encode(const clm_tokenizer *tokenizer, const char *text,
                                        size_t length_bytes, const clm_encode_options *options,
                                        int32_t **ids, size_t *count);

/* Cuts *ids, the `count` ids of one text, to at most `most`: the end of the text goes, and what the
 * tokenizer puts after each text stays, as when transformers truncates. Returns how many are left.
 */
CLM_API size_t clm_tokenizer_cut(const clm_tokenizer *tokenizer, int32_t *ids, size_t count,
                                 size_t most);

/* The bytes of the tokens in order; an added token gives its text, special or not. They are
 * followed by a NUL that *length_bytes does not count. *text is owned by the caller:
 * clm_text_free(). Decoding an encoded text returns its bytes, except for what encoding adds (BOS
 * and EOS, a space in front) and what an added token strips. Nothing is replaced: a text that was
 * cut within a character is not valid UTF-8. CLM_ERROR_ARGUMENT: an id that is not in the
 * vocabulary. */
CLM_API clm_status clm_tokenizer_decode(const clm_tokenizer *tokenizer, const int32_t *ids,
                                        size_t count, char **text, size_t *length_bytes);

/* NULL is fine. */
CLM_API void clm_tokens_free(int32_t *ids);
CLM_API void clm_text_free(char *text);

/* V: ids are 0 to V - 1. */
CLM_API int32_t clm_tokenizer_vocab_size(const clm_tokenizer *tokenizer);

/* The id of the token that ends a text: eos_token where the settings name one, else the special
 * token
 * <|endoftext|>; -1 when there is neither. */
CLM_API int32_t clm_tokenizer_end_of_text(const clm_tokenizer *tokenizer);

/* The id of the token that fills up short texts: pad_token where the settings name one, else that
 * which ends a text; -1 when there is neither. */
CLM_API int32_t clm_tokenizer_pad_token(const clm_tokenizer *tokenizer);

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

typedef struct clm_tokenizer_save_options {
    /* The token that fills up short texts, written as pad_token, which transformers needs for
     * tokenizer(texts, padding=True); -1: as the tokenizer's own settings say, if they do. An id
     * that is no special token is not written: transformers would make it one, and find it in
     * texts. */
    int32_t pad_token;
    /* How many tokens the model reads, written as model_max_length, to which transformers cuts with
     * truncation=True and fills up with padding="max_length"; 0: as the settings say, if they do.
     */
    int32_t max_length;
} clm_tokenizer_save_options;

#define CLM_TOKENIZER_SAVE_OPTIONS_DEFAULT \
    { -1, 0 }

/* Writes vocab.json, merges.txt, tokenizer.json, tokenizer_config.json and special_tokens_map.json
 * into `folder`, which is made when missing, so that clm_tokenizer_open() and transformers'
 * AutoTokenizer open it and give the same ids. Added tokens keep their flags. Padding is on the
 * right. `options` may be NULL. Each file is written aside and renamed.
 * CLM_ERROR_ARGUMENT: a padding token that is not in the vocabulary, or a negative length. */
CLM_API clm_status clm_tokenizer_save(const clm_tokenizer *tokenizer, const char *folder,
                                      const clm_tokenizer_save_options *options);

#ifdef __cplusplus
}
#endif
#endif
