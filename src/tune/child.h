/* A candidate in a process of its own: the parent's side, and the child's.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TUNE_CHILD_H
#define CLM_TUNE_CHILD_H

#include "tune/measure.h"

/* Runs `helper tune --candidate ...` for a trial on the device of that index, and reads its score.
 * A child that dies is CRASHED, one that takes longer than the limit is killed and HUNG; when
 * should_stop(context) says so it is killed and STOPPED. Fails only when the helper cannot be run,
 * or is another version of clm. Blocks. */
clm_status clm_tune_in_child(const char *helper, int device_index, const clm_tune_trial *trial,
                             int limit_seconds, bool (*should_stop)(void *context), void *context,
                             clm_tune_score *score);

/* The child's side. The trial that `count` arguments after "--candidate" describe; CLM_ERROR_FORMAT
 * when they do not. */
clm_status clm_tune_child_parse(clm_tune_trial *trial, int *device_index, char *const *arguments,
                                int count);

/* Opens the device, tries, and adds what the parent is to read on standard output. */
clm_status clm_tune_child_answer(clm_string *answer, const clm_tune_trial *trial, int device_index);

#endif
