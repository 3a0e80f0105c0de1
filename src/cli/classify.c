/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/lines.h"
#include "base/memory.h"
#include "base/number.h"
#include "cli/cli.h"
#include "cli/explanation.h"
#include "cli/progress.h"
#include "clm/text.h"
#include "infer/classify.h"

typedef struct settings {
    const char *model;
    const char *file;
    clm_cli_device device;
    clm_cli_passes passes;
    bool json;
    bool strict;
    bool explain;
} settings;

/* ---- rows ---- */

/* What the texts of one command go through. */
typedef struct answering {
    const settings *settings;
    clm_classifier *classifier;
    bool at_terminal; /* a person reads the rows, so they have the text too */
    uint64_t texts, unanswered;
} answering;

/* A row of tab-separated columns, or in JSON. Without probabilities there is no answer, and `why`
 * is the reason. */
static void add_json_row(clm_string *row, const answering *a, int label, const float *probabilities,
                         const char *why) {
    clm_string json = {0};
    if (probabilities == NULL) {
        clm_string_add(&json,
                       "{\"label\":null,\"probability\":null,\"probabilities\":null,"
                       "\"error\":");
        clm_json_add_string(&json, why);
        clm_string_add(&json, "}");
    } else {
        clm_string_add(&json, "{\"label\":");
        clm_json_add_string(&json, clm_classifier_label_name(a->classifier, label));
        clm_string_add(&json, ",\"probability\":");
        clm_json_add_float(&json, probabilities[label]);
        clm_string_add(&json, ",\"probabilities\":{");
        for (int i = 0; i < clm_classifier_label_count(a->classifier); i++) {
            clm_string_add(&json, i > 0 ? "," : "");
            clm_json_add_string(&json, clm_classifier_label_name(a->classifier, i));
            clm_string_add(&json, ":");
            clm_json_add_float(&json, probabilities[i]);
        }
        clm_string_add(&json, "}}");
    }
    if (clm_string_status(&json) == CLM_OK) {
        clm_string_add_visible(row, json.text, json.length);
    } else {
        row->status = clm_string_status(&json);
    }
    clm_string_free(&json);
}

static void add_columns(clm_string *row, const answering *a, int label, const float *probabilities,
                        const char *text, size_t length) {
    if (probabilities != NULL) {
        const char *name = clm_classifier_label_name(a->classifier, label);
        clm_string_add_visible(row, name, strlen(name));
        clm_string_add_format(row, "\t%.4f", (double)probabilities[label]);
    } else {
        clm_string_add(row, a->at_terminal ? "-\t-" : "\t");
    }
    if (a->at_terminal) {
        clm_string_add(row, "\t");
        clm_string_add_visible(row, text, length);
    }
}

static clm_status print_row(const answering *a, int label, const float *probabilities,
                            const char *text, size_t length, const char *why) {
    clm_string row = {0};
    if (a->settings->json) {
        add_json_row(&row, a, label, probabilities, why);
    } else {
        add_columns(&row, a, label, probabilities, text, length);
    }
    clm_string_add(&row, "\n");
    const clm_status status = clm_string_status(&row);
    if (status == CLM_OK) {
        (void)fwrite(row.text, 1, row.length, stdout);
    }
    clm_string_free(&row);
    return status;
}

/* ---- texts ---- */

/* Texts that come together. */
typedef struct texts {
    const char *const *texts;
    const size_t *lengths;
    size_t count;
    const char *source; /* "standard input", or NULL for arguments */
    uint64_t first;     /* number of texts[0], from 1 */
} texts;

/* What is wrong with a text, if anything. */
static clm_status check(const texts *t, size_t i) {
    const clm_status status = clm_classify_check_text(t->texts[i], t->lengths[i]);
    if (status == CLM_OK) {
        return status;
    }
    return t->source != NULL ? clm_error_prefix(status, "%s:%" PRIu64, t->source, t->first + i)
                             : clm_error_prefix(status, "text %" PRIu64, t->first + i);
}

