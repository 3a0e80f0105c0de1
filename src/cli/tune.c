/* SPDX-License-Identifier: Apache-2.0 */
#include "clm/tune.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/number.h"
#include "cli/cli.h"
#include "cli/stop.h"
#include "tune/child.h"

/* ---- a candidate's process ---- */

/* For tests: CLM_TUNE_FAULT="crash:TEXT", "hang:TEXT" or "wrong:TEXT" makes a candidate whose
 * settings contain TEXT do that, "win:TEXT" and "lose:TEXT" claim a speed; several are joined by
 * ";". */
static bool has_fault(const char *fault, const char *settings) {
    const char *at = getenv("CLM_TUNE_FAULT");
    while (at != NULL && *at != '\0') {
        char text[128];
        const size_t length = strcspn(at, ";");
        const size_t name = strlen(fault);
        if (strncmp(at, fault, name) == 0 && at[name] == ':' && length - name - 1 < sizeof text) {
            (void)snprintf(text, sizeof text, "%.*s", (int)(length - name - 1), at + name + 1);
            if (strstr(settings, text) != NULL) {
                return true;
            }
        }
        at += length + (at[length] == ';');
    }
    return false;
}

/* The answer goes to where standard output was; what libraries print there goes nowhere. */
static int run_candidate(int argc, char **argv) {
    clm_tune_trial trial;
    clm_string answer = {0};
    int device_index = 0;
    const int output = dup(STDOUT_FILENO);
    if (output < 0 || freopen("/dev/null", "w", stdout) == NULL) {
        return CLM_EXIT_OTHER;
    }
    clm_status status = clm_tune_child_parse(&trial, &device_index, argv + 2, argc - 2);
    if (status != CLM_OK) {
        return clm_cli_fail(status);
    }
    /* Should the parent be gone: nobody else would end what hangs. */
    (void)alarm(10U + (unsigned)strtoul(argv[7], NULL, 10));
    if (has_fault("crash", argv[6])) {
        (void)raise(SIGABRT);
    }
    while (has_fault("hang", argv[6])) {
        (void)sleep(1);
    }
    trial.spoil = has_fault("wrong", argv[6]);
    trial.claim = has_fault("win", argv[6]) ? 1000.0 : has_fault("lose", argv[6]) ? 0.1 : 0.0;
    status = clm_tune_child_answer(&answer, &trial, device_index);
    if (status == CLM_OK) {
        status = write(output, answer.text, answer.length) == (ssize_t)answer.length ? CLM_OK
                                                                                     : CLM_ERROR_IO;
    }
    clm_string_free(&answer);
    return status == CLM_OK ? CLM_EXIT_DONE : clm_cli_fail(status);
}

/* ---- the command ---- */

typedef struct settings {
    const char *preset_name;
    clm_tune_preset preset;
    const char *device;
    const char *export_path;
    const char *import_path;
    int limit_seconds;
    bool all, restart, print, force, reset;
} settings;

static void print_event(void *context, const clm_tune_event *event) {
    (void)context;
    (void)printf("  %s %d/%d: %s: ", event->stage, event->number, event->count, event->settings);
    if (event->why[0] != '\0') {
        (void)printf("%s: %s", event->outcome, event->why);
    } else if (event->speed > 0) {
        clm_print(stdout, "%s%.3f of the default's speed",
                  strcmp(event->outcome, "ok") == 0 ? "" : "given up at ", event->speed);
    } else {
        (void)printf("%s", event->outcome);
    }
    (void)printf("%s\n", event->known ? " (known)" : "");
    (void)clm_cli_flush();
}

/* Where this command lies; another `clm` on the PATH when the system does not say. */
static const char *own_path(void) {
    static char path[4096];
    const ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length <= 0) {
        return "clm";
    }
    path[length] = '\0';
    return path;
}

static clm_status tune(clm_device *device, const settings *s) {
    clm_tune_result result;
    clm_tune_options options = CLM_TUNE_OPTIONS_DEFAULT;
    const clm_device_info *info = clm_device_get_info(device);
    options.preset = s->preset;
    options.restart = s->restart;
    options.limit_seconds = s->limit_seconds;
    options.helper = own_path();
    options.on_event = print_event;
    options.should_stop = clm_cli_stop_was_requested;
    (void)printf("Tuning %s (%s), preset %s\n", info->name, info->platform, s->preset_name);
    clm_status status = clm_tune(device, &options, &result);
    if (status != CLM_OK) {
        return status;
    }
    if (result.slow_device) {
        (void)printf("The device is a simulator or as slow as one: the defaults are kept.\n");
        return CLM_OK;
    }
    (void)printf("%d tried, %d known from before, %d of them refused. ", result.tried, result.known,
                 result.refused);
    if (s->preset == CLM_TUNE_QUICK) {
        (void)printf("'clm tune --print' shows what is kept.\n");
    } else {
        clm_print(stdout, "GEMM runs at %.3f times the speed of the defaults.\n", result.gain);
    }
    return CLM_OK;
}

