/* SPDX-License-Identifier: Apache-2.0 */
#include "support/test_support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "model/declare.h"
#include "model/folder.h"
#include "model/formats/safetensors.h"
#include "model/head_fold.h"
#include "model/weights.h"

static clm_model_config tiny_config(int n_labels) {
    clm_model_config config = CLM_MODEL_CONFIG_DEFAULT;
    config.n_vocab = 11;
    config.n_ctx = 5;
    config.n_embd = 8;
    config.n_head = 2;
    config.n_layer = 2;
    config.pad_token = 10;
    config.padded_length = 4;
    assert_ok(clm_model_config_set_labels(&config, n_labels, NULL));
    return config;
}

typedef struct source {
    float bias;        /* of the head, times 1, 2, 3, ... */
    bool equal_rows;   /* of the head */
    const char *fails; /* this parameter cannot be read; NULL: all can */
} source;

static clm_status read_parameter(void *context, const clm_parameter *p, float *out) {
    const source *s = context;
    if (s->fails != NULL && strcmp(p->name, s->fails) == 0) {
        return clm_fail(CLM_ERROR_OPENCL, "a test's failure");
    }
    clm_parameter_fill(p, 3, out);
    if (strcmp(p->name, "score.bias") == 0) {
        for (size_t i = 0; i < p->count; i++) {
            out[i] = s->bias * (float)(i + 1);
        }
    }
    for (size_t i = p->shape[1];
         strcmp(p->name, "score.weight") == 0 && s->equal_rows && i < p->count; i++) {
        out[i] = out[i - p->shape[1]];
    }
    return CLM_OK;
}

static int warnings;

static void count_warning(void *context, clm_log_level level, const char *message) {
    (void)context;
    (void)level;
    warnings += strstr(message, "score.bias") != NULL;
}

static void write_and_compare(int n_labels, source s, bool bias_kept) {
    const char *folder = clm_test_path("saved");
    clm_model_config config = tiny_config(n_labels);
    warnings = 0;
    clm_log_set_sink(count_warning, NULL, CLM_LOG_WARNING);
    assert_ok(clm_model_folder_write(folder, &config, read_parameter, &s));
    clm_log_set_sink(NULL, NULL, CLM_LOG_WARNING);
    assert_int_equal(warnings, bias_kept);
    clm_weights *weights = NULL;
    assert_ok(clm_weights_open(&weights, folder));
    assert_int_equal(clm_weights_config(weights)->n_labels, n_labels);
    clm_parameter_table table;
    assert_ok(clm_model_declare(&table, clm_weights_config(weights)));
    for (size_t i = 0; i < table.count; i++) {
        const clm_parameter *p = &table.parameters[i];
        float expected[512];
        float got[512];
        assert_ok(read_parameter(&s, p, expected));
        assert_ok(clm_weights_read(weights, p, got));
        bool changed = !bias_kept && s.bias != 0.0F &&
                       (strcmp(p->name, "ln_f.bias") == 0 || strcmp(p->name, "score.bias") == 0);
        assert_int_equal(memcmp(got, expected, p->count * sizeof *got) != 0, changed);
    }
    clm_parameter_table_free(&table);
    clm_weights_close(weights);
    clm_model_config_free(&config);
}

static void what_is_saved_is_read(void **state) {
    (void)state;
    write_and_compare(0, (source){0}, false);
    write_and_compare(3, (source){0}, false);
    write_and_compare(3, (source){.bias = 0.5F}, false);
    write_and_compare(3, (source){.bias = 0.5F, .equal_rows = true}, true);
    write_and_compare(9, (source){.bias = 0.5F}, true);
}

/* Logits of a random hidden state, before and after, in double: the only error is that ln_f.bias is
 * rounded to float, some C 2^-24 |W| |bias| = 1e-6. */
static void folding_keeps_the_logits(void **state) {
    (void)state;
    enum { C = 64, K = 7 };
    float weight[K * C];
    float bias[K];
    float before[C];
    float after[C];
    clm_test_fill_normal(weight, (size_t)K * C, 0.1F);
    clm_test_fill_normal(bias, K, 2.0F);
    clm_test_fill_normal(before, C, 1.0F);
    memcpy(after, before, sizeof after);
    bool folded = false;
    assert_ok(clm_head_fold_bias(weight, bias, after, K, C, &folded));
    assert_true(folded);
    for (size_t k = 0; k < K; k++) {
        double wanted = (double)bias[k];
        double got = 0.0;
        for (size_t c = 0; c < C; c++) {
            wanted += (double)weight[k * C + c] * (double)before[c];
            got += (double)weight[k * C + c] * (double)after[c];
        }
        assert_close(got, wanted, 1e-5, 0.0);
    }
    memset(weight, 0, C * sizeof *weight);
    memcpy(after, before, sizeof after);
    assert_ok(clm_head_fold_bias(weight, bias, after, K, C, &folded));
    assert_false(folded);
    assert_memory_equal(after, before, sizeof after);
    weight[0] = NAN;
    assert_ok(clm_head_fold_bias(weight, bias, after, K, C, &folded));
    assert_false(folded);
    memset(bias, 0, sizeof bias);
    assert_ok(clm_head_fold_bias(weight, bias, after, K, C, &folded));
    assert_true(folded);
    assert_memory_equal(after, before, sizeof after);
}

static void a_failure_leaves_the_old_model(void **state) {
    (void)state;
    const char *folder = clm_test_path("kept");
    clm_model_config config = tiny_config(2);
    source s = {0};
    assert_ok(clm_model_folder_write(folder, &config, read_parameter, &s));
    s.bias = 1.0F;
    s.fails = "h.0.mlp.c_fc.bias";
    assert_status(CLM_ERROR_OPENCL, clm_model_folder_write(folder, &config, read_parameter, &s));
    s.fails = NULL;
    clm_test_limit_files(100);
    assert_status(CLM_ERROR_NO_SPACE, clm_model_folder_write(folder, &config, read_parameter, &s));
    clm_test_limit_files(UINT64_MAX);
    assert_message_has("kept/model.safetensors");
    clm_weights *weights = NULL;
    clm_parameter_table table;
    float got[16];
    assert_ok(clm_weights_open(&weights, folder));
    assert_ok(clm_model_declare(&table, &config));
    assert_ok(clm_weights_read(weights, clm_parameter_named(&table, "ln_f.bias"), got));
    assert_true(got[0] == 0.0F); /* the first model's: the second has its head's bias here */
    clm_parameter_table_free(&table);
    clm_weights_close(weights);
    clm_model_config_free(&config);
    assert_status(CLM_ERROR_SHAPE, clm_model_folder_write(folder, &config, read_parameter, &s));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_saved_is_read),
        cmocka_unit_test(folding_keeps_the_logits),
        cmocka_unit_test(a_failure_leaves_the_old_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
