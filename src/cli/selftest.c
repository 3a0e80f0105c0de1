/* SPDX-License-Identifier: Apache-2.0 */
#include "clm/selftest.h"

#include <stdio.h>

#include "base/error.h"
#include "base/number.h"
#include "cli/cli.h"
#include "cli/progress.h"
#include "cli/stop.h"

typedef struct settings {
    clm_cli_device device;
    clm_selftest_options options;
} settings;

static void print_result(void *context, const clm_selftest_result *result) {
    static const char *const words[] = {"?", "right", "replaced", "WRONG"};
    (void)context;
    clm_cli_progress_pause();
    clm_print(stdout, "  %2d/%d %-17s %-9s %-12s %4d comparisons %7.2f s\n", result->number,
              result->count, result->operation, words[result->outcome], result->form,
              result->comparisons, result->seconds);
    if (result->why[0] != '\0') {
        (void)printf("        %s\n", result->why);
    }
    (void)clm_cli_flush();
}

static void print_report(const clm_selftest_report *report, const char *before) {
    clm_cli_progress_pause();
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

static clm_status run_on(void *context, const char *pattern) {
    const settings *s = context;
    clm_device *device = NULL;
    clm_selftest_report report = {0};
    clm_device_options options = CLM_DEVICE_OPTIONS_DEFAULT;
    clm_status status = CLM_OK;
    options.pattern = pattern;
    CLM_TRY(clm_device_open(&device, &options));
    const clm_device_info *info = clm_device_get_info(device);
    (void)printf("%s (%s, driver %s)\n", info->name, info->platform, info->driver);
    (void)clm_cli_flush();
    if (!s->options.again && s->options.operation_count == 0) {
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

static const clm_cli_option options[] = {
    {"--force", NULL, "repeat earlier tests, even those in which the driver crashed",
     CLM_CLI_FLAG_AT(settings, options.again), .synonyms = "--again --retest"},
    {NULL},
};

static const clm_cli_option positionals[] = {
    {"OPERATION", NULL, "test only these, even if tested before; the result is not stored",
     .kind = CLM_CLI_TEXT, .repeats = true, .fallback = "all"},
    {NULL},
};

static const clm_cli_example examples[] = {
    {"clm selftest --all", "Tests every device that was not tested before."},
    {"clm selftest layernorm --device gpu", "Tests one operation on the first GPU."},
    {NULL, NULL},
};

static const settings defaults = {.options = CLM_SELFTEST_OPTIONS_DEFAULT};

static int run(const clm_cli_arguments *arguments) {
    settings *s = arguments->settings;
    s->options.on_result = print_result;
    s->options.should_stop = clm_cli_stop_was_requested;
    s->options.operations = (const char *const *)arguments->positionals;
    s->options.operation_count = arguments->positional_count;
    (void)clm_cli_catch_stops();
    return clm_cli_on_devices(run_on, s, &s->device);
}

const clm_cli_command clm_command_selftest = {
    .name = "selftest",
    .about = "test whether the device computes correctly",
    .synopsis = "[OPERATION...] [--device PATTERN | --all] [--force]",
    .description =
        "Compares every kernel that clm uses on the device, forward and backward, with plain C, "
        "and then one training step of a tiny model. A wrong kernel is replaced if there is a "
        "correct stand-in; otherwise the command exits with status 4, and other commands refuse "
        "the device. The result is stored for this device, driver and version of clm.\n\n"
        "finetune, eval, classify and bench run the test themselves if there is no stored result, "
        "unless CLM_SELFTEST=off or --no-selftest is given.",
    .groups = {{"Device", clm_cli_device_option, offsetof(settings, device)},
               {NULL, clm_cli_all_option, offsetof(settings, device)},
               {"Test", options, 0}},
    .positionals = positionals,
    .examples = examples,
    .ends = CLM_CLI_ENDS_DEVICE | CLM_CLI_ENDS_INTERRUPTED,
    .synonyms = "self-test test check doctor",
    .settings_size = sizeof(settings),
    .defaults = &defaults,
    .run = run,
};