/* Rows in the order of the texts. `labels` and `rows` are of those that are `good`. */
static clm_status print_rows(answering *a, const texts *t, const bool *good, const int *labels,
                             float *rows) {
    const int n = clm_classifier_label_count(a->classifier);
    size_t answer = 0;
    clm_status status = CLM_OK;
    for (size_t i = 0; i < t->count && status == CLM_OK; i++) {
        a->texts++;
        if (good[i]) {
            float *row = rows + answer * (size_t)n;
            clm_softmax(row, row, n);
            status = print_row(a, labels[answer++], row, t->texts[i], t->lengths[i], NULL);
            continue;
        }
        (void)check(t, i);
        status = print_row(a, 0, NULL, t->texts[i], t->lengths[i], clm_error_message());
        if (status == CLM_OK) {
            a->unanswered++;
            (void)clm_cli_flush();
            (void)fprintf(stderr, "warning: %s\n", clm_error_message());
            clm_error_clear();
        }
    }
    (void)clm_cli_flush();
    return status;
}

static clm_status answer(answering *a, const texts *t) {
    const size_t n = (size_t)clm_classifier_label_count(a->classifier);
    const char **good_texts = NULL;
    size_t *good_lengths = NULL;
    bool *good = NULL;
    int *labels = NULL;
    float *rows = NULL;
    size_t count = 0;
    clm_status status = CLM_OK;
    CLM_TRY(clm_allocate(&good_texts, t->count, sizeof *good_texts, "texts"));
    CLM_TRY(clm_allocate(&good_lengths, t->count, sizeof *good_lengths, "texts"));
    CLM_TRY(clm_allocate(&good, t->count, sizeof *good, "texts"));
    for (size_t i = 0; i < t->count; i++) {
        good[i] = check(t, i) == CLM_OK;
        if (good[i]) {
            good_texts[count] = t->texts[i];
            good_lengths[count++] = t->lengths[i];
        }
    }
    clm_error_clear();
    CLM_TRY(clm_allocate(&labels, count, sizeof *labels, "answers"));
    CLM_TRY(clm_allocate(&rows, count * n, sizeof *rows, "answers"));
    if (count > 0) {
        CLM_TRY(clm_classify(a->classifier, good_texts, good_lengths, count, labels, rows));
    }
    clm_cli_progress_pause();
    CLM_TRY(print_rows(a, t, good, labels, rows));
cleanup:
    clm_free(good_texts);
    clm_free(good_lengths);
    clm_free(good);
    clm_free(labels);
    clm_free(rows);
    return status;
}

/* The same; with --strict, up to the first line that is not text, which is an error. */
static clm_status answer_as_asked(answering *a, const texts *t) {
    texts before = *t;
    clm_status wrong = CLM_OK;
    if (!a->settings->strict) {
        return answer(a, t);
    }
    for (before.count = 0; wrong == CLM_OK && before.count < t->count;) {
        wrong = check(t, before.count);
        before.count += wrong == CLM_OK;
    }
    const clm_status status = before.count > 0 ? answer(a, &before) : CLM_OK;
    return status == CLM_OK && wrong != CLM_OK ? check(t, before.count) : status;
}

static void print_prompt(bool prompts) {
    if (prompts) {
        (void)fputs("> ", stderr);
        (void)fflush(stderr);
    }
}

static clm_status answer_lines(answering *a, int descriptor, const char *name) {
    enum { lines_at_a_time = 4096 };
    const bool prompts = isatty(descriptor) == 1 && isatty(STDERR_FILENO) == 1;
    clm_lines l;
    clm_status status = CLM_OK;
    clm_lines_open(&l, descriptor, name);
    if (prompts) {
        (void)fputs("Each line is a text; Ctrl-D ends.\n", stderr);
    }
    do {
        print_prompt(prompts);
        CLM_TRY(clm_lines_read(&l, lines_at_a_time));
        const texts read = {l.texts, l.lengths, l.count, name, l.first};
        CLM_TRY(answer_as_asked(a, &read));
    } while (l.count > 0 && clm_cli_can_write());
    (void)fputs(prompts ? "\n" : "", stderr);
cleanup:
    clm_lines_close(&l);
    return status;
}

static clm_status answer_arguments(answering *a, const char *const *arguments, size_t count) {
    size_t *lengths = NULL;
    clm_status status = CLM_OK;
    CLM_TRY(clm_allocate(&lengths, count, sizeof *lengths, "texts"));
    for (size_t i = 0; i < count; i++) {
        lengths[i] = strlen(arguments[i]);
    }
    const texts given = {arguments, lengths, count, NULL, 1};
    CLM_TRY(answer_as_asked(a, &given));
cleanup:
    clm_free(lengths);
    return status;
}

