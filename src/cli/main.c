/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/folder.h"
#include "base/memory.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "clm/log.h"

#define COMMAND(name) extern const clm_cli_command clm_command_##name;
#include "commands.inc"
#undef COMMAND

static const clm_cli_command *const commands[] = {
#define COMMAND(name) &clm_command_##name,
#include "commands.inc"
#undef COMMAND
    NULL};

static void print_note(void *context, clm_log_level level, const char *message) {
    (void)context;
    clm_cli_progress_pause();
    (void)fprintf(stderr, "%s%s\n", level == CLM_LOG_WARNING ? "warning: " : "", message);
}

static int print_overview(FILE *stream) {
    clm_string text = {0};
    clm_cli_add_overview(&text);
    const clm_status status = clm_string_status(&text);
    if (status == CLM_OK) {
        (void)fputs(text.text, stream);
    }
    clm_string_free(&text);
    return status == CLM_OK ? CLM_EXIT_DONE : clm_cli_fail(status);
}

static int no_such_command(const char *name) {
    char shown[64];
    const clm_cli_command *command = NULL;
    clm_show_text(shown, sizeof shown, name);
    clm_cli_suggestion near = {0};
    for (size_t i = 0; (command = clm_cli_command_at(i)) != NULL; i++) {
        clm_cli_suggest(&near, name, strlen(name), command->name, command->synonyms);
    }
    if (near.best != NULL) {
        (void)fprintf(stderr, "clm: there is no command \"%s\"; did you mean 'clm %s'?\n", shown,
                      near.best);
    } else {
        (void)fprintf(stderr, "clm: there is no command \"%s\"; 'clm --help' lists them\n", shown);
    }
    return CLM_EXIT_USAGE;
}

/* Checks that the file or folder an option names can be written, before the command works for
 * minutes. "-" is checked when it is claimed. */
static clm_status check_output(const clm_cli_given *given) {
    if (given->option->kind == CLM_CLI_TARGET) {
        return clm_folder_check_writable(given->text);
    }
    return given->option->kind == CLM_CLI_OUTPUT && strcmp(given->text, "-") != 0
               ? clm_file_check_writable(given->text)
               : CLM_OK;
}

/* As a file to write, "-" is standard output, which only one option may claim. */
static int prepare_outputs(const clm_cli_arguments *arguments) {
    const char *owner = NULL;
    const char *path = NULL;
    for (size_t i = 0; i < arguments->given_count; i++) {
        const clm_cli_given *given = &arguments->given[i];
        clm_status status = check_output(given);
        if (status != CLM_OK) {
            return clm_cli_fail(status);
        }
        if (given->option->kind != CLM_CLI_OUTPUT || strcmp(given->text, "-") != 0) {
            continue;
        }
        if (owner != NULL) {
            return clm_cli_usage(arguments->command->name, "%s and %s are both standard output",
                                 owner, given->option->name);
        }
        owner = given->option->name;
        status = clm_cli_claim_output(&path);
        if (status == CLM_OK) {
            status = clm_cli_set(arguments, owner, path);
        }
        if (status != CLM_OK) {
            return clm_cli_fail(status);
        }
    }
    return -1;
}

/* `argv` begins with the command's name. */
static int run_command(const clm_cli_command *command, int argc, char **argv) {
    clm_cli_arguments arguments;
    void *settings = NULL;
    if (command->run_candidate != NULL && argc > 1 && strcmp(argv[1], "--candidate") == 0) {
        return command->run_candidate(argc, argv);
    }
    const clm_status status = clm_allocate(&settings, 1, command->settings_size, "options");
    if (status != CLM_OK) {
        return clm_cli_fail(status);
    }
    int result = clm_cli_parse(&arguments, command, argc, argv, settings);
    if (result < 0) {
        result = prepare_outputs(&arguments);
    }
    if (result < 0) {
        result = command->run(&arguments);
    }
    clm_free(settings);
    return result;
}

int main(int argc, char **argv) {
    clm_cli_set_commands(commands);
    const char *log = getenv("CLM_LOG");
    clm_log_set_sink(print_note, NULL,
                     log != NULL && strcmp(log, "debug") == 0   ? CLM_LOG_DEBUG
                     : log != NULL && strcmp(log, "quiet") == 0 ? CLM_LOG_WARNING
                                                                : CLM_LOG_INFO);
    /* A reader that went away is an error of writing, reported like any other. */
    (void)signal(SIGPIPE, SIG_IGN);
    /* So is a file that reaches the limit on the size of files (ulimit -f). */
    (void)signal(SIGXFSZ, SIG_IGN);
    if (argc < 2) {
        (void)print_overview(stderr);
        return CLM_EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        return clm_cli_finish(print_overview(stdout));
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        (void)printf("clm %s\n", clm_version());
        return clm_cli_finish(CLM_EXIT_DONE);
    }
    const clm_cli_command *command = clm_cli_find_command(argv[1]);
    return command != NULL ? clm_cli_finish(run_command(command, argc - 1, argv + 1))
                           : no_such_command(argv[1]);
}
