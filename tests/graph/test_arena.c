/* SPDX-License-Identifier: Apache-2.0 */
#include "graph/arena.h"
#include "support/test_devices.h"

enum { tensors = 6 };
static const size_t counts[tensors] = {3, 1000, 0, 1, 2500, 16};

/* Tensors stand in their order, in whole buffers that are small enough, beside each other and not
 * on each other. */
static void check_layout(const clm_device *device, uint64_t most_bytes, size_t buffer_count) {
    clm_arena_layout layout;
    assert_ok(clm_arena_layout_make(&layout, device, counts, NULL, tensors, most_bytes));
    assert_int_equal(layout.buffer_count, buffer_count);
    size_t buffer = 0;
    size_t end = 0;
    for (size_t i = 0; i < tensors; i++) {
        if (counts[i] == 0) {
            continue;
        }
        if (layout.buffers[i] != buffer) {
            assert_int_equal(layout.buffers[i], buffer + 1);
            assert_int_equal(layout.buffer_counts[buffer], end);
            buffer++;
            end = 0;
        }
        assert_true(layout.offsets[i] >= end);
        assert_true(layout.offsets[i] * sizeof(float) % clm_device_part_alignment_bytes(device) ==
                    0);
        end = layout.offsets[i] + counts[i];
        assert_true(end * sizeof(float) <= most_bytes || layout.offsets[i] == 0);
    }
    assert_int_equal(layout.buffer_counts[buffer], end);
    clm_arena_layout_free(&layout);
}

static void layouts_split_where_buffers_must_end(clm_device *device) {
    check_layout(device, UINT64_MAX, 1);
    check_layout(device, 10000, 3); /* 2500 floats fill it to the last byte */
    check_layout(device, 9999, 3);  /* and must have one of their own here */
    check_layout(device, 0, 5);
}
CLM_ON_EACH_DEVICE(layouts_split_where_buffers_must_end)

static void tensors_do_not_touch_each_other(clm_device *device) {
    clm_arena_layout layout;
    clm_arena arena;
    float values[2500];
    const uint64_t used = clm_device_memory_bytes(device);
    assert_ok(clm_arena_layout_make(&layout, device, counts, NULL, tensors, 10000));
    assert_ok(clm_arena_make(&arena, device, &layout, "a test"));
    assert_ok(clm_arena_zero(&arena));
    for (size_t i = 0; i < tensors; i++) {
        if (counts[i] == 0) {
            assert_null(arena.tensors[i]);
            continue;
        }
        assert_int_equal(clm_buffer_size_bytes(arena.tensors[i]), counts[i] * sizeof(float));
        for (size_t k = 0; k < counts[i]; k++) {
            values[k] = (float)(i + 1);
        }
        assert_ok(clm_buffer_write(arena.tensors[i], 0, values, counts[i] * sizeof(float)));
    }
    for (size_t i = 0; i < tensors; i++) {
        if (counts[i] > 0) {
            assert_ok(clm_buffer_read(arena.tensors[i], 0, values, counts[i] * sizeof(float)));
            for (size_t k = 0; k < counts[i]; k++) {
                assert_true(values[k] == (float)(i + 1));
            }
        }
    }
    assert_ok(clm_arena_zero(&arena));
    assert_ok(clm_buffer_read(arena.tensors[4], 0, values, sizeof values));
    for (size_t k = 0; k < counts[4]; k++) {
        assert_true(values[k] == 0.0F);
    }
    clm_arena_free(&arena);
    clm_arena_layout_free(&layout);
    assert_true(clm_device_memory_bytes(device) == used);
}
CLM_ON_EACH_DEVICE(tensors_do_not_touch_each_other)

/* A tensor that no buffer holds lies in rows of several; what follows goes on behind it. */
static void a_large_tensor_lies_in_parts(clm_device *device) {
    enum { most_bytes = 1010 * 4 }; /* two rows of 500, and some more */
    static const size_t units[tensors] = {0, 0, 0, 0, 500, 0};
    clm_arena_layout layout;
    clm_arena arena;
    float values[2500];
    float got[2500];
    const uint64_t used = clm_device_memory_bytes(device);
    assert_ok(clm_arena_layout_make(&layout, device, counts, units, tensors, most_bytes));
    assert_int_equal(layout.parts[4], 1000);
    assert_int_equal(layout.parts[1], 0);
    assert_int_equal(layout.buffers[5], layout.buffers[4] + 2);
    for (size_t i = 0; i < layout.buffer_count; i++) {
        assert_true(layout.buffer_counts[i] * sizeof(float) <= most_bytes);
    }
    assert_ok(clm_arena_make(&arena, device, &layout, "a test"));
    assert_int_equal(clm_buffer_part_count(arena.tensors[4]), 3);
    assert_int_equal(clm_buffer_part_count(arena.tensors[1]), 1);
    assert_int_equal(clm_buffer_size_bytes(arena.tensors[4]), sizeof values);
    for (size_t k = 0; k < 2500; k++) {
        values[k] = (float)k;
    }
    assert_ok(clm_buffer_write(arena.tensors[4], 0, values, sizeof values));
    assert_ok(clm_buffer_read(arena.tensors[4], 0, got, sizeof got));
    assert_memory_equal(got, values, sizeof got);
    /* Its parts are the buffers that what treats all elements alike walks over. */
    assert_ok(clm_buffer_read(arena.buffers[layout.buffers[4] + 1], 0, got, 4));
    assert_true(got[0] == 1000.0F);
    clm_arena_free(&arena);
    clm_arena_layout_free(&layout);
    assert_true(clm_device_memory_bytes(device) == used);
}
CLM_ON_EACH_DEVICE(a_large_tensor_lies_in_parts)

/* Nothing is trained: no buffers, and nothing to do. */
static void an_arena_may_be_empty(clm_device *device) {
    static const size_t none[2] = {0, 0};
    clm_arena_layout layout;
    clm_arena arena;
    assert_ok(clm_arena_layout_make(&layout, device, none, NULL, 2, UINT64_MAX));
    assert_int_equal(layout.buffer_count, 0);
    assert_ok(clm_arena_make(&arena, device, &layout, "a test"));
    assert_ok(clm_arena_zero(&arena));
    assert_null(arena.tensors[1]);
    clm_arena_free(&arena);
    clm_arena_layout_free(&layout);
}
CLM_ON_EACH_DEVICE(an_arena_may_be_empty)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layouts_split_where_buffers_must_end_test),
        cmocka_unit_test(tensors_do_not_touch_each_other_test),
        cmocka_unit_test(a_large_tensor_lies_in_parts_test),
        cmocka_unit_test(an_arena_may_be_empty_test),
    };
    return cmocka_run_group_tests(tests, NULL, clm_test_close_devices);
}
