/* Any files as a model's folder, or its weights alone: refused with a message, or weights from
 * which every parameter of the config can be read. "spec.txt" is what stands for random weights.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/file.h"
#include "fuzz.h"
#include "model/declare.h"
#include "model/weights.h"

static const char *const words[] = {"weight_map",
                                    "model-1.safetensors",
                                    "model-2.safetensors",
                                    "transformer.",
                                    "wte.weight",
                                    "wpe.weight",
                                    "lm_head.weight",
                                    "score.weight",
                                    "score.bias",
                                    "h.0.attn.bias",
                                    "h.0.attn.masked_bias",
                                    "h.1.ln_1.weight",
                                    "h.99999999.ln_1.weight",
                                    "..",
                                    "F16",
                                    "BF16",
                                    "F64",
                                    "I32",
                                    "n_layer",
                                    "n_embd",
                                    "=== config.json\n",
                                    "=== model.safetensors\n",
                                    "random:n_layer=",
                                    ",n_embd=",
                                    NULL};
/* A few bytes may ask for 4,096 layers, each of which takes some 10 kB to be described. */
const fuzz_target fuzz_this = {FUZZ_FILES, words, 1 << 27, 4096};

static void check_weights(const char *model) {
    clm_weights *weights = NULL;
    clm_parameter_table table = {0};
    clm_status status = clm_weights_open(&weights, model);
    if (status != CLM_OK) {
        FUZZ_CHECK(weights == NULL);
        fuzz_check_refused(status);
        return;
    }
    FUZZ_CHECK(clm_model_declare(&table, clm_weights_config(weights)) == CLM_OK);
    for (size_t i = 0; i < table.count && table.total < 1 << 16; i++) {
        const clm_parameter *parameter = &table.parameters[i];
        float *values = malloc(parameter->count * sizeof *values);
        FUZZ_CHECK(values != NULL && clm_weights_has(weights, parameter));
        FUZZ_CHECK(clm_weights_read(weights, parameter, values) == CLM_OK);
        const float *lent = NULL;
        FUZZ_CHECK(clm_weights_map(weights, parameter, &lent) == CLM_OK);
        FUZZ_CHECK(lent == NULL || memcmp(lent, values, parameter->count * sizeof *values) == 0);
        free(values);
    }
    FUZZ_CHECK(clm_weights_check(weights) == CLM_OK);
    clm_parameter_table_free(&table);
    clm_weights_close(weights);
}

void fuzz_one(const uint8_t *data, size_t size) {
    fuzz_unpack(data, size);
    const char *spec = fuzz_path("spec.txt");
    const char *whole = fuzz_path("model.safetensors");
    FILE *file = fopen(spec, "re");
    if (file != NULL) {
        char line[256] = "";
        (void)(fgets(line, sizeof line, file) == NULL);
        (void)fclose(file);
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "random", 6) == 0) { /* anything else is a path */
            check_weights(line);
        }
    }
    check_weights(fuzz_folder());
    if (clm_file_exists(whole)) {
        check_weights(whole);
    }
}
