/* Kernels that compute wrongly: copies of cl/ with one statement added at the beginning of one
 * kernel, which clm reads by way of $CLM_KERNEL_DIR.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TESTS_SELFTEST_BROKEN_H
#define CLM_TESTS_SELFTEST_BROKEN_H

#include <stdbool.h>

typedef struct broken_kernel {
    const char *operation; /* of the self-test, that has to notice it */
    const char *file;      /* "layernorm.cl" */
    const char *kernel;    /* as its definition begins in the file, up to its name's end at least */
    const char *statement; /* "x += 1;" */
} broken_kernel;

/* Writes the folder "kernels" below the test's folder and lets CLM_KERNEL_DIR name it. Fails the
 * test when the file has no such kernel. */
void break_kernel(const broken_kernel *broken);

/* Forgets it. */
void mend_kernels(void);

#endif
