/* SPDX-License-Identifier: Apache-2.0 */
#include "support/test_support.h"

#include <string.h>

#include "base/file.h"
#include "fetch/catalog.h"
#include "fetch/fetch.h"

static void the_catalog_is_sound(void **state) {
    (void)state;
    clm_fetched *fetched = NULL;
    size_t count = 0;
    for (; clm_fetch_name(count) != NULL; count++) {
        const clm_fetch_item *entry = clm_fetch_item_at(count);
        assert_true(strlen(clm_fetch_about(count)) > 10);
        assert_in_range(entry->file_count, 1, CLM_FETCH_MAX_FILES);
        for (size_t i = 0; i < entry->file_count; i++) {
            const clm_fetch_file *file = &entry->files[i];
            assert_int_equal(strncmp(file->url, "https://", 8), 0);
            assert_string_equal(clm_path_name(file->url), file->name);
            assert_true(file->size_bytes > 0 || file->most_bytes > 0); /* nothing comes for ever */
            assert_true(file->member == NULL || file->member_bytes > 0);
            if (file->sha256 != NULL) {
                assert_int_equal(strspn(file->sha256, "0123456789abcdef"), 64);
                assert_int_equal(strlen(file->sha256), 64);
            }
        }
    }
    assert_int_equal(count, 6);
    assert_null(clm_fetch_about(count));
    assert_status(CLM_ERROR_ARGUMENT, clm_fetch(&fetched, "gpt3", NULL));
    assert_message_has("there are gpt2, ");
}

#if !CLM_WITH_CURL
static void a_clm_without_downloads_says_so(void **state) {
    (void)state;
    clm_fetched *fetched = NULL;
    assert_status(CLM_ERROR_UNSUPPORTED, clm_fetch(&fetched, "gpt2", NULL));
    assert_message_has("CLM_WITH_CURL");
    assert_message_has("https://");
    assert_null(fetched);
}
#endif

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_catalog_is_sound),
#if !CLM_WITH_CURL
        cmocka_unit_test(a_clm_without_downloads_says_so),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
