/* Traverses valid JSON, value by value as written: numbers keep their digits, and each value its
 * place in the file.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_DATA_JSON_WALK_H
#define CLM_DATA_JSON_WALK_H

#include <stdbool.h>
#include <stddef.h>

/* A value as written, without space around it; `text` is NULL for none. */
typedef struct clm_json_value {
    const char *text;
    size_t length_bytes;
} clm_json_value;

typedef struct clm_json_walk {
    const char *at;
    const char *end;
    bool object;
} clm_json_walk;

/* The first value between `text` and `end`, which ends at `end` when it never does. */
clm_json_value clm_json_first(const char *text, const char *end);

/* Begins to iterate over the members of an object or the elements of an array; over nothing for
 * another value. */
clm_json_walk clm_json_walk_begin(clm_json_value container);

/* The next value; *key (with quotes) is none in arrays. False at the end. */
bool clm_json_walk_next(clm_json_walk *walk, clm_json_value *key, clm_json_value *value);

/* '{', '[', '"', or another first byte; NUL for none. */
char clm_json_kind(clm_json_value value);

#endif
