/* SPDX-License-Identifier: Apache-2.0 */
#include "base/progress.h"

#include <stddef.h>

/* Per thread, like the error message: progress is reported to the thread that asked for the work.
 */
static _Thread_local clm_watcher watching;
static _Thread_local clm_progress now;

void clm_watch(const clm_watcher *watcher) {
    watching = watcher != NULL ? *watcher : (clm_watcher){0};
    now = (clm_progress){0};
}

static void notify(void) {
    if (watching.on_progress != NULL) {
        watching.on_progress(watching.context, &now);
    }
}

void clm_progress_send(const clm_progress *progress) {
    now = *progress;
    notify();
    now.detail = NULL; /* lent by the caller */
}

void clm_progress_tell_left(const char *stage, int64_t done, int64_t total, const char *unit,
                            double seconds_left) {
    clm_progress_send(&(clm_progress){
        .stage = stage, .done = done, .total = total, .unit = unit, .seconds_left = seconds_left});
}

void clm_progress_tell(const char *stage, int64_t done, int64_t total, const char *unit) {
    clm_progress_tell_left(stage, done, total, unit, -1.0);
}

void clm_progress_detail(const char *detail) {
    if (now.stage == NULL) { /* work that is not counted, such as a single operation */
        now = (clm_progress){.stage = "", .unit = "", .seconds_left = -1.0};
    }
    now.detail = detail;
    notify();
    now.detail = NULL; /* lent by the caller */
}

clm_status clm_progress_check(void) {
    if (watching.should_stop == NULL || !watching.should_stop(watching.context)) {
        return CLM_OK;
    }
    return clm_fail(CLM_ERROR_INTERRUPTED, "stopped on request%s%s",
                    now.stage != NULL && now.stage[0] != '\0' ? " while " : "",
                    now.stage != NULL ? now.stage : "");
}
