/* The settings in use on a device.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>

#include "base/memory.h"
#include "ops/tuning.h"
#include "ops/tuning_file.h"

static void close_tuning(void *context) {
    clm_free(context);
}

static clm_status keep(clm_device *device, const clm_tuning *tuning) {
    clm_status status = CLM_OK;
    clm_tuning *kept = clm_device_close_context(device, close_tuning);
    clm_tuning *made = NULL;
    if (kept == NULL) {
        CLM_TRY(clm_allocate(&made, 1, sizeof *made, "a device's settings"));
        CLM_TRY(clm_device_on_close(device, close_tuning, made));
        kept = made;
        made = NULL;
    }
    *kept = *tuning;
cleanup:
    clm_free(made);
    return status;
}

clm_status clm_tuning_use(clm_device *device, const clm_tuning *tuning) {
    const clm_tuning defaults = clm_tuning_defaults();
    clm_status status = CLM_OK;
    tuning = tuning != NULL ? tuning : &defaults;
    CLM_TRY(clm_tuning_check(tuning, device));
    CLM_TRY(keep(device, tuning));
cleanup:
    return status;
}

/* For a device that has no memory left to keep its own. */
static clm_tuning nothing_set;

static void fill_nothing_set(void) {
    nothing_set = clm_tuning_defaults();
}

const clm_tuning *clm_tuning_of(const clm_device *device) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const clm_tuning *kept = clm_device_close_context(device, close_tuning);
    if (kept != NULL) {
        return kept;
    }
    clm_tuned tuned;
    clm_tuned_load(&tuned, device);
    /* What is kept for a device does not change what the device is. */
    if (keep((clm_device *)device, &tuned.settings) != CLM_OK) {
        clm_error_clear();
        (void)pthread_once(&once, fill_nothing_set);
        return &nothing_set;
    }
    return clm_device_close_context(device, close_tuning);
}
