/* What every fuzz target here defines; see CMakeLists.txt. It aborts when something is wrong.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TEST_FUZZ_H
#define CLM_TEST_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_CHECK(condition)                                                                   \
    do {                                                                                        \
        if (!(condition)) {                                                                     \
            (void)fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition); \
            abort();                                                                            \
        }                                                                                       \
    } while (0)

#endif
