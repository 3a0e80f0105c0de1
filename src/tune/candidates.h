/* The candidates, in stages: each stage starts from the best result of the previous ones.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TUNE_CANDIDATES_H
#define CLM_TUNE_CANDIDATES_H

#include "tune/measure.h"

/* Whose settings a stage changes. */
typedef enum clm_tune_part {
    CLM_TUNE_OWN,     /* the own GEMM's */
    CLM_TUNE_CLBLAST, /* CLBlast's */
    CLM_TUNE_GROUPS,  /* the other kernels' */
    CLM_TUNE_PARTS
} clm_tune_part;

typedef struct clm_tune_stage {
    const char *name;
    /* The settings to try in turn, as texts; NULL for a stage of rows. */
    const char *const *changes;
    /* Parameters of one of CLBlast's kernels (its place in clm_clblast_kernels), row_count rows. */
    const int *rows;
    int kernel, row_count;
    int random_rows; /* additional random ones */
    clm_tune_part part;
    int presets;   /* bits: 1 << preset */
    bool cpu, gpu; /* on which devices */
} clm_tune_stage;

extern const clm_tune_stage clm_tune_stages[];
extern const int clm_tune_stage_count;

bool clm_tune_stage_is_for(const clm_tune_stage *stage, const clm_device *device,
                           clm_tune_preset preset);

/* A candidate of a stage: `settings` is `best` with the change, `label` describes the change. */
typedef struct clm_tune_candidate {
    clm_tuning settings;
    char label[160];
} clm_tune_candidate;

/* All candidates that the device can run, except those equal to `best`, through *candidates
 * (clm_free). */
clm_status clm_tune_list(clm_tune_candidate **candidates, int *count, const clm_tune_stage *stage,
                         const clm_device *device, clm_tune_preset preset, const clm_tuning *best);

#endif
