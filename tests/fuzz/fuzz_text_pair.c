/* Any files as a tokenizer's folder with vocab.json and merges.txt, or encoder.json and vocab.bpe:
 * see text_checks.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"
#include "text_checks.h"

static const char *const words[] = {"#version: 0.2\n",
                                    "<|endoftext|>",
                                    "\xC4\xA0",
                                    "\xC4\x8A",
                                    "\xC3\x83",
                                    "a a",
                                    "\r\n",
                                    "255",
                                    "256",
                                    "257",
                                    "=== added_tokens.json\n",
                                    "=== tokenizer_config.json\n",
                                    NULL};
const fuzz_target fuzz_this = {FUZZ_FILES, words, 1 << 20, 4096};

void fuzz_one(const uint8_t *data, size_t size) {
    fuzz_unpack(data, size);
    fuzz_check_tokenizer_folder();
}
