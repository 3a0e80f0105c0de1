/* Writing a file whole or not at all, and where the bytes go: see clm_file_writer in file.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/memory.h"

enum { most_links = 40, private_mode = 0600, new_mode = 0666 };

/* Where a path leads: a name in an open folder, or something that is written straight into. */
typedef struct target {
    char *path; /* without links at its end */
    int folder; /* -1: straight, to `straight` */
    int straight;
    bool is_straight;
    bool is_there;
    struct stat state; /* of the regular file that is there */
} target;

static void close_target(target *t) {
    clm_free(t->path);
    if (t->folder >= 0) {
        (void)close(t->folder);
    }
    if (t->straight >= 0) {
        (void)close(t->straight);
    }
    *t = (target){.folder = -1, .straight = -1};
}

/* The descriptor that the path names, -1 for none. Opening such a path would give a second position
 * in the same file, and writing would then overwrite what is there. */
static int descriptor_of(const char *path) {
    static const char *const folders[] = {"/dev/fd/", "/proc/self/fd/", "/proc/thread-self/fd/"};
    if (strcmp(path, "/dev/stdout") == 0) {
        return STDOUT_FILENO;
    }
    if (strcmp(path, "/dev/stderr") == 0) {
        return STDERR_FILENO;
    }
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        const size_t length = strlen(folders[i]);
        if (strncmp(path, folders[i], length) == 0 && path[length] >= '0' && path[length] <= '9') {
            char *end = NULL;
            const long number = strtol(path + length, &end, 10);
            return *end == '\0' && number <= 1000000 ? (int)number : -1;
        }
    }
    return -1;
}

/* The path that the link at t->path holds becomes t->path. */
static clm_status follow_link(target *t) {
    char link[4096];
    char *folder = NULL;
    char *path = NULL;
    clm_status status = CLM_OK;
    const ssize_t length = readlinkat(t->folder, clm_path_name(t->path), link, sizeof link - 1);
    if (length < 0) {
        return clm_fail_errno(errno, "the link cannot be read");
    }
    link[length] = '\0';
    if (link[0] == '/') {
        CLM_TRY(clm_duplicate(&path, link));
    } else {
        CLM_TRY(clm_path_folder(&folder, t->path));
        CLM_TRY(clm_path_join(&path, folder, link));
    }
    clm_free(t->path);
    t->path = path;
cleanup:
    clm_free(folder);
    return status;
}

static clm_status open_folder_of(target *t) {
    char *folder = NULL;
    clm_status status = CLM_OK;
    CLM_TRY(clm_path_folder(&folder, t->path));
    if (t->folder >= 0) {
        (void)close(t->folder);
    }
    t->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (t->folder < 0) {
        status = clm_fail_errno(errno, "its folder cannot be opened");
    }
cleanup:
    clm_free(folder);
    return status;
}

/* Without opening it: a FIFO would wait for its reader, and a device may react. */
static clm_status check_straight(const target *t) {
    const int number = descriptor_of(t->path);
    if (number >= 0) {
        const int mode = fcntl(number, F_GETFL);
        return mode >= 0 && (mode & O_ACCMODE) != O_RDONLY
                   ? CLM_OK
                   : clm_fail_errno(EBADF, "it is not open for writing");
    }
    return faccessat(AT_FDCWD, t->path, W_OK, AT_EACCESS) == 0
               ? CLM_OK
               : clm_fail_errno(errno, "it cannot be opened");
}

static clm_status open_straight(target *t) {
    const int number = descriptor_of(t->path);
    t->straight = number >= 0 ? fcntl(number, F_DUPFD_CLOEXEC, 3)
                              : open(t->path, O_WRONLY | O_NOCTTY | O_CLOEXEC);
    if (t->straight < 0) {
        return clm_fail_errno(errno, "it cannot be opened");
    }
    if (t->folder >= 0) {
        (void)close(t->folder);
        t->folder = -1;
    }
    return CLM_OK;
}

/* Finds where the path leads; opens only folders. */
static clm_status find_target(target *t, const char *path) {
    clm_status status = CLM_OK;
    *t = (target){.folder = -1, .straight = -1};
    CLM_TRY(clm_path_check(path));
    CLM_TRY(clm_duplicate(&t->path, path));
    for (int links = 0; links < most_links; links++) {
        if (descriptor_of(t->path) >= 0) {
            t->is_straight = true;
            return CLM_OK;
        }
        CLM_TRY(open_folder_of(t));
        const char *name = clm_path_name(t->path);
        t->is_there =
            name[0] != '\0' && fstatat(t->folder, name, &t->state, AT_SYMLINK_NOFOLLOW) == 0;
        if (name[0] == '\0' || (t->is_there && S_ISDIR(t->state.st_mode))) {
            return clm_fail(CLM_ERROR_IO, "it is a folder, not a file");
        }
        if (!t->is_there) {
            return errno == ENOENT ? CLM_OK : clm_fail_errno(errno, "it cannot be examined");
        }
        if (!S_ISLNK(t->state.st_mode)) {
            t->is_straight = !S_ISREG(t->state.st_mode);
            return CLM_OK;
        }
        CLM_TRY(follow_link(t));
    }
    status = clm_fail_errno(ELOOP, "it cannot be followed");
cleanup:
    return status;
}

