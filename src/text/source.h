/* A file as the readers of this room take it: in memory.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TEXT_SOURCE_H
#define CLM_TEXT_SOURCE_H

#include <cjson/cJSON.h>
#include <stddef.h>

#include "base/error.h"

typedef struct clm_source {
    const char *text;
    size_t length;
    const char *where; /* names it in errors */
} clm_source;

/* Parses; CLM_ERROR_FORMAT if a string contains a NUL character, which no token does. */
clm_status clm_source_parse(cJSON **json, const clm_source *source);

/* A token as messages show it: quoted, escaped, and cut if long. */
typedef struct clm_quoted {
    char text[96];
} clm_quoted;
clm_quoted clm_quote(const char *text, size_t length);

#endif
