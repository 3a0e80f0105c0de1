/* Why OpenCL shows no device here, and what to do about it: found out by looking at what is
 * installed, not guessed.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_DEVICE_ADVICE_H
#define CLM_DEVICE_ADVICE_H

#include "base/string.h"

/* What was seen, and where to look further; tests look elsewhere. */
typedef struct clm_advice_scene {
    const char (*empty)[128]; /* names of platforms that show no device */
    size_t empty_count;
    const char *vendors; /* where the loader looks unless it is told otherwise */
    const char *nodes;   /* where device nodes are */
} clm_advice_scene;

#define CLM_ADVICE_VENDORS "/etc/OpenCL/vendors"
#define CLM_ADVICE_NODES "/dev"

/* Adds a line for each driver that is installed and cannot be loaded, and for each platform without
 * devices, with the reason where one is found. Nothing for a machine where all is well. */
void clm_advice_add_hints(clm_string *text, const clm_advice_scene *scene);

/* Adds one line, without a newline, on a machine where nothing shows a device. */
void clm_advice_add_reasons(clm_string *text, const clm_advice_scene *scene);

#endif
