/* A command's options in the record of a run (run.json), so that the run goes on with them.
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

/* Sets what was not given to the values of a preset called `name` ("--recipe"), and tells what was
 * given otherwise. */
clm_status clm_cli_apply_preset(const clm_cli_arguments *arguments, const char *name,
                                const clm_cli_value *preset);

/* For a run that goes on: what was neither given nor is in `preset` (NULL: none) is as it was
 * recorded. What differs is told where it is in `changeable` (names, separated by spaces), which
 * may be changed in the midst of a run; else it is CLM_ERROR_ARGUMENT, which names each, old and
 * new. */
clm_status clm_cli_take_options(clm_run *run, const clm_cli_arguments *arguments,
                                const clm_cli_value *preset, const char *changeable);

/* Records all options but those of `except`, and where relative paths begin. */
clm_status clm_cli_keep_options(clm_run *run, const clm_cli_arguments *arguments,
                                const char *except);

/* A path of an option as it can be opened from here, through *resolved (clm_free): a recorded one
 * is relative to where the run was started. */
clm_status clm_cli_resolve_path(char **resolved, const clm_run *run, const char *path);

#endif
