/* A child of a process that uses a device may not use it, and is told so at once, where a driver
 * would hang. The parent does not notice.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/test_devices.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clm/device.h"
#include "device/internal.h"
#include "ops/ops.h"

enum { count = 1000 };

#define EXPECT(call)                                                                    \
    do {                                                                                \
        const clm_status got = (call);                                                  \
        if (got != CLM_ERROR_FORKED || strstr(clm_error_message(), "forked") == NULL) { \
            (void)fprintf(stderr, "%s: %s: %s\n", #call, clm_status_name(got),          \
                          clm_error_message());                                         \
            return 1;                                                                   \
        }                                                                               \
    } while (0)

/* Every call that would reach the driver. */
static int be_the_child(clm_device *device, clm_buffer *buffer, clm_read *begun) {
    float values[count] = {0};
    clm_device_info *list = NULL;
    clm_device *another = NULL;
    clm_buffer *made = NULL;
    clm_kernel_time *times = NULL;
    clm_read read = {0};
    size_t found = 0;
    char text[100];
    EXPECT(clm_device_list(&list, &found));
    EXPECT(clm_device_open(&another, NULL));
    EXPECT(clm_device_hints(text, sizeof text));
    EXPECT(clm_buffer_create(&made, device, sizeof values, "a test"));
    EXPECT(clm_buffer_create_lent(&made, device, values, sizeof values, "a test"));
    EXPECT(clm_buffer_create_part(&made, buffer, 0, 64, "a test"));
    EXPECT(clm_buffer_write(buffer, 0, values, sizeof values));
    EXPECT(clm_buffer_write_lent(buffer, 0, values, sizeof values));
    EXPECT(clm_buffer_read(buffer, 0, values, sizeof values));
    EXPECT(clm_buffer_read_begin(&read, buffer, 0, values, sizeof values));
    EXPECT(clm_read_wait(begun));
    EXPECT(clm_buffer_zero(buffer, 0, sizeof values));
    EXPECT(clm_buffer_copy(buffer, 0, buffer, 2000, 1000));
    EXPECT(clm_residual_forward(device, buffer, buffer, buffer, count));
    EXPECT(clm_device_finish(device));
    EXPECT(clm_device_profile(device, &times, &found));
    EXPECT(clm_buffer_pool_trim(device));
    clm_buffer_release(buffer);
    clm_device_close(device); /* the child's memory only */
    return 0;
}

/* Opened by this test alone, since the child closes it. */
static void a_child_is_refused(clm_device *given) {
    char index[24];
    clm_device *device = NULL;
    clm_device_options options = CLM_DEVICE_OPTIONS_DEFAULT;
    float values[count];
    float back[count] = {0};
    clm_read begun = {0};
    int status = 0;
    (void)snprintf(index, sizeof index, "%d", clm_device_get_info(given)->index);
    options.pattern = index;
    options.profile = true;
    assert_ok(clm_device_open(&device, &options));
    clm_test_fill_normal(values, count, 1.0F);
    clm_buffer *buffer = NULL;
    assert_ok(clm_buffer_create(&buffer, device, sizeof values, "a test"));
    assert_ok(clm_buffer_write(buffer, 0, values, sizeof values));
    assert_ok(clm_residual_forward(device, buffer, buffer, buffer, count));
    assert_ok(clm_buffer_read_begin(&begun, buffer, 0, back, sizeof back));
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)alarm(60); /* a hang is a failure, too */
        _exit(be_the_child(device, buffer, &begun));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (status != 0) {
        fail_msg("the child ended with status 0x%x (a signal 14 is a hang)", (unsigned)status);
    }
    assert_ok(clm_read_wait(&begun));
    for (int i = 0; i < count; i++) {
        assert_true(back[i] == 2.0F * values[i]);
    }
    clm_buffer_release(buffer);
    clm_device_close(device);
}

CLM_ON_EACH_DEVICE(a_child_is_refused)

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_child_is_refused_test)};
    return cmocka_run_group_tests(tests, NULL, clm_test_close_devices);
}
