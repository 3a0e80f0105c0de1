/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/file.h"
#include "base/memory.h"
#include "cli/cli.h"
#include "clm/report.h"

int clm_command_plot(int argc, char **argv) {
    int positional = 0;
    int result = clm_cli_parse(
        argc, argv, NULL, 0, "clm plot RUN",
        "Draws the loss and the accuracy of a run from RUN/metrics.jsonl into RUN, as SVG, and as\n"
        "PDF and PNG where clm was built with cairo. Prints the files written.",
        &positional);
    if (result >= 0) {
        return result;
    }
    if (positional != 1) {
        return clm_cli_usage("plot", "give one run folder, not %d", positional);
    }
    clm_status status = clm_report_plot_run(argv[1]);
    size_t count = 0;
    const char *const *names = clm_report_plot_names(&count);
    for (size_t i = 0; i < count && status == CLM_OK; i++) {
        char *path = NULL;
        status = clm_path_join(&path, argv[1], names[i]);
        if (status == CLM_OK) {
            (void)puts(path);
        }
        clm_free(path);
    }
    return status == CLM_OK ? CLM_EXIT_DONE : clm_cli_fail(status);
}
