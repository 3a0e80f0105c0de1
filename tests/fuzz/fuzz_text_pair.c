/* Any bytes as vocab.json, the byte 0xFF, and merges.txt: refused with a message, or a tokenizer
 * that works.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "fuzz.h"
#include "text/load.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char text[] = "that\xFFs it, aaa\n\n  ";
    const uint8_t *mark = size > 0 ? memchr(data, 0xFF, size) : NULL;
    size_t first = mark != NULL ? (size_t)(mark - data) : size;
    size_t second = mark != NULL ? size - first - 1 : 0;
    const clm_source vocab = {(const char *)data, first, "vocab"};
    const clm_source merges = {(const char *)data + size - second, second, "merges"};
    clm_tokenizer *tokenizer = NULL;
    clm_error_clear();
    if (clm_load_pair(&tokenizer, &vocab, &merges) != CLM_OK) {
        FUZZ_CHECK(tokenizer == NULL);
        FUZZ_CHECK(clm_error_message()[0] != '\0' && strchr(clm_error_message(), '\n') == NULL);
        return 0;
    }
    int32_t *ids = NULL;
    size_t count = 0;
    char *decoded = NULL;
    size_t length = 0;
    FUZZ_CHECK(clm_tokenizer_encode(tokenizer, text, sizeof text - 1, NULL, &ids, &count) ==
               CLM_OK);
    FUZZ_CHECK(clm_tokenizer_decode(tokenizer, ids, count, &decoded, &length) == CLM_OK);
    FUZZ_CHECK(length == sizeof text - 1 && memcmp(decoded, text, length) == 0);
    clm_tokens_free(ids);
    clm_text_free(decoded);
    clm_tokenizer_close(tokenizer);
    return 0;
}
