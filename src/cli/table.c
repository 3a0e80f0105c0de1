/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/table.h"

#include <string.h>

#include "cli/cli.h"

const clm_cli_option clm_cli_table_options[] = {
    {"--text-column", "NAME", "column of the texts, by its name, or its number without a header",
     CLM_CLI_TEXT_AT(clm_cli_table, text_column), .fallback = "text, message or sms",
     .synonyms = "--text"},
    {"--label-column", "NAME", "column of the classes, likewise",
     CLM_CLI_TEXT_AT(clm_cli_table, label_column), .fallback = "label, class, category or target",
     .synonyms = "--label --class-column"},
    {"--separator", "C", "between columns, a character or tab",
     CLM_CLI_TEXT_AT(clm_cli_table, separator), .fallback = "found in the first rows",
     .synonyms = "--sep --delimiter"},
    {"--no-header", NULL, "the first line is a row, and does not name the columns",
     CLM_CLI_FLAG_AT(clm_cli_table, no_header), .synonyms = "--headerless"},
    {NULL},
};

int clm_cli_table_read_options(clm_table_options *options, const clm_cli_table *given,
                               const char *command) {
    *options = (clm_table_options)CLM_TABLE_OPTIONS_DEFAULT;
    options->text_column = given->text_column;
    options->label_column = given->label_column;
    options->header = given->no_header ? CLM_TABLE_HEADER_ABSENT : CLM_TABLE_HEADER_AUTO;
    if (given->separator == NULL) {
        return -1;
    }
    if (strlen(given->separator) != 1 && strcmp(given->separator, "tab") != 0) {
        return clm_cli_usage(command, "--separator takes one character, or tab");
    }
    options->separator = strcmp(given->separator, "tab") == 0 ? '\t' : given->separator[0];
    return -1;
}