static clm_status print_kept(clm_device *device) {
    char *text = NULL;
    clm_status status = clm_tune_describe(&text, device);
    if (status == CLM_OK) {
        (void)fputs(text, stdout);
    }
    clm_tune_text_free(text);
    return status;
}

/* What is asked for on one device. */
static clm_status run_on(void *context, const char *pattern) {
    const settings *s = context;
    clm_device *device = NULL;
    clm_device_options options = CLM_DEVICE_OPTIONS_DEFAULT;
    options.pattern = pattern;
    clm_status status = clm_device_open(&device, &options);
    if (status != CLM_OK) {
        return status;
    }
    if (s->reset) {
        status = clm_tune_reset(device);
    } else if (s->import_path != NULL) {
        status = clm_tune_import(device, s->import_path, s->force);
    } else if (s->export_path != NULL) {
        status = clm_tune_export(device, s->export_path);
    } else if (s->print) {
        status = print_kept(device);
    } else {
        status = tune(device, s);
    }
    clm_device_close(device);
    return status;
}

static bool find_preset(clm_tune_preset *preset, const char *name) {
    static const char *const names[] = {"quick", "normal", "full", "small"};
    for (int i = 0; i <= CLM_TUNE_SMALL; i++) {
        if (strcmp(name, names[i]) == 0) {
            *preset = (clm_tune_preset)i;
            return true;
        }
    }
    return false;
}

int clm_command_tune(int argc, char **argv) {
    if (argc == 8 && strcmp(argv[1], "--candidate") == 0) {
        return run_candidate(argc, argv);
    }
    settings s = {.preset_name = "normal", .preset = CLM_TUNE_NORMAL, .limit_seconds = 120};
    const clm_cli_option options[] = {
        {"--preset", CLM_CLI_STRING, &s.preset_name, "NAME",
         "quick: seconds; normal: minutes; full: longer"},
        {"--device", CLM_CLI_STRING, &s.device, "NAME", "which device; see 'clm devices'"},
        {"--all", CLM_CLI_FLAG, &s.all, NULL, "every device, one after the other"},
        {"--restart", CLM_CLI_FLAG, &s.restart, NULL, "try again what was tried before"},
        {"--limit", CLM_CLI_INT, &s.limit_seconds, "SECONDS",
         "for a candidate, before it is given up (120)"},
        {"--print", CLM_CLI_FLAG, &s.print, NULL, "print what is kept, as JSON"},
        {"--export", CLM_CLI_STRING, &s.export_path, "FILE", "write it to a file, to share"},
        {"--import", CLM_CLI_STRING, &s.import_path, "FILE", "keep the settings of such a file"},
        {"--force", CLM_CLI_FLAG, &s.force, NULL, "import another device's or version's too"},
        {"--reset", CLM_CLI_FLAG, &s.reset, NULL, "forget what is kept"},
    };
    int positional = 0;
    int result = clm_cli_parse(
        argc, argv, options, sizeof options / sizeof *options,
        "clm tune [--preset quick|normal|full] [--device NAME | --all]",
        "Finds out what the device runs fastest: which GEMM, its tiles and blocks, CLBlast's\n"
        "parameters, work-groups. Each candidate runs in a process of its own and counts only "
        "when\n"
        "its results are right. What was tried is kept: after a stop (status 130), the same "
        "command\n"
        "goes on. CLM_TUNE=off in the environment does without what is kept.",
        &positional);
    if (result >= 0) {
        return result;
    }
    const int asked = s.print + s.reset + (s.export_path != NULL) + (s.import_path != NULL);
    if (positional > 0) {
        return clm_cli_usage("tune", "what is \"%s\" for?", argv[1]);
    }
    if (!find_preset(&s.preset, s.preset_name)) {
        return clm_cli_usage("tune", "there is no preset \"%s\"", s.preset_name);
    }
    if (asked > 1 || (s.all && (s.device != NULL || s.export_path != NULL))) {
        return clm_cli_usage("tune", "these options exclude each other");
    }
    if (s.limit_seconds < 1) {
        return clm_cli_usage("tune", "--limit must be positive");
    }
    (void)clm_cli_catch_stops();
    if (s.all) {
        return clm_cli_on_all_devices(run_on, &s);
    }
    const clm_status status = run_on(&s, s.device);
    return status == CLM_OK ? CLM_EXIT_DONE : clm_cli_fail(status);
}
