/* Times and checks that products and other kernels share.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tune/measure.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/number.h"

enum { MOST_TURNS = 9, MOST_WORK = 1 << 14 };

/* A turn lasts at least so long: others on the machine, and the clock, disturb short ones. */
static const double turn_seconds = 4e-3;

/* From here on fewer turns do: what takes long varies little. */
static const double long_seconds = 0.1;

/* Given up below this share of what is to be beaten. */
static const double hopeless = 0.7;

const char *clm_tune_outcome_name(clm_tune_outcome outcome) {
    static const char *const names[CLM_TUNE_OUTCOMES] = {"ok",      "slow", "wrong",   "failed",
                                                         "crashed", "hung", "stopped", "started"};
    return names[outcome];
}

const char *clm_tune_kind_name(clm_tune_kind kind) {
    static const char *const names[] = {"products", "others", "backends"};
    return names[kind];
}

/* ---- times ---- */

static int compare_doubles(const void *x, const void *y) {
    const double a = *(const double *)x;
    const double b = *(const double *)y;
    return (a > b) - (a < b);
}

static clm_status take_turn(clm_tune_run *run, clm_tune_work work, void *context, bool candidate,
                            int repeats, double *seconds) {
    clm_status status = CLM_OK;
    CLM_TRY(clm_tuning_use(run->device, candidate ? &run->trial->settings : &run->defaults));
    const double start = clm_seconds();
    for (int i = 0; i < repeats; i++) {
        CLM_TRY(work(run, context, candidate));
    }
    CLM_TRY(clm_device_finish(run->device));
    *seconds = clm_seconds() - start;
cleanup:
    return status;
}

/* How often the work has to be done for a turn to be long enough. The first run builds kernels. */
static clm_status find_repeats(clm_tune_run *run, clm_tune_work work, void *context, int *repeats) {
    clm_status status = CLM_OK;
    double seconds = 0;
    *repeats = 1;
    CLM_TRY(take_turn(run, work, context, true, 1, &seconds));
    CLM_TRY(take_turn(run, work, context, false, 1, &seconds));
    for (;;) {
        CLM_TRY(take_turn(run, work, context, false, *repeats, &seconds));
        if (seconds >= turn_seconds || *repeats >= MOST_WORK) {
            break;
        }
        *repeats *= 2;
    }
cleanup:
    return status;
}

clm_status clm_tune_time(clm_tune_run *run, clm_tune_work work, void *context) {
    clm_status status = CLM_OK;
    double ratios[MOST_TURNS];
    int repeats = 1;
    int turns = run->trial->preset == CLM_TUNE_SMALL  ? 1
                : run->trial->preset == CLM_TUNE_FULL ? MOST_TURNS
                                                      : 5;
    CLM_TRY(find_repeats(run, work, context, &repeats));
    for (int turn = 0; turn < turns; turn++) {
        double took[2] = {0}; /* by the defaults, by the candidate */
        const bool first = turn % 2 != 0;
        CLM_TRY(take_turn(run, work, context, first, repeats, &took[first]));
        CLM_TRY(take_turn(run, work, context, !first, repeats, &took[!first]));
        ratios[turn] = took[1] > 0 ? took[0] / took[1] : 0;
        if (took[0] + took[1] > long_seconds && turns > 3) {
            turns = 3;
        }
    }
    qsort(ratios, (size_t)turns, sizeof *ratios, compare_doubles);
    run->logs += log(ratios[turns / 2] > 1e-9 ? ratios[turns / 2] : 1e-9);
    run->count++;
cleanup:
    return status;
}

bool clm_tune_is_hopeless(const clm_tune_run *run) {
    return run->count > 0 && exp(run->logs / run->count) < hopeless * run->trial->beat;
}

/* ---- checks ---- */

void clm_tune_wrong(clm_tune_run *run, const char *what, size_t index, double got,
                    double expected) {
    run->score->outcome = CLM_TUNE_WRONG;
    (void)clm_format(run->score->why, sizeof run->score->why, "%s: element %zu is %.9g, not %.9g",
                     what, index, got, expected);
}

clm_status clm_tune_numbers(float **values, clm_buffer **buffer, clm_device *device, size_t count,
                            unsigned seed) {
    clm_status status = CLM_OK;
    CLM_TRY(clm_allocate(values, count, sizeof **values, "numbers to measure with"));
    for (size_t i = 0; i < count; i++) {
        /* Knuth's multiplicative hash: spread evenly, and no two rows alike. */
        const unsigned bits = ((unsigned)i + seed * 7919U) * 2654435761U;
        (*values)[i] = (float)(bits >> 8) * 0x1p-23f - 1.0f;
    }
    if (buffer != NULL) {
        CLM_TRY(clm_buffer_create(buffer, device, count * sizeof **values, "a tuning's operand"));
        CLM_TRY(clm_buffer_write(*buffer, 0, *values, count * sizeof **values));
    }
cleanup:
    return status;
}
