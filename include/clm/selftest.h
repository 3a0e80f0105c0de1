/* The self-test: whether a device computes correctly.
 *
 * Every kernel that clm will use on the device, in the variant it will use, forward and backward,
 * is compared with plain C at awkward sizes; then one training step of a tiny model is compared
 * with the same step in plain C. A wrong kernel is replaced if there is a correct stand-in (the
 * operation's other kernel form, another GEMM); otherwise the device is refused, by name.
 *
 * A driver may also crash or hang. So before a kernel is built and run, the test records its name
 * in a mark, in a file that the process locks until it ends. If two processes left such a mark for
 * the same kernel and ended, the next test assumes that the kernel is wrong without trying it.
 *
 * The result is stored in a file beside the device's tuning. It is valid for one device, driver,
 * version of clm and set of kernels and settings; when any of them changes, it is unknown again.
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
    CLM_SELFTEST_UNKNOWN = 0,  /* never tested, or not since a change */
    CLM_SELFTEST_PASSED = 1,   /* all results are correct */
    CLM_SELFTEST_REPLACED = 2, /* correct with stand-ins for some kernels */
    CLM_SELFTEST_REFUSED = 3   /* something is wrong, and has no correct stand-in */
} clm_selftest_outcome;

/* "not tested", "passed", "passed with stand-ins", "refused". Static. */
CLM_API const char *clm_selftest_outcome_name(clm_selftest_outcome outcome);

/* One operation has been tested. Lent for the call. */
typedef struct clm_selftest_result {
    const char *operation; /* "layernorm", "gemm", ...: as clm_selftest_operation() names them */
    clm_selftest_outcome outcome;
    const char *form;  /* used from now on: "item", "group", "own-panels", ...; may be "" */
    const char *why;   /* what was wrong: kernel, shape, error; else "" */
    int number, count; /* of operations, from 1 */
    int comparisons;   /* of results with plain C's */
    double seconds;    /* including the time to build kernels */
} clm_selftest_result;

typedef struct clm_selftest_options {
    /* Operations to test, by name; 0 of them: all. The result of a partial test is not stored. */
    const char *const *operations;
    size_t operation_count;
    void (*on_result)(void *context, const clm_selftest_result *result); /* may be NULL */
    /* Called before each kernel; true stops the test. May be NULL. */
    bool (*should_stop)(void *context);
    void *context;
    /* Retry kernels in which the driver crashed or hung before. Operations given by name are always
     * retried. */
    bool again;
} clm_selftest_options;

#define CLM_SELFTEST_OPTIONS_DEFAULT \
    { NULL, 0, NULL, NULL, NULL, false }

typedef struct clm_selftest_report {
    clm_selftest_outcome outcome;
    int comparisons;
    double seconds;
    char replaced[256]; /* "layernorm=group gemm=own-tiled"; "" if nothing was */
    char why[768];      /* the first fault: operation, kernels, shape, error; "" if none */
} clm_selftest_report;

/* The names of the operations in the order in which they are tested; NULL past the last. Static. */
CLM_API const char *clm_selftest_operation(size_t index);

/* Tests the device and stores the result; `options` may be NULL. From then on the device uses the
 * stand-ins. If it is not yet known which GEMM the device uses, that is measured first.
 *
 * CLM_ERROR_DEVICE_WRONG, and *report says why: the device is refused. CLM_ERROR_ARGUMENT: no such
 * operation. CLM_ERROR_INTERRUPTED: should_stop() returned true. CLM_ERROR_MEMORY,
 * CLM_ERROR_DEVICE_MEMORY: not enough memory for the test, which says nothing about the device.
 * Blocks. */
CLM_API clm_status clm_selftest_run(clm_selftest_report *report, clm_device *device,
                                    const clm_selftest_options *options);

/* The stored result for the device; outcome CLM_SELFTEST_UNKNOWN if there is none, or the file
 * cannot be read. Never tests. CLM_ERROR_DEVICE_WRONG, and *report says why: the device was
 * refused. CLM_ERROR_MEMORY. */
CLM_API clm_status clm_selftest_recall(clm_selftest_report *report, clm_device *device);

/* Call this after opening a device, before using it. Recalls the stored result or, if there is
 * none, tests the device and logs a note; from then on the device uses the stand-ins. With
 * CLM_SELFTEST=off in the environment it does nothing. `options` are those of clm_selftest_run().
 * CLM_ERROR_DEVICE_WRONG: the device is refused, by this test or an earlier one; other errors as
 * clm_selftest_run(). Blocks. */
CLM_API clm_status clm_selftest_ensure(clm_device *device, const clm_selftest_options *options);

#ifdef __cplusplus
}
#endif
#endif
