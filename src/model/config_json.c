/* config.json, as transformers' GPT2Config writes and reads it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/json.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/string.h"
#include "model/config.h"
#include "model/config_members.h"

static clm_status get_float(const cJSON *json, const char *name, float *value, const char *where) {
    double number = (double)*value;
    clm_status status = clm_json_get_double(json, name, false, &number, where);
    *value = (float)number;
    return status;
}

/* A size by its two names, of which transformers lets the second go first. */
static clm_status get_size(const cJSON *json, const char *name, const char *other, int *value,
                           const char *where) {
    clm_status status = clm_json_get_int(json, name, false, 1, INT32_MAX, value, where);
    return status == CLM_OK ? clm_json_get_int(json, other, false, 1, INT32_MAX, value, where)
                            : status;
}

static clm_status read_sizes(clm_model_config *config, const cJSON *json, const char *where) {
    clm_status status = CLM_OK;
    CLM_TRY(clm_json_get_int(json, "vocab_size", false, 1, INT32_MAX, &config->n_vocab, where));
    CLM_TRY(get_size(json, "n_embd", "hidden_size", &config->n_embd, where));
    CLM_TRY(get_size(json, "n_head", "num_attention_heads", &config->n_head, where));
    CLM_TRY(get_size(json, "n_layer", "num_hidden_layers", &config->n_layer, where));
    CLM_TRY(clm_json_get_int(json, "n_inner", false, 1, INT32_MAX, &config->n_inner, where));
    /* transformers reads past "n_ctx", which old files have beside "n_positions" or alone. */
    CLM_TRY(clm_json_get_int(json, "n_ctx", false, 1, INT32_MAX, &config->n_ctx, where));
    CLM_TRY(get_size(json, "n_positions", "max_position_embeddings", &config->n_ctx, where));
    CLM_TRY(get_float(json, "layer_norm_epsilon", &config->layer_norm_epsilon, where));
    CLM_TRY(get_float(json, "embd_pdrop", &config->embd_dropout, where));
    CLM_TRY(get_float(json, "attn_pdrop", &config->attn_dropout, where));
    CLM_TRY(get_float(json, "resid_pdrop", &config->resid_dropout, where));
cleanup:
    return status;
}

/* Whether "architectures" names the classifier. Names of another family are refused, for files
 * that have no "model_type". */
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
        if (strstr(item->valuestring, "GPT2") == NULL) {
            return clm_fail(CLM_ERROR_UNSUPPORTED,
                            "%s: \"architectures\" has \"%.100s\"; clm runs GPT-2, as "
                            "GPT2ForSequenceClassification",
                            where, item->valuestring);
        }
        *yes = *yes || strcmp(item->valuestring, "GPT2ForSequenceClassification") == 0;
    }
    return CLM_OK;
}

/* clm's answer is one class of several. transformers takes a single label for a number, and what
 * "problem_type" says for the rest. */
static clm_status check_problem(const clm_model_config *config, const cJSON *json,
                                const char *where) {
    const char *problem = "single_label_classification";
    clm_status status = clm_json_get_string(json, "problem_type", false, &problem, where);
    if (status == CLM_OK && config->n_labels == 1) {
        status = clm_fail(CLM_ERROR_UNSUPPORTED,
                          "%s: has one label, so that its answer is a number (a regression); clm "
                          "answers with one of two or more classes",
                          where);
    } else if (status == CLM_OK && strcmp(problem, "single_label_classification") != 0) {
        status = clm_fail(CLM_ERROR_UNSUPPORTED,
                          "%s: \"problem_type\" is \"%.100s\"; clm answers with one of several "
                          "classes (single_label_classification)",
                          where, problem);
    }
    return status;
}

/* A class's name, which a number may be, to *name, which the caller frees. */
static clm_status read_name(char **name, const cJSON *item, const char *where) {
    char digits[32];
    const double number = item->valuedouble;
    if (cJSON_IsString(item)) {
        return clm_duplicate(name, item->valuestring);
    }
    if (!cJSON_IsNumber(item) || !(number >= -1e15 && number <= 1e15) ||
        (double)(int64_t)number != number) {
        return clm_fail(CLM_ERROR_FORMAT,
                        "%s: \"id2label\": the name of \"%.50s\" must be a string", where,
                        item->string);
    }
    (void)snprintf(digits, sizeof digits, "%" PRId64, (int64_t)number);
    return clm_duplicate(name, digits);
}

/* "id2label" maps "0" to "<count - 1>", each once, to the names labels[0..count), which the caller
 * frees. */
