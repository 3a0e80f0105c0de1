/* Finding and choosing devices, separate from opening them, so that the choice can be tested on
 * made-up lists.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_DEVICE_FIND_H
#define CLM_DEVICE_FIND_H

#include "device/device.h"

typedef struct clm_found_device {
    cl_platform_id platform;
    cl_device_id id;
    clm_device_info info;
} clm_found_device;

/* All available devices through *found (clm_free). CLM_ERROR_NO_DEVICE, with the reason and what to
 * do, when there is none. */
clm_status clm_find_devices(clm_found_device **found, size_t *count);

/* Fills in rank, rank_reason and is_default. */
void clm_rank_devices(clm_found_device *found, size_t count);

/* The best of those that match (`count` is not 0); see clm_device_options.pattern. */
clm_status clm_choose_device(const clm_found_device *found, size_t count, const char *pattern,
                             size_t *chosen);

#endif
