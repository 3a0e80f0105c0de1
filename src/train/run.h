/* What the trainer does with a run's folder beyond clm/run.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TRAIN_RUN_H
#define CLM_TRAIN_RUN_H

#include <stdint.h>

#include "base/folder.h"
#include "clm/run.h"
#include "train/metrics.h"

/* Lent. */
const clm_folder *clm_run_open_folder(const clm_run *run);
const char *clm_run_checkpoint_path(const clm_run *run); /* for messages */

/* Training begins. Where it does not go on from a checkpoint, what an earlier run left is removed;
 * run.json is written, with `device` in words. */
clm_status clm_run_begin(clm_run *run, const char *device);

/* Takes over the notes that the file has, which a run that is resumed does not tell again. */
clm_status clm_run_read_notes(clm_run *run, const clm_metrics_writer *metrics);

/* Writes those that the file does not have yet. */
clm_status clm_run_write_notes(clm_run *run, clm_metrics_writer *metrics);

size_t clm_run_note_count(const clm_run *run);
const char *clm_run_note_at(const clm_run *run, size_t i);

#endif
