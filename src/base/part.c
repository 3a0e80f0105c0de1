/* Parts: files and folders that are not finished, and what is left of them. See folder.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/vfs.h>
#endif

#include "base/folder.h"
#include "base/memory.h"
#include "base/secret.h"
#include "base/string.h"

static const char prefix[] = ".clm-part-";
enum { random_bytes = 16, most_attempts = 16, shared_age_seconds = 3600 };

static void name_part(char name[CLM_PART_CAPACITY]) {
    unsigned char random[random_bytes];
    clm_secret_bytes(random, sizeof random);
    int length = snprintf(name, CLM_PART_CAPACITY, "%s", prefix);
    for (size_t i = 0; i < sizeof random; i++) {
        length += snprintf(name + length, (size_t)(CLM_PART_CAPACITY - length), "%02x", random[i]);
    }
}

static bool is_part_name(const char *name) {
    const size_t start = sizeof prefix - 1;
    return strncmp(name, prefix, start) == 0 && strlen(name + start) == 2 * (size_t)random_bytes &&
           strspn(name + start, "0123456789abcdef") == 2 * (size_t)random_bytes;
}

/* Whether the open part is locked by this call, or cannot be on this file system, and still there:
 * one who cleans up may have taken it for abandoned before it was locked. */
static bool hold_part(int descriptor) {
    struct stat state;
    return (flock(descriptor, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) &&
           fstat(descriptor, &state) == 0 && state.st_nlink > 0;
}

clm_status clm_part_make_file(int *descriptor, char name[CLM_PART_CAPACITY], int parent, int mode,
                              const char *path_for_messages) {
    int error_number = EEXIST;
    for (int attempt = 0; attempt < most_attempts && error_number == EEXIST; attempt++) {
        name_part(name);
        *descriptor =
            openat(parent, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, (mode_t)mode);
        if (*descriptor < 0) {
            error_number = errno;
        } else if (hold_part(*descriptor)) {
            return CLM_OK;
        } else {
            (void)close(*descriptor);
        }
    }
    *descriptor = -1;
    name[0] = '\0';
    return clm_fail_errno(error_number, "%s: cannot be written", path_for_messages);
}

clm_status clm_part_make_folder(clm_folder *part, const char *path) {
    char name[CLM_PART_CAPACITY];
    char *parent = NULL;
    char *made = NULL;
    clm_string trimmed = {0};
    clm_status status = CLM_OK;
    *part = (clm_folder){0};
    CLM_TRY(clm_path_check(path));
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/') {
        length--;
    }
    clm_string_add_bytes(&trimmed, path, length);
    CLM_TRY(clm_string_status(&trimmed));
    CLM_TRY(clm_path_folder(&parent, trimmed.text));
    CLM_TRY(clm_folder_make(parent));
    for (int attempt = 0; attempt < most_attempts; attempt++) {
        clm_free(made);
        made = NULL;
        name_part(name);
        CLM_TRY(clm_path_join(&made, parent, name));
        if (mkdir(made, 0777) != 0) {
            status = clm_fail_errno(errno, "%s: cannot be written", path);
            goto cleanup;
        }
        status = clm_folder_open(part, made);
        if (status == CLM_OK && hold_part(part->descriptor)) {
            status = clm_duplicate(&part->shown, trimmed.text);
            if (status != CLM_OK) {
                clm_folder_close_and_remove(part);
            }
            goto cleanup;
        }
        clm_folder_close(part);
        if (status != CLM_OK && status != CLM_ERROR_NOT_FOUND) {
            (void)rmdir(made);
            goto cleanup;
        }
    }
    status = clm_fail(CLM_ERROR_IO, "%s: the folder to write in keeps being removed", path);
cleanup:
    clm_free(parent);
    clm_free(made);
    clm_string_free(&trimmed);
    return status;
}

/* ---- what is left of killed processes ---- */

/* Whether a lock that this machine does not see may be held on another. */
static bool is_local(int descriptor) {
#if defined(__linux__)
    static const unsigned long local[] = {
        0xEF53,     /* ext2 to ext4 */
        0x58465342, /* XFS */
        0x9123683E, /* Btrfs */
        0x01021994, /* tmpfs */
        0x794C7630, /* overlayfs, which containers have */
        0xF2F52010, /* F2FS */
        0x2FC12FC1, /* ZFS */
        0xCA451A4E, /* bcachefs */
    };
    struct statfs system;
    for (size_t i = 0; fstatfs(descriptor, &system) == 0 && i < sizeof local / sizeof *local; i++) {
        if ((unsigned long)system.f_type == local[i]) {
            return true;
        }
    }
#endif
    (void)descriptor;
    return false;
}

/* Whether `name` is still the open part, and no process writes to it. */
static bool is_abandoned(int descriptor, int parent, const char *name, struct stat *state) {
    struct stat named;
    return flock(descriptor, LOCK_EX | LOCK_NB) == 0 && fstat(descriptor, state) == 0 &&
           fstatat(parent, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           named.st_dev == state->st_dev && named.st_ino == state->st_ino &&
           (S_ISREG(state->st_mode) || S_ISDIR(state->st_mode)) &&
           (is_local(descriptor) || state->st_mtime + shared_age_seconds < time(NULL));
}

/* Parts of folders have no folders in them. Takes over the descriptor. */
static void remove_folder_part(int descriptor, int parent, const char *name) {
    DIR *stream = fdopendir(descriptor);
    if (stream == NULL) {
        (void)close(descriptor);
        return;
    }
    for (const struct dirent *entry = NULL; (entry = readdir(stream)) != NULL;) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            (void)unlinkat(dirfd(stream), entry->d_name, 0);
        }
    }
    (void)unlinkat(parent, name, AT_REMOVEDIR);
    (void)closedir(stream);
}

static void remove_if_abandoned(int parent, const char *name) {
    struct stat state;
    const int flags = O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    /* For writing where it can be: NFS locks nothing else exclusively. */
    int descriptor = openat(parent, name, O_RDWR | flags);
    if (descriptor < 0) {
        descriptor = openat(parent, name, O_RDONLY | flags);
    }
    if (descriptor < 0) {
        return;
    }
    if (!is_abandoned(descriptor, parent, name, &state)) {
        (void)close(descriptor);
    } else if (S_ISDIR(state.st_mode)) {
        remove_folder_part(descriptor, parent, name);
    } else {
        (void)unlinkat(parent, name, 0);
        (void)close(descriptor);
    }
}

void clm_folder_remove_parts(const clm_folder *folder) {
    const int again = openat(folder->descriptor, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = again >= 0 ? fdopendir(again) : NULL;
    if (stream == NULL) {
        if (again >= 0) {
            (void)close(again);
        }
        return;
    }
    for (const struct dirent *entry = NULL; (entry = readdir(stream)) != NULL;) {
        if (is_part_name(entry->d_name)) {
            remove_if_abandoned(folder->descriptor, entry->d_name);
        }
    }
    (void)closedir(stream);
}
