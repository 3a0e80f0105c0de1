/* config.json, as transformers' GPT2Config writes and reads it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/string.h"
#include "model/config.h"

/* GPT-2's own values of the switches that would change what the model computes. */
static clm_status check_variant(const cJSON *json, const char *where) {
    static const struct {
        const char *name;
        bool value;
    } switches[] = {
        {"scale_attn_weights", true},
        {"scale_attn_by_inverse_layer_idx", false},
        {"add_cross_attention", false},
        {"tie_word_embeddings", true},
    };
    clm_status status = CLM_OK;
    const char *type = "gpt2";
    const char *activation = "gelu_new";
    CLM_TRY(clm_json_get_string(json, "model_type", false, &type, where));
    CLM_TRY(clm_json_get_string(json, "activation_function", false, &activation, where));
    if (strcmp(type, "gpt2") != 0) {
        return clm_fail(CLM_ERROR_UNSUPPORTED, "%s: \"model_type\" is \"%.100s\"; clm runs gpt2",
                        where, type);
    }
    if (strcmp(activation, "gelu_new") != 0 && strcmp(activation, "gelu_pytorch_tanh") != 0) {
        return clm_fail(CLM_ERROR_UNSUPPORTED,
                        "%s: \"activation_function\" is \"%.100s\"; clm has GPT-2's gelu_new",
                        where, activation);
    }
    for (size_t i = 0; i < sizeof switches / sizeof *switches; i++) {
        bool value = switches[i].value;
        CLM_TRY(clm_json_get_bool(json, switches[i].name, false, &value, where));
        if (value != switches[i].value) {
            return clm_fail(CLM_ERROR_UNSUPPORTED, "%s: clm has no GPT-2 with \"%s\" %s", where,
                            switches[i].name, value ? "true" : "false");
        }
    }
cleanup:
    return status;
}

static clm_status get_float(const cJSON *json, const char *name, float *value, const char *where) {
    double number = (double)*value;
    clm_status status = clm_json_get_double(json, name, false, &number, where);
    *value = (float)number;
    return status;
}

static clm_status read_sizes(clm_model_config *config, const cJSON *json, const char *where) {
    clm_status status = CLM_OK;
    CLM_TRY(clm_json_get_int(json, "vocab_size", false, 1, INT32_MAX, &config->n_vocab, where));
    CLM_TRY(clm_json_get_int(json, "n_embd", false, 1, INT32_MAX, &config->n_embd, where));
    CLM_TRY(clm_json_get_int(json, "n_head", false, 1, INT32_MAX, &config->n_head, where));
    CLM_TRY(clm_json_get_int(json, "n_layer", false, 1, INT32_MAX, &config->n_layer, where));
    CLM_TRY(clm_json_get_int(json, "n_inner", false, 0, INT32_MAX, &config->n_inner, where));
    /* "n_ctx" is the older name; where both are, "n_positions" is what transformers goes by. */
    CLM_TRY(clm_json_get_int(json, "n_ctx", false, 1, INT32_MAX, &config->n_ctx, where));
    CLM_TRY(clm_json_get_int(json, "n_positions", false, 1, INT32_MAX, &config->n_ctx, where));
    CLM_TRY(get_float(json, "layer_norm_epsilon", &config->layer_norm_epsilon, where));
    CLM_TRY(get_float(json, "embd_pdrop", &config->embd_dropout, where));
    CLM_TRY(get_float(json, "attn_pdrop", &config->attn_dropout, where));
    CLM_TRY(get_float(json, "resid_pdrop", &config->resid_dropout, where));
cleanup:
    return status;
}

/* Whether "architectures" names the classifier. */
static clm_status is_classifier(const cJSON *json, bool *yes, const char *where) {
    *yes = false;
    const cJSON *architectures = cJSON_GetObjectItemCaseSensitive(json, "architectures");
    if (architectures == NULL || cJSON_IsNull(architectures)) {
        return CLM_OK;
    }
    const cJSON *item = NULL;
    if (!cJSON_IsArray(architectures)) {
        return clm_fail(CLM_ERROR_FORMAT, "%s: \"architectures\" must be a list of strings", where);
    }
    cJSON_ArrayForEach(item, architectures) {
        if (!cJSON_IsString(item)) {
            return clm_fail(CLM_ERROR_FORMAT, "%s: \"architectures\" must be a list of strings",
                            where);
        }
        *yes = *yes || strcmp(item->valuestring, "GPT2ForSequenceClassification") == 0;
    }
    return CLM_OK;
}

