/* Any bytes as tokenizer.json: refused with a message, or a tokenizer that works.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "fuzz.h"
#include "text/load.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char text[] = "that\xFFs <|endoftext|> it, aaa\n\n  ";
    const clm_encode_options options = {.special_tokens = true};
    const clm_source source = {(const char *)data, size, "fuzz"};
    clm_tokenizer *tokenizer = NULL;
    clm_error_clear();
    if (clm_load_tokenizer_json(&tokenizer, &source) != CLM_OK) {
        FUZZ_CHECK(tokenizer == NULL);
        FUZZ_CHECK(clm_error_message()[0] != '\0' && strchr(clm_error_message(), '\n') == NULL);
        return 0;
    }
    int32_t *ids = NULL;
    size_t count = 0;
    char *decoded = NULL;
    size_t length = 0;
    FUZZ_CHECK(clm_tokenizer_encode(tokenizer, text, sizeof text - 1, &options, &ids, &count) ==
               CLM_OK);
    FUZZ_CHECK(clm_tokenizer_decode(tokenizer, ids, count, &decoded, &length) == CLM_OK);
    FUZZ_CHECK(length == sizeof text - 1 && memcmp(decoded, text, length) == 0);
    clm_tokens_free(ids);
    clm_text_free(decoded);
    clm_tokenizer_close(tokenizer);
    return 0;
}
