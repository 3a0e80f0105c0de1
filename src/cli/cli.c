/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/number.h"
#include "cli/progress.h"
#include "cli/stop.h"
#include "clm/device.h"
#include "clm/selftest.h"
#include "model/config.h"

static int exit_status_of(clm_status status) {
    switch (status) {
        case CLM_OK:
            return CLM_EXIT_DONE;
        case CLM_ERROR_ARGUMENT:
            return CLM_EXIT_USAGE;
        case CLM_ERROR_NO_SPACE:
        case CLM_ERROR_MEMORY:
        case CLM_ERROR_DEVICE_MEMORY:
            return CLM_EXIT_NO_ROOM;
        case CLM_ERROR_IO:
        case CLM_ERROR_NOT_FOUND:
        case CLM_ERROR_EXISTS:
        case CLM_ERROR_BUSY:
        case CLM_ERROR_FORMAT:
        case CLM_ERROR_ENCODING:
        case CLM_ERROR_SHAPE:
            return CLM_EXIT_INPUT;
        case CLM_ERROR_NO_DEVICE:
        case CLM_ERROR_OPENCL:
        case CLM_ERROR_BUILD:
        case CLM_ERROR_DEVICE_WRONG:
        case CLM_ERROR_TIMEOUT:
        case CLM_ERROR_FORKED:
            return CLM_EXIT_DEVICE;
        case CLM_ERROR_INTERRUPTED:
            return CLM_EXIT_INTERRUPTED;
        case CLM_ERROR_NOT_FINITE:
            return CLM_EXIT_NOT_FINITE;
        case CLM_ERROR_NETWORK:
        case CLM_ERROR_CHECKSUM:
            return CLM_EXIT_NETWORK;
        case CLM_ERROR_UNSUPPORTED:
        case CLM_ERROR_INTERNAL:
            break;
    }
    return CLM_EXIT_OTHER;
}

/* Set when a device hangs: what it runs would be waited for at the end of the process. */
static bool device_hangs;

/* The path of standard output when a file is written there; "" else. */
static char claimed_output[32];

int clm_cli_fail(clm_status status) {
    const char *message = clm_error_message();
    const size_t length = strlen(claimed_output);
    const bool names_output = length > 0 && strncmp(message, claimed_output, length) == 0;
    device_hangs = device_hangs || status == CLM_ERROR_TIMEOUT;
    (void)clm_cli_flush();
    clm_cli_progress_pause();
    (void)fprintf(stderr, "clm: %s%s\n", names_output ? "standard output" : "",
                  message + (names_output ? length : 0));
    return exit_status_of(status);
}

int clm_cli_usage(const char *command, const char *format, ...) {
    char text[1024];
    char shown[1024];
    va_list arguments;
    va_start(arguments, format);
    (void)clm_format_list(text, sizeof text, format, arguments);
    va_end(arguments);
    clm_show_text(shown, sizeof shown, text);
    (void)fprintf(stderr, "clm: %s; see 'clm %s --help'\n", shown, command);
    return CLM_EXIT_USAGE;
}

int clm_cli_print(clm_string *text) {
    const clm_status status = clm_string_status(text);
    if (status == CLM_OK && text->text != NULL) {
        (void)fwrite(text->text, 1, text->length, stdout);
        (void)clm_cli_can_write(); /* while errno is that of a write that failed */
    }
    clm_string_free(text);
    return status == CLM_OK ? CLM_EXIT_DONE : clm_cli_fail(status);
}

clm_status clm_cli_print_json(clm_string *json) {
    clm_string shown = {0};
    clm_status status = clm_string_status(json);
    if (status == CLM_OK) {
        clm_string_add_visible(&shown, json->text, json->length);
        clm_string_add(&shown, "\n");
        status = clm_string_status(&shown);
    }
    if (status == CLM_OK) {
        (void)fwrite(shown.text, 1, shown.length, stdout);
        (void)clm_cli_can_write(); /* while errno is that of a write that failed */
    }
    clm_string_free(&shown);
    clm_string_free(json);
    return status;
}

