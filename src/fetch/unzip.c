/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch/unzip.h"

#include <archive.h>
#include <archive_entry.h>
#include <string.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/memory.h"

static clm_status broken(struct archive *reader, const char *archive) {
    const char *reason = archive_error_string(reader);
    return clm_fail(CLM_ERROR_FORMAT, "%s: not a readable zip archive: %s", archive,
                    reason != NULL ? reason : "unknown reason");
}

/* Goes to the member's data. */
static clm_status find(struct archive *reader, const char *archive, const char *member) {
    for (;;) {
        struct archive_entry *entry = NULL;
        int result = archive_read_next_header(reader, &entry);
        if (result == ARCHIVE_EOF) {
            return clm_fail(CLM_ERROR_FORMAT, "%s: has no file \"%s\"", archive, member);
        }
        if (result < ARCHIVE_WARN) {
            return broken(reader, archive);
        }
        const char *name = archive_entry_pathname(entry);
        if (name == NULL || strcmp(name, member) != 0) {
            continue;
        }
        if (archive_entry_filetype(entry) != AE_IFREG) {
            return clm_fail(CLM_ERROR_FORMAT, "%s: \"%s\" is not a regular file", archive, member);
        }
        return CLM_OK;
    }
}

static clm_status wrong_size(const char *archive, const char *member, uint64_t size_bytes) {
    return clm_fail(CLM_ERROR_FORMAT, "%s: \"%s\" does not have the %llu bytes that it should have",
                    archive, member, (unsigned long long)size_bytes);
}

clm_status clm_unzip(const char *archive, const char *member, uint64_t size_bytes,
                     const char *path) {
    enum { block_bytes = 1 << 16 };
    clm_status status = CLM_OK;
    char *block = NULL;
    clm_file_writer writer = {0};
    struct archive *reader = archive_read_new();
    if (reader == NULL) {
        return clm_fail(CLM_ERROR_MEMORY, "out of memory: %s cannot be read", archive);
    }
    CLM_TRY(clm_allocate(&block, block_bytes, 1, "a block of a file"));
    if (archive_read_support_format_zip(reader) != ARCHIVE_OK ||
        archive_read_open_filename(reader, archive, block_bytes) != ARCHIVE_OK) {
        status = broken(reader, archive);
        goto cleanup;
    }
    CLM_TRY(find(reader, archive, member));
    CLM_TRY(clm_file_writer_open_own(&writer, path));
    uint64_t total_bytes = 0;
    for (;;) {
        la_ssize_t got = archive_read_data(reader, block, block_bytes);
        if (got < 0) {
            status = broken(reader, archive);
            goto cleanup;
        }
        if (got == 0) {
            break;
        }
        total_bytes += (uint64_t)got;
        if (total_bytes > size_bytes) {
            break;
        }
        CLM_TRY(clm_file_writer_add(&writer, block, (size_t)got));
    }
    if (total_bytes != size_bytes) {
        status = wrong_size(archive, member, size_bytes);
        goto cleanup;
    }
    CLM_TRY(clm_file_writer_commit(&writer));
cleanup:
    clm_file_writer_discard(&writer);
    (void)archive_read_free(reader);
    clm_free(block);
    return status;
}
