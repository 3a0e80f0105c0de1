/* SPDX-License-Identifier: Apache-2.0 */
#include "model/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/string.h"

clm_status clm_model_config_preset(clm_model_config *config, const char *name) {
    static const struct {
        const char *name;
        int n_embd, n_head, n_layer;
    } presets[] = {
        {"gpt2", 768, 12, 12},
        {"gpt2-medium", 1024, 16, 24},
        {"gpt2-large", 1280, 20, 36},
        {"gpt2-xl", 1600, 25, 48},
    };
    *config = (clm_model_config)CLM_MODEL_CONFIG_DEFAULT;
    for (size_t i = 0; i < sizeof presets / sizeof *presets; i++) {
        if (strcmp(presets[i].name, name) == 0) {
            config->n_embd = presets[i].n_embd;
            config->n_head = presets[i].n_head;
            config->n_layer = presets[i].n_layer;
            return CLM_OK;
        }
    }
    return clm_fail(CLM_ERROR_ARGUMENT,
                    "no preset is called \"%.100s\": there are gpt2, gpt2-medium, gpt2-large and "
                    "gpt2-xl",
                    name);
}

/* Sets one "key=value" of a random: specification. */
static clm_status set_field(clm_model_config *config, uint64_t *seed, bool *head_given,
                            const char *field) {
    const char *equals = strchr(field, '=');
    const char *digits = equals != NULL ? equals + 1 : "";
    size_t name_length = equals != NULL ? (size_t)(equals - field) : strlen(field);
    struct {
        const char *name;
        int *value;
    } fields[] = {
        {"n_vocab", &config->n_vocab},
        {"n_ctx", &config->n_ctx},
        {"n_embd", &config->n_embd},
        {"n_head", &config->n_head},
        {"n_layer", &config->n_layer},
        {"n_inner", &config->n_inner},
        {"seed", NULL},
    };
    size_t i = 0;
    while (i < sizeof fields / sizeof *fields &&
           (strlen(fields[i].name) != name_length ||
            strncmp(fields[i].name, field, name_length) != 0)) {
        i++;
    }
    if (i == sizeof fields / sizeof *fields) {
        return clm_fail(CLM_ERROR_ARGUMENT,
                        "\"%.100s\" is not a field of a random model, which has n_layer, n_embd, "
                        "n_head, n_ctx, n_vocab, n_inner and seed, and a preset such as "
                        "gpt2-medium may come first",
                        field);
    }
    char *end = NULL;
    errno = 0;
    unsigned long long number = strtoull(digits, &end, 10);
    bool whole = digits[0] >= '0' && digits[0] <= '9' && *end == '\0' && errno == 0;
    if (!whole || (fields[i].value != NULL && (number < 1 || number > 0x7FFFFFFF))) {
        return clm_fail(CLM_ERROR_ARGUMENT, "\"%.100s\": %s must be a whole number%s", field,
                        fields[i].name, fields[i].value != NULL ? " from 1" : "");
    }
    if (fields[i].value != NULL) {
        *fields[i].value = (int)number;
    } else {
        *seed = number;
    }
    *head_given = *head_given || fields[i].value == &config->n_head;
    return CLM_OK;
}

clm_status clm_model_config_parse(clm_model_config *config, uint64_t *seed, const char *text) {
    clm_status status = CLM_OK;
    char *copy = NULL;
    bool head_given = false;
    clm_model_config fresh = CLM_MODEL_CONFIG_DEFAULT;
    *seed = 0;
    if (strncmp(text, "random", 6) != 0 || (text[6] != '\0' && text[6] != ':')) {
        return clm_fail(CLM_ERROR_ARGUMENT, "\"%.100s\" does not begin with \"random:\"", text);
    }
    CLM_TRY(clm_duplicate(&copy, text[6] == ':' ? text + 7 : ""));
    bool first = true;
    for (char *field = copy; *field != '\0';) {
        char *comma = strchr(field, ',');
        char *next = comma != NULL ? comma + 1 : field + strlen(field);
        if (comma != NULL) {
            *comma = '\0';
        }
        if (first && strchr(field, '=') == NULL) {
            CLM_TRY(clm_model_config_preset(&fresh, field));
        } else {
            int n_embd = fresh.n_embd;
            CLM_TRY(set_field(&fresh, seed, &head_given, field));
            if (fresh.n_embd != n_embd && !head_given) {
                fresh.n_head = fresh.n_embd >= 64 ? fresh.n_embd / 64 : 1;
            }
        }
        first = false;
        field = next;
    }
    CLM_TRY(clm_model_config_check(&fresh));
    *config = fresh;
cleanup:
    clm_free(copy);
    return status == CLM_ERROR_SHAPE ? clm_error_prefix(CLM_ERROR_ARGUMENT, "%.200s", text)
                                     : status;
}

static clm_status check_range(const char *name, int value, int least, int most) {
    if (value < least || value > most) {
        return clm_fail(CLM_ERROR_SHAPE, "%s is %d, and must be from %d to %d", name, value, least,
                        most);
    }
    return CLM_OK;
}

static clm_status check_dropout(const char *name, float value) {
    if (!(value >= 0.0F && value < 1.0F)) {
        return clm_fail(CLM_ERROR_SHAPE, "%s is %g, and must be at least 0 and below 1", name,
                        (double)value);
    }
    return CLM_OK;
}

