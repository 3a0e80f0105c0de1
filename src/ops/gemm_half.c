/* The host side of cl/gemm_half.cl: products with weights of 16 bits in half arithmetic, where a
 * device has it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/gemm_backend.h"

enum { SIDE = 4 }; /* rows and columns of a work-item, as in cl/gemm_half.cl */

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
