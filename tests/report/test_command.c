/* Runs `clm plot` as a person does.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/test_command.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/folder.h"
#include "clm/report.h"

static void write_metrics(const char *text) {
    assert_ok(clm_folder_make(clm_test_path("a run")));
    clm_test_write(clm_test_path("a run/metrics.jsonl"), text, strlen(text));
}

static void it_names_the_files_it_wrote(void **state) {
    (void)state;
    write_metrics("{\"event\":\"step\",\"step\":0,\"loss\":1}\n{\"event\":\"st");
    const clm_test_outcome outcome = run_clm("plot", "a run");
    assert_done(outcome);
    assert_has(outcome.errors, "metrics.jsonl: line 2: not whole");
    size_t count = 0;
    const char *const *names = clm_report_plot_names(&count);
    for (size_t i = 0; i < count; i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "a run/%s", names[i]);
        assert_true(clm_file_exists(clm_test_path(path)));
        (void)snprintf(path, sizeof path, "a run/%s\n", names[i]);
        assert_has(outcome.output, path);
    }
}

static void faults_are_reported(void **state) {
    (void)state;
    assert_fails(run_clm("plot"), 2, "RUN is missing");
    assert_fails(run_clm("plot", "one", "two"), 2, "unexpected argument \"two\"");
    assert_fails(run_clm("plot", "no-run"), 3, "no-run/metrics.jsonl");
    write_metrics("{\"event\":\"epoch\",\"epoch\":1,\"train_acc\":2,\"val_acc\":1}\n");
    assert_fails(run_clm("plot", "a run"), 3, "line 1");
    const clm_test_outcome help = run_clm("plot", "--help");
    assert_done(help);
    assert_has(help.output, "clm plot RUN");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_names_the_files_it_wrote),
        cmocka_unit_test(faults_are_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
