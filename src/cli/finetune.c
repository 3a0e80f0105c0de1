/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/number.h"
#include "cli/cli.h"
#include "cli/explanation.h"
#include "cli/progress.h"
#include "cli/resume.h"
#include "cli/stop.h"
#include "clm/data.h"
#include "clm/report.h"
#include "clm/text.h"
#include "clm/train.h"

typedef struct settings {
    int task;
    const char *model;
    const char *vocab;
    const char *data;
    const char *out;
    clm_train_policy train;
    clm_pooling pooling;
    clm_cli_device device;
    clm_precision precision;
    clm_precision feature_storage; /* CLM_PRECISION_AUTO: as `precision` */
    int feature_budget_mib;
    int seed;
    int max_steps;
    bool no_final;
    bool whole_top_block;
    bool recompute;
    bool profile;
    bool explain;
    bool recipe;
    bool resume;
    bool force;
    clm_finetune_options options;
} settings;

/* ---- progress ---- */

/* The recipe's log lines. */
static void print_event(void *context, const clm_train_event *event) {
    clm_cli_progress *shown = context;
    if (event->kind == CLM_TRAIN_STEP) {
        (void)clm_format(shown->remark, sizeof shown->remark, ", loss %.3f, %.0f tokens/s",
                         event->loss, event->tokens_second);
        return;
    }
    clm_cli_progress_pause();
    if (event->kind == CLM_TRAIN_STARTED || event->kind == CLM_TRAIN_RESUMED) {
        clm_cli_say_on_stop(
            "stopping: the step that has begun is dropped, and a checkpoint saved; once more ends "
            "without it\n");
    }
    if (event->kind == CLM_TRAIN_RESUMED) {
        (void)printf("Resumed after step %" PRId64 " of %" PRId64 "\n", event->step + 1,
                     event->step_count);
    } else if (event->kind == CLM_TRAIN_EVAL) {
        clm_print(stdout, "Ep %d (Step %06" PRId64 "): Train loss %.3f, Val loss %.3f\n",
                  event->epoch, event->step, event->train_loss, event->val_loss);
    } else if (event->kind == CLM_TRAIN_EPOCH) {
        clm_print(stdout, "Training accuracy: %.2f%% | Validation accuracy: %.2f%%\n",
                  100.0 * event->train_accuracy, 100.0 * event->val_accuracy);
    } else if (event->kind == CLM_TRAIN_FINAL) {
        clm_print(stdout, "Training completed in %.2f minutes.\n", event->seconds / 60.0);
        if (!isnan(event->train_accuracy)) {
            clm_print(stdout,
                      "Training accuracy: %.2f%%\nValidation accuracy: %.2f%%\n"
                      "Test accuracy: %.2f%%\n",
                      100.0 * event->train_accuracy, 100.0 * event->val_accuracy,
                      100.0 * event->test_accuracy);
        }
    }
    (void)fflush(stdout);
}

/* ---- which run ---- */

/* The library's options, from those of the command. */
static void set_options(settings *s) {
    const clm_precision storage =
        s->feature_storage != CLM_PRECISION_AUTO ? s->feature_storage : s->precision;
    s->options.feature_storage = storage == CLM_PRECISION_F16    ? CLM_FEATURES_F16
                                 : storage == CLM_PRECISION_BF16 ? CLM_FEATURES_BF16
                                                                 : CLM_FEATURES_F32;
    s->options.feature_budget_bytes = (uint64_t)s->feature_budget_mib * 1024 * 1024;
    s->options.seed = (uint64_t)s->seed;
    s->options.max_steps = s->max_steps;
    s->options.final_accuracies = !s->no_final;
    s->options.source = s->model;
}

