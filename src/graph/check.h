/* A plan beside plain C, operation by operation: which one a device computes wrongly.
 *
 * Before each operation what it reads is read back from the device, and plain C computes from that
 * in doubles. So an error is found where it is made, and does not grow on the way.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_GRAPH_CHECK_H
#define CLM_GRAPH_CHECK_H

#include "graph/explain.h"

/* A result may be off by this share of the largest element of its tensor, or of the operation's
 * first operand if that is larger: in floats, and where products may compute in halves because
 * their weights are F16. */
#define CLM_CHECK_SHARE 1e-5
#define CLM_CHECK_SHARE_OF_HALVES 2e-2

typedef struct clm_plan_check {
    /* Set by the caller: all values of a parameter, for those that are packed on the device. */
    clm_status (*read)(void *context, const clm_parameter *parameter, float *values);
    void *context;
    /* How many agreed, and the largest difference, as a share of what is allowed. */
    size_t operations, elements;
    double largest;
    size_t largest_in; /* the operation */
} clm_plan_check;

/* Executes the plan; `explanation` is the plan's, for names. Blocks. CLM_ERROR_DEVICE_WRONG for the
 * first operation that differs, with its name, element, both values and its kernels. */
clm_status clm_plan_check_run(clm_plan_check *check, clm_plan *plan, clm_device *device,
                              const clm_explanation *explanation, const clm_plan_binding *bindings,
                              size_t count, float seed);

#endif
