/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/number.h"
#include "base/sniff.h"

/* What cJSON does not see: it cuts strings at \u0000, and takes 64 bytes and more for each value
 * of two characters, so that is counted before it begins. Wrong syntax is left to it. */
static clm_status check_text(const char *text, size_t count, uint64_t most_values,
                             const char *where) {
    uint64_t values = 1;
    int depth = 0;
    bool in_string = false;
    for (size_t at = 0; at < count; at++) {
        const char c = text[at];
        if (c == '"') {
            in_string = !in_string;
        } else if (in_string && c == '\\') {
            if (count - at > 5 && memcmp(text + at, "\\u0000", 6) == 0) {
                return clm_fail(CLM_ERROR_FORMAT, "%s: byte %zu: a string contains \\u0000", where,
                                at);
            }
            at++;
        } else if (!in_string) {
            values += c == ',' || c == '[' || c == '{';
            depth += (c == '[' || c == '{') - (c == ']' || c == '}');
        }
        if (depth > CLM_JSON_MOST_DEPTH || values > most_values) {
            return clm_fail(CLM_ERROR_FORMAT, "%s: byte %zu: the JSON %s", where, at,
                            values > most_values ? "has too many values" : "is nested too deep");
        }
    }
    return CLM_OK;
}

static clm_status parse(cJSON **json, const char *text, size_t count, uint64_t most_values,
                        const char *where) {
    *json = NULL;
    size_t valid = clm_utf8_check(text, count);
    if (valid < count) {
        return clm_fail(CLM_ERROR_FORMAT, "%s: byte %zu: not valid UTF-8", where, valid);
    }
    const clm_status status = check_text(text, count, most_values, where);
    if (status != CLM_OK) {
        return status;
    }
    const char *end = NULL;
    errno = 0;
    /* cJSON expects the locale's decimal point. */
    const locale_t before = clm_number_locale_enter();
    cJSON *parsed = cJSON_ParseWithLengthOpts(text, count, &end, false);
    clm_number_locale_leave(before);
    if (parsed == NULL && errno == ENOMEM) { /* cJSON tells neither from the other, malloc does */
        return clm_fail(CLM_ERROR_MEMORY, "%s: out of memory for its JSON, %zu bytes of text",
                        where, count);
    }
    if (parsed == NULL) {
        return clm_fail(CLM_ERROR_FORMAT, "%s: byte %zu: not valid JSON", where,
                        end != NULL ? (size_t)(end - text) : 0);
    }
    for (; end < text + count; end++) {
        if (strchr(" \t\r\n", *end) == NULL || *end == '\0') {
            cJSON_Delete(parsed);
            return clm_fail(CLM_ERROR_FORMAT, "%s: byte %zu: something follows the JSON value",
                            where, (size_t)(end - text));
        }
    }
    *json = parsed;
    return CLM_OK;
}

clm_status clm_json_parse(cJSON **json, const char *text, size_t count, const char *where) {
    return parse(json, text, count, CLM_JSON_MOST_VALUES, where);
}

clm_status clm_json_read(cJSON **json, const char *path, clm_file_kind kind) {
    *json = NULL;
    char *text = NULL;
    size_t count = 0;
    clm_status status = clm_file_read(path, kind, &text, &count);
    if (status == CLM_OK) {
        status = parse(json, text, count, clm_file_limit_of(kind)->most_values, path);
    }
    if (status == CLM_ERROR_FORMAT && text != NULL) { /* else it was too large */
        const clm_status named = clm_sniff_download(path, text, count);
        status = named != CLM_OK ? named : status;
    }
    clm_free(text);
    return status;
}

/* Sets *item to NULL when the member is missing and need not be there. */
static clm_status find(const cJSON *object, const char *name, bool required, const cJSON **item,
                       const char *where) {
    *item = cJSON_GetObjectItemCaseSensitive(object, name);
    if (cJSON_IsNull(*item)) {
        *item = NULL;
    }
    if (*item == NULL && required) {
        return clm_fail(CLM_ERROR_FORMAT, "%s: \"%s\" is missing", where, name);
    }
    return CLM_OK;
}

