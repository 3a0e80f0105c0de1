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
    const char *device;
    const char *precision;
    clm_precision level;
    const char *file;
    int batch;
    bool in_order;
    bool json;
    bool untested;
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
    clm_device_options device_options = CLM_DEVICE_OPTIONS_DEFAULT;
    clm_classifier_options options = CLM_CLASSIFIER_OPTIONS_DEFAULT;
    device_options.pattern = s->device;
    options.precision = s->level;
    options.batch = s->batch == CLM_CLI_NOT_GIVEN ? 0 : s->batch;
    options.in_order = s->in_order;
    options.one_pass = s->file == NULL && count == 1 && strcmp(texts[0], "-") != 0;
    clm_status status = CLM_OK;
    CLM_TRY(clm_cli_open_device(&device, &device_options, s->untested));
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

int clm_command_classify(int argc, char **argv) {
    settings s = {.precision = "auto", .batch = CLM_CLI_NOT_GIVEN};
    const clm_cli_option options[] = {
        {"--model", CLM_CLI_STRING, &s.model, "RUN", "folder of a trained model"},
        {"--file", CLM_CLI_STRING, &s.file, "FILE", "classify its lines"},
        {"--batch", CLM_CLI_INT, &s.batch, "N",
         "texts that go through the model together; default: as fills the device"},
        {"--in-order", CLM_CLI_FLAG, &s.in_order, NULL,
         "batches of texts as they come, not of like length"},
        {"--precision", CLM_CLI_STRING, &s.precision, "P",
         "weights on the device: auto (default: f32 if it fits), f32, f16 or bf16"},
        {"--device", CLM_CLI_STRING, &s.device, "PATTERN", "see 'clm devices'"},
        {"--no-selftest", CLM_CLI_FLAG, &s.untested, NULL, "use the device without testing it"},
        {"--json", CLM_CLI_FLAG, &s.json, NULL, "one JSON object a line, with all probabilities"},
    };
    int positional = 0;
    int result = clm_cli_parse(argc, argv, options, sizeof options / sizeof *options,
                               "clm classify --model RUN [--json] [--file FILE | TEXT... | -]",
                               "Prints one line for each text, in their order: the class and its "
                               "probability. Without texts,\n"
                               "or with -, each line of standard input is a text. An empty line, "
                               "or one that is not UTF-8,\n"
                               "ends with status 3; what came before it has been answered.",
                               &positional);
    if (result >= 0) {
        return result;
    }
    if (clm_precision_parse(&s.level, s.precision) != CLM_OK) {
        return clm_cli_usage("classify", "--precision is auto, f32, f16 or bf16, not \"%s\"",
                             s.precision);
    }
    if (s.model == NULL) {
        return clm_cli_usage("classify", "--model is missing");
    }
    if (s.file != NULL && positional > 0) {
        return clm_cli_usage("classify", "--file and texts exclude each other");
    }
    if (s.batch != CLM_CLI_NOT_GIVEN && s.batch < 1) {
        return clm_cli_usage("classify", "--batch must be at least 1, not %d", s.batch);
    }
    const clm_status status = classify(&s, (const char *const *)(argv + 1), (size_t)positional);
    return status == CLM_OK ? CLM_EXIT_DONE : clm_cli_fail(status);
}
