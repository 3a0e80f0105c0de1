/* Runs one kernel that is wrong on purpose, so that a test sees Oclgrind say so: "race" stores to
 * one place from every work-item, "overrun" stores past a buffer, "fine" does neither.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/test_devices.h"

static const char source[] =
    "__kernel void race(__global int *x) { x[0] = (int)get_global_id(0); }\n"
    "__kernel void overrun(__global int *x) { x[get_global_id(0) + (1 << 24)] = 1; }\n"
    "__kernel void fine(__global int *x) { x[get_global_id(0)] = 1; }\n";

static const char *kernel;

static void run_it(void **state) {
    (void)state;
    clm_device *device = NULL;
    clm_buffer *buffer = NULL;
    clm_test_write(clm_test_path("wrong.cl"), source, strlen(source));
    assert_int_equal(setenv("CLM_KERNEL_DIR", clm_test_folder(), 1), 0);
    assert_ok(clm_device_open(&device, NULL));
    assert_ok(clm_buffer_create(&buffer, device, 256, "a test"));
    clm_launch launch = clm_launch_begin(device, "wrong", kernel, NULL);
    clm_launch_buffer(&launch, buffer);
    assert_ok(clm_launch_1d(&launch, 64, 16));
    assert_ok(clm_device_finish(device));
    clm_buffer_release(buffer);
    clm_device_close(device);
}

int main(int argc, char **argv) {
    kernel = argc == 2 ? argv[1] : "fine";
    const struct CMUnitTest tests[] = {cmocka_unit_test(run_it)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
