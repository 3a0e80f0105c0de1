/* SPDX-License-Identifier: Apache-2.0 */
#include "model/weights.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/dtype.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/string.h"
#include "model/config.h"
#include "model/declare.h"
#include "model/folder_kind.h"
#include "model/formats/safetensors.h"
#include "model/gpt2.h"

struct clm_weights {
    char *model; /* as it was given, for errors */
    clm_model_config config;
    clm_parameter_table table; /* of `config` */
    bool random;
    uint64_t seed;
    clm_safetensors **files; /* several when the model is sharded */
    size_t file_count;
    size_t file_capacity;
};

static const char prefix[] = "transformer.";
enum { prefix_length = sizeof prefix - 1 };

static const char *without_prefix(const char *name) {
    return strncmp(name, prefix, prefix_length) == 0 ? name + prefix_length : name;
}

/* The tensor of that name, with or without the prefix, and the file it is in; NULL when missing. */
static const clm_safetensors_tensor *find(const clm_weights *weights, const char *name,
                                          clm_safetensors **file) {
    char longer[prefix_length + sizeof((clm_parameter *)NULL)->name];
    (void)snprintf(longer, sizeof longer, "%s%s", prefix, name);
    for (size_t i = 0; i < weights->file_count; i++) {
        const clm_safetensors_tensor *tensor = clm_safetensors_find(weights->files[i], name);
        if (tensor == NULL) {
            tensor = clm_safetensors_find(weights->files[i], longer);
        }
        if (tensor != NULL) {
            *file = weights->files[i];
            return tensor;
        }
    }
    return NULL;
}

static void write_shape(char text[128], int rank, const size_t *shape) {
    int at = snprintf(text, 128, "(");
    for (int i = 0; i < rank && at < 100; i++) {
        at += snprintf(text + at, 128 - (size_t)at, i > 0 ? ", %zu" : "%zu", shape[i]);
    }
    (void)snprintf(text + at, 128 - (size_t)at, ")");
}

static bool fits(const clm_safetensors_tensor *tensor, const clm_parameter *parameter) {
    return tensor->rank == parameter->rank && tensor->shape[0] == parameter->shape[0] &&
           (parameter->rank < 2 || tensor->shape[1] == parameter->shape[1]);
}

static clm_status check_tensor(const clm_safetensors *file, const clm_safetensors_tensor *tensor,
                               const clm_parameter *parameter) {
    const char *path = clm_safetensors_path(file);
    if (!fits(tensor, parameter)) {
        char has[128];
        char needs[128];
        write_shape(has, tensor->rank, tensor->shape);
        write_shape(needs, parameter->rank, parameter->shape);
        return clm_fail(CLM_ERROR_SHAPE,
                        "%s: tensor \"%.100s\": its shape is %s, and the model's config needs %s%s",
                        path, tensor->name, has, needs,
                        strcmp(parameter->name, "wte.weight") == 0
                            ? ": the vocabulary or the width differs"
                        : strcmp(parameter->name, "score.weight") == 0
                            ? ": its rows are the classes of \"id2label\", two where there is none"
                            : "");
    }
    if (!clm_dtype_is_floating(tensor->dtype)) {
        return clm_fail(CLM_ERROR_UNSUPPORTED,
                        "%s: tensor \"%.100s\": weights of %s; clm reads F32, F16, BF16 and F64",
                        path, tensor->name, clm_dtype_name(tensor->dtype));
    }
    return CLM_OK;
}

