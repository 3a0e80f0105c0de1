/* SPDX-License-Identifier: Apache-2.0 */
#include "model/config_members.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/string.h"

#define HONOURED(name, about)               \
    {                                       \
        name, CLM_MEMBER_HONOURED, about, { \
            NULL                            \
        }                                   \
    }
#define IRRELEVANT(name, about)               \
    {                                         \
        name, CLM_MEMBER_IRRELEVANT, about, { \
            NULL                              \
        }                                     \
    }
#define FIXED(name, about, ...)          \
    {                                    \
        name, CLM_MEMBER_FIXED, about, { \
            __VA_ARGS__                  \
        }                                \
    }

/* GPT2Config and PreTrainedConfig of transformers 4 and 5, and what files of older ones have.
 * tests/golden/make_config_members.py holds against it what transformers computes with each. */
static const clm_config_member members[] = {
    IRRELEVANT("_attn_implementation", "how transformers computes, not what"),
    IRRELEVANT("_attn_implementation_autoset", "how transformers computes, not what"),
    IRRELEVANT("_attn_implementation_internal", "how transformers computes, not what"),
    IRRELEVANT("_commit_hash", "where the file comes from"),
    IRRELEVANT("_experts_implementation", "how transformers computes, not what"),
    IRRELEVANT("_experts_implementation_internal", "how transformers computes, not what"),
    IRRELEVANT("_name_or_path", "where the file comes from"),
    FIXED("activation_function", "GPT-2's approximation of GELU, of which these are names",
          "gelu_new", "gelu_fast", "gelu_accurate", "gelu_pytorch_tanh", "gelu_python_tanh"),
    IRRELEVANT("add_cross_attention",
               "for attention to an encoder, which runs only where there is one"),
    HONOURED("architectures", "whether the model is a classifier; score.weight says it as well"),
    IRRELEVANT("assistant_confidence_threshold", "for generating text"),
    IRRELEVANT("assistant_lookbehind", "for generating text"),
    IRRELEVANT("attn_implementation", "how transformers computes, not what"),
    HONOURED("attn_pdrop", "dropout, in training only"),
    IRRELEVANT("auto_map", "code that transformers runs only with trust_remote_code"),
    IRRELEVANT("bad_words_ids", "for generating text"),
    IRRELEVANT("begin_suppress_tokens", "for generating text"),
    IRRELEVANT("bos_token_id", "the tokenizer's files say it"),
    IRRELEVANT("chunk_size_feed_forward", "how transformers computes, not what"),
    IRRELEVANT("classifier_dropout", "for GPT2ForTokenClassification"),
    HONOURED("clm", "what clm knows beyond transformers: pooling, padding"),
    IRRELEVANT("cross_attention_hidden_size", "for pairs of encoder and decoder"),
    IRRELEVANT("custom_pipelines", "code that transformers runs only with trust_remote_code"),
    IRRELEVANT("decoder_start_token_id", "for pairs of encoder and decoder"),
    IRRELEVANT("diversity_penalty", "for generating text"),
    IRRELEVANT("do_sample", "for generating text"),
    IRRELEVANT("dtype", "the type of the file's tensors counts, and clm computes with floats"),
    IRRELEVANT("early_stopping", "for generating text"),
    HONOURED("embd_pdrop", "dropout, in training only"),
    IRRELEVANT("encoder_no_repeat_ngram_size", "for generating text"),
    IRRELEVANT("encoder_repetition_penalty", "for generating text"),
    IRRELEVANT("eos_token_id", "the tokenizer's files say it"),
    IRRELEVANT("epsilon_cutoff", "for generating text"),
    IRRELEVANT("eta_cutoff", "for generating text"),
    IRRELEVANT("experts_implementation", "how transformers computes, not what"),
    IRRELEVANT("exponential_decay_length_penalty", "for generating text"),
    IRRELEVANT("finetuning_task", "where the file comes from"),
    IRRELEVANT("forced_bos_token_id", "for generating text"),
    IRRELEVANT("forced_eos_token_id", "for generating text"),
    IRRELEVANT("function_to_apply", "softmax from two labels on, whatever it says"),
    IRRELEVANT("gradient_checkpointing", "how transformers computes, not what"),
    IRRELEVANT("hidden_dropout", "for GPT2ForTokenClassification"),
    HONOURED("hidden_size", "n_embd by another name, which goes first"),
    HONOURED("id2label", "the classes"),
    IRRELEVANT("initializer_range",
               "weights are read, and a new head is initialised as torch.nn.Linear"),
    FIXED("is_causal", "a position sees those before it only", "true", "null"),
    IRRELEVANT("is_decoder", "GPT-2 is a decoder in any case"),
    IRRELEVANT("is_encoder_decoder",
               "for attention to an encoder, which runs only where there is one"),
    HONOURED("label2id", "a warning where it contradicts id2label"),
    HONOURED("layer_norm_epsilon", "in every LayerNorm"),
    IRRELEVANT("length_penalty", "for generating text"),
    IRRELEVANT("max_length", "for generating text"),
    HONOURED("max_position_embeddings", "n_positions by another name, which goes first"),
    IRRELEVANT("min_length", "for generating text"),
    FIXED("model_type", "the family of models", "gpt2"),
    HONOURED("n_ctx", "an older name of n_positions, which goes first"),
    HONOURED("n_embd", "a size of the model"),
    HONOURED("n_head", "a size of the model"),
    HONOURED("n_inner", "a size of the model"),
    HONOURED("n_layer", "a size of the model"),
    HONOURED("n_positions", "a size of the model"),
    IRRELEVANT("name_or_path", "where the file comes from"),
    IRRELEVANT("no_repeat_ngram_size", "for generating text"),
    IRRELEVANT("num_assistant_tokens", "for generating text"),
    IRRELEVANT("num_assistant_tokens_schedule", "for generating text"),
    HONOURED("num_attention_heads", "n_head by another name, which goes first"),
    IRRELEVANT("num_beam_groups", "for generating text"),
    IRRELEVANT("num_beams", "for generating text"),
    HONOURED("num_hidden_layers", "n_layer by another name, which goes first"),
    HONOURED("num_labels", "the classes"),
    IRRELEVANT("num_return_sequences", "for generating text"),
    IRRELEVANT("output_attentions", "what transformers returns beside the logits"),
    IRRELEVANT("output_hidden_states", "what transformers returns beside the logits"),
    IRRELEVANT("output_past", "what transformers returns beside the logits"),
    IRRELEVANT("output_scores", "for generating text"),
    HONOURED("pad_token_id", "the token that pooling looks before"),
    FIXED("per_layer_config", "all layers are alike", "{}", "null"),
    IRRELEVANT("predict_special_tokens", "for GPT2DoubleHeadsModel"),
    IRRELEVANT("prefix", "the tokenizer's files say it"),
    HONOURED("problem_type",
             "single_label_classification; regression and multi_label_classification are refused"),
    IRRELEVANT("pruned_heads", "tensors without those heads have other shapes, which are refused"),
    FIXED("quantization_config", "weights are floats, of 16, 32 or 64 bits", "null"),
    IRRELEVANT("remove_invalid_values", "for generating text"),
    IRRELEVANT("reorder_and_upcast_attn", "the same in floats, which clm computes with"),
    IRRELEVANT("repetition_penalty", "for generating text"),
    HONOURED("resid_pdrop", "dropout, in training only"),
    IRRELEVANT("return_dict", "what transformers returns beside the logits"),
    IRRELEVANT("return_dict_in_generate", "for generating text"),
    FIXED("scale_attn_by_inverse_layer_idx", "attention's scores are not scaled by layer", "false"),
    FIXED("scale_attn_weights",
          "attention's scores are divided by the square root of a head's width", "true"),
    IRRELEVANT("sep_token_id", "the tokenizer's files say it"),
    IRRELEVANT("summary_activation", "for GPT2DoubleHeadsModel"),
    IRRELEVANT("summary_first_dropout", "for GPT2DoubleHeadsModel"),
    IRRELEVANT("summary_last_dropout", "for GPT2DoubleHeadsModel"),
    IRRELEVANT("summary_proj_to_labels", "for GPT2DoubleHeadsModel"),
    IRRELEVANT("summary_type", "for GPT2DoubleHeadsModel"),
    IRRELEVANT("summary_use_proj", "for GPT2DoubleHeadsModel"),
    IRRELEVANT("suppress_tokens", "for generating text"),
    IRRELEVANT("target_lookbehind", "for generating text"),
    IRRELEVANT("task_specific_params", "where the file comes from"),
    IRRELEVANT("temperature", "for generating text"),
    IRRELEVANT("tf_legacy_loss", "how transformers computes, not what"),
    IRRELEVANT("tie_encoder_decoder", "for pairs of encoder and decoder"),
    IRRELEVANT("tie_last_hidden_states", "what transformers returns beside the logits"),
    IRRELEVANT("tie_word_embeddings", "a classifier has no lm_head.weight"),
    IRRELEVANT("tokenizer_class", "the tokenizer's files say it"),
    IRRELEVANT("top_k", "for generating text"),
    IRRELEVANT("top_p", "for generating text"),
    IRRELEVANT("torch_dtype",
               "the type of the file's tensors counts, and clm computes with floats"),
    IRRELEVANT("torchscript", "how transformers computes, not what"),
    IRRELEVANT("transformers_version", "where the file comes from"),
    IRRELEVANT("typical_p", "for generating text"),
    IRRELEVANT("use_bfloat16",
               "the type of the file's tensors counts, and clm computes with floats"),
    IRRELEVANT("use_cache", "how transformers computes, not what"),
    HONOURED("vocab_size", "a size of the model"),
};

