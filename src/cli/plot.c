/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/file.h"
#include "base/memory.h"
#include "cli/cli.h"
#include "clm/report.h"

typedef struct settings {
    const char *run;
} settings;

static const clm_cli_option positionals[] = {
    {"RUN", NULL, "the folder of a run, which has metrics.jsonl", CLM_CLI_FOLDER_AT(settings, run),
     .required = true},
    {NULL},
};

static const clm_cli_example examples[] = {
    {"clm plot run", "Draws run/loss.svg and run/accuracy.svg."},
    {NULL, NULL},
};

static int run(const clm_cli_arguments *arguments) {
    const settings *s = arguments->settings;
    clm_status status = clm_report_plot_run(s->run);
    size_t count = 0;
    const char *const *names = clm_report_plot_names(&count);
    for (size_t i = 0; i < count && status == CLM_OK; i++) {
        char *path = NULL;
        status = clm_path_join(&path, s->run, names[i]);
        if (status == CLM_OK) {
            (void)puts(path);
        }
        clm_free(path);
    }
    return status == CLM_OK ? CLM_EXIT_DONE : clm_cli_fail(status);
}

const clm_cli_command clm_command_plot = {
    .name = "plot",
    .about = "draw a run's loss and accuracy",
    .synopsis = "RUN",
    .description =
        "Draws the loss and the accuracy of a run from RUN/metrics.jsonl into RUN, as SVG, and as "
        "PDF and PNG where clm was built with cairo. Prints the names of the files.",
    .positionals = positionals,
    .examples = examples,
    .ends = CLM_CLI_ENDS_INPUT,
    .synonyms = "draw graph",
    .settings_size = sizeof(settings),
    .run = run,
};
