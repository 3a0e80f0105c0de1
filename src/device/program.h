/* Kernels by file, options and name.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_DEVICE_PROGRAM_H
#define CLM_DEVICE_PROGRAM_H

#include "device/internal.h"

typedef struct clm_embedded_file {
    const char *name;
    const unsigned char *bytes;
    size_t size_bytes;
} clm_embedded_file;

/* Builds what is not built yet. Lent until the next call for the same program. */
clm_status clm_kernel_find(const clm_kernel **kernel, clm_device *device, const char *file,
                           const char *name, const char *options);

#endif
