/* Folders, budgets and checks for the fuzz targets.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* memmem */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/string.h"
#include "device/internal.h"
#include "fuzz.h"

/* ---- the budget ---- */

/* The linker's names (--wrap). */
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);

static size_t allocated_bytes;

void *__wrap_calloc(size_t count, size_t size) {
    allocated_bytes += count * size;
    return __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size) {
    allocated_bytes += size;
    return __real_realloc(memory, size);
}

void fuzz_run(const uint8_t *data, size_t size) {
    allocated_bytes = 0;
    clm_error_clear();
    fuzz_one(data, size);
    if (allocated_bytes > fuzz_this.budget_bytes + fuzz_this.budget_a_byte * size) {
        (void)fprintf(stderr, "%zu bytes were allocated for an input of %zu\n", allocated_bytes,
                      size);
        abort();
    }
}

/* ---- messages ---- */

void fuzz_check_refused(clm_status status) {
    const char *message = clm_error_message();
    const size_t length = strlen(message);
    FUZZ_CHECK(status != CLM_OK && status != CLM_ERROR_MEMORY);
    FUZZ_CHECK(length > 0);
    FUZZ_CHECK(clm_utf8_check(message, length) == length);
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)message[i] < 0x20 || message[i] == 0x7F) {
            (void)fprintf(stderr, "a control character in: %s\n", message);
            abort();
        }
    }
}

/* ---- random numbers ---- */

uint64_t fuzz_draw(fuzz_random *random, uint64_t below) {
    uint64_t z = random->state += 0x9E3779B97F4A7C15ULL;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ z >> 27) * 0x94D049BB133111EBULL;
    return (z ^ z >> 31) % below;
}

/* ---- the folder ---- */

static char folder[256];

/* What parsers make there has one level of folders at most. */
static void empty_folder(const char *path, int levels) {
    DIR *stream = opendir(path);
    if (stream == NULL) {
        return;
    }
    for (const struct dirent *entry = NULL; (entry = readdir(stream)) != NULL;) {
        char inner[768];
        struct stat about;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        (void)snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
        if (levels > 0 && lstat(inner, &about) == 0 && S_ISDIR(about.st_mode)) {
            empty_folder(inner, levels - 1);
            (void)rmdir(inner);
        } else {
            (void)unlink(inner);
        }
    }
    (void)closedir(stream);
}

void fuzz_empty(void) {
    empty_folder(fuzz_folder(), 3);
}

static void remove_folder(void) {
    fuzz_empty();
    (void)rmdir(folder);
}

const char *fuzz_folder(void) {
    if (folder[0] == '\0') {
        const char *place = getenv("TMPDIR");
        const char *shared = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
        (void)snprintf(folder, sizeof folder, "%s/clm-fuzz-XXXXXX", place != NULL ? place : shared);
        FUZZ_CHECK(mkdtemp(folder) != NULL);
        (void)atexit(remove_folder);
    }
    return folder;
}

const char *fuzz_path(const char *name) {
    enum { most = 8 };
    static char paths[most][512];
    static unsigned next;
    char *path = paths[next++ % most];
    (void)snprintf(path, sizeof *paths, "%s/%s", fuzz_folder(), name);
    return path;
}

const char *fuzz_write(const char *name, const void *data, size_t size) {
    const char *path = fuzz_path(name);
    const int descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FUZZ_CHECK(descriptor >= 0);
    FUZZ_CHECK(write(descriptor, data, size) == (ssize_t)size);
    (void)close(descriptor);
    return path;
}

/* ---- several files in one input ---- */

static const char head[] = "=== ";
enum { head_length = sizeof head - 1 };

/* The next "=== " at the start of a line, from `at` on. */
static size_t find_head(const uint8_t *data, size_t size, size_t at) {
    while (at < size) {
        const uint8_t *found = memmem(data + at, size - at, head, head_length);
        if (found == NULL) {
            return size;
        }
        at = (size_t)(found - data);
        if (at == 0 || data[at - 1] == '\n') {
            return at;
        }
        at++;
    }
    return size;
}

static int is_name(const uint8_t *text, size_t length) {
    int good = length > 0 && length < sizeof((fuzz_file *)NULL)->name && text[0] != '.';
    for (size_t i = 0; good && i < length; i++) {
        good = (text[i] >= 'a' && text[i] <= 'z') || (text[i] >= 'A' && text[i] <= 'Z') ||
               (text[i] >= '0' && text[i] <= '9') || text[i] == '.' || text[i] == '_' ||
               text[i] == '-';
    }
    return good;
}

int fuzz_next_file(fuzz_file *file, const uint8_t *data, size_t size, size_t *at) {
    size_t start = find_head(data, size, *at);
    while (start < size) {
        const size_t name = start + head_length;
        const uint8_t *newline = memchr(data + name, '\n', size - name);
        if (newline == NULL) {
            break;
        }
        const size_t bytes = (size_t)(newline - data) + 1;
        const size_t next = find_head(data, size, bytes);
        if (is_name(data + name, bytes - 1 - name)) {
            const size_t end = next < size && next > bytes ? next - 1 : next;
            *file = (fuzz_file){.bytes = data + bytes, .size = end - bytes};
            memcpy(file->name, data + name, bytes - 1 - name);
            *at = next;
            return 1;
        }
        start = next;
    }
    *at = size;
    return 0;
}

void fuzz_unpack(const uint8_t *data, size_t size) {
    enum { most_files = 16 };
    fuzz_file file;
    size_t at = 0;
    fuzz_empty();
    for (int count = 0; count < most_files && fuzz_next_file(&file, data, size, &at); count++) {
        (void)fuzz_write(file.name, file.bytes, file.size);
    }
}

/* ---- a device ---- */

clm_device *fuzz_device(void) {
    static clm_device device;
    clm_device_info *info = &device.info;
    (void)snprintf(info->name, sizeof info->name, "Fuzzed");
    (void)snprintf(info->platform, sizeof info->platform, "None");
    (void)snprintf(info->platform_version, sizeof info->platform_version, "OpenCL 1.2");
    (void)snprintf(info->driver, sizeof info->driver, "1");
    (void)snprintf(info->version, sizeof info->version, "OpenCL 1.2");
    device.vector_width = 8;
    info->compute_units = 2;
    info->max_work_group_size = 4096;
    info->local_memory_size_bytes = 65536;
    return &device;
}
