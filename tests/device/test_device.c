/* Buffers, programs and launches on every device present.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "ops/ops.h"
#include "support/test_devices.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file_input.h"
#include "base/memory.h"
#include "device/internal.h"

static void buffers_keep_what_is_written(clm_device *device) {
    float values[100];
    float back[100];
    clm_test_fill_normal(values, 100, 1.0F);
    clm_buffer *a = clm_test_buffer(device, values, 100);
    clm_buffer *b = clm_test_buffer(device, NULL, 100);
    assert_ok(clm_buffer_copy(b, 0, a, 0, 100 * sizeof(float)));
    assert_ok(clm_buffer_zero(b, 4 * sizeof(float), 8 * sizeof(float)));
    clm_test_buffer_read(b, back, 100);
    memset(values + 4, 0, 8 * sizeof(float));
    assert_memory_equal(back, values, sizeof values);
    assert_status(CLM_ERROR_ARGUMENT, clm_buffer_read(a, SIZE_MAX, back, 4));
    assert_status(CLM_ERROR_ARGUMENT, clm_buffer_write(a, 0, back, 4096));
    clm_test_buffer_check(a, 100);
    clm_test_buffer_check(b, 100);
}

static void released_buffers_are_used_again(clm_device *device) {
    clm_buffer *first = NULL;
    assert_ok(clm_buffer_create(&first, device, 123456, "a test"));
    cl_mem memory = clm_buffer_memory(first);
    uint64_t used = clm_device_memory_bytes(device);
    uint64_t peak = clm_device_memory_peak_bytes(device);
    assert_true(peak >= used);
    clm_buffer_release(first);
    assert_true(clm_device_memory_bytes(device) < used);
    assert_true(clm_device_memory_peak_bytes(device) == peak);
    assert_ok(clm_buffer_create(&first, device, 123450, "a test"));
    assert_ptr_equal(clm_buffer_memory(first), memory);
    assert_int_equal(clm_buffer_size_bytes(first), 123450);
    clm_buffer_release(first);
}

static void parts_are_their_whole(clm_device *device) {
    enum { most = 4096 };
    float values[3 * most];
    float back[3 * most];
    const size_t alignment_bytes = clm_device_part_alignment_bytes(device);
    const size_t alignment = alignment_bytes / sizeof(float);
    assert_true(alignment_bytes % 64 == 0 && alignment <= most);
    const uint64_t used = clm_device_memory_bytes(device);
    clm_test_fill_normal(values, 3 * alignment, 1.0F);
    clm_buffer *whole = clm_test_buffer(device, values, 3 * alignment);
    const uint64_t used_by_whole = clm_device_memory_bytes(device);
    clm_buffer *part = NULL;
    clm_buffer *end = NULL;
    assert_ok(clm_buffer_create_part(&part, whole, alignment_bytes, 5 * sizeof(float), "a part"));
    assert_ok(clm_buffer_create_part(&end, whole, 2 * alignment_bytes, alignment_bytes, "a part"));
    assert_int_equal(clm_buffer_size_bytes(part), 5 * sizeof(float));
    assert_true(clm_device_memory_bytes(device) == used_by_whole);
    /* What the whole holds is read through a part, and what is done to a part, through the whole:
     * by copies, by fills and by kernels. */
    assert_ok(clm_buffer_read(part, 0, back, 5 * sizeof(float)));
    assert_memory_equal(back, values + alignment, 5 * sizeof(float));
    assert_ok(clm_buffer_zero(part, 0, 2 * sizeof(float)));
    assert_ok(clm_buffer_copy(part, 2 * sizeof(float), end, sizeof(float), 2 * sizeof(float)));
    assert_ok(clm_residual_forward(device, end, end, end, alignment));
    memset(values + alignment, 0, 2 * sizeof(float));
    memcpy(values + alignment + 2, values + 2 * alignment + 1, 2 * sizeof(float));
    for (size_t i = 2 * alignment; i < 3 * alignment; i++) {
        values[i] *= 2.0F;
    }
    clm_test_buffer_read(whole, back, 3 * alignment);
    assert_memory_equal(back, values, 3 * alignment * sizeof(float));
    assert_status(CLM_ERROR_ARGUMENT, clm_buffer_read(part, 0, back, 6 * sizeof(float)));
    clm_buffer_release(part);
    clm_buffer_release(end);
    static const size_t wrong[][2] = {{4, 4}, {0, 0}, {0, (size_t)1 << 40}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_status(CLM_ERROR_ARGUMENT, clm_buffer_create_part(&part, whole, wrong[i][0],
                                                                 wrong[i][1], "the third part"));
        assert_null(part);
        assert_message_has("the third part");
    }
    clm_test_buffer_check(whole, 3 * alignment);
    assert_true(clm_device_memory_bytes(device) == used);
}

