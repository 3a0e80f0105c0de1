/* What takes long: opening a model, building kernels, computing features, training, evaluating,
 * saving, testing a device, tuning, measuring, downloading. The library prints nothing; a program
 * that people watch installs a watcher.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_PROGRESS_H
#define CLM_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "clm/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct clm_progress {
    const char *stage; /* "loading the model"; static */
    int64_t done;
    int64_t total;      /* 0 when nobody knows how many there will be */
    const char *unit;   /* what is counted, "texts"; static; "bytes" of files; "" when nothing is */
    const char *detail; /* what the stage is at just now, "building gelu_forward", or NULL */
    double seconds_left; /* of the whole job; negative when not known */
} clm_progress;

typedef struct clm_watcher {
    /* Hears of progress, from the thread that does the work: often, and soon after anything new
     * begins. What it gets is valid during the call only. May be NULL. */
    void (*on_progress)(void *context, const clm_progress *progress);
    /* Asked between parts of work that would be lost anyway, such as opening a model: true ends the
     * call with CLM_ERROR_INTERRUPTED. May be NULL. */
    bool (*should_stop)(void *context);
    void *context;
} clm_watcher;

/* Watches what this thread has clm do from now on. `watcher` is copied; NULL: nobody watches, as in
 * the beginning. */
CLM_API void clm_watch(const clm_watcher *watcher);

#ifdef __cplusplus
}
#endif
#endif
