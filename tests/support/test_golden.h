/* Expected values in safetensors files below tests/golden/.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TEST_GOLDEN_H
#define CLM_TEST_GOLDEN_H

#include "support/test_support.h"

#include "model/formats/safetensors.h"

/* Opened once a process; closed at its end. */
const clm_safetensors *clm_test_golden(const char *name);

/* A copy of a tensor, because the map may not be aligned; freed by the caller. A missing one fails
 * the test. `count` may be NULL. */
void *clm_test_golden_tensor(const clm_safetensors *file, const char *name, size_t *count);

#endif
