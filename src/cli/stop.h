/* An end that a person or the system asks for: Ctrl-C (SIGINT), SIGTERM, or SIGHUP.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_CLI_STOP_H
#define CLM_CLI_STOP_H

#include <stdbool.h>

/* From now on the first signal asks for an end in good order, which is acknowledged on standard
 * error at once, and the second ends the process as if nobody caught it; only SIGINT and SIGTERM
 * count as a second. Signals that were ignored when the process was started stay ignored. A thread
 * of its own waits for them, and every other is spared: a compiler in an OpenCL driver (LLVM, in
 * PoCL) has its own handler, which takes the files of a build that is under way with it. So call
 * this before the first OpenCL call; again it does nothing. False when that was so. */
bool clm_cli_catch_stops(void);

/* What the first signal is acknowledged with, a line; static. */
void clm_cli_say_on_stop(const char *text);

/* Whether one came. `context` is not used: this is a should_stop of the options structures. */
bool clm_cli_stop_was_requested(void *context);

/* Whether a second came: a should_abandon. Who asks is saving something, and gets a second to leave
 * it in good order. */
bool clm_cli_end_was_requested(void *context);

/* From now on the first signal ends the process as well: nobody asks any more. */
void clm_cli_let_stops_end(void);

#endif
