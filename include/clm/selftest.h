/* The self-test: whether a device computes rightly.
 *
 * Every kernel that clm will use on the device, in the form in which it will, forward and backward,
 * is compared with plain C at awkward sizes; then one training step of a tiny model is compared
 * with the same step in plain C. What is wrong and has a stand-in that is right (the other form of
 * an operation's kernels, another GEMM) is replaced; a device without one is refused, by name.
 *
 * A driver may crash or hang instead. So before a kernel is built and run, a mark says which, in a
 * file that the process has locked until it ends; a test that finds two such marks of processes
 * that are gone takes that kernel for wrong without trying it.
 *
 * The result is kept in a file beside the device's tuning, for one device, driver, version of clm
 * and set of kernels and settings; when any of them changes, it is not known any more.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_SELFTEST_H
#define CLM_SELFTEST_H

#include <stdbool.h>
#include <stddef.h>

#include "clm/device.h"
#include "clm/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum clm_selftest_outcome {
    CLM_SELFTEST_UNKNOWN = 0,  /* not tested, or not since something changed */
    CLM_SELFTEST_PASSED = 1,   /* all results are right */
    CLM_SELFTEST_REPLACED = 2, /* they are, with stand-ins for some kernels */
    CLM_SELFTEST_REFUSED = 3   /* something is wrong, and has no stand-in that is right */
} clm_selftest_outcome;

/* "not tested", "passed", "passed with stand-ins", "refused". Static. */
CLM_API const char *clm_selftest_outcome_name(clm_selftest_outcome outcome);

/* One operation has been tested. Lent for the call. */
typedef struct clm_selftest_result {
    const char *operation; /* "layernorm", "gemm", ...: as clm_selftest_operation() names them */
    clm_selftest_outcome outcome;
    const char *form;  /* what runs from now on: "item", "group", "own-panels", ...; may be "" */
    const char *why;   /* of what was wrong: kernel, shape, error; else "" */
    int number, count; /* of operations, from 1 */
    int comparisons;   /* of results with plain C */
    double seconds;    /* with the time to build kernels */
} clm_selftest_result;

typedef struct clm_selftest_options {
    /* Operations to test, by name; 0 of them: all. The result of some is not kept. */
    const char *const *operations;
    size_t operation_count;
    void (*on_result)(void *context, const clm_selftest_result *result); /* may be NULL */
    /* Asked before each kernel; true stops. May be NULL. */
    bool (*should_stop)(void *context);
    void *context;
    /* Try again what the driver crashed or hung in before. Operations given by name are in any
     * case.
     */
    bool again;
} clm_selftest_options;

#define CLM_SELFTEST_OPTIONS_DEFAULT \
    { NULL, 0, NULL, NULL, NULL, false }

typedef struct clm_selftest_report {
    clm_selftest_outcome outcome;
    int comparisons;
    double seconds;
    char replaced[256]; /* "layernorm=group gemm=own-tiled"; "" when nothing was */
    char why[768];      /* what was wrong first: operation, kernels, shape, error; "" for nothing */
} clm_selftest_report;

/* The names of the operations in the order of their tests; NULL past the last. Static. */
CLM_API const char *clm_selftest_operation(size_t index);

/* Tests the device and keeps the result; `options` may be NULL. The device runs with the stand-ins
 * from now on. First finds out which GEMM the device uses, when that is not known yet.
 *
 * CLM_ERROR_DEVICE_WRONG, and *report says why: the device is refused. CLM_ERROR_ARGUMENT: no such
 * operation. CLM_ERROR_INTERRUPTED: should_stop said so. CLM_ERROR_MEMORY, CLM_ERROR_DEVICE_MEMORY:
 * there was no room for the test, which says nothing about the device. Blocks. */
CLM_API clm_status clm_selftest_run(clm_selftest_report *report, clm_device *device,
                                    const clm_selftest_options *options);

/* What is kept for the device; outcome CLM_SELFTEST_UNKNOWN when there is nothing, or a file that
 * cannot be read. Never tests. CLM_ERROR_DEVICE_WRONG, and *report says why: the device was
 * refused. CLM_ERROR_MEMORY. */
CLM_API clm_status clm_selftest_recall(clm_selftest_report *report, clm_device *device);

/* What a program calls after it opened a device, before it uses it: recalls the result or, when
 * there is none, tests and says so by a note; the device runs with the stand-ins from then on. With
 * CLM_SELFTEST=off in the environment it does nothing. `options` are those of clm_selftest_run().
 * CLM_ERROR_DEVICE_WRONG: the device is refused, now or from before; else as clm_selftest_run().
 * Blocks. */
CLM_API clm_status clm_selftest_ensure(clm_device *device, const clm_selftest_options *options);

#ifdef __cplusplus
}
#endif
#endif