/* LLMs-from-scratch, chapter 6: what README's figures and the peers' are compared by. */
static const clm_cli_value recipe[] = {
    {"--train", "last-block"},
    {"--pooling", "last-position"},
    {"--epochs", "5"},
    {"--batch", "8"},
    {"--accumulate", "1"},
    {"--lr", "5e-05"},
    {"--weight-decay", "0.1"},
    {"--seed", "123"},
    {"--eval-every", "50"},
    {"--eval-batches", "5"},
    {NULL, NULL},
};

/* What decides about no bit of a run, or where the checkpoint tells. */
static const char changeable[] =
    "--vocab --data --epochs --max-steps --no-final --features --feature-budget --no-overlap "
    "--recompute --device";

static const char not_recorded[] =
    "--out --resume --force --recipe --no-selftest --profile --explain";

/* Asks at the terminal; true for yes, false for any other answer or without a terminal. */
static bool ask(const char *question) {
    char answer[16] = "";
    if (isatty(STDIN_FILENO) == 0 || isatty(STDERR_FILENO) == 0) {
        return false;
    }
    (void)fprintf(stderr, "%s [y/N] ", question);
    return fgets(answer, sizeof answer, stdin) != NULL && (answer[0] == 'y' || answer[0] == 'Y');
}

static clm_status open_run(clm_run **run, const settings *s) {
    const clm_run_use use = s->resume  ? s->force ? CLM_RUN_RESUME_OR_NEW : CLM_RUN_RESUME
                            : s->force ? CLM_RUN_REPLACE
                                       : CLM_RUN_NEW;
    clm_status status = clm_run_open(run, s->out, use);
    if (status == CLM_ERROR_NOT_FOUND && s->resume) {
        char question[4096 + 64];
        (void)snprintf(question, sizeof question,
                       "%s has no checkpoint to resume from. Train from the start?", s->out);
        clm_error_hold();
        if (ask(question)) {
            clm_error_release();
            clm_error_clear();
            return clm_run_open(run, s->out, CLM_RUN_RESUME_OR_NEW);
        }
        clm_error_release();
    }
    return status;
}

/* With --resume they need not be given; but somebody must say. */
static clm_status check_needed(const clm_run *run, const settings *s) {
    const struct {
        const char *name;
        const char *value;
    } needed[] = {{"--model", s->model}, {"--vocab", s->vocab}, {"--data", s->data}};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        if (needed[i].value == NULL) {
            return clm_fail(CLM_ERROR_ARGUMENT, "%s: %s, so give %s and all that it is to go with",
                            clm_run_folder(run),
                            clm_run_is_resumed(run)
                                ? "its run.json does not say what it was started with"
                                : "there is no recorded run to take it from",
                            needed[i].name);
        }
    }
    return CLM_OK;
}

/* Before clm recorded options, last-position was what a run had by default. */
static clm_status take_old_defaults(const clm_run *run, const clm_cli_arguments *arguments) {
    if (!clm_run_is_resumed(run) || clm_run_get(run, "pooling") != NULL ||
        clm_cli_given_text(arguments, "--pooling") != NULL) {
        return CLM_OK;
    }
    clm_log(CLM_LOG_INFO, "%s: is of an earlier version, whose default was --pooling last-position",
            clm_run_folder(run));
    return clm_cli_set(arguments, "--pooling", "last-position");
}

/* Opens the run and settles what it is trained with. */
static clm_status settle(clm_run **run, const clm_cli_arguments *arguments) {
    settings *s = arguments->settings;
    clm_status status = CLM_OK;
    if (s->recipe) {
        CLM_TRY(clm_cli_apply_preset(arguments, "--recipe", recipe));
    }
    CLM_TRY(open_run(run, s));
    if (clm_run_is_resumed(*run)) {
        CLM_TRY(clm_cli_take_options(*run, arguments, s->recipe ? recipe : NULL, changeable));
        if (!s->recipe) {
            CLM_TRY(take_old_defaults(*run, arguments));
        }
    }
    CLM_TRY(check_needed(*run, s));
    CLM_TRY(clm_cli_keep_options(*run, arguments, not_recorded));
    set_options(s);
cleanup:
    return status;
}