/* The upper bounds are far above every GPT-2; they keep products within 64 bits. */
clm_status clm_model_config_check(const clm_model_config *config) {
    clm_status status = CLM_OK;
    CLM_TRY(check_range("n_vocab", config->n_vocab, 1, 1 << 24));
    CLM_TRY(check_range("n_ctx", config->n_ctx, 1, 1 << 24));
    CLM_TRY(check_range("n_embd", config->n_embd, 1, 1 << 20));
    CLM_TRY(check_range("n_head", config->n_head, 1, config->n_embd));
    CLM_TRY(check_range("n_layer", config->n_layer, 1, 1 << 12));
    CLM_TRY(check_range("n_inner", config->n_inner, 0, 1 << 22));
    CLM_TRY(check_range("n_labels", config->n_labels, 0, 1 << 20));
    CLM_TRY(check_range("padded_length", config->padded_length, 0, config->n_ctx));
    CLM_TRY(check_range("pad_token", config->pad_token, -1, config->n_vocab - 1));
    CLM_TRY(check_dropout("embd_pdrop", config->embd_dropout));
    CLM_TRY(check_dropout("attn_pdrop", config->attn_dropout));
    CLM_TRY(check_dropout("resid_pdrop", config->resid_dropout));
    if (config->n_embd % config->n_head != 0) {
        status = clm_fail(CLM_ERROR_SHAPE,
                          "n_embd = %d cannot be divided among n_head = %d heads: give an n_head "
                          "that divides it",
                          config->n_embd, config->n_head);
    } else if (!(config->layer_norm_epsilon > 0.0F && config->layer_norm_epsilon < 1.0F)) {
        status =
            clm_fail(CLM_ERROR_SHAPE, "layer_norm_epsilon is %g, and must be above 0 and below 1",
                     (double)config->layer_norm_epsilon);
    }
cleanup:
    return status;
}

int clm_model_config_inner(const clm_model_config *config) {
    return config->n_inner > 0 ? config->n_inner : 4 * config->n_embd;
}

static void free_labels(char **labels, int count) {
    for (int i = 0; labels != NULL && i < count; i++) {
        clm_free(labels[i]);
    }
    clm_free(labels);
}

typedef struct label_entry {
    const char *name;
    int id;
} label_entry;

static int compare_entries(const void *a, const void *b) {
    const label_entry *left = a;
    const label_entry *right = b;
    const int order = strcmp(left->name, right->name);
    return order != 0 ? order : left->id - right->id;
}

/* Sorted, so that equal names are neighbours: a vocabulary may be the classes. */
static clm_status check_labels(int n_labels, const char *const *labels) {
    clm_status status = CLM_OK;
    label_entry *entries = NULL;
    CLM_TRY(clm_allocate(&entries, (size_t)n_labels, sizeof *entries, "labels"));
    for (int i = 0; i < n_labels; i++) {
        if (clm_utf8_check(labels[i], strlen(labels[i])) < strlen(labels[i])) {
            status = clm_fail(CLM_ERROR_ENCODING, "the name of label %d is not valid UTF-8", i);
            goto cleanup;
        }
        entries[i] = (label_entry){labels[i], i};
    }
    qsort(entries, (size_t)n_labels, sizeof *entries, compare_entries);
    for (int i = 1; i < n_labels; i++) {
        if (strcmp(entries[i - 1].name, entries[i].name) == 0) {
            status = clm_fail(CLM_ERROR_ARGUMENT, "labels %d and %d are both called \"%.100s\"",
                              entries[i - 1].id, entries[i].id, entries[i].name);
            goto cleanup;
        }
    }
cleanup:
    clm_free(entries);
    return status;
}

clm_status clm_model_config_set_labels(clm_model_config *config, int n_labels,
                                       const char *const *labels) {
    clm_status status = CLM_OK;
    char **fresh = NULL;
    char numbered[32];
    if (n_labels < 0) {
        return clm_fail(CLM_ERROR_ARGUMENT, "%d labels", n_labels);
    }
    if (n_labels > 0) {
        CLM_TRY(clm_allocate(&fresh, (size_t)n_labels, sizeof *fresh, "labels"));
    }
    if (n_labels > 0 && labels != NULL) {
        CLM_TRY(check_labels(n_labels, labels));
    }
    for (int i = 0; i < n_labels; i++) {
        (void)snprintf(numbered, sizeof numbered, "LABEL_%d", i);
        CLM_TRY(clm_duplicate(&fresh[i], labels != NULL ? labels[i] : numbered));
    }
    free_labels(config->labels, config->n_labels);
    config->labels = fresh;
    config->n_labels = n_labels;
    fresh = NULL;
cleanup:
    free_labels(fresh, n_labels);
    return status;
}

clm_status clm_model_config_copy(clm_model_config *copy, const clm_model_config *config) {
    *copy = *config;
    copy->labels = NULL;
    copy->n_labels = 0;
    return clm_model_config_set_labels(copy, config->n_labels, (const char *const *)config->labels);
}

void clm_model_config_free(clm_model_config *config) {
    free_labels(config->labels, config->n_labels);
    *config = (clm_model_config){0};
}
