/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/number.h"
#include "cli/cli.h"
#include "cli/stop.h"
#include "clm/data.h"
#include "clm/report.h"
#include "clm/text.h"
#include "clm/train.h"

typedef struct settings {
    const char *model;
    const char *vocab;
    const char *data;
    const char *out;
    const char *train;
    const char *device;
    const char *pooling;
    const char *features;
    const char *feature_storage;
    const char *precision;
    clm_precision level;
    int feature_budget_mib;
    int seed;
    int head_seed;
    int max_steps;
    bool no_final;
    bool whole_top_block;
    bool recompute;
    bool profile;
    bool untested;
    clm_finetune_options options;
} settings;

/* ---- progress ---- */

/* One line that is written over, when a terminal watches. */
typedef struct progress {
    bool terminal;
    bool drawn;
} progress;

static void clear_line(progress *p) {
    if (p->drawn) {
        (void)fputs("\r\033[K", stderr);
        p->drawn = false;
    }
}

static void draw_line(progress *p, const clm_train_event *event) {
    if (!p->terminal) {
        return;
    }
    if (event->kind == CLM_TRAIN_EVALUATING) {
        (void)fprintf(stderr, "\r\033[Kfinal accuracies: batch %" PRId64 " of %" PRId64,
                      event->batch, event->batch_count);
    } else {
        const int left = event->seconds_left > 0.0 ? (int)(event->seconds_left + 0.5) : 0;
        clm_print(stderr,
                  "\r\033[Kstep %" PRId64 " of %" PRId64 ", loss %.3f, %.0f tokens/s, %d:%02d left",
                  event->step + 1, event->step_count, event->loss, event->tokens_second, left / 60,
                  left % 60);
    }
    p->drawn = true;
}

