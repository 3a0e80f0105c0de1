/* SPDX-License-Identifier: Apache-2.0 */
#include "tune/trial.h"

#include <math.h>
#include <stdio.h>

static clm_status measure_kind(clm_tune_run *run) {
    clm_status status = CLM_OK;
    if (run->trial->kind == CLM_TUNE_BACKENDS) {
        return clm_gemm_measure(run->device, &run->score->backends);
    }
    CLM_TRY(clm_tuning_use(run->device, &run->trial->settings));
    CLM_TRY(run->trial->kind == CLM_TUNE_PRODUCTS ? clm_tune_products(run) : clm_tune_others(run));
    if (run->count > 0) {
        run->score->speed = exp(run->logs / run->count);
    }
    if (run->trial->claim > 0 && run->count > 0) {
        run->score->speed = run->trial->claim;
        run->score->outcome = CLM_TUNE_RIGHT;
    }
cleanup:
    return status;
}

clm_status clm_tune_measure(clm_device *device, const clm_tune_trial *trial,
                            clm_tune_score *score) {
    clm_tune_run run = {
        .device = device, .trial = trial, .score = score, .defaults = clm_tuning_defaults()};
    *score = (clm_tune_score){.outcome = CLM_TUNE_RIGHT};
    clm_status status = measure_kind(&run);
    if (status == CLM_OK || status == CLM_ERROR_MEMORY) {
        return status;
    }
    score->outcome = CLM_TUNE_FAILED;
    (void)snprintf(score->why, sizeof score->why, "%s", clm_error_message());
    clm_error_clear();
    return CLM_OK;
}
