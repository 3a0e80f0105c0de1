/* Which GEMM a device gets, and which arithmetic with f16 weights: measured at first use,
 * remembered among its settings. This is the preset "quick" of `clm tune`.
 *
 * Building CLBlast's kernels takes 6 to 38 seconds on some devices. So clm's own kernel is measured
 * first, against the multiply-adds that the device does on registers alone: when it comes near
 * enough, CLBlast could win little, and is not built.
 *
 * Processors are not measured: CLBlast sums in another order for each number of rows, and halves
 * are only for many rows, so there it is clm's own kernel and floats unless others are forced.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/number.h"
#include "ops/gemm_backend.h"
#include "ops/tuning_file.h"

enum {
    /* GPT-2's attention projection for 8 messages of 120 tokens. */
    MEASURED_M = 960,
    MEASURED_N = 768,
    MEASURED_K = 768,
    RUNS = 4, /* of a backend in a turn */
    TURNS = 8 /* at most */
};

/* The share of the peak from which on CLBlast is not tried. */
static const double near_enough = 0.7;

/* ---- measuring ---- */

/* Others on the machine make a run slower, never faster, and a short run is sometimes spared: so
 * runs of a few milliseconds, and the best of them. */
static const double run_seconds = 4e-3;

/* What is multiplied. */
typedef struct operands {
    clm_buffer *a, *b, *c;
    clm_gemm_packed *packed; /* of F16, or NULL */
    clm_gemm_arguments arguments;
} operands;

static void free_operands(operands *o) {
    clm_gemm_packed_release(o->packed);
    clm_buffer_release(o->a);
    clm_buffer_release(o->b);
    clm_buffer_release(o->c);
}

static clm_status make_operands(operands *o, clm_device *device, bool packed) {
    clm_status status = CLM_OK;
    CLM_TRY(clm_buffer_create(&o->a, device, sizeof(float) * MEASURED_M * MEASURED_K, "A"));
    CLM_TRY(clm_buffer_create(&o->b, device, sizeof(float) * MEASURED_K * MEASURED_N, "B"));
    CLM_TRY(clm_buffer_create(&o->c, device, sizeof(float) * MEASURED_M * MEASURED_N, "C"));
    /* What was in that memory could be slow to compute with. */
    CLM_TRY(clm_buffer_zero(o->a, 0, clm_buffer_size_bytes(o->a)));
    CLM_TRY(clm_buffer_zero(o->b, 0, clm_buffer_size_bytes(o->b)));
    if (packed) {
        CLM_TRY(clm_gemm_pack(&o->packed, device, o->b, 0, 0, false, MEASURED_K, MEASURED_N,
                              CLM_GEMM_F16));
    }
    o->arguments = (clm_gemm_arguments){.M = MEASURED_M,
                                        .N = MEASURED_N,
                                        .K = MEASURED_K,
                                        .a = o->a,
                                        .b = o->b,
                                        .b_packed = o->packed,
                                        .c = o->c};
cleanup:
    return status;
}

/* Raises *flops to what the best of some runs reaches, by a backend, or packed in an arithmetic. */
static clm_status measure_runs(clm_device *device, clm_gemm_backend backend,
                               clm_gemm_arithmetic arithmetic, const clm_gemm_arguments *arguments,
                               double *flops) {
    clm_status status = CLM_OK;
    const double work = 2.0 * MEASURED_M * MEASURED_N * MEASURED_K;
    int products = 1;
    for (int run = 0; run < RUNS; run++) {
        const double start = clm_seconds();
        for (int i = 0; i < products; i++) {
            CLM_TRY(arguments->b_packed != NULL
                        ? clm_gemm_with_arithmetic(device, arithmetic, arguments)
                        : clm_gemm_with(device, backend, arguments));
        }
        CLM_TRY(clm_device_finish(device));
        const double took = clm_seconds() - start;
        if (work * products / took > *flops) {
            *flops = work * products / took;
        }
        if (took < run_seconds) {
            products *= 4;
        }
    }
cleanup:
    return status;
}

static clm_status measure_backend(clm_device *device, clm_gemm_backend backend,
                                  const clm_gemm_arguments *arguments, double *flops) {
    return measure_runs(device, backend, CLM_GEMM_ARITHMETIC_AUTO, arguments, flops);
}

