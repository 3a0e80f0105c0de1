/* What a candidate is, and the times and checks that products and other kernels share.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TUNE_MEASURE_H
#define CLM_TUNE_MEASURE_H

#include "clm/tune.h"
#include "ops/gemm_backend.h"
#include "ops/tuning.h"

/* What is measured. */
typedef enum clm_tune_kind {
    CLM_TUNE_PRODUCTS, /* clm_gemm over GPT-2's shapes, by the backend that the settings name */
    CLM_TUNE_OTHERS,   /* the other kernels that share work-group sizes */
    CLM_TUNE_BACKENDS  /* the measurement at first use: clm's own kernel, and CLBlast if needed */
} clm_tune_kind;

typedef struct clm_tune_trial {
    clm_tune_kind kind;
    clm_tune_preset preset; /* more shapes and repeats for longer ones */
    clm_tuning settings;
    /* A candidate that stays far below this speed is abandoned early; 0: never. */
    double beat;
    bool spoil;   /* for tests: corrupts one element of the first result, which must be detected */
    double claim; /* for tests: not 0: reported as the speed, whatever was measured */
} clm_tune_trial;

typedef enum clm_tune_outcome {
    CLM_TUNE_RIGHT,
    CLM_TUNE_SLOW,    /* abandoned early, after the checks */
    CLM_TUNE_WRONG,   /* differs from the reference */
    CLM_TUNE_FAILED,  /* does not compile or run, or is invalid */
    CLM_TUNE_CRASHED, /* crashed its process */
    CLM_TUNE_HUNG,    /* did not finish in time */
    CLM_TUNE_STOPPED, /* by the user; not the candidate's fault */
    CLM_TUNE_STARTED, /* in a progress file: started, without a known end */
    CLM_TUNE_OUTCOMES
} clm_tune_outcome;

/* "ok", "slow", "wrong" and so on. Static. */
const char *clm_tune_outcome_name(clm_tune_outcome outcome);
const char *clm_tune_kind_name(clm_tune_kind kind);

typedef struct clm_tune_score {
    clm_tune_outcome outcome;
    /* Speed relative to the defaults (for products, to clm's own kernel with its defaults): the
     * geometric mean over shapes of the median over turns. */
    double speed;
    char why[256];                 /* of an outcome that is not RIGHT */
    clm_gemm_measurement backends; /* of BACKENDS */
} clm_tune_score;

/* A running measurement. */
typedef struct clm_tune_run {
    clm_device *device;
    const clm_tune_trial *trial;
    clm_tune_score *score;
    clm_tuning defaults;
    double logs; /* of speeds, of `count` shapes */
    int count;
} clm_tune_run;

/* Enqueues one piece of work with the default settings, or with the candidate's. */
typedef clm_status (*clm_tune_work)(clm_tune_run *run, void *context, bool candidate);

/* Times both in turns, often enough; adds the median of the ratios. */
clm_status clm_tune_time(clm_tune_run *run, clm_tune_work work, void *context);

/* Whether the candidate is so slow that measuring further is useless. */
bool clm_tune_is_hopeless(const clm_tune_run *run);

/* Records that a result is wrong: `what` at element `index`. */
void clm_tune_wrong(clm_tune_run *run, const char *what, size_t index, double got, double expected);

/* `count` numbers between -1 and 1, always the same, through *values (clm_free) and, when `buffer`
 * is not NULL, onto the device. */
clm_status clm_tune_numbers(float **values, clm_buffer **buffer, clm_device *device, size_t count,
                            unsigned seed);

/* The two kinds that have candidates. */
clm_status clm_tune_products(clm_tune_run *run);
clm_status clm_tune_others(clm_tune_run *run);

#endif
