/* SPDX-License-Identifier: Apache-2.0 */
#include "clm/tune.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/number.h"
#include "cli/cli.h"
#include "cli/progress.h"
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
    /* If the parent is gone, nothing else would end a candidate that hangs. */
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
    clm_tune_preset preset;
    clm_cli_device device;
    const char *export_path;
    const char *import_path;
    int limit_seconds;
    bool restart, print, force, reset;
} settings;

static const clm_cli_choice presets[] = {
    {"quick", CLM_TUNE_QUICK, "seconds"},
    {"normal", CLM_TUNE_NORMAL, "minutes"},
    {"full", CLM_TUNE_FULL, "longer"},
    {"small", CLM_TUNE_SMALL,
     "a few candidates on small shapes: for tests, measures nothing useful"},
    {NULL, 0, NULL},
};

static void print_event(void *context, const clm_tune_event *event) {
    (void)context;
    clm_cli_progress_pause();
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
    (void)printf("Tuning %s (%s), preset %s\n", info->name, info->platform,
                 presets[s->preset].name);
    clm_status status = clm_tune(device, &options, &result);
    if (status != CLM_OK) {
        return status;
    }
    clm_cli_progress_pause();
    if (result.slow_device) {
        (void)printf("The device is a simulator or as slow as one: the defaults are kept.\n");
        return CLM_OK;
    }
    (void)printf("%d tried, %d known from earlier runs, %d of all rejected. ", result.tried,
                 result.known, result.refused);
    if (s->preset == CLM_TUNE_QUICK) {
        (void)printf("'clm tune --print' shows the stored settings.\n");
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

static const clm_cli_option search_options[] = {
    {"--preset", "NAME", "how long to search", CLM_CLI_CHOICE_AT(settings, preset),
     .choices = presets, .synonyms = "--mode --level"},
    {"--restart", NULL, "try earlier candidates again", CLM_CLI_FLAG_AT(settings, restart)},
    {"--limit", "SECONDS", "time limit per candidate", CLM_CLI_INT_AT(settings, limit_seconds),
     .least = 1, .synonyms = "--timeout"},
    {NULL},
};

static const clm_cli_option kept_options[] = {
    {"--print", NULL, "print the stored settings as JSON", CLM_CLI_FLAG_AT(settings, print),
     .excludes = "--reset --export --import", .synonyms = "--show --list"},
    {"--export", "FILE", "write them to a file, to share", CLM_CLI_OUTPUT_AT(settings, export_path),
     .excludes = "--reset --import --all", .synonyms = "--out --output --save"},
    {"--import", "FILE", "store the settings in such a file",
     CLM_CLI_PATH_AT(settings, import_path), .excludes = "--reset", .synonyms = "--load"},
    {"--force", NULL, "import even from another device or version",
     CLM_CLI_FLAG_AT(settings, force), .needs = "--import"},
    {"--reset", NULL, "delete the stored settings", CLM_CLI_FLAG_AT(settings, reset),
     .synonyms = "--clear --delete"},
    {NULL},
};

static const clm_cli_example examples[] = {
    {"clm tune --preset quick", "Searches for a few seconds on the default device."},
    {"clm tune --export mine.json --device gpu", "Writes the settings stored for the first GPU."},
    {NULL, NULL},
};

static const settings defaults = {.preset = CLM_TUNE_NORMAL, .limit_seconds = 120};

static int run(const clm_cli_arguments *arguments) {
    settings *s = arguments->settings;
    (void)clm_cli_catch_stops();
    return clm_cli_on_devices(run_on, s, &s->device);
}

const clm_cli_command clm_command_tune = {
    .name = "tune",
    .about = "find the fastest settings for a device",
    .synopsis =
        "[--preset NAME] [--device PATTERN | --all]\n"
        "--print | --export FILE | --import FILE [--force] | --reset",
    .description =
        "Finds the fastest settings for the device: which GEMM, its tiles and blocks, CLBlast's "
        "parameters, work-groups. Each candidate runs in a process of its own and counts only if "
        "its results are right. Finished candidates are recorded: after a stop (status 130), the "
        "same command continues. CLM_TUNE=off in the environment ignores the stored settings.",
    .groups = {{"Search", search_options, 0},
               {"Stored settings", kept_options, 0},
               {"Device", clm_cli_device_option, offsetof(settings, device)},
               {NULL, clm_cli_all_option, offsetof(settings, device)}},
    .examples = examples,
    .ends = CLM_CLI_ENDS_INPUT | CLM_CLI_ENDS_DEVICE | CLM_CLI_ENDS_INTERRUPTED,
    .synonyms = "autotune optimize",
    .settings_size = sizeof(settings),
    .defaults = &defaults,
    .run = run,
    .run_candidate = run_candidate,
};
