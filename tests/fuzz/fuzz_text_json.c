/* Any files as a tokenizer's folder with tokenizer.json: see text_checks.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"
#include "text_checks.h"

static const char *const words[] = {"added_tokens",
                                    "normalizer",
                                    "pre_tokenizer",
                                    "post_processor",
                                    "decoder",
                                    "ByteLevel",
                                    "Sequence",
                                    "TemplateProcessing",
                                    "add_prefix_space",
                                    "use_regex",
                                    "trim_offsets",
                                    "model",
                                    "BPE",
                                    "dropout",
                                    "unk_token",
                                    "continuing_subword_prefix",
                                    "end_of_word_suffix",
                                    "byte_fallback",
                                    "ignore_merges",
                                    "fuse_unk",
                                    "vocab",
                                    "merges",
                                    "id",
                                    "content",
                                    "single_word",
                                    "lstrip",
                                    "rstrip",
                                    "normalized",
                                    "special",
                                    "<|endoftext|>",
                                    "<url>",
                                    "\xC4\xA0",
                                    "=== tokenizer_config.json\n",
                                    "bos_token",
                                    "eos_token",
                                    "add_bos_token",
                                    NULL};
const fuzz_target fuzz_this = {FUZZ_FILES, words, 1 << 20, 4096};

void fuzz_one(const uint8_t *data, size_t size) {
    fuzz_unpack(data, size);
    fuzz_check_tokenizer_folder();
}