/* The own kernel and the peak in turns, until the one comes near the other or has had its chances.
 */
static clm_status measure_own(clm_device *device, const clm_gemm_arguments *arguments,
                              clm_gemm_measurement *result) {
    clm_status status = CLM_OK;
    for (int turn = 0; turn < TURNS; turn++) {
        double peak = 0;
        CLM_TRY(clm_gemm_own_peak(device, &peak));
        result->peak_flops = peak > result->peak_flops ? peak : result->peak_flops;
        CLM_TRY(measure_backend(device, CLM_GEMM_OWN, arguments, &result->own_flops));
        if (turn > 0 && result->own_flops >= near_enough * result->peak_flops) {
            break;
        }
    }
cleanup:
    return status;
}

/* CLBlast that fails to build or run on a device is only not chosen. */
static void measure_clblast(clm_device *device, const clm_gemm_arguments *arguments,
                            clm_gemm_measurement *result) {
    clm_status status = CLM_OK;
    const char *name = clm_device_get_info(device)->name;
    clm_log(CLM_LOG_INFO,
            "gemm: building CLBlast for %s, which may take a minute; this happens once", name);
    for (int turn = 0; turn < TURNS; turn++) {
        CLM_TRY(measure_backend(device, CLM_GEMM_CLBLAST, arguments, &result->clblast_flops));
        if (turn > 0 && result->clblast_flops < result->own_flops / 2) {
            break;
        }
    }
cleanup:
    if (status != CLM_OK) {
        clm_log(CLM_LOG_WARNING, "gemm: CLBlast does not run on %s: %s", name, clm_error_message());
        clm_error_clear();
        result->clblast_flops = 0;
    }
}

clm_status clm_gemm_measure(clm_device *device, clm_gemm_measurement *result) {
    clm_status status = CLM_OK;
    operands o = {0};
    CLM_TRY(make_operands(&o, device, false));
    *result = (clm_gemm_measurement){.backend = CLM_GEMM_OWN};
    CLM_TRY(clm_gemm_own_peak(device, &result->peak_flops));
    if (result->peak_flops < CLM_GEMM_TOO_SLOW_FLOPS) {
        goto cleanup;
    }
    CLM_TRY(measure_own(device, &o.arguments, result));
    if (CLM_WITH_CLBLAST && result->own_flops < near_enough * result->peak_flops) {
        measure_clblast(device, &o.arguments, result);
        if (result->clblast_flops > result->own_flops && !clm_device_is_cpu(device)) {
            result->backend = CLM_GEMM_CLBLAST;
        }
    }
cleanup:
    free_operands(&o);
    return status;
}

clm_status clm_gemm_measure_halves(clm_device *device, double *floats_flops, double *halves_flops) {
    clm_status status = CLM_OK;
    operands o = {0};
    *floats_flops = *halves_flops = 0;
    CLM_TRY(make_operands(&o, device, true));
    CLM_TRY(measure_runs(device, CLM_GEMM_AUTO, CLM_GEMM_IN_FLOATS, &o.arguments, floats_flops));
    CLM_TRY(measure_runs(device, CLM_GEMM_AUTO, CLM_GEMM_IN_HALVES, &o.arguments, halves_flops));
cleanup:
    free_operands(&o);
    return status;
}

/* ---- choosing ---- */

/* News the first time, then only for those who want to know all. */
static void log_choice(const clm_device *device, clm_gemm_backend backend,
                       const clm_gemm_measurement *now) {
    const char *name = clm_device_get_info(device)->name;
    char clblast[64] = "not tried";
    if (now == NULL) {
        clm_log(CLM_LOG_DEBUG, "gemm: %s on %s (measured before)", clm_gemm_backend_name(backend),
                name);
        return;
    }
    if (now->clblast_flops > 0) {
        (void)clm_format(clblast, sizeof clblast, "%.0f", now->clblast_flops / 1e9);
    }
    clm_log(CLM_LOG_INFO, "gemm: %s on %s (GFLOP/s: peak %.0f, own %.0f, CLBlast %s; measured now)",
            clm_gemm_backend_name(backend), name, now->peak_flops / 1e9, now->own_flops / 1e9,
            clblast);
}

