/* clm help: the help of a command, and what else is made of the tables.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "cli/cli.h"
#include "cli/options.h"

typedef struct settings {
    const char *command;
    bool manual;
    bool bash_completion;
} settings;

static const clm_cli_option options[] = {
    {"--man", NULL, "print the manual page, for man(1); without COMMAND that of clm",
     CLM_CLI_FLAG_AT(settings, manual), .excludes = "--bash-completion",
     .synonyms = "--manual --manpage"},
    {"--bash-completion", NULL, "print the script that completes clm's options in bash",
     CLM_CLI_FLAG_AT(settings, bash_completion), .synonyms = "--completion --bash"},
    {NULL},
};

static bool name_at(clm_cli_choice *choice, size_t i) {
    const clm_cli_command *command = clm_cli_command_at(i);
    *choice = (clm_cli_choice){command != NULL ? command->name : NULL, 0, NULL};
    return command != NULL;
}

static const clm_cli_option positionals[] = {
    {"COMMAND", NULL, "the command to explain", CLM_CLI_TEXT_AT(settings, command),
     .choice_at = name_at},
    {NULL},
};

static const clm_cli_example examples[] = {
    {"clm help finetune", "Shows the options of 'clm finetune', as 'clm finetune --help' does."},
    {". <(clm help --bash-completion)", "Completes clm's options in this shell."},
    {NULL, NULL},
};

static int run(const clm_cli_arguments *arguments) {
    const settings *s = arguments->settings;
    const clm_cli_command *command = s->command != NULL ? clm_cli_find_command(s->command) : NULL;
    clm_string out = {0};
    if (s->bash_completion) {
        clm_cli_add_bash_completion(&out);
    } else if (s->manual) {
        clm_cli_add_manual(&out, command);
    } else if (command != NULL) {
        clm_cli_add_help(&out, command);
    } else {
        clm_cli_add_overview(&out);
    }
    return clm_cli_print(&out);
}

const clm_cli_command clm_command_help = {
    .name = "help",
    .about = "explain a command",
    .synopsis = "[COMMAND] [--man]\n--bash-completion",
    .description = "Prints the options of a command, or the list of commands.",
    .groups = {{"Form", options, 0}},
    .positionals = positionals,
    .examples = examples,
    .synonyms = "man manual usage",
    .settings_size = sizeof(settings),
    .run = run,
};
