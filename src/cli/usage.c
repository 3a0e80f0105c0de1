/* The help that a command prints, from its table.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/options.h"

enum { width = 80, help_column = 24 };

/* Code points, as a terminal shows them. */
static size_t columns_of(const char *text, size_t length) {
    size_t columns = 0;
    for (size_t i = 0; i < length; i++) {
        columns += ((unsigned char)text[i] & 0xc0U) != 0x80U;
    }
    return columns;
}

void clm_cli_add_wrapped(clm_string *out, const char *text, size_t indent, size_t columns) {
    size_t column = indent;
    for (const char *at = text; *at != '\0';) {
        const size_t length = strcspn(at, " \n");
        const size_t wide = columns_of(at, length);
        if (column > indent && column + 1 + wide > columns) {
            clm_string_add_format(out, "\n%*s", (int)indent, "");
            column = indent;
        } else if (at != text) {
            clm_string_add(out, " ");
            column++;
        }
        clm_string_add_bytes(out, at, length);
        column += wide;
        at += length;
        at += *at != '\0';
    }
    clm_string_add(out, "\n");
}

void clm_cli_each_line(const char *text, const char *separator,
                       void (*take)(void *context, const char *line), void *context) {
    clm_string line = {0};
    for (const char *at = text; at != NULL && *at != '\0';) {
        const char *end = strstr(at, separator);
        const size_t length = end != NULL ? (size_t)(end - at) : strlen(at);
        clm_string_clear(&line);
        clm_string_add_bytes(&line, at, length);
        if (clm_string_status(&line) == CLM_OK && line.text != NULL) {
            take(context, line.text);
        }
        at += length + (end != NULL ? strlen(separator) : 0);
    }
    clm_string_free(&line);
}

static void add_paragraph(void *context, const char *paragraph) {
    clm_string *out = context;
    clm_string_add(out, "\n");
    if (strncmp(paragraph, "  ", 2) == 0) {
        clm_string_add(out, paragraph);
        clm_string_add(out, "\n");
    } else {
        clm_cli_add_wrapped(out, paragraph, 0, width);
    }
}

/* "  --lr RATE              help ...", the help in a column of its own. */
static void add_row(clm_string *out, const char *left, const char *help) {
    const size_t used = 2 + columns_of(left, strlen(left));
    clm_string_add_format(out, "  %s", left);
    if (used + 2 > help_column) {
        clm_string_add_format(out, "\n%*s", (int)help_column, "");
    } else {
        clm_string_add_format(out, "%*s", (int)(help_column - used), "");
    }
    clm_cli_add_wrapped(out, help, help_column, width);
}

static void add_choices_with_help(clm_string *out, const clm_cli_option *option) {
    clm_cli_choice choice;
    for (size_t i = 0; clm_cli_choice_at(option, i, &choice) && choice.help != NULL; i++) {
        clm_string line = {0};
        clm_string_add_format(&line, "%s: %s", choice.name, choice.help);
        clm_string_add_format(out, "%*s", (int)help_column + 2, "");
        clm_cli_add_wrapped(out, line.text != NULL ? line.text : "", help_column + 4, width);
        clm_string_free(&line);
    }
}

static void add_option(clm_string *out, const clm_cli_command *command,
                       const clm_cli_option *option, size_t base) {
    clm_string left = {0};
    clm_string help = {0};
    clm_string_add(&left, option->name);
    if (option->value_name != NULL) {
        clm_string_add_format(&left, " %s", option->value_name);
    }
    clm_cli_add_option_help(&help, command, option, base);
    add_row(out, left.text != NULL ? left.text : "", help.text != NULL ? help.text : "");
    add_choices_with_help(out, option);
    clm_string_free(&left);
    clm_string_free(&help);
}

typedef struct synopsis {
    clm_string *out;
    const clm_cli_command *command;
    bool began;
} synopsis;

static void add_synopsis(void *context, const char *line) {
    synopsis *s = context;
    clm_string text = {0};
    clm_string_add_format(&text, "clm %s %s", s->command->name, line);
    clm_string_add(s->out, s->began ? "       " : "usage: ");
    clm_cli_add_wrapped(s->out, text.text != NULL ? text.text : "", 11, width);
    clm_string_free(&text);
    s->began = true;
}