/* The recipe's log lines. */
static void print_event(void *context, const clm_train_event *event) {
    progress *p = context;
    if (event->kind == CLM_TRAIN_STEP || event->kind == CLM_TRAIN_EVALUATING) {
        draw_line(p, event);
        return;
    }
    clear_line(p);
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

/* ---- the work ---- */

typedef struct inputs {
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
}

static clm_status read_inputs(inputs *in, const settings *s) {
    clm_status status = clm_tokenizer_open(&in->tokenizer, s->vocab);
    return status == CLM_OK ? clm_split_read(&in->split, s->data) : status;
}

/* What fills up short texts: <|endoftext|>, as in the recipe, or the last token of a vocabulary
 * without. */
static int32_t pad_token_of(const clm_tokenizer *tokenizer) {
    const int32_t end = clm_tokenizer_end_of_text(tokenizer);
    return end >= 0 ? end : clm_tokenizer_vocab_size(tokenizer) - 1;
}

/* The validation and test texts are padded and cut to the longest training text. */
static clm_status encode_inputs(inputs *in, const clm_model_config *config) {
    clm_dataset_options options = CLM_DATASET_OPTIONS_DEFAULT;
    options.length_limit = config->n_ctx;
    options.pad_token = pad_token_of(in->tokenizer);
    clm_status status = clm_dataset_create(&in->train, in->split.train, in->tokenizer, &options);
    if (status == CLM_OK) {
        options.length = clm_dataset_length(in->train);
        status = clm_dataset_create(&in->validation, in->split.validation, in->tokenizer, &options);
    }
    if (status == CLM_OK) {
        status = clm_dataset_create(&in->test, in->split.test, in->tokenizer, &options);
    }
    return status;
}

static clm_status open_model(clm_model **model, clm_device *device, const settings *s,
                             const inputs *in) {
    clm_model_options options = CLM_MODEL_OPTIONS_DEFAULT;
    options.n_labels = clm_table_label_count(in->split.train);
    options.labels = clm_table_label_names(in->split.train);
    options.head_seed = (uint64_t)s->head_seed;
    options.whole_top_block = s->whole_top_block;
    options.recompute = s->recompute;
    options.precision = s->level;
    clm_status status = clm_train_policy_parse(&options.train, s->train);
    return status == CLM_OK ? clm_model_open(model, device, s->model, &options) : status;
}

static clm_status set_pooling(clm_model *model, const settings *s, const inputs *in) {
    return clm_model_set_pooling(
        model,
        strcmp(s->pooling, "last-token") == 0 ? CLM_POOLING_LAST_TOKEN : CLM_POOLING_LAST_POSITION,
        pad_token_of(in->tokenizer), clm_dataset_length(in->train));
}

static clm_status check_vocabulary(const clm_model *model, const settings *s, const inputs *in) {
    const int32_t tokens = clm_tokenizer_vocab_size(in->tokenizer);
    const int n_vocab = clm_model_get_config(model)->n_vocab;
    if (tokens > n_vocab) {
        return clm_fail(CLM_ERROR_SHAPE,
                        "%s: the vocabulary has %d tokens, and the model %s only %d: they do not "
                        "belong together",
                        s->vocab, (int)tokens, s->model, n_vocab);
    }
    return CLM_OK;
}

/* To standard error, like all that is no result. */
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

static clm_status finetune(const settings *s) {
    inputs in = {0};
    clm_device *device = NULL;
    clm_model *model = NULL;
    clm_device_options device_options = CLM_DEVICE_OPTIONS_DEFAULT;
    device_options.pattern = s->device;
    device_options.profile = s->profile;
    clm_status status = CLM_OK;
    CLM_TRY(read_inputs(&in, s));
    CLM_TRY(clm_cli_open_device(&device, &device_options, s->untested));
    CLM_TRY(open_model(&model, device, s, &in));
    CLM_TRY(check_vocabulary(model, s, &in));
    CLM_TRY(encode_inputs(&in, clm_model_get_config(model)));
    CLM_TRY(set_pooling(model, s, &in));
    (void)printf(
        "%zu training, %zu validation and %zu test texts of %d tokens, %d classes; %zu of "
        "%zu parameters are trained\n",
        clm_dataset_count(in.train), clm_dataset_count(in.validation), clm_dataset_count(in.test),
        clm_dataset_length(in.train), clm_model_get_config(model)->n_labels,
        clm_model_trained_count(model), clm_model_parameter_count(model));
    (void)fflush(stdout);
    CLM_TRY(clm_finetune_classifier(model, in.tokenizer, in.train, in.validation, in.test, s->out,
                                    &s->options, NULL));
    if (s->profile) {
        CLM_TRY(print_profile(device));
    }
cleanup:
    clm_model_close(model);
    clm_device_close(device);
    inputs_free(&in);
    return status;
}

/* What the library would refuse too, but only once the model is loaded. */
static int check_numbers(const settings *s) {
    const clm_finetune_options *o = &s->options;
    clm_train_policy policy;
    const struct {
        const char *name;
        int value;
        int least;
    } numbers[] = {{"--epochs", o->epochs, 1},
                   {"--batch", o->batch, 1},
                   {"--accumulate", o->accumulate, 1},
                   {"--eval-every", o->eval_every, 0},
                   {"--eval-batches", o->eval_batches, 1},
                   {"--max-steps", s->max_steps, 0},
                   {"--seed", s->seed, 0},
                   {"--feature-budget", s->feature_budget_mib, 0}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        if (numbers[i].value < numbers[i].least) {
            return clm_cli_usage("finetune", "%s must be at least %d, not %d", numbers[i].name,
                                 numbers[i].least, numbers[i].value);
        }
    }
    if (!(o->learning_rate > 0.0)) {
        return clm_cli_usage("finetune", "--lr must be positive, not %g", o->learning_rate);
    }
    if (!(o->weight_decay >= 0.0)) {
        return clm_cli_usage("finetune", "--weight-decay must be at least 0, not %g",
                             o->weight_decay);
    }
    if (clm_train_policy_parse(&policy, s->train) != CLM_OK) {
        return clm_cli_usage("finetune",
                             "--train is head, last-block, last-two-blocks or all, not "
                             "\"%s\"",
                             s->train);
    }
    return -1;
}

static int parse_features(settings *s) {
    static const char *const places[] = {[CLM_FEATURES_AUTO] = "auto",
                                         [CLM_FEATURES_OFF] = "off",
                                         [CLM_FEATURES_DEVICE] = "device",
                                         [CLM_FEATURES_HOST] = "host",
                                         [CLM_FEATURES_DISK] = "disk"};
    const size_t place_count = sizeof places / sizeof *places;
    size_t place = 0;
    while (place < place_count && strcmp(s->features, places[place]) != 0) {
        place++;
    }
    if (place == place_count) {
        return clm_cli_usage(
            "finetune", "--features is auto, off, device, host or disk, not \"%s\"", s->features);
    }
    clm_precision storage = s->level;
    if (s->feature_storage != NULL &&
        (clm_precision_parse(&storage, s->feature_storage) != CLM_OK ||
         storage == CLM_PRECISION_AUTO)) {
        return clm_cli_usage("finetune", "--feature-storage is f32, f16 or bf16, not \"%s\"",
                             s->feature_storage);
    }
    s->options.features = (clm_feature_place)place;
    s->options.feature_storage = storage == CLM_PRECISION_F16    ? CLM_FEATURES_F16
                                 : storage == CLM_PRECISION_BF16 ? CLM_FEATURES_BF16
                                                                 : CLM_FEATURES_F32;
    s->options.feature_budget_bytes = (uint64_t)s->feature_budget_mib * 1024 * 1024;
    return -1;
}

static int parse(settings *s, int argc, char **argv) {
    clm_finetune_options *o = &s->options;
    const clm_cli_option options[] = {
        {"--model", CLM_CLI_STRING, &s->model, "MODEL",
         "folder, .safetensors file, or random:n_layer=2,n_embd=64,..."},
        {"--vocab", CLM_CLI_STRING, &s->vocab, "DIR", "folder with the tokenizer's files"},
        {"--data", CLM_CLI_STRING, &s->data, "DIR",
         "folder with train.csv, validation.csv and test.csv"},
        {"--out", CLM_CLI_STRING, &s->out, "RUN", "folder for the result"},
        {"--train", CLM_CLI_STRING, &s->train, "WHAT",
         "head, last-block (default), last-two-blocks or all"},
        {"--epochs", CLM_CLI_INT, &o->epochs, "N", "default 5"},
        {"--batch", CLM_CLI_INT, &o->batch, "N", "texts that go through together, default 8"},
        {"--accumulate", CLM_CLI_INT, &o->accumulate, "N",
         "batches that make a step, default 1: less memory than a larger batch"},
        {"--lr", CLM_CLI_DOUBLE, &o->learning_rate, "RATE", "default 5e-5"},
        {"--weight-decay", CLM_CLI_DOUBLE, &o->weight_decay, "W", "default 0.1"},
        {"--eval-every", CLM_CLI_INT, &o->eval_every, "STEPS", "default 50; 0 for never"},
        {"--eval-batches", CLM_CLI_INT, &o->eval_batches, "N", "default 5"},
        {"--max-steps", CLM_CLI_INT, &s->max_steps, "N",
         "end training after N steps of all epochs together"},
        {"--no-final", CLM_CLI_FLAG, &s->no_final, NULL,
         "leave out the accuracies over the full sets"},
        {"--pooling", CLM_CLI_STRING, &s->pooling, "P",
         "last-position (default) or last-token: what the head sees"},
        {"--features", CLM_CLI_STRING, &s->features, "WHERE",
         "auto (default), device, host, disk or off: what is frozen runs once"},
        {"--feature-storage", CLM_CLI_STRING, &s->feature_storage, "TYPE",
         "f32, f16 or bf16; default: as --precision, f32 with auto"},
        {"--feature-budget", CLM_CLI_INT, &s->feature_budget_mib, "MIB",
         "room for them; 0 (default): what is free"},
        {"--precision", CLM_CLI_STRING, &s->precision, "P",
         "frozen and kept as: auto (default: f32 if it fits), f32, f16 or bf16"},
        {"--no-overlap", CLM_CLI_FLAG, &o->wait_for_each_step, NULL,
         "begin a step only when the losses of the last have been read"},
        {"--recompute", CLM_CLI_FLAG, &s->recompute, NULL,
         "run blocks again for their gradients: less memory, the same bits"},
        {"--whole-top-block", CLM_CLI_FLAG, &s->whole_top_block, NULL,
         "run it for every position, not only for those the head sees"},
        {"--seed", CLM_CLI_INT, &s->seed, "N", "of the new head and of the batches, default 123"},
        {"--device", CLM_CLI_STRING, &s->device, "PATTERN", "see 'clm devices'"},
        {"--no-selftest", CLM_CLI_FLAG, &s->untested, NULL, "use the device without testing it"},
        {"--profile", CLM_CLI_FLAG, &s->profile, NULL, "say at the end what each kernel took"},
        {"--resume", CLM_CLI_FLAG, &o->resume, NULL, "go on where RUN was stopped"},
    };
    int positional = 0;
    int result = clm_cli_parse(
        argc, argv, options, sizeof options / sizeof *options,
        "clm finetune classify --model MODEL --vocab DIR --data DIR --out RUN [OPTION...]",
        "Turns GPT-2 into a classifier. RUN gets the model as a Hugging Face folder, "
        "metrics.jsonl,\n"
        "plots, and a checkpoint an epoch. Ctrl-C saves one too; pressed twice it ends at once. "
        "With\n"
        "--resume and the same options otherwise, the run goes on. Status 130 when stopped, 6 "
        "when the\n"
        "loss is not finite; see README.md for the others.",
        &positional);
    if (result >= 0) {
        return result;
    }
    if (positional != 1 || strcmp(argv[1], "classify") != 0) {
        return clm_cli_usage("finetune", "say 'clm finetune classify'");
    }
    const struct {
        const char *name;
        const char *value;
    } needed[] = {
        {"--model", s->model}, {"--vocab", s->vocab}, {"--data", s->data}, {"--out", s->out}};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        if (needed[i].value == NULL) {
            return clm_cli_usage("finetune", "%s is missing", needed[i].name);
        }
    }
    if (strcmp(s->pooling, "last-position") != 0 && strcmp(s->pooling, "last-token") != 0) {
        return clm_cli_usage("finetune", "--pooling is last-position or last-token, not \"%s\"",
                             s->pooling);
    }
    if (clm_precision_parse(&s->level, s->precision) != CLM_OK) {
        return clm_cli_usage("finetune", "--precision is auto, f32, f16 or bf16, not \"%s\"",
                             s->precision);
    }
    const int wrong = check_numbers(s);
    return wrong >= 0 ? wrong : parse_features(s);
}

