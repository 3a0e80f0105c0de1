/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/number.h"
#include "selftest/run.h"

/* Elements behind each value: as many as the widest vector has. */
enum { GUARD = 16 };

/* A quiet NaN that no arithmetic makes. */
static const uint32_t guard_bits = 0x7FC5A5A5U;

void clm_selftest_clear(clm_selftest_context *run) {
    for (size_t i = 0; i < run->value_count; i++) {
        clm_buffer_release(run->values[i].buffer);
    }
    for (size_t i = 0; i < run->memory_count; i++) {
        clm_free(run->memory[i]);
    }
    clm_free(run->values);
    clm_free(run->memory);
    run->values = NULL;
    run->memory = NULL;
    run->value_count = run->value_capacity = 0;
    run->memory_count = run->memory_capacity = 0;
    run->status = CLM_OK;
    run->wrong = false;
    run->why[0] = '\0';
    run->shape[0] = '\0';
}

void clm_selftest_shape(clm_selftest_context *run, const char *format, ...) {
    const char *names[CLM_LAUNCHED_MOST];
    va_list arguments;
    va_start(arguments, format);
    (void)clm_format_list(run->shape, sizeof run->shape, format, arguments);
    va_end(arguments);
    (void)clm_device_launched(run->device, names, CLM_LAUNCHED_MOST);
    if (run->mark != NULL) {
        clm_selftest_crash *now = &run->mark->now;
        (void)snprintf(now->shape, sizeof now->shape, "%s", run->shape);
        now->kernel[0] = '\0';
        clm_selftest_mark_write(run->mark);
    }
}

/* ---- values ---- */

static void *keep_memory(clm_selftest_context *run, size_t count, size_t size) {
    void *memory = NULL;
    if (run->status == CLM_OK) {
        run->status = clm_reserve(&run->memory, &run->memory_capacity, run->memory_count + 1,
                                  sizeof *run->memory, "the self-test");
    }
    if (run->status == CLM_OK) {
        run->status = clm_allocate(&memory, count, size, "the self-test");
    }
    if (run->status == CLM_OK) {
        run->memory[run->memory_count++] = memory;
    }
    return memory;
}

float *clm_selftest_floats(clm_selftest_context *run, size_t count) {
    return keep_memory(run, count, sizeof(float));
}

double *clm_selftest_doubles(clm_selftest_context *run, size_t count) {
    return keep_memory(run, count, sizeof(double));
}

double *clm_selftest_widened(clm_selftest_context *run, const clm_value *value) {
    double *wide = clm_selftest_doubles(run, value->count);
    for (size_t i = 0; wide != NULL && run->status == CLM_OK && i < value->count; i++) {
        wide[i] = (double)value->host[i];
    }
    return wide;
}

/* Host memory with its guard, and a buffer to write it to. */
static clm_value make(clm_selftest_context *run, size_t count) {
    clm_value value = {.count = count};
    value.host = clm_selftest_floats(run, count + GUARD);
    if (run->status == CLM_OK) {
        run->status = clm_reserve(&run->values, &run->value_capacity, run->value_count + 1,
                                  sizeof *run->values, "the self-test");
    }
    if (run->status == CLM_OK) {
        run->status = clm_buffer_create(&value.buffer, run->device, (count + GUARD) * sizeof(float),
                                        "the self-test");
    }
    if (run->status == CLM_OK) {
        run->values[run->value_count++] = value;
        for (size_t i = 0; i < GUARD; i++) {
            memcpy(&value.host[count + i], &guard_bits, sizeof guard_bits);
        }
    }
    return value;
}

static void write_value(clm_selftest_context *run, const clm_value *value) {
    if (run->status == CLM_OK) {
        run->status =
            clm_buffer_write(value->buffer, 0, value->host, (value->count + GUARD) * sizeof(float));
    }
}

clm_value clm_selftest_random(clm_selftest_context *run, size_t count, float scale) {
    const clm_value value = make(run, count);
    for (size_t i = 0; run->status == CLM_OK && i < count; i++) {
        value.host[i] = scale * (2.0F * clm_philox_uniform(&run->random) - 1.0F);
    }
    write_value(run, &value);
    return value;
}

