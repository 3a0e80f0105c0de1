/* Any bytes: encoding and decoding gives them back, with special tokens and without, by a tokenizer
 * as it was trained and by one with added tokens, of which some are single words.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "clm/text.h"
#include "fuzz.h"

static const char *const words[] = {"<|endoftext|>",
                                    "'s",
                                    "'ve",
                                    "'ll",
                                    "  ",
                                    "\xC2\xA0",
                                    "\xE2\x80\x83",
                                    "\xE4\xBD\xA0",
                                    "\xF0\x9F\x98\x80",
                                    "\xED\xA0\x80",
                                    "\xC0\x80",
                                    "aaaaaaaaaaaaaaaa",
                                    "<url>",
                                    "@USER",
                                    "[MASK]",
                                    NULL};
const fuzz_target fuzz_this = {FUZZ_BYTES, words, 1 << 20, 256};

static const char lesson[] =
    "the cat sat on the mat, and that's that; they've 12 hats and we'll see 2024 cats   sat\n"
    "\xC3\xA9t\xC3\xA9 caf\xC3\xA9 \xE4\xBD\xA0\xE5\xA5\xBD \xE4\xBD\xA0 aaaaaaaaaaaaaaaa aaaa";

static const char added[] =
    "{\"tokenizer_class\":\"GPT2Tokenizer\","
    "\"url_token\":{\"content\":\"<url>\"},"
    "\"user_token\":{\"content\":\"@USER\",\"single_word\":true},"
    "\"mask_token\":{\"content\":\"[MASK]\",\"single_word\":true}}";

static clm_tokenizer *train(void) {
    clm_tokenizer *tokenizer = NULL;
    const char *text = lesson;
    const size_t length = sizeof lesson - 1;
    clm_tokenizer_train_options options = CLM_TOKENIZER_TRAIN_OPTIONS_DEFAULT;
    options.vocab_size = 320;
    FUZZ_CHECK(clm_tokenizer_train(&tokenizer, &text, &length, 1, &options) == CLM_OK);
    return tokenizer;
}

static clm_tokenizer *add_tokens(const clm_tokenizer *tokenizer) {
    clm_tokenizer *more = NULL;
    FUZZ_CHECK(clm_tokenizer_save(tokenizer, fuzz_path("."), NULL) == CLM_OK);
    (void)fuzz_write("tokenizer_config.json", added, sizeof added - 1);
    FUZZ_CHECK(clm_tokenizer_open(&more, fuzz_path(".")) == CLM_OK);
    FUZZ_CHECK(clm_tokenizer_vocab_size(more) == clm_tokenizer_vocab_size(tokenizer) + 3);
    return more;
}

static void check_tokenizer(const clm_tokenizer *tokenizer, const uint8_t *data, size_t size) {
    for (int special = 0; special < 2; special++) {
        const clm_encode_options options = {.special_tokens = special != 0};
        int32_t *ids = NULL;
        size_t count = 0;
        char *text = NULL;
        size_t length = 0;
        FUZZ_CHECK(clm_tokenizer_encode(tokenizer, (const char *)data, size, &options, &ids,
                                        &count) == CLM_OK);
        FUZZ_CHECK(count <= size);
        for (size_t i = 0; i < count; i++) {
            FUZZ_CHECK(special != 0 || !clm_tokenizer_is_special(tokenizer, ids[i]));
        }
        FUZZ_CHECK(clm_tokenizer_decode(tokenizer, ids, count, &text, &length) == CLM_OK);
        FUZZ_CHECK(length == size && (size == 0 || memcmp(text, data, size) == 0));
        clm_tokens_free(ids);
        clm_text_free(text);
    }
}

void fuzz_one(const uint8_t *data, size_t size) {
    static clm_tokenizer *trained;
    static clm_tokenizer *extended;
    if (trained == NULL) {
        trained = train();
        extended = add_tokens(trained);
        clm_error_clear();
    }
    check_tokenizer(trained, data, size);
    check_tokenizer(extended, data, size);
}