clm_status clm_json_get_int(const cJSON *object, const char *name, bool required, int least,
                            int most, int *value, const char *where) {
    const cJSON *item = NULL;
    clm_status status = find(object, name, required, &item, where);
    if (status != CLM_OK || item == NULL) {
        return status;
    }
    double number = item->valuedouble;
    if (!cJSON_IsNumber(item) || !(number >= least && number <= most) ||
        (double)(int)number != number) {
        return clm_fail(CLM_ERROR_FORMAT, "%s: \"%s\" must be a whole number from %d to %d", where,
                        name, least, most);
    }
    *value = (int)number;
    return CLM_OK;
}

clm_status clm_json_get_double(const cJSON *object, const char *name, bool required, double *value,
                               const char *where) {
    const cJSON *item = NULL;
    clm_status status = find(object, name, required, &item, where);
    if (status != CLM_OK || item == NULL) {
        return status;
    }
    if (!cJSON_IsNumber(item) || !isfinite(item->valuedouble)) {
        return clm_fail(CLM_ERROR_FORMAT, "%s: \"%s\" must be a number", where, name);
    }
    *value = item->valuedouble;
    return CLM_OK;
}

clm_status clm_json_get_bool(const cJSON *object, const char *name, bool required, bool *value,
                             const char *where) {
    const cJSON *item = NULL;
    clm_status status = find(object, name, required, &item, where);
    if (status != CLM_OK || item == NULL) {
        return status;
    }
    if (!cJSON_IsBool(item)) {
        return clm_fail(CLM_ERROR_FORMAT, "%s: \"%s\" must be true or false", where, name);
    }
    *value = cJSON_IsTrue(item);
    return CLM_OK;
}

clm_status clm_json_get_string(const cJSON *object, const char *name, bool required,
                               const char **value, const char *where) {
    const cJSON *item = NULL;
    clm_status status = find(object, name, required, &item, where);
    if (status != CLM_OK || item == NULL) {
        return status;
    }
    if (!cJSON_IsString(item)) {
        return clm_fail(CLM_ERROR_FORMAT, "%s: \"%s\" must be a string", where, name);
    }
    *value = item->valuestring;
    return CLM_OK;
}

clm_status clm_json_get_line(const cJSON *object, const char *name, bool required,
                             const char **value, const char *where) {
    const char *text = NULL;
    const clm_status status = clm_json_get_string(object, name, required, &text, where);
    if (status != CLM_OK || text == NULL) {
        return status;
    }
    for (const char *at = text; *at != '\0'; at++) {
        if ((unsigned char)*at < 0x20 || *at == 0x7F) {
            return clm_fail(CLM_ERROR_FORMAT, "%s: \"%s\" has a control character", where, name);
        }
    }
    *value = text;
    return CLM_OK;
}

void clm_json_add_bytes(clm_string *out, const char *text, size_t count) {
    const unsigned char *bytes = (const unsigned char *)text;
    clm_string_add(out, "\"");
    for (size_t at = 0; at < count;) {
        uint32_t code_point = 0;
        size_t length = clm_utf8_decode(bytes + at, count - at, &code_point);
        if (length == 0) {
            clm_string_add(out, "\xEF\xBF\xBD");
            at++;
            continue;
        }
        if (code_point == '"' || code_point == '\\') {
            clm_string_add_format(out, "\\%c", (char)code_point);
        } else if (code_point == '\n') {
            clm_string_add(out, "\\n");
        } else if (code_point == '\r') {
            clm_string_add(out, "\\r");
        } else if (code_point == '\t') {
            clm_string_add(out, "\\t");
        } else if (code_point < 0x20 || code_point == 0x7F) {
            clm_string_add_format(out, "\\u%04x", code_point);
        } else {
            clm_string_add_bytes(out, bytes + at, length);
        }
        at += length;
    }
    clm_string_add(out, "\"");
}

void clm_json_add_string(clm_string *out, const char *text) {
    clm_json_add_bytes(out, text, strlen(text));
}

void clm_json_add_float(clm_string *out, float value) {
    char digits[CLM_NUMBER_CAPACITY] = "null";
    if (isfinite(value)) {
        clm_number_of_float(digits, value);
    }
    clm_string_add(out, digits);
}

void clm_json_add_double(clm_string *out, double value) {
    char digits[CLM_NUMBER_CAPACITY] = "null";
    if (isfinite(value)) {
        clm_number_of_double(digits, value);
    }
    clm_string_add(out, digits);
}
