/* SPDX-License-Identifier: Apache-2.0 */
#include "selftest/mark.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/memory.h"
#include "selftest/record.h"

/* ---- reading ---- */

static bool copy(char *to, size_t size, const cJSON *json, const char *name, const char *path) {
    const char *text = NULL;
    if (clm_json_get_line(json, name, true, &text, path) != CLM_OK) {
        return false;
    }
    (void)snprintf(to, size, "%s", text);
    return true;
}

static void read_line(clm_selftest_mark *mark, const char *line, size_t length) {
    const size_t most = sizeof mark->crashes / sizeof *mark->crashes;
    clm_selftest_crash crash;
    cJSON *json = NULL;
    const char *key = NULL;
    const char *path = mark->path;
    if (length > 0 && mark->crash_count < most &&
        clm_json_parse(&json, line, length, path) == CLM_OK &&
        clm_json_get_string(json, "key", true, &key, path) == CLM_OK &&
        strcmp(key, mark->key) == 0 &&
        copy(crash.operation, sizeof crash.operation, json, "operation", path) &&
        copy(crash.variant, sizeof crash.variant, json, "way", path) &&
        copy(crash.kernel, sizeof crash.kernel, json, "kernel", path) &&
        copy(crash.shape, sizeof crash.shape, json, "shape", path)) {
        mark->crashes[mark->crash_count++] = crash;
    }
    cJSON_Delete(json);
}

static void read_lines(clm_selftest_mark *mark) {
    char *text = NULL;
    size_t count = 0;
    if (clm_file_read(mark->path, CLM_FILE_SETTINGS, &text, &count) == CLM_OK) {
        for (size_t at = 0; at < count;) {
            const size_t length = strcspn(text + at, "\n");
            read_line(mark, text + at, length);
            at += length + 1;
        }
    }
    clm_free(text);
}

/* ---- the lock ---- */

/* -1 if the file is locked or cannot be locked. If it was removed in the meantime it is opened
 * again, since a lock on a removed file excludes no other process. */
static int open_locked(const char *path, int flags) {
    for (int attempt = 0; attempt < 8; attempt++) {
        struct stat about;
        const int descriptor = open(path, flags | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (descriptor < 0) {
            return -1;
        }
        if (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
            (void)close(descriptor);
            return -1;
        }
        if (fstat(descriptor, &about) == 0 && about.st_nlink > 0) {
            return descriptor;
        }
        (void)close(descriptor);
    }
    return -1;
}

static void release(clm_selftest_mark *mark) {
    if (mark->descriptor >= 0) {
        (void)close(mark->descriptor);
    }
    clm_free(mark->path);
    clm_free(mark->key);
    *mark = (clm_selftest_mark){.descriptor = -1};
}

void clm_selftest_mark_open(clm_selftest_mark *mark, const clm_device *device) {
    *mark = (clm_selftest_mark){.descriptor = -1};
    clm_error_hold();
    if (clm_selftest_record_place(&mark->path, &mark->key, device, "mark") == CLM_OK) {
        mark->descriptor = open_locked(mark->path, O_RDWR | O_CREAT);
    }
    if (mark->descriptor >= 0) {
        read_lines(mark);
    } else {
        clm_log(CLM_LOG_DEBUG,
                "self-test: no mark is written: another process is testing, or the file cannot be "
                "used");
    }
    clm_error_release();
}

bool clm_selftest_mark_is_left(const clm_device *device) {
    clm_selftest_mark mark = {.descriptor = -1};
    clm_error_hold();
    if (clm_selftest_record_place(&mark.path, &mark.key, device, "mark") == CLM_OK) {
        mark.descriptor = open_locked(mark.path, O_RDWR);
    }
    if (mark.descriptor >= 0) {
        read_lines(&mark);
    }
    clm_error_release();
    const bool is_left = mark.crash_count > 0;
    release(&mark);
    return is_left;
}

/* ---- what ended in what ---- */

const clm_selftest_crash *clm_selftest_mark_find(const clm_selftest_mark *mark,
                                                 const char *operation, const char *variant) {
    int found = 0;
    for (size_t i = 0; i < mark->crash_count; i++) {
        const clm_selftest_crash *crash = &mark->crashes[i];
        if (strcmp(crash->operation, operation) == 0 && strcmp(crash->variant, variant) == 0 &&
            ++found == 2) {
            return crash;
        }
    }
    return NULL;
}

void clm_selftest_mark_forget(clm_selftest_mark *mark, const char *operation) {
    size_t kept = 0;
    for (size_t i = 0; i < mark->crash_count; i++) {
        if (strcmp(mark->crashes[i].operation, operation) != 0) {
            mark->crashes[kept++] = mark->crashes[i];
        }
    }
    mark->crash_count = kept;
}

/* ---- writing ---- */

static void describe(clm_string *text, const clm_selftest_mark *mark,
                     const clm_selftest_crash *crash) {
    const struct {
        const char *name;
        const char *text;
    } members[] = {{"{\"key\": ", mark->key},
                   {", \"operation\": ", crash->operation},
                   {", \"way\": ", crash->variant},
                   {", \"kernel\": ", crash->kernel},
                   {", \"shape\": ", crash->shape}};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        clm_string_add(text, members[i].name);
        clm_json_add_string(text, members[i].text);
    }
    clm_string_add(text, "}\n");
}

/* The old lines, and with `now` that. The file is shortened only after, so that at every moment it
 * has whole lines to begin with. */
static void write_lines(clm_selftest_mark *mark, bool now) {
    clm_string text = {0};
    if (mark->descriptor < 0) {
        return;
    }
    clm_error_hold();
    for (size_t i = 0; i < mark->crash_count; i++) {
        describe(&text, mark, &mark->crashes[i]);
    }
    if (now) {
        describe(&text, mark, &mark->now);
    }
    if (clm_string_status(&text) == CLM_OK) {
        const ssize_t written = pwrite(mark->descriptor, text.text, text.length, 0);
        if (written < 0 || ftruncate(mark->descriptor, (off_t)written) != 0) {
            clm_log(CLM_LOG_DEBUG, "%s cannot be written: %s", mark->path, strerror(errno));
        }
    }
    clm_error_release();
    clm_string_free(&text);
}

void clm_selftest_mark_write(clm_selftest_mark *mark) {
    write_lines(mark, true);
}

void clm_selftest_mark_keep(clm_selftest_mark *mark) {
    const size_t most = sizeof mark->crashes / sizeof *mark->crashes;
    for (int i = 0; i < 2 && mark->now.operation[0] != '\0' && mark->crash_count < most; i++) {
        mark->crashes[mark->crash_count++] = mark->now;
    }
}

void clm_selftest_mark_close(clm_selftest_mark *mark, bool known) {
    if (mark->descriptor >= 0) {
        mark->crash_count = known ? 0 : mark->crash_count;
        if (mark->crash_count > 0) {
            write_lines(mark, false);
        } else {
            (void)unlink(mark->path); /* while it is still locked */
        }
    }
    release(mark);
}
