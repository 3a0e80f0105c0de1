/* Any bytes: encoding and decoding gives them back, with special tokens and without.
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
                                    NULL};
const fuzz_target fuzz_this = {FUZZ_BYTES, words, 1 << 20, 256};

static const char lesson[] =
    "the cat sat on the mat, and that's that; they've 12 hats and we'll see 2024 cats   sat\n"
    "\xC3\xA9t\xC3\xA9 caf\xC3\xA9 \xE4\xBD\xA0\xE5\xA5\xBD \xE4\xBD\xA0 aaaaaaaaaaaaaaaa aaaa";

static clm_tokenizer *make_tokenizer(void) {
    clm_tokenizer *tokenizer = NULL;
    const char *text = lesson;
    const size_t length = sizeof lesson - 1;
    clm_tokenizer_train_options options = CLM_TOKENIZER_TRAIN_OPTIONS_DEFAULT;
    options.vocab_size = 320;
    FUZZ_CHECK(clm_tokenizer_train(&tokenizer, &text, &length, 1, &options) == CLM_OK);
    return tokenizer;
}

void fuzz_one(const uint8_t *data, size_t size) {
    static clm_tokenizer *tokenizer;
    if (tokenizer == NULL) {
        tokenizer = make_tokenizer();
    }
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
