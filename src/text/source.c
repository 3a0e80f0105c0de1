/* SPDX-License-Identifier: Apache-2.0 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memmem */
#endif
#include "text/source.h"

#include <string.h>

#include "base/json.h"
#include "base/string.h"

clm_quoted clm_quote(const char *text, size_t length) {
    enum { most = 40 };
    clm_quoted quoted = {"\"?\""};
    clm_string out = {0};
    size_t shown = length;
    if (shown > most) {
        for (shown = most; shown > 0 && ((unsigned char)text[shown] & 0xC0) == 0x80; shown--) {
        }
    }
    clm_json_add_bytes(&out, text, shown);
    if (shown < length) {
        clm_string_add(&out, "...");
    }
    /* Escapes can make it longer than the room; then the question mark has to do. */
    if (clm_string_status(&out) == CLM_OK && out.length < sizeof quoted.text) {
        memcpy(quoted.text, out.text, out.length + 1);
    }
    clm_string_free(&out);
    return quoted;
}

clm_status clm_source_parse(cJSON **json, const clm_source *source) {
    static const char nul[] = "\\u0000";
    *json = NULL;
    const char *end = source->text + source->length;
    const char *at = source->text;
    while ((at = memmem(at, (size_t)(end - at), nul, sizeof nul - 1)) != NULL) {
        /* After an odd number of backslashes this one is itself escaped. */
        const char *first = at;
        while (first > source->text && first[-1] == '\\') {
            first--;
        }
        if ((at - first) % 2 == 0) {
            return clm_fail(CLM_ERROR_FORMAT, "%s: byte %zu: a NUL character in a string",
                            source->where, (size_t)(at - source->text));
        }
        at++;
    }
    return clm_json_parse(json, source->text, source->length, source->where);
}
