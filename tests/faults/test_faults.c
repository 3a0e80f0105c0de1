/* That faults.c fails what it is told to fail, and sees what is left.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/test_devices.h"

#include <string.h>

#include "base/memory.h"
#include "device/internal.h"
#include "faults.h"

enum { depth = 8 };

__attribute__((noinline)) static clm_status allocate_here(void **memory) {
    return clm_allocate(memory, 1, 8, "a test");
}

__attribute__((noinline)) static clm_status allocate_there(void **memory) {
    clm_status status = clm_allocate(memory, 1, 16, "a test");
    return status == CLM_OK ? status : CLM_ERROR_MEMORY; /* no tail call: a frame of its own */
}

/* Twice here, once there; how many there are in the end. */
__attribute__((noinline)) static int allocate_three(void *memory[3]) {
    int count = 0;
    for (int i = 0; i < 3; i++) {
        memory[i] = NULL;
        count += (i < 2 ? allocate_here(&memory[i]) : allocate_there(&memory[i])) == CLM_OK;
    }
    return count;
}

static void free_three(void *memory[3]) {
    for (int i = 0; i < 3; i++) {
        clm_free(memory[i]);
    }
}

static void sites_are_told_apart(void **state) {
    (void)state;
    void *memory[3];
    char left[128];
    size_t count = 0;
    clm_faults_record(depth);
    assert_int_equal(allocate_three(memory), 3);
    clm_faults_end();
    assert_int_equal(clm_faults_left(left, sizeof left), 3);
    assert_string_equal(left, "3 allocations");
    free_three(memory);
    assert_int_equal(clm_faults_left(left, sizeof left), 0);
    const clm_fault_site *sites = clm_faults_sites(&count);
    uint64_t calls = 0;
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(sites[i].kind, CLM_FAULT_MEMORY);
        assert_string_equal(sites[i].call, "calloc");
        calls += sites[i].count;
    }
    assert_true(count >= 2 && calls == 3);
}

static void the_site_that_is_named_fails(void **state) {
    (void)state;
    void *memory[3];
    size_t count = 0;
    clm_faults_record(depth);
    assert_int_equal(allocate_three(memory), 3);
    clm_faults_end();
    free_three(memory);
    const clm_fault_site *sites = clm_faults_sites(&count);
    const clm_fault fault = {
        .kind = CLM_FAULT_MEMORY, .way = sites[count - 1].way, .call = "calloc", .number = 1};
    clm_faults_inject(&fault, depth);
    assert_int_equal(allocate_three(memory), 2);
    clm_faults_end();
    assert_int_equal(clm_faults_fired(), 1);
    assert_string_equal(clm_faults_fired_call(), "calloc");
    assert_null(memory[2]);
    assert_message_has("no room for 1 x 16 bytes of a test");
    free_three(memory);
}

static void once_or_for_good(void **state) {
    (void)state;
    void *memory[3];
    clm_fault fault = {.kind = CLM_FAULT_MEMORY, .number = 2};
    clm_faults_inject(&fault, depth);
    assert_int_equal(allocate_three(memory), 2);
    clm_faults_end();
    assert_null(memory[1]);
    free_three(memory);
    fault.for_good = true;
    clm_faults_inject(&fault, depth);
    assert_int_equal(allocate_three(memory), 1);
    clm_faults_end();
    assert_int_equal(clm_faults_fired(), 2);
    free_three(memory);
    fault.number = 4; /* there are only three */
    clm_faults_inject(&fault, depth);
    assert_int_equal(allocate_three(memory), 3);
    clm_faults_end();
    assert_int_equal(clm_faults_fired(), 0);
    free_three(memory);
}