/* What the pool held no longer counts, so that a large buffer of another size raises no peak. */
/* A file's bytes as a buffer, at an odd place, on a private mapping as weights have it; and small
 * writes that the queue has not come to when the host changes its memory, more of them than wait at
 * a time. */
static void bytes_of_the_host_arrive(clm_device *device) {
    enum { count = 5000, first = 3, writes = 50 };
    float values[count];
    float got[count];
    clm_file_input input = {0};
    const unsigned char *mapped = NULL;
    clm_buffer *lent = NULL;
    clm_buffer *copy = NULL;
    for (int i = 0; i < count; i++) {
        values[i] = (float)i;
    }
    const char *path = clm_test_path("values");
    clm_test_write(path, values, sizeof values);
    assert_ok(clm_file_input_open(&input, path));
    assert_ok(clm_file_input_map(&input, &mapped));
    const float *bytes = (const float *)(const void *)mapped + first;
    const size_t size_bytes = (count - first) * sizeof(float);
    assert_ok(clm_buffer_create_lent(&lent, device, bytes, size_bytes, "a file"));
    assert_int_equal(clm_buffer_size_bytes(lent), size_bytes);
    assert_ok(clm_buffer_create(&copy, device, size_bytes, "a copy"));
    assert_ok(clm_buffer_copy(copy, 0, lent, 0, size_bytes));
    assert_ok(clm_buffer_read(copy, 0, got, size_bytes));
    assert_memory_equal(got, values + first, size_bytes);
    clm_buffer_release(lent);
    for (int i = 0; i < writes; i++) {
        const float value = (float)-i;
        assert_ok(clm_buffer_write(copy, (size_t)i * sizeof value, &value, sizeof value));
    }
    assert_ok(clm_buffer_write_lent(copy, writes * sizeof *values, values, sizeof *values));
    clm_read reads[2] = {{0}};
    assert_ok(clm_buffer_read_begin(&reads[0], copy, 0, got, writes * sizeof *got));
    assert_ok(
        clm_buffer_read_begin(&reads[1], copy, writes * sizeof *got, got + writes, sizeof *got));
    assert_ok(clm_read_wait(&reads[1]));
    assert_ok(clm_read_wait(&reads[0]));
    assert_ok(clm_read_wait(&reads[0])); /* of none is fine */
    for (int i = 0; i < writes; i++) {
        assert_true(got[i] == (float)-i);
    }
    assert_true(got[writes] == values[0]);
    assert_status(CLM_ERROR_ARGUMENT, clm_buffer_read_begin(&reads[0], copy, size_bytes, got, 1));
    assert_status(CLM_ERROR_ARGUMENT, clm_buffer_write_lent(copy, size_bytes, got, 1));
    clm_buffer_release(copy);
    assert_ok(clm_device_finish(device));
    clm_file_input_close(&input);
}

/* Writes that the queue has not come to yet keep what they were given, however large they are and
 * whatever becomes of the host's memory; more of them than places to keep them, too. */
static void writes_keep_what_they_were_given(clm_device *device) {
    enum { rounds = 3 * CLM_STAGING_COUNT, most = CLM_STAGING_BYTES / 4 + 5 };
    clm_buffer *buffers[rounds];
    uint32_t *values = NULL;
    assert_ok(clm_allocate(&values, most, sizeof *values, "values"));
    for (uint32_t round = 0; round < rounds; round++) {
        const size_t count = round % 5 == 4 ? most : 1 + round * 1999;
        assert_ok(clm_buffer_create(&buffers[round], device, count * sizeof *values, "values"));
        for (size_t i = 0; i < count; i++) {
            values[i] = round * 1000003U + (uint32_t)i;
        }
        assert_ok(clm_buffer_write(buffers[round], 0, values, count * sizeof *values));
        memset(values, 0xff, count * sizeof *values);
    }
    for (uint32_t round = 0; round < rounds; round++) {
        const size_t count = clm_buffer_size_bytes(buffers[round]) / sizeof *values;
        assert_ok(clm_buffer_read(buffers[round], 0, values, count * sizeof *values));
        for (size_t i = 0; i < count; i++) {
            assert_true(values[i] == round * 1000003U + (uint32_t)i);
        }
        clm_buffer_release(buffers[round]);
    }
    clm_free(values);
}

