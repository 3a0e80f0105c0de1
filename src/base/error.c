/* SPDX-License-Identifier: Apache-2.0 */
#define CLM_BASE_ERROR_C
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "base/number.h"
#include "base/utf8.h"
#include "version.h"

enum { message_capacity = 1024 };

static _Thread_local char message[message_capacity];
static _Thread_local int held;

const char *clm_version(void) {
    return CLM_VERSION;
}

const char *clm_status_name(clm_status status) {
    switch (status) {
#define NAME(code) \
    case code:     \
        return #code
        NAME(CLM_OK);
        NAME(CLM_ERROR_ARGUMENT);
        NAME(CLM_ERROR_SHAPE);
        NAME(CLM_ERROR_UNSUPPORTED);
        NAME(CLM_ERROR_IO);
        NAME(CLM_ERROR_NOT_FOUND);
        NAME(CLM_ERROR_EXISTS);
        NAME(CLM_ERROR_NO_SPACE);
        NAME(CLM_ERROR_BUSY);
        NAME(CLM_ERROR_FORMAT);
        NAME(CLM_ERROR_ENCODING);
        NAME(CLM_ERROR_NO_DEVICE);
        NAME(CLM_ERROR_OPENCL);
        NAME(CLM_ERROR_BUILD);
        NAME(CLM_ERROR_DEVICE_MEMORY);
        NAME(CLM_ERROR_DEVICE_WRONG);
        NAME(CLM_ERROR_TIMEOUT);
        NAME(CLM_ERROR_FORKED);
        NAME(CLM_ERROR_MEMORY);
        NAME(CLM_ERROR_INTERRUPTED);
        NAME(CLM_ERROR_NOT_FINITE);
        NAME(CLM_ERROR_NETWORK);
        NAME(CLM_ERROR_CHECKSUM);
        NAME(CLM_ERROR_INTERNAL);
#undef NAME
    }
    return "unknown status";
}

const char *clm_error_message(void) {
    return message;
}

void clm_error_clear(void) {
    if (held == 0) {
        message[0] = '\0';
    }
}

void clm_error_hold(void) {
    held++;
}

void clm_error_release(void) {
    if (held > 0) {
        held--;
    }
}

void clm_error_set_aside(clm_error_aside *aside) {
    memcpy(aside->message, message, sizeof message);
    aside->held = held;
    message[0] = '\0';
    held = 0;
}

void clm_error_put_back(const clm_error_aside *aside) {
    memcpy(message, aside->message, sizeof message);
    held = aside->held;
}

clm_status clm_fail(clm_status status, const char *format, ...) {
    if (held > 0) {
        return status;
    }
    /* By way of a second buffer, because an argument may be the present message. */
    char text[message_capacity];
    va_list arguments;
    va_start(arguments, format);
    (void)clm_format_list(text, sizeof text, format, arguments);
    va_end(arguments);
    /* A message is one line, and controls no terminal, whatever the names are that it quotes. */
    clm_show_text(message, sizeof message, text);
    return status;
}

static clm_status status_of_errno(int error_number) {
    switch (error_number) {
        case ENOENT:
        case ENOTDIR:
            return CLM_ERROR_NOT_FOUND;
        case ENOSPC:
#ifdef EDQUOT
        case EDQUOT:
#endif
        case EFBIG: /* beyond a limit on the size of files */
            return CLM_ERROR_NO_SPACE;
        case ENOMEM:
            return CLM_ERROR_MEMORY;
        case EEXIST:
            return CLM_ERROR_EXISTS;
        default:
            return CLM_ERROR_IO;
    }
}

clm_status clm_fail_errno(int error_number, const char *format, ...) {
    char text[message_capacity];
    va_list arguments;
    va_start(arguments, format);
    (void)clm_format_list(text, sizeof text, format, arguments);
    va_end(arguments);
    return clm_fail(status_of_errno(error_number), "%s: %s", text, strerror(error_number));
}

clm_status clm_error_prefix(clm_status status, const char *format, ...) {
    char text[message_capacity];
    va_list arguments;
    va_start(arguments, format);
    (void)clm_format_list(text, sizeof text, format, arguments);
    va_end(arguments);
    return clm_fail(status, "%s: %s", text, message);
}
