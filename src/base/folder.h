/* Folders: creating, opening and locking them, and the files that clm keeps in them under its own
 * names.
 *
 * Links in a path that a person typed are followed (base/file.h). A name that clm chooses inside a
 * folder (metrics.jsonl, a checkpoint, a temporary part) is opened relative to the open folder and
 * never through a symbolic link, so that nobody with write access there can redirect it to another
 * of the user's files. A link under such a name is an error that names it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_BASE_FOLDER_H
#define CLM_BASE_FOLDER_H

#include "base/file.h"

/* Closed when zeroed. */
typedef struct clm_folder {
    char *path;  /* as given; NULL when closed */
    char *shown; /* in messages; for a part, its final path; NULL: `path` */
    int descriptor;
    int lock;
    bool is_locked;
    bool is_private; /* new files are 0600 whatever the umask */
} clm_folder;

/* Creates the folder and its parents; fine if it exists already. */
clm_status clm_folder_make(const char *path);

/* Whether files could be made there now, or the folder with files, as far as can be told without
 * making it: for a command that works for minutes before it writes. */
clm_status clm_folder_check_writable(const char *path);

/* Opens an existing folder; links in `path` are followed. */
clm_status clm_folder_open(clm_folder *folder, const char *path);
void clm_folder_close(clm_folder *folder); /* unlocks; fine on a zeroed one */

/* The same, and removes the folder if it is empty. */
void clm_folder_close_and_remove(clm_folder *folder);

/* ---- files in it, by a name without '/' ---- */

bool clm_folder_has(const clm_folder *folder, const char *name); /* any link counts */
clm_status clm_folder_read(const clm_folder *folder, const char *name, clm_file_kind kind,
                           char **bytes, size_t *size_bytes);

/* Creates or replaces the file, whole or not at all. */
clm_status clm_folder_write(const clm_folder *folder, const char *name, const void *bytes,
                            size_t size_bytes);

/* The same in pieces: see clm_file_writer_add() in base/file.h. */
clm_status clm_file_writer_open_in(clm_file_writer *writer, const clm_folder *folder,
                                   const char *name);

/* The same two by a path whose last component is a name that clm chose ("<folder>/config.json"):
 * links are followed in the folder, not in the name. */
clm_status clm_file_write_own(const char *path, const void *bytes, size_t size_bytes);
clm_status clm_file_writer_open_own(clm_file_writer *writer, const char *path);

/* Appends whole lines to the file, which is created if missing. */
clm_status clm_folder_append(const clm_folder *folder, const char *name, const void *bytes,
                             size_t size_bytes);

/* Opens a regular file with the flags of open(), through *descriptor, for close(). O_CREAT creates
 * it if missing. CLM_ERROR_NOT_FOUND if it is missing. */
clm_status clm_folder_open_file(int *descriptor, const clm_folder *folder, const char *name,
                                int flags);

/* Fine if it does not exist. A link is removed, not its target. */
clm_status clm_folder_remove(const clm_folder *folder, const char *name);

/* "<folder>/<name>" as messages show it, through *path (clm_free). */
clm_status clm_folder_path(char **path, const clm_folder *folder, const char *name);

/* ---- one process at a time ---- */

/* Locks the folder until it is closed or the process ends, however it ends: CLM_ERROR_BUSY names
 * the process that holds it. The lock is flock() on ".clm-lock", which also keeps out other threads
 * and other opens of this process. Where the file system has no locks, a warning is logged and
 * CLM_OK returned. On network file systems such as NFS it works between machines only if the mount
 * shares flock(). */
clm_status clm_folder_lock(clm_folder *folder);

/* ---- parts: unfinished files and folders ---- */

/* Parts are named ".clm-part-" plus 32 random hexadecimal digits, created exclusively, and locked
 * while they are written. */
enum { CLM_PART_CAPACITY = 48 };

/* A new part in the open folder `parent` through *descriptor, which holds its lock, and `name`. */
clm_status clm_part_make_file(int *descriptor, char name[CLM_PART_CAPACITY], int parent, int mode,
                              const char *path_for_messages);

/* A new folder beside `path`, named as a part, open and locked, through *part. */
clm_status clm_part_make_folder(clm_folder *part, const char *path);

/* Removes the parts in the folder whose writers are gone: those whose lock is free. On file systems
 * other than local ones, where machines may not see each other's locks, a part must also be
 * unmodified for an hour. Nothing else is touched. */
void clm_folder_remove_parts(const clm_folder *folder);

/* ---- the cache ---- */

/* A folder for files that can be regenerated, created if missing, mode 0700, through *path
 * (clm_free): $CLM_CACHE_DIR/<name>, else $XDG_CACHE_HOME/clm/<name>, else $HOME/.cache/clm/<name>.
 */
clm_status clm_cache_folder(char **path, const char *name);

/* The same, open, for files that decide what runs (kernels, settings): it must belong to the caller
 * (its mode is then set to 0700) or to root, and nobody else may have write access; CLM_ERROR_IO
 * otherwise, and a warning is logged once. Its files are private, and are read as a trusted kind
 * (base/limits.h). */
clm_status clm_cache_open(clm_folder *folder, const char *name);

/* One write or append by the path of a file in such a folder. */
clm_status clm_cache_write(const char *path, const void *bytes, size_t size_bytes);
clm_status clm_cache_append(const char *path, const void *bytes, size_t size_bytes);

#endif