enum { member_count = sizeof members / sizeof *members };

const clm_config_member *clm_config_member_at(size_t index) {
    return index < member_count ? &members[index] : NULL;
}

static int compare_names(const void *key, const void *entry) {
    return strcmp(key, ((const clm_config_member *)entry)->name);
}

const clm_config_member *clm_config_member_named(const char *name) {
    return bsearch(name, members, member_count, sizeof *members, compare_names);
}

static bool is_value(const cJSON *item, const char *value) {
    if (cJSON_IsBool(item)) {
        return strcmp(value, cJSON_IsTrue(item) ? "true" : "false") == 0;
    }
    if (cJSON_IsString(item)) {
        return strcmp(value, item->valuestring) == 0;
    }
    return (cJSON_IsNull(item) && strcmp(value, "null") == 0) ||
           (cJSON_IsObject(item) && item->child == NULL && strcmp(value, "{}") == 0) ||
           (cJSON_IsArray(item) && item->child == NULL && strcmp(value, "[]") == 0);
}

/* A value as a message has it. */
static void add_value(clm_string *out, const cJSON *item) {
    if (cJSON_IsString(item)) {
        clm_string_add_format(out, "\"%.100s\"", item->valuestring);
    } else if (cJSON_IsNumber(item)) {
        clm_json_add_double(out, item->valuedouble);
    } else {
        clm_string_add(out, cJSON_IsTrue(item)    ? "true"
                            : cJSON_IsFalse(item) ? "false"
                            : cJSON_IsNull(item)  ? "null"
                            : cJSON_IsArray(item) ? "a list"
                                                  : "an object");
    }
}

