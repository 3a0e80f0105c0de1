/* The memory that clm_model_estimate_memory() tells, against what OpenCL is asked for: this program
 * defines clCreateBuffer() before the loader's, and adds up the sizes.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* RTLD_NEXT */
#endif
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "device/internal.h"
#include "support/test_devices.h"
#include "train/optimizer.h"

/* ---- what OpenCL is asked for ---- */

enum { MOST_BUFFERS = 4096 };

static struct {
    cl_mem memory;
    size_t size_bytes;
    unsigned references;
} buffers[MOST_BUFFERS];
static uint64_t live_bytes;    /* of those that are not released */
static uint64_t created_bytes; /* of all */

static void find(void *function, const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    assert_non_null(found);
    memcpy(function, &found, sizeof found);
}

/* Parts of buffers are not counted: they are made by clCreateSubBuffer(). */
CL_API_ENTRY cl_mem CL_API_CALL clCreateBuffer(cl_context context, cl_mem_flags flags,
                                               size_t size_bytes, void *host, cl_int *code) {
    static cl_mem(CL_API_CALL * next)(cl_context, cl_mem_flags, size_t, void *, cl_int *);
    if (next == NULL) {
        find(&next, "clCreateBuffer");
    }
    cl_mem memory = next(context, flags, size_bytes, host, code);
    size_t free_place = 0;
    while (free_place < MOST_BUFFERS && buffers[free_place].references > 0) {
        free_place++;
    }
    assert_true(memory != NULL && free_place < MOST_BUFFERS);
    buffers[free_place].memory = memory;
    buffers[free_place].size_bytes = size_bytes;
    buffers[free_place].references = 1;
    live_bytes += size_bytes;
    created_bytes += size_bytes;
    return memory;
}

CL_API_ENTRY cl_int CL_API_CALL clReleaseMemObject(cl_mem memory) {
    static cl_int(CL_API_CALL * next)(cl_mem);
    if (next == NULL) {
        find(&next, "clReleaseMemObject");
    }
    for (size_t i = 0; i < MOST_BUFFERS; i++) {
        if (buffers[i].references > 0 && buffers[i].memory == memory) {
            buffers[i].references--;
            live_bytes -= buffers[i].size_bytes;
        }
    }
    return next(memory);
}

/* ---- models ---- */

/* Widths that are no multiples of panels and tiles. */
static const char narrow[] = "random:n_layer=3,n_embd=20,n_head=2,n_vocab=37,n_ctx=24,n_inner=28";
static const char wide[] = "random:n_layer=2,n_embd=168,n_head=3,n_vocab=211,n_ctx=40,n_inner=410";

static const struct {
    const char *source; /* NULL: a file, whose frozen embeddings are read in place */
    clm_train_policy train;
    clm_precision precision;
    bool recompute;
    int B, T;
} cases[] = {
    {narrow, CLM_TRAIN_NOTHING, CLM_PRECISION_F32, false, 1, 1},
    {narrow, CLM_TRAIN_HEAD, CLM_PRECISION_F32, false, 3, 7},
    {NULL, CLM_TRAIN_LAST_BLOCK, CLM_PRECISION_F32, false, 2, 11},
    {NULL, CLM_TRAIN_ALL, CLM_PRECISION_BF16, true, 5, 9},
    {narrow, CLM_TRAIN_LAST_TWO_BLOCKS, CLM_PRECISION_F16, true, 4, 24},
    {narrow, CLM_TRAIN_ALL, CLM_PRECISION_F32, true, 3, 13},
    {wide, CLM_TRAIN_NOTHING, CLM_PRECISION_F16, false, 2, 40},
    {wide, CLM_TRAIN_HEAD, CLM_PRECISION_BF16, false, 8, 5},
    {wide, CLM_TRAIN_LAST_BLOCK, CLM_PRECISION_F16, false, 6, 31},
    {wide, CLM_TRAIN_LAST_BLOCK, CLM_PRECISION_BF16, true, 1, 40},
    {wide, CLM_TRAIN_ALL, CLM_PRECISION_F32, false, 2, 17},
    {wide, CLM_TRAIN_ALL, CLM_PRECISION_F16, true, 7, 33},
};