/* ---- the work ---- */

typedef struct inputs {
    char *model, *vocab, *data; /* paths */
    clm_model_config config;
    clm_tokenizer *tokenizer;
    clm_split split;
    clm_dataset *train, *validation, *test;
} inputs;

static void inputs_free(inputs *in) {
    clm_dataset_free(in->train);
    clm_dataset_free(in->validation);
    clm_dataset_free(in->test);
    clm_split_free(&in->split);
    clm_tokenizer_close(in->tokenizer);
    clm_model_config_free(&in->config);
    clm_free(in->model);
    clm_free(in->vocab);
    clm_free(in->data);
}

/* What fills up short texts: <|endoftext|>, as in the recipe, or the last token of a vocabulary
 * without. */
static int32_t pad_token_of(const clm_tokenizer *tokenizer) {
    const int32_t end = clm_tokenizer_end_of_text(tokenizer);
    return end >= 0 ? end : clm_tokenizer_vocab_size(tokenizer) - 1;
}

/* All texts are padded to the longest training text. A head on the last position learns what that
 * many paddings do, so longer texts for validation and test are cut; one on the last token reads
 * them whole. */
static clm_status encode_inputs(inputs *in, clm_pooling pooling) {
    clm_dataset_options options = CLM_DATASET_OPTIONS_DEFAULT;
    clm_status status = CLM_OK;
    options.length_limit = in->config.n_ctx;
    options.pad_token = pad_token_of(in->tokenizer);
    options.name = "training texts";
    CLM_TRY(clm_dataset_create(&in->train, in->split.train, in->tokenizer, &options));
    if (pooling == CLM_POOLING_LAST_TOKEN) {
        options.length_least = clm_dataset_length(in->train);
    } else {
        options.length = clm_dataset_length(in->train);
    }
    options.name = "validation texts";
    CLM_TRY(clm_dataset_create(&in->validation, in->split.validation, in->tokenizer, &options));
    options.name = "test texts";
    CLM_TRY(clm_dataset_create(&in->test, in->split.test, in->tokenizer, &options));
cleanup:
    return status;
}

static clm_status check_vocabulary(const inputs *in) {
    const int32_t tokens = clm_tokenizer_vocab_size(in->tokenizer);
    const int n_vocab = in->config.n_vocab;
    if (tokens > n_vocab) {
        return clm_fail(CLM_ERROR_SHAPE,
                        "%s: the vocabulary has %d tokens, and the model %s only %d: they do not "
                        "belong together",
                        in->vocab, (int)tokens, in->model, n_vocab);
    }
    return CLM_OK;
}

/* `run` may be NULL. All checks that are possible before the device is opened and the weights are
 * read. */
static clm_status read_inputs(inputs *in, clm_run *run, const settings *s) {
    clm_status status = CLM_OK;
    CLM_TRY(clm_cli_resolve_path(&in->model, run, s->model));
    CLM_TRY(clm_cli_resolve_path(&in->vocab, run, s->vocab));
    CLM_TRY(clm_cli_resolve_path(&in->data, run, s->data));
    CLM_TRY(clm_tokenizer_open(&in->tokenizer, in->vocab));
    CLM_TRY(clm_split_read(&in->split, in->data));
    for (size_t i = 0; i < in->split.note_count && run != NULL; i++) {
        CLM_TRY(clm_run_note(run, in->split.notes[i]));
    }
    CLM_TRY(clm_model_config_open(&in->config, in->model));
    CLM_TRY(check_vocabulary(in));
    CLM_TRY(encode_inputs(in, s->pooling));
    CLM_TRY(clm_finetune_check(&s->options, in->train, in->validation, in->test,
                               clm_table_label_count(in->split.train)));
cleanup:
    return status;
}

