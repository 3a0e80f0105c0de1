/* How clm fails: a status, and a message for the thread.
 *
 * The first error wins. clm_fail() replaces any previous message, because that belongs to an
 * earlier failure that has been dealt with. A cleanup path that may fail again calls
 * clm_error_hold() first and clm_error_release() afterwards; while held, the message is not
 * replaced.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_BASE_ERROR_H
#define CLM_BASE_ERROR_H

#include "clm/status.h"

/* Sets the thread's message and returns `status`, so that a caller writes
 * `return clm_fail(CLM_ERROR_SHAPE, "...")`. Never allocates; a message over 1023 bytes is cut.
 * Control characters and invalid UTF-8 become question marks. */
clm_status clm_fail(clm_status status, const char *format, ...) CLM_PRINTF(2, 3);

/* The same with errno's text and the status that fits it: ENOENT becomes CLM_ERROR_NOT_FOUND,
 * ENOSPC and EDQUOT CLM_ERROR_NO_SPACE, ENOMEM CLM_ERROR_MEMORY, EEXIST CLM_ERROR_EXISTS, anything
 * else CLM_ERROR_IO. The message reads "<format>: <strerror>". */
clm_status clm_fail_errno(int error_number, const char *format, ...) CLM_PRINTF(2, 3);

/* The analyzer sees one file at a time and cannot know that a failure is never CLM_OK. */
#if defined(__clang_analyzer__) && !defined(CLM_BASE_ERROR_C)
#define clm_fail(status, ...) (clm_fail((status), __VA_ARGS__), (status))
#define clm_fail_errno(number, ...) (clm_fail_errno((number), __VA_ARGS__), CLM_ERROR_IO)
#endif

/* Puts "<format>: " before the current message and returns `status`. */
clm_status clm_error_prefix(clm_status status, const char *format, ...) CLM_PRINTF(2, 3);

void clm_error_hold(void);
void clm_error_release(void);

/* For side work whose failure is only logged: the reason is in clm_error_message() until the
 * previous message is put back. */
typedef struct clm_error_aside {
    char message[1024];
    int held;
} clm_error_aside;

void clm_error_set_aside(clm_error_aside *aside);
void clm_error_put_back(const clm_error_aside *aside);

/* For functions with one `clm_status status` and one `cleanup:` label. */
#define CLM_TRY(call)           \
    do {                        \
        status = (call);        \
        if (status != CLM_OK) { \
            goto cleanup;       \
        }                       \
    } while (0)

#endif
