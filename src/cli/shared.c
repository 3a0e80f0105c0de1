/* What the commands are, and the tables that several of them share.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "cli/options.h"

static const clm_cli_command *const nothing[] = {NULL};
static const clm_cli_command *const *commands = nothing;

void clm_cli_set_commands(const clm_cli_command *const *list) {
    commands = list;
}

const clm_cli_command *clm_cli_command_at(size_t i) {
    for (size_t k = 0; k < i; k++) {
        if (commands[k] == NULL) {
            return NULL;
        }
    }
    return commands[i];
}

const clm_cli_command *clm_cli_find_command(const char *name) {
    const clm_cli_command *command = NULL;
    for (size_t i = 0; (command = clm_cli_command_at(i)) != NULL; i++) {
        if (strcmp(command->name, name) == 0) {
            return command;
        }
    }
    return NULL;
}

const clm_cli_option clm_cli_device_option[] = {
    {"--device", "PATTERN", "its index, gpu, cpu, accelerator, or part of its name",
     CLM_CLI_DEVICE_AT(clm_cli_device, pattern),
     .fallback = "CLM_DEVICE, else the first of 'clm devices'",
     .synonyms = "--gpu --platform --opencl-device"},
    {NULL},
};

const clm_cli_option clm_cli_all_option[] = {
    {"--all", NULL, "every device, one after the other", CLM_CLI_FLAG_AT(clm_cli_device, all),
     .excludes = "--device", .synonyms = "--all-devices"},
    {NULL},
};

const clm_cli_option clm_cli_test_option[] = {
    {"--no-selftest", NULL, "use the device without testing it",
     CLM_CLI_FLAG_AT(clm_cli_device, untested), .synonyms = "--skip-selftest --no-self-test"},
    {NULL},
};

const clm_cli_choice clm_cli_precisions[] = {
    {"auto", CLM_PRECISION_AUTO, NULL},
    {"f32", CLM_PRECISION_F32, NULL},
    {"f16", CLM_PRECISION_F16, NULL},
    {"bf16", CLM_PRECISION_BF16, NULL},
    {NULL, 0, NULL},
};

const clm_cli_option clm_cli_passes_options[] = {
    {"--precision", "TYPE", "of the weights on the device; auto is f32 where that fits",
     CLM_CLI_CHOICE_AT(clm_cli_passes, precision), .choices = clm_cli_precisions,
     .synonyms = "--dtype --fp16 --torch-dtype"},
    {"--batch", "N", "texts per pass", CLM_CLI_INT_AT(clm_cli_passes, batch), .least = 1,
     .fallback = "as many as keep the device busy",
     .synonyms = "--batch-size --per-device-eval-batch-size --bs"},
    {"--in-order", NULL, "batch texts in their order, not by length",
     CLM_CLI_FLAG_AT(clm_cli_passes, in_order)},
    {NULL},
};
