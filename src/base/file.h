/* Files by the paths that people give: read whole, replaced whole or not at all.
 *
 * Links in such a path are followed. Files that clm keeps in a folder under its own names are in
 * base/folder.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_BASE_FILE_H
#define CLM_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/error.h"
#include "base/limits.h"

/* The whole file through *bytes (owned by the caller, clm_free), with a NUL after it that
 * `size_bytes` does not count. CLM_ERROR_FORMAT if it is larger than its kind allows
 * (base/limits.h); CLM_ERROR_IO for folders, devices and, except for tables and texts, pipes. */
clm_status clm_file_read(const char *path, clm_file_kind kind, char **bytes, size_t *size_bytes);

/* The same from a descriptor, which stays open; `path` is for messages. */
clm_status clm_file_read_descriptor(int descriptor, const char *path, clm_file_kind kind,
                                    char **bytes, size_t *size_bytes);

/* A file that appears under its name only when it is complete: it is written to a part in the same
 * folder (base/folder.h), then synced and renamed by clm_file_writer_commit(). Discard does nothing
 * after a commit, so a cleanup path always calls it.
 *
 * An existing regular file is replaced and keeps its mode and, if the caller may set it, its owner.
 * For a symbolic link the target is replaced, and the link stays. Anything else (a device, a pipe,
 * "/dev/stdout", "/dev/fd/3") is written directly, and discarding takes nothing back. Write errors
 * are reported there, too: /dev/full is CLM_ERROR_NO_SPACE. */
typedef struct clm_file_writer {
    FILE *stream;
    char *path; /* for messages */
    char *name; /* that the part is renamed to, in the open folder; NULL: no part */
    int folder;
    char part[48];
} clm_file_writer;

/* The path by which a command's "-" reaches these functions. Flush stdout before. */
#define CLM_FILE_STDOUT "/dev/stdout"

clm_status clm_file_writer_open(clm_file_writer *writer, const char *path);
clm_status clm_file_writer_add(clm_file_writer *writer, const void *bytes, size_t size_bytes);
clm_status clm_file_writer_commit(clm_file_writer *writer);
void clm_file_writer_discard(clm_file_writer *writer);

/* Adds all bytes, commits and discards, if opening the writer returned CLM_OK; else only discards
 * and returns what opening returned. */
clm_status clm_file_writer_finish(clm_file_writer *writer, clm_status opened, const void *bytes,
                                  size_t size_bytes);

/* Whether a file could be written there now, as far as can be told without writing: for a command
 * that works for minutes before it writes. Leaves nothing behind, and opens no device or pipe. */
clm_status clm_file_check_writable(const char *path);

/* The first three in one. */
clm_status clm_file_write(const char *path, const void *bytes, size_t size_bytes);

/* Writes all of the bytes to a descriptor; `path` is for messages. */
clm_status clm_file_write_descriptor(int descriptor, const void *bytes, size_t size_bytes,
                                     const char *path);

/* Opens an unnamed file in `folder` for reading and writing, which disappears with the process,
 * through *descriptor, for close(). */
clm_status clm_file_open_scratch(int *descriptor, const char *folder);

bool clm_file_exists(const char *path); /* of any kind */
bool clm_file_is_folder(const char *path);

/* "<folder>/<name>" through *path, owned by the caller (clm_free). */
clm_status clm_path_join(char **path, const char *folder, const char *name);

/* The part after the last '/'; lent from `path`. */
const char *clm_path_name(const char *path);

/* The folder that contains the last component of a path, "." if there is no '/', through *folder
 * (clm_free). */
clm_status clm_path_folder(char **folder, const char *path);

/* CLM_ERROR_ARGUMENT for "", which a script passes for an unset variable. */
clm_status clm_path_check(const char *path);

#endif
