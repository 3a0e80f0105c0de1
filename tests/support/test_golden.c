/* SPDX-License-Identifier: Apache-2.0 */
#include "support/test_golden.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static clm_safetensors *files[4];
static char names[4][64];

static void close_files(void) {
    for (size_t i = 0; i < 4; i++) {
        clm_safetensors_close(files[i]);
        files[i] = NULL;
    }
}

const clm_safetensors *clm_test_golden(const char *name) {
    size_t at = 0;
    while (at < 4 && files[at] != NULL && strcmp(names[at], name) != 0) {
        at++;
    }
    assert_true(at < 4);
    if (files[at] == NULL) {
        char path[128];
        (void)snprintf(path, sizeof path, "golden/%s", name);
        assert_ok(clm_safetensors_open(&files[at], clm_test_source(path)));
        (void)snprintf(names[at], sizeof names[at], "%s", name);
        if (at == 0) {
            (void)atexit(close_files);
        }
    }
    return files[at];
}

void *clm_test_golden_tensor(const clm_safetensors *file, const char *name, size_t *count) {
    const clm_safetensors_tensor *found = clm_safetensors_find(file, name);
    if (found == NULL) {
        fail_msg("%s has no %s", clm_safetensors_path(file), name);
    }
    void *values = malloc(found->size_bytes);
    assert_non_null(values);
    assert_ok(clm_safetensors_read(file, found, 0, values, found->size_bytes));
    if (count != NULL) {
        *count = found->count;
    }
    return values;
}