static void pass(clm_model *model, int B, int T, clm_buffer *losses) {
    int32_t *tokens = calloc((size_t)B * (size_t)T, sizeof *tokens);
    int32_t *targets = calloc((size_t)B, sizeof *targets);
    assert_true(tokens != NULL && targets != NULL);
    for (int i = 0; i < B * T; i++) {
        tokens[i] = i * 7 % clm_model_get_config(model)->n_vocab;
    }
    const bool trains = losses != NULL;
    assert_ok(clm_model_pass(model, &(clm_pass){.B = B,
                                                .T = T,
                                                .tokens = tokens,
                                                .targets = trains ? targets : NULL,
                                                .losses = losses,
                                                .scale = trains ? 1.0F : 0.0F}));
    free(tokens);
    free(targets);
}

/* What has been allocated and kept since `before_bytes`. */
static uint64_t kept_since(clm_device *device, uint64_t before_bytes) {
    assert_ok(clm_buffer_pool_trim(device)); /* of what was copied and packed from */
    return live_bytes - before_bytes;
}

static void run_case(clm_device *device, size_t number) {
    const int B = cases[number].B;
    const int T = cases[number].T;
    clm_model_options options = CLM_MODEL_OPTIONS_DEFAULT;
    const clm_adamw adamw = {.learning_rate = 1e-3, .beta1 = 0.9, .beta2 = 0.9, .step = 1};
    const char *source =
        cases[number].source != NULL ? cases[number].source : clm_test_source("golden/tiny");
    clm_model *model = NULL;
    clm_optimizer optimizer = {0};
    clm_buffer *losses = NULL;
    options.train = cases[number].train;
    options.n_labels = 3;
    options.precision = cases[number].precision;
    options.recompute = cases[number].recompute;
    (void)kept_since(device, 0);

    uint64_t before_bytes = live_bytes;
    assert_ok(clm_model_open(&model, device, source, &options));
    const clm_memory_plan plan = clm_model_plan(model, B, T);
    clm_memory_estimate need;
    assert_ok(clm_model_estimate_memory(device, clm_model_get_config(model), &plan, &need));
    assert_int_equal(kept_since(device, before_bytes),
                     need.parameters_bytes + need.gradients_bytes);

    before_bytes = live_bytes;
    if (options.train != CLM_TRAIN_NOTHING) {
        assert_ok(clm_optimizer_make(&optimizer, model));
        assert_ok(clm_buffer_create_exact(&losses, device, (size_t)B * sizeof(float), "losses"));
        before_bytes += (size_t)B * sizeof(float);
    }
    assert_int_equal(kept_since(device, before_bytes), need.moments_bytes);

    /* Passes allocate once, nothing that they do not keep, and steps nothing. */
    uint64_t before_created_bytes = created_bytes;
    pass(model, B, T, losses);
    assert_int_equal(created_bytes - before_created_bytes, need.activations_bytes);
    before_created_bytes = created_bytes;
    pass(model, B, T, losses);
    if (losses != NULL) {
        assert_ok(clm_optimizer_step(&optimizer, &adamw));
    }
    assert_int_equal(created_bytes, before_created_bytes);
    assert_int_equal(need.total_bytes, need.parameters_bytes + need.gradients_bytes +
                                           need.moments_bytes + need.activations_bytes);
    assert_true(need.activations_bytes > 0);
    print_message("case %zu: %llu bytes\n", number, (unsigned long long)need.total_bytes);
    clm_optimizer_free(&optimizer);
    clm_buffer_release(losses);
    clm_model_close(model);
}

static void what_is_told_is_what_is_allocated(clm_device *device) {
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        run_case(device, i);
    }
}
CLM_ON_EACH_DEVICE(what_is_told_is_what_is_allocated)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_told_is_what_is_allocated_test),
    };
    return cmocka_run_group_tests(tests, NULL, clm_test_close_devices);
}
