/* JSON: reading with cJSON, with errors that name file and byte; writing by adding pieces to a
 * clm_string.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_BASE_JSON_H
#define CLM_BASE_JSON_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/limits.h"
#include "base/string.h"

/* Parses all of the `count` bytes (white space may follow the value). `where` names the source in
 * errors. The caller frees *json with cJSON_Delete. Invalid UTF-8, wrong syntax, \u0000 in a
 * string, and exceeding a limit of base/limits.h are CLM_ERROR_FORMAT with the byte. */
clm_status clm_json_parse(cJSON **json, const char *text, size_t count, const char *where);
clm_status clm_json_read(cJSON **json, const char *path, clm_file_kind kind);

/* Members of an object, with the type and range checked; a missing member leaves *value unchanged
 * if `required` is false. JSON null counts as missing. */
clm_status clm_json_get_int(const cJSON *object, const char *name, bool required, int least,
                            int most, int *value, const char *where);
clm_status clm_json_get_double(const cJSON *object, const char *name, bool required, double *value,
                               const char *where);
clm_status clm_json_get_bool(const cJSON *object, const char *name, bool required, bool *value,
                             const char *where);
/* Lent by the object. */
clm_status clm_json_get_string(const cJSON *object, const char *name, bool required,
                               const char **value, const char *where);

/* The same for a text without control characters, for display. */
clm_status clm_json_get_line(const cJSON *object, const char *name, bool required,
                             const char **value, const char *where);

/* "text" with quotes and escapes. Bytes that are not valid UTF-8 become U+FFFD. */
void clm_json_add_string(clm_string *out, const char *text);
void clm_json_add_bytes(clm_string *out, const char *text, size_t count);

/* The shortest decimal that reads back as the same float; null when not finite. */
void clm_json_add_float(clm_string *out, float value);
void clm_json_add_double(clm_string *out, double value);

#endif
