/* SPDX-License-Identifier: Apache-2.0 */
#include "data/columns.h"

#include <string.h>

const char *const clm_table_text_columns[] = {"text", "message", "sms", NULL};
const char *const clm_table_label_columns[] = {"label", "class", "category", "target", NULL};

static size_t rank_of(const char *name, const char *wanted, size_t place) {
    return strcmp(name, wanted) == 0               ? 2 * place
           : clm_equal_ignoring_case(name, wanted) ? 2 * place + 1
                                                   : SIZE_MAX;
}

size_t clm_column_rank(const char *name, const char *asked, const char *const *usual) {
    if (asked != NULL) {
        return rank_of(name, asked, 0);
    }
    size_t rank = SIZE_MAX;
    for (size_t i = 0; usual[i] != NULL && rank == SIZE_MAX; i++) {
        rank = rank_of(name, usual[i], i);
    }
    return rank;
}

void clm_column_add_wanted(clm_string *out, const char *asked, const char *const *usual) {
    clm_string_add(out, asked != NULL ? asked : "");
    for (size_t i = 0; asked == NULL && usual[i] != NULL; i++) {
        clm_string_add_format(out, "%s%s", i > 0 ? ", " : "", usual[i]);
    }
}

clm_status clm_origin_guess_columns(clm_origin *origin, const clm_table_options *options) {
    clm_status status = CLM_OK;
    const char *kind = origin->has_header || origin->separator == 0 ? "" : "number ";
    if (options->label_column == NULL) {
        status = clm_origin_guess(origin, "label column: %s\"%.60s\"", kind, origin->label_column);
    }
    if (status == CLM_OK && options->text_column == NULL) {
        status = clm_origin_guess(origin, "text column: %s\"%.60s\"", kind, origin->text_column);
    }
    return status;
}