static clm_status open_model(clm_model **model, clm_device *device, const settings *s,
                             const inputs *in) {
    clm_model_options options = CLM_MODEL_OPTIONS_DEFAULT;
    options.n_labels = clm_table_label_count(in->split.train);
    options.labels = clm_table_label_names(in->split.train);
    options.head_seed = (uint64_t)s->seed;
    options.train = s->train;
    options.whole_top_block = s->whole_top_block;
    options.recompute = s->recompute;
    options.precision = s->precision;
    return clm_model_open(model, device, in->model, &options);
}

/* To standard error, like everything but results. */
static clm_status print_profile(clm_device *device) {
    clm_kernel_time *times = NULL;
    size_t count = 0;
    clm_status status = clm_device_profile(device, &times, &count);
    for (size_t i = 0; i < count; i++) {
        clm_print(stderr, "%10.3f s %9" PRIu64 " calls  %s\n", times[i].seconds, times[i].calls,
                  times[i].kernel);
    }
    clm_kernel_times_free(times);
    return status;
}

static void print_sizes(const inputs *in, const clm_model *model) {
    const int train = clm_dataset_length(in->train);
    const int validation = clm_dataset_length(in->validation);
    const int test = clm_dataset_length(in->test);
    char lengths[64];
    if (validation == train && test == train) {
        (void)snprintf(lengths, sizeof lengths, "%d", train);
    } else {
        (void)snprintf(lengths, sizeof lengths, "%d, %d and %d", train, validation, test);
    }
    clm_cli_progress_pause();
    (void)printf(
        "%zu training, %zu validation and %zu test texts of %s tokens, %d classes; %zu of "
        "%zu parameters are trained\n",
        clm_dataset_count(in->train), clm_dataset_count(in->validation),
        clm_dataset_count(in->test), lengths, clm_model_get_config(model)->n_labels,
        clm_model_trained_count(model), clm_model_parameter_count(model));
    (void)fflush(stdout);
}

static clm_status finetune(const settings *s, clm_run *run) {
    inputs in = {0};
    clm_device *device = NULL;
    clm_model *model = NULL;
    clm_device_options device_options = CLM_DEVICE_OPTIONS_DEFAULT;
    device_options.profile = s->profile;
    clm_status status = CLM_OK;
    CLM_TRY(read_inputs(&in, run, s));
    CLM_TRY(clm_cli_open_device(&device, &s->device, &device_options));
    CLM_TRY(open_model(&model, device, s, &in));
    /* A head on the last token does not know how texts were padded: it reads all of a text later.
     */
    CLM_TRY(clm_model_set_pooling(
        model, s->pooling, pad_token_of(in.tokenizer),
        s->pooling == CLM_POOLING_LAST_TOKEN ? 0 : clm_dataset_length(in.train)));
    print_sizes(&in, model);
    CLM_TRY(clm_finetune_classifier(model, in.tokenizer, in.train, in.validation, in.test, run,
                                    &s->options, NULL));
    clm_cli_progress_pause();
    if (s->profile) {
        CLM_TRY(print_profile(device));
    }
cleanup:
    clm_model_close(model);
    clm_device_close(device);
    inputs_free(&in);
    return status;
}

/* Instead of training. */
static clm_status explain(const clm_cli_arguments *arguments) {
    settings *s = arguments->settings;
    clm_device *device = NULL;
    clm_status status = CLM_OK;
    inputs in = {0};
    if (s->recipe) {
        CLM_TRY(clm_cli_apply_preset(arguments, "--recipe", recipe));
    }
    set_options(s);
    CLM_TRY(read_inputs(&in, NULL, s));
    CLM_TRY(clm_model_config_set_labels(&in.config, clm_table_label_count(in.split.train),
                                        clm_table_label_names(in.split.train)));
    clm_cli_explained explained = {.model = in.model,
                                   .command = "finetune",
                                   .how = {.train = s->train,
                                           .frozen_storage = clm_cli_storage_of(s->precision),
                                           .kept_storage = clm_cli_storage_of(s->precision),
                                           .whole_top_block = s->whole_top_block,
                                           .recompute = s->recompute,
                                           .B = s->options.batch,
                                           .T = clm_dataset_length(in.train)}};
    s->device.untested = true;
    CLM_TRY(clm_cli_open_device(&device, &s->device, NULL));
    clm_cli_progress_pause();
    CLM_TRY(
        clm_cli_explain(&explained, device, &in.config, s->options.features != CLM_FEATURES_OFF));
cleanup:
    clm_device_close(device);
    inputs_free(&in);
    return status;
}

