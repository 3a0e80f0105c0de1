/* A file as the readers of this room take it: in memory.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TEXT_SOURCE_H
#define CLM_TEXT_SOURCE_H

#include <stddef.h>

typedef struct clm_source {
    const char *text;
    size_t length;
    const char *where; /* names it in errors */
} clm_source;

#endif