void clm_cli_add_help(clm_string *out, const clm_cli_command *command) {
    const clm_cli_option *option = NULL;
    const char *title = NULL;
    const char *meaning = NULL;
    size_t base = 0;
    int status = 0;
    synopsis s = {out, command, false};
    clm_cli_each_line(command->synopsis, "\n", add_synopsis, &s);
    clm_cli_each_line(command->description, "\n\n", add_paragraph, out);
    for (option = command->positionals; option != NULL && option->name != NULL; option++) {
        clm_string_add(out, option == command->positionals ? "\nArguments:\n" : "");
        add_option(out, command, option, 0);
    }
    for (size_t i = 0; (option = clm_cli_option_at(command, i, &title, &base)) != NULL; i++) {
        if (title != NULL) {
            clm_string_add_format(out, "\n%s:\n", title);
        }
        add_option(out, command, option, base);
    }
    clm_string_add(out, "\nGeneral:\n");
    add_row(out, "-h, --help", "this text");
    add_row(out, "-V, --version", "the version of clm");
    for (const clm_cli_example *e = command->examples; e != NULL && e->command != NULL; e++) {
        clm_string_add(out, e == command->examples ? "\nExamples:\n" : "");
        clm_string_add_format(out, "  %s\n      ", e->command);
        clm_cli_add_wrapped(out, e->about, 6, width);
    }
    clm_string_add(out, "\nExit statuses:\n");
    for (size_t i = 0; clm_cli_exit_at(command, i, &status, &meaning); i++) {
        if (meaning != NULL) {
            clm_string_add_format(out, "  %3d  ", status);
            clm_cli_add_wrapped(out, meaning, 7, width);
        }
    }
}

void clm_cli_add_overview(clm_string *out) {
    const clm_cli_command *command = NULL;
    clm_string_add_format(out,
                          "clm %s: fine-tunes and runs GPT-2 on any OpenCL device\n\n"
                          "usage: clm COMMAND [OPTION...]\n\n",
                          clm_version());
    for (size_t i = 0; (command = clm_cli_command_at(i)) != NULL; i++) {
        clm_string_add_format(out, "  %-10s %s\n", command->name, command->about);
    }
    clm_string_add(out,
                   "\n'clm help COMMAND' shows the options of a command. Environment: CLM_DEVICE\n"
                   "chooses the device, CLM_LOG=debug shows more, CLM_LOG=quiet only warnings.\n");
}

/* ---- exit statuses ---- */

/* README.md lists them too. */
static const struct {
    int status;
    unsigned ends; /* 0: of every command */
    const char *meaning;
} exits[] = {
    {CLM_EXIT_DONE, 0, "done"},
    {CLM_EXIT_OTHER, 0, "any other error, including a closed pipe"},
    {CLM_EXIT_USAGE, 0, "wrong usage"},
    {CLM_EXIT_INPUT, CLM_CLI_ENDS_INPUT, "a file or folder is missing, bad, or in the way"},
    {CLM_EXIT_DEVICE, CLM_CLI_ENDS_DEVICE, "the OpenCL device: none, or it failed or is wrong"},
    {CLM_EXIT_NO_ROOM, 0, "out of memory or disk"},
    {CLM_EXIT_NOT_FINITE, CLM_CLI_ENDS_NOT_FINITE, "a loss or weight is not finite"},
    {CLM_EXIT_NETWORK, CLM_CLI_ENDS_NETWORK, "the network"},
    {CLM_EXIT_INTERRUPTED, CLM_CLI_ENDS_INTERRUPTED, "interrupted"},
};

bool clm_cli_exit_at(const clm_cli_command *command, size_t i, int *status, const char **meaning) {
    if (i >= sizeof exits / sizeof *exits) {
        return false;
    }
    *status = exits[i].status;
    *meaning = exits[i].ends == 0 || command == NULL || (command->ends & exits[i].ends) != 0
                   ? exits[i].meaning
                   : NULL;
    return true;
}
