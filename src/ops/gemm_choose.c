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
#include "ops/gemm_choose.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
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

/* ---- what is kept with a device ---- */

/* Kept for a device until it is closed. */
typedef struct gemm_state {
    clm_gemm_backend backend;       /* AUTO until chosen */
    bool forced;                    /* for few rows too: by $CLM_GEMM, or clm_gemm_use() */
    clm_gemm_backend form;          /* that OWN stands for; AUTO: the usual one */
    clm_gemm_arithmetic arithmetic; /* AUTO until chosen */
} gemm_state;

static void close_state(void *context) {
    clm_free(context);
}

static clm_status state_of(clm_device *device, gemm_state **state) {
    *state = clm_device_close_context(device, close_state);
    if (*state != NULL) {
        return CLM_OK;
    }
    clm_status status = clm_allocate(state, 1, sizeof **state, "the choice of a GEMM");
    if (status == CLM_OK) {
        status = clm_device_on_close(device, close_state, *state);
        if (status != CLM_OK) {
            clm_free(*state);
            *state = NULL;
        }
    }
    return status;
}

static clm_status forced_backend(clm_gemm_backend *backend) {
    const char *name = getenv("CLM_GEMM");
    *backend = CLM_GEMM_AUTO;
    if (name == NULL || name[0] == '\0' || strcmp(name, "auto") == 0) {
        return CLM_OK;
    }
    for (int i = CLM_GEMM_OWN; i <= CLM_GEMM_OWN_TILED; i++) {
        if (strcmp(name, clm_gemm_backend_name((clm_gemm_backend)i)) == 0) {
            *backend = (clm_gemm_backend)i;
            return CLM_OK;
        }
    }
    return clm_fail(CLM_ERROR_ARGUMENT, "CLM_GEMM is \"%s\": it may be auto, own or clblast", name);
}

const char *clm_gemm_backend_name(clm_gemm_backend backend) {
    switch (backend) {
        case CLM_GEMM_OWN:
            return "own";
        case CLM_GEMM_CLBLAST:
            return "clblast";
        case CLM_GEMM_OWN_PANELS:
            return "own-panels";
        case CLM_GEMM_OWN_TILED:
            return "own-tiled";
        case CLM_GEMM_AUTO:
            break;
    }
    return "auto";
}

clm_gemm_backend clm_gemm_own_form(const clm_device *device) {
    const gemm_state *state = clm_device_close_context(device, close_state);
    return state != NULL && state->form != CLM_GEMM_AUTO
               ? state->form
               : (clm_gemm_backend)clm_tuning_get(
                     clm_tuning_of(device), CLM_SET_GEMM_FORM,
                     clm_device_is_cpu(device) ? CLM_GEMM_OWN_PANELS : CLM_GEMM_OWN_TILED);
}

bool clm_gemm_is_forced(const clm_device *device) {
    const gemm_state *state = clm_device_close_context(device, close_state);
    return state != NULL && state->forced;
}

/* ---- measuring ---- */

/* Others on the machine make a run slower, never faster, and a short run is sometimes spared: so
 * runs of a few milliseconds, and the best of them. */
static const double run_seconds = 4e-3;

/* What is multiplied. */
typedef struct operands {
    clm_buffer *a, *b, *c, *scratch;
    clm_gemm_packed *packed; /* of F16, or NULL */
    clm_gemm_task task;
} operands;

static void free_operands(operands *o) {
    clm_gemm_packed_release(o->packed);
    clm_buffer_release(o->a);
    clm_buffer_release(o->b);
    clm_buffer_release(o->c);
    clm_buffer_release(o->scratch);
}

static clm_status make_operands(operands *o, clm_device *device, const clm_gemm_packing *packing) {
    clm_status status = CLM_OK;
    CLM_TRY(clm_buffer_create(&o->a, device, sizeof(float) * MEASURED_M * MEASURED_K, "A"));
    CLM_TRY(clm_buffer_create(&o->b, device, sizeof(float) * MEASURED_K * MEASURED_N, "B"));
    CLM_TRY(clm_buffer_create(&o->c, device, sizeof(float) * MEASURED_M * MEASURED_N, "C"));
    /* What was in that memory could be slow to compute with. */
    CLM_TRY(clm_buffer_zero(o->a, 0, clm_buffer_size_bytes(o->a)));
    CLM_TRY(clm_buffer_zero(o->b, 0, clm_buffer_size_bytes(o->b)));
    o->task = (clm_gemm_task){.M = MEASURED_M,
                              .N = MEASURED_N,
                              .K = MEASURED_K,
                              .a = {.buffer = o->a, .stride = MEASURED_K},
                              .b = {.buffer = o->b, .stride = MEASURED_N},
                              .c = o->c,
                              .c_stride = MEASURED_N,
                              .tail_stride = MEASURED_N};
    if (packing != NULL) {
        CLM_TRY(clm_gemm_pack_as(&o->packed, device, packing, &o->task.b));
    }
cleanup:
    return status;
}

