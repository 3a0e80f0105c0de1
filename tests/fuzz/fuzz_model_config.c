/* Any bytes as config.json: refused with a message, or a config that is the same when it is written
 * and read again.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "clm/config.h"
#include "fuzz.h"

static const char *const words[] = {"architectures",
                                    "GPT2ForSequenceClassification",
                                    "GPT2LMHeadModel",
                                    "model_type",
                                    "gpt2",
                                    "activation_function",
                                    "gelu_new",
                                    "gelu_pytorch_tanh",
                                    "vocab_size",
                                    "n_positions",
                                    "n_ctx",
                                    "n_embd",
                                    "n_head",
                                    "n_layer",
                                    "n_inner",
                                    "layer_norm_epsilon",
                                    "embd_pdrop",
                                    "attn_pdrop",
                                    "resid_pdrop",
                                    "id2label",
                                    "label2id",
                                    "num_labels",
                                    "pad_token_id",
                                    "problem_type",
                                    "single_label_classification",
                                    "multi_label_classification",
                                    "regression",
                                    "tie_word_embeddings",
                                    "scale_attn_weights",
                                    "clm",
                                    "pooling",
                                    "last_token",
                                    "last_position",
                                    "padded_length",
                                    "pad_token",
                                    NULL};
const fuzz_target fuzz_this = {FUZZ_JSON, words, 1 << 16, 512};

static int same_float(float a, float b) {
    return memcmp(&a, &b, sizeof a) == 0;
}

static void check_same(const clm_model_config *a, const clm_model_config *b) {
    FUZZ_CHECK(a->n_vocab == b->n_vocab && a->n_ctx == b->n_ctx && a->n_embd == b->n_embd);
    FUZZ_CHECK(a->n_head == b->n_head && a->n_layer == b->n_layer && a->n_inner == b->n_inner);
    FUZZ_CHECK(same_float(a->layer_norm_epsilon, b->layer_norm_epsilon));
    FUZZ_CHECK(same_float(a->embd_dropout, b->embd_dropout));
    FUZZ_CHECK(same_float(a->attn_dropout, b->attn_dropout));
    FUZZ_CHECK(same_float(a->resid_dropout, b->resid_dropout));
    FUZZ_CHECK(a->n_labels == b->n_labels);
    for (int i = 0; i < a->n_labels; i++) {
        FUZZ_CHECK(strcmp(a->labels[i], b->labels[i]) == 0);
    }
    if (a->n_labels > 0) { /* otherwise nothing is pooled, and it is not written */
        FUZZ_CHECK(a->pooling == b->pooling && a->pad_token == b->pad_token);
        FUZZ_CHECK(a->padded_length == b->padded_length);
    }
}

void fuzz_one(const uint8_t *data, size_t size) {
    clm_model_config config = CLM_MODEL_CONFIG_DEFAULT;
    clm_model_config back = CLM_MODEL_CONFIG_DEFAULT;
    const char *path = fuzz_write("config.json", data, size);
    clm_status status = clm_model_config_read(&config, path);
    if (status != CLM_OK) {
        fuzz_check_refused(status);
        return;
    }
    FUZZ_CHECK(clm_model_config_check(&config) == CLM_OK);
    FUZZ_CHECK(config.n_embd % config.n_head == 0 && config.n_labels >= 0);
    path = fuzz_path("written.json");
    FUZZ_CHECK(clm_model_config_write(&config, path) == CLM_OK);
    FUZZ_CHECK(clm_model_config_read(&back, path) == CLM_OK);
    check_same(&config, &back);
    clm_model_config_free(&back);
    clm_model_config_free(&config);
}