/* Why standard output could not be written at first; 0 for no reason. */
static int output_error;

bool clm_cli_can_write(void) {
    if (ferror(stdout) && output_error == 0) {
        output_error = errno != 0 ? errno : EIO;
    }
    return output_error == 0;
}

bool clm_cli_flush(void) {
    errno = 0;
    (void)fflush(stdout);
    return clm_cli_can_write();
}

int clm_cli_finish(int status) {
    const bool all_written = clm_cli_flush();
    if (device_hangs) {
        _exit(status); /* without the drivers' own ends */
    }
    if (all_written || status != CLM_EXIT_DONE) {
        return status;
    }
    (void)fprintf(stderr, "clm: standard output cannot be written: %s\n", strerror(output_error));
    return output_error == ENOSPC || output_error == EFBIG ? CLM_EXIT_NO_ROOM : CLM_EXIT_OTHER;
}

clm_status clm_cli_claim_output(const char **path) {
    (void)clm_cli_flush();
    const int output = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    if (output < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0) {
        return clm_fail_errno(errno, "standard output");
    }
    (void)clm_format(claimed_output, sizeof claimed_output, "/dev/fd/%d", output);
    *path = claimed_output;
    return CLM_OK;
}

static int run_on_all(clm_status (*run)(void *context, const char *pattern), void *context) {
    clm_device_info *list = NULL;
    size_t count = 0;
    int exit_status = CLM_EXIT_DONE;
    clm_status status = clm_device_list(&list, &count);
    clm_device_list_free(list);
    if (status != CLM_OK) {
        return clm_cli_fail(status);
    }
    for (size_t i = 0; i < count && status != CLM_ERROR_INTERRUPTED && status != CLM_ERROR_ARGUMENT;
         i++) {
        char index[24];
        (void)snprintf(index, sizeof index, "%zu", i);
        status = run(context, index);
        if (status != CLM_OK) {
            exit_status = clm_cli_fail(status);
        }
    }
    return exit_status;
}

int clm_cli_on_devices(clm_status (*run)(void *context, const char *pattern), void *context,
                       const clm_cli_device *wanted) {
    clm_cli_progress shown;
    clm_status status = CLM_OK;
    int result = CLM_EXIT_DONE;
    clm_cli_progress_begin_at_terminal(&shown);
    if (wanted->all) {
        result = run_on_all(run, context);
    } else {
        status = run(context, wanted->pattern);
        result = status == CLM_OK ? CLM_EXIT_DONE : clm_cli_fail(status);
    }
    clm_cli_progress_end();
    return result;
}

clm_status clm_cli_open_device(clm_device **device, const clm_cli_device *wanted,
                               const clm_device_options *options) {
    const bool untested = wanted->untested;
    clm_device_options all = CLM_DEVICE_OPTIONS_DEFAULT;
    if (options != NULL) {
        all = *options;
    }
    all.pattern = wanted->pattern;
    /* A test that is cut off in a kernel would look like a crash of it. */
    const bool caught = !untested && clm_cli_catch_stops();
    clm_status status = clm_device_open(device, &all);
    if (status == CLM_OK && !untested) {
        clm_selftest_options test = CLM_SELFTEST_OPTIONS_DEFAULT;
        test.should_stop = clm_cli_stop_was_requested;
        status = clm_selftest_ensure(*device, &test);
    }
    if (caught) {
        clm_cli_let_stops_end();
    }
    if (status != CLM_OK) {
        clm_device_close(*device);
        *device = NULL;
    }
    return status;
}

clm_status clm_cli_read_config(clm_model_config *config, const char *run) {
    char *path = NULL;
    clm_status status = clm_path_join(&path, run, "config.json");
    if (status == CLM_OK) {
        status = clm_model_config_read_head(config, path, true);
    }
    clm_free(path);
    return status;
}

void clm_cli_warn_of_cuts(uint64_t count) {
    if (count > 0) {
        (void)fprintf(stderr, "warning: %" PRIu64 " %s longer than the model reads and %s cut\n",
                      count, count == 1 ? "text is" : "texts are", count == 1 ? "was" : "were");
    }
}
