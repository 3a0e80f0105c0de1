/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/lines.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"

enum { portion_bytes = 65536, patience_ms = 20 };

void clm_lines_open(clm_lines *lines, int descriptor, const char *name) {
    *lines = (clm_lines){.descriptor = descriptor, .name = name, .first = 1};
}

void clm_lines_close(clm_lines *lines) {
    clm_free(lines->texts);
    clm_free(lines->lengths);
    clm_free(lines->bytes);
    *lines = (clm_lines){0};
}

/* Whether a read would give something, or the end, before long. */
static bool is_ready(int descriptor) {
    struct pollfd wanted = {.fd = descriptor, .events = POLLIN};
    return poll(&wanted, 1, patience_ms) > 0;
}

/* Texts hold offsets while the buffer may still move; clm_lines_read() turns them into pointers. */
static clm_status add_text(clm_lines *l, size_t start, size_t end) {
    clm_status status = CLM_OK;
    while (end > start && (l->bytes[end - 1] == '\n' || l->bytes[end - 1] == '\r')) {
        end--;
    }
    CLM_TRY(clm_reserve(&l->lengths, &l->length_capacity, 2 * (l->count + 1), sizeof *l->lengths,
                        "lines"));
    l->lengths[2 * l->count] = start;
    l->lengths[2 * l->count + 1] = end;
    l->count++;
cleanup:
    return status;
}

/* Takes the whole lines that are there from `taken` on. */
static clm_status take_lines(clm_lines *l, size_t *searched, size_t most) {
    clm_status status = CLM_OK;
    while (l->count < most) {
        const size_t from = *searched > l->taken ? *searched : l->taken;
        const char *newline =
            l->filled > from ? memchr(l->bytes + from, '\n', l->filled - from) : NULL;
        if (newline == NULL) {
            *searched = l->filled;
            return CLM_OK;
        }
        const size_t end = (size_t)(newline - l->bytes) + 1;
        CLM_TRY(add_text(l, l->taken, end));
        l->taken = end;
    }
cleanup:
    return status;
}

static clm_status read_portion(clm_lines *l) {
    clm_status status = CLM_OK;
    CLM_TRY(clm_reserve(&l->bytes, &l->capacity, l->filled + portion_bytes, 1, "lines"));
    for (;;) {
        const ssize_t got = read(l->descriptor, l->bytes + l->filled, portion_bytes);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            status = clm_fail_errno(errno, "%s: cannot be read", l->name);
            goto cleanup;
        }
        l->filled += (size_t)got;
        l->at_end = got == 0;
        return CLM_OK;
    }
cleanup:
    return status;
}

static clm_status make_pointers(clm_lines *l) {
    clm_status status = CLM_OK;
    CLM_TRY(clm_reserve(&l->texts, &l->text_capacity, l->count, sizeof *l->texts, "lines"));
    for (size_t i = 0; i < l->count; i++) {
        const size_t start = l->lengths[2 * i];
        l->texts[i] = l->bytes + start;
        l->lengths[i] = l->lengths[2 * i + 1] - start;
    }
cleanup:
    return status;
}

clm_status clm_lines_read(clm_lines *lines, size_t most) {
    clm_lines *l = lines;
    size_t searched = 0;
    clm_status status = CLM_OK;
    l->first += l->count;
    l->count = 0;
    if (l->taken > 0) {
        memmove(l->bytes, l->bytes + l->taken, l->filled - l->taken);
        l->filled -= l->taken;
        l->taken = 0;
    }
    for (;;) {
        CLM_TRY(take_lines(l, &searched, most));
        if (l->count == most || l->at_end || (l->count > 0 && !is_ready(l->descriptor))) {
            break;
        }
        CLM_TRY(read_portion(l));
    }
    if (l->at_end && l->count < most && l->filled > l->taken) {
        CLM_TRY(add_text(l, l->taken, l->filled)); /* the last line has no end of its own */
        l->taken = l->filled;
    }
    CLM_TRY(make_pointers(l));
cleanup:
    return status;
}
