/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file_input.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"

clm_status clm_file_input_open(clm_file_input *input, const char *path) {
    *input = (clm_file_input){.descriptor = -1};
    clm_status status = CLM_OK;
    struct stat information;
    CLM_TRY(clm_path_check(path));
    CLM_TRY(clm_duplicate(&input->path, path));
    /* Opening a FIFO without a writer would wait for ever. */
    input->descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (input->descriptor < 0) {
        status = clm_fail_errno(errno, "%s: cannot be opened", path);
        goto cleanup;
    }
    if (fstat(input->descriptor, &information) != 0) {
        status = clm_fail_errno(errno, "%s: cannot be examined", path);
        goto cleanup;
    }
    if (!S_ISREG(information.st_mode)) {
        status = clm_fail(
            CLM_ERROR_IO, "%s: %s", path,
            S_ISDIR(information.st_mode) ? "is a folder, not a file" : "is not a regular file");
        goto cleanup;
    }
    input->size_bytes = (size_t)information.st_size;
    input->modified[0] = (int64_t)information.st_mtim.tv_sec;
    input->modified[1] = (int64_t)information.st_mtim.tv_nsec;
cleanup:
    if (status != CLM_OK) {
        clm_file_input_close(input);
    }
    return status;
}

void clm_file_input_close(clm_file_input *input) {
    if (input->mapping != NULL) {
        (void)munmap(input->mapping, input->size_bytes);
    }
    if (input->path != NULL && input->descriptor >= 0) {
        (void)close(input->descriptor);
    }
    clm_free(input->path);
    *input = (clm_file_input){.descriptor = -1};
}

static clm_status changed(const clm_file_input *input, const char *how) {
    return clm_fail(CLM_ERROR_IO,
                    "%s: was %s while it was in use; write another file and rename it to this one "
                    "instead",
                    input->path, how);
}

clm_status clm_file_input_check(const clm_file_input *input) {
    struct stat information;
    if (fstat(input->descriptor, &information) != 0) {
        return clm_fail_errno(errno, "%s: cannot be examined", input->path);
    }
    if ((size_t)information.st_size < input->size_bytes) {
        return changed(input, "cut short");
    }
    if ((size_t)information.st_size > input->size_bytes ||
        (int64_t)information.st_mtim.tv_sec != input->modified[0] ||
        (int64_t)information.st_mtim.tv_nsec != input->modified[1]) {
        return changed(input, "written to");
    }
    return CLM_OK;
}

clm_status clm_file_input_read(const clm_file_input *input, size_t at, void *out,
                               size_t size_bytes) {
    unsigned char *rest = out;
    while (size_bytes > 0) {
        const ssize_t got = pread(input->descriptor, rest, size_bytes, (off_t)at);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return clm_fail_errno(errno, "%s: cannot be read at byte %zu", input->path, at);
        }
        if (got == 0) {
            return changed(input, "cut short");
        }
        rest += got;
        at += (size_t)got;
        size_bytes -= (size_t)got;
    }
    return clm_file_input_check(input);
}

clm_status clm_file_input_map(clm_file_input *input, const unsigned char **bytes) {
    if (input->mapping == NULL) {
        /* Writable, since drivers may put the same bytes back; private, so that it stays here. */
        void *mapping = mmap(NULL, input->size_bytes, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_NORESERVE, input->descriptor, 0);
        if (mapping == MAP_FAILED) {
            return clm_fail_errno(errno, "%s: cannot be mapped", input->path);
        }
        input->mapping = mapping;
    }
    *bytes = input->mapping;
    return CLM_OK;
}
