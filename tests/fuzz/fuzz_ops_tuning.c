/* Any bytes as a file of settings: refused with a message, or settings that fit the device and are
 * the same when they are written and read again. What does not begin with '{' is taken for the text
 * of CLM_TUNE besides.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/memory.h"
#include "fuzz.h"
#include "ops/tuning_file.h"

static const char *const words[] = {"format",
                                    "device",
                                    "platform",
                                    "platform_version",
                                    "driver",
                                    "clm",
                                    "compute_units",
                                    "clblast",
                                    "preset",
                                    "gain",
                                    "peak_gflops",
                                    "own_gflops",
                                    "clblast_gflops",
                                    "settings",
                                    "gemm.backend",
                                    "gemm.arithmetic",
                                    "gemm.form",
                                    "gemm.width",
                                    "gemm.vectors",
                                    "gemm.rows",
                                    "gemm.k_block",
                                    "gemm.items",
                                    "gemm.side",
                                    "gemm.k_step",
                                    "ops.width",
                                    "ops.flat_group",
                                    "ops.row_items",
                                    "ops.row_group",
                                    "clblast.Xgemm.MWG",
                                    "clblast.Copy.COPY_DIMX",
                                    "own",
                                    "clblast",
                                    "floats",
                                    "halves",
                                    "panels",
                                    "tiled",
                                    "normal",
                                    "=8,",
                                    NULL};
const fuzz_target fuzz_this = {FUZZ_JSON, words, 1 << 18, 1024};

static void check_same(const clm_tuned *tuned, const clm_device *device) {
    clm_tuned back;
    const char *path = fuzz_path("written.json");
    clm_string first = {0};
    clm_string second = {0};
    FUZZ_CHECK(clm_tuning_check(&tuned->settings, device) == CLM_OK);
    FUZZ_CHECK(clm_tuned_write(tuned, path, device) == CLM_OK);
    FUZZ_CHECK(clm_tuned_read(&back, path, device, false) == CLM_OK);
    FUZZ_CHECK(memcmp(&back.settings, &tuned->settings, sizeof back.settings) == 0);
    clm_tuned_describe(&first, tuned, device);
    clm_tuned_describe(&second, &back, device);
    FUZZ_CHECK(strcmp(first.text, second.text) == 0);
    clm_string_free(&first);
    clm_string_free(&second);
}

static void check_text(const uint8_t *data, size_t size) {
    clm_tuning tuning = clm_tuning_defaults();
    clm_string text = {0};
    clm_string described = {0};
    clm_string_add(&text, "");
    clm_string_add_bytes(&text, data, size);
    clm_status status = clm_tuning_add(&tuning, text.text);
    if (status == CLM_OK) {
        clm_tuning back = clm_tuning_defaults();
        clm_string_add(&described, "");
        clm_tuning_describe(&described, &tuning);
        FUZZ_CHECK(clm_tuning_add(&back, described.text) == CLM_OK);
        FUZZ_CHECK(memcmp(&back, &tuning, sizeof back) == 0);
    } else {
        FUZZ_CHECK(clm_error_message()[0] != '\0'); /* quotes what a person wrote, as it is */
    }
    clm_string_free(&text);
    clm_string_free(&described);
}

void fuzz_one(const uint8_t *data, size_t size) {
    clm_device *device = fuzz_device();
    clm_tuned tuned = clm_tuned_nothing();
    const char *path = fuzz_write("tuning.json", data, size);
    char *kept = NULL;
    if (size > 0 && data[0] != '{') {
        check_text(data, size);
    }
    for (int any_device = 0; any_device < 2; any_device++) {
        clm_status status = clm_tuned_read(&tuned, path, device, any_device != 0);
        if (status != CLM_OK) {
            fuzz_check_refused(status);
            continue;
        }
        check_same(&tuned, device);
    }
    /* The file of the device itself, which is moved aside when it is none. */
    FUZZ_CHECK(setenv("CLM_CACHE_DIR", fuzz_folder(), 1) == 0);
    FUZZ_CHECK(clm_tuned_path(&kept, device, "json") == CLM_OK);
    FILE *file = fopen(kept, "we");
    FUZZ_CHECK(file != NULL && fwrite(data, 1, size, file) == size && fclose(file) == 0);
    clm_tuned_load(&tuned, device);
    clm_tuned_keep(&tuned, device);
    check_same(&tuned, device);
    clm_free(kept);
}
