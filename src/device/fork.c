/* What a process may do with OpenCL after it was forked: nothing. Drivers have threads and locks
 * that the child lacks, and wait for them for ever.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <stdatomic.h>

#include "device/internal.h"

static atomic_bool is_forked;

static void note_fork(void) {
    atomic_store_explicit(&is_forked, true, memory_order_relaxed);
}

void clm_fork_watch(void) {
    (void)pthread_atfork(NULL, NULL, note_fork);
}

bool clm_is_forked(void) {
    return atomic_load_explicit(&is_forked, memory_order_relaxed);
}

clm_status clm_check_fork(void) {
    return clm_is_forked() ? clm_fail(CLM_ERROR_FORKED,
                                      "this process was forked after OpenCL was started, and "
                                      "drivers do not survive that: use clm's devices in the child "
                                      "alone, or start a program in it (exec)")
                           : CLM_OK;
}
