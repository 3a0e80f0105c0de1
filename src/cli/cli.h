/* Shared by the commands: errors, exit statuses, output, devices.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_CLI_CLI_H
#define CLM_CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/string.h"
#include "cli/options.h"
#include "clm/config.h"
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

/* Writes the text to standard output and frees it; returns the exit status. */
int clm_cli_print(clm_string *text);

/* Writes JSON and a line end to standard output and frees it; terminal control characters in its
 * strings are escaped, without changing their meaning. */
clm_status clm_cli_print_json(clm_string *json);

/* Whether all output so far could be written, as far as is known: a command with much output checks
 * this after writing, to stop early. clm_cli_flush() flushes first. */
bool clm_cli_can_write(void);
bool clm_cli_flush(void);

/* Flushes standard output for the last time. If a successful command (status 0) could not write all
 * its output, prints why and returns CLM_EXIT_NO_ROOM on a full disk, else CLM_EXIT_OTHER. */
int clm_cli_finish(int status);

/* Reserves standard output for a file written there ("--json -"), under *path, which is static;
 * from now on the command's other output goes to standard error. */
clm_status clm_cli_claim_output(const char **path);

/* Calls `run` with the pattern of `wanted`, or with --all for each device in turn, with the index
 * that chooses it; shows progress at a terminal. The failure of a device is reported by
 * clm_cli_fail(), and the other devices still run, unless the command was interrupted or the
 * arguments are wrong. Returns the exit status of the last failure. Having no device is a failure.
 */
int clm_cli_on_devices(clm_status (*run)(void *context, const char *pattern), void *context,
                       const clm_cli_device *wanted);

/* Opens the requested device, with everything else as in `options` (NULL: the defaults), and,
 * unless it is to be used untested, makes sure that it computes correctly: see
 * clm_selftest_ensure(). */
clm_status clm_cli_open_device(clm_device **device, const clm_cli_device *wanted,
                               const clm_device_options *options);

/* The config of a run's model, with the names of its classes, read before a device is opened so
 * that a bad folder is reported early; the caller frees it with clm_model_config_free(). */
clm_status clm_cli_read_config(clm_model_config *config, const char *run);

/* Warns how many texts were cut to the model's length; nothing for 0. */
void clm_cli_warn_of_cuts(uint64_t count);

#endif
