/* Choosing among made-up devices.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/test_support.h"

#include <stdlib.h>
#include <string.h>

#include "device/find.h"

static const clm_found_device some[] = {
    {.info = {.index = 0,
              .type = CLM_DEVICE_CPU,
              .name = "llvmpipe (LLVM 15)",
              .platform = "rusticl",
              .compute_units = 64}},
    {.info = {.index = 1,
              .type = CLM_DEVICE_CPU,
              .name = "pthread-skylake",
              .platform = "Portable Computing Language",
              .compute_units = 2}},
    {.info = {.index = 2,
              .type = CLM_DEVICE_GPU,
              .name = "AMD Radeon RX 6600",
              .platform = "rusticl",
              .compute_units = 28}},
    {.info = {.index = 3,
              .type = CLM_DEVICE_GPU,
              .name = "Intel(R) Arc(TM) A380",
              .platform = "Intel(R) OpenCL Graphics",
              .compute_units = 128}},
};
enum { some_count = sizeof some / sizeof *some };

static size_t choose(size_t count, const char *pattern) {
    size_t chosen = 99;
    assert_ok(clm_choose_device(some, count, pattern, &chosen));
    return chosen;
}

static void default_prefers_gpus_and_native_drivers(void **state) {
    (void)state;
    (void)unsetenv("CLM_DEVICE");
    assert_int_equal(choose(some_count, NULL), 3);
    assert_int_equal(choose(2, ""), 1);
    assert_int_equal(choose(1, NULL), 0);
}

static void patterns_are_indices_types_or_names(void **state) {
    (void)state;
    assert_int_equal(choose(some_count, "0"), 0);
    assert_int_equal(choose(some_count, "CPU"), 1);
    assert_int_equal(choose(some_count, "gpu"), 3);
    assert_int_equal(choose(some_count, "radeon"), 2);
    assert_int_equal(choose(some_count, "rusticl"), 2);
    assert_int_equal(choose(some_count, "pocl"), 1);
}

static void environment_speaks_when_nothing_is_asked(void **state) {
    (void)state;
    assert_int_equal(setenv("CLM_DEVICE", "pocl", 1), 0);
    assert_int_equal(choose(some_count, NULL), 1);
    assert_int_equal(choose(some_count, "arc"), 3);
    (void)unsetenv("CLM_DEVICE");
}

static void nothing_found_says_what_is_there(void **state) {
    (void)state;
    size_t chosen = 0;
    assert_status(CLM_ERROR_NO_DEVICE, clm_choose_device(some, some_count, "geforce", &chosen));
    assert_message_has("2: AMD Radeon RX 6600");
    assert_status(CLM_ERROR_NO_DEVICE, clm_choose_device(some, some_count, "4", &chosen));
}

static void types_have_names(void **state) {
    (void)state;
    assert_string_equal(clm_device_type_name(CLM_DEVICE_GPU), "GPU");
    assert_string_equal(clm_device_type_name(CLM_DEVICE_ACCELERATOR), "accelerator");
    assert_string_equal(clm_device_type_name(CLM_DEVICE_CPU), "CPU");
    assert_string_equal(clm_device_type_name(CLM_DEVICE_OTHER), "other");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(default_prefers_gpus_and_native_drivers),
        cmocka_unit_test(patterns_are_indices_types_or_names),
        cmocka_unit_test(environment_speaks_when_nothing_is_asked),
        cmocka_unit_test(nothing_found_says_what_is_there),
        cmocka_unit_test(types_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
