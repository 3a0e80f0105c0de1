/* What is said of memory: whether it is enough, and what would be. Devices are only asked what
 * their kernels need.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/test_devices.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "model/fit.h"

enum { T = 120, mib = 1 << 20 };

static const clm_model_config gpt2 = CLM_MODEL_CONFIG_DEFAULT;

static clm_device *device;

static clm_memory_estimate estimate(const clm_memory_plan *plan) {
    clm_memory_estimate need;
    assert_ok(clm_model_estimate_memory(device, &gpt2, plan, &need));
    return need;
}

static clm_status check(const clm_memory_plan *plan, int accumulate, uint64_t memory_bytes,
                        uint64_t piece_bytes) {
    const clm_device_info info = {.name = "a device",
                                  .memory_size_bytes = memory_bytes,
                                  .max_allocation_size_bytes = piece_bytes};
    return clm_fit_check(&(clm_fit){
        .config = &gpt2, .device = device, .info = &info, .plan = *plan, .accumulate = accumulate});
}

static const clm_memory_plan all = {.train = CLM_TRAIN_ALL, .B = 8, .T = T};

static void enough_is_enough(void) {
    const clm_memory_estimate need = estimate(&all);
    assert_ok(check(&all, 1, need.total_bytes, need.largest_buffer_bytes));
    assert_status(CLM_ERROR_DEVICE_MEMORY,
                  check(&all, 1, need.total_bytes - 1, need.largest_buffer_bytes));
    assert_status(CLM_ERROR_DEVICE_MEMORY,
                  check(&all, 1, need.total_bytes, need.largest_buffer_bytes - 1));
    /* The token embedding, 147 MiB, is no reason: it lies in parts. */
    assert_true(need.largest_buffer_bytes < 100 * mib);
}

static bool fits(int B, bool recompute, uint64_t memory_bytes) {
    clm_memory_plan plan = all;
    plan.B = B;
    plan.recompute = recompute;
    return estimate(&plan).total_bytes <= memory_bytes;
}

/* Whatever the memory, the message names the batch that a plain search finds. */
static void the_message_says_what_fits(void) {
    int told = 0;
    for (uint64_t memory_bytes = estimate(&all).total_bytes - 1; memory_bytes > 1900ULL * mib;
         memory_bytes -= 37ULL * mib) {
        char part[120];
        int largest = 8;
        assert_status(CLM_ERROR_DEVICE_MEMORY, check(&all, 1, memory_bytes, UINT64_MAX));
        while (largest > 0 && !fits(largest, false, memory_bytes)) {
            largest--;
        }
        if (largest == 0) {
            break;
        }
        told++;
        (void)snprintf(part, sizeof part, "the largest batch that fits is %d", largest);
        assert_message_has(part);
        clm_memory_plan plan = all;
        plan.B = largest >= 4 ? 4 : largest >= 2 ? 2 : 1;
        (void)snprintf(part, sizeof part, "What fits: --batch %d --accumulate %d (%.0f MiB)",
                       plan.B, 8 / plan.B, (double)estimate(&plan).total_bytes / mib);
        assert_message_has(part);
        /* Computing activations again is named when it makes more room. */
        if (fits(8, true, memory_bytes)) {
            plan = all;
            plan.recompute = true;
            (void)snprintf(part, sizeof part, "; --recompute (%.0f MiB)",
                           (double)estimate(&plan).total_bytes / mib);
            assert_message_has(part);
        }
    }
    assert_true(told > 5);
}

static void steps_keep_their_texts(void) {
    clm_memory_plan plan = all;
    plan.B = 5;
    const uint64_t four_bytes =
        estimate(&(clm_memory_plan){.train = CLM_TRAIN_ALL, .B = 4, .T = T}).total_bytes;
    /* Two batches of 5 are ten texts: not passes of 4, though these fit. */
    assert_status(CLM_ERROR_DEVICE_MEMORY, check(&plan, 2, four_bytes, UINT64_MAX));
    assert_message_has("the largest batch that fits is 4");
    assert_message_has("--batch 2 --accumulate 5 (");
    assert_message_has("parameters 475, gradients 475, moments 949");
}

