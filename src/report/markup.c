/* SPDX-License-Identifier: Apache-2.0 */
#include "report/markup.h"

#include <string.h>

static void add(clm_string *out, const char *shown) {
    for (; *shown != '\0'; shown++) {
        switch (*shown) {
            case '&':
                clm_string_add(out, "&amp;");
                break;
            case '<':
                clm_string_add(out, "&lt;");
                break;
            case '>':
                clm_string_add(out, "&gt;");
                break;
            case '"':
                clm_string_add(out, "&quot;");
                break;
            case '\'':
                clm_string_add(out, "&#39;");
                break;
            default:
                clm_string_add_bytes(out, shown, 1);
        }
    }
}

void clm_markup_add(clm_string *out, const char *text) {
    char shown[CLM_SHOWN_CAPACITY];
    for (const char *end = text + strlen(text); text < end;) {
        text += clm_show_character(shown, text, (size_t)(end - text));
        add(out, shown);
    }
}
