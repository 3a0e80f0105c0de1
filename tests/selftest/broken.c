/* SPDX-License-Identifier: Apache-2.0 */
#include "broken.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/string.h"
#include "device/program.h"
#include "support/test_support.h"

/* Made from cl/ by ci/cmake/EmbedKernels.cmake. */
extern const clm_embedded_file clm_embedded_files[];
extern const size_t clm_embedded_file_count;

static const char *kernel_path(const char *name) {
    char path[128];
    (void)snprintf(path, sizeof path, "kernels/%s", name);
    return clm_test_path(path);
}

/* A brace after the kernel's name begins its body: parameters have none. A file may define it
 * twice, once for each form. */
static void write_broken(const clm_embedded_file *file, const broken_kernel *broken) {
    clm_string text = {0};
    clm_string whole = {0};
    clm_string_add_bytes(&text, file->bytes, file->size_bytes);
    assert_ok(clm_string_status(&text));
    const char *rest = text.text;
    int count = 0;
    for (const char *at; (at = strstr(rest, broken->kernel)) != NULL; count++) {
        const char *brace = strchr(at, '{');
        assert_non_null(brace);
        clm_string_add_bytes(&whole, rest, (size_t)(brace + 1 - rest));
        clm_string_add_format(&whole, "%s", broken->statement);
        rest = brace + 1;
    }
    if (count == 0) {
        fail_msg("cl/%s has no kernel that begins \"%s\"", broken->file, broken->kernel);
    }
    clm_string_add(&whole, rest);
    assert_ok(clm_string_status(&whole));
    clm_test_write(kernel_path(file->name), whole.text, whole.length);
    clm_string_free(&whole);
    clm_string_free(&text);
}

void break_kernel(const broken_kernel *broken) {
    bool found = false;
    assert_ok(clm_folder_make(clm_test_path("kernels")));
    for (size_t i = 0; i < clm_embedded_file_count; i++) {
        const clm_embedded_file *file = &clm_embedded_files[i];
        if (strcmp(file->name, broken->file) == 0) {
            write_broken(file, broken);
            found = true;
        } else {
            clm_test_write(kernel_path(file->name), file->bytes, file->size_bytes);
        }
    }
    assert_true(found);
    assert_int_equal(setenv("CLM_KERNEL_DIR", clm_test_path("kernels"), 1), 0);
}

void mend_kernels(void) {
    assert_int_equal(unsetenv("CLM_KERNEL_DIR"), 0);
}
