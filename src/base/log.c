/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/number.h"
#include "base/string.h"

/* Held while a note is given to the sink, so that notes come one at a time, and none comes to a
 * sink that was replaced. A sink that calls clm holds it already. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local bool is_inside;

static clm_log_sink log_sink;
static void *log_context;
static atomic_int log_least = INT_MAX; /* without a sink, no thread waits for the lock */

static bool enter(void) {
    const bool was_inside = is_inside;
    if (!was_inside) {
        (void)pthread_mutex_lock(&lock);
        is_inside = true;
    }
    return was_inside;
}

static void leave(bool was_inside) {
    if (!was_inside) {
        is_inside = false;
        (void)pthread_mutex_unlock(&lock);
    }
}

void clm_log_set_sink(clm_log_sink sink, void *context, clm_log_level least) {
    const bool was_inside = enter();
    log_sink = sink;
    log_context = context;
    atomic_store(&log_least, sink != NULL ? (int)least : INT_MAX);
    leave(was_inside);
}

static _Thread_local clm_log_recorder *recorders;

void clm_log_record(clm_log_recorder *recorder) {
    recorder->next = recorders;
    recorders = recorder;
}

void clm_log_stop_recording(clm_log_recorder *recorder) {
    clm_log_recorder **at = &recorders;
    while (*at != NULL && *at != recorder) {
        at = &(*at)->next;
    }
    if (*at != NULL) {
        *at = recorder->next;
    }
}

/* `recorded`: recorders hear it, too. */
static void write_note(clm_log_level level, bool recorded, const char *format, va_list arguments) {
    const bool shown = (int)level >= atomic_load(&log_least);
    if (!shown && !(recorded && recorders != NULL)) {
        return;
    }
    char text[1024];
    (void)clm_format_list(text, sizeof text, format, arguments);
    if (shown) {
        char safe[1024];
        clm_show_text(safe, sizeof safe, text);
        const bool was_inside = enter();
        if (log_sink != NULL) {
            log_sink(log_context, level, safe);
        }
        leave(was_inside);
    }
    for (clm_log_recorder *r = recorded ? recorders : NULL; r != NULL; r = r->next) {
        r->take(r->context, text);
    }
}

void clm_log(clm_log_level level, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    write_note(level, level == CLM_LOG_WARNING, format, arguments);
    va_end(arguments);
}

void clm_log_guess(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    write_note(CLM_LOG_INFO, true, format, arguments);
    va_end(arguments);
}
