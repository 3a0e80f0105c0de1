/* How a table of labelled texts is read, for the commands that take one.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_CLI_TABLE_H
#define CLM_CLI_TABLE_H

#include "cli/options.h"
#include "clm/data.h"

typedef struct clm_cli_table {
    const char *text_column;
    const char *label_column;
    const char *separator;
    bool no_header;
} clm_cli_table;
extern const clm_cli_option clm_cli_table_options[];

/* What clm_table_read() takes, without labels. Returns -1 to continue, else the status to exit
 * with; the mistake has been reported. */
int clm_cli_table_read_options(clm_table_options *options, const clm_cli_table *given,
                               const char *command);

#endif
