/* A candidate in a process of its own: the parent's side, and the child's.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TUNE_CHILD_H
#define CLM_TUNE_CHILD_H

#include "tune/measure.h"

/* Runs `helper tune --candidate ...` for a trial on the device of that index, and reads its score.
 * A child that dies is CRASHED; one that exceeds the limit is killed and HUNG; when
 * should_stop(context) returns true it is killed and STOPPED. Fails only if the helper cannot be
 * run, or is another version of clm. Blocks. */
clm_status clm_tune_in_child(const char *helper, int device_index, const clm_tune_trial *trial,
                             int limit_seconds, bool (*should_stop)(void *context), void *context,
                             clm_tune_score *score);

/* The child's side. Parses the trial from the `count` arguments after "--candidate";
 * CLM_ERROR_FORMAT if they are malformed. */
clm_status clm_tune_child_parse(clm_tune_trial *trial, int *device_index, char *const *arguments,
                                int count);

/* Opens the device, runs the trial, and adds the answer that the parent reads from standard output.
 */
clm_status clm_tune_child_answer(clm_string *answer, const clm_tune_trial *trial, int device_index);

#endif