/* ---- the command ---- */

static const clm_cli_choice tasks[] = {
    {"classify", 0, "turn GPT-2 into a classifier"},
    {NULL, 0, NULL},
};

static const clm_cli_option positionals[] = {
    {"TASK", NULL, "what to train for", CLM_CLI_CHOICE_AT(settings, task), .choices = tasks,
     .required = true, .unless = "--resume"},
    {NULL},
};

static const clm_cli_option file_options[] = {
    {"--model", "MODEL", "folder, .safetensors file, or random:n_layer=2,n_embd=64,...",
     CLM_CLI_PATH_AT(settings, model), .required = true, .unless = "--resume",
     .synonyms = "--base --model-name-or-path --pretrained"},
    {"--vocab", "DIR", "folder with the tokenizer's files", CLM_CLI_FOLDER_AT(settings, vocab),
     .required = true, .unless = "--resume", .synonyms = "--tokenizer --vocabulary"},
    {"--data", "DIR", "folder with train.csv, validation.csv and test.csv",
     CLM_CLI_FOLDER_AT(settings, data), .required = true, .unless = "--resume",
     .synonyms = "--dataset --input --train-file"},
    {"--out", "RUN", "folder for the result", CLM_CLI_FOLDER_AT(settings, out), .required = true,
     .unless = "--explain", .synonyms = "--output --output-dir --run --save"},
    {"--resume", NULL, "go on where RUN was stopped, with the options that it was started with",
     CLM_CLI_FLAG_AT(settings, resume), .synonyms = "--continue --resume-from-checkpoint"},
    {"--force", NULL,
     "replace a run that is already in RUN; with --resume, start over if there is no "
     "checkpoint",
     CLM_CLI_FLAG_AT(settings, force), .synonyms = "--overwrite --overwrite-output-dir"},
    {NULL},
};

static const clm_cli_choice policies[] = {
    {"head", CLM_TRAIN_HEAD, "the new head alone"},
    {"last-block", CLM_TRAIN_LAST_BLOCK, "the head, the last LayerNorm and the last block"},
    {"last-two-blocks", CLM_TRAIN_LAST_TWO_BLOCKS, "the same and the block before"},
    {"all", CLM_TRAIN_ALL, "every layer"},
    {NULL, 0, NULL},
};

static const clm_cli_choice poolings[] = {
    {"last-token", CLM_POOLING_LAST_TOKEN, "the last token of the text"},
    {"last-position", CLM_POOLING_LAST_POSITION,
     "the last position: all texts are padded to one length, which becomes part of the model"},
    {NULL, 0, NULL},
};