static clm_status read_id2label(char **labels, int count, const cJSON *map, const char *where) {
    const cJSON *item = NULL;
    cJSON_ArrayForEach(item, map) {
        char *end = NULL;
        long id = strtol(item->string, &end, 10);
        char canonical[32];
        (void)snprintf(canonical, sizeof canonical, "%ld", id);
        if (id < 0 || id >= count || strcmp(canonical, item->string) != 0 || labels[id] != NULL) {
            return clm_fail(CLM_ERROR_FORMAT,
                            "%s: \"id2label\" must map each of \"0\" to \"%d\" to a string, and "
                            "\"%.50s\" does not fit",
                            where, count - 1, item->string);
        }
        const clm_status status = read_name(&labels[id], item, where);
        if (status != CLM_OK) {
            return status;
        }
    }
    return CLM_OK;
}

/* transformers goes by "id2label" alone. It writes the two so that they contradict each other when
 * names are given to a config that had others. */
static void compare_label2id(const clm_model_config *config, const cJSON *json, const char *where) {
    const cJSON *map = cJSON_GetObjectItemCaseSensitive(json, "label2id");
    bool same = cJSON_IsObject(map) && cJSON_GetArraySize(map) == config->n_labels;
    const cJSON *item = NULL;
    if (map == NULL || cJSON_IsNull(map)) {
        return;
    }
    cJSON_ArrayForEach(item, map) {
        const double id = item->valuedouble;
        same = same && cJSON_IsNumber(item) && id >= 0 && id < config->n_labels &&
               strcmp(config->labels[(int)id], item->string) == 0;
    }
    if (!same) {
        clm_log(CLM_LOG_WARNING,
                "%s: \"label2id\" contradicts \"id2label\", whose names are taken, as transformers "
                "does",
                where);
    }
}

static clm_status read_labels(clm_model_config *config, const cJSON *json, const char *where) {
    clm_status status = CLM_OK;
    char **labels = NULL;
    const cJSON *map = cJSON_GetObjectItemCaseSensitive(json, "id2label");
    const bool named = map != NULL && !cJSON_IsNull(map);
    int stated = 0;
    int count = 2; /* transformers' default, which it does not write */
    if (named && !cJSON_IsObject(map)) {
        return clm_fail(CLM_ERROR_FORMAT, "%s: \"id2label\" must be an object", where);
    }
    /* A number alone must not ask for much memory. */
    CLM_TRY(
        clm_json_get_int(json, "num_labels", false, 1, named ? 1 << 20 : 1 << 16, &stated, where));
    if (named) {
        count = cJSON_GetArraySize(map);
    } else if (stated > 0) {
        count = stated;
    }
    if (count < 1 || (stated > 0 && stated != count)) {
        status = clm_fail(CLM_ERROR_FORMAT, "%s: \"num_labels\" is %d, and \"id2label\" has %d",
                          where, stated, count);
        goto cleanup;
    }
    if (!named) {
        CLM_TRY(clm_model_config_set_labels(config, count, NULL));
        goto cleanup;
    }
    CLM_TRY(clm_allocate(&labels, (size_t)count, sizeof *labels, "labels"));
    CLM_TRY(read_id2label(labels, count, map, where));
    status = clm_model_config_set_labels(config, count, (const char *const *)labels);
    if (status == CLM_ERROR_ARGUMENT) {
        status = clm_error_prefix(CLM_ERROR_FORMAT, "%s: \"id2label\"", where);
    }
    CLM_TRY(status);
    compare_label2id(config, json, where);
cleanup:
    for (int i = 0; labels != NULL && i < count; i++) {
        clm_free(labels[i]);
    }
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
    const bool has_padding = config->pad_token >= 0;
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
        if (has_padding) { /* clm writes -1 beside it */
            config->pooling = CLM_POOLING_LAST_TOKEN;
            clm_log(
                CLM_LOG_WARNING,
                "%s: \"pad_token_id\" was set by another program, so that transformers looks at "
                "the last token, and so does clm; \"clm\" says last_position",
                where);
        }
    } else if (pooling != NULL && strcmp(pooling, "last_token") != 0) {
        status = clm_fail(CLM_ERROR_UNSUPPORTED,
                          "%s: \"pooling\" is \"%.100s\"; clm has last_position and last_token",
                          where, pooling);
    }
cleanup:
    return status;
}