static void a_trimmed_pool_is_empty(clm_device *device) {
    enum { LARGE = 64 << 20, SMALLER = 40 << 20 };
    clm_buffer *buffer = NULL;
    assert_ok(clm_buffer_pool_trim(device));
    assert_ok(clm_buffer_create(&buffer, device, LARGE, "a test"));
    clm_buffer_release(buffer);
    const uint64_t peak = clm_device_memory_peak_bytes(device);
    assert_ok(clm_buffer_pool_trim(device));
    assert_ok(clm_buffer_create(&buffer, device, SMALLER, "a test"));
    assert_true(clm_device_memory_peak_bytes(device) == peak);
    clm_buffer_release(buffer);
}

/* Takes of one size or less share a buffer; a larger take frees it, but not under the kernels that
 * still use it. */
static void scratch_grows_and_is_used_again(clm_device *device) {
    enum { count = 1 << 20, rounds = 8 };
    clm_buffer *first = NULL;
    clm_buffer *scratch = NULL;
    assert_ok(clm_buffer_pool_trim(device));
    const uint64_t used = clm_device_memory_bytes(device);
    assert_ok(clm_scratch_take(device, 0, &scratch, "a test"));
    assert_null(scratch);
    assert_true(clm_device_memory_bytes(device) == used);
    assert_ok(clm_scratch_take(device, 5000, &first, "a test"));
    assert_ok(clm_scratch_take(device, 100, &scratch, "a test"));
    assert_ptr_equal(scratch, first);
    assert_true(clm_buffer_size_bytes(scratch) >= 5000);
    assert_true(clm_device_memory_bytes(device) == used); /* it is the device's own */
    assert_true(clm_device_memory_peak_bytes(device) >= used + 5000);

    clm_buffer *ones = clm_test_buffer(device, NULL, count);
    float *values = NULL;
    assert_ok(clm_allocate(&values, count, sizeof *values, "values"));
    clm_buffer *out[rounds];
    for (int round = 0; round < rounds; round++) {
        const size_t n = (size_t)count / rounds * (size_t)(round + 1);
        for (size_t i = 0; i < n; i++) {
            values[i] = (float)round;
        }
        out[round] = clm_test_buffer(device, NULL, n);
        assert_ok(clm_scratch_take(device, n * sizeof(float), &scratch, "a test"));
        assert_ok(clm_buffer_write(scratch, 0, values, n * sizeof *values));
        assert_ok(clm_buffer_write(ones, 0, values, n * sizeof *values));
        assert_ok(clm_residual_forward(device, out[round], scratch, ones, n));
    }
    for (int round = 0; round < rounds; round++) {
        const size_t n = (size_t)count / rounds * (size_t)(round + 1);
        clm_test_buffer_read(out[round], values, n);
        assert_true(values[0] == 2.0F * (float)round && values[n - 1] == 2.0F * (float)round);
        clm_test_buffer_check(out[round], n);
    }
    clm_free(values);
    clm_test_buffer_check(ones, count);

    const uint64_t most = clm_device_get_info(device)->max_allocation_size_bytes;
    assert_status(CLM_ERROR_DEVICE_MEMORY,
                  clm_scratch_take(device, (size_t)most + 1, &scratch, "partial sums"));
    assert_message_has("partial sums");
    assert_null(scratch);
    assert_ok(clm_buffer_pool_trim(device));
    assert_true(clm_device_memory_bytes(device) == used);
}

static void too_large_a_buffer_is_refused_by_name(clm_device *device) {
    clm_buffer *buffer = NULL;
    uint64_t most = clm_device_get_info(device)->max_allocation_size_bytes;
    assert_status(CLM_ERROR_DEVICE_MEMORY,
                  clm_buffer_create(&buffer, device, (size_t)most + 1, "the token embedding"));
    assert_message_has("the token embedding");
    assert_null(buffer);
}

