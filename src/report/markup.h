/* Text for XML and HTML.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_REPORT_MARKUP_H
#define CLM_REPORT_MARKUP_H

#include "base/string.h"

/* Adds `text` so that a reader of XML or HTML sees exactly that text, between tags and inside
 * quotes: nothing in it opens a tag, ends an attribute or names an entity, and invisible characters
 * are escaped as by clm_string_add_visible(). */
void clm_markup_add(clm_string *out, const char *text);

#endif