/* What the device's file holds already, to add to. */
static clm_tuned kept(const clm_device *device) {
    clm_tuned tuned;
    clm_tuned_load(&tuned, device);
    if (tuned.preset[0] == '\0') {
        (void)snprintf(tuned.preset, sizeof tuned.preset, "quick");
    }
    return tuned;
}

static void remember(clm_device *device, const clm_gemm_measurement *measured) {
    clm_tuned tuned = kept(device);
    tuned.settings.values[CLM_SET_GEMM_BACKEND] = (int)measured->backend;
    tuned.peak_gflops = measured->peak_flops / 1e9;
    tuned.own_gflops = measured->own_flops / 1e9;
    tuned.clblast_gflops = measured->clblast_flops / 1e9;
    clm_tuned_keep(&tuned, device);
}

clm_status clm_gemm_choose(clm_device *device, clm_gemm_backend *backend) {
    *backend = CLM_GEMM_OWN;
    return clm_device_is_cpu(device) ? CLM_OK : clm_gemm_choose_faster(device, backend);
}

clm_status clm_gemm_choose_faster(clm_device *device, clm_gemm_backend *backend) {
    clm_status status = CLM_OK;
    clm_gemm_measurement measured = {0};
    *backend = (clm_gemm_backend)clm_tuning_get(clm_tuning_of(device), CLM_SET_GEMM_BACKEND,
                                                CLM_GEMM_AUTO);
    if (*backend != CLM_GEMM_AUTO) {
        log_choice(device, *backend, NULL);
        return CLM_OK;
    }
    /* On an emulation CLBlast takes a minute to build, and is not faster. */
    if (clm_tuning_is_off() || clm_device_is_emulated(device)) {
        *backend = CLM_GEMM_OWN;
        return CLM_OK;
    }
    CLM_TRY(clm_gemm_measure(device, &measured));
    *backend = measured.backend;
    log_choice(device, *backend, &measured);
    remember(device, &measured);
cleanup:
    return status;
}

clm_status clm_gemm_choose_arithmetic(clm_device *device, clm_gemm_arithmetic *arithmetic) {
    clm_gemm_halves halves = CLM_GEMM_NO_HALVES;
    double floats_flops = 0;
    double halves_flops = 0;
    clm_status status = CLM_OK;
    *arithmetic = CLM_GEMM_IN_FLOATS;
    CLM_TRY(clm_gemm_halves_of(device, &halves));
    if (halves == CLM_GEMM_HALVES_FORCED || halves == CLM_GEMM_HALVES_EMULATED) {
        *arithmetic = CLM_GEMM_IN_HALVES;
    }
    if (halves != CLM_GEMM_HALVES || clm_device_is_cpu(device)) {
        goto cleanup;
    }
    *arithmetic = (clm_gemm_arithmetic)clm_tuning_get(
        clm_tuning_of(device), CLM_SET_GEMM_ARITHMETIC, CLM_GEMM_ARITHMETIC_AUTO);
    if (*arithmetic != CLM_GEMM_ARITHMETIC_AUTO) {
        goto cleanup;
    }
    *arithmetic = CLM_GEMM_IN_FLOATS;
    if (clm_tuning_is_off() || clm_device_is_emulated(device)) {
        goto cleanup;
    }
    CLM_TRY(clm_gemm_measure_halves(device, &floats_flops, &halves_flops));
    if (halves_flops > floats_flops) {
        *arithmetic = CLM_GEMM_IN_HALVES;
    }
    clm_log(CLM_LOG_INFO,
            "gemm: f16 weights on %s are multiplied in %s (GFLOP/s: floats %.0f, halves %.0f; "
            "measured now)",
            clm_device_get_info(device)->name,
            *arithmetic == CLM_GEMM_IN_HALVES ? "halves" : "floats", floats_flops / 1e9,
            halves_flops / 1e9);
    clm_tuned tuned = kept(device);
    tuned.settings.values[CLM_SET_GEMM_ARITHMETIC] = (int)*arithmetic;
    clm_tuned_keep(&tuned, device);
cleanup:
    return status;
}
