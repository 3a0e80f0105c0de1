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

/* Parses; a string with a NUL character, which no token has, is CLM_ERROR_FORMAT. */
clm_status clm_source_parse(cJSON **json, const clm_source *source);

/* A token as it can stand in a message: quoted, escaped, cut when long. */
typedef struct clm_quoted {
    char text[96];
} clm_quoted;
clm_quoted clm_quote(const char *text, size_t length);

#endif
