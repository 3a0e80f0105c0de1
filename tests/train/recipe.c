/* SPDX-License-Identifier: Apache-2.0 */
#include "recipe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "support/test_golden.h"

static clm_dataset *read_set(const char *name) {
    const clm_safetensors *file = clm_test_golden("recipe.safetensors");
    char key[40];
    size_t count = 0;
    (void)snprintf(key, sizeof key, "%s.tokens", name);
    int32_t *tokens = clm_test_golden_tensor(file, key, &count);
    (void)snprintf(key, sizeof key, "%s.labels", name);
    int32_t *labels = clm_test_golden_tensor(file, key, &count);
    const int32_t *rows[32];
    size_t lengths[32];
    int32_t narrow[32];
    for (size_t i = 0; i < count; i++) {
        rows[i] = tokens + i * CLM_RECIPE_T;
        lengths[i] = CLM_RECIPE_T;
        narrow[i] = labels[i];
    }
    clm_dataset *set = NULL;
    clm_dataset_options options = CLM_DATASET_OPTIONS_DEFAULT;
    options.pad_token = 36;
    assert_ok(clm_dataset_create_from_ids(&set, rows, lengths, narrow, count, &options));
    free(tokens);
    free(labels);
    return set;
}

sets read_sets(void) {
    return (sets){read_set("train"), read_set("val"), read_set("test")};
}

void free_sets(sets *s) {
    clm_dataset_free(s->train);
    clm_dataset_free(s->validation);
    clm_dataset_free(s->test);
}

clm_finetune_options recipe(void) {
    clm_finetune_options options = CLM_FINETUNE_OPTIONS_DEFAULT;
    options.epochs = 3;
    options.batch = 4;
    options.learning_rate = 1e-2;
    options.eval_every = 3;
    options.eval_batches = 2;
    return options;
}

clm_run_use run_use = CLM_RUN_NEW;

const char *fresh_run(void) {
    static char path[512];
    static int number;
    run_use = CLM_RUN_NEW;
    (void)snprintf(path, sizeof path, "%s/run-%d", clm_test_folder(), number++);
    return path;
}

clm_status train(clm_device *device, clm_train_policy policy, const char *run,
                 const clm_finetune_options *options, clm_finetune_result *result) {
    sets s = read_sets();
    clm_model *model = NULL;
    clm_run *opened = NULL;
    clm_model_options model_options = CLM_MODEL_OPTIONS_DEFAULT;
    model_options.train = policy;
    model_options.n_labels = 2;
    assert_ok(clm_model_open(&model, device, clm_test_source("golden/tiny"), &model_options));
    clm_status status = clm_run_open(&opened, run, run_use);
    if (status == CLM_OK) {
        status = clm_finetune_classifier(model, NULL, s.train, s.validation, s.test, opened,
                                         options, result);
    }
    clm_run_close(opened);
    clm_model_close(model);
    free_sets(&s);
    return status;
}

char *path_in(const char *run, const char *name) {
    char *path = NULL;
    assert_ok(clm_path_join(&path, run, name));
    return path;
}

void read_metrics(clm_metrics *metrics, const char *run) {
    char *path = path_in(run, "metrics.jsonl");
    assert_ok(clm_metrics_read(metrics, path));
    clm_free(path);
}

char *metrics_without_seconds(const char *run) {
    static const char note[] = "{\"event\":\"note\"";
    char *path = path_in(run, "metrics.jsonl");
    char *text = NULL;
    size_t size_bytes = 0;
    assert_ok(clm_file_read(path, CLM_FILE_TEXT, &text, &size_bytes));
    clm_free(path);
    char *to = text;
    for (const char *from = text; *from != '\0';) {
        if (strncmp(from, note, sizeof note - 1) == 0) {
            from += strcspn(from, "\n") + 1;
        } else if (strncmp(from, ",\"seconds\":", 11) == 0) {
            from += 11;
            from += strspn(from, "0123456789.e+-");
        } else {
            *to++ = *from++;
        }
    }
    *to = '\0';
    return text;
}

void assert_same_file(const char *run_a, const char *run_b, const char *name) {
    char *a = path_in(run_a, name);
    char *b = path_in(run_b, name);
    char *text_a = NULL;
    char *text_b = NULL;
    size_t size_a = 0;
    size_t size_b = 0;
    assert_ok(clm_file_read(a, CLM_FILE_TEXT, &text_a, &size_a));
    assert_ok(clm_file_read(b, CLM_FILE_TEXT, &text_b, &size_b));
    assert_int_equal(size_a, size_b);
    assert_memory_equal(text_a, text_b, size_a);
    clm_free(text_a);
    clm_free(text_b);
    clm_free(a);
    clm_free(b);
}

void assert_same_run(const char *run, const char *other) {
    char *text = metrics_without_seconds(run);
    char *other_text = metrics_without_seconds(other);
    assert_string_equal(text, other_text);
    clm_free(text);
    clm_free(other_text);
    assert_same_file(run, other, "model.safetensors");
}
