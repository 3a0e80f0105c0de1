/* The model of tests/golden/members, as transformers saved it but for one member of config.json,
 * and what transformers computes with it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TEST_MODEL_MEMBERS_H
#define CLM_TEST_MODEL_MEMBERS_H

#include "support/test_support.h"

#include <string.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/memory.h"
#include "base/string.h"
#include "golden/config_members.h"

enum {
    base_count = sizeof golden_base / sizeof *golden_base,
    row_count = sizeof golden_rows / sizeof *golden_rows
};

/* The path is lent as clm_test_path()'s. */
static inline const char *members_folder(const char *name, const char *value) {
    clm_string text = {0};
    char *weights = NULL;
    size_t size_bytes = 0;
    clm_string_add_format(&text, "{\"%s\": %s", name, value);
    for (size_t i = 0; i < base_count; i++) {
        if (strcmp(golden_base[i].name, name) != 0) {
            clm_string_add_format(&text, ", \"%s\": %s", golden_base[i].name, golden_base[i].value);
        }
    }
    clm_string_add(&text, "}");
    assert_ok(clm_string_status(&text));
    assert_ok(clm_folder_make(clm_test_path("model")));
    clm_test_write(clm_test_path("model/config.json"), text.text, text.length);
    assert_ok(clm_file_read(clm_test_source("golden/members/model.safetensors"), CLM_FILE_CONFIG,
                            &weights, &size_bytes));
    clm_test_write(clm_test_path("model/model.safetensors"), weights, size_bytes);
    clm_free(weights);
    clm_string_free(&text);
    return clm_test_path("model");
}

#endif
