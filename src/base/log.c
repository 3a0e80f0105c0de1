/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/number.h"
#include "base/string.h"

/* Held while a note is given to the sink, so that notes come one at a time, and none comes to a
 * sink that was replaced. A sink that calls clm holds it already. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local bool is_inside;

static clm_log_sink log_sink;
static void *log_context;
static atomic_int log_least = INT_MAX; /* without a sink, nobody waits for the lock */

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

void clm_log(clm_log_level level, const char *format, ...) {
    if ((int)level < atomic_load(&log_least)) {
        return;
    }
    char text[1024];
    char shown[1024];
    va_list arguments;
    va_start(arguments, format);
    (void)clm_format_list(text, sizeof text, format, arguments);
    va_end(arguments);
    clm_show_text(shown, sizeof shown, text);
    const bool was_inside = enter();
    if (log_sink != NULL) {
        log_sink(log_context, level, shown);
    }
    leave(was_inside);
}
