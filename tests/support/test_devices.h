/* Runs a test on every OpenCL device present.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TEST_DEVICES_H
#define CLM_TEST_DEVICES_H

#include "device/device.h"
#include "support/test_support.h"

/* Calls `test` once for each device (opened once a process), after printing its name.
 * $CLM_TEST_DEVICE narrows the choice to devices whose name or platform contains it. Without any
 * device the test is skipped, or fails when CLM_DEMAND_DEVICES is set. */
void clm_test_each_device(void (*test)(clm_device *device));

/* Whether the device is a simulator that takes minutes for what others do in a moment. */
bool clm_test_is_simulator(const clm_device *device);

/* Makes <test>_test, for cmocka_unit_test(), which calls `test` on each device. */
#define CLM_ON_EACH_DEVICE(test)            \
    static void test##_test(void **state) { \
        (void)state;                        \
        clm_test_each_device(test);         \
    }

/* The same device once more, with nothing built or replaced yet; the caller closes it. */
clm_device *clm_test_open_again(const clm_device *device);

/* The group teardown of every program that uses clm_test_each_device(). Not left to atexit:
 * Oclgrind has taken itself down by then, and crashes. */
int clm_test_close_devices(void **state);

/* A buffer that holds a copy of `count` values of 4 bytes between guard bands; freed, after its
 * bands were checked, by clm_test_buffer_check(). `values` NULL fills it with NaN, so that a kernel
 * that reads before it writes, or forgets to write, is seen. Kernels must not see the bands: the
 * buffer's own end is its last band, so overruns land in it. */
clm_buffer *clm_test_buffer(clm_device *device, const void *values, size_t count);
void clm_test_buffer_read(const clm_buffer *buffer, void *values, size_t count);
/* Checks that nothing was written past `count` values, and releases the buffer. */
void clm_test_buffer_check(clm_buffer *buffer, size_t count);

#endif