/* The new file keeps the owner, also when root writes it, and never becomes readable for more
 * users.
 */
static clm_status keep_mode(int descriptor, const struct stat *before, const char *path) {
    const mode_t bits = before->st_mode & 0777U;
    struct stat now;
    if (fstat(descriptor, &now) == 0 &&
        (now.st_uid != before->st_uid || now.st_gid != before->st_gid) &&
        fchown(descriptor, before->st_uid, before->st_gid) != 0) {
        /* The group's rights were for another group. */
        return fchmod(descriptor, bits & 0707U) == 0
                   ? CLM_OK
                   : clm_fail_errno(errno, "%s: cannot keep its mode", path);
    }
    return fchmod(descriptor, bits) == 0 ? CLM_OK
                                         : clm_fail_errno(errno, "%s: cannot keep its mode", path);
}

/* Takes over `descriptor`, whatever happens. */
static clm_status open_stream(clm_file_writer *writer, int descriptor) {
    writer->stream = fdopen(descriptor, "wb");
    if (writer->stream == NULL) {
        const int error_number = errno;
        (void)close(descriptor);
        return clm_fail_errno(error_number, "%s: cannot be written", writer->path);
    }
    return CLM_OK;
}

/* A part of `name` in writer->folder. */
static clm_status open_part(clm_file_writer *writer, const char *name, const struct stat *before,
                            int mode) {
    clm_status status = CLM_OK;
    int descriptor = -1;
    CLM_TRY(clm_part_make_file(&descriptor, writer->part, writer->folder,
                               before != NULL ? private_mode : mode, writer->path));
    status = clm_duplicate(&writer->name, name);
    if (status != CLM_OK) {
        (void)unlinkat(writer->folder, writer->part, 0);
        (void)close(descriptor);
        goto cleanup;
    }
    CLM_TRY(open_stream(writer, descriptor));
    if (before != NULL) {
        CLM_TRY(keep_mode(fileno(writer->stream), before, writer->path));
    }
cleanup:
    return status;
}

/* The writer owns its folder's descriptor once it has a name. */
static void drop_folder(clm_file_writer *writer) {
    if (writer->name == NULL && writer->folder >= 0) {
        (void)close(writer->folder);
        writer->folder = -1;
    }
}

/* Turns the error of a target into a message about the path. */
static void prefix_path(clm_status status, const char *path) {
    if (path[0] != '\0' && status != CLM_ERROR_MEMORY) {
        (void)clm_error_prefix(status, "%s: cannot be written", path);
    }
}

clm_status clm_file_writer_open(clm_file_writer *writer, const char *path) {
    *writer = (clm_file_writer){.folder = -1};
    target t = {.folder = -1, .straight = -1};
    clm_status status = find_target(&t, path);
    if (status == CLM_OK && t.is_straight) {
        status = open_straight(&t);
    }
    if (status != CLM_OK) {
        prefix_path(status, path);
        goto cleanup;
    }
    CLM_TRY(clm_duplicate(&writer->path, path));
    if (t.straight >= 0) {
        const int straight = t.straight;
        t.straight = -1;
        CLM_TRY(open_stream(writer, straight));
    } else {
        writer->folder = t.folder;
        t.folder = -1;
        CLM_TRY(open_part(writer, clm_path_name(t.path), t.is_there ? &t.state : NULL, new_mode));
    }
cleanup:
    close_target(&t);
    if (status != CLM_OK) {
        drop_folder(writer);
        clm_file_writer_discard(writer);
    }
    return status;
}

clm_status clm_file_check_writable(const char *path) {
    target t = {.folder = -1, .straight = -1};
    char part[CLM_PART_CAPACITY];
    int descriptor = -1;
    clm_status status = find_target(&t, path);
    if (status == CLM_OK && t.is_straight) {
        status = check_straight(&t);
    }
    if (status != CLM_OK) {
        prefix_path(status, path);
        goto cleanup;
    }
    if (!t.is_straight) {
        CLM_TRY(clm_part_make_file(&descriptor, part, t.folder, private_mode, path));
        (void)unlinkat(t.folder, part, 0);
        (void)close(descriptor);
    }
cleanup:
    close_target(&t);
    return status;
}

