/* What the commands share: options, errors, exit statuses.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_CLI_CLI_H
#define CLM_CLI_CLI_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clm/device.h"
#include "clm/dtype.h"
#include "clm/status.h"

/* The exit statuses of the command; README.md lists them. */
enum {
    CLM_EXIT_DONE = 0,
    CLM_EXIT_OTHER = 1,
    CLM_EXIT_USAGE = 2,
    CLM_EXIT_INPUT = 3, /* a file that is missing, unreadable or bad */
    CLM_EXIT_DEVICE = 4,
    CLM_EXIT_NO_ROOM = 5, /* out of memory or disk */
    CLM_EXIT_NOT_FINITE = 6,
    CLM_EXIT_NETWORK = 7,
    CLM_EXIT_INTERRUPTED = 130
};

/* Prints "clm: <message of the last failure>" to standard error; returns the exit status. */
int clm_cli_fail(clm_status status);

/* Prints "clm: <text>; see 'clm <command> --help'" to standard error; returns CLM_EXIT_USAGE. */
int clm_cli_usage(const char *command, const char *format, ...) CLM_PRINTF(2, 3);

/* A number that an option would refuse, to tell whether it was given. */
enum { CLM_CLI_NOT_GIVEN = INT_MIN };

typedef enum clm_cli_kind {
    CLM_CLI_FLAG,   /* bool * */
    CLM_CLI_STRING, /* const char **, lent from argv */
    CLM_CLI_INT,    /* int * */
    CLM_CLI_DOUBLE  /* double * */
} clm_cli_kind;

typedef struct clm_cli_option {
    const char *name; /* "--lr" */
    clm_cli_kind kind;
    void *value;
    const char *value_name; /* "RATE", for help; NULL for flags */
    const char *help;
} clm_cli_option;

/* Parses `--name value`, `--name=value` and flags, in any order with positional arguments, which
 * end up in argv[1] to argv[*positional_count]. After "--" everything is positional; a lone "-" is
 * too. Returns -1 to go on, else the status to exit with at once: 0 after --help (the synopsis,
 * `about`, and the options), CLM_EXIT_USAGE after a wrong option. */
int clm_cli_parse(int argc, char **argv, const clm_cli_option *options, size_t option_count,
                  const char *synopsis, const char *about, int *positional_count);

/* Whether all that was said so far could be written, as far as is known: asked right after writing,
 * a command with much to say leaves off in time. clm_cli_flush() flushes first. */
bool clm_cli_can_write(void);
bool clm_cli_flush(void);

/* Flushes standard output for the last time. When a command that did well (status 0) could not say
 * all, prints why and returns CLM_EXIT_NO_ROOM on a full disk, else CLM_EXIT_OTHER. */
int clm_cli_finish(int status);

/* Calls `run` for each device in turn, with the index that chooses it. A device that fails is told
 * by clm_cli_fail(), and the others come all the same, unless it was interrupted or the arguments
 * are wrong. Returns the exit status of the last that failed. */
int clm_cli_on_all_devices(clm_status (*run)(void *context, const char *index), void *context);

/* Opens a device and, unless `untested`, makes sure that it computes rightly: see
 * clm_selftest_ensure(). */
clm_status clm_cli_open_device(clm_device **device, const clm_device_options *options,
                               bool untested);

/* How many texts were cut to what the model reads, as a warning; nothing for 0. */
void clm_cli_warn_of_cuts(uint64_t count);

int clm_command_bench(int argc, char **argv);
int clm_command_classify(int argc, char **argv);
int clm_command_data(int argc, char **argv);
int clm_command_devices(int argc, char **argv);
int clm_command_eval(int argc, char **argv);
int clm_command_fetch(int argc, char **argv);
int clm_command_finetune(int argc, char **argv);
int clm_command_plot(int argc, char **argv);
int clm_command_selftest(int argc, char **argv);
int clm_command_tokenize(int argc, char **argv);
int clm_command_tune(int argc, char **argv);

#endif