/* Every parameter is there once, and fits; what is missing is named together. */
static clm_status check_parameters(const clm_weights *weights) {
    enum { named = 4 };
    clm_status status = CLM_OK;
    clm_string missing = {0};
    size_t missing_count = 0;
    for (size_t i = 0; i < weights->table.count; i++) {
        const clm_parameter *parameter = &weights->table.parameters[i];
        clm_safetensors *file = NULL;
        const clm_safetensors_tensor *tensor = find(weights, parameter->name, &file);
        if (tensor != NULL) {
            CLM_TRY(check_tensor(file, tensor, parameter));
        } else if (!parameter->optional && missing_count++ < named) {
            clm_string_add_format(&missing, missing_count > 1 ? ", %s" : "%s", parameter->name);
        }
    }
    CLM_TRY(clm_string_status(&missing));
    if (missing_count > named) {
        status = clm_fail(CLM_ERROR_FORMAT, "%s: tensors are missing: %s and %zu more",
                          weights->model, missing.text, missing_count - named);
    } else if (missing_count > 0) {
        status =
            clm_fail(CLM_ERROR_FORMAT, "%s: tensors are missing: %s", weights->model, missing.text);
    }
cleanup:
    clm_string_free(&missing);
    return status;
}

enum { piece_bytes = 1 << 20 };

/* Elements [first, first + count) of a tensor, as floats; `raw` has piece_bytes. */
static clm_status read_floats(const clm_safetensors *file, const clm_safetensors_tensor *tensor,
                              size_t first, size_t count, float *out, unsigned char *raw) {
    clm_status status = CLM_OK;
    const size_t element_bytes = clm_dtype_size(tensor->dtype);
    if (tensor->dtype == CLM_F32) {
        return clm_safetensors_read(file, tensor, first * element_bytes, out,
                                    count * element_bytes);
    }
    for (size_t done = 0; done < count;) {
        const size_t most = piece_bytes / element_bytes;
        const size_t now = count - done < most ? count - done : most;
        CLM_TRY(clm_safetensors_read(file, tensor, (first + done) * element_bytes, raw,
                                     now * element_bytes));
        CLM_TRY(clm_dtype_to_float(out + done, raw, tensor->dtype, now));
        done += now;
    }
cleanup:
    return status;
}

/* The head may stand in the file beside the embedding that it is tied to. */
static clm_status check_tied(const clm_weights *weights, const clm_safetensors *file,
                             const clm_safetensors_tensor *head) {
    enum { piece = piece_bytes / sizeof(float) };
    clm_status status = CLM_OK;
    clm_safetensors *wte_file = NULL;
    float *values = NULL; /* pieces of either */
    unsigned char *raw = NULL;
    const clm_safetensors_tensor *wte = find(weights, "wte.weight", &wte_file);
    bool equal = wte != NULL && head->count == wte->count;
    CLM_TRY(clm_allocate(&values, (size_t)piece * 2, sizeof *values, "weights"));
    CLM_TRY(clm_allocate(&raw, piece_bytes, sizeof *raw, "weights"));
    for (size_t at = 0; equal && at < wte->count; at += piece) {
        const size_t count = wte->count - at < piece ? wte->count - at : piece;
        CLM_TRY(read_floats(file, head, at, count, values, raw));
        CLM_TRY(read_floats(wte_file, wte, at, count, values + piece, raw));
        equal = memcmp(values, values + piece, count * sizeof *values) == 0;
    }
    if (!equal) {
        status =
            clm_fail(CLM_ERROR_UNSUPPORTED,
                     "%s: tensor \"%.100s\" differs from wte.weight; clm's GPT-2 has one matrix "
                     "for both",
                     clm_safetensors_path(file), head->name);
    }
cleanup:
    clm_free(values);
    clm_free(raw);
    return status;
}

static bool is_mask_buffer(const char *name) {
    const char *rest = NULL;
    return clm_gpt2_layer(name, &rest) >= 0 &&
           (strcmp(rest, "attn.bias") == 0 || strcmp(rest, "attn.masked_bias") == 0);
}

