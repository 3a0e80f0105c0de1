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
#include "infer/classify.h"

typedef struct settings {
    const char *model;
    const char *file;
    clm_cli_device device;
    clm_cli_passes passes;
    bool json;
} settings;

static clm_status print_answer(const clm_classifier *classifier, const settings *s, int label,
                               const float *probabilities) {
    if (!s->json) {
        clm_print(stdout, "%s\t%.4f\n", clm_classifier_label_name(classifier, label),
                  (double)probabilities[label]);
        return CLM_OK;
    }
    clm_string line = {0};
    clm_string_add(&line, "{\"label\":");
    clm_json_add_string(&line, clm_classifier_label_name(classifier, label));
    clm_string_add(&line, ",\"probability\":");
    clm_json_add_float(&line, probabilities[label]);
    clm_string_add(&line, ",\"probabilities\":{");
    for (int i = 0; i < clm_classifier_label_count(classifier); i++) {
        clm_string_add(&line, i > 0 ? "," : "");
        clm_json_add_string(&line, clm_classifier_label_name(classifier, i));
        clm_string_add(&line, ":");
        clm_json_add_float(&line, probabilities[i]);
    }
    clm_string_add(&line, "}}");
    clm_status status = clm_string_status(&line);
    if (status == CLM_OK) {
        (void)puts(line.text);
    }
    clm_string_free(&line);
    return status;
}

static clm_status classify_some(clm_classifier *classifier, const settings *s,
                                const char *const *texts, const size_t *lengths, size_t count) {
    const int n = clm_classifier_label_count(classifier);
    int *labels = NULL;
    float *logits = NULL;
    clm_status status = CLM_OK;
    CLM_TRY(clm_allocate(&labels, count, sizeof *labels, "answers"));
    CLM_TRY(clm_allocate(&logits, count * (size_t)n, sizeof *logits, "answers"));
    CLM_TRY(clm_classify(classifier, texts, lengths, count, labels, logits));
    for (size_t i = 0; i < count; i++) {
        float *row = logits + i * (size_t)n;
        clm_softmax(row, row, n);
        CLM_TRY(print_answer(classifier, s, labels[i], row));
    }
    (void)clm_cli_flush();
cleanup:
    clm_free(labels);
    clm_free(logits);
    return status;
}

/* How many of the lines are texts; CLM_OK when all are, else what is wrong with the next. */
static clm_status check_lines(const clm_lines *l, size_t *good) {
    for (*good = 0; *good < l->count; (*good)++) {
        const clm_status status = clm_classify_check_text(l->texts[*good], l->lengths[*good]);
        if (status != CLM_OK) {
            return clm_error_prefix(status, "%s:%" PRIu64, l->name, l->first + *good);
        }
    }
    return CLM_OK;
}

static clm_status classify_lines(clm_classifier *classifier, const settings *s, int descriptor,
                                 const char *name) {
    enum { lines_at_a_time = 4096 };
    clm_lines l;
    clm_status status = CLM_OK;
    clm_lines_open(&l, descriptor, name);
    do {
        size_t good = 0;
        CLM_TRY(clm_lines_read(&l, lines_at_a_time));
        const clm_status bad_line = check_lines(&l, &good);
        if (bad_line != CLM_OK) {
            clm_error_hold(); /* the lines before it are answered first */
        }
        if (good > 0) {
            status = classify_some(classifier, s, l.texts, l.lengths, good);
        }
        if (bad_line != CLM_OK) {
            clm_error_release();
        }
        CLM_TRY(bad_line != CLM_OK ? bad_line : status);
    } while (l.count > 0 && clm_cli_can_write());
cleanup:
    clm_lines_close(&l);
    return status;
}

static clm_status classify_file(clm_classifier *classifier, const settings *s, const char *path) {
    const int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        return clm_fail_errno(errno, "%s: cannot be opened", path);
    }
    const clm_status status = classify_lines(classifier, s, descriptor, path);
    (void)close(descriptor);
    return status;
}

static clm_status classify(const settings *s, const char *const *texts, size_t count) {
    clm_device *device = NULL;
    clm_classifier *classifier = NULL;
    clm_classifier_options options = CLM_CLASSIFIER_OPTIONS_DEFAULT;
    options.precision = s->passes.precision;
    options.batch = s->passes.batch;
    options.in_order = s->passes.in_order;
    options.one_pass = s->file == NULL && count == 1 && strcmp(texts[0], "-") != 0;
    clm_status status = CLM_OK;
    CLM_TRY(clm_cli_open_device(&device, &s->device, NULL));
    CLM_TRY(clm_classifier_open(&classifier, device, s->model, &options));
    if (s->file != NULL) {
        CLM_TRY(classify_file(classifier, s, s->file));
    } else if (count == 0 || (count == 1 && strcmp(texts[0], "-") == 0)) {
        CLM_TRY(classify_lines(classifier, s, STDIN_FILENO, "standard input"));
    } else {
        CLM_TRY(classify_some(classifier, s, texts, NULL, count));
    }
    clm_cli_warn_of_cuts(clm_classifier_cut_count(classifier));
cleanup:
    clm_classifier_close(classifier);
    clm_device_close(device);
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
    {"--json", NULL, "print one JSON object a line, with all probabilities",
     CLM_CLI_FLAG_AT(settings, json)},
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
    const clm_status status =
        classify(s, (const char *const *)arguments->positionals, arguments->positional_count);
    return status == CLM_OK ? CLM_EXIT_DONE : clm_cli_fail(status);
}

const clm_cli_command clm_command_classify = {
    .name = "classify",
    .about = "classify texts with a trained model",
    .synopsis = "--model RUN [OPTION...] [--file FILE | TEXT... | -]",
    .description =
        "Prints one line for each text, in their order: the class and its probability. Without "
        "texts, or with -, each line of standard input is a text. An empty line, or one that is "
        "not UTF-8, ends with status 3; what came before it has been answered.",
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