clm_status clm_model_config_read_head(clm_model_config *config, const char *path, bool has_head) {
    clm_status status = CLM_OK;
    cJSON *json = NULL;
    bool classifier = false;
    clm_model_config fresh = CLM_MODEL_CONFIG_DEFAULT;
    CLM_TRY(clm_json_read(&json, path, CLM_FILE_CONFIG));
    if (!cJSON_IsObject(json)) {
        status = clm_fail(CLM_ERROR_FORMAT, "%s: byte 0: a model's config is a JSON object", path);
        goto cleanup;
    }
    CLM_TRY(clm_config_members_check(json, path));
    CLM_TRY(read_sizes(&fresh, json, path));
    CLM_TRY(is_classifier(json, &classifier, path));
    if (classifier || has_head) {
        CLM_TRY(read_labels(&fresh, json, path));
        CLM_TRY(check_problem(&fresh, json, path));
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

clm_status clm_model_config_read(clm_model_config *config, const char *path) {
    return clm_model_config_read_head(config, path, false);
}

static void add_labels(clm_string *out, const clm_model_config *config) {
    clm_string_add(out, ",\n  \"id2label\": {");
    for (int i = 0; i < config->n_labels; i++) {
        clm_string_add_format(out, "%s\n    \"%d\": ", i > 0 ? "," : "", i);
        clm_json_add_string(out, config->labels[i]);
    }
    clm_string_add(out, "\n  },\n  \"label2id\": {");
    for (int i = 0; i < config->n_labels; i++) {
        clm_string_add(out, i > 0 ? ",\n    " : "\n    ");
        clm_json_add_string(out, config->labels[i]);
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

static void add_config(clm_string *out, const clm_model_config *config) {
    clm_string_add_format(
        out,
        "{\n  \"architectures\": [\"%s\"],\n  \"model_type\": \"gpt2\",\n"
        "  \"activation_function\": \"gelu_new\",\n  \"vocab_size\": %d,\n"
        "  \"n_positions\": %d,\n  \"n_ctx\": %d,\n  \"n_embd\": %d,\n"
        "  \"n_head\": %d,\n  \"n_layer\": %d",
        config->n_labels > 0 ? "GPT2ForSequenceClassification" : "GPT2LMHeadModel", config->n_vocab,
        config->n_ctx, config->n_ctx, config->n_embd, config->n_head, config->n_layer);
    if (config->n_inner > 0) {
        clm_string_add_format(out, ",\n  \"n_inner\": %d", config->n_inner);
    } else {
        clm_string_add(out, ",\n  \"n_inner\": null");
    }
    add_number(out, "layer_norm_epsilon", config->layer_norm_epsilon);
    add_number(out, "embd_pdrop", config->embd_dropout);
    add_number(out, "attn_pdrop", config->attn_dropout);
    add_number(out, "resid_pdrop", config->resid_dropout);
    /* The end-of-text token is the last of GPT-2's vocabulary, and of no other for certain. */
    if (config->n_vocab == 50257) {
        clm_string_add(out, ",\n  \"bos_token_id\": 50256,\n  \"eos_token_id\": 50256");
    } else {
        clm_string_add(out, ",\n  \"bos_token_id\": null,\n  \"eos_token_id\": null");
    }
    if (config->n_labels > 0) {
        add_labels(out, config);
    }
    clm_string_add(out, ",\n  \"torch_dtype\": \"float32\"\n}\n");
}

/* The whole file; `path` is for messages. The caller frees *out, also after a failure. */
static clm_status compose(clm_string *out, const clm_model_config *config, const char *path) {
    clm_model_config named = {0};
    clm_status status = clm_model_config_check(config);
    if (status != CLM_OK) {
        return clm_error_prefix(status, "%s", path);
    }
    CLM_TRY(clm_model_config_copy(&named, config)); /* which names classes that have no names */
    add_config(out, &named);
    CLM_TRY(clm_string_status(out));
cleanup:
    clm_model_config_free(&named);
    return status;
}

clm_status clm_model_config_write(const clm_model_config *config, const char *path) {
    clm_string out = {0};
    clm_status status = CLM_OK;
    CLM_TRY(compose(&out, config, path));
    CLM_TRY(clm_file_write_own(path, out.text, out.length));
cleanup:
    clm_string_free(&out);
    return status;
}

clm_status clm_model_config_write_in(const clm_model_config *config, const clm_folder *folder) {
    static const char name[] = "config.json";
    clm_string out = {0};
    char *path = NULL;
    clm_status status = CLM_OK;
    CLM_TRY(clm_folder_path(&path, folder, name));
    CLM_TRY(compose(&out, config, path));
    CLM_TRY(clm_folder_write(folder, name, out.text, out.length));
cleanup:
    clm_free(path);
    clm_string_free(&out);
    return status;
}
