/* Log notes. The library prints nothing itself: a program that wants its notes (the device that was
 * chosen, texts that were cut, a cache that could not be written) installs a sink.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_LOG_H
#define CLM_LOG_H

#include "clm/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum clm_log_level {
    CLM_LOG_DEBUG = 0,
    CLM_LOG_INFO = 1,
    CLM_LOG_WARNING = 2
} clm_log_level;

/* Receives one line without a newline, valid during the call only. Any thread that calls clm may
 * call it, but only one at a time. It may call clm. */
typedef void (*clm_log_sink)(void *context, clm_log_level level, const char *message);

/* Installs the sink for the whole process; NULL (the initial state) drops every note. May be called
 * at any time: once it has returned, no thread calls the previous sink. */
CLM_API void clm_log_set_sink(clm_log_sink sink, void *context, clm_log_level least);

#ifdef __cplusplus
}
#endif
#endif