static const clm_cli_option training_options[] = {
    {"--recipe", NULL,
     "as in LLMs-from-scratch, chapter 6: --train last-block --pooling last-position --epochs 5 "
     "--batch 8 --lr 5e-5 --weight-decay 0.1 --seed 123, where nothing else is given",
     CLM_CLI_FLAG_AT(settings, recipe)},
    {"--train", "WHAT", "what is trained; the rest stays as it is",
     CLM_CLI_CHOICE_AT(settings, train), .choices = policies,
     .synonyms = "--layers --trainable --unfreeze"},
    {"--pooling", "P", "what the head sees", CLM_CLI_CHOICE_AT(settings, pooling),
     .choices = poolings},
    {"--epochs", "N", "passes over the training texts", CLM_CLI_INT_AT(settings, options.epochs),
     .least = 1, .synonyms = "--num-epochs --num-train-epochs"},
    {"--batch", "N", "texts that go through together", CLM_CLI_INT_AT(settings, options.batch),
     .least = 1, .synonyms = "--batch-size --per-device-train-batch-size --bs"},
    {"--accumulate", "N", "batches that make a step: less memory than a larger batch",
     CLM_CLI_INT_AT(settings, options.accumulate), .least = 1,
     .synonyms = "--gradient-accumulation-steps --grad-accum"},
    {"--lr", "RATE", "learning rate", CLM_CLI_NUMBER_AT(settings, options.learning_rate),
     .above = true, .synonyms = "--learning-rate --rate"},
    {"--weight-decay", "W", "AdamW's weight decay",
     CLM_CLI_NUMBER_AT(settings, options.weight_decay), .synonyms = "--wd --decay"},
    {"--max-steps", "N", "end training after N steps of all epochs together",
     CLM_CLI_INT_AT(settings, max_steps), .fallback = "0, no limit",
     .synonyms = "--steps --max-iters"},
    {"--seed", "N", "of the new head and of the batches", CLM_CLI_INT_AT(settings, seed),
     .synonyms = "--random-seed"},
    {NULL},
};

static const clm_cli_option evaluation_options[] = {
    {"--eval-every", "STEPS", "how often both losses are measured; 0 for never",
     CLM_CLI_INT_AT(settings, options.eval_every), .synonyms = "--eval-steps --eval-freq"},
    {"--eval-batches", "N", "batches that a loss is measured on",
     CLM_CLI_INT_AT(settings, options.eval_batches), .least = 1,
     .synonyms = "--eval-iter --eval-iters"},
    {"--no-final", NULL, "leave out the accuracies over the full sets",
     CLM_CLI_FLAG_AT(settings, no_final)},
    {NULL},
};

static const clm_cli_choice places[] = {
    {"auto", CLM_FEATURES_AUTO, NULL}, {"device", CLM_FEATURES_DEVICE, NULL},
    {"host", CLM_FEATURES_HOST, NULL}, {"disk", CLM_FEATURES_DISK, NULL},
    {"off", CLM_FEATURES_OFF, NULL},   {NULL, 0, NULL},
};

static const clm_cli_choice storages[] = {
    {"f32", CLM_PRECISION_F32, NULL},
    {"f16", CLM_PRECISION_F16, NULL},
    {"bf16", CLM_PRECISION_BF16, NULL},
    {NULL, 0, NULL},
};

static const clm_cli_option memory_options[] = {
    {"--precision", "TYPE", "of frozen weights and kept activations; auto is f32 where that fits",
     CLM_CLI_CHOICE_AT(settings, precision), .choices = clm_cli_precisions,
     .synonyms = "--dtype --fp16 --bf16"},
    {"--recompute", NULL, "run blocks again for their gradients: less memory, the same bits",
     CLM_CLI_FLAG_AT(settings, recompute), .synonyms = "--gradient-checkpointing --checkpointing"},
    {"--features", "WHERE",
     "frozen layers run once for each text, and their results are kept there",
     CLM_CLI_CHOICE_AT(settings, options.features), .choices = places},
    {"--feature-storage", "TYPE", "of these results", CLM_CLI_CHOICE_AT(settings, feature_storage),
     .choices = storages, .fallback = "as --precision, f32 with auto"},
    {"--feature-budget", "MIB", "room for them", CLM_CLI_INT_AT(settings, feature_budget_mib),
     .fallback = "0, what is free"},
    {"--whole-top-block", NULL, "run it for every position, not only for those the head sees",
     CLM_CLI_FLAG_AT(settings, whole_top_block)},
    {"--no-overlap", NULL, "begin a step only when the losses of the last have been read",
     CLM_CLI_FLAG_AT(settings, options.wait_for_each_step)},
    {NULL},
};

