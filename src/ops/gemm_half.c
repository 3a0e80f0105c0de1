/* The host side of cl/gemm_half.cl: products with weights of 16 bits in half arithmetic, where a
 * device has it, and whether that is the faster way there.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "ops/gemm_backend.h"
#include "ops/tuning_file.h"

enum {
    SIDE = 4, /* rows and columns of a work-item, as in cl/gemm_half.cl */
    /* What is measured: GPT-2's attention projection for 8 messages of 120 tokens. */
    MEASURED_M = 960,
    MEASURED_N = 768,
    MEASURED_K = 768,
    RUNS = 6
};

/* ---- whether there are halves ---- */

clm_status clm_gemm_halves_of(const clm_device *device, clm_gemm_halves *halves) {
    const char *text = getenv("CLM_HALF_ARITHMETIC");
    const bool has = clm_device_get_info(device)->has_fp16;
    clm_status status = CLM_OK;
    if (text == NULL || text[0] == '\0' || strcmp(text, "auto") == 0) {
        *halves = has ? CLM_GEMM_HALVES : CLM_GEMM_NO_HALVES;
    } else if (strcmp(text, "off") == 0) {
        *halves = CLM_GEMM_NO_HALVES;
    } else if (strcmp(text, "emulated") == 0) {
        *halves = CLM_GEMM_HALVES_EMULATED;
    } else if (strcmp(text, "on") != 0) {
        status =
            clm_fail(CLM_ERROR_ARGUMENT,
                     "CLM_HALF_ARITHMETIC is \"%s\": it may be auto, on, off or emulated", text);
    } else if (has) {
        *halves = CLM_GEMM_HALVES_FORCED;
    } else {
        status = clm_fail(CLM_ERROR_UNSUPPORTED,
                          "CLM_HALF_ARITHMETIC is on, but %s has no half arithmetic (cl_khr_fp16)",
                          clm_device_get_info(device)->name);
    }
    return status;
}

/* ---- the product ---- */

clm_status clm_gemm_half(clm_device *device, const clm_gemm_task *task) {
    clm_gemm_halves halves = CLM_GEMM_NO_HALVES;
    char options[48];
    clm_status status = clm_gemm_halves_of(device, &halves);
    if (status != CLM_OK) {
        return status;
    }
    if (halves == CLM_GEMM_NO_HALVES) {
        return clm_fail(CLM_ERROR_UNSUPPORTED, "gemm: %s has no half arithmetic",
                        clm_device_get_info(device)->name);
    }
    const clm_gemm_matrix *a = &task->a;
    const clm_gemm_matrix *b = &task->b;
    const bool in_panels = b->panel_depth != 0;
    const int panel = clm_gemm_own_panel_columns(device);
    const size_t items = (size_t)clm_gemm_own_items(device);
    (void)snprintf(options, sizeof options, "-DITEMS=%zu%s", items,
                   halves == CLM_GEMM_HALVES_EMULATED ? " -DEMULATE=1" : "");
    clm_launch launch = clm_launch_begin(device, "gemm_half", "gemm_half", options);
    clm_launch_int(&launch, task->M);
    clm_launch_int(&launch, task->N);
    clm_launch_int(&launch, task->K);
    clm_launch_buffer(&launch, a->buffer);
    clm_launch_ulong(&launch, a->offset);
    clm_launch_int(&launch, a->transposed ? 1 : a->stride);
    clm_launch_int(&launch, a->transposed ? a->stride : 1);
    clm_launch_buffer(&launch, b->buffer);
    clm_launch_ulong(&launch, b->offset);
    clm_launch_int(&launch, in_panels ? panel : b->stride);
    clm_launch_int(&launch, in_panels ? panel : INT_MAX);
    clm_launch_ulong(&launch, in_panels ? (size_t)panel * (size_t)b->panel_depth : 0);
    clm_gemm_launch_tail(&launch, task);
    const size_t block = SIDE * items;
    const size_t global[2] = {((size_t)task->N + block - 1) / block * items,
                              ((size_t)task->M + block - 1) / block * items};
    const size_t local[2] = {items, items};
    return clm_launch_2d(&launch, global, local);
}

