/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/number.h"
#include "cli/cli.h"
#include "cli/table.h"
#include "clm/data.h"

typedef struct settings {
    int task;
    const char *input;
    const char *out;
    const char *split;
    clm_cli_table given;
    bool no_balance;
    bool force;
    int seed;
    double train;
    double validation;
    clm_table_options table;
} settings;

/* "0.7,0.1" */
static bool parse_fractions(settings *s) {
    const char *comma = strchr(s->split, ',');
    return comma != NULL && clm_number_parse(s->split, (size_t)(comma - s->split), &s->train) &&
           clm_number_parse(comma + 1, strlen(comma + 1), &s->validation);
}

/* What the table of options cannot tell. */
static int check(settings *s) {
    if (!parse_fractions(s)) {
        return clm_cli_usage("data", "--split takes two fractions, such as 0.7,0.1, not \"%s\"",
                             s->split);
    }
    if (!(s->train > 0 && s->validation > 0 && s->train + s->validation < 1)) {
        return clm_cli_usage("data", "--split %s: both must be positive and leave some to test",
                             s->split);
    }
    return clm_cli_table_read_options(&s->table, &s->given, "data");
}

static void print_classes(const char *what, const clm_table *table) {
    (void)printf("%s: %zu rows:", what, clm_table_count(table));
    for (int k = 0; k < clm_table_label_count(table); k++) {
        char name[64];
        clm_show_text(name, sizeof name, clm_table_label_name(table, k));
        (void)printf("%s %zu %s", k > 0 ? "," : "", clm_table_label_rows(table, k), name);
    }
    (void)printf("\n");
}

static clm_status prepare(const settings *s) {
    clm_status status = CLM_OK;
    clm_table *table = NULL;
    clm_table *balanced = NULL;
    clm_split split = {0};
    uint32_t seed = (uint32_t)s->seed;
    status = clm_table_read(&table, s->input, &s->table);
    if (status != CLM_OK) {
        goto cleanup;
    }
    print_classes(s->input, table);
    if (!s->no_balance) {
        status = clm_table_balance(&balanced, table, seed);
        if (status != CLM_OK) {
            goto cleanup;
        }
        print_classes("balanced", balanced);
    }
    status =
        clm_table_split(&split, balanced != NULL ? balanced : table, s->train, s->validation, seed);
    if (status == CLM_OK) {
        status = clm_split_write(&split, s->out, (clm_table_columns)s->task, s->force);
    }
    if (status == CLM_OK) {
        (void)printf(
            "%s: train.csv %zu, validation.csv %zu, test.csv %zu rows, labels.json, data.json\n",
            s->out, clm_table_count(split.train), clm_table_count(split.validation),
            clm_table_count(split.test));
    }
cleanup:
    clm_split_free(&split);
    clm_table_free(balanced);
    clm_table_free(table);
    return status;
}

static const clm_cli_choice tasks[] = {
    {"spam", CLM_TABLE_LABEL_TEXT, "files with Label and Text, byte for byte as in the recipe"},
    {"classes", CLM_TABLE_LABEL_TEXT_NAME,
     "files with Label, Text and Name; class names can be anything"},
    {NULL, 0, NULL},
};

static const clm_cli_option positionals[] = {
    {"TASK", NULL, "what to write; the classes come from the table",
     CLM_CLI_CHOICE_AT(settings, task), .choices = tasks, .required = true},
    {NULL},
};

static const clm_cli_option input_options[] = {
    {"--input", "FILE", "the table: CSV, TSV, JSON or JSON Lines", CLM_CLI_PATH_AT(settings, input),
     .required = true, .synonyms = "--file --data --in --table"},
    {NULL},
};

static const clm_cli_option output_options[] = {
    {"--out", "DIR", "the folder to write, new or empty", CLM_CLI_TARGET_AT(settings, out),
     .required = true, .synonyms = "--output --to --output-dir"},
    {"--force", NULL, "replace the five files in a folder with other contents",
     CLM_CLI_FLAG_AT(settings, force), .synonyms = "--overwrite"},
    {NULL},
};

static const clm_cli_option split_options[] = {
    {"--split", "A,B", "fractions for training and validation; the rest is for testing",
     CLM_CLI_TEXT_AT(settings, split), .synonyms = "--fractions --test-size"},
    {"--no-balance", NULL, "keep all rows instead of equally many of each class",
     CLM_CLI_FLAG_AT(settings, no_balance), .synonyms = "--unbalanced"},
    {"--seed", "N", "random seed for balancing and splitting", CLM_CLI_INT_AT(settings, seed),
     .synonyms = "--random-state"},
    {NULL},
};

static const clm_cli_example examples[] = {
    {"clm data spam --input sms/SMSSpamCollection --out data",
     "Prepares the SMS Spam Collection for training."},
    {"clm data classes --input mail.csv --label-column folder --out data",
     "Prepares a table of your own."},
    {NULL, NULL},
};

static const settings defaults = {
    .split = "0.7,0.1", .seed = 123, .table = CLM_TABLE_OPTIONS_DEFAULT};

static int run(const clm_cli_arguments *arguments) {
    settings *s = arguments->settings;
    const int result = check(s);
    if (result >= 0) {
        return result;
    }
    const clm_status status = prepare(s);
    return status == CLM_OK ? CLM_EXIT_DONE : clm_cli_fail(status);
}

const clm_cli_command clm_command_data = {
    .name = "data",
    .about = "balance and split a table of labelled texts",
    .synopsis = "spam|classes --input FILE --out DIR [OPTION...]",
    .description =
        "Balances and splits a table of labelled texts into train.csv, validation.csv and "
        "test.csv, as pandas does in the recipe. The names of the classes go to labels.json, the "
        "guesses about the table to data.json.",
    .groups = {{"Input", input_options, 0},
               {NULL, clm_cli_table_options, offsetof(settings, given)},
               {"Output", output_options, 0},
               {"Selection", split_options, 0}},
    .positionals = positionals,
    .examples = examples,
    .ends = CLM_CLI_ENDS_INPUT,
    .synonyms = "dataset prepare split",
    .settings_size = sizeof(settings),
    .defaults = &defaults,
    .run = run,
};
