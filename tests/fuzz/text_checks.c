/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* memmem */
#include "text_checks.h"

#include <string.h>

#include "fuzz.h"

static const char sample[] = "that\xFFs <|endoftext|> it, aaa\n\n  \xC3\xA9 @USER [MASK] <url>x 12";

static void encode(const clm_tokenizer *tokenizer, bool special, int32_t **ids, size_t *count) {
    const clm_encode_options options = {.special_tokens = special};
    FUZZ_CHECK(clm_tokenizer_encode(tokenizer, sample, sizeof sample - 1, &options, ids, count) ==
               CLM_OK);
    for (size_t i = 0; i < *count; i++) {
        FUZZ_CHECK((*ids)[i] >= 0 && (*ids)[i] < clm_tokenizer_vocab_size(tokenizer));
    }
}

static size_t without_spaces(char *text, size_t length) {
    size_t kept = 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] != ' ' && text[i] != '\n') {
            text[kept++] = text[i];
        }
    }
    return kept;
}

/* A tokenizer may ask for a space or a token before the text, one behind it, and for added tokens
 * that take the white space beside them along. All else comes back. */
static void check_decoding(const clm_tokenizer *tokenizer, const int32_t *ids, size_t count) {
    char expected[sizeof sample];
    char *decoded = NULL;
    size_t length = 0;
    FUZZ_CHECK(clm_tokenizer_decode(tokenizer, ids, count, &decoded, &length) == CLM_OK);
    memcpy(expected, sample, sizeof sample);
    const size_t expected_length = without_spaces(expected, sizeof sample - 1);
    length = without_spaces(decoded, length);
    FUZZ_CHECK(memmem(decoded, length, expected, expected_length) != NULL);
    clm_text_free(decoded);
}

static void check_same(const clm_tokenizer *a, const clm_tokenizer *b) {
    FUZZ_CHECK(clm_tokenizer_vocab_size(a) == clm_tokenizer_vocab_size(b));
    FUZZ_CHECK(clm_tokenizer_end_of_text(a) == clm_tokenizer_end_of_text(b));
    for (int special = 0; special < 2; special++) {
        int32_t *first = NULL;
        int32_t *second = NULL;
        size_t first_count = 0;
        size_t second_count = 0;
        encode(a, special != 0, &first, &first_count);
        encode(b, special != 0, &second, &second_count);
        FUZZ_CHECK(first_count == second_count);
        FUZZ_CHECK(memcmp(first, second, first_count * sizeof *first) == 0);
        check_decoding(a, first, first_count);
        clm_tokens_free(first);
        clm_tokens_free(second);
    }
}

void fuzz_check_tokenizer_folder(void) {
    clm_tokenizer *tokenizer = NULL;
    clm_tokenizer *back = NULL;
    clm_status status = clm_tokenizer_open(&tokenizer, fuzz_folder());
    if (status != CLM_OK) {
        FUZZ_CHECK(tokenizer == NULL);
        fuzz_check_refused(status);
        return;
    }
    const char *saved = fuzz_path("saved");
    FUZZ_CHECK(clm_tokenizer_save(tokenizer, saved, NULL) == CLM_OK);
    FUZZ_CHECK(clm_tokenizer_open(&back, saved) == CLM_OK);
    check_same(tokenizer, back);
    clm_tokenizer_close(back);
    clm_tokenizer_close(tokenizer);
}
