/* SPDX-License-Identifier: Apache-2.0 */
#include "base/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/string.h"

static const char lock_name[] = ".clm-lock";

clm_status clm_folder_make(const char *path) {
    char *folder = NULL;
    clm_status status = clm_path_check(path);
    if (status == CLM_OK) {
        status = clm_duplicate(&folder, path);
    }
    if (status != CLM_OK) {
        return status;
    }
    for (char *at = folder + 1;; at++) {
        if (*at != '/' && *at != '\0') {
            continue;
        }
        char kept = *at;
        *at = '\0';
        if (mkdir(folder, 0777) != 0) {
            const int error_number = errno; /* which looking would overwrite */
            if (!clm_file_is_folder(folder)) {
                status =
                    error_number == EEXIST
                        ? clm_fail(CLM_ERROR_EXISTS,
                                   "%s: the folder cannot be made: a file has its name", folder)
                        : clm_fail_errno(error_number, "%s: the folder cannot be made", folder);
                break;
            }
        }
        *at = kept;
        if (kept == '\0') {
            break;
        }
    }
    clm_free(folder);
    return status;
}

clm_status clm_folder_check_writable(const char *path) {
    clm_string above = {0};
    clm_status status = clm_path_check(path);
    if (status != CLM_OK) {
        return status;
    }
    clm_string_add(&above, path);
    CLM_TRY(clm_string_status(&above));
    /* The nearest that is there: what is missing below would be made in it. */
    while (!clm_file_exists(above.text) && strcmp(above.text, ".") != 0) {
        char *end = strrchr(above.text, '/');
        if (end == NULL) {
            clm_string_clear(&above);
            clm_string_add(&above, ".");
        } else {
            above.text[end == above.text ? 1 : end - above.text] = '\0';
        }
    }
    if (!clm_file_is_folder(above.text)) {
        status = clm_fail(CLM_ERROR_EXISTS, "%s: cannot be written: %s is not a folder", path,
                          strcmp(above.text, path) == 0 ? "it" : above.text);
    } else if (faccessat(AT_FDCWD, above.text, W_OK | X_OK, AT_EACCESS) != 0) {
        status = clm_fail_errno(errno, "%s: cannot be written", path);
    }
cleanup:
    clm_string_free(&above);
    return status;
}

clm_status clm_folder_open(clm_folder *folder, const char *path) {
    *folder = (clm_folder){0};
    clm_status status = clm_path_check(path);
    if (status != CLM_OK) {
        return status;
    }
    const int descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) {
        return clm_fail_errno(errno, "%s: the folder cannot be opened", path);
    }
    status = clm_duplicate(&folder->path, path);
    if (status != CLM_OK) {
        (void)close(descriptor);
        return status;
    }
    folder->descriptor = descriptor;
    return CLM_OK;
}

static void close_folder(clm_folder *folder, bool remove) {
    if (folder->path == NULL) {
        return;
    }
    /* While it is still locked: who comes to the name afterwards makes a new one. */
    if (folder->is_locked) {
        (void)unlinkat(folder->descriptor, lock_name, 0);
    }
    if (remove) {
        (void)rmdir(folder->path);
    }
    if (folder->is_locked) {
        (void)close(folder->lock);
    }
    (void)close(folder->descriptor);
    clm_free(folder->path);
    clm_free(folder->shown);
    *folder = (clm_folder){0};
}

void clm_folder_close(clm_folder *folder) {
    close_folder(folder, false);
}

void clm_folder_close_and_remove(clm_folder *folder) {
    close_folder(folder, true);
}

/* ---- files ---- */

clm_status clm_folder_path(char **path, const clm_folder *folder, const char *name) {
    *path = NULL;
    if (name[0] == '\0' || strchr(name, '/') != NULL || strcmp(name, ".") == 0 ||
        strcmp(name, "..") == 0) {
        return clm_fail(CLM_ERROR_ARGUMENT, "%s: \"%s\" is no name of a file in it", folder->path,
                        name);
    }
    return clm_path_join(path, folder->shown != NULL ? folder->shown : folder->path, name);
}

