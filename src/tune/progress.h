/* The trials so far, stored beside the settings: one JSON object per line, appended as they happen.
 *
 *     {"kind": "products", "preset": 1, "round": 0, "settings": "gemm.rows=4",
 *      "outcome": "ok", "speed": 1.02, "why": ""}
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TUNE_PROGRESS_H
#define CLM_TUNE_PROGRESS_H

#include "tune/measure.h"

typedef struct clm_tune_progress {
    char *path;
    struct clm_tune_record *records;
    size_t count, capacity;
} clm_tune_progress;

/* Reads the device's file; a missing file counts as empty, and invalid lines (the last may be cut)
 * are skipped. `restart` removes it first. The caller closes it, also after a failure. */
clm_status clm_tune_progress_open(clm_tune_progress *progress, const clm_device *device,
                                  bool restart);
void clm_tune_progress_close(clm_tune_progress *progress);

/* Whether the trial can be skipped: its score is known for its preset, or it was wrong, failed,
 * crashed or hung with any preset, or it started twice without finishing and is assumed to have
 * crashed the machine. `round` counts how often a winner was measured before. */
bool clm_tune_progress_find(const clm_tune_progress *progress, const clm_tune_trial *trial,
                            int round, clm_tune_score *score);

/* Records that a trial starts, and how it ended. */
clm_status clm_tune_progress_add(clm_tune_progress *progress, const clm_tune_trial *trial,
                                 int round, const clm_tune_score *score);

#endif