/* ---- explaining ---- */

/* The tokens of the longest text; all that the model takes, without texts or where it was trained
 * on one length. */
static clm_status find_length(int *length, const clm_model_config *config, const char *folder,
                              const char *const *given, size_t count) {
    const int most = config->padded_length > 0 ? config->padded_length : config->n_ctx;
    const clm_encode_options options = {.special_tokens = true};
    clm_tokenizer *tokenizer = NULL;
    clm_status status = CLM_OK;
    *length = 1;
    CLM_TRY(clm_tokenizer_open(&tokenizer, folder));
    for (size_t i = 0; i < count; i++) {
        int32_t *ids = NULL;
        size_t tokens = 0;
        CLM_TRY(
            clm_tokenizer_encode(tokenizer, given[i], strlen(given[i]), &options, &ids, &tokens));
        clm_tokens_free(ids);
        tokens = tokens < (size_t)most ? tokens : (size_t)most;
        *length = (int)tokens > *length ? (int)tokens : *length;
    }
    if (count == 0 || (config->pooling == CLM_POOLING_LAST_POSITION && config->padded_length > 0)) {
        *length = most;
    }
cleanup:
    clm_tokenizer_close(tokenizer);
    return status;
}

/* Instead of answering; texts of standard input are not read. */
static clm_status explain(const settings *s, const char *const *given, size_t count) {
    const clm_dtype storage = clm_cli_storage_of(s->passes.precision);
    const bool reads_input = count == 1 && strcmp(given[0], "-") == 0;
    clm_device *device = NULL;
    clm_model_config config = {0};
    clm_cli_device untested = s->device;
    clm_cli_explained explained = {.model = s->model,
                                   .command = "classify",
                                   .how = {.frozen_storage = storage, .B = s->passes.batch},
                                   .json = s->json};
    clm_status status = CLM_OK;
    count = reads_input ? 0 : count;
    if (explained.how.B == 0 || (count > 0 && (size_t)explained.how.B > count)) {
        explained.how.B = count > 0 ? (int)count : 1;
    }
    CLM_TRY(clm_cli_read_config(&config, s->model));
    CLM_TRY(find_length(&explained.how.T, &config, s->model, given, count));
    untested.untested = true;
    CLM_TRY(clm_cli_open_device(&device, &untested, NULL));
    clm_cli_progress_pause();
    CLM_TRY(clm_cli_explain(&explained, device, &config, false));
cleanup:
    clm_device_close(device);
    clm_model_config_free(&config);
    return status;
}

/* ---- the command ---- */

static clm_status open_input(int *descriptor, const char *path) {
    *descriptor = open(path, O_RDONLY | O_CLOEXEC);
    return *descriptor >= 0 ? CLM_OK : clm_fail_errno(errno, "%s: cannot be opened", path);
}

static clm_status classify(const settings *s, const char *const *arguments, size_t count) {
    const bool reads_input = count == 0 || (count == 1 && strcmp(arguments[0], "-") == 0);
    int descriptor = STDIN_FILENO;
    clm_device *device = NULL;
    clm_model_config config = {0};
    clm_classifier_options options = CLM_CLASSIFIER_OPTIONS_DEFAULT;
    answering a = {.settings = s, .at_terminal = !s->json && isatty(STDOUT_FILENO) == 1};
    options.precision = s->passes.precision;
    options.batch = s->passes.batch;
    options.in_order = s->passes.in_order;
    options.one_pass = !reads_input && count == 1;
    clm_status status = CLM_OK;
    if (s->file != NULL) {
        CLM_TRY(open_input(&descriptor, s->file));
    }
    CLM_TRY(clm_cli_read_config(&config, s->model));
    CLM_TRY(clm_cli_open_device(&device, &s->device, NULL));
    CLM_TRY(clm_classifier_open(&a.classifier, device, s->model, &options));
    clm_cli_progress_pause();
    if (reads_input) {
        CLM_TRY(answer_lines(&a, descriptor, s->file != NULL ? s->file : "standard input"));
    } else {
        CLM_TRY(answer_arguments(&a, arguments, count));
    }
    clm_cli_warn_of_cuts(clm_classifier_cut_count(a.classifier));
    if (a.unanswered > 0) {
        status = clm_fail(CLM_ERROR_FORMAT, "%" PRIu64 " of %" PRIu64 " texts %s no answer",
                          a.unanswered, a.texts, a.unanswered == 1 ? "has" : "have");
    }
cleanup:
    if (descriptor > STDIN_FILENO) {
        (void)close(descriptor);
    }
    clm_classifier_close(a.classifier);
    clm_device_close(device);
    clm_model_config_free(&config);
    return status;
}

