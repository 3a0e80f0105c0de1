/* Fails to compile when clm's own settings reach those who link it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <clm/clm.h>
#include <string.h>

#if __STDC_VERSION__ != 201710L
#error "this is not the host's language any more"
#endif
#if defined(CL_TARGET_OPENCL_VERSION) || defined(CLM_WITH_CURL) || defined(NDEBUG)
#error "clm's definitions reach the host"
#endif

/* Of this clm warns, and the host does not. */
static int shadow(int value) {
    for (long value = 0; value < 1; value++) {
    }
    int narrow = 3.5;
    return value + narrow;
}

int main(void) {
    return strcmp(clm_status_name(CLM_OK), "CLM_OK") != 0 || shadow(1) != 4;
}
