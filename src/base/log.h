/* Writing log notes; see clm/log.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_BASE_LOG_H
#define CLM_BASE_LOG_H

#include "clm/log.h"

/* One line, no newline; cut at 1023 bytes. */
void clm_log(clm_log_level level, const char *format, ...) CLM_PRINTF(2, 3);

/* What was taken for granted where a file left it open: shown as CLM_LOG_INFO, and recorded. */
void clm_log_guess(const char *format, ...) CLM_PRINTF(1, 2);

/* Hears the warnings and guesses of the thread that installed it, whatever the sink wants to hear:
 * what a run keeps of them. Allocated by the caller, who must stop recording from the same thread
 * before it goes. */
typedef struct clm_log_recorder {
    void (*take)(void *context, const char *message);
    void *context;
    struct clm_log_recorder *next; /* log.c's */
} clm_log_recorder;

void clm_log_record(clm_log_recorder *recorder);
void clm_log_stop_recording(clm_log_recorder *recorder); /* fine when it does not record */

#endif
