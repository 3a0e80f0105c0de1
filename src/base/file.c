/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/string.h"

static clm_status fail_if_folder(int descriptor, const char *path, struct stat *information) {
    if (fstat(descriptor, information) != 0) {
        return clm_fail_errno(errno, "%s: cannot be examined", path);
    }
    if (S_ISDIR(information->st_mode)) {
        return clm_fail(CLM_ERROR_IO, "%s: is a folder, not a file", path);
    }
    return CLM_OK;
}

clm_status clm_file_read(const char *path, char **bytes, size_t *size_bytes) {
    *bytes = NULL;
    *size_bytes = 0;
    clm_status status = CLM_OK;
    char *text = NULL;
    size_t capacity = 0;
    size_t length = 0;
    struct stat information;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        return clm_fail_errno(errno, "%s: cannot be opened", path);
    }
    CLM_TRY(fail_if_folder(descriptor, path, &information));
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
    }
    text[length] = '\0';
    *bytes = text;
    *size_bytes = length;
    text = NULL;
cleanup:
    clm_free(text);
    (void)close(descriptor);
    return status;
}

clm_status clm_file_map_open(clm_file_map *map, const char *path) {
    *map = (clm_file_map){0};
    clm_status status = CLM_OK;
    struct stat information;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        return clm_fail_errno(errno, "%s: cannot be opened", path);
    }
    CLM_TRY(fail_if_folder(descriptor, path, &information));
    static const unsigned char nothing;
    map->data = &nothing;
    if (information.st_size > 0) {
        size_t size_bytes = (size_t)information.st_size;
        void *mapping = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE,
                             descriptor, 0);
        if (mapping == MAP_FAILED) {
            status = clm_fail_errno(errno, "%s: cannot be mapped", path);
            goto cleanup;
        }
        *map = (clm_file_map){.data = mapping, .size_bytes = size_bytes, .mapping = mapping};
    }
cleanup:
    (void)close(descriptor);
    return status;
}

void clm_file_map_close(clm_file_map *map) {
    if (map->mapping != NULL) {
        (void)munmap(map->mapping, map->size_bytes);
    }
    *map = (clm_file_map){0};
}

void clm_file_map_forget(const clm_file_map *map) {
    if (map->mapping != NULL) {
        (void)madvise(map->mapping, map->size_bytes, MADV_DONTNEED);
    }
}

