/* SPDX-License-Identifier: Apache-2.0 */
#include "model/folder.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/log.h"
#include "base/memory.h"
#include "model/config.h"
#include "model/declare.h"
#include "model/formats/safetensors.h"
#include "model/head_fold.h"
#include "model/tasks/classify.h"

typedef struct saver {
    const clm_model_config *config;
    clm_parameter_table table;
    clm_parameter_reader read;
    void *read_context;
    float *ln_f_bias; /* with the head's bias folded in; NULL without a head */
    bool with_bias;   /* score.bias is written */
} saver;

static clm_status read_whole(const saver *s, const char *name, float **values) {
    const clm_parameter *parameter = clm_parameter_named(&s->table, name);
    clm_status status = clm_allocate(values, parameter->count, sizeof **values, parameter->name);
    return status == CLM_OK ? s->read(s->read_context, parameter, *values) : status;
}

static clm_status fold_head(saver *s, const char *path) {
    clm_status status = CLM_OK;
    float *weight = NULL;
    float *bias = NULL;
    bool folded = false;
    CLM_TRY(read_whole(s, "score.weight", &weight));
    CLM_TRY(read_whole(s, "score.bias", &bias));
    CLM_TRY(read_whole(s, "ln_f.bias", &s->ln_f_bias));
    CLM_TRY(clm_head_fold_bias(weight, bias, s->ln_f_bias, (size_t)s->config->n_labels,
                               (size_t)s->config->n_embd, &folded));
    s->with_bias = !folded;
    if (!folded) {
        clm_log(CLM_LOG_WARNING,
                "%s: the head's bias cannot be folded into ln_f.bias; it is saved as score.bias, "
                "which clm reads and transformers does not: its logits will differ",
                path);
    }
cleanup:
    clm_free(weight);
    clm_free(bias);
    return status;
}

static bool is_written(const saver *s, const clm_parameter *parameter) {
    return strcmp(parameter->name, "score.bias") != 0 || s->with_bias;
}

static clm_status declare_all(const saver *s, clm_safetensors_writer *writer) {
    clm_status status = clm_safetensors_writer_metadata(writer, "format", "pt");
    for (size_t i = 0; i < s->table.count && status == CLM_OK; i++) {
        const clm_parameter *p = &s->table.parameters[i];
        const bool head = clm_classify_is_head(p->name);
        char name[sizeof p->name + 12];
        (void)snprintf(name, sizeof name, "%s%s", head ? "" : "transformer.", p->name);
        if (is_written(s, p)) {
            status = clm_safetensors_writer_declare(writer, name, CLM_F32, p->rank, p->shape);
        }
    }
    return status;
}

static clm_status add_all(const saver *s, clm_safetensors_writer *writer) {
    clm_status status = CLM_OK;
    float *values = NULL;
    size_t most = 0;
    for (size_t i = 0; i < s->table.count; i++) {
        most = s->table.parameters[i].count > most ? s->table.parameters[i].count : most;
    }
    CLM_TRY(clm_allocate(&values, most, sizeof *values, "a parameter to be saved"));
    for (size_t i = 0; i < s->table.count; i++) {
        const clm_parameter *p = &s->table.parameters[i];
        const float *source = values;
        if (!is_written(s, p)) {
            continue;
        }
        if (s->ln_f_bias != NULL && strcmp(p->name, "ln_f.bias") == 0) {
            source = s->ln_f_bias;
        } else {
            CLM_TRY(s->read(s->read_context, p, values));
        }
        CLM_TRY(clm_safetensors_writer_add(writer, source, p->count * sizeof *source));
    }
cleanup:
    clm_free(values);
    return status;
}

static clm_status write_weights(saver *s, const clm_folder *folder) {
    static const char name[] = "model.safetensors";
    clm_status status = CLM_OK;
    clm_safetensors_writer *writer = NULL;
    char *path = NULL;
    CLM_TRY(clm_folder_path(&path, folder, name));
    if (s->config->n_labels > 0) {
        CLM_TRY(fold_head(s, path));
    }
    CLM_TRY(clm_safetensors_writer_open_in(&writer, folder, name));
    CLM_TRY(declare_all(s, writer));
    CLM_TRY(add_all(s, writer));
    CLM_TRY(clm_safetensors_writer_commit(writer));
cleanup:
    clm_safetensors_writer_discard(writer);
    clm_free(path);
    return status;
}

clm_status clm_model_folder_write(const char *folder, const clm_model_config *config,
                                  clm_parameter_reader read, void *context) {
    clm_folder opened = {0};
    clm_status status = CLM_OK;
    CLM_TRY(clm_folder_make(folder));
    CLM_TRY(clm_folder_open(&opened, folder));
    CLM_TRY(clm_model_folder_write_in(&opened, config, read, context));
cleanup:
    clm_folder_close(&opened);
    return status;
}

clm_status clm_model_folder_write_in(const clm_folder *folder, const clm_model_config *config,
                                     clm_parameter_reader read, void *context) {
    clm_status status = CLM_OK;
    saver s = {.config = config, .read = read, .read_context = context};
    CLM_TRY(clm_model_declare(&s.table, config));
    CLM_TRY(write_weights(&s, folder));
    CLM_TRY(clm_model_config_write_in(config, folder));
cleanup:
    clm_free(s.ln_f_bias);
    clm_parameter_table_free(&s.table);
    return status;
}