static void what_opencl_is_left_is_counted(clm_device *device) {
    char left[256];
    clm_device *opened = NULL;
    clm_device_options options = CLM_DEVICE_OPTIONS_DEFAULT;
    options.pattern = clm_device_get_info(device)->name;
    clm_faults_record(depth);
    assert_ok(clm_device_open(&opened, &options));
    clm_faults_stop();
    assert_true(clm_faults_left(left, sizeof left) > 0);
    assert_non_null(strstr(left, "1 contexts, 1 queues, 1 memory objects"));
    clm_device_close(opened);
    assert_int_equal(clm_faults_left(left, sizeof left), 0);
    clm_faults_end();
}

static void a_call_of_opencl_fails_with_its_code(clm_device *device) {
    clm_buffer *buffer = NULL;
    const clm_fault fault = {.call = "clEnqueueFillBuffer", .number = 2};
    assert_ok(clm_buffer_create(&buffer, device, 64, "a test"));
    clm_faults_inject(&fault, depth);
    assert_ok(clm_buffer_zero(buffer, 0, 64));
    assert_status(CLM_ERROR_DEVICE_MEMORY, clm_buffer_zero(buffer, 0, 64));
    assert_message_has("clEnqueueFillBuffer returned CL_OUT_OF_RESOURCES");
    assert_ok(clm_buffer_zero(buffer, 0, 64));
    clm_faults_end();
    assert_int_equal(clm_faults_fired_code(), CL_OUT_OF_RESOURCES);
    clm_buffer_release(buffer);
}

/* A large buffer has memory of clm's own where that pays, the driver's where something fails, and
 * leaves nothing in either case. */
static void a_large_buffer_has_another_way(clm_device *device) {
    enum { size_bytes = 6 << 20, count = size_bytes / sizeof(uint32_t) };
    static const char *const calls[] = {"clCreateBuffer", "clSetMemObjectDestructorCallback",
                                        "no call"};
    static uint32_t values[count];
    static uint32_t back[count];
    const bool own = clm_quirk_wants_pages(clm_device_get_info(device));
    assert_ok(clm_buffer_pool_trim(device));
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        char left[256];
        clm_buffer *buffer = NULL;
        cl_mem_flags flags = 0;
        const clm_fault fault = {.call = calls[i], .number = 1};
        for (uint32_t k = 0; k < count; k++) {
            values[k] = k * 2654435761U + (uint32_t)i;
        }
        clm_faults_inject(&fault, depth);
        assert_ok(clm_buffer_create(&buffer, device, size_bytes, "a test"));
        clm_faults_stop();
        assert_int_equal(clm_faults_fired(), i == 0 || (i == 1 && own) ? 1 : 0);
        assert_int_equal(
            clGetMemObjectInfo(clm_buffer_memory(buffer), CL_MEM_FLAGS, sizeof flags, &flags, NULL),
            CL_SUCCESS);
        assert_true(((flags & CL_MEM_USE_HOST_PTR) != 0) == (own && i == 2));
        assert_ok(clm_buffer_write(buffer, 0, values, size_bytes));
        assert_ok(clm_buffer_read(buffer, 0, back, size_bytes));
        assert_memory_equal(back, values, size_bytes);
        clm_buffer_release(buffer);
        assert_ok(clm_buffer_pool_trim(device));
        assert_int_equal(clm_faults_left(left, sizeof left), 0);
        clm_faults_end();
    }
}

CLM_ON_EACH_DEVICE(what_opencl_is_left_is_counted)
CLM_ON_EACH_DEVICE(a_large_buffer_has_another_way)
CLM_ON_EACH_DEVICE(a_call_of_opencl_fails_with_its_code)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sites_are_told_apart),
        cmocka_unit_test(the_site_that_is_named_fails),
        cmocka_unit_test(once_or_for_good),
        cmocka_unit_test(what_opencl_is_left_is_counted_test),
        cmocka_unit_test(a_large_buffer_has_another_way_test),
        cmocka_unit_test(a_call_of_opencl_fails_with_its_code_test),
    };
    return cmocka_run_group_tests(tests, NULL, clm_test_close_devices);
}
