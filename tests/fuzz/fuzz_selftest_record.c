/* Any files as what the self-test remembers: "record.json", and "mark.jsonl", the mark of a process
 * that is gone. @KEY@ stands for the device's key. Nothing that is read there fails; what is taken
 * from it makes sense, and can be kept and read again.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* memmem */
#include <math.h>
#include <string.h>

#include "base/json.h"
#include "base/memory.h"
#include "fuzz.h"
#include "selftest/mark.h"
#include "selftest/record.h"

static const char *const words[] = {
    "format",           "key",    "@KEY@",    "gemm",    "own-panels",  "own-tiled", "clblast",
    "outcome",          "passed", "replaced", "refused", "comparisons", "seconds",   "why",
    "operation",        "way",    "kernel",   "shape",   "gelu",        "item",      "group",
    "=== mark.jsonl\n", NULL};
const fuzz_target fuzz_this = {FUZZ_FILES, words, 1 << 20, 8192};

/* That of the kernels takes most of the time of a run otherwise. The linker's name (--wrap). */
clm_status __wrap_clm_kernel_sources_hash(uint64_t *hash);
clm_status __wrap_clm_kernel_sources_hash(uint64_t *hash) {
    *hash = 1;
    return CLM_OK;
}

/* The key as it stands in JSON, without its quotes. */
static void add_with_key(clm_string *out, const uint8_t *bytes, size_t size, const char *key) {
    static const char mark[] = "@KEY@";
    clm_string quoted = {0};
    clm_json_add_string(&quoted, key);
    for (int replaced = 0; replaced < 64; replaced++) {
        const uint8_t *found = memmem(bytes, size, mark, sizeof mark - 1);
        if (found == NULL) {
            break;
        }
        clm_string_add_bytes(out, bytes, (size_t)(found - bytes));
        clm_string_add_bytes(out, quoted.text + 1, quoted.length - 2);
        size -= (size_t)(found - bytes) + sizeof mark - 1;
        bytes = found + sizeof mark - 1;
    }
    clm_string_add_bytes(out, bytes, size);
    clm_string_free(&quoted);
}

/* Writes a file where clm looks for it. */
static void place(const fuzz_file *file, const clm_device *device, const char *ending) {
    char *path = NULL;
    char *key = NULL;
    clm_string text = {0};
    clm_string_add(&text, "");
    FUZZ_CHECK(clm_selftest_record_place(&path, &key, device, ending) == CLM_OK);
    add_with_key(&text, file->bytes, file->size, key);
    FILE *stream = fopen(path, "we");
    FUZZ_CHECK(stream != NULL && fwrite(text.text, 1, text.length, stream) == text.length);
    FUZZ_CHECK(fclose(stream) == 0);
    clm_string_free(&text);
    clm_free(path);
    clm_free(key);
}

static void check_record(clm_device *device) {
    clm_selftest_report report;
    clm_selftest_report back;
    FUZZ_CHECK(clm_selftest_record_load(&report, device) == CLM_OK);
    FUZZ_CHECK(report.outcome >= CLM_SELFTEST_UNKNOWN && report.outcome <= CLM_SELFTEST_REFUSED);
    FUZZ_CHECK(report.comparisons >= 0 && isfinite(report.seconds));
    if (report.outcome != CLM_SELFTEST_UNKNOWN) {
        FUZZ_CHECK(clm_selftest_record_keep(&report, device, CLM_GEMM_OWN));
        FUZZ_CHECK(clm_selftest_record_load(&back, device) == CLM_OK);
        FUZZ_CHECK(back.outcome == report.outcome && back.comparisons == report.comparisons);
        FUZZ_CHECK(strcmp(back.why, report.why) == 0);
        FUZZ_CHECK(strcmp(back.replaced, report.replaced) == 0);
    }
}

static void check_mark(const clm_device *device) {
    clm_selftest_mark mark;
    clm_selftest_mark back;
    (void)clm_selftest_mark_is_left(device);
    clm_selftest_mark_open(&mark, device);
    FUZZ_CHECK(mark.crash_count <= sizeof mark.crashes / sizeof *mark.crashes);
    const size_t count = mark.crash_count;
    const clm_selftest_crash *found = clm_selftest_mark_find(&mark, "gelu", "item");
    FUZZ_CHECK(found == NULL || strcmp(found->operation, "gelu") == 0);
    (void)snprintf(mark.now.operation, sizeof mark.now.operation, "softmax");
    clm_selftest_mark_write(&mark);
    clm_selftest_mark_close(&mark, false);
    clm_selftest_mark_open(&back, device);
    FUZZ_CHECK(back.crash_count == count);
    clm_selftest_mark_keep(&back);
    clm_selftest_mark_forget(&back, "gelu");
    FUZZ_CHECK(clm_selftest_mark_find(&back, "gelu", "item") == NULL);
    clm_selftest_mark_close(&back, true);
}

void fuzz_one(const uint8_t *data, size_t size) {
    clm_device *device = fuzz_device();
    fuzz_file file;
    fuzz_empty();
    FUZZ_CHECK(setenv("CLM_CACHE_DIR", fuzz_folder(), 1) == 0);
    for (size_t at = 0; fuzz_next_file(&file, data, size, &at) != 0;) {
        place(&file, device, strcmp(file.name, "mark.jsonl") == 0 ? "mark" : "json");
    }
    check_record(device);
    check_mark(device);
}
