/* See fake_opencl.c.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TESTS_THREADS_FAKE_OPENCL_H
#define CLM_TESTS_THREADS_FAKE_OPENCL_H

#include <stdbool.h>

/* How many objects of OpenCL there are now. */
long fake_opencl_objects(void);

#endif
