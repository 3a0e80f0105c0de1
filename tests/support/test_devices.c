/* SPDX-License-Identifier: Apache-2.0 */
#include "support/test_devices.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/string.h"

enum { most_devices = 16, guard_count = 64 };

/* A NaN that no kernel makes, another one for each buffer: a kernel that runs past the end of its
 * input as well as its output carries the input's NaN along, and must not leave what stood there.
 */
static uint32_t guard_bits(const clm_buffer *buffer) {
    uint32_t hash = (uint32_t)((uintptr_t)buffer >> 4) * 2654435761U;
    return 0x7FC00001U | hash >> 10;
}

static clm_device *devices[most_devices];
static size_t device_count;

int clm_test_close_devices(void **state) {
    (void)state;
    for (size_t i = 0; i < device_count; i++) {
        clm_device_close(devices[i]);
    }
    device_count = 0;
    return 0;
}

static bool is_demanded_but_missing(const char *demanded, char *missing, size_t capacity) {
    char list[256];
    (void)snprintf(list, sizeof list, "%s", demanded);
    for (char *rest = list, *name = NULL; (name = strtok_r(rest, " ,", &rest)) != NULL;) {
        bool found = false;
        for (size_t i = 0; i < device_count; i++) {
            const clm_device_info *info = clm_device_get_info(devices[i]);
            found = found || clm_contains_ignoring_case(info->name, name) ||
                    clm_contains_ignoring_case(info->platform, name);
        }
        if (!found) {
            (void)snprintf(missing, capacity, "%s", name);
            return true;
        }
    }
    return false;
}

static void open_devices(void) {
    static bool done;
    if (done) {
        return;
    }
    done = true;
    clm_device_info *list = NULL;
    size_t count = 0;
    const char *wanted = getenv("CLM_TEST_DEVICE");
    if (clm_device_list(&list, &count) != CLM_OK) {
        count = 0;
    }
    for (size_t i = 0; i < count && device_count < most_devices; i++) {
        if (wanted != NULL && !clm_contains_ignoring_case(list[i].name, wanted) &&
            !clm_contains_ignoring_case(list[i].platform, wanted)) {
            continue;
        }
        char index[24];
        (void)snprintf(index, sizeof index, "%zu", i);
        clm_device_options options = CLM_DEVICE_OPTIONS_DEFAULT;
        options.pattern = index;
        assert_ok(clm_device_open(&devices[device_count], &options));
        device_count++;
    }
    clm_device_list_free(list);
}

bool clm_test_is_simulator(const clm_device *device) {
    return clm_device_is_simulator(device);
}

void clm_test_each_device(void (*test)(clm_device *device)) {
    open_devices();
    const char *demanded = getenv("CLM_DEMAND_DEVICES");
    char missing[256];
    if (demanded != NULL && getenv("CLM_TEST_DEVICE") == NULL &&
        is_demanded_but_missing(demanded, missing, sizeof missing)) {
        fail_msg("CLM_DEMAND_DEVICES asks for %s, which is not there", missing);
    }
    if (device_count == 0) {
        if (demanded != NULL) {
            fail_msg("no OpenCL device");
        }
        print_message("skipped: no OpenCL device\n");
        skip();
    }
    for (size_t i = 0; i < device_count; i++) {
        print_message("on %s\n", clm_device_get_info(devices[i])->name);
        test(devices[i]);
    }
}

clm_buffer *clm_test_buffer(clm_device *device, const void *values, size_t count) {
    clm_buffer *buffer = NULL;
    uint32_t *bits = malloc((count + guard_count) * sizeof *bits);
    assert_non_null(bits);
    assert_ok(clm_buffer_create(&buffer, device, (count + guard_count) * sizeof *bits, "a test"));
    for (size_t i = 0; i < count + guard_count; i++) {
        bits[i] = i < count ? 0x7FC00000 : guard_bits(buffer);
    }
    if (values != NULL) {
        memcpy(bits, values, count * sizeof *bits);
    }
    assert_ok(clm_buffer_write(buffer, 0, bits, (count + guard_count) * sizeof *bits));
    free(bits);
    return buffer;
}

void clm_test_buffer_read(const clm_buffer *buffer, void *values, size_t count) {
    assert_ok(clm_buffer_read(buffer, 0, values, count * sizeof(float)));
}

void clm_test_buffer_check(clm_buffer *buffer, size_t count) {
    uint32_t guard[guard_count];
    assert_ok(clm_buffer_read(buffer, count * sizeof *guard, guard, sizeof guard));
    for (size_t i = 0; i < guard_count; i++) {
        if (guard[i] != guard_bits(buffer)) {
            fail_msg("a kernel wrote %zu elements past the end of a buffer of %zu", i + 1, count);
        }
    }
    clm_buffer_release(buffer);
}

clm_device *clm_test_open_again(const clm_device *device) {
    char index[24];
    clm_device *again = NULL;
    clm_device_options options = CLM_DEVICE_OPTIONS_DEFAULT;
    (void)snprintf(index, sizeof index, "%d", clm_device_get_info(device)->index);
    options.pattern = index;
    assert_ok(clm_device_open(&again, &options));
    return again;
}
