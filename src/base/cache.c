/* The cache of files that can be made again: see folder.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/folder.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/string.h"

enum { private_folder = 0700 };

/* Whether mkdir() made it; what was there stays as it is. */
static bool make_private(const char *path) {
    return mkdir(path, private_folder) == 0 && chmod(path, private_folder) == 0;
}

/* Folders that were not there are for the caller alone. */
static clm_status make_folders(const char *path) {
    char *folder = NULL;
    clm_status status = clm_duplicate(&folder, path);
    if (status != CLM_OK) {
        return status;
    }
    for (char *at = folder + 1; *at != '\0'; at++) {
        if (*at == '/') {
            *at = '\0';
            (void)make_private(folder);
            *at = '/';
        }
    }
    (void)make_private(folder);
    clm_free(folder);
    return clm_folder_make(path); /* which says what could not be made */
}

clm_status clm_cache_folder(char **path, const char *name) {
    *path = NULL;
    const char *own = getenv("CLM_CACHE_DIR");
    const char *cache = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");
    clm_string folder = {0};
    if (own != NULL && own[0] != '\0') {
        clm_string_add(&folder, own);
    } else if (cache != NULL && cache[0] == '/') {
        clm_string_add_format(&folder, "%s/clm", cache);
    } else if (home != NULL && home[0] != '\0') {
        clm_string_add_format(&folder, "%s/.cache/clm", home);
    } else {
        return clm_fail(CLM_ERROR_IO,
                        "no folder for the cache: set CLM_CACHE_DIR, XDG_CACHE_HOME or HOME");
    }
    clm_string_add_format(&folder, "/%s", name);
    clm_status status = clm_string_status(&folder);
    if (status == CLM_OK) {
        status = make_folders(folder.text);
    }
    if (status != CLM_OK) {
        clm_string_free(&folder);
        return status;
    }
    *path = folder.text;
    return CLM_OK;
}

/* An older clm made it by the umask: what is in it is looked at file by file. */
static clm_status check_private(clm_folder *folder) {
    static atomic_flag warned = ATOMIC_FLAG_INIT;
    struct stat state;
    if (fstat(folder->descriptor, &state) != 0) {
        return clm_fail_errno(errno, "%s: cannot be examined", folder->path);
    }
    if (state.st_uid == geteuid() && (state.st_mode & 0777) != private_folder &&
        fchmod(folder->descriptor, private_folder) == 0 && fstat(folder->descriptor, &state) != 0) {
        return clm_fail_errno(errno, "%s: cannot be examined", folder->path);
    }
    if ((state.st_uid == geteuid() || state.st_uid == 0) &&
        (state.st_mode & (S_IWGRP | S_IWOTH)) == 0) {
        return CLM_OK;
    }
    (void)clm_fail(
        CLM_ERROR_IO,
        "%s: belongs to another user, or others may write there, so what is in it is not "
        "used; set CLM_CACHE_DIR to a folder of your own",
        folder->path);
    if (!atomic_flag_test_and_set(&warned)) {
        clm_log(CLM_LOG_WARNING, "cache: %s", clm_error_message());
    }
    return CLM_ERROR_IO;
}

clm_status clm_cache_open(clm_folder *folder, const char *name) {
    char *path = NULL;
    clm_status status = CLM_OK;
    *folder = (clm_folder){0};
    CLM_TRY(clm_cache_folder(&path, name));
    CLM_TRY(clm_folder_open(folder, path));
    folder->is_private = true;
    CLM_TRY(check_private(folder));
cleanup:
    clm_free(path);
    if (status != CLM_OK) {
        clm_folder_close(folder);
    }
    return status;
}

static clm_status open_folder_of(clm_folder *folder, const char *path) {
    char *parent = NULL;
    clm_status status = clm_path_folder(&parent, path);
    if (status == CLM_OK) {
        status = clm_folder_open(folder, parent);
        folder->is_private = true;
    }
    clm_free(parent);
    return status;
}

clm_status clm_cache_write(const char *path, const void *bytes, size_t size_bytes) {
    clm_folder folder = {0};
    clm_status status = open_folder_of(&folder, path);
    if (status == CLM_OK) {
        status = clm_folder_write(&folder, clm_path_name(path), bytes, size_bytes);
    }
    clm_folder_close(&folder);
    return status;
}

clm_status clm_cache_append(const char *path, const void *bytes, size_t size_bytes) {
    clm_folder folder = {0};
    clm_status status = open_folder_of(&folder, path);
    if (status == CLM_OK) {
        status = clm_folder_append(&folder, clm_path_name(path), bytes, size_bytes);
    }
    clm_folder_close(&folder);
    return status;
}
