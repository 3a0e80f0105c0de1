/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "base/json.h"
#include "base/memory.h"
#include "base/number.h"
#include "cli/cli.h"
#include "clm/data.h"
#include "clm/infer.h"

/* Views of a table's rows, as the classifier wants them. */
typedef struct rows {
    const char **texts;
    size_t *lengths;
    int *labels;
    size_t count;
} rows;

static void rows_free(rows *r) {
    clm_free(r->texts);
    clm_free(r->lengths);
    clm_free(r->labels);
}

static clm_status rows_of(rows *r, const clm_table *table) {
    r->count = clm_table_count(table);
    clm_status status = CLM_OK;
    CLM_TRY(clm_allocate(&r->texts, r->count, sizeof *r->texts, "rows"));
    CLM_TRY(clm_allocate(&r->lengths, r->count, sizeof *r->lengths, "rows"));
    CLM_TRY(clm_allocate(&r->labels, r->count, sizeof *r->labels, "rows"));
    for (size_t i = 0; i < r->count; i++) {
        r->texts[i] = clm_table_text(table, i, &r->lengths[i]);
        r->labels[i] = clm_table_label(table, i);
    }
cleanup:
    return status;
}

static clm_status print_json(const clm_evaluation_report *report,
                             const clm_classifier *classifier) {
    clm_string out = {0};
    const int n = report->label_count;
    clm_string_add_format(&out, "{\"rows\":%" PRId64 ",\"loss\":", report->rows);
    clm_json_add_double(&out, report->loss);
    clm_string_add(&out, ",\"accuracy\":");
    clm_json_add_double(&out, report->accuracy);
    clm_string_add(&out, ",\"confusion\":[");
    for (int i = 0; i < n * n; i++) {
        clm_string_add_format(&out, "%s%" PRId64 "%s", i % n == 0 ? (i > 0 ? ",[" : "[") : ",",
                              report->confusion[i], i % n == n - 1 ? "]" : "");
    }
    clm_string_add(&out, "],\"classes\":[");
    for (int c = 0; c < n; c++) {
        const clm_class_scores *scores = &report->classes[c];
        clm_string_add(&out, c > 0 ? ",{\"label\":" : "{\"label\":");
        clm_json_add_string(&out, clm_classifier_label_name(classifier, c));
        clm_string_add_format(&out, ",\"rows\":%" PRId64 ",\"precision\":", scores->rows);
        clm_json_add_double(&out, scores->precision);
        clm_string_add(&out, ",\"recall\":");
        clm_json_add_double(&out, scores->recall);
        clm_string_add(&out, ",\"f1\":");
        clm_json_add_double(&out, scores->f1);
        clm_string_add(&out, "}");
    }
    clm_string_add(&out, "]}\n");
    clm_status status = clm_string_status(&out);
    if (status == CLM_OK) {
        (void)fputs(out.text, stdout);
    }
    clm_string_free(&out);
    return status;
}

static void print_table(const clm_evaluation_report *report, const clm_classifier *classifier) {
    const int n = report->label_count;
    clm_print(stdout,
              "texts     %" PRId64 "\nloss      %.4f\naccuracy  %.2f%% (%" PRId64 " of %" PRId64
              ")\n\n%-16s %9s %9s %9s %9s\n",
              report->rows, report->loss, 100.0 * report->accuracy, report->correct, report->rows,
              "class", "texts", "precision", "recall", "F1");
    for (int c = 0; c < n; c++) {
        const clm_class_scores *scores = &report->classes[c];
        clm_print(stdout, "%-16s %9" PRId64 " %9.4f %9.4f %9.4f\n",
                  clm_classifier_label_name(classifier, c), scores->rows, scores->precision,
                  scores->recall, scores->f1);
    }
    (void)printf("\nconfusion (rows: what it is, columns: the answer)\n%-16s", "");
    for (int c = 0; c < n; c++) {
        (void)printf(" %9s", clm_classifier_label_name(classifier, c));
    }
    for (int i = 0; i < n * n; i++) {
        if (i % n == 0) {
            (void)printf("\n%-16s", clm_classifier_label_name(classifier, i / n));
        }
        (void)printf(" %9" PRId64, report->confusion[i]);
    }
    (void)printf("\n");
}

typedef struct settings {
    const char *model;
    const char *data;
    const char *device;
    const char *precision;
    clm_precision level;
    const char *text_column;
    const char *label_column;
    int batch;
    bool in_order;
    bool json;
    bool untested;
} settings;

