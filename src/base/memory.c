/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static clm_status out_of_memory(size_t count, size_t size, const char *what) {
    return clm_fail(CLM_ERROR_MEMORY,
                    "out of memory: no room for %zu x %zu bytes of %s; close other programs, or "
                    "choose a smaller batch or model",
                    count, size, what);
}

/* `memory` is a pointer to a pointer of any type; memcpy keeps that within the aliasing rules. */
clm_status clm_allocate(void *memory, size_t count, size_t size, const char *what) {
    void *fresh = NULL;
    if (size == 0 || count <= SIZE_MAX / size) {
        fresh = calloc(count * size > 0 ? count * size : 1, 1);
    }
    memcpy(memory, &fresh, sizeof fresh);
    return fresh != NULL ? CLM_OK : out_of_memory(count, size, what);
}

clm_status clm_reallocate(void *memory, size_t count, size_t size, const char *what) {
    void *old = NULL;
    memcpy(&old, memory, sizeof old);
    void *fresh = NULL;
    if (size == 0 || count <= SIZE_MAX / size) {
        fresh = realloc(old, count * size > 0 ? count * size : 1);
    }
    if (fresh == NULL) {
        return out_of_memory(count, size, what);
    }
    memcpy(memory, &fresh, sizeof fresh);
    return CLM_OK;
}

clm_status clm_reserve(void *memory, size_t *capacity, size_t need, size_t size, const char *what) {
    if (need <= *capacity) {
        return CLM_OK;
    }
    size_t grown = *capacity < 8 ? 8 : *capacity;
    while (grown < need) {
        grown = grown > SIZE_MAX / 2 ? need : grown * 2;
    }
    clm_status status = clm_reallocate(memory, grown, size, what);
    if (status == CLM_OK) {
        *capacity = grown;
    }
    return status;
}

void clm_free(void *memory) {
    free(memory);
}

/* What munmap() wants to know; lies before the memory that is handed out. */
typedef struct mapping {
    void *start;
    size_t size_bytes;
} mapping;

void *clm_pages_allocate(size_t size_bytes) {
    const size_t page_bytes = (size_t)2 << 20;
    if (size_bytes > SIZE_MAX - 2 * page_bytes) {
        return NULL;
    }
    mapping about = {.size_bytes = size_bytes + page_bytes + sizeof about};
    about.start =
        mmap(NULL, about.size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (about.start == MAP_FAILED) {
        return NULL;
    }
    const uintptr_t least = (uintptr_t)about.start + sizeof about;
    const size_t skipped_bytes = sizeof about + (page_bytes - least % page_bytes) % page_bytes;
    unsigned char *memory = (unsigned char *)about.start + skipped_bytes;
#ifdef MADV_HUGEPAGE
    (void)madvise(memory, size_bytes, MADV_HUGEPAGE); /* small pages do as well */
#endif
    memcpy(memory - sizeof about, &about, sizeof about);
    return memory;
}

void clm_pages_free(void *memory) {
    if (memory != NULL) {
        mapping about;
        memcpy(&about, (unsigned char *)memory - sizeof about, sizeof about);
        (void)munmap(about.start, about.size_bytes);
    }
}

uint64_t clm_memory_total_bytes(void) {
    const long pages = sysconf(_SC_PHYS_PAGES);
    const long page_bytes = sysconf(_SC_PAGESIZE);
    return pages > 0 && page_bytes > 0 ? (uint64_t)pages * (uint64_t)page_bytes : 0;
}

uint64_t clm_memory_available_bytes(void) {
    uint64_t bytes = clm_memory_total_bytes() / 2;
    FILE *stream = fopen("/proc/meminfo", "re");
    char line[128];
    while (stream != NULL && fgets(line, sizeof line, stream) != NULL) {
        static const char key[] = "MemAvailable:";
        if (strncmp(line, key, sizeof key - 1) == 0) {
            bytes = (uint64_t)strtoull(line + sizeof key - 1, NULL, 10) * 1024;
        }
    }
    if (stream != NULL) {
        (void)fclose(stream);
    }
    return bytes;
}

clm_status clm_duplicate(char **copy, const char *text) {
    size_t size_bytes = strlen(text) + 1;
    clm_status status = clm_allocate(copy, size_bytes, 1, "a string");
    if (status == CLM_OK) {
        memcpy(*copy, text, size_bytes);
    }
    return status;
}