/* One tensor of a file: known, to be ignored, or a contradiction. */
static clm_status check_name(const clm_weights *weights, size_t file_index,
                             const clm_safetensors_tensor *tensor, size_t *others) {
    const clm_safetensors *file = weights->files[file_index];
    const char *name = without_prefix(tensor->name);
    const char *rest = NULL;
    int layer = clm_gpt2_layer(name, &rest);
    if (is_mask_buffer(name)) {
        return CLM_OK;
    }
    if (strcmp(name, "lm_head.weight") == 0) {
        return check_tied(weights, file, tensor);
    }
    if (clm_parameter_named(&weights->table, name) != NULL) {
        clm_safetensors *where = NULL;
        if (find(weights, name, &where) != tensor) {
            return clm_fail(CLM_ERROR_FORMAT, "%s: tensor \"%.100s\" appears twice in the model",
                            clm_safetensors_path(file), tensor->name);
        }
        return CLM_OK;
    }
    if (layer >= weights->config.n_layer) {
        return clm_fail(CLM_ERROR_SHAPE,
                        "%s: tensor \"%.100s\": the model's config has %d layers only",
                        clm_safetensors_path(file), tensor->name, weights->config.n_layer);
    }
    if ((*others)++ == 0) {
        clm_log(CLM_LOG_WARNING, "%s: tensor \"%.100s\" is not part of this model and is ignored",
                clm_safetensors_path(file), tensor->name);
    }
    return CLM_OK;
}

static clm_status check_names(const clm_weights *weights) {
    size_t others = 0;
    for (size_t f = 0; f < weights->file_count; f++) {
        for (size_t i = 0; i < clm_safetensors_count(weights->files[f]); i++) {
            const clm_safetensors_tensor *tensor = clm_safetensors_at(weights->files[f], i);
            clm_status status = check_name(weights, f, tensor, &others);
            if (status != CLM_OK) {
                return status;
            }
        }
    }
    if (others > 1) {
        clm_log(CLM_LOG_WARNING, "%s: %zu more tensors are ignored", weights->model, others - 1);
    }
    return CLM_OK;
}

static clm_status add_file(clm_weights *weights, const char *path) {
    clm_safetensors *file = NULL;
    clm_status status = clm_reserve(&weights->files, &weights->file_capacity,
                                    weights->file_count + 1, sizeof *weights->files, "files");
    if (status == CLM_OK) {
        status = clm_safetensors_open(&file, path);
    }
    if (status == CLM_OK) {
        weights->files[weights->file_count++] = file;
    }
    return status;
}

/* Opens the file once, however many tensors of the index are in it. */
static clm_status open_shard(clm_weights *weights, const char *folder, const char *name,
                             const char *tensor, const char *index) {
    clm_status status = CLM_OK;
    char *path = NULL;
    if (name[0] == '\0' || strchr(name, '/') != NULL || strcmp(name, "..") == 0) {
        return clm_fail(CLM_ERROR_FORMAT, "%s: tensor \"%.100s\": \"%.100s\" is no file beside it",
                        index, tensor, name);
    }
    CLM_TRY(clm_path_join(&path, folder, name));
    size_t i = 0;
    while (i < weights->file_count && strcmp(clm_safetensors_path(weights->files[i]), path) != 0) {
        i++;
    }
    if (i == weights->file_count) {
        CLM_TRY(add_file(weights, path));
    }
    if (clm_safetensors_find(weights->files[i], tensor) == NULL) {
        status = clm_fail(CLM_ERROR_FORMAT, "%s: tensor \"%.100s\" is not in %s, as the index says",
                          index, tensor, path);
    }
cleanup:
    clm_free(path);
    return status;
}

static clm_status open_shards(clm_weights *weights, const char *folder, const char *index) {
    clm_status status = CLM_OK;
    cJSON *json = NULL;
    CLM_TRY(clm_json_read(&json, index, CLM_FILE_INDEX));
    const cJSON *map = cJSON_GetObjectItemCaseSensitive(json, "weight_map");
    if (!cJSON_IsObject(map) || map->child == NULL) {
        status = clm_fail(CLM_ERROR_FORMAT, "%s: \"weight_map\" must map tensors to files", index);
        goto cleanup;
    }
    const cJSON *item = NULL;
    cJSON_ArrayForEach(item, map) {
        if (!cJSON_IsString(item)) {
            status = clm_fail(CLM_ERROR_FORMAT, "%s: tensor \"%.100s\": its file must be a string",
                              index, item->string);
            goto cleanup;
        }
        CLM_TRY(open_shard(weights, folder, item->valuestring, item->string, index));
    }
cleanup:
    cJSON_Delete(json);
    return status;
}