static const clm_cli_option profile_option[] = {
    {"--profile", NULL, "say at the end what each kernel took", CLM_CLI_FLAG_AT(settings, profile)},
    {"--explain", NULL, "instead of training, show what a step executes and its memory",
     CLM_CLI_FLAG_AT(settings, explain), .excludes = "--resume --force --profile",
     .synonyms = "--dry-run --plan"},
    {NULL},
};

static const clm_cli_example examples[] = {
    {"clm finetune classify --model gpt2 --vocab gpt2 --data data --out run",
     "Trains the last block of GPT-2 on the folder that 'clm data' made."},
    {"clm finetune --resume --out run", "Goes on with that run after it was stopped."},
    {NULL, NULL},
};

static const settings defaults = {.train = CLM_TRAIN_LAST_BLOCK,
                                  .pooling = CLM_POOLING_LAST_TOKEN,
                                  .precision = CLM_PRECISION_AUTO,
                                  .feature_storage = CLM_PRECISION_AUTO,
                                  .seed = 123,
                                  .options = CLM_FINETUNE_OPTIONS_DEFAULT};

/* A run does not fail because its plots do. */
static void plot(const char *run) {
    const clm_status status = clm_report_plot_run(run);
    if (status != CLM_OK) {
        (void)fprintf(stderr, "warning: no plots: %s\n", clm_error_message());
    }
}

static int run(const clm_cli_arguments *arguments) {
    settings *s = arguments->settings;
    clm_cli_progress shown;
    clm_run *opened = NULL;
    (void)clm_cli_catch_stops();
    clm_cli_progress_begin(&shown);
    s->options.on_event = print_event;
    s->options.should_stop = clm_cli_stop_was_requested;
    s->options.should_abandon = clm_cli_end_was_requested;
    s->options.context = &shown;
    clm_status status = s->explain ? explain(arguments) : settle(&opened, arguments);
    if (status == CLM_OK && !s->explain) {
        status = finetune(s, opened);
    }
    clm_run_close(opened);
    clm_cli_progress_end();
    if (status != CLM_OK) {
        return clm_cli_fail(status);
    }
    if (s->explain) {
        return CLM_EXIT_DONE;
    }
    plot(s->out);
    (void)printf("The model and its plots are in %s\n", s->out);
    return CLM_EXIT_DONE;
}

const clm_cli_command clm_command_finetune = {
    .name = "finetune",
    .about = "train a classifier from GPT-2",
    .synopsis =
        "classify --model MODEL --vocab DIR --data DIR --out RUN [OPTION...]\n"
        "--resume --out RUN [OPTION...]",
    .description =
        "Turns GPT-2 into a classifier. RUN gets the model as a Hugging Face folder, "
        "README.md, which tells how it was trained and how to use it, metrics.jsonl, plots, and a "
        "checkpoint an epoch. Ctrl-C saves one too; pressed twice it ends at once. With --resume "
        "the run continues, to the same bits, with the options recorded in run.json.",
    .groups = {{"Files", file_options, 0},
               {"Training", training_options, 0},
               {"Evaluation", evaluation_options, 0},
               {"Memory and speed", memory_options, 0},
               {"Device", clm_cli_device_option, offsetof(settings, device)},
               {NULL, clm_cli_test_option, offsetof(settings, device)},
               {NULL, profile_option, 0}},
    .positionals = positionals,
    .examples = examples,
    .ends = CLM_CLI_ENDS_INPUT | CLM_CLI_ENDS_DEVICE | CLM_CLI_ENDS_NOT_FINITE |
            CLM_CLI_ENDS_INTERRUPTED,
    .synonyms = "fine-tune train tune-model fit",
    .settings_size = sizeof(settings),
    .defaults = &defaults,
    .run = run,
};
