/* Makes a classifier of a table of labelled texts, from a tiny GPT-2 with random weights.
 *
 *   finetune TABLE VOCAB RUN [STEPS]
 *
 * TABLE: a label and a text a row (CSV, TSV or JSON Lines); VOCAB: a tokenizer's folder; RUN: the
 * folder for the result, which examples/classify and Hugging Face transformers open; STEPS: where
 * to stop, 0 (the default) for after the last epoch.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <clm/clm.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Frees with what: everything here is NULL or zero until it is made, and fine to free then. */
typedef struct job {
    clm_table *table, *balanced;
    clm_split split;
    clm_tokenizer *tokenizer;
    clm_dataset *train, *validation, *test;
    clm_device *device;
    clm_model *model;
    clm_run *run;
} job;

static void job_free(job *j) {
    clm_model_close(j->model);
    clm_device_close(j->device); /* after what lives on it */
    clm_dataset_free(j->train);
    clm_dataset_free(j->validation);
    clm_dataset_free(j->test);
    clm_tokenizer_close(j->tokenizer);
    clm_split_free(&j->split);
    clm_table_free(j->balanced);
    clm_table_free(j->table);
    clm_run_close(j->run);
}

/* The library prints nothing. What it has to say, such as which device it took, comes here. */
static void print_note(void *context, clm_log_level level, const char *message) {
    (void)context;
    (void)fprintf(stderr, "%s%s\n", level >= CLM_LOG_WARNING ? "warning: " : "", message);
}

static void print_event(void *context, const clm_train_event *event) {
    (void)context;
    if (event->kind == CLM_TRAIN_EVAL) {
        (void)printf("step %" PRId64 ": training loss %.3f, validation loss %.3f\n", event->step,
                     event->train_loss, event->val_loss);
    }
}

/* The rows: as many of each class, shuffled, 70 % to train and 10 % to validate. */
static clm_status read_rows(job *j, const char *path) {
    clm_status status = clm_table_read(&j->table, path, NULL);
    if (status == CLM_OK) {
        status = clm_table_balance(&j->balanced, j->table, 123);
    }
    if (status == CLM_OK) {
        status = clm_table_split(&j->split, j->balanced, 0.7, 0.1, 123);
    }
    return status;
}

/* The rows as token ids, all as long as the longest text of the training rows. */
static clm_status encode_rows(job *j, const char *vocab, int context) {
    clm_dataset_options options = CLM_DATASET_OPTIONS_DEFAULT;
    clm_status status = clm_tokenizer_open(&j->tokenizer, vocab);
    if (status == CLM_OK) {
        options.length_limit = context;
        options.pad_token = clm_tokenizer_end_of_text(j->tokenizer);
        status = clm_dataset_create(&j->train, j->split.train, j->tokenizer, &options);
    }
    if (status == CLM_OK) {
        options.length = clm_dataset_length(j->train);
        status = clm_dataset_create(&j->validation, j->split.validation, j->tokenizer, &options);
    }
    if (status == CLM_OK) {
        status = clm_dataset_create(&j->test, j->split.test, j->tokenizer, &options);
    }
    return status;
}

/* A folder with GPT-2's published weights in place of "random:..." makes this the real recipe, with
 * CLM_TRAIN_LAST_BLOCK. */
static clm_status open_model(job *j, int context) {
    char source[96];
    clm_model_options options = CLM_MODEL_OPTIONS_DEFAULT;
    clm_status status = clm_device_open(&j->device, NULL);
    if (status == CLM_OK) {
        (void)snprintf(source, sizeof source, "random:n_layer=1,n_embd=32,n_ctx=%d,n_vocab=%d",
                       context, (int)clm_tokenizer_vocab_size(j->tokenizer));
        options.train = CLM_TRAIN_ALL;
        options.n_labels = clm_table_label_count(j->table);
        options.labels = clm_table_label_names(j->table);
        status = clm_model_open(&j->model, j->device, source, &options);
    }
    if (status == CLM_OK) {
        /* Saved with the model, so that it will read texts as it does in training. */
        status = clm_model_set_pooling(j->model, CLM_POOLING_LAST_POSITION,
                                       clm_tokenizer_end_of_text(j->tokenizer),
                                       clm_dataset_length(j->train));
    }
    if (status == CLM_OK) {
        (void)printf("%zu of %zu parameters are trained\n", clm_model_trained_count(j->model),
                     clm_model_parameter_count(j->model));
    }
    return status;
}

int main(int argc, char **argv) {
    enum { CONTEXT = 128 };
    job j = {0};
    clm_finetune_options options = CLM_FINETUNE_OPTIONS_DEFAULT;
    clm_finetune_result result = {0};
    if (argc < 4 || argc > 5) {
        (void)fprintf(stderr, "usage: finetune TABLE VOCAB RUN [STEPS]\n");
        return 2;
    }
    clm_log_set_sink(print_note, NULL, CLM_LOG_INFO);
    options.learning_rate = 5e-4; /* weights that start at random bear more than GPT-2's */
    options.eval_every = 10;
    options.max_steps = argc == 5 ? strtol(argv[4], NULL, 10) : 0;
    options.on_event = print_event;

    /* First, so that a folder that cannot be used is found out about at once. */
    clm_status status = clm_run_open(&j.run, argv[3], CLM_RUN_NEW);
    if (status == CLM_OK) {
        status = read_rows(&j, argv[1]);
    }
    if (status == CLM_OK) {
        status = encode_rows(&j, argv[2], CONTEXT);
    }
    if (status == CLM_OK) {
        status = open_model(&j, CONTEXT);
    }
    if (status == CLM_OK) {
        status = clm_finetune_classifier(j.model, j.tokenizer, j.train, j.validation, j.test, j.run,
                                         &options, &result);
    }
    if (status == CLM_OK) {
        status = clm_report_plot_run(argv[3]);
    }
    if (status == CLM_OK) {
        (void)printf("%" PRId64 " steps, test accuracy %.3f; the model and its plots are in %s\n",
                     result.steps, result.test_accuracy, argv[3]);
    } else {
        (void)fprintf(stderr, "finetune: %s: %s\n", clm_status_name(status), clm_error_message());
    }
    job_free(&j);
    return status == CLM_OK ? 0 : 1;
}
