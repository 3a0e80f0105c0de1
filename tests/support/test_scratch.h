/* Runs operations with exactly the scratch they ask for, and sees to it that they make no buffers.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TEST_SCRATCH_H
#define CLM_TEST_SCRATCH_H

#include "support/test_devices.h"

/* A part of a larger buffer, of exactly `bytes` full of NaN, with guard bands before and behind. */
typedef struct clm_test_scratch {
    clm_buffer *buffer; /* NULL for 0 bytes */
    clm_buffer *whole;
    size_t bytes, band;
    size_t created; /* buffers and parts of buffers, by the whole process until now */
} clm_test_scratch;

/* Between these two the process makes no buffer. The pool of released buffers is empty, so that
 * none comes from there. */
clm_test_scratch clm_test_scratch_begin(clm_device *device, size_t bytes);
void clm_test_scratch_end(clm_test_scratch *scratch);

#endif
