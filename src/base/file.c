/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/string.h"

/* ---- reading ---- */

/* Whether what lies open may be read as this kind; `information` is its state. */
static clm_status check_kind(int descriptor, const char *path, const clm_file_limit *limit,
                             struct stat *information) {
    if (fstat(descriptor, information) != 0) {
        return clm_fail_errno(errno, "%s: cannot be examined", path);
    }
    const mode_t mode = information->st_mode;
    if (S_ISDIR(mode)) {
        return clm_fail(CLM_ERROR_IO, "%s: is a folder, not a file", path);
    }
    const bool is_stream = S_ISFIFO(mode) || S_ISSOCK(mode) || isatty(descriptor);
    if (!S_ISREG(mode) && !(limit->is_stream && is_stream)) {
        return clm_fail(CLM_ERROR_IO, "%s: is a %s, and %s must be a regular file%s", path,
                        is_stream ? "pipe" : "device", limit->what,
                        limit->is_stream ? " or a pipe" : "");
    }
    if (limit->is_trusted && ((information->st_uid != geteuid() && information->st_uid != 0) ||
                              (mode & (S_IWGRP | S_IWOTH)) != 0)) {
        return clm_fail(CLM_ERROR_IO,
                        "%s: is not trusted: it belongs to another user, or others "
                        "may write to it",
                        path);
    }
    return CLM_OK;
}

static clm_status too_large(const char *path, const clm_file_limit *limit) {
    return clm_fail(CLM_ERROR_FORMAT, "%s: is larger than the %llu MiB that %s may have", path,
                    (unsigned long long)(limit->most_bytes >> 20), limit->what);
}

clm_status clm_file_read_descriptor(int descriptor, const char *path, clm_file_kind kind,
                                    char **bytes, size_t *size_bytes) {
    const clm_file_limit *limit = clm_file_limit_of(kind);
    clm_status status = CLM_OK;
    char *text = NULL;
    size_t capacity = 0;
    size_t length = 0;
    struct stat information;
    *bytes = NULL;
    *size_bytes = 0;
    CLM_TRY(check_kind(descriptor, path, limit, &information));
    if (information.st_size > 0 && (uint64_t)information.st_size > limit->most_bytes) {
        status = too_large(path, limit);
        goto cleanup;
    }
    /* The size is a hint only: pipes and /proc say 0. */
    CLM_TRY(clm_reserve(&text, &capacity, (size_t)information.st_size + 2, 1, path));
    for (;;) {
        CLM_TRY(clm_reserve(&text, &capacity, length + 2, 1, path));
        ssize_t got = read(descriptor, text + length, capacity - length - 1);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            status = clm_fail_errno(errno, "%s: cannot be read at byte %zu", path, length);
            goto cleanup;
        }
        if (got == 0) {
            break;
        }
        length += (size_t)got;
        if (length > limit->most_bytes) {
            status = too_large(path, limit);
            goto cleanup;
        }
    }
    text[length] = '\0';
    *bytes = text;
    *size_bytes = length;
    text = NULL;
cleanup:
    clm_free(text);
    return status;
}

/* Without O_NONBLOCK, opening a pipe without a writer would wait. */
static clm_status open_to_read(int *descriptor, const char *path, int flags) {
    clm_status status = clm_path_check(path);
    if (status != CLM_OK) {
        return status;
    }
    *descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | flags);
    if (*descriptor < 0) {
        return clm_fail_errno(errno, "%s: cannot be opened", path);
    }
    return CLM_OK;
}

clm_status clm_file_read(const char *path, clm_file_kind kind, char **bytes, size_t *size_bytes) {
    const clm_file_limit *limit = clm_file_limit_of(kind);
    int descriptor = -1;
    *bytes = NULL;
    *size_bytes = 0;
    clm_status status =
        open_to_read(&descriptor, path,
                     (limit->is_stream ? 0 : O_NONBLOCK) | (limit->is_trusted ? O_NOFOLLOW : 0));
    if (status == CLM_OK) {
        status = clm_file_read_descriptor(descriptor, path, kind, bytes, size_bytes);
        (void)close(descriptor);
    }
    return status;
}

/* ---- others ---- */

clm_status clm_file_write_descriptor(int descriptor, const void *bytes, size_t size_bytes,
                                     const char *path) {
    const char *rest = bytes;
    while (size_bytes > 0) {
        const ssize_t put = write(descriptor, rest, size_bytes);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put < 0) {
            return clm_fail_errno(errno, "%s: cannot be written", path);
        }
        rest += put;
        size_bytes -= (size_t)put;
    }
    return CLM_OK;
}

clm_status clm_file_open_scratch(int *descriptor, const char *folder) {
    clm_string path = {0};
    clm_status status = CLM_OK;
    *descriptor = -1;
    clm_string_add_format(&path, "%s/scratch.XXXXXX", folder);
    CLM_TRY(clm_string_status(&path));
    *descriptor = mkstemp(path.text);
    if (*descriptor < 0) {
        status = clm_fail_errno(errno, "%s: no file can be made there", folder);
        goto cleanup;
    }
    (void)unlink(path.text);
    (void)fcntl(*descriptor, F_SETFD, FD_CLOEXEC);
cleanup:
    clm_string_free(&path);
    return status;
}

bool clm_file_exists(const char *path) {
    struct stat information;
    return stat(path, &information) == 0;
}

bool clm_file_is_folder(const char *path) {
    struct stat information;
    return stat(path, &information) == 0 && S_ISDIR(information.st_mode);
}

/* ---- paths ---- */

clm_status clm_path_check(const char *path) {
    return path[0] != '\0' ? CLM_OK
                           : clm_fail(CLM_ERROR_ARGUMENT, "a path is empty: name a file or folder");
}

clm_status clm_path_join(char **path, const char *folder, const char *name) {
    *path = NULL;
    size_t length = strlen(folder);
    clm_string joined = {0};
    clm_string_add(&joined, folder);
    if (length > 0 && folder[length - 1] != '/') {
        clm_string_add(&joined, "/");
    }
    clm_string_add(&joined, name);
    clm_status status = clm_string_status(&joined);
    if (status != CLM_OK) {
        clm_string_free(&joined);
        return status;
    }
    *path = joined.text;
    return CLM_OK;
}

const char *clm_path_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

clm_status clm_path_folder(char **folder, const char *path) {
    const char *name = clm_path_name(path);
    clm_status status = clm_duplicate(folder, name == path ? "." : path);
    if (status == CLM_OK && name != path) {
        (*folder)[name - path] = '\0';
    }
    return status;
}
