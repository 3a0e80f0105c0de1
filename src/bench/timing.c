/* The clock: warm-up, samples long enough for it, quartiles.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "bench/bench.h"

/* A sample is long against the clock, a launch and a wait, and short enough that many fit. */
static const double sample_seconds = 0.01;

enum { MOST_REPEATS = 1 << 16, MOST_SAMPLES = 1000 };

static clm_status chain(clm_bench_subject *subject, int repeats, double *seconds) {
    clm_status status = CLM_OK;
    const double start = clm_seconds();
    for (int i = 0; i < repeats; i++) {
        CLM_TRY(subject->entry->kind->run(subject));
    }
    CLM_TRY(clm_device_finish(subject->device));
    *seconds = clm_seconds() - start;
cleanup:
    return status;
}

static clm_status ask(const clm_bench_timing *timing) {
    if (timing->should_stop != NULL && timing->should_stop(timing->context)) {
        return clm_fail(CLM_ERROR_INTERRUPTED, "the measurement was interrupted");
    }
    return CLM_OK;
}

/* Doubles the repeats until a chain of them fills a sample; this warms up caches and clocks too. */
static clm_status choose_repeats(clm_bench_subject *subject, const clm_bench_timing *timing,
                                 int *repeats) {
    clm_status status = CLM_OK;
    double seconds = 0.0;
    *repeats = 1;
    CLM_TRY(chain(subject, 1, &seconds)); /* builds kernels */
    CLM_TRY(ask(timing));
    if (seconds > timing->seconds) {
        goto cleanup; /* nothing so slow is a launch's cost */
    }
    CLM_TRY(chain(subject, 1, &seconds));
    while (seconds < sample_seconds && *repeats < MOST_REPEATS) {
        *repeats *= 2;
        CLM_TRY(chain(subject, *repeats, &seconds));
        CLM_TRY(ask(timing));
    }
cleanup:
    return status;
}

static int ascending(const void *a, const void *b) {
    const double left = *(const double *)a;
    const double right = *(const double *)b;
    return (left > right) - (left < right);
}

double clm_bench_quantile(const double *sorted, int count, double part) {
    const double at = part * (count - 1);
    const int below = (int)floor(at);
    const int above = below + 1 < count ? below + 1 : below;
    return sorted[below] + (at - below) * (sorted[above] - sorted[below]);
}

/* Whether there are samples enough: as many as the time holds, but the least number in any case
 * unless that takes ten times as long. */
static bool is_enough(const clm_bench_timing *timing, int samples, double spent) {
    if (samples >= MOST_SAMPLES || spent > 10.0 * timing->seconds) {
        return samples > 0;
    }
    return samples >= timing->least_samples && spent >= timing->seconds;
}

clm_status clm_bench_time(clm_bench_subject *subject, const clm_bench_timing *timing) {
    clm_bench_result *result = subject->result;
    double *samples = NULL;
    double spent = 0.0;
    int count = 0;
    int repeats = 1;
    clm_status status = CLM_OK;
    CLM_TRY(clm_allocate(&samples, MOST_SAMPLES, sizeof *samples, "the samples of a measurement"));
    CLM_TRY(choose_repeats(subject, timing, &repeats));
    while (!is_enough(timing, count, spent)) {
        double seconds = 0.0;
        CLM_TRY(chain(subject, repeats, &seconds));
        spent += seconds;
        samples[count++] = seconds / repeats;
        CLM_TRY(ask(timing));
    }
    qsort(samples, (size_t)count, sizeof *samples, ascending);
    result->median = clm_bench_quantile(samples, count, 0.5);
    result->minimum = samples[0];
    result->lower_quartile = clm_bench_quantile(samples, count, 0.25);
    result->upper_quartile = clm_bench_quantile(samples, count, 0.75);
    result->samples = count;
    result->repeats = repeats;
cleanup:
    clm_free(samples);
    return status;
}