clm_status clm_file_writer_open(clm_file_writer *writer, const char *path) {
    *writer = (clm_file_writer){0};
    clm_status status = CLM_OK;
    clm_string part = {0};
    clm_string_add_format(&part, "%s.part-%ld", path, (long)getpid());
    CLM_TRY(clm_string_status(&part));
    CLM_TRY(clm_duplicate(&writer->path, path));
    CLM_TRY(clm_duplicate(&writer->part, part.text));
    writer->stream = fopen(writer->part, "wbe");
    if (writer->stream == NULL) {
        status = clm_fail_errno(errno, "%s: cannot be written", path);
    }
cleanup:
    clm_string_free(&part);
    if (status != CLM_OK) {
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

/* A rename is safe against a crash only once the folder itself is on disk. File systems that
 * cannot sync a folder do not need it, so a failure here says nothing. */
static void sync_folder_of(const char *path) {
    const char *name = clm_path_name(path);
    char *folder = NULL;
    if (clm_duplicate(&folder, name == path ? "." : path) != CLM_OK) {
        return;
    }
    if (name != path) {
        folder[name - path] = '\0';
    }
    int descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor >= 0) {
        (void)fsync(descriptor);
        (void)close(descriptor);
    }
    clm_free(folder);
}

clm_status clm_file_writer_commit(clm_file_writer *writer) {
    clm_status status = CLM_OK;
    if (fflush(writer->stream) != 0 || fsync(fileno(writer->stream)) != 0) {
        status = clm_fail_errno(errno, "%s: cannot be written", writer->path);
        goto cleanup;
    }
    int closed = fclose(writer->stream);
    writer->stream = NULL;
    if (closed != 0) {
        status = clm_fail_errno(errno, "%s: cannot be written", writer->path);
        goto cleanup;
    }
    if (rename(writer->part, writer->path) != 0) {
        status = clm_fail_errno(errno, "%s: cannot be put in place", writer->path);
        goto cleanup;
    }
    sync_folder_of(writer->path);
    clm_free(writer->part);
    writer->part = NULL;
cleanup:
    clm_file_writer_discard(writer);
    return status;
}

void clm_file_writer_discard(clm_file_writer *writer) {
    if (writer->stream != NULL) {
        (void)fclose(writer->stream);
    }
    if (writer->part != NULL) {
        (void)unlink(writer->part);
    }
    clm_free(writer->part);
    clm_free(writer->path);
    *writer = (clm_file_writer){0};
}

/* Whether `name` is "<path>.part-<pid>", and no process has that number. */
static bool is_abandoned_part(const char *name) {
    static const char middle[] = ".part-";
    const char *dot = strrchr(name, '.');
    if (dot == NULL || strncmp(dot, middle, sizeof middle - 1) != 0) {
        return false;
    }
    const char *digits = dot + sizeof middle - 1;
    char *end = NULL;
    const long process = strtol(digits, &end, 10);
    return end != digits && *end == '\0' && process > 0 && process != (long)getpid() &&
           kill((pid_t)process, 0) != 0 && errno == ESRCH;
}

void clm_folder_remove_parts(const char *folder) {
    DIR *stream = opendir(folder);
    if (stream == NULL) {
        return;
    }
    for (const struct dirent *entry = NULL; (entry = readdir(stream)) != NULL;) {
        if (is_abandoned_part(entry->d_name)) {
            (void)unlinkat(dirfd(stream), entry->d_name, 0);
        }
    }
    (void)closedir(stream);
}

clm_status clm_file_write(const char *path, const void *bytes, size_t size_bytes) {
    clm_file_writer writer = {0};
    clm_status status = clm_file_writer_open(&writer, path);
    if (status == CLM_OK) {
        status = clm_file_writer_add(&writer, bytes, size_bytes);
    }
    if (status == CLM_OK) {
        status = clm_file_writer_commit(&writer);
    }
    clm_file_writer_discard(&writer);
    return status;
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

clm_status clm_file_append(const char *path, const void *bytes, size_t size_bytes) {
    int descriptor = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (descriptor < 0) {
        return clm_fail_errno(errno, "%s: cannot be written", path);
    }
    clm_status status = CLM_OK;
    const char *rest = bytes;
    while (size_bytes > 0) {
        ssize_t put = write(descriptor, rest, size_bytes);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put < 0) {
            status = clm_fail_errno(errno, "%s: cannot be written", path);
            break;
        }
        rest += put;
        size_bytes -= (size_t)put;
    }
    if (close(descriptor) != 0 && status == CLM_OK) {
        status = clm_fail_errno(errno, "%s: cannot be written", path);
    }
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

clm_status clm_folder_make(const char *path) {
    char *folder = NULL;
    clm_status status = clm_duplicate(&folder, path);
    if (status != CLM_OK) {
        return status;
    }
    for (char *at = folder + 1; *folder != '\0'; at++) {
        if (*at != '/' && *at != '\0') {
            continue;
        }
        char kept = *at;
        *at = '\0';
        if (mkdir(folder, 0777) != 0 && !clm_file_is_folder(folder)) {
            status = clm_fail_errno(errno, "%s: the folder cannot be made", folder);
            break;
        }
        *at = kept;
        if (kept == '\0') {
            break;
        }
    }
    clm_free(folder);
    return status;
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
        status = clm_folder_make(folder.text);
    }
    if (status != CLM_OK) {
        clm_string_free(&folder);
        return status;
    }
    *path = folder.text;
    return CLM_OK;
}
