/* Completion for bash, from the commands' tables.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "cli/options.h"

/* What stays the same whatever the commands are. The word before the cursor is an option's value
 * when that option comes before it, also by "=", which bash makes a word of its own. */
static const char before_commands[] =
    "# bash completion for clm; made from the commands' tables by 'clm help --bash-completion'.\n"
    "\n"
    "# Device indexes are asked of the command that is being typed.\n"
    "_clm_devices() {\n"
    "    printf '%s\\n' gpu cpu accelerator\n"
    "    \"$1\" devices --brief 2>/dev/null | cut -f1\n"
    "}\n"
    "\n"
    "_clm_words() { # WORDS\n"
    "    COMPREPLY=($(compgen -W \"$1\" -- \"$cur\"))\n"
    "}\n"
    "\n"
    "_clm_files() { # -f or -d\n"
    "    local IFS=$'\\n'\n"
    "    COMPREPLY=($(compgen \"$1\" -- \"$cur\"))\n"
    "    compopt -o filenames 2>/dev/null\n"
    "}\n"
    "\n"
    "_clm() {\n"
    "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
    "    local command=${COMP_WORDS[1]} i\n"
    "    COMPREPLY=()\n"
    "    if [ \"$cur\" = = ]; then\n"
    "        cur=\n"
    "    elif [ \"$prev\" = = ] && [ \"$COMP_CWORD\" -ge 3 ]; then\n"
    "        prev=${COMP_WORDS[COMP_CWORD - 2]}\n"
    "    fi\n"
    "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n";

static const char at_end[] =
    "}\n"
    "\n"
    "complete -F _clm clm\n";

/* The words that a value may be, or where else it comes from, as a command of the script. */
static void add_values(clm_string *out, const clm_cli_option *option) {
    clm_cli_choice choice;
    if (clm_cli_choice_at(option, 0, &choice)) {
        clm_string_add(out, "_clm_words '");
        for (size_t i = 0; clm_cli_choice_at(option, i, &choice); i++) {
            clm_string_add_format(out, "%s%s", i > 0 ? " " : "", choice.name);
        }
        clm_string_add(out, "'");
        return;
    }
    switch (option->kind) {
        case CLM_CLI_PATH:
        case CLM_CLI_OUTPUT:
            clm_string_add(out, "_clm_files -f");
            break;
        case CLM_CLI_FOLDER:
        case CLM_CLI_TARGET:
            clm_string_add(out, "_clm_files -d");
            break;
        case CLM_CLI_DEVICE:
            clm_string_add(out, "_clm_words \"$(_clm_devices \"${COMP_WORDS[0]}\")\"");
            break;
        case CLM_CLI_FLAG:
        case CLM_CLI_TEXT:
        case CLM_CLI_INT:
        case CLM_CLI_NUMBER:
        case CLM_CLI_CHOICE:
            clm_string_add(out, ":");
            break;
    }
}

/* Options of equal values share a line. */
static void add_command(clm_string *out, const clm_cli_command *command) {
    const clm_cli_option *option = NULL;
    clm_string_add_format(out, "    %s)\n        case $prev in\n", command->name);
    for (size_t i = 0; (option = clm_cli_option_at(command, i, NULL, NULL)) != NULL; i++) {
        if (option->kind != CLM_CLI_FLAG) {
            clm_string_add_format(out, "        %s) ", option->name);
            add_values(out, option);
            clm_string_add(out, "; return ;;\n");
        }
    }
    clm_string_add(out,
                   "        esac\n        case $cur in\n        -*)\n            _clm_words '");
    for (size_t i = 0; (option = clm_cli_option_at(command, i, NULL, NULL)) != NULL; i++) {
        clm_string_add_format(out, "%s ", option->name);
    }
    clm_string_add(out, "--help --version'\n            return ;;\n        esac\n");
    /* Which positional argument it is would need the table's parser: all that may come are
     * offered. */
    const clm_cli_option *first = command->positionals;
    if (first != NULL && first->name != NULL) {
        clm_string_add(out, "        ");
        add_values(out, first);
        clm_string_add(out, "\n");
    }
    clm_string_add(out, "        ;;\n");
}

void clm_cli_add_bash_completion(clm_string *out) {
    const clm_cli_command *command = NULL;
    clm_string_add(out, before_commands);
    clm_string_add(out, "        _clm_words '");
    for (size_t i = 0; (command = clm_cli_command_at(i)) != NULL; i++) {
        clm_string_add_format(out, "%s ", command->name);
    }
    clm_string_add(out, "--help --version'\n        return\n    fi\n    case $command in\n");
    for (size_t i = 0; (command = clm_cli_command_at(i)) != NULL; i++) {
        add_command(out, command);
    }
    clm_string_add(out, "    esac\n");
    clm_string_add(out, at_end);
}
