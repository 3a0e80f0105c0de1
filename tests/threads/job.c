/* SPDX-License-Identifier: Apache-2.0 */
#include "job.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "support/test_support.h"

#define MODEL "random:n_layer=2,n_embd=16,n_head=2,n_ctx=32,n_vocab=300"

void job_make_inputs(job_inputs *inputs) {
    enum { ROWS = 40 };
    static const char *const words[] = {"win a free prize", "see you at", "call now for",
                                        "thanks, I am at"};
    static char texts[ROWS][64];
    const char *lines[ROWS];
    size_t lengths[ROWS];
    int labels[ROWS];
    clm_table *table = NULL;
    clm_tokenizer_train_options options = CLM_TOKENIZER_TRAIN_OPTIONS_DEFAULT;
    for (int i = 0; i < ROWS; i++) {
        (void)snprintf(texts[i], sizeof texts[i], "%s %d", words[i % 4], i);
        lines[i] = texts[i];
        lengths[i] = strlen(texts[i]);
        labels[i] = i % 2;
    }
    options.vocab_size = 300;
    assert_ok(clm_tokenizer_train(&inputs->tokenizer, lines, lengths, ROWS, &options));
    assert_ok(clm_table_create(&table, lines, labels, ROWS, (const char *[]){"ham", "spam"}, 2));
    assert_ok(clm_table_split(&inputs->split, table, 0.7, 0.1, 123));
    clm_table_free(table);
}

void job_free_inputs(job_inputs *inputs) {
    clm_tokenizer_close(inputs->tokenizer);
    clm_split_free(&inputs->split);
}

static clm_status make_dataset(clm_dataset **dataset, const clm_table *table,
                               const clm_tokenizer *tokenizer) {
    clm_dataset_options options = CLM_DATASET_OPTIONS_DEFAULT;
    options.length = 32;
    options.pad_token = clm_tokenizer_end_of_text(tokenizer);
    return clm_dataset_create(dataset, table, tokenizer, &options);
}

static clm_status train(job *j, clm_device *device) {
    const job_inputs *in = j->inputs;
    clm_model_options model_options = CLM_MODEL_OPTIONS_DEFAULT;
    clm_finetune_options options = CLM_FINETUNE_OPTIONS_DEFAULT;
    clm_dataset *sets[3] = {NULL, NULL, NULL};
    clm_model *model = NULL;
    clm_run *run = NULL;
    clm_status status = CLM_OK;
    model_options.train = CLM_TRAIN_LAST_BLOCK;
    model_options.n_labels = JOB_LABELS;
    model_options.labels = clm_table_label_names(in->split.train);
    model_options.head_seed = 5;
    options.epochs = 1;
    options.batch = 4;
    options.learning_rate = 1e-2;
    options.eval_every = 2;
    options.eval_batches = 1;
    CLM_TRY(clm_run_open(&run, j->run, CLM_RUN_NEW));
    CLM_TRY(clm_model_open(&model, device, MODEL, &model_options));
    CLM_TRY(make_dataset(&sets[0], in->split.train, in->tokenizer));
    CLM_TRY(make_dataset(&sets[1], in->split.validation, in->tokenizer));
    CLM_TRY(make_dataset(&sets[2], in->split.test, in->tokenizer));
    CLM_TRY(clm_model_set_pooling(model, CLM_POOLING_LAST_TOKEN,
                                  clm_tokenizer_end_of_text(in->tokenizer), 32));
    CLM_TRY(clm_finetune_classifier(model, in->tokenizer, sets[0], sets[1], sets[2], run, &options,
                                    NULL));
cleanup:
    clm_model_close(model);
    for (int i = 0; i < 3; i++) {
        clm_dataset_free(sets[i]);
    }
    clm_run_close(run);
    return status;
}

static clm_status answer(job *j, clm_device *device) {
    static const char *const texts[JOB_TEXTS] = {"win a prize", "see you at six", "call now",
                                                 "gr\xC3\xBC\xC3\x9F dich"};
    clm_classifier *classifier = NULL;
    int labels[JOB_TEXTS];
    clm_status status = CLM_OK;
    CLM_TRY(clm_classifier_open(&classifier, device, j->run, NULL));
    CLM_TRY(clm_classify(classifier, texts, NULL, JOB_TEXTS, labels, &j->answers[0][0]));
cleanup:
    clm_classifier_close(classifier);
    return status;
}

static clm_status run(job *j) {
    clm_device *device = NULL;
    clm_device_options options = CLM_DEVICE_OPTIONS_DEFAULT;
    char path[1200];
    clm_status status = CLM_OK;
    options.pattern = j->device;
    CLM_TRY(clm_device_open(&device, &options));
    CLM_TRY(train(j, device));
    CLM_TRY(answer(j, device));
    (void)snprintf(path, sizeof path, "%s/model.safetensors", j->run);
    CLM_TRY(clm_file_read(path, CLM_FILE_TEXT, &j->weights, &j->weights_bytes));
cleanup:
    clm_device_close(device);
    return status;
}

void *job_do(void *of_job) {
    job *j = of_job;
    j->status = run(j);
    (void)snprintf(j->message, sizeof j->message, "%s", clm_error_message());
    return NULL;
}

void job_do_at_once(job *jobs, size_t count) {
    enum { MOST = 8 };
    pthread_t threads[MOST];
    assert_true(count <= MOST);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, job_do, &jobs[i]), 0);
    }
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
}
