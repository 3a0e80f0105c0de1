/* How long the rest of a run takes, from what was measured so far. The first step is left out: it
 * builds kernels.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TRAIN_PACE_H
#define CLM_TRAIN_PACE_H

#include <stdbool.h>
#include <stdint.h>

/* Starts zeroed. Seconds are smoothed; 0: not known yet. */
typedef struct clm_pace {
    bool warm;            /* the first step is over */
    double any_seconds;   /* of a step, whatever it had to compute */
    double step_seconds;  /* of a step whose features were there already */
    double text_seconds;  /* of the features of a text */
    double batch_seconds; /* of a batch that is evaluated */
} clm_pace;

typedef struct clm_work_left {
    int64_t steps;
    int64_t texts;   /* whose features are still to be computed and will be kept */
    int64_t batches; /* of evaluations */
} clm_work_left;

/* A step took so long; meanwhile the features of so many texts were computed. */
void clm_pace_step(clm_pace *pace, double seconds, uint64_t texts);

/* The same for an evaluation of `batches`. */
void clm_pace_evaluation(clm_pace *pace, double seconds, int64_t batches, uint64_t texts);

/* Negative when too little is known. */
double clm_pace_left(const clm_pace *pace, const clm_work_left *work);

#endif
