/* SPDX-License-Identifier: Apache-2.0 */
#include "report/markup.h"

void clm_markup_add(clm_string *out, const char *text) {
    for (; *text != '\0'; text++) {
        switch (*text) {
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
                clm_string_add_bytes(out, text, 1);
        }
    }
}