/* ---- choosing ---- */

/* Raises *flops to what the best of some runs reaches; the first builds the kernels. */
static clm_status measure(clm_device *device, clm_gemm_arithmetic arithmetic,
                          const clm_gemm_arguments *arguments, double *flops) {
    clm_status status = CLM_OK;
    for (int run = 0; run <= RUNS; run++) {
        const double start = clm_seconds();
        CLM_TRY(clm_gemm_with_arithmetic(device, arithmetic, arguments));
        CLM_TRY(clm_device_finish(device));
        const double reached = 2.0 * MEASURED_M * MEASURED_N * MEASURED_K / (clm_seconds() - start);
        if (run > 0 && reached > *flops) {
            *flops = reached;
        }
    }
cleanup:
    return status;
}

clm_status clm_gemm_measure_halves(clm_device *device, double *floats_flops, double *halves_flops) {
    clm_status status = CLM_OK;
    clm_buffer *a = NULL;
    clm_buffer *b = NULL;
    clm_buffer *c = NULL;
    clm_gemm_packed *packed = NULL;
    *floats_flops = *halves_flops = 0;
    CLM_TRY(clm_buffer_create(&a, device, sizeof(float) * MEASURED_M * MEASURED_K, "A"));
    CLM_TRY(clm_buffer_create(&b, device, sizeof(float) * MEASURED_K * MEASURED_N, "B"));
    CLM_TRY(clm_buffer_create(&c, device, sizeof(float) * MEASURED_M * MEASURED_N, "C"));
    CLM_TRY(clm_buffer_zero(a, 0, clm_buffer_size_bytes(a)));
    CLM_TRY(clm_buffer_zero(b, 0, clm_buffer_size_bytes(b)));
    CLM_TRY(clm_gemm_pack(&packed, device, b, 0, 0, false, MEASURED_K, MEASURED_N, CLM_GEMM_F16));
    const clm_gemm_arguments arguments = {
        .M = MEASURED_M, .N = MEASURED_N, .K = MEASURED_K, .a = a, .b_packed = packed, .c = c};
    CLM_TRY(measure(device, CLM_GEMM_IN_FLOATS, &arguments, floats_flops));
    CLM_TRY(measure(device, CLM_GEMM_IN_HALVES, &arguments, halves_flops));
cleanup:
    clm_gemm_packed_release(packed);
    clm_buffer_release(a);
    clm_buffer_release(b);
    clm_buffer_release(c);
    return status;
}

/* Adds the choice to what the device's file holds already. */
static void remember(clm_device *device, clm_gemm_arithmetic arithmetic) {
    clm_tuned tuned;
    clm_tuned_load(&tuned, device);
    if (tuned.preset[0] == '\0') {
        (void)snprintf(tuned.preset, sizeof tuned.preset, "quick");
    }
    tuned.settings.values[CLM_SET_GEMM_ARITHMETIC] = (int)arithmetic;
    clm_tuned_keep(&tuned, device);
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
    if (halves != CLM_GEMM_HALVES) {
        goto cleanup;
    }
    const int kept = clm_tuning_get(clm_tuning_of(device), CLM_SET_GEMM_ARITHMETIC, 0);
    if (kept != 0 || clm_tuning_is_off() || clm_device_is_emulated(device)) {
        *arithmetic = kept != 0 ? (clm_gemm_arithmetic)kept : CLM_GEMM_IN_FLOATS;
        goto cleanup;
    }
    CLM_TRY(clm_gemm_measure_halves(device, &floats_flops, &halves_flops));
    *arithmetic = halves_flops > floats_flops ? CLM_GEMM_IN_HALVES : CLM_GEMM_IN_FLOATS;
    clm_log(CLM_LOG_INFO,
            "gemm: f16 weights on %s are multiplied in %s (GFLOP/s: floats %.0f, halves %.0f; "
            "measured now)",
            clm_device_get_info(device)->name,
            *arithmetic == CLM_GEMM_IN_HALVES ? "halves" : "floats", floats_flops / 1e9,
            halves_flops / 1e9);
    remember(device, *arithmetic);
cleanup:
    return status;
}
