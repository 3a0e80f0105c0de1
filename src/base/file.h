/* Files: read whole, mapped, written aside and renamed.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_BASE_FILE_H
#define CLM_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/error.h"

/* The whole file through *bytes (owned by the caller, clm_free), with a NUL after it that
 * `size_bytes` does not count. A directory is an error. */
clm_status clm_file_read(const char *path, char **bytes, size_t *size_bytes);

/* A file in memory: what might be written there does not reach it. `data` is never NULL, also for
 * an empty file. */
typedef struct clm_file_map {
    const unsigned char *data;
    size_t size_bytes;
    void *mapping;
} clm_file_map;

clm_status clm_file_map_open(clm_file_map *map, const char *path);
void clm_file_map_close(clm_file_map *map); /* fine on a zeroed one */

/* Lets the system take back the memory of what was read so far; it is read again when wanted. */
void clm_file_map_forget(const clm_file_map *map);

/* A file that appears under its name only when it is whole: it is written to
 * "<path>.part-<pid>" in the same folder, synced and renamed by clm_file_writer_commit(). Discard
 * does nothing after a commit, so a cleanup path calls it in any case. */
typedef struct clm_file_writer {
    FILE *stream;
    char *path;
    char *part;
} clm_file_writer;

clm_status clm_file_writer_open(clm_file_writer *writer, const char *path);
clm_status clm_file_writer_add(clm_file_writer *writer, const void *bytes, size_t size_bytes);
clm_status clm_file_writer_commit(clm_file_writer *writer);
void clm_file_writer_discard(clm_file_writer *writer);

/* Removes what writers left behind in `folder` whose processes were killed. */
void clm_folder_remove_parts(const char *folder);

/* The first three in one. */
clm_status clm_file_write(const char *path, const void *bytes, size_t size_bytes);

/* Opens a file for reading and writing that has no name in `folder` and is gone with the process,
 * through *descriptor, for close(). */
clm_status clm_file_open_scratch(int *descriptor, const char *folder);

/* Adds whole lines to the end of a file, which is created when missing. One write. */
clm_status clm_file_append(const char *path, const void *bytes, size_t size_bytes);

bool clm_file_exists(const char *path); /* of any kind */
bool clm_file_is_folder(const char *path);

/* Makes the folder and those above it; fine when it is there already. */
clm_status clm_folder_make(const char *path);

/* "<folder>/<name>" through *path, owned by the caller (clm_free). */
clm_status clm_path_join(char **path, const char *folder, const char *name);

/* The part after the last '/'; lent from `path`. */
const char *clm_path_name(const char *path);

/* A folder for files that can be made again, made when missing, through *path (clm_free):
 * $CLM_CACHE_DIR/<name>, else $XDG_CACHE_HOME/clm/<name>, else $HOME/.cache/clm/<name>. */
clm_status clm_cache_folder(char **path, const char *name);

#endif
