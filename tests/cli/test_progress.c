/* What a person reads of progress.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "cli/progress.h"

#include <string.h>

#include "cli/stop.h"
#include "support/test_support.h"

/* The command's is in no library. */
bool clm_cli_stop_was_requested(void *context) {
    (void)context;
    return false;
}

static void lines_say_what_it_is_at(void **state) {
    (void)state;
    static const struct {
        clm_progress progress;
        const char *remark;
        const char *line;
    } cases[] = {
        {{"computing features", 64, 1388, "texts", NULL, 80.4},
         "",
         "computing features: 64 of 1388 texts, 1:20 left"},
        {{"training", 3, 130, "steps", NULL, 7325.0},
         ", loss 0.612",
         "training: 3 of 130 steps, loss 0.612, 2:02:05 left"},
        {{"testing the device", 2, 16, "operations", "building gelu_forward", -1.0},
         "",
         "testing the device: 2 of 16 operations; building gelu_forward"},
        {{"downloading", 12345678, 548105171, "bytes", "model.safetensors", 61.0},
         "",
         "downloading: 12.3 of 548.1 MB, 1:01 left; model.safetensors"},
        {{"downloading", 500000, 0, "bytes", NULL, -1.0}, "", "downloading: 0.5 MB"},
        {{"checking the weights", 0, 0, "", NULL, -1.0}, "", "checking the weights"},
        {{"", 0, 0, "", "building gelu_forward", -1.0}, "", "building gelu_forward"},
        {{"evaluating", 1, 2, "batches", NULL, 0.0}, "", "evaluating: 1 of 2 batches, 0:00 left"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char line[128];
        clm_cli_progress_format(line, sizeof line, &cases[i].progress, cases[i].remark);
        assert_string_equal(line, cases[i].line);
        /* A narrow terminal does not break it. */
        clm_cli_progress_format(line, 8, &cases[i].progress, cases[i].remark);
        assert_int_equal(strlen(line), 7);
        assert_int_equal(strncmp(line, cases[i].line, 7), 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_say_what_it_is_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
