/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/string.h"
#include "fetch/fetch.h"

clm_status clm_fetch(clm_fetched **fetched, const char *name, const clm_fetch_options *options) {
    const clm_fetch_options defaults = CLM_FETCH_OPTIONS_DEFAULT;
    clm_string names = {0};
    *fetched = NULL;
    for (size_t i = 0; clm_fetch_item_at(i) != NULL; i++) {
        const clm_fetch_item *item = clm_fetch_item_at(i);
        if (strcmp(item->name, name) == 0) {
            clm_string_free(&names);
            return clm_fetch_item_get(fetched, item, options != NULL ? options : &defaults);
        }
        clm_string_add_format(&names, i > 0 ? ", %s" : "%s", item->name);
    }
    clm_status status = clm_string_status(&names);
    if (status == CLM_OK) {
        status = clm_fail(CLM_ERROR_ARGUMENT, "nothing is called \"%.100s\"; there are %s", name,
                          names.text);
    }
    clm_string_free(&names);
    return status;
}
