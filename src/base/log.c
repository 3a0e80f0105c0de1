/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <stdarg.h>
#include <stddef.h>

#include "base/number.h"

static clm_log_sink log_sink;
static void *log_context;
static clm_log_level log_least;

void clm_log_set_sink(clm_log_sink sink, void *context, clm_log_level least) {
    log_sink = sink;
    log_context = context;
    log_least = least;
}

void clm_log(clm_log_level level, const char *format, ...) {
    if (log_sink == NULL || level < log_least) {
        return;
    }
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    (void)clm_format_list(text, sizeof text, format, arguments);
    va_end(arguments);
    log_sink(log_context, level, text);
}