bool clm_folder_has(const clm_folder *folder, const char *name) {
    struct stat state;
    return fstatat(folder->descriptor, name, &state, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Why `name` could not be opened: systems differ in what they say of a link. */
static clm_status not_opened(int error_number, const clm_folder *folder, const char *name,
                             const char *path) {
    struct stat state;
    if (fstatat(folder->descriptor, name, &state, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISLNK(state.st_mode)) {
        return clm_fail(CLM_ERROR_EXISTS,
                        "%s: is a symbolic link, where clm keeps a file of its own; move it away",
                        path);
    }
    return clm_fail_errno(error_number, "%s: cannot be opened", path);
}

clm_status clm_folder_open_file(int *descriptor, const clm_folder *folder, const char *name,
                                int flags) {
    char *path = NULL;
    struct stat state;
    clm_status status = CLM_OK;
    int opened = -1;
    *descriptor = -1;
    CLM_TRY(clm_folder_path(&path, folder, name));
    /* O_NONBLOCK: a pipe is refused below, not waited for. */
    opened =
        openat(folder->descriptor, name, flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
               folder->is_private ? 0600 : 0666);
    if (opened < 0) {
        status = not_opened(errno, folder, name, path);
        goto cleanup;
    }
    if (fstat(opened, &state) != 0 || !S_ISREG(state.st_mode)) {
        status = clm_fail(
            CLM_ERROR_EXISTS,
            "%s: is not a regular file, where clm keeps a file of its own; move it away", path);
        goto cleanup;
    }
    if (folder->is_private && (flags & O_CREAT) != 0 && state.st_size == 0) {
        (void)fchmod(opened, 0600); /* whatever the umask; it is the caller's if it is new */
    }
    *descriptor = opened;
    opened = -1;
cleanup:
    if (opened >= 0) {
        (void)close(opened);
    }
    clm_free(path);
    return status;
}

clm_status clm_folder_read(const clm_folder *folder, const char *name, clm_file_kind kind,
                           char **bytes, size_t *size_bytes) {
    char *path = NULL;
    int descriptor = -1;
    clm_status status = CLM_OK;
    *bytes = NULL;
    *size_bytes = 0;
    CLM_TRY(clm_folder_open_file(&descriptor, folder, name, O_RDONLY));
    CLM_TRY(clm_folder_path(&path, folder, name));
    CLM_TRY(clm_file_read_descriptor(descriptor, path, kind, bytes, size_bytes));
cleanup:
    if (descriptor >= 0) {
        (void)close(descriptor);
    }
    clm_free(path);
    return status;
}

clm_status clm_folder_append(const clm_folder *folder, const char *name, const void *bytes,
                             size_t size_bytes) {
    char *path = NULL;
    int descriptor = -1;
    clm_status status = CLM_OK;
    CLM_TRY(clm_folder_path(&path, folder, name));
    CLM_TRY(clm_folder_open_file(&descriptor, folder, name, O_WRONLY | O_APPEND | O_CREAT));
    CLM_TRY(clm_file_write_descriptor(descriptor, bytes, size_bytes, path));
cleanup:
    if (descriptor >= 0 && close(descriptor) != 0 && status == CLM_OK) {
        status = clm_fail_errno(errno, "%s: cannot be written", path);
    }
    clm_free(path);
    return status;
}

clm_status clm_folder_remove(const clm_folder *folder, const char *name) {
    char *path = NULL;
    clm_status status = clm_folder_path(&path, folder, name);
    if (status == CLM_OK && unlinkat(folder->descriptor, name, 0) != 0 && errno != ENOENT) {
        status = clm_fail_errno(errno, "%s: cannot be removed", path);
    }
    clm_free(path);
    return status;
}

/* ---- the lock ---- */

/* Who holds the lock, as one line; for the message only, so what cannot be read is left out. */
static void describe_holder(char *text, size_t capacity, int descriptor) {
    const ssize_t got = pread(descriptor, text, capacity - 1, 0);
    text[got > 0 ? got : 0] = '\0';
    text[strcspn(text, "\n")] = '\0';
    if (text[0] == '\0') {
        (void)snprintf(text, capacity, "another process");
    }
}

static clm_status sign_lock(int descriptor, const char *path) {
    char host[256] = "";
    char start[32] = "";
    char text[512];
    struct tm utc;
    const time_t now = time(NULL);
    (void)gethostname(host, sizeof host - 1);
    if (gmtime_r(&now, &utc) != NULL) {
        (void)strftime(start, sizeof start, "%Y-%m-%d %H:%M:%S UTC", &utc);
    }
    const int length =
        snprintf(text, sizeof text, "process %ld on %s, since %s\n", (long)getpid(), host, start);
    if (ftruncate(descriptor, 0) != 0) {
        return clm_fail_errno(errno, "%s: cannot be written", path);
    }
    return clm_file_write_descriptor(descriptor, text, (size_t)length, path);
}

static bool is_linked(int descriptor) {
    struct stat state;
    return fstat(descriptor, &state) == 0 && state.st_nlink > 0;
}

clm_status clm_folder_lock(clm_folder *folder) {
    char *path = NULL;
    char holder[400];
    int descriptor = -1;
    clm_status status = CLM_OK;
    CLM_TRY(clm_folder_path(&path, folder, lock_name));
    /* One that was removed while this process came to it is made again: its holder is gone. */
    do {
        if (descriptor >= 0) {
            (void)close(descriptor);
        }
        CLM_TRY(clm_folder_open_file(&descriptor, folder, lock_name, O_RDWR | O_CREAT));
        if (flock(descriptor, LOCK_EX | LOCK_NB) == 0) {
            continue;
        }
        if (errno == EWOULDBLOCK) {
            describe_holder(holder, sizeof holder, descriptor);
            status = clm_fail(CLM_ERROR_BUSY,
                              "%s: is in use by %s; wait for it or choose another "
                              "folder",
                              folder->path, holder);
            goto cleanup;
        }
        clm_log(CLM_LOG_WARNING, "%s: cannot be locked (%s): let no other process use the folder",
                folder->path, strerror(errno));
        break;
    } while (!is_linked(descriptor));
    CLM_TRY(sign_lock(descriptor, path));
    folder->lock = descriptor;
    folder->is_locked = true;
    descriptor = -1;
cleanup:
    if (descriptor >= 0) {
        (void)close(descriptor);
    }
    clm_free(path);
    return status;
}
