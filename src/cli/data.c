/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/number.h"
#include "cli/cli.h"
#include "clm/data.h"

typedef struct data_arguments {
    const char *input;
    const char *out;
    const char *split;
    const char *separator;
    bool no_balance;
    bool force;
    int seed;
    double train;
    double validation;
    clm_table_options table;
} data_arguments;

/* "0.7,0.1" */
static bool parse_fractions(data_arguments *arguments) {
    const char *comma = strchr(arguments->split, ',');
    return comma != NULL &&
           clm_number_parse(arguments->split, (size_t)(comma - arguments->split),
                            &arguments->train) &&
           clm_number_parse(comma + 1, strlen(comma + 1), &arguments->validation);
}

/* Whether the arguments can be; otherwise what is wrong was printed. */
static bool check_arguments(data_arguments *arguments, int positional, char **argv) {
    if (positional != 1 || (strcmp(argv[1], "spam") != 0 && strcmp(argv[1], "classes") != 0)) {
        (void)clm_cli_usage("data", "say what to make: spam or classes");
    } else if (arguments->input == NULL || arguments->out == NULL) {
        (void)clm_cli_usage("data", "%s is missing",
                            arguments->input == NULL ? "--input" : "--out");
    } else if (!parse_fractions(arguments)) {
        (void)clm_cli_usage("data", "--split takes two fractions, such as 0.7,0.1, not \"%s\"",
                            arguments->split);
    } else if (!(arguments->train > 0 && arguments->validation > 0 &&
                 arguments->train + arguments->validation < 1)) {
        (void)clm_cli_usage("data", "--split %s: both must be positive and leave some to test",
                            arguments->split);
    } else if (arguments->seed < 0) {
        (void)clm_cli_usage("data", "--seed must not be negative");
    } else if (arguments->separator != NULL && strlen(arguments->separator) != 1 &&
               strcmp(arguments->separator, "tab") != 0) {
        (void)clm_cli_usage("data", "--separator takes one character, or tab");
    } else {
        return true;
    }
    return false;
}

static void print_classes(const char *what, const clm_table *table) {
    (void)printf("%s: %zu rows:", what, clm_table_count(table));
    for (int k = 0; k < clm_table_label_count(table); k++) {
        (void)printf("%s %zu %s", k > 0 ? "," : "", clm_table_label_rows(table, k),
                     clm_table_label_name(table, k));
    }
    (void)printf("\n");
}

static clm_status prepare(const data_arguments *arguments) {
    clm_status status = CLM_OK;
    clm_table *table = NULL;
    clm_table *balanced = NULL;
    clm_split split = {0};
    uint32_t seed = (uint32_t)arguments->seed;
    status = clm_table_read(&table, arguments->input, &arguments->table);
    if (status != CLM_OK) {
        goto cleanup;
    }
    print_classes(arguments->input, table);
    if (!arguments->no_balance) {
        status = clm_table_balance(&balanced, table, seed);
        if (status != CLM_OK) {
            goto cleanup;
        }
        print_classes("balanced", balanced);
    }
    status = clm_table_split(&split, balanced != NULL ? balanced : table, arguments->train,
                             arguments->validation, seed);
    if (status == CLM_OK) {
        status = clm_split_write(&split, arguments->out, arguments->force);
    }
    if (status == CLM_OK) {
        (void)printf("%s: train.csv %zu, validation.csv %zu, test.csv %zu rows, labels.json\n",
                     arguments->out, clm_table_count(split.train),
                     clm_table_count(split.validation), clm_table_count(split.test));
    }
cleanup:
    clm_split_free(&split);
    clm_table_free(balanced);
    clm_table_free(table);
    return status;
}

int clm_command_data(int argc, char **argv) {
    data_arguments arguments = {
        .split = "0.7,0.1", .seed = 123, .table = CLM_TABLE_OPTIONS_DEFAULT};
    const clm_cli_option options[] = {
        {"--input", CLM_CLI_STRING, &arguments.input, "FILE", "the table: CSV, TSV or JSON Lines"},
        {"--out", CLM_CLI_STRING, &arguments.out, "DIR", "the folder to write, new or empty"},
        {"--no-balance", CLM_CLI_FLAG, &arguments.no_balance, NULL,
         "keep all rows (default: as many of each class as the smallest has)"},
        {"--split", CLM_CLI_STRING, &arguments.split, "A,B",
         "fractions to train and to validate; the rest tests (default 0.7,0.1)"},
        {"--seed", CLM_CLI_INT, &arguments.seed, "N", "of what is drawn (default 123)"},
        {"--text-column", CLM_CLI_STRING, &arguments.table.text_column, "NAME",
         "default: text, message or sms"},
        {"--label-column", CLM_CLI_STRING, &arguments.table.label_column, "NAME",
         "default: label, class, category or target"},
        {"--separator", CLM_CLI_STRING, &arguments.separator, "C",
         "between columns, a character or tab (default: found in the first line)"},
        {"--force", CLM_CLI_FLAG, &arguments.force, NULL,
         "replace the four files in a folder that has something else in it"},
    };
    int positional = 0;
    int result = clm_cli_parse(
        argc, argv, options, sizeof options / sizeof *options,
        "clm data spam|classes --input FILE --out DIR [OPTION...]",
        "Balances and splits a table of labelled texts into train.csv, validation.csv and "
        "test.csv, "
        "as\npandas does in the recipe, and writes the names of the classes to labels.json.\n"
        "\"spam\" and \"classes\" do the same; the classes are those of the table.",
        &positional);
    if (result >= 0) {
        return result;
    }
    if (!check_arguments(&arguments, positional, argv)) {
        return CLM_EXIT_USAGE;
    }
    if (arguments.separator != NULL) {
        arguments.table.separator =
            strcmp(arguments.separator, "tab") == 0 ? '\t' : arguments.separator[0];
    }
    clm_status status = prepare(&arguments);
    return status == CLM_OK ? CLM_EXIT_DONE : clm_cli_fail(status);
}
