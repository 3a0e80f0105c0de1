/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "clm/log.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *about;
} commands[] = {
#if CLM_HAS_COMMAND_devices
    {"devices", clm_command_devices, "list OpenCL devices"},
#endif
#if CLM_HAS_COMMAND_fetch
    {"fetch", clm_command_fetch, "download weights and data sets"},
#endif
#if CLM_HAS_COMMAND_data
    {"data", clm_command_data, "balance and split a table of labelled texts"},
#endif
#if CLM_HAS_COMMAND_tokenize
    {"tokenize", clm_command_tokenize, "turn text into token ids and back"},
#endif
#if CLM_HAS_COMMAND_finetune
    {"finetune", clm_command_finetune, "train a classifier from GPT-2"},
#endif
#if CLM_HAS_COMMAND_eval
    {"eval", clm_command_eval, "measure a trained model on a table"},
#endif
#if CLM_HAS_COMMAND_classify
    {"classify", clm_command_classify, "classify texts with a trained model"},
#endif
#if CLM_HAS_COMMAND_plot
    {"plot", clm_command_plot, "draw a run's loss and accuracy"},
#endif
#if CLM_HAS_COMMAND_selftest
    {"selftest", clm_command_selftest, "find out whether the device computes rightly"},
#endif
#if CLM_HAS_COMMAND_tune
    {"tune", clm_command_tune, "find what the device runs fastest"},
#endif
#if CLM_HAS_COMMAND_bench
    {"bench", clm_command_bench, "measure how fast clm is on a device"},
#endif
};
enum { command_count = sizeof commands / sizeof *commands };

static void print_note(void *context, clm_log_level level, const char *message) {
    (void)context;
    (void)fprintf(stderr, "%s%s\n", level == CLM_LOG_WARNING ? "warning: " : "", message);
}

static void print_help(FILE *stream) {
    (void)fprintf(stream,
                  "clm %s: fine-tunes and runs GPT-2 on any OpenCL device\n\n"
                  "usage: clm COMMAND [OPTION...]\n\n",
                  clm_version());
    for (size_t i = 0; i < command_count; i++) {
        (void)fprintf(stream, "  %-10s %s\n", commands[i].name, commands[i].about);
    }
    (void)fprintf(
        stream,
        "\n'clm COMMAND --help' tells the options of one. Environment: CLM_DEVICE chooses the "
        "device,\nCLM_LOG=debug tells more, CLM_LOG=quiet only warnings.\n");
}

int main(int argc, char **argv) {
    const char *log = getenv("CLM_LOG");
    clm_log_set_sink(print_note, NULL,
                     log != NULL && strcmp(log, "debug") == 0   ? CLM_LOG_DEBUG
                     : log != NULL && strcmp(log, "quiet") == 0 ? CLM_LOG_WARNING
                                                                : CLM_LOG_INFO);
    /* A reader that went away is an error of writing, reported like any other. */
    (void)signal(SIGPIPE, SIG_IGN);
    if (argc < 2) {
        print_help(stderr);
        return CLM_EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        print_help(stdout);
        return clm_cli_finish(CLM_EXIT_DONE);
    }
    if (strcmp(argv[1], "--version") == 0) {
        (void)printf("clm %s\n", clm_version());
        return clm_cli_finish(CLM_EXIT_DONE);
    }
    for (size_t i = 0; i < command_count; i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            return clm_cli_finish(commands[i].run(argc - 1, argv + 1));
        }
    }
    (void)fprintf(stderr, "clm: there is no command \"%s\"; 'clm --help' lists them\n", argv[1]);
    return CLM_EXIT_USAGE;
}