/* The plots are a service: a run is no failure because they are. */
static void plot(const char *run) {
    const clm_status status = clm_report_plot_run(run);
    if (status != CLM_OK) {
        (void)fprintf(stderr, "warning: no plots: %s\n", clm_error_message());
    }
}

int clm_command_finetune(int argc, char **argv) {
    settings s = {.train = "last-block",
                  .pooling = "last-position",
                  .features = "auto",
                  .precision = "auto",
                  .seed = 123,
                  .options = CLM_FINETUNE_OPTIONS_DEFAULT};
    int result = parse(&s, argc, argv);
    if (result >= 0) {
        return result;
    }
    progress shown = {.terminal = isatty(STDERR_FILENO) != 0};
    s.options.seed = (uint64_t)s.seed;
    s.head_seed = s.seed;
    s.options.max_steps = s.max_steps;
    s.options.final_accuracies = !s.no_final;
    s.options.source = s.model;
    s.options.on_event = print_event;
    s.options.should_stop = clm_cli_stop_was_requested;
    s.options.context = &shown;
    (void)clm_cli_catch_stops();
    clm_status status = finetune(&s);
    clear_line(&shown);
    if (status != CLM_OK) {
        return clm_cli_fail(status);
    }
    plot(s.out);
    (void)printf("The model and its plots are in %s\n", s.out);
    return CLM_EXIT_DONE;
}
