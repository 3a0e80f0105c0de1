/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "base/json.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/number.h"
#include "cli/cli.h"
#include "cli/progress.h"
#include "cli/table.h"
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

static void add_notes(clm_string *out, const clm_table *table) {
    size_t count = 0;
    const char *const *notes = clm_table_notes(table, &count);
    clm_string_add(out, "],\"notes\":[");
    for (size_t i = 0; i < count; i++) {
        clm_string_add(out, i > 0 ? "," : "");
        clm_json_add_string(out, notes[i]);
    }
}

/* How the table was read where that was left open: "test.csv: separator: ';', ...; header: ...". */
static void tell_guesses(const char *data, const clm_table *table) {
    size_t count = 0;
    clm_string line = {0};
    const char *const *notes = clm_table_notes(table, &count);
    for (size_t i = 0; i < count; i++) {
        if (!clm_table_note_is_warning(table, i)) {
            clm_string_add_format(&line, "%s%s", line.length > 0 ? "; " : "", notes[i]);
        }
    }
    if (line.length > 0 && clm_string_status(&line) == CLM_OK) {
        clm_log(CLM_LOG_INFO, "%s: %s", data, line.text);
    }
    clm_string_free(&line);
}

static clm_status print_json(const clm_evaluation_report *report, const clm_classifier *classifier,
                             const clm_table *table) {
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
    add_notes(&out, table);
    clm_string_add(&out, "]}");
    return clm_cli_print_json(&out);
}

/* A class's name as a table shows it: escaped, and cut where it is very long. */
typedef struct shown_name {
    char text[64];
} shown_name;

static shown_name show_name(const clm_classifier *classifier, int label) {
    shown_name name;
    clm_show_text(name.text, sizeof name.text, clm_classifier_label_name(classifier, label));
    return name;
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
        clm_print(stdout, "%-16s %9" PRId64 " %9.4f %9.4f %9.4f\n", show_name(classifier, c).text,
                  scores->rows, scores->precision, scores->recall, scores->f1);
    }
    (void)printf("\nconfusion (rows: true class, columns: answer)\n%-16s", "");
    for (int c = 0; c < n; c++) {
        (void)printf(" %9s", show_name(classifier, c).text);
    }
    for (int i = 0; i < n * n; i++) {
        if (i % n == 0) {
            (void)printf("\n%-16s", show_name(classifier, i / n).text);
        }
        (void)printf(" %9" PRId64, report->confusion[i]);
    }
    (void)printf("\n");
}

typedef struct settings {
    const char *model;
    const char *data;
    clm_cli_device device;
    clm_cli_passes passes;
    clm_cli_table given;
    clm_table_options table;
    bool json;
} settings;

/* The classes are those of the model, which its config names. */
static clm_status read_table(clm_table **table, const settings *s) {
    clm_model_config config = {0};
    clm_table_options options = s->table;
    clm_status status = CLM_OK;
    CLM_TRY(clm_cli_read_config(&config, s->model));
    options.label_count = config.n_labels;
    options.labels = (const char *const *)config.labels;
    CLM_TRY(clm_table_read(table, s->data, &options));
cleanup:
    clm_model_config_free(&config);
    return status;
}

static clm_status evaluate(const settings *s) {
    clm_device *device = NULL;
    clm_classifier *classifier = NULL;
    clm_table *table = NULL;
    rows r = {0};
    clm_evaluation_report report = {0};
    clm_classifier_options options = CLM_CLASSIFIER_OPTIONS_DEFAULT;
    options.precision = s->passes.precision;
    options.batch = s->passes.batch;
    options.in_order = s->passes.in_order;
    clm_status status = CLM_OK;
    CLM_TRY(read_table(&table, s));
    tell_guesses(s->data, table);
    CLM_TRY(clm_cli_open_device(&device, &s->device, NULL));
    CLM_TRY(clm_classifier_open(&classifier, device, s->model, &options));
    CLM_TRY(rows_of(&r, table));
    CLM_TRY(clm_evaluate(classifier, r.texts, r.lengths, r.labels, r.count, &report));
    clm_cli_progress_pause();
    clm_cli_warn_of_cuts(clm_classifier_cut_count(classifier));
    if (s->json) {
        CLM_TRY(print_json(&report, classifier, table));
    } else {
        print_table(&report, classifier);
    }
cleanup:
    clm_evaluation_report_free(&report);
    rows_free(&r);
    clm_table_free(table);
    clm_classifier_close(classifier);
    clm_device_close(device);
    return status;
}

static const clm_cli_option input_options[] = {
    {"--model", "RUN", "folder of a trained model", CLM_CLI_FOLDER_AT(settings, model),
     .required = true, .synonyms = "--run --checkpoint --model-dir --model-name-or-path"},
    {"--data", "FILE", "CSV, TSV, JSON or JSON Lines with labels", CLM_CLI_PATH_AT(settings, data),
     .required = true, .synonyms = "--file --input --test --dataset --test-file"},
    {NULL},
};

static const clm_cli_option output_options[] = {
    {"--json", NULL, "print one JSON object", CLM_CLI_FLAG_AT(settings, json)},
    {NULL},
};

static const clm_cli_example examples[] = {
    {"clm eval --model run --data data/test.csv",
     "Shows how well a run's model does on texts that it has not seen."},
    {NULL, NULL},
};

static int run(const clm_cli_arguments *arguments) {
    settings *s = arguments->settings;
    const int result = clm_cli_table_read_options(&s->table, &s->given, "eval");
    if (result >= 0) {
        return result;
    }
    clm_cli_progress shown;
    clm_cli_progress_begin_at_terminal(&shown);
    const clm_status status = evaluate(s);
    clm_cli_progress_end();
    return status == CLM_OK ? CLM_EXIT_DONE : clm_cli_fail(status);
}

const clm_cli_command clm_command_eval = {
    .name = "eval",
    .about = "measure a trained model on a table",
    .synopsis = "--model RUN --data FILE [--json] [OPTION...]",
    .description =
        "Prints loss, accuracy, confusion matrix, and precision, recall and F1 of each class.",
    .groups = {{"Input", input_options, 0},
               {NULL, clm_cli_table_options, offsetof(settings, given)},
               {"Output", output_options, 0},
               {"Computing", clm_cli_passes_options, offsetof(settings, passes)},
               {"Device", clm_cli_device_option, offsetof(settings, device)},
               {NULL, clm_cli_test_option, offsetof(settings, device)}},
    .examples = examples,
    .ends = CLM_CLI_ENDS_INPUT | CLM_CLI_ENDS_DEVICE | CLM_CLI_ENDS_NOT_FINITE,
    .synonyms = "evaluate test measure score",
    .settings_size = sizeof(settings),
    .run = run,
};
