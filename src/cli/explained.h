/* The plans of a command, explained, and how they are to be shown.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_CLI_EXPLAINED_H
#define CLM_CLI_EXPLAINED_H

#include "cli/cli.h"
#include "model/explain.h"

typedef struct clm_cli_explained {
    const char *model;   /* as the user named it */
    const char *command; /* whose plans these are: "finetune" or "classify" */
    const clm_device *device;
    clm_memory_plan how;
    clm_pass_explanation parts[2]; /* of a training step that begins with features: both parts */
    size_t part_count;
    bool json;
    bool all; /* blocks that are equal to another, and views, are shown, too */
} clm_cli_explained;

#endif