static const clm_cli_option input_options[] = {
    {"--model", "RUN", "folder of a trained model", CLM_CLI_FOLDER_AT(settings, model),
     .required = true, .synonyms = "--run --checkpoint --model-dir --model-name-or-path"},
    {"--file", "FILE", "classify its lines", CLM_CLI_PATH_AT(settings, file),
     .synonyms = "--data --input --texts"},
    {NULL},
};

static const clm_cli_option output_options[] = {
    {"--json", NULL, "print one JSON object per line, with all probabilities",
     CLM_CLI_FLAG_AT(settings, json)},
    {"--strict", NULL, "stop at the first line that has no answer",
     CLM_CLI_FLAG_AT(settings, strict), .synonyms = "--fail-fast"},
    {"--explain", NULL, "instead of answering, show what that executes and its memory",
     CLM_CLI_FLAG_AT(settings, explain), .excludes = "--file --strict",
     .synonyms = "--dry-run --plan"},
    {NULL},
};

static const clm_cli_option positionals[] = {
    {"TEXT", NULL, "a text to classify; - for the lines of standard input", .kind = CLM_CLI_TEXT,
     .repeats = true, .fallback = "-"},
    {NULL},
};

static const clm_cli_example examples[] = {
    {"clm classify --model run \"see you at 8?\"", "Classifies one text."},
    {"clm classify --model run --file messages.txt", "Classifies each line of a file."},
    {NULL, NULL},
};

static int run(const clm_cli_arguments *arguments) {
    const settings *s = arguments->settings;
    if (s->file != NULL && arguments->positional_count > 0) {
        return clm_cli_usage("classify", "--file and texts exclude each other");
    }
    clm_cli_progress shown;
    clm_cli_progress_begin_at_terminal(&shown);
    const char *const *given = (const char *const *)arguments->positionals;
    const size_t count = arguments->positional_count;
    const clm_status status = s->explain ? explain(s, given, count) : classify(s, given, count);
    clm_cli_progress_end();
    return status == CLM_OK ? CLM_EXIT_DONE : clm_cli_fail(status);
}

const clm_cli_command clm_command_classify = {
    .name = "classify",
    .about = "classify texts with a trained model",
    .synopsis = "--model RUN [OPTION...] [--file FILE | TEXT... | -]",
    .description =
        "Prints one row per text, in order. Without texts, or with -, each line of standard input "
        "is a text; answers are printed as lines arrive.\n\n"
        "A row has two columns, separated by a tab: the class and its probability. At a terminal "
        "the text follows as a third. In names and texts \\n, \\r, \\t and \\uXXXX stand for "
        "characters that control a terminal or cannot be seen, \\xXX for bytes that are not "
        "UTF-8; --json prints names unchanged.\n\n"
        "An empty text, or one that is not UTF-8, has no answer: its columns are empty, a warning "
        "names its line, and the command exits with status 3 after answering all others. With "
        "--strict it stops there.\n\n"
        "With --json a row is {\"label\": NAME, \"probability\": P, \"probabilities\": {NAME: P, "
        "...}}, or where there is no answer {\"label\": null, \"probability\": null, "
        "\"probabilities\": null, \"error\": WHY}.",
    .groups = {{"Input", input_options, 0},
               {"Output", output_options, 0},
               {"Computing", clm_cli_passes_options, offsetof(settings, passes)},
               {"Device", clm_cli_device_option, offsetof(settings, device)},
               {NULL, clm_cli_test_option, offsetof(settings, device)}},
    .positionals = positionals,
    .examples = examples,
    .ends = CLM_CLI_ENDS_INPUT | CLM_CLI_ENDS_DEVICE | CLM_CLI_ENDS_NOT_FINITE,
    .synonyms = "predict infer inference label",
    .settings_size = sizeof(settings),
    .run = run,
};
