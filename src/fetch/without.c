/* Replaces fetch.c in a build without libcurl.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "fetch/fetch.h"

#if !CLM_WITH_CURL

clm_status clm_fetch_item_get(clm_fetched **fetched, const clm_fetch_item *item,
                              const clm_fetch_options *options) {
    *fetched = NULL;
    (void)options;
    const clm_fetch_file *file = &item->files[item->file_count - 1];
    return clm_fail(
        CLM_ERROR_UNSUPPORTED,
        "this clm was built without downloads: configure it with -DCLM_WITH_CURL=ON, or "
        "get the files of %s by hand, such as %s",
        item->name, file->url);
}

const char *clm_fetched_folder(const clm_fetched *fetched) {
    (void)fetched;
    return "";
}

size_t clm_fetched_count(const clm_fetched *fetched) {
    (void)fetched;
    return 0;
}

const char *clm_fetched_path(const clm_fetched *fetched, size_t index) {
    (void)fetched;
    (void)index;
    return "";
}

const char *clm_fetched_sha256(const clm_fetched *fetched, size_t index) {
    return clm_fetched_path(fetched, index);
}

clm_fetch_trust clm_fetched_trust(const clm_fetched *fetched, size_t index) {
    (void)fetched;
    (void)index;
    return CLM_FETCH_UNVERIFIED;
}

bool clm_fetched_is_new(const clm_fetched *fetched, size_t index) {
    (void)fetched;
    (void)index;
    return false;
}

void clm_fetched_free(clm_fetched *fetched) {
    (void)fetched;
}

#endif
