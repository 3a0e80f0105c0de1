/* Shared by the checks of the self-test: values on host and device, and comparisons.
 *
 * Making a value does not return an error: the first failure is kept in the run's status, which the
 * check tests before it uses its values. clm_selftest_clear() frees all values.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_SELFTEST_RUN_H
#define CLM_SELFTEST_RUN_H

#include "base/random.h"
#include "clm/selftest.h"
#include "device/device.h"
#include "selftest/mark.h"

/* The same 4-byte elements in host and device memory. The device's are followed by NaN guards,
 * which reveal an operation that reads or writes past the end. */
typedef struct clm_value {
    size_t count;
    float *host;
    clm_buffer *buffer;
} clm_value;

typedef struct clm_selftest_context {
    clm_device *device;
    clm_status status;
    clm_philox random;
    int comparisons;
    bool wrong;      /* some comparison since clm_selftest_clear() */
    char why[512];   /* the first of them */
    char shape[128]; /* what is being tested, for that */
    void **memory;
    size_t memory_count, memory_capacity;
    clm_value *values; /* whose guards are checked in the end */
    size_t value_count, value_capacity;
    clm_selftest_mark *mark; /* the kernel under test, for the next start; or NULL */
} clm_selftest_context;

/* Forgets all values and what was wrong. */
void clm_selftest_clear(clm_selftest_context *run);

/* Sets the shape being tested, for messages: "rows=3, C=129". */
void clm_selftest_shape(clm_selftest_context *run, const char *format, ...) CLM_PRINTF(2, 3);

/* Uniform in [-scale, scale); a copy (also of int32); NaN, for results. */
clm_value clm_selftest_random(clm_selftest_context *run, size_t count, float scale);
clm_value clm_selftest_copy(clm_selftest_context *run, const void *elements, size_t count);
clm_value clm_selftest_empty(clm_selftest_context *run, size_t count);

/* Room for `count` elements of zero in host memory, and floats as doubles. */
float *clm_selftest_floats(clm_selftest_context *run, size_t count);
double *clm_selftest_doubles(clm_selftest_context *run, size_t count);
double *clm_selftest_widened(clm_selftest_context *run, const clm_value *value);

/* Reads `got` from the device and compares: |got - expected| <= atol + rtol |expected|, written so
 * that NaN fails; where NaN is expected, it has to be there. The third allows atol + unit *
 * bound[i]. */
void clm_selftest_compare(clm_selftest_context *run, const char *name, const clm_value *got,
                          const double *expected, double atol, double rtol);
void clm_selftest_compare_floats(clm_selftest_context *run, const char *name, const clm_value *got,
                                 const float *expected, double atol, double rtol);
void clm_selftest_compare_bound(clm_selftest_context *run, const char *name, const clm_value *got,
                                const float *expected, double atol, const float *bound,
                                double unit);

/* Checks that nothing was written past the values made so far. */
void clm_selftest_check_guards(clm_selftest_context *run);

/* Records a fault other than a wrong element, like a failed comparison. */
void clm_selftest_wrong(clm_selftest_context *run, const char *format, ...) CLM_PRINTF(2, 3);

/* "kernels a, b at rows=3: ": those that were launched since clm_selftest_shape(). Returns its
 * length, below the capacity. */
size_t clm_selftest_where(clm_selftest_context *run, char *text, size_t capacity);

/* The checks of each operation. A failure is one of the device or of memory; wrong results are in
 * run->wrong. */
clm_status clm_selftest_convert(clm_selftest_context *run);
clm_status clm_selftest_reduce(clm_selftest_context *run);
clm_status clm_selftest_residual(clm_selftest_context *run);
clm_status clm_selftest_rows(clm_selftest_context *run);
clm_status clm_selftest_gelu(clm_selftest_context *run);
clm_status clm_selftest_dropout(clm_selftest_context *run);
clm_status clm_selftest_adamw(clm_selftest_context *run);
clm_status clm_selftest_layernorm(clm_selftest_context *run);
clm_status clm_selftest_embedding(clm_selftest_context *run);
clm_status clm_selftest_silu_gate(clm_selftest_context *run);
clm_status clm_selftest_rope(clm_selftest_context *run);
clm_status clm_selftest_rmsnorm(clm_selftest_context *run);
clm_status clm_selftest_attention(clm_selftest_context *run);
clm_status clm_selftest_attention_one(clm_selftest_context *run);
clm_status clm_selftest_crossentropy(clm_selftest_context *run);
clm_status clm_selftest_gemm(clm_selftest_context *run);
clm_status clm_selftest_gemm_half(clm_selftest_context *run);
clm_status clm_selftest_training_step(clm_selftest_context *run);

#endif
