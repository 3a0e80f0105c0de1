/* Folders: made, held open, locked; and the files that clm keeps in them under names of its own.
 *
 * A path that a person typed is followed wherever its links lead (base/file.h). A name that clm
 * makes inside a folder (metrics.jsonl, a checkpoint, a temporary part) is opened relative to the
 * open folder and never through a symbolic link, so that nobody who may write there can turn it
 * into another file of the user's. A link under such a name is an error that names it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_BASE_FOLDER_H
#define CLM_BASE_FOLDER_H

#include "base/file.h"

/* Closed when zeroed. */
typedef struct clm_folder {
    char *path;  /* as it was given; NULL when closed */
    char *shown; /* in messages: of a part, what it is to become; NULL: the path */
    int descriptor;
    int lock;
    bool is_locked;
    bool is_private; /* new files are 0600 whatever the umask */
} clm_folder;

/* Makes the folder and those above it; fine when it is there already. */
clm_status clm_folder_make(const char *path);

/* Opens a folder that is there; `path` is followed. */
clm_status clm_folder_open(clm_folder *folder, const char *path);
void clm_folder_close(clm_folder *folder); /* unlocks; fine on a zeroed one */

/* The same, and removes the folder if it is empty. */
void clm_folder_close_and_remove(clm_folder *folder);

/* ---- files in it, by a name without '/' ---- */

bool clm_folder_has(const clm_folder *folder, const char *name); /* a link counts, of whatever */
clm_status clm_folder_read(const clm_folder *folder, const char *name, clm_file_kind kind,
                           char **bytes, size_t *size_bytes);

/* Replaces or makes the file, whole or not at all. */
clm_status clm_folder_write(const clm_folder *folder, const char *name, const void *bytes,
                            size_t size_bytes);

/* The same in pieces: see clm_file_writer_add() in base/file.h. */
clm_status clm_file_writer_open_in(clm_file_writer *writer, const clm_folder *folder,
                                   const char *name);

/* The same two by a path whose last part is a name that clm made ("<folder>/config.json"): the
 * folder is followed, the name is not. */
clm_status clm_file_write_own(const char *path, const void *bytes, size_t size_bytes);
clm_status clm_file_writer_open_own(clm_file_writer *writer, const char *path);

/* Adds whole lines to its end; it is made when missing. */
clm_status clm_folder_append(const clm_folder *folder, const char *name, const void *bytes,
                             size_t size_bytes);

/* Opens a regular file with the flags of open(), through *descriptor, for close(). O_CREAT makes it
 * when missing. CLM_ERROR_NOT_FOUND when it is missing. */
clm_status clm_folder_open_file(int *descriptor, const clm_folder *folder, const char *name,
                                int flags);

/* Fine when it is not there. A link goes, not what it points to. */
clm_status clm_folder_remove(const clm_folder *folder, const char *name);

/* "<folder>/<name>" as messages show it, through *path (clm_free). */
clm_status clm_folder_path(char **path, const clm_folder *folder, const char *name);

/* ---- one process at a time ---- */

/* Locks the folder until it is closed or the process ends, however it ends: CLM_ERROR_BUSY names
 * the process that holds it. The lock is flock() on ".clm-lock", which also keeps out other threads
 * and other opens of this process. Where the file system has no locks, a warning is logged and
 * CLM_OK returned. Over NFS and the like it holds between machines as far as the mount shares
 * flock(). */
clm_status clm_folder_lock(clm_folder *folder);

/* ---- parts: files and folders that are not finished ---- */

/* Parts are called ".clm-part-" and 32 random hexadecimal digits, made exclusively, and locked
 * while they are written. */
enum { CLM_PART_CAPACITY = 48 };

/* A new part in the open folder `parent` through *descriptor, which holds its lock, and `name`. */
clm_status clm_part_make_file(int *descriptor, char name[CLM_PART_CAPACITY], int parent, int mode,
                              const char *path_for_messages);

/* A new folder beside `path`, with a name of a part, open and locked through *part. */
clm_status clm_part_make_folder(clm_folder *part, const char *path);

/* Removes the parts in the folder whose writers are gone: those whose lock can be had. Where other
 * machines may not see this one's locks (any but a local file system) a part must also have lain
 * untouched for an hour. Nothing else is touched. */
void clm_folder_remove_parts(const clm_folder *folder);

/* ---- the cache ---- */

/* A folder for files that can be made again, made when missing, mode 0700, through *path
 * (clm_free): $CLM_CACHE_DIR/<name>, else $XDG_CACHE_HOME/clm/<name>, else $HOME/.cache/clm/<name>.
 */
clm_status clm_cache_folder(char **path, const char *name);

/* The same, open, for files that decide what runs (kernels, settings): it must belong to the
 * caller, who gets it as 0700, or to root, and nobody else may write there; CLM_ERROR_IO otherwise,
 * and a warning is logged once. Its files are private, and are read as a trusted kind
 * (base/limits.h). */
clm_status clm_cache_open(clm_folder *folder, const char *name);

/* One write or append by the path of a file in such a folder. */
clm_status clm_cache_write(const char *path, const void *bytes, size_t size_bytes);
clm_status clm_cache_append(const char *path, const void *bytes, size_t size_bytes);

#endif
