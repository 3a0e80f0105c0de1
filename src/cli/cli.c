/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/number.h"
#include "cli/stop.h"
#include "clm/device.h"
#include "clm/selftest.h"

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
        case CLM_ERROR_FORMAT:
        case CLM_ERROR_ENCODING:
        case CLM_ERROR_SHAPE:
            return CLM_EXIT_INPUT;
        case CLM_ERROR_NO_DEVICE:
        case CLM_ERROR_OPENCL:
        case CLM_ERROR_BUILD:
        case CLM_ERROR_DEVICE_WRONG:
        case CLM_ERROR_TIMEOUT:
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

int clm_cli_fail(clm_status status) {
    device_hangs = device_hangs || status == CLM_ERROR_TIMEOUT;
    (void)clm_cli_flush();
    (void)fprintf(stderr, "clm: %s\n", clm_error_message());
    return exit_status_of(status);
}

int clm_cli_usage(const char *command, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    (void)fputs("clm: ", stderr);
    clm_print_list(stderr, format, arguments);
    va_end(arguments);
    (void)fprintf(stderr, "; see 'clm %s --help'\n", command);
    return CLM_EXIT_USAGE;
}

static void print_help(const clm_cli_option *options, size_t count, const char *synopsis,
                       const char *about) {
    (void)printf("usage: %s\n\n%s\n\n", synopsis, about);
    for (size_t i = 0; i < count; i++) {
        char left[64];
        (void)snprintf(left, sizeof left, "%s%s%s", options[i].name,
                       options[i].value_name != NULL ? " " : "",
                       options[i].value_name != NULL ? options[i].value_name : "");
        (void)printf("  %-26s %s\n", left, options[i].help);
    }
    (void)printf("  %-26s %s\n", "--help", "this text");
}

static int set_value(const clm_cli_option *option, const char *text, const char *command) {
    char *end = NULL;
    errno = 0;
    if (option->kind == CLM_CLI_STRING) {
        *(const char **)option->value = text;
    } else if (option->kind == CLM_CLI_INT) {
        long value = strtol(text, &end, 10);
        if (end == text || *end != '\0' || errno != 0 || value > 2147483647L ||
            value < -2147483647L) {
            return clm_cli_usage(command, "%s needs a whole number, not \"%s\"", option->name,
                                 text);
        }
        *(int *)option->value = (int)value;
    } else {
        if (!clm_number_parse(text, strlen(text), option->value)) {
            return clm_cli_usage(command, "%s needs a number, not \"%s\"", option->name, text);
        }
    }
    return -1;
}

static const clm_cli_option *find_option(const clm_cli_option *options, size_t count,
                                         const char *argument, size_t length) {
    for (size_t i = 0; i < count; i++) {
        if (strlen(options[i].name) == length && memcmp(options[i].name, argument, length) == 0) {
            return &options[i];
        }
    }
    return NULL;
}

int clm_cli_parse(int argc, char **argv, const clm_cli_option *options, size_t option_count,
                  const char *synopsis, const char *about, int *positional_count) {
    int positional = 0;
    bool only_positional = false;
    for (int i = 1; i < argc; i++) {
        char *argument = argv[i];
        if (only_positional || argument[0] != '-' || argument[1] == '\0') {
            argv[++positional] = argument;
            continue;
        }
        if (strcmp(argument, "--") == 0) {
            only_positional = true;
            continue;
        }
        if (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0) {
            print_help(options, option_count, synopsis, about);
            return CLM_EXIT_DONE;
        }
        const char *equals = strchr(argument, '=');
        size_t length = equals != NULL ? (size_t)(equals - argument) : strlen(argument);
        const clm_cli_option *option = find_option(options, option_count, argument, length);
        if (option == NULL) {
            return clm_cli_usage(argv[0], "there is no option %.*s", (int)length, argument);
        }
        if (option->kind == CLM_CLI_FLAG) {
            if (equals != NULL) {
                return clm_cli_usage(argv[0], "%s takes no value", option->name);
            }
            *(bool *)option->value = true;
            continue;
        }
        if (equals == NULL && i + 1 == argc) {
            return clm_cli_usage(argv[0], "%s needs a value", option->name);
        }
        int result = set_value(option, equals != NULL ? equals + 1 : argv[++i], argv[0]);
        if (result >= 0) {
            return result;
        }
    }
    *positional_count = positional;
    return -1;
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

int clm_cli_on_all_devices(clm_status (*run)(void *context, const char *index), void *context) {
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

clm_status clm_cli_open_device(clm_device **device, const clm_device_options *options,
                               bool untested) {
    /* A test that is cut off in a kernel would look like a crash of it. */
    const bool caught = !untested && clm_cli_catch_stops();
    clm_status status = clm_device_open(device, options);
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

void clm_cli_warn_of_cuts(uint64_t count) {
    if (count > 0) {
        (void)fprintf(stderr, "warning: %" PRIu64 " %s longer than the model reads and %s cut\n",
                      count, count == 1 ? "text is" : "texts are", count == 1 ? "was" : "were");
    }
}
