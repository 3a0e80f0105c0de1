/* SPDX-License-Identifier: Apache-2.0 */
#include "clm/selftest.h"

#include <stdio.h>

#include "base/error.h"
#include "base/number.h"
#include "cli/cli.h"
#include "cli/stop.h"

typedef struct settings {
    const char *device;
    bool all;
    bool force;
    clm_selftest_options options;
} settings;

static void print_result(void *context, const clm_selftest_result *result) {
    static const char *const words[] = {"?", "right", "replaced", "WRONG"};
    (void)context;
    clm_print(stdout, "  %2d/%d %-17s %-9s %-12s %4d comparisons %7.2f s\n", result->number,
              result->count, result->operation, words[result->outcome], result->form,
              result->comparisons, result->seconds);
    if (result->why[0] != '\0') {
        (void)printf("        %s\n", result->why);
    }
    (void)clm_cli_flush();
}

static void print_report(const clm_selftest_report *report, const char *before) {
    clm_print(stdout, "%s%s: %d comparisons with plain C in %.1f s\n",
              clm_selftest_outcome_name(report->outcome), before, report->comparisons,
              report->seconds);
    if (report->replaced[0] != '\0') {
        (void)printf("stand-ins: %s\n", report->replaced);
    }
    if (report->why[0] != '\0') {
        (void)printf("wrong: %s\n", report->why);
    }
}

static clm_status run_on(const settings *s, const char *pattern) {
    clm_device *device = NULL;
    clm_selftest_report report = {0};
    clm_device_options options = CLM_DEVICE_OPTIONS_DEFAULT;
    clm_status status = CLM_OK;
    options.pattern = pattern;
    CLM_TRY(clm_device_open(&device, &options));
    const clm_device_info *info = clm_device_get_info(device);
    (void)printf("%s (%s, driver %s)\n", info->name, info->platform, info->driver);
    (void)clm_cli_flush();
    if (!s->force && s->options.operation_count == 0) {
        CLM_TRY(clm_selftest_recall(&report, device));
        if (report.outcome != CLM_SELFTEST_UNKNOWN) {
            print_report(&report, " before (--force tests again)");
            goto cleanup;
        }
    }
    CLM_TRY(clm_selftest_run(&report, device, &s->options));
    print_report(&report, "");
cleanup:
    clm_device_close(device);
    return status;
}

/* A device that fails is said, and the others come all the same. */
static int run_on_all(const settings *s) {
    clm_device_info *list = NULL;
    size_t count = 0;
    int result = CLM_EXIT_DONE;
    const clm_status listed = clm_device_list(&list, &count);
    clm_device_list_free(list);
    if (listed != CLM_OK) {
        return clm_cli_fail(listed);
    }
    for (size_t i = 0; i < count && result != CLM_EXIT_INTERRUPTED; i++) {
        char index[24];
        (void)snprintf(index, sizeof index, "%zu", i);
        const clm_status status = run_on(s, index);
        if (status != CLM_OK) {
            result = clm_cli_fail(status);
        }
    }
    return result;
}

int clm_command_selftest(int argc, char **argv) {
    settings s = {.options = CLM_SELFTEST_OPTIONS_DEFAULT};
    s.options.on_result = print_result;
    s.options.should_stop = clm_cli_stop_was_requested;
    const clm_cli_option options[] = {
        {"--device", CLM_CLI_STRING, &s.device, "PATTERN", "see 'clm devices'"},
        {"--all", CLM_CLI_FLAG, &s.all, NULL, "every device, one after the other"},
        {"--force", CLM_CLI_FLAG, &s.force, NULL,
         "test again what was tested before, and what the driver crashed in"},
    };
    int positional = 0;
    int result = clm_cli_parse(
        argc, argv, options, sizeof options / sizeof *options,
        "clm selftest [OPERATION...] [--device PATTERN | --all] [--force]",
        "Compares every kernel that clm uses on the device, forward and backward, with plain C, "
        "and\n"
        "then one training step of a tiny model. A kernel that is wrong is replaced where another "
        "is\n"
        "right; a device without one ends with status 4, and other commands refuse it. The result "
        "is\n"
        "kept for this device, driver and version of clm; finetune, eval, classify and bench run "
        "the\n"
        "test by themselves when there is none, unless CLM_SELFTEST=off or --no-selftest. Given "
        "by\n"
        "name, operations are tested in any case, and the result is not kept.",
        &positional);
    if (result >= 0) {
        return result;
    }
    if (s.all && s.device != NULL) {
        return clm_cli_usage("selftest", "--all and --device exclude each other");
    }
    s.options.operations = (const char *const *)(argv + 1);
    s.options.operation_count = (size_t)positional;
    s.options.again = s.force;
    (void)clm_cli_catch_stops();
    if (s.all) {
        return run_on_all(&s);
    }
    const clm_status status = run_on(&s, s.device);
    return status == CLM_OK ? CLM_EXIT_DONE : clm_cli_fail(status);
}