static clm_status check_value(const clm_config_member *member, const cJSON *item,
                              const char *where) {
    clm_status status = CLM_OK;
    clm_string text = {0};
    for (size_t i = 0; i < CLM_MEMBER_VALUES && member->values[i] != NULL; i++) {
        if (is_value(item, member->values[i])) {
            return CLM_OK;
        }
    }
    add_value(&text, item);
    clm_string_add(&text, "; clm has only a GPT-2 with ");
    for (size_t i = 0; i < CLM_MEMBER_VALUES && member->values[i] != NULL; i++) {
        clm_string_add_format(&text, i > 0 ? " or %s" : "%s", member->values[i]);
    }
    CLM_TRY(clm_string_status(&text));
    status = clm_fail(CLM_ERROR_UNSUPPORTED, "%s: \"%s\" is %s (%s)", where, member->name,
                      text.text, member->about);
cleanup:
    clm_string_free(&text);
    return status;
}

clm_status clm_config_members_check(const cJSON *json, const char *where) {
    bool seen[member_count] = {false};
    const char *unknown = NULL;
    size_t unknown_count = 0;
    const cJSON *item = NULL;
    cJSON_ArrayForEach(item, json) {
        const clm_config_member *member = clm_config_member_named(item->string);
        if (member == NULL) {
            unknown = unknown != NULL ? unknown : item->string;
            unknown_count++;
            continue;
        }
        /* Python takes the last of the two, other readers the first. */
        if (seen[member - members]) {
            return clm_fail(CLM_ERROR_FORMAT, "%s: \"%s\" appears twice", where, member->name);
        }
        seen[member - members] = true;
        if (member->use == CLM_MEMBER_FIXED) {
            const clm_status status = check_value(member, item, where);
            if (status != CLM_OK) {
                return status;
            }
        }
    }
    if (unknown_count > 0) {
        clm_log(CLM_LOG_WARNING, "%s: \"%.100s\"%s not known to GPT-2's config and ignored", where,
                unknown, unknown_count > 1 ? " and other members are" : " is");
    }
    return CLM_OK;
}