clm_status clm_file_writer_open_in(clm_file_writer *writer, const clm_folder *folder,
                                   const char *name) {
    *writer = (clm_file_writer){.folder = -1};
    struct stat state;
    clm_status status = CLM_OK;
    CLM_TRY(clm_folder_path(&writer->path, folder, name));
    const bool is_there = fstatat(folder->descriptor, name, &state, AT_SYMLINK_NOFOLLOW) == 0;
    if (is_there && !S_ISREG(state.st_mode)) {
        status =
            clm_fail(CLM_ERROR_EXISTS,
                     "%s: is a %s, where clm keeps a file of its own; move it away", writer->path,
                     S_ISLNK(state.st_mode)   ? "symbolic link"
                     : S_ISDIR(state.st_mode) ? "folder"
                                              : "device or pipe");
        goto cleanup;
    }
    writer->folder = fcntl(folder->descriptor, F_DUPFD_CLOEXEC, 3);
    if (writer->folder < 0) {
        status = clm_fail_errno(errno, "%s: cannot be written", writer->path);
        goto cleanup;
    }
    CLM_TRY(open_part(writer, name, is_there && !folder->is_private ? &state : NULL,
                      folder->is_private ? private_mode : new_mode));
    if (folder->is_private && fchmod(fileno(writer->stream), private_mode) != 0) {
        status = clm_fail_errno(errno, "%s: cannot be made private", writer->path);
    }
cleanup:
    if (status != CLM_OK) {
        drop_folder(writer);
        clm_file_writer_discard(writer);
    }
    return status;
}

clm_status clm_file_writer_add(clm_file_writer *writer, const void *bytes, size_t size_bytes) {
    if (size_bytes > 0 && fwrite(bytes, 1, size_bytes, writer->stream) != size_bytes) {
        return clm_fail_errno(errno, "%s: cannot be written", writer->path);
    }
    return CLM_OK;
}

/* Pipes, terminals and some file systems have nothing to sync. */
static bool sync_stream(FILE *stream) {
    return fsync(fileno(stream)) == 0 || errno == EINVAL || errno == ENOTSUP || errno == EROFS;
}

clm_status clm_file_writer_commit(clm_file_writer *writer) {
    clm_status status = CLM_OK;
    if (fflush(writer->stream) != 0 || !sync_stream(writer->stream)) {
        status = clm_fail_errno(errno, "%s: cannot be written", writer->path);
        goto cleanup;
    }
    /* Before the stream is closed: until then the part is locked. */
    if (writer->name != NULL) {
        if (renameat(writer->folder, writer->part, writer->folder, writer->name) != 0) {
            status = clm_fail_errno(errno, "%s: cannot be put in place", writer->path);
            goto cleanup;
        }
        writer->part[0] = '\0';
        /* A rename is safe against a crash only once the folder itself is on disk. File systems
         * that cannot sync a folder do not need it, so a failure here says nothing. */
        (void)fsync(writer->folder);
    }
    const int closed = fclose(writer->stream);
    writer->stream = NULL;
    if (closed != 0) {
        status = clm_fail_errno(errno, "%s: cannot be written", writer->path);
    }
cleanup:
    clm_file_writer_discard(writer);
    return status;
}

void clm_file_writer_discard(clm_file_writer *writer) {
    if (writer->name != NULL) {
        if (writer->part[0] != '\0') {
            (void)unlinkat(writer->folder, writer->part, 0);
        }
        (void)close(writer->folder);
    }
    if (writer->stream != NULL) {
        (void)fclose(writer->stream);
    }
    clm_free(writer->name);
    clm_free(writer->path);
    *writer = (clm_file_writer){.folder = -1};
}

clm_status clm_file_writer_finish(clm_file_writer *writer, clm_status opened, const void *bytes,
                                  size_t size_bytes) {
    clm_status status = opened;
    if (status == CLM_OK) {
        status = clm_file_writer_add(writer, bytes, size_bytes);
    }
    if (status == CLM_OK) {
        status = clm_file_writer_commit(writer);
    }
    clm_file_writer_discard(writer);
    return status;
}

clm_status clm_file_write(const char *path, const void *bytes, size_t size_bytes) {
    clm_file_writer writer = {0};
    const clm_status status = clm_file_writer_open(&writer, path);
    return clm_file_writer_finish(&writer, status, bytes, size_bytes);
}

clm_status clm_folder_write(const clm_folder *folder, const char *name, const void *bytes,
                            size_t size_bytes) {
    clm_file_writer writer = {0};
    const clm_status status = clm_file_writer_open_in(&writer, folder, name);
    return clm_file_writer_finish(&writer, status, bytes, size_bytes);
}

clm_status clm_file_writer_open_own(clm_file_writer *writer, const char *path) {
    clm_folder folder = {0};
    char *parent = NULL;
    clm_status status = CLM_OK;
    *writer = (clm_file_writer){0};
    CLM_TRY(clm_path_check(path));
    CLM_TRY(clm_path_folder(&parent, path));
    CLM_TRY(clm_folder_open(&folder, parent));
    CLM_TRY(clm_file_writer_open_in(writer, &folder, clm_path_name(path)));
cleanup:
    clm_folder_close(&folder);
    clm_free(parent);
    return status;
}

clm_status clm_file_write_own(const char *path, const void *bytes, size_t size_bytes) {
    clm_file_writer writer = {0};
    const clm_status status = clm_file_writer_open_own(&writer, path);
    return clm_file_writer_finish(&writer, status, bytes, size_bytes);
}
