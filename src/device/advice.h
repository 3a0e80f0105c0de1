/* Why OpenCL shows no device here, and what to do about it, found by inspecting the installed files
 * instead of guessing.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_DEVICE_ADVICE_H
#define CLM_DEVICE_ADVICE_H

#include "base/string.h"

/* What was found, and where to look further; tests use other folders. */
typedef struct clm_advice_scene {
    const char (*empty)[128]; /* names of platforms without a device */
    size_t empty_count;
    const char *vendors; /* where the loader looks by default */
    const char *nodes;   /* where device nodes are */
} clm_advice_scene;

#define CLM_ADVICE_VENDORS "/etc/OpenCL/vendors"
#define CLM_ADVICE_NODES "/dev"

/* Adds a line for each installed driver that cannot be loaded, and for each platform without
 * devices, with the reason if one is found. Adds nothing if all is well. */
void clm_advice_add_hints(clm_string *text, const clm_advice_scene *scene);

/* Adds one line, without a newline, for a machine where no platform has a device. */
void clm_advice_add_reasons(clm_string *text, const clm_advice_scene *scene);

#endif