clm_value clm_selftest_copy(clm_selftest_context *run, const void *elements, size_t count) {
    const clm_value value = make(run, count);
    if (run->status == CLM_OK) {
        memcpy(value.host, elements, count * sizeof(float));
    }
    write_value(run, &value);
    return value;
}

clm_value clm_selftest_empty(clm_selftest_context *run, size_t count) {
    const clm_value value = make(run, count);
    for (size_t i = 0; run->status == CLM_OK && i < count; i++) {
        value.host[i] = NAN;
    }
    write_value(run, &value);
    return value;
}

/* ---- comparing ---- */

size_t clm_selftest_where(clm_selftest_context *run, char *text, size_t capacity) {
    const char *names[CLM_LAUNCHED_MOST];
    const size_t count = clm_device_launched(run->device, names, CLM_LAUNCHED_MOST);
    size_t used = 0;
    for (size_t i = 0; i < count && used < capacity; i++) {
        used += (size_t)snprintf(text + used, capacity - used, "%s%s",
                                 i == 0 ? (count == 1 ? "kernel " : "kernels ") : ", ", names[i]);
    }
    if (used < capacity) {
        used += (size_t)snprintf(text + used, capacity - used, "%s%s: ", count > 0 ? " at " : "at ",
                                 run->shape);
    }
    return used < capacity ? used : capacity - 1;
}

void clm_selftest_wrong(clm_selftest_context *run, const char *format, ...) {
    if (run->wrong || run->status != CLM_OK) {
        return;
    }
    const size_t used = clm_selftest_where(run, run->why, sizeof run->why);
    va_list arguments;
    va_start(arguments, format);
    (void)clm_format_list(run->why + used, sizeof run->why - used, format, arguments);
    va_end(arguments);
    run->wrong = true;
}

static bool is_right(double got, double expected, double most) {
    return isnan(expected) ? isnan(got) : got == expected || fabs(got - expected) <= most;
}

/* One of `wide` and `narrow` is what is expected. */
static void compare(clm_selftest_context *run, const char *name, const clm_value *value,
                    const double *wide, const float *narrow, double atol, double rtol,
                    const float *bound, double unit) {
    float *got = clm_selftest_floats(run, value->count);
    if (run->status == CLM_OK) {
        run->status = clm_buffer_read(value->buffer, 0, got, value->count * sizeof *got);
    }
    run->comparisons++;
    for (size_t i = 0; run->status == CLM_OK && !run->wrong && i < value->count; i++) {
        const double right = wide != NULL ? wide[i] : (double)narrow[i];
        const double most =
            atol + rtol * fabs(right) + (bound != NULL ? unit * (double)bound[i] : 0.0);
        const double error = fabs((double)got[i] - right);
        if (!is_right((double)got[i], right, most)) {
            clm_selftest_wrong(run, "%s[%zu] is %.9g, and %.9g is right (off by %.2g, not %.2g)",
                               name, i, (double)got[i], right, error, most);
        }
    }
}

void clm_selftest_compare(clm_selftest_context *run, const char *name, const clm_value *got,
                          const double *expected, double atol, double rtol) {
    compare(run, name, got, expected, NULL, atol, rtol, NULL, 0.0);
}

void clm_selftest_compare_floats(clm_selftest_context *run, const char *name, const clm_value *got,
                                 const float *expected, double atol, double rtol) {
    compare(run, name, got, NULL, expected, atol, rtol, NULL, 0.0);
}

void clm_selftest_compare_bound(clm_selftest_context *run, const char *name, const clm_value *got,
                                const float *expected, double atol, const float *bound,
                                double unit) {
    compare(run, name, got, NULL, expected, atol, 0.0, bound, unit);
}

void clm_selftest_check_guards(clm_selftest_context *run) {
    for (size_t i = 0; i < run->value_count && run->status == CLM_OK && !run->wrong; i++) {
        const clm_value *value = &run->values[i];
        uint32_t guard[GUARD];
        run->status =
            clm_buffer_read(value->buffer, value->count * sizeof(float), guard, sizeof guard);
        for (size_t k = 0; k < GUARD && run->status == CLM_OK; k++) {
            if (guard[k] != guard_bits) {
                clm_selftest_wrong(run, "element %zu was written, behind a buffer of %zu",
                                   value->count + k, value->count);
            }
        }
    }
}