/* "id2label" maps "0" to "<count - 1>", each once, to the names: lent to labels[0..count). */
static clm_status read_id2label(const char **labels, int count, const cJSON *map,
                                const char *where) {
    const cJSON *item = NULL;
    cJSON_ArrayForEach(item, map) {
        char *end = NULL;
        long id = strtol(item->string, &end, 10);
        char canonical[32];
        (void)snprintf(canonical, sizeof canonical, "%ld", id);
        if (!cJSON_IsString(item) || id < 0 || id >= count ||
            strcmp(canonical, item->string) != 0 || labels[id] != NULL) {
            return clm_fail(CLM_ERROR_FORMAT,
                            "%s: \"id2label\" must map each of \"0\" to \"%d\" to a string, and "
                            "\"%.50s\" does not fit",
                            where, count - 1, item->string);
        }
        labels[id] = item->valuestring;
    }
    return CLM_OK;
}

static clm_status check_label2id(const char *const *labels, int count, const cJSON *json,
                                 const char *where) {
    const cJSON *map = cJSON_GetObjectItemCaseSensitive(json, "label2id");
    if (map == NULL || cJSON_IsNull(map)) {
        return CLM_OK;
    }
    if (!cJSON_IsObject(map) || cJSON_GetArraySize(map) != count) {
        return clm_fail(CLM_ERROR_FORMAT, "%s: \"label2id\" must map the %d labels to their ids",
                        where, count);
    }
    for (int i = 0; i < count; i++) {
        const cJSON *id = cJSON_GetObjectItemCaseSensitive(map, labels[i]);
        if (!cJSON_IsNumber(id) || id->valuedouble != (double)i) {
            return clm_fail(CLM_ERROR_FORMAT,
                            "%s: \"id2label\" calls %d \"%.100s\", and \"label2id\" does not",
                            where, i, labels[i]);
        }
    }
    return CLM_OK;
}

static clm_status read_labels(clm_model_config *config, const cJSON *json, const char *where) {
    clm_status status = CLM_OK;
    const char **labels = NULL;
    const cJSON *map = cJSON_GetObjectItemCaseSensitive(json, "id2label");
    int count = 2; /* transformers' default, which it does not write */
    int stated = 0;
    if (map != NULL && !cJSON_IsNull(map)) {
        if (!cJSON_IsObject(map)) {
            return clm_fail(CLM_ERROR_FORMAT, "%s: \"id2label\" must be an object", where);
        }
        count = cJSON_GetArraySize(map);
    } else {
        map = NULL;
    }
    CLM_TRY(clm_json_get_int(json, "num_labels", false, 1, 1 << 20, &stated, where));
    if (map == NULL && stated > 0) {
        count = stated;
    }
    if (count < 1 || (stated > 0 && stated != count)) {
        status = clm_fail(CLM_ERROR_FORMAT, "%s: \"num_labels\" is %d, and \"id2label\" has %d",
                          where, stated, count);
        goto cleanup;
    }
    if (map == NULL) {
        CLM_TRY(clm_model_config_set_labels(config, count, NULL));
        goto cleanup;
    }
    CLM_TRY(clm_allocate(&labels, (size_t)count, sizeof *labels, "labels"));
    CLM_TRY(read_id2label(labels, count, map, where));
    status = clm_model_config_set_labels(config, count, labels);
    if (status == CLM_ERROR_ARGUMENT) {
        status = clm_error_prefix(CLM_ERROR_FORMAT, "%s: \"id2label\"", where);
    }
    CLM_TRY(status);
    CLM_TRY(check_label2id(labels, count, json, where));
cleanup:
    clm_free(labels);
    return status;
}

/* transformers pools the last token that is not `pad_token_id`, so what clm was trained on stands
 * under its own key. */
static clm_status read_padding(clm_model_config *config, const cJSON *json, const char *where) {
    clm_status status = CLM_OK;
    int most = config->n_vocab - 1;
    const char *pooling = NULL;
    config->pooling = CLM_POOLING_LAST_TOKEN;
    const cJSON *own = cJSON_GetObjectItemCaseSensitive(json, "clm");
    CLM_TRY(clm_json_get_int(json, "pad_token_id", false, INT32_MIN, INT32_MAX, &config->pad_token,
                             where));
    if (config->pad_token < -1 || config->pad_token > most) {
        config->pad_token = -1; /* transformers takes it for "no token is padding" */
    }
    if (own == NULL || cJSON_IsNull(own)) {
        goto cleanup;
    }
    if (!cJSON_IsObject(own)) {
        return clm_fail(CLM_ERROR_FORMAT, "%s: \"clm\" must be an object", where);
    }
    CLM_TRY(clm_json_get_int(own, "pad_token", false, -1, most, &config->pad_token, where));
    CLM_TRY(clm_json_get_int(own, "padded_length", false, 0, config->n_ctx, &config->padded_length,
                             where));
    CLM_TRY(clm_json_get_string(own, "pooling", false, &pooling, where));
    if (pooling != NULL && strcmp(pooling, "last_position") == 0) {
        config->pooling = CLM_POOLING_LAST_POSITION;
    } else if (pooling != NULL && strcmp(pooling, "last_token") != 0) {
        status = clm_fail(CLM_ERROR_UNSUPPORTED,
                          "%s: \"pooling\" is \"%.100s\"; clm has last_position and last_token",
                          where, pooling);
    }
cleanup:
    return status;
}

