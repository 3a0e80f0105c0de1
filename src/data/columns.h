/* Which columns of a file are text and label.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_DATA_COLUMNS_H
#define CLM_DATA_COLUMNS_H

#include "base/string.h"
#include "clm/data.h"
#include "data/origin.h"

/* The default names of a column, ending in NULL. */
extern const char *const clm_table_text_columns[];
extern const char *const clm_table_label_columns[];

/* How well a column's name matches: 0 best, SIZE_MAX not at all. The requested name, exactly or
 * else ignoring case; if none is requested, the usual names in order. */
size_t clm_column_rank(const char *name, const char *asked, const char *const *usual);

/* Adds "text, message, sms", or the requested name. */
void clm_column_add_wanted(clm_string *out, const char *asked, const char *const *usual);

/* Notes which columns were chosen, if they were not requested. */
clm_status clm_origin_guess_columns(clm_origin *origin, const clm_table_options *options);

#endif