static void frozen_weights_may_be_halved_and_fewer_trained(void) {
    clm_memory_plan plan = all;
    plan.train = CLM_TRAIN_LAST_BLOCK;
    plan.B = 1;
    const clm_memory_estimate one = estimate(&plan);
    assert_status(CLM_ERROR_DEVICE_MEMORY, check(&plan, 1, one.total_bytes - 20 * mib, UINT64_MAX));
    assert_message_has("What fits: --precision f16 (");
    plan.train = CLM_TRAIN_ALL;
    assert_status(CLM_ERROR_DEVICE_MEMORY, check(&plan, 1, one.total_bytes, UINT64_MAX));
    assert_message_has("What fits: --train last-block (");
    assert_status(CLM_ERROR_DEVICE_MEMORY, check(&plan, 1, mib, UINT64_MAX));
    assert_message_has("nothing of it does");
}

/* Passes that evaluate longer texts keep nothing, and use the memory of those that train. */
static void longer_texts_may_be_evaluated(void) {
    clm_memory_estimate need;
    const clm_device_info info = {.name = "a device",
                                  .memory_size_bytes = UINT64_MAX,
                                  .max_allocation_size_bytes = UINT64_MAX};
    clm_fit fit = {.config = &gpt2, .device = device, .info = &info, .plan = all, .accumulate = 1};
    fit.evaluated_T = T;
    assert_ok(clm_fit_estimate(&fit, &need));
    assert_int_equal(need.total_bytes, estimate(&all).total_bytes);
    fit.evaluated_T = T + 8; /* less than what training keeps */
    assert_ok(clm_fit_estimate(&fit, &need));
    assert_int_equal(need.total_bytes, estimate(&all).total_bytes);
    fit.plan.train = CLM_TRAIN_HEAD;
    fit.evaluated_T = 1024;
    const clm_memory_plan evaluation = {.B = 8, .T = 1024};
    const clm_memory_estimate head = estimate(&fit.plan);
    assert_ok(clm_fit_estimate(&fit, &need));
    assert_int_equal(need.activations_bytes, estimate(&evaluation).activations_bytes);
    assert_int_equal(need.total_bytes,
                     head.total_bytes - head.activations_bytes + need.activations_bytes);
    const clm_device_info small = {.name = "a device",
                                   .memory_size_bytes = need.total_bytes - 1,
                                   .max_allocation_size_bytes = UINT64_MAX};
    fit.info = &small;
    assert_status(CLM_ERROR_DEVICE_MEMORY, clm_fit_check(&fit));
    assert_message_has("batches of 8 x 120 tokens, evaluation with 1024");
    assert_message_has("--batch 4 --accumulate 2");
}

/* Before anything is known of texts: no batch is to blame. */
static void a_model_alone_may_be_too_large(void) {
    clm_memory_plan plan = {.train = CLM_TRAIN_ALL};
    assert_ok(check(&plan, 1, 2000ULL * mib, 128 * mib));
    assert_status(CLM_ERROR_DEVICE_MEMORY, check(&plan, 1, 1000 * mib, 128 * mib));
    assert_message_has("however few texts");
    assert_message_has("What fits: --train last-two-blocks (");
    assert_status(CLM_ERROR_DEVICE_MEMORY, check(&plan, 1, 2000ULL * mib, mib));
    assert_message_has("nothing of it does");
    plan.train = CLM_TRAIN_NOTHING;
    assert_status(CLM_ERROR_DEVICE_MEMORY, check(&plan, 1, 400 * mib, 128 * mib));
    assert_message_has("What fits: --precision f16 (");
}

static void on_device(clm_device *each) {
    device = each;
    enough_is_enough();
    the_message_says_what_fits();
    steps_keep_their_texts();
    frozen_weights_may_be_halved_and_fewer_trained();
    longer_texts_may_be_evaluated();
    a_model_alone_may_be_too_large();
}

static void fits_are_told(void **state) {
    (void)state;
    clm_test_each_device(on_device);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fits_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, clm_test_close_devices);
}
