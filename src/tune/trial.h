/* One candidate on one device: whether it is correct, and its speed relative to the defaults.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TUNE_TRIAL_H
#define CLM_TUNE_TRIAL_H

#include "tune/measure.h"

/* Checks against src/reference/ first, then measures. Fails only if this process cannot continue
 * (no memory); every fault of a candidate becomes its outcome. The device keeps the candidate's
 * settings. Blocks. */
clm_status clm_tune_measure(clm_device *device, const clm_tune_trial *trial, clm_tune_score *score);

#endif
