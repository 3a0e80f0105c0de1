/* What tests of operations share: both variants of each kernel on every device, and comparisons
 * that are themselves tested.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TEST_OPS_OP_TEST_H
#define CLM_TEST_OPS_OP_TEST_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/ops.h"
#include "support/test_devices.h"

/* Calls `test` for each device with the kernels that processors get, then with those of GPUs. */
static inline void each_variant(void (*test)(clm_device *device)) {
    static const char *const variants[] = {"item", "group"};
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        assert_int_equal(setenv("CLM_OPS_VARIANT", variants[i], 1), 0);
        print_message("variant %s\n", variants[i]);
        clm_test_each_device(test);
    }
    assert_int_equal(unsetenv("CLM_OPS_VARIANT"), 0);
}

/* Whether the device is Oclgrind, which looks at each access and takes a thousand times as long:
 * tests leave out what is large. */
static inline bool is_slow(const clm_device *device) {
    return strstr(clm_device_get_info(device)->name, "Oclgrind") != NULL;
}

/* `count` floats, normal times `scale`; freed by the caller. */
static inline float *normal_floats(size_t count, float scale) {
    float *values = malloc((count + 1) * sizeof *values);
    assert_non_null(values);
    clm_test_fill_normal(values, count, scale);
    return values;
}

/* Floats as doubles, which is what the reference computes with; freed by the caller. */
static inline double *widened(const float *values, size_t count) {
    double *wide = malloc((count + 1) * sizeof *wide);
    assert_non_null(wide);
    for (size_t i = 0; i < count; i++) {
        wide[i] = (double)values[i];
    }
    return wide;
}

/* The way back; frees `wide`. */
static inline void narrow_into(float *values, double *wide, size_t count) {
    for (size_t i = 0; i < count; i++) {
        values[i] = (float)wide[i];
    }
    free(wide);
}

static inline float *read_floats(const clm_buffer *buffer, size_t count) {
    float *values = malloc((count + 1) * sizeof *values);
    assert_non_null(values);
    clm_test_buffer_read(buffer, values, count);
    return values;
}

/* All close; and no longer so when one element, drawn at random, is off by twice its tolerance. */
static inline void check_close(float *actual, const float *expected, size_t count, double atol,
                               double rtol, const char *what) {
    assert_all_close(actual, expected, count, atol, rtol, what);
    size_t i = clm_test_random() % count;
    float kept = actual[i];
    double tolerance = atol + rtol * fabs((double)expected[i]);
    actual[i] = nextafterf((float)((double)expected[i] + 2.0 * tolerance), INFINITY);
    assert_int_equal(clm_test_worst(actual, expected, count, atol, rtol), i);
    actual[i] = NAN;
    assert_int_equal(clm_test_worst(actual, expected, count, atol, rtol), i);
    actual[i] = kept;
}

/* Reads `count` elements and compares them. */
static inline void check_values(clm_buffer *buffer, const float *expected, size_t count,
                                double atol, double rtol, const char *what) {
    float *actual = read_floats(buffer, count);
    check_close(actual, expected, count, atol, rtol, what);
    free(actual);
}

/* The same; then checks what stands behind them, and frees the buffer. */
static inline void check_buffer(clm_buffer *buffer, const float *expected, size_t count,
                                double atol, double rtol, const char *what) {
    check_values(buffer, expected, count, atol, rtol, what);
    clm_test_buffer_check(buffer, count);
}

/* Sizes around vectors (4, 8, 16), work-groups of 256 items of such vectors, and beyond several. */
static const size_t awkward_counts[] = {1,   3,    4,    5,    15,   16,   17,   255,
                                        257, 1023, 1025, 4095, 4096, 4097, 10007};
static inline size_t awkward_count_count(const clm_device *device) {
    return is_slow(device) ? 9 : sizeof awkward_counts / sizeof *awkward_counts;
}

#endif