static void a_wrong_kernel_is_named_with_its_line(clm_device *device) {
    static const char broken[] =
        "#include \"common.clh\"\n__kernel void broken(__global float *x) {\n"
        "    x[0] = undeclared_name;\n}\n";
    clm_test_write(clm_test_path("broken.cl"), broken, strlen(broken));
    clm_test_write(clm_test_path("common.clh"), "/* nothing */\n", 14);
    assert_int_equal(setenv("CLM_KERNEL_DIR", clm_test_folder(), 1), 0);
    clm_launch launch = clm_launch_begin(device, "broken", "broken", NULL);
    assert_int_equal(unsetenv("CLM_KERNEL_DIR"), 0);
    assert_int_equal(launch.status, CLM_ERROR_BUILD);
    assert_message_has("cl/broken.cl");
    assert_message_has("undeclared_name");
    /* Oclgrind counts lines of the whole source, whatever #line says. */
    if (strstr(clm_device_get_info(device)->platform, "Oclgrind") == NULL) {
        assert_message_has("broken.cl:3:");
    }
    assert_status(CLM_ERROR_BUILD, clm_launch_1d(&launch, 1, 1));
    launch = clm_launch_begin(device, "no_such_file", "x", NULL);
    assert_int_equal(launch.status, CLM_ERROR_INTERNAL);
}

static void a_kernel_runs(clm_device *device) {
    enum { count = 1000 };
    float a[count];
    float b[count];
    float sum[count];
    clm_test_fill_normal(a, count, 1.0F);
    clm_test_fill_normal(b, count, 1.0F);
    clm_buffer *device_a = clm_test_buffer(device, a, count);
    clm_buffer *device_b = clm_test_buffer(device, b, count);
    clm_buffer *out = clm_test_buffer(device, NULL, count);
    clm_launch launch = clm_launch_begin(device, "residual", "residual_forward", NULL);
    clm_launch_buffer(&launch, out);
    clm_launch_buffer(&launch, device_a);
    clm_launch_buffer(&launch, device_b);
    clm_launch_ulong(&launch, count);
    assert_ok(clm_launch_1d(&launch, count, clm_device_work_group(device, 64)));
    clm_test_buffer_read(out, sum, count);
    for (size_t i = 0; i < count; i++) {
        a[i] += b[i];
    }
    assert_all_close(sum, a, count, 0.0, 0.0, "sum");
    clm_test_buffer_check(device_a, count);
    clm_test_buffer_check(device_b, count);
    clm_test_buffer_check(out, count);
}

/* One byte after the other, whatever lies where; and nothing larger than the limit. */
static void a_large_buffer_lies_in_parts(clm_device *given) {
    enum { floats = 1000, row = 60 };
    char index[16];
    clm_device *device = NULL;
    clm_buffer *parts = NULL;
    clm_buffer *lent = NULL;
    clm_buffer *whole = NULL;
    float values[floats];
    float back[floats];
    float want[floats];
    clm_device_options options = CLM_DEVICE_OPTIONS_DEFAULT;
    (void)snprintf(index, sizeof index, "%d", clm_device_get_info(given)->index);
    options.pattern = index;
    assert_int_equal(setenv("CLM_MAX_ALLOC_MIB", "0.001", 1), 0); /* 1048 bytes */
    assert_ok(clm_device_open(&device, &options));
    assert_int_equal(setenv("CLM_MAX_ALLOC_MIB", "large", 1), 0);
    assert_status(CLM_ERROR_ARGUMENT, clm_device_open(&(clm_device *){NULL}, &options));
    assert_message_has("CLM_MAX_ALLOC_MIB");
    assert_int_equal(unsetenv("CLM_MAX_ALLOC_MIB"), 0);
    static const char *const limits[] = {"much", "-1", "1.5", "99999999999999999999"};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        assert_int_equal(setenv("CLM_KERNEL_CACHE_MIB", limits[i], 1), 0);
        assert_status(CLM_ERROR_ARGUMENT, clm_device_open(&(clm_device *){NULL}, &options));
        assert_message_has("CLM_KERNEL_CACHE_MIB is a whole number of MiB, not");
    }
    assert_int_equal(unsetenv("CLM_KERNEL_CACHE_MIB"), 0);
    assert_int_equal(clm_device_get_info(device)->max_allocation_size_bytes, 1048);
    const uint64_t used = clm_device_memory_bytes(device);
    clm_test_fill_normal(values, floats, 1.0F);
    assert_ok(clm_buffer_create_in_parts(&parts, device, NULL, sizeof values, row * sizeof(float),
                                         "a test"));
    assert_ok(clm_buffer_create_in_parts(&lent, device, values, sizeof values, row * sizeof(float),
                                         "a test"));
    assert_int_equal(clm_buffer_part_count(parts), 5); /* of four rows each, and a rest */
    assert_int_equal(clm_buffer_size_bytes(clm_buffer_part(parts, 0)), 4 * row * sizeof(float));
    assert_int_equal(clm_buffer_size_bytes(clm_buffer_part(parts, 4)), 40 * sizeof(float));
    assert_int_equal(clm_buffer_size_bytes(parts), sizeof values);
    assert_null(clm_buffer_memory(parts));
    assert_ok(clm_buffer_write(parts, 0, values, sizeof values));
    assert_ok(clm_buffer_read(parts, 0, back, sizeof back));
    assert_memory_equal(back, values, sizeof back);
    assert_ok(clm_buffer_read(lent, 0, back, sizeof back));
    assert_memory_equal(back, values, sizeof back);
    /* From the first part into the third, of others that begin elsewhere, and zeros. */
    assert_ok(
        clm_buffer_copy(parts, 7 * sizeof(float), lent, 100 * sizeof(float), 600 * sizeof(float)));
    assert_ok(clm_buffer_zero(parts, 230 * sizeof(float), 500 * sizeof(float)));
    memcpy(want, values, sizeof want);
    memcpy(want + 7, values + 100, 600 * sizeof(float));
    memset(want + 230, 0, 500 * sizeof(float));
    assert_ok(clm_buffer_read(parts, sizeof(float), back, sizeof back - sizeof(float)));
    assert_memory_equal(back, want + 1, sizeof back - sizeof(float));
    /* A kernel that wants all of it in one piece says so. */
    assert_ok(clm_buffer_create(&whole, device, 64, "a test"));
    assert_status(CLM_ERROR_DEVICE_MEMORY, clm_residual_forward(device, whole, parts, whole, 16));
    assert_message_has("in one piece");
    assert_status(CLM_ERROR_DEVICE_MEMORY, clm_buffer_create_in_parts(&(clm_buffer *){NULL}, device,
                                                                      NULL, 4096, 2048, "a test"));
    assert_message_has("a test");
    clm_buffer *const unequal[2] = {whole, lent};
    assert_status(CLM_ERROR_ARGUMENT, clm_buffer_join(&whole, unequal, 2, "a test"));
    clm_buffer_release(parts);
    assert_int_equal(clm_device_memory_bytes(device), used);
    clm_device_close(device);
}

