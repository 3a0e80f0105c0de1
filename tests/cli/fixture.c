/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"

void read_file(char **bytes, size_t *size_bytes, const char *name) {
    size_t ignored = 0;
    assert_ok(clm_file_read(clm_test_path(name), CLM_FILE_TEXT, bytes,
                            size_bytes != NULL ? size_bytes : &ignored));
}

static void skip_without_device(void) {
    if (run_clm("devices").status != 0 && getenv("CLM_DEMAND_DEVICES") == NULL) {
        print_message("skipped: no OpenCL device\n");
        exit(77);
    }
}

int make_inputs(void **state) {
    (void)state;
    char *bytes = NULL;
    size_t size_bytes = 0;
    skip_without_device();
    assert_ok(
        clm_file_read(clm_test_source("data/messages.tsv"), CLM_FILE_TEXT, &bytes, &size_bytes));
    clm_test_write(clm_test_path("messages.tsv"), bytes, size_bytes);
    clm_free(bytes);
    assert_done(
        run_clm("tokenize", "--train", "messages.tsv", "--out", "vocab", "--vocab-size", "300"));
    assert_done(run_clm("data", "spam", "--input", "messages.tsv", "--out", "data"));
    return 0;
}

int make_run(void **state) {
    (void)make_inputs(state);
    assert_done(run_clm(TRAIN, "--out", "run", "--epochs", "2", "--eval-every", "3"));
    return 0;
}

void assert_same_bytes(const char *name, const char *other) {
    size_t size_bytes = 0;
    size_t other_size_bytes = 0;
    char *bytes = NULL;
    char *other_bytes = NULL;
    read_file(&bytes, &size_bytes, name);
    read_file(&other_bytes, &other_size_bytes, other);
    if (size_bytes != other_size_bytes || memcmp(bytes, other_bytes, size_bytes) != 0) {
        fail_msg("%s and %s differ", name, other);
    }
    clm_free(bytes);
    clm_free(other_bytes);
}

/* Cuts `,"seconds":1.5` out of every line. */
static void read_metrics(char **text, const char *run) {
    static const char key[] = ",\"seconds\":";
    char name[256];
    (void)snprintf(name, sizeof name, "%s/metrics.jsonl", run);
    read_file(text, NULL, name);
    for (char *at = strstr(*text, key); at != NULL; at = strstr(at, key)) {
        const size_t length = sizeof key - 1 + strspn(at + sizeof key - 1, "0123456789.");
        memmove(at, at + length, strlen(at + length) + 1);
    }
}

void assert_same_metrics(const char *run, const char *other) {
    char *text = NULL;
    char *other_text = NULL;
    read_metrics(&text, run);
    read_metrics(&other_text, other);
    assert_string_equal(text, other_text);
    clm_free(text);
    clm_free(other_text);
}
