/* Stopping on request: Ctrl-C (SIGINT), SIGTERM or SIGHUP.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_CLI_STOP_H
#define CLM_CLI_STOP_H

#include <stdbool.h>

/* From now on the first signal requests an orderly stop, acknowledged on standard error at once,
 * and the second (SIGINT or SIGTERM only) ends the process as if it were not caught. Signals that
 * were ignored when the process started stay ignored. A separate thread waits for the signals, and
 * all other threads block them: the compiler in an OpenCL driver (LLVM, in PoCL) has its own
 * handler, which removes the files of an unfinished build. So call this before the first OpenCL
 * call. Further calls do nothing and return false. */
bool clm_cli_catch_stops(void);

/* The line that acknowledges the first signal; static. */
void clm_cli_say_on_stop(const char *text);

/* Whether a signal came: a should_stop of the options structures. `context` is not used. */
bool clm_cli_stop_was_requested(void *context);

/* Whether a second signal came: a should_abandon. From the first call on, the process gets one more
 * second after that signal, to tidy up what it is saving. */
bool clm_cli_end_was_requested(void *context);

/* From now on the first signal ends the process too, because no code checks for stops any more. */
void clm_cli_let_stops_end(void);

#endif