/* The classes of weights that have a head, though "architectures" did not name the classifier. */
static clm_status read_head(clm_weights *weights, const char *config) {
    clm_safetensors *file = NULL;
    if (weights->config.n_labels > 0 || find(weights, "score.weight", &file) == NULL) {
        return CLM_OK;
    }
    clm_model_config_free(&weights->config);
    return clm_model_config_read_head(&weights->config, config, true);
}

static clm_status open_folder(clm_weights *weights, const char *folder) {
    clm_status status = CLM_OK;
    char *config = NULL;
    char *whole = NULL;
    char *index = NULL;
    CLM_TRY(clm_path_join(&config, folder, "config.json"));
    CLM_TRY(clm_path_join(&whole, folder, "model.safetensors"));
    CLM_TRY(clm_path_join(&index, folder, "model.safetensors.index.json"));
    CLM_TRY(clm_folder_check_adapter(folder));
    const bool sharded = !clm_file_exists(whole) && clm_file_exists(index);
    if (!sharded && !clm_file_exists(whole)) {
        CLM_TRY(clm_folder_has_no_model(folder));
    }
    CLM_TRY(clm_model_config_read(&weights->config, config));
    CLM_TRY(sharded ? open_shards(weights, folder, index) : add_file(weights, whole));
    CLM_TRY(read_head(weights, config));
cleanup:
    clm_free(config);
    clm_free(whole);
    clm_free(index);
    return status;
}

/* Whether tensors are those of a LoRA adapter, as in PEFT's adapter_model.safetensors. */
static bool has_adapter(const clm_weights *weights) {
    bool found = false;
    for (size_t i = 0; i < clm_safetensors_count(weights->files[0]) && !found; i++) {
        found = strstr(clm_safetensors_at(weights->files[0], i)->name, ".lora_A.") != NULL;
    }
    return found;
}

/* What the tensor of that name has along one dimension. */
static clm_status dimension_of(const clm_weights *weights, const char *name, int rank, int which,
                               int *value) {
    clm_safetensors *file = NULL;
    const clm_safetensors_tensor *tensor = find(weights, name, &file);
    if (tensor == NULL) {
        return clm_fail(CLM_ERROR_FORMAT, "%s: tensor \"%s\" is missing: not a GPT-2%s",
                        weights->model, name,
                        has_adapter(weights) ? ", but an adapter (LoRA): merge it into its base "
                                               "model with PEFT's merge_and_unload() and save that"
                                             : "");
    }
    if (tensor->rank != rank || tensor->shape[which] > INT32_MAX) {
        char has[128];
        write_shape(has, tensor->rank, tensor->shape);
        return clm_fail(CLM_ERROR_SHAPE, "%s: tensor \"%.100s\": %s is no shape of a GPT-2",
                        weights->model, tensor->name, has);
    }
    *value = (int)tensor->shape[which];
    return CLM_OK;
}

