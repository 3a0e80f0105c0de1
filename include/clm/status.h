/* Status codes and the error message of the current thread.
 *
 * Every call of clm that can fail returns a clm_status: CLM_OK, or a negative value. After a
 * failure clm_error_message() says what was being done, on what, and what to do about it.
 * The library never prints, exits or aborts.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_STATUS_H
#define CLM_STATUS_H

#if defined(__GNUC__) || defined(__clang__)
#define CLM_API __attribute__((visibility("default")))
#define CLM_PRINTF(format_index, first_argument) \
    __attribute__((format(printf, format_index, first_argument)))
#else
#define CLM_API
#define CLM_PRINTF(format_index, first_argument)
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Grouped by class: the hundreds digit says who can fix it. */
typedef enum clm_status {
    CLM_OK = 0,

    /* 1xx: the caller passed something invalid. */
    CLM_ERROR_ARGUMENT = -100,
    CLM_ERROR_SHAPE = -101,       /* sizes that contradict each other */
    CLM_ERROR_UNSUPPORTED = -102, /* valid, but not built in or not implemented */

    /* 2xx: files and their contents. */
    CLM_ERROR_IO = -200,
    CLM_ERROR_NOT_FOUND = -201,
    CLM_ERROR_EXISTS = -202,   /* would overwrite something that may be needed */
    CLM_ERROR_NO_SPACE = -203, /* disk full, or quota */
    CLM_ERROR_BUSY = -204,     /* another process is using it */
    CLM_ERROR_FORMAT = -210,   /* the file is not what it claims to be */
    CLM_ERROR_ENCODING = -211, /* invalid UTF-8, or a NUL byte in text */

    /* 3xx: the OpenCL device. */
    CLM_ERROR_NO_DEVICE = -300,
    CLM_ERROR_OPENCL = -301,
    CLM_ERROR_BUILD = -302, /* a kernel does not compile */
    CLM_ERROR_DEVICE_MEMORY = -303,
    CLM_ERROR_DEVICE_WRONG = -304, /* the device computes wrongly */
    CLM_ERROR_TIMEOUT = -305,      /* the device hangs (CLM_DEVICE_TIMEOUT); end the process */
    CLM_ERROR_FORKED = -306,       /* a child was forked after OpenCL was started */

    /* 4xx: this process. */
    CLM_ERROR_MEMORY = -400,
    CLM_ERROR_INTERRUPTED = -401, /* asked to stop; state was saved where promised */

    /* 5xx: the numbers. */
    CLM_ERROR_NOT_FINITE = -500,

    /* 6xx: the network. */
    CLM_ERROR_NETWORK = -600,
    CLM_ERROR_CHECKSUM = -601,

    CLM_ERROR_INTERNAL = -900 /* a bug in clm: please report it */
} clm_status;

/* The name of a status, as written above ("CLM_ERROR_IO"). Static; never NULL. */
CLM_API const char *clm_status_name(clm_status status);

/* The message of the last failure in this thread, one line without a full stop or newline.
 * Empty if nothing failed. Lent until the next failing call in this thread. */
CLM_API const char *clm_error_message(void);

/* Clears the message. */
CLM_API void clm_error_clear(void);

/* The version of the linked library, "1.2.3". */
CLM_API const char *clm_version(void);

#ifdef __cplusplus
}
#endif
#endif
