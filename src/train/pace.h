/* Estimates how long the rest of a run takes from what was measured so far, without the first step,
 * which builds kernels.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TRAIN_PACE_H
#define CLM_TRAIN_PACE_H

#include <stdbool.h>
#include <stdint.h>

/* Starts zeroed. Seconds are smoothed; 0: not known yet. */
typedef struct clm_pace {
    bool warm;            /* the first step is over */
    double any_seconds;   /* for any step */
    double step_seconds;  /* for a step whose features were known */
    double text_seconds;  /* for the features of a text */
    double batch_seconds; /* for a batch of an evaluation */
} clm_pace;

typedef struct clm_work_left {
    int64_t steps;
    int64_t texts;   /* whose features will be computed and kept */
    int64_t batches; /* of evaluations */
} clm_work_left;

/* A step took `seconds`, including the features of `texts` texts. */
void clm_pace_step(clm_pace *pace, double seconds, uint64_t texts);

/* The same for an evaluation of `batches`. */
void clm_pace_evaluation(clm_pace *pace, double seconds, int64_t batches, uint64_t texts);

/* The seconds left; negative if too little is known. */
double clm_pace_left(const clm_pace *pace, const clm_work_left *work);

#endif
