/* RUN/metrics.jsonl: one JSON object a line, added as a run goes.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TRAIN_METRICS_H
#define CLM_TRAIN_METRICS_H

#include <cjson/cJSON.h>

#include "base/folder.h"
#include "clm/train.h"

extern const char clm_metrics_name[]; /* "metrics.jsonl" */

typedef struct clm_metrics_writer {
    const clm_folder *folder; /* lent */
    char *path;
    uint64_t size_bytes; /* of what belongs to the run */
} clm_metrics_writer;

/* Keeps the first `size_bytes` of the file in `run` and drops the rest, written after the last
 * checkpoint; 0 starts a new file. `run` stays
 * open until the writer is closed. CLM_ERROR_FORMAT when the file is shorter than that.
 */
clm_status clm_metrics_writer_open(clm_metrics_writer *metrics, const clm_folder *run,
                                   uint64_t size_bytes);
/* Makes sure that all lines are on disk, before a checkpoint counts them. */
clm_status clm_metrics_writer_sync(const clm_metrics_writer *metrics);

void clm_metrics_writer_close(clm_metrics_writer *metrics);

/* {"event":"start",...}: what plots need to know of the run. */
clm_status clm_metrics_writer_start(clm_metrics_writer *metrics,
                                    const clm_finetune_options *options, int64_t train_rows,
                                    int64_t batches, int length);

/* {"event":"note","text":...}: a warning or a guess. */
clm_status clm_metrics_writer_note(clm_metrics_writer *metrics, const char *text);

/* Calls `take` for each line with this event, in order, until it fails. CLM_ERROR_FORMAT if such a
 * line is not JSON. */
clm_status clm_metrics_each(const clm_metrics_writer *metrics, const char *event,
                            clm_status (*take)(void *context, const cJSON *line, const char *where),
                            void *context);

/* Writes the line of a step, an evaluation, an epoch, or the end; nothing for other events. Numbers
 * that are not finite become null. */
clm_status clm_metrics_writer_add(clm_metrics_writer *metrics, const clm_train_event *event);

#endif
