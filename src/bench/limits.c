/* What the device can do at most: multiply-adds on registers, and a copy beyond its caches.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "base/clock.h"
#include "bench/bench.h"
#include "ops/common.h"
#include "ops/gemm_backend.h"

enum { TURNS = 5 };

static const size_t least_bytes = (size_t)1 << 20;
static const size_t most_bytes = (size_t)256 << 20;
static const size_t most_bytes_quick = (size_t)64 << 20;

/* A copy that takes longer is large enough on any device. */
static const double slow_seconds = 0.25;

static clm_status copy(clm_device *device, const clm_buffer *from, clm_buffer *to, size_t bytes,
                       double *seconds) {
    const clm_ops_variant variant = clm_ops_variant_for(device, "bench");
    const size_t count = bytes / sizeof(float);
    clm_status status = CLM_OK;
    const double start = clm_seconds();
    clm_launch launch = clm_launch_begin(device, "bench", "bench_copy", variant.options);
    clm_launch_buffer(&launch, to);
    clm_launch_buffer(&launch, from);
    clm_launch_ulong(&launch, count);
    CLM_TRY(clm_ops_launch_flat(&launch, &variant, count));
    CLM_TRY(clm_device_finish(device));
    *seconds = clm_seconds() - start;
cleanup:
    return status;
}

/* Bytes to copy: as many as the device can well hold, but no more than a simulator copies in a
 * moment. */
static clm_status choose_bytes(clm_device *device, bool quick, size_t *bytes) {
    const clm_device_info *info = clm_device_get_info(device);
    size_t most = quick ? most_bytes_quick : most_bytes;
    clm_buffer *from = NULL;
    clm_buffer *to = NULL;
    double seconds = 0.0;
    clm_status status = CLM_OK;
    while (most > least_bytes &&
           (most > info->max_allocation_size_bytes || most > info->memory_size_bytes / 8)) {
        most /= 2;
    }
    CLM_TRY(clm_buffer_create(&from, device, least_bytes, "the measurement of a copy"));
    CLM_TRY(clm_buffer_create(&to, device, least_bytes, "the measurement of a copy"));
    CLM_TRY(clm_buffer_zero(from, 0, least_bytes));
    CLM_TRY(copy(device, from, to, least_bytes, &seconds)); /* builds */
    CLM_TRY(copy(device, from, to, least_bytes, &seconds));
    *bytes = least_bytes;
    while (*bytes < most && seconds * 2.0 < slow_seconds) { /* what twice as much would take */
        *bytes *= 2;
        seconds *= 2.0;
    }
cleanup:
    clm_buffer_release(from);
    clm_buffer_release(to);
    return status;
}

/* The best of some turns: others on the machine only make it slower. */
static clm_status measure_copy(clm_device *device, size_t bytes, double *rate) {
    clm_buffer *from = NULL;
    clm_buffer *to = NULL;
    double best = INFINITY;
    clm_status status = CLM_OK;
    CLM_TRY(clm_bench_fill(&from, device, bytes / sizeof(float), 1.0F));
    CLM_TRY(clm_buffer_create(&to, device, bytes, "the measurement of a copy"));
    for (int turn = -1; turn < TURNS; turn++) { /* the first touches what the driver gives late */
        double seconds = 0.0;
        CLM_TRY(copy(device, from, to, bytes, &seconds));
        best = turn >= 0 ? fmin(best, seconds) : best;
    }
    *rate = 2.0 * (double)bytes / best;
cleanup:
    clm_buffer_release(from);
    clm_buffer_release(to);
    return status;
}

static clm_status measure_peak(clm_device *device, double *best) {
    clm_status status = CLM_OK;
    *best = 0.0;
    for (int turn = 0; turn < TURNS; turn++) {
        double flops = 0.0;
        CLM_TRY(clm_gemm_own_peak(device, &flops));
        *best = fmax(*best, flops);
        if (flops < 1e9) {
            break; /* a simulator, which takes its time */
        }
    }
cleanup:
    return status;
}

clm_status clm_bench_measure_limits(clm_bench_limits *limits, clm_device *device, bool quick) {
    const bool first = limits->copied_bytes == 0;
    double peak = 0.0;
    double rate = 0.0;
    clm_status status = CLM_OK;
    if (first) {
        CLM_TRY(choose_bytes(device, quick, &limits->copied_bytes));
    }
    CLM_TRY(measure_peak(device, &peak));
    CLM_TRY(measure_copy(device, limits->copied_bytes, &rate));
    CLM_TRY(clm_buffer_pool_trim(device));
    if (first) {
        limits->peak_flops = limits->least_peak = limits->most_peak = peak;
        limits->copy_bytes_second = limits->least_copy = limits->most_copy = rate;
    }
    limits->least_peak = fmin(limits->least_peak, peak);
    limits->most_peak = fmax(limits->most_peak, peak);
    limits->least_copy = fmin(limits->least_copy, rate);
    limits->most_copy = fmax(limits->most_copy, rate);
cleanup:
    return status;
}

double clm_bench_noise(const clm_bench_limits *limits) {
    return fmax(1.0 - limits->least_peak / limits->most_peak,
                1.0 - limits->least_copy / limits->most_copy);
}
