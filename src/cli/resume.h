/* A command's options in the record of a run (run.json), so that it can be resumed with them.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_CLI_RESUME_H
#define CLM_CLI_RESUME_H

#include "cli/options.h"
#include "clm/run.h"

/* The value of an option by its name. */
typedef struct clm_cli_value {
    const char *name; /* "--lr"; NULL ends a list */
    const char *text;
} clm_cli_value;

/* Sets options that were not given to the values of the preset `name` ("--recipe"), and prints
 * those given that differ from it. */
clm_status clm_cli_apply_preset(const clm_cli_arguments *arguments, const char *name,
                                const clm_cli_value *preset);

/* For a resumed run: options neither given nor in `preset` (NULL: none) take their recorded values.
 * Of those that differ, the ones in `changeable` (names, separated by spaces) may be changed during
 * a run, and are printed; any other is CLM_ERROR_ARGUMENT, which names each, old and new. */
clm_status clm_cli_take_options(clm_run *run, const clm_cli_arguments *arguments,
                                const clm_cli_value *preset, const char *changeable);

/* Records all options except those in `except`, and the folder of relative paths. */
clm_status clm_cli_keep_options(clm_run *run, const clm_cli_arguments *arguments,
                                const char *except);

/* The path of an option as it can be opened now, through *resolved (clm_free): a recorded path is
 * relative to the folder in which the run was started. `run` may be NULL. */
clm_status clm_cli_resolve_path(char **resolved, const clm_run *run, const char *path);

#endif
