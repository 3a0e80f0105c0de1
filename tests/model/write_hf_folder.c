/* Writes a small model with a head's bias: OUT/model as clm saves it, and OUT/original.safetensors
 * with the same parameters unfolded. tests/golden/check_hf_folder.py holds transformers' logits for
 * the one against PyTorch's for the other.
 *
 * Usage: write_hf_folder OUT last_position|last_token|language
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "model/declare.h"
#include "model/folder.h"
#include "model/formats/safetensors.h"
#include "model/weights.h"

/* GPT-2's start says little about LayerNorm and biases, so that they are random here too. */
static clm_status read_parameter(void *context, const clm_parameter *parameter, float *out) {
    (void)context;
    clm_parameter noisy = *parameter;
    float shift = noisy.init == CLM_INIT_ONE ? 1.0F : 0.0F;
    noisy.init = CLM_INIT_NORMAL;
    noisy.spread = 0.2F;
    clm_parameter_fill(&noisy, 11, out);
    for (size_t i = 0; i < parameter->count; i++) {
        out[i] += shift;
    }
    return CLM_OK;
}

static clm_status write_original(const char *path, const clm_model_config *config) {
    clm_status status = CLM_OK;
    clm_parameter_table table = {0};
    clm_safetensors_writer *writer = NULL;
    float *values = NULL;
    CLM_TRY(clm_model_declare(&table, config));
    CLM_TRY(clm_allocate(&values, table.total, sizeof *values, "a model"));
    CLM_TRY(clm_safetensors_writer_open(&writer, path));
    CLM_TRY(clm_safetensors_writer_metadata(writer, "format", "pt"));
    for (size_t i = 0; i < table.count; i++) {
        const clm_parameter *p = &table.parameters[i];
        CLM_TRY(clm_safetensors_writer_declare(writer, p->name, CLM_F32, p->rank, p->shape));
    }
    for (size_t i = 0; i < table.count; i++) {
        const clm_parameter *p = &table.parameters[i];
        CLM_TRY(read_parameter(NULL, p, values));
        CLM_TRY(clm_safetensors_writer_add(writer, values, p->count * sizeof *values));
    }
    CLM_TRY(clm_safetensors_writer_commit(writer));
cleanup:
    clm_safetensors_writer_discard(writer);
    clm_parameter_table_free(&table);
    clm_free(values);
    return status;
}

static clm_status write_both(const char *out, const char *kind) {
    clm_status status = CLM_OK;
    char *folder = NULL;
    char *original = NULL;
    clm_model_config config = CLM_MODEL_CONFIG_DEFAULT;
    config.n_vocab = 97;
    config.n_ctx = 24;
    config.n_embd = 48;
    config.n_head = 4;
    config.n_layer = 3;
    config.n_inner = 80;
    config.layer_norm_epsilon = 2e-5F;
    config.pad_token = 96;
    config.padded_length = 16;
    config.pooling =
        strcmp(kind, "last_token") == 0 ? CLM_POOLING_LAST_TOKEN : CLM_POOLING_LAST_POSITION;
    if (strcmp(kind, "language") != 0) {
        CLM_TRY(clm_model_config_set_labels(&config, 3, (const char *const[]){"a", "b", "c"}));
    }
    CLM_TRY(clm_path_join(&folder, out, "model"));
    CLM_TRY(clm_path_join(&original, out, "original.safetensors"));
    CLM_TRY(clm_model_folder_write(folder, &config, read_parameter, NULL));
    CLM_TRY(write_original(original, &config));
cleanup:
    clm_model_config_free(&config);
    clm_free(folder);
    clm_free(original);
    return status;
}

int main(int argc, char **argv) {
    if (argc != 3) {
        (void)fprintf(stderr, "usage: write_hf_folder OUT last_position|last_token|language\n");
        return 2;
    }
    if (write_both(argv[1], argv[2]) != CLM_OK) {
        (void)fprintf(stderr, "write_hf_folder: %s\n", clm_error_message());
        return 1;
    }
    return 0;
}