/* Scratch for one way, in place of the last one's. */
static clm_status make_scratch(operands *o, clm_device *device, const clm_gemm_way *way) {
    const size_t bytes = clm_gemm_run_scratch_bytes(device, way, &o->task,
                                                    o->packed != NULL ? &o->packed->packing : NULL);
    clm_status status = CLM_OK;
    clm_buffer_release(o->scratch);
    o->scratch = NULL;
    if (bytes > 0) {
        status = clm_buffer_create(&o->scratch, device, bytes, "scratch of a product");
    }
    o->task.scratch = o->scratch;
    return status;
}

/* Raises *flops to what the best of some runs reaches. */
static clm_status measure_way(clm_device *device, const clm_gemm_way *way, operands *o,
                              double *flops) {
    clm_status status = CLM_OK;
    const double work = 2.0 * MEASURED_M * MEASURED_N * MEASURED_K;
    int products = 1;
    CLM_TRY(make_scratch(o, device, way));
    for (int run = 0; run < RUNS; run++) {
        const double start = clm_seconds();
        for (int i = 0; i < products; i++) {
            CLM_TRY(clm_gemm_run(device, way, &o->task, o->packed));
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

/* The own kernel and the peak in turns, until the one comes near the other or has had its chances.
 */
static clm_status measure_own(clm_device *device, operands *o, clm_gemm_measurement *result) {
    clm_status status = CLM_OK;
    const clm_gemm_way way = {.form = clm_gemm_own_form(device)};
    for (int turn = 0; turn < TURNS; turn++) {
        double peak = 0;
        CLM_TRY(clm_gemm_own_peak(device, &peak));
        result->peak_flops = peak > result->peak_flops ? peak : result->peak_flops;
        CLM_TRY(measure_way(device, &way, o, &result->own_flops));
        if (turn > 0 && result->own_flops >= near_enough * result->peak_flops) {
            break;
        }
    }
cleanup:
    return status;
}

/* CLBlast that fails to build or run on a device is only not chosen. */
static void measure_clblast(clm_device *device, operands *o, clm_gemm_measurement *result) {
    clm_status status = CLM_OK;
    const clm_gemm_way way = {.form = clm_gemm_own_form(device), .clblast = true};
    const char *name = clm_device_get_info(device)->name;
    clm_log(CLM_LOG_INFO,
            "gemm: building CLBlast for %s, which may take a minute; this happens once", name);
    for (int turn = 0; turn < TURNS; turn++) {
        CLM_TRY(measure_way(device, &way, o, &result->clblast_flops));
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
    CLM_TRY(make_operands(&o, device, NULL));
    *result = (clm_gemm_measurement){.backend = CLM_GEMM_OWN};
    CLM_TRY(clm_gemm_own_peak(device, &result->peak_flops));
    if (result->peak_flops < CLM_GEMM_TOO_SLOW_FLOPS) {
        goto cleanup;
    }
    CLM_TRY(measure_own(device, &o, result));
    if (CLM_WITH_CLBLAST && result->own_flops < near_enough * result->peak_flops) {
        measure_clblast(device, &o, result);
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
    clm_gemm_backend backend = CLM_GEMM_AUTO;
    *floats_flops = *halves_flops = 0;
    CLM_TRY(clm_gemm_resolve(device, &backend));
    const clm_gemm_packing packing = clm_gemm_packing_for(
        device, backend, clm_gemm_piece_bytes(device), MEASURED_K, MEASURED_N, CLM_GEMM_F16);
    clm_gemm_way way = {.form = clm_gemm_own_form(device), .clblast = backend == CLM_GEMM_CLBLAST};
    CLM_TRY(make_operands(&o, device, &packing));
    CLM_TRY(measure_way(device, &way, &o, floats_flops));
    way.in_halves = true;
    CLM_TRY(measure_way(device, &way, &o, halves_flops));
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

/* What the settings say, or what is not measured; else AUTO. */
static clm_gemm_backend remembered_backend(const clm_device *device) {
    /* On an emulation CLBlast takes a minute to build, and is not faster. */
    const bool measured = !clm_tuning_is_off() && !clm_device_is_emulated(device);
    return (clm_gemm_backend)clm_tuning_get(clm_tuning_of(device), CLM_SET_GEMM_BACKEND,
                                            measured ? CLM_GEMM_AUTO : CLM_GEMM_OWN);
}

clm_gemm_backend clm_gemm_known_backend(const clm_device *device) {
    const gemm_state *state = clm_device_close_context(device, close_state);
    clm_gemm_backend backend = CLM_GEMM_AUTO;
    if (state != NULL && state->backend != CLM_GEMM_AUTO) {
        return state->backend;
    }
    clm_error_aside aside;
    clm_error_set_aside(&aside);
    const bool is_right = forced_backend(&backend) == CLM_OK;
    clm_error_put_back(&aside);
    return !is_right || backend != CLM_GEMM_AUTO ? backend
           : clm_device_is_cpu(device)           ? CLM_GEMM_OWN
                                                 : remembered_backend(device);
}

clm_status clm_gemm_choose(clm_device *device, clm_gemm_backend *backend) {
    *backend = CLM_GEMM_OWN;
    return clm_device_is_cpu(device) ? CLM_OK : clm_gemm_choose_faster(device, backend);
}

clm_status clm_gemm_choose_faster(clm_device *device, clm_gemm_backend *backend) {
    clm_status status = CLM_OK;
    clm_gemm_measurement measured = {0};
    *backend = remembered_backend(device);
    if (*backend != CLM_GEMM_AUTO) {
        log_choice(device, *backend, NULL);
        return CLM_OK;
    }
    CLM_TRY(clm_gemm_measure(device, &measured));
    *backend = measured.backend;
    log_choice(device, *backend, &measured);
    remember(device, &measured);
cleanup:
    return status;
}

/* AUTO when it has to be measured. */
static clm_status find_arithmetic(const clm_device *device, clm_gemm_arithmetic *arithmetic) {
    clm_gemm_halves halves = CLM_GEMM_NO_HALVES;
    const clm_status status = clm_gemm_halves_of(device, &halves);
    const bool measured = !clm_tuning_is_off() && !clm_device_is_emulated(device);
    *arithmetic = CLM_GEMM_IN_FLOATS;
    if (halves == CLM_GEMM_HALVES_FORCED || halves == CLM_GEMM_HALVES_EMULATED) {
        *arithmetic = CLM_GEMM_IN_HALVES;
    } else if (halves == CLM_GEMM_HALVES && !clm_device_is_cpu(device)) {
        *arithmetic = (clm_gemm_arithmetic)clm_tuning_get(
            clm_tuning_of(device), CLM_SET_GEMM_ARITHMETIC,
            measured ? CLM_GEMM_ARITHMETIC_AUTO : CLM_GEMM_IN_FLOATS);
    }
    return status;
}

clm_gemm_arithmetic clm_gemm_known_arithmetic(const clm_device *device) {
    const gemm_state *state = clm_device_close_context(device, close_state);
    clm_gemm_arithmetic arithmetic = CLM_GEMM_ARITHMETIC_AUTO;
    if (state != NULL && state->arithmetic != CLM_GEMM_ARITHMETIC_AUTO) {
        return state->arithmetic;
    }
    clm_error_aside aside;
    clm_error_set_aside(&aside);
    (void)find_arithmetic(device, &arithmetic);
    clm_error_put_back(&aside);
    return arithmetic;
}

clm_status clm_gemm_choose_arithmetic(clm_device *device, clm_gemm_arithmetic *arithmetic) {
    double floats_flops = 0;
    double halves_flops = 0;
    clm_status status = CLM_OK;
    CLM_TRY(find_arithmetic(device, arithmetic));
    if (*arithmetic != CLM_GEMM_ARITHMETIC_AUTO) {
        goto cleanup;
    }
    *arithmetic = CLM_GEMM_IN_FLOATS;
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

/* ---- for callers ---- */

clm_status clm_gemm_backend_for(clm_device *device, clm_gemm_backend *backend) {
    gemm_state *state = NULL;
    clm_status status = state_of(device, &state);
    if (status != CLM_OK) {
        return status;
    }
    if (state->backend == CLM_GEMM_AUTO) {
        clm_gemm_backend chosen = CLM_GEMM_AUTO;
        CLM_TRY(forced_backend(&chosen));
        state->forced = chosen != CLM_GEMM_AUTO;
        if (!state->forced) {
            CLM_TRY(clm_gemm_choose(device, &chosen));
        }
        state->backend = chosen;
    }
    *backend = state->backend;
cleanup:
    return status;
}

clm_status clm_gemm_use(clm_device *device, clm_gemm_backend backend, bool few_too) {
    gemm_state *state = NULL;
    clm_status status = state_of(device, &state);
    if (status == CLM_OK) {
        const bool own = backend == CLM_GEMM_OWN_PANELS || backend == CLM_GEMM_OWN_TILED;
        state->backend = backend;
        state->forced = few_too;
        state->form = own ? backend : CLM_GEMM_AUTO;
    }
    return status;
}

clm_status clm_gemm_use_arithmetic(clm_device *device, clm_gemm_arithmetic arithmetic) {
    gemm_state *state = NULL;
    clm_status status = state_of(device, &state);
    if (status == CLM_OK) {
        state->arithmetic = arithmetic;
    }
    return status;
}

clm_status clm_gemm_arithmetic_of(clm_device *device, clm_gemm_arithmetic *arithmetic) {
    gemm_state *state = NULL;
    clm_status status = state_of(device, &state);
    if (status == CLM_OK && state->arithmetic == CLM_GEMM_ARITHMETIC_AUTO) {
        status = clm_gemm_choose_arithmetic(device, &state->arithmetic);
    }
    *arithmetic = status == CLM_OK ? state->arithmetic : CLM_GEMM_IN_FLOATS;
    return status;
}

clm_status clm_gemm_resolve(clm_device *device, clm_gemm_backend *backend) {
    clm_status status = CLM_OK;
    if (*backend == CLM_GEMM_AUTO) {
        status = clm_gemm_backend_for(device, backend);
    }
    if (*backend == CLM_GEMM_OWN) {
        *backend = clm_gemm_own_form(device);
    }
    return status;
}