CLM_ON_EACH_DEVICE(a_large_buffer_lies_in_parts)
CLM_ON_EACH_DEVICE(buffers_keep_what_is_written)
CLM_ON_EACH_DEVICE(released_buffers_are_used_again)
CLM_ON_EACH_DEVICE(parts_are_their_whole)
CLM_ON_EACH_DEVICE(bytes_of_the_host_arrive)
CLM_ON_EACH_DEVICE(writes_keep_what_they_were_given)
CLM_ON_EACH_DEVICE(a_trimmed_pool_is_empty)
CLM_ON_EACH_DEVICE(scratch_grows_and_is_used_again)
CLM_ON_EACH_DEVICE(too_large_a_buffer_is_refused_by_name)
CLM_ON_EACH_DEVICE(a_wrong_kernel_is_named_with_its_line)
CLM_ON_EACH_DEVICE(a_kernel_runs)

static void profile_names_the_kernels(void **state) {
    (void)state;
    clm_device *device = NULL;
    const clm_device_options options = {.profile = true};
    clm_status status = clm_device_open(&device, &options);
    if (status == CLM_ERROR_NO_DEVICE && getenv("CLM_DEMAND_DEVICES") == NULL) {
        skip();
    }
    assert_ok(status);
    a_kernel_runs(device);
    a_kernel_runs(device);
    clm_kernel_time *times = NULL;
    size_t count = 0;
    assert_ok(clm_device_profile(device, &times, &count));
    assert_int_equal(count, 1);
    assert_string_equal(times[0].kernel, "residual_forward");
    assert_int_equal(times[0].calls, 2);
    assert_true(times[0].seconds > 0.0);
    clm_kernel_times_free(times);
    clm_device_close(device);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buffers_keep_what_is_written_test),
        cmocka_unit_test(released_buffers_are_used_again_test),
        cmocka_unit_test(parts_are_their_whole_test),
        cmocka_unit_test(bytes_of_the_host_arrive_test),
        cmocka_unit_test(writes_keep_what_they_were_given_test),
        cmocka_unit_test(a_trimmed_pool_is_empty_test),
        cmocka_unit_test(a_large_buffer_lies_in_parts_test),
        cmocka_unit_test(scratch_grows_and_is_used_again_test),
        cmocka_unit_test(too_large_a_buffer_is_refused_by_name_test),
        cmocka_unit_test(a_wrong_kernel_is_named_with_its_line_test),
        cmocka_unit_test(a_kernel_runs_test),
        cmocka_unit_test(profile_names_the_kernels),
    };
    return cmocka_run_group_tests(tests, NULL, clm_test_close_devices);
}