/* A file alone says everything but the number of heads, which GPT-2 always made of 64 channels. */
static clm_status deduce_config(clm_weights *weights) {
    clm_status status = CLM_OK;
    clm_model_config *config = &weights->config;
    clm_safetensors *file = NULL;
    int n_inner = 0;
    int n_labels = 0;
    *config = (clm_model_config)CLM_MODEL_CONFIG_DEFAULT;
    CLM_TRY(dimension_of(weights, "wte.weight", 2, 0, &config->n_vocab));
    CLM_TRY(dimension_of(weights, "wte.weight", 2, 1, &config->n_embd));
    CLM_TRY(dimension_of(weights, "wpe.weight", 2, 0, &config->n_ctx));
    CLM_TRY(dimension_of(weights, "h.0.mlp.c_fc.weight", 2, 1, &n_inner));
    if (find(weights, "score.weight", &file) != NULL) {
        CLM_TRY(dimension_of(weights, "score.weight", 2, 0, &n_labels));
    }
    if (n_labels == 1) {
        status = clm_fail(CLM_ERROR_UNSUPPORTED,
                          "%s: tensor \"score.weight\": one label, whose answer is a number (a "
                          "regression); clm answers with one of two or more classes",
                          weights->model);
        goto cleanup;
    }
    config->n_inner = n_inner != 4 * (int64_t)config->n_embd ? n_inner : 0;
    CLM_TRY(clm_model_config_set_labels(config, n_labels, NULL));
    config->n_head = config->n_embd >= 64 ? config->n_embd / 64 : 1;
    config->n_layer = 0;
    for (size_t i = 0; i < clm_safetensors_count(weights->files[0]); i++) {
        const char *rest = NULL;
        const char *name = without_prefix(clm_safetensors_at(weights->files[0], i)->name);
        int layer = clm_gpt2_layer(name, &rest);
        config->n_layer = layer >= config->n_layer ? layer + 1 : config->n_layer;
    }
    status = clm_model_config_check(config);
    if (status != CLM_OK) {
        status = clm_error_prefix(status, "%s", weights->model);
        goto cleanup;
    }
    clm_log_guess("%s: no config.json beside it: taken for %d layers of %d heads", weights->model,
                  config->n_layer, config->n_head);
cleanup:
    return status;
}

static clm_status open_file(clm_weights *weights, const char *path) {
    clm_status status = CLM_OK;
    size_t folder_length = (size_t)(clm_path_name(path) - path);
    clm_string beside = {0};
    clm_string_add_bytes(&beside, path, folder_length);
    clm_string_add(&beside, "config.json");
    CLM_TRY(clm_string_status(&beside));
    CLM_TRY(add_file(weights, path));
    if (clm_file_exists(beside.text)) {
        CLM_TRY(clm_model_config_read(&weights->config, beside.text));
        CLM_TRY(read_head(weights, beside.text));
    } else {
        CLM_TRY(deduce_config(weights));
    }
cleanup:
    clm_string_free(&beside);
    return status;
}

clm_status clm_weights_open(clm_weights **weights, const char *model) {
    *weights = NULL;
    clm_status status = CLM_OK;
    clm_weights *fresh = NULL;
    CLM_TRY(clm_allocate(&fresh, 1, sizeof *fresh, "weights"));
    CLM_TRY(clm_duplicate(&fresh->model, model));
    fresh->random = strcmp(model, "random") == 0 || strncmp(model, "random:", 7) == 0;
    if (fresh->random) {
        CLM_TRY(clm_model_config_parse(&fresh->config, &fresh->seed, model));
    } else if (clm_file_is_folder(model)) {
        CLM_TRY(open_folder(fresh, model));
    } else {
        CLM_TRY(open_file(fresh, model));
    }
    CLM_TRY(clm_model_declare(&fresh->table, &fresh->config));
    if (!fresh->random) {
        CLM_TRY(check_names(fresh));
        CLM_TRY(check_parameters(fresh));
    }
    *weights = fresh;
    fresh = NULL;
cleanup:
    clm_weights_close(fresh);
    return status;
}

const clm_model_config *clm_weights_config(const clm_weights *weights) {
    return &weights->config;
}

/* The model's own entry for a parameter that may come from another table. */
static clm_status own_entry(const clm_weights *weights, const clm_parameter *parameter,
                            const clm_parameter **own) {
    *own = clm_parameter_named(&weights->table, parameter->name);
    if (*own == NULL) {
        return clm_fail(CLM_ERROR_NOT_FOUND, "%s: the model has no %s", weights->model,
                        parameter->name);
    }
    if ((*own)->count != parameter->count || (*own)->shape[0] != parameter->shape[0]) {
        char has[128];
        char needs[128];
        write_shape(has, (*own)->rank, (*own)->shape);
        write_shape(needs, parameter->rank, parameter->shape);
        return clm_fail(CLM_ERROR_SHAPE, "%s: %s is %s, but %s is requested", weights->model,
                        parameter->name, has, needs);
    }
    return CLM_OK;
}