clm_status clm_model_config_read(clm_model_config *config, const char *path) {
    clm_status status = CLM_OK;
    cJSON *json = NULL;
    bool classifier = false;
    clm_model_config fresh = CLM_MODEL_CONFIG_DEFAULT;
    CLM_TRY(clm_json_read(&json, path));
    if (!cJSON_IsObject(json)) {
        status = clm_fail(CLM_ERROR_FORMAT, "%s: byte 0: a model's config is a JSON object", path);
        goto cleanup;
    }
    CLM_TRY(check_variant(json, path));
    CLM_TRY(read_sizes(&fresh, json, path));
    CLM_TRY(is_classifier(json, &classifier, path));
    if (classifier) {
        CLM_TRY(read_labels(&fresh, json, path));
    }
    status = clm_model_config_check(&fresh);
    if (status != CLM_OK) {
        status = clm_error_prefix(status, "%s", path);
        goto cleanup;
    }
    CLM_TRY(read_padding(&fresh, json, path));
    *config = fresh;
    fresh = (clm_model_config){0};
cleanup:
    cJSON_Delete(json);
    clm_model_config_free(&fresh);
    return status;
}

static void add_labels(clm_string *out, const clm_model_config *config) {
    char fallback[32];
    clm_string_add(out, ",\n  \"id2label\": {");
    for (int i = 0; i < config->n_labels; i++) {
        clm_string_add_format(out, "%s\n    \"%d\": ", i > 0 ? "," : "", i);
        clm_json_add_string(out, clm_model_config_label(config, i, fallback));
    }
    clm_string_add(out, "\n  },\n  \"label2id\": {");
    for (int i = 0; i < config->n_labels; i++) {
        clm_string_add(out, i > 0 ? ",\n    " : "\n    ");
        clm_json_add_string(out, clm_model_config_label(config, i, fallback));
        clm_string_add_format(out, ": %d", i);
    }
    /* With this id no token is padding, and transformers pools the last position of a batch. */
    bool last_position = config->pooling == CLM_POOLING_LAST_POSITION;
    clm_string_add(out, "\n  },\n  \"problem_type\": \"single_label_classification\"");
    if (last_position || config->pad_token >= 0) {
        clm_string_add_format(out, ",\n  \"pad_token_id\": %d",
                              last_position ? -1 : config->pad_token);
    }
    clm_string_add_format(out,
                          ",\n  \"clm\": {\n    \"pooling\": \"%s\",\n    \"pad_token\": %d,\n"
                          "    \"padded_length\": %d\n  }",
                          last_position ? "last_position" : "last_token", config->pad_token,
                          config->padded_length);
}

static void add_number(clm_string *out, const char *name, float value) {
    clm_string_add_format(out, ",\n  \"%s\": ", name);
    clm_json_add_float(out, value);
}

clm_status clm_model_config_write(const clm_model_config *config, const char *path) {
    clm_string out = {0};
    clm_status status = clm_model_config_check(config);
    if (status != CLM_OK) {
        return clm_error_prefix(status, "%s", path);
    }
    clm_string_add_format(
        &out,
        "{\n  \"architectures\": [\"%s\"],\n  \"model_type\": \"gpt2\",\n"
        "  \"activation_function\": \"gelu_new\",\n  \"vocab_size\": %d,\n"
        "  \"n_positions\": %d,\n  \"n_ctx\": %d,\n  \"n_embd\": %d,\n"
        "  \"n_head\": %d,\n  \"n_layer\": %d",
        config->n_labels > 0 ? "GPT2ForSequenceClassification" : "GPT2LMHeadModel", config->n_vocab,
        config->n_ctx, config->n_ctx, config->n_embd, config->n_head, config->n_layer);
    if (config->n_inner > 0) {
        clm_string_add_format(&out, ",\n  \"n_inner\": %d", config->n_inner);
    } else {
        clm_string_add(&out, ",\n  \"n_inner\": null");
    }
    add_number(&out, "layer_norm_epsilon", config->layer_norm_epsilon);
    add_number(&out, "embd_pdrop", config->embd_dropout);
    add_number(&out, "attn_pdrop", config->attn_dropout);
    add_number(&out, "resid_pdrop", config->resid_dropout);
    /* The end-of-text token is the last of GPT-2's vocabulary, and of no other for certain. */
    if (config->n_vocab == 50257) {
        clm_string_add(&out, ",\n  \"bos_token_id\": 50256,\n  \"eos_token_id\": 50256");
    } else {
        clm_string_add(&out, ",\n  \"bos_token_id\": null,\n  \"eos_token_id\": null");
    }
    if (config->n_labels > 0) {
        add_labels(&out, config);
    }
    clm_string_add(&out, ",\n  \"torch_dtype\": \"float32\"\n}\n");
    status = clm_string_status(&out);
    if (status == CLM_OK) {
        status = clm_file_write(path, out.text, out.length);
    }
    clm_string_free(&out);
    return status;
}