static clm_status evaluate(const settings *s) {
    clm_device *device = NULL;
    clm_classifier *classifier = NULL;
    clm_table *table = NULL;
    const char **names = NULL;
    rows r = {0};
    clm_evaluation_report report = {0};
    clm_device_options device_options = CLM_DEVICE_OPTIONS_DEFAULT;
    clm_table_options table_options = CLM_TABLE_OPTIONS_DEFAULT;
    clm_classifier_options options = CLM_CLASSIFIER_OPTIONS_DEFAULT;
    device_options.pattern = s->device;
    options.precision = s->level;
    options.batch = s->batch == CLM_CLI_NOT_GIVEN ? 0 : s->batch;
    options.in_order = s->in_order;
    clm_status status = CLM_OK;
    CLM_TRY(clm_cli_open_device(&device, &device_options, s->untested));
    CLM_TRY(clm_classifier_open(&classifier, device, s->model, &options));
    table_options.text_column = s->text_column;
    table_options.label_column = s->label_column;
    table_options.label_count = clm_classifier_label_count(classifier);
    CLM_TRY(clm_allocate(&names, (size_t)table_options.label_count, sizeof *names, "labels"));
    for (int i = 0; i < table_options.label_count; i++) {
        names[i] = clm_classifier_label_name(classifier, i);
    }
    table_options.labels = names;
    CLM_TRY(clm_table_read(&table, s->data, &table_options));
    CLM_TRY(rows_of(&r, table));
    CLM_TRY(clm_evaluate(classifier, r.texts, r.lengths, r.labels, r.count, &report));
    clm_cli_warn_of_cuts(clm_classifier_cut_count(classifier));
    if (s->json) {
        CLM_TRY(print_json(&report, classifier));
    } else {
        print_table(&report, classifier);
    }
cleanup:
    clm_evaluation_report_free(&report);
    rows_free(&r);
    clm_free(names);
    clm_table_free(table);
    clm_classifier_close(classifier);
    clm_device_close(device);
    return status;
}

int clm_command_eval(int argc, char **argv) {
    settings s = {.precision = "auto", .batch = CLM_CLI_NOT_GIVEN};
    const clm_cli_option options[] = {
        {"--model", CLM_CLI_STRING, &s.model, "RUN", "folder of a trained model"},
        {"--data", CLM_CLI_STRING, &s.data, "FILE", "CSV, TSV or JSON Lines with labels"},
        {"--text-column", CLM_CLI_STRING, &s.text_column, "NAME", "default: text, message or sms"},
        {"--label-column", CLM_CLI_STRING, &s.label_column, "NAME",
         "default: label, class, category or target"},
        {"--batch", CLM_CLI_INT, &s.batch, "N",
         "texts that go through the model together; default: as fills the device"},
        {"--in-order", CLM_CLI_FLAG, &s.in_order, NULL,
         "batches of texts as they come, not of like length"},
        {"--precision", CLM_CLI_STRING, &s.precision, "P",
         "weights on the device: auto (default: f32 if it fits), f32, f16 or bf16"},
        {"--device", CLM_CLI_STRING, &s.device, "PATTERN", "see 'clm devices'"},
        {"--no-selftest", CLM_CLI_FLAG, &s.untested, NULL, "use the device without testing it"},
        {"--json", CLM_CLI_FLAG, &s.json, NULL, "print one JSON object"},
    };
    int positional = 0;
    int result = clm_cli_parse(
        argc, argv, options, sizeof options / sizeof *options,
        "clm eval --model RUN --data FILE [--json]",
        "Loss, accuracy, confusion matrix, and precision, recall and F1 of each class.",
        &positional);
    if (result >= 0) {
        return result;
    }
    if (clm_precision_parse(&s.level, s.precision) != CLM_OK) {
        return clm_cli_usage("eval", "--precision is auto, f32, f16 or bf16, not \"%s\"",
                             s.precision);
    }
    if (s.model == NULL || s.data == NULL) {
        return clm_cli_usage("eval", "%s is missing", s.model == NULL ? "--model" : "--data");
    }
    if (positional > 0) {
        return clm_cli_usage("eval", "what is \"%s\" for?", argv[1]);
    }
    if (s.batch != CLM_CLI_NOT_GIVEN && s.batch < 1) {
        return clm_cli_usage("eval", "--batch must be at least 1, not %d", s.batch);
    }
    const clm_status status = evaluate(&s);
    return status == CLM_OK ? CLM_EXIT_DONE : clm_cli_fail(status);
}