bool clm_weights_has(const clm_weights *weights, const clm_parameter *parameter) {
    const clm_parameter *own = clm_parameter_named(&weights->table, parameter->name);
    return own != NULL && own->count == parameter->count && own->shape[0] == parameter->shape[0];
}

clm_status clm_weights_read_part(const clm_weights *weights, const clm_parameter *parameter,
                                 size_t first, size_t count, float *out) {
    clm_status status = CLM_OK;
    const clm_parameter *own = NULL;
    clm_safetensors *file = NULL;
    unsigned char *raw = NULL;
    CLM_TRY(own_entry(weights, parameter, &own));
    const clm_safetensors_tensor *tensor = find(weights, own->name, &file);
    if (tensor == NULL) { /* an optional one: all others were found when it was opened */
        memset(out, 0, count * sizeof *out);
        goto cleanup;
    }
    if (tensor->dtype != CLM_F32) {
        const size_t all_bytes = count * clm_dtype_size(tensor->dtype);
        CLM_TRY(clm_allocate(&raw, all_bytes < piece_bytes ? all_bytes : piece_bytes, sizeof *raw,
                             "weights"));
    }
    CLM_TRY(read_floats(file, tensor, first, count, out, raw));
cleanup:
    clm_free(raw);
    return status;
}

clm_status clm_weights_read(const clm_weights *weights, const clm_parameter *parameter,
                            float *out) {
    const clm_parameter *own = NULL;
    clm_status status = own_entry(weights, parameter, &own);
    if (status == CLM_OK && weights->random) {
        clm_parameter_fill(own, weights->seed, out);
        return CLM_OK;
    }
    return status == CLM_OK ? clm_weights_read_part(weights, parameter, 0, own->count, out)
                            : status;
}

bool clm_weights_are_drawn(const clm_weights *weights) {
    return weights->random;
}

clm_status clm_weights_map(const clm_weights *weights, const clm_parameter *parameter,
                           const float **values) {
    clm_safetensors *file = NULL;
    const unsigned char *data = NULL;
    *values = NULL;
    if (weights->random || !clm_weights_has(weights, parameter)) {
        return CLM_OK;
    }
    const clm_safetensors_tensor *tensor = find(weights, parameter->name, &file);
    if (tensor == NULL || tensor->dtype != CLM_F32 || tensor->at % sizeof(float) != 0) {
        return CLM_OK;
    }
    const clm_status status = clm_safetensors_map(file, tensor, &data);
    *values = (const float *)(const void *)data;
    return status;
}

clm_status clm_weights_check(const clm_weights *weights) {
    clm_status status = CLM_OK;
    for (size_t i = 0; i < weights->file_count && status == CLM_OK; i++) {
        status = clm_safetensors_check(weights->files[i]);
    }
    return status;
}

void clm_parameter_fill(const clm_parameter *parameter, uint64_t seed, float *out) {
    if (parameter->init == CLM_INIT_NORMAL) {
        clm_philox stream;
        clm_philox_start(&stream, seed, parameter->name);
        clm_philox_normal(&stream, out, parameter->count, 0.0F, parameter->spread);
        return;
    }
    for (size_t i = 0; i < parameter->count; i++) {
        out[i] = parameter->init == CLM_INIT_ONE ? 1.0F : 0.0F;
    }
}

void clm_weights_close(clm_weights *weights) {
    if (weights == NULL) {
        return;
    }
    for (size_t i = 0; i < weights->file_count; i++) {
        clm_safetensors_close(weights->files[i]);
    }
    clm_free(weights->files);
    clm_parameter_table_free(&weights->table);
    clm_model_config_free(&weights->config);
    clm_free(weights->model);
    clm_free(weights);
}
