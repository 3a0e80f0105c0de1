/* Telling whoever watches this thread how far its work is; see clm/progress.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_BASE_PROGRESS_H
#define CLM_BASE_PROGRESS_H

#include "base/error.h"
#include "clm/progress.h"

/* `done` of `total` (0: not known) things called `unit` are done. A new stage replaces the one
 * before. `stage` and `unit` are static. */
void clm_progress_tell(const char *stage, int64_t done, int64_t total, const char *unit);

/* The same with an estimate of the whole job; negative when there is none. */
void clm_progress_tell_left(const char *stage, int64_t done, int64_t total, const char *unit,
                            double seconds_left);

/* The same in one piece, with a detail. What it points to is valid during the call only, except for
 * `stage` and `unit`. */
void clm_progress_send(const clm_progress *progress);

/* What the present stage has to wait for, until it tells of itself again. */
void clm_progress_detail(const char *detail);

/* CLM_ERROR_INTERRUPTED when the watcher wants an end, with a message that names the stage. */
clm_status clm_progress_check(void);

#endif
