/* SPDX-License-Identifier: Apache-2.0 */
#include "base/lines.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"

/* --- Text in memory --- */

size_t clm_text_mark(const char *text, size_t size_bytes) {
    return size_bytes >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
}

/* The first LF or CR from `at` on, or `end`. */
static const char *find_line_end(const char *at, const char *end) {
    while (at < end && *at != '\n' && *at != '\r') {
        at++;
    }
    return at;
}

bool clm_text_next_line(const char **at, const char *end, const char **line, size_t *length_bytes) {
    if (*at == end) {
        return false;
    }
    const char *stop = find_line_end(*at, end);
    *line = *at;
    *length_bytes = (size_t)(stop - *at);
    if (stop < end && *stop == '\r' && stop + 1 < end && stop[1] == '\n') {
        stop++;
    }
    *at = stop < end ? stop + 1 : end;
    return true;
}

void clm_text_place(const char *text, size_t offset, size_t *line, size_t *column) {
    size_t start = clm_text_mark(text, offset);
    *line = 1;
    for (size_t i = start; i < offset; i++) {
        /* Of CR LF only the LF begins a line; the byte at `offset` is there to be looked at. */
        if (text[i] == '\n' || (text[i] == '\r' && text[i + 1] != '\n')) {
            (*line)++;
            start = i + 1;
        }
    }
    *column = offset - start + 1;
}

clm_status clm_text_refuse_nul(const char *text, size_t size_bytes, const char *where) {
    const char *nul = size_bytes > 0 ? memchr(text, '\0', size_bytes) : NULL;
    if (nul == NULL) {
        return CLM_OK;
    }
    size_t line = 0;
    size_t column = 0;
    clm_text_place(text, (size_t)(nul - text), &line, &column);
    return clm_fail(CLM_ERROR_ENCODING,
                    "%s:%zu:%zu: a NUL byte: this is no text, or text in UTF-16; save it in UTF-8",
                    where, line, column);
}

/* --- Lines of a file or a pipe --- */

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
    if (l->first + l->count == 1) {
        start += clm_text_mark(l->bytes + start, end - start);
    }
    CLM_TRY(clm_reserve(&l->lengths, &l->length_capacity, 2 * (l->count + 1), sizeof *l->lengths,
                        "lines"));
    l->lengths[2 * l->count] = start;
    l->lengths[2 * l->count + 1] = end;
    l->count++;
cleanup:
    return status;
}

/* Skips the LF of a CR LF whose CR has ended a line already. */
static void skip_newline(clm_lines *l) {
    if (l->after_return && l->taken < l->filled) {
        l->taken += l->bytes[l->taken] == '\n';
        l->after_return = false;
    }
}

/* Takes the whole lines that are there from `taken` on. */
static clm_status take_lines(clm_lines *l, size_t *searched, size_t most) {
    clm_status status = CLM_OK;
    while (l->count < most && l->filled > 0) { /* before the first byte, `bytes` is NULL */
        skip_newline(l);
        const size_t from = *searched > l->taken ? *searched : l->taken;
        const char *stop = find_line_end(l->bytes + from, l->bytes + l->filled);
        const size_t end = (size_t)(stop - l->bytes);
        if (end == l->filled) {
            *searched = l->filled;
            return CLM_OK;
        }
        CLM_TRY(add_text(l, l->taken, end));
        l->after_return = *stop == '\r';
        l->taken = end + 1;
    }
cleanup:
    return status;
}

static clm_status read_portion(clm_lines *l) {
    clm_status status = CLM_OK;
    CLM_TRY(clm_reserve(&l->bytes, &l->capacity, l->filled + portion_bytes + 1, 1, "lines"));
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
        l->bytes[l->filled] = '\0';
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

/* The last line may lack a line end; a byte order mark alone is not a line. */
static clm_status take_last_line(clm_lines *l) {
    const size_t left = l->filled - l->taken;
    clm_status status = CLM_OK;
    if (left > 0 &&
        !(l->first + l->count == 1 && clm_text_mark(l->bytes + l->taken, left) == left)) {
        status = add_text(l, l->taken, l->filled);
    }
    l->taken = l->filled;
    return status;
}

clm_status clm_lines_read(clm_lines *lines, size_t most) {
    clm_lines *l = lines;
    size_t searched = 0;
    clm_status status = CLM_OK;
    l->first += l->count;
    l->count = 0;
    if (l->taken > 0) {
        memmove(l->bytes, l->bytes + l->taken, l->filled - l->taken + 1); /* and the NUL */
        l->filled -= l->taken;
        l->taken = 0;
    }
    for (;;) {
        CLM_TRY(take_lines(l, &searched, most));
        if (l->count == most || l->at_end ||
            (l->count > 0 && (l->filled > CLM_LINE_LIMIT_BYTES || !is_ready(l->descriptor)))) {
            break;
        }
        if (l->filled - l->taken > CLM_LINE_LIMIT_BYTES) {
            status = clm_fail(CLM_ERROR_FORMAT,
                              "%s:%" PRIu64 ": the line does not end within %d MiB: is this text?",
                              l->name, l->first, CLM_LINE_LIMIT_BYTES >> 20);
            goto cleanup;
        }
        CLM_TRY(read_portion(l));
    }
    if (l->at_end && l->count < most) {
        CLM_TRY(take_last_line(l));
    }
    CLM_TRY(make_pointers(l));
cleanup:
    return status;
}

clm_status clm_lines_check(const clm_lines *lines, size_t i) {
    const char *nul =
        lines->lengths[i] > 0 ? memchr(lines->texts[i], '\0', lines->lengths[i]) : NULL;
    if (nul != NULL) {
        return clm_fail(CLM_ERROR_ENCODING, "%s:%" PRIu64 ": byte %zu of the line is NUL",
                        lines->name, lines->first + i, (size_t)(nul - lines->texts[i]));
    }
    return CLM_OK;
}
