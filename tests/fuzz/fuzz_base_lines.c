/* Any bytes as text: a file, read a few lines at a time, gives the lines that the same text gives
 * in memory.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/lines.h"
#include "base/memory.h"
#include "fuzz.h"

static const char *const words[] = {"\xEF\xBB\xBF", "\r\n", "\n\r", "\r", "\n\n", NULL};
const fuzz_target fuzz_this = {FUZZ_LINES, words, 1 << 21, 256};

/* Counting lines from the start of the text takes time, so only some numbers are compared. */
static void check_place(const char *text, const char *line, size_t expected) {
    size_t number = 0;
    size_t column = 0;
    if (expected < 32 || (expected & (expected - 1)) == 0) {
        clm_text_place(text, (size_t)(line - text), &number, &column);
        FUZZ_CHECK(number == expected && column == 1);
    }
}

static void check_lines(const clm_lines *lines, const char **at, const char *end,
                        const char *text) {
    for (size_t i = 0; i < lines->count; i++) {
        const char *line = NULL;
        size_t length = 0;
        FUZZ_CHECK(clm_text_next_line(at, end, &line, &length));
        FUZZ_CHECK(lines->lengths[i] == length);
        FUZZ_CHECK(length == 0 || memcmp(lines->texts[i], line, length) == 0);
        FUZZ_CHECK(length == 0 ||
                   (memchr(line, '\n', length) == NULL && memchr(line, '\r', length) == NULL));
        clm_status status = clm_lines_check(lines, i);
        FUZZ_CHECK((status == CLM_OK) == (length == 0 || memchr(line, '\0', length) == NULL));
        check_place(text, line, lines->first + i);
    }
}

void fuzz_one(const uint8_t *data, size_t size) {
    const int descriptor = open(fuzz_write("lines.txt", data, size), O_RDONLY | O_CLOEXEC);
    char *text = malloc(size + 1); /* a NUL follows it, as clm_file_read() has it */
    clm_lines lines;
    FUZZ_CHECK(descriptor >= 0 && text != NULL);
    if (size > 0) {
        memcpy(text, data, size);
    }
    text[size] = '\0';
    const char *at = text + clm_text_mark(text, size);
    clm_status status = clm_text_refuse_nul(text, size, "fuzz");
    FUZZ_CHECK((status == CLM_OK) == (size == 0 || memchr(text, '\0', size) == NULL));
    clm_lines_open(&lines, descriptor, "fuzz");
    do {
        FUZZ_CHECK(clm_lines_read(&lines, 3) == CLM_OK);
        FUZZ_CHECK(lines.count <= 3);
        check_lines(&lines, &at, text + size, text);
    } while (lines.count > 0);
    const char *line = NULL;
    size_t length = 0;
    FUZZ_CHECK(!clm_text_next_line(&at, text + size, &line, &length));
    clm_lines_close(&lines);
    (void)close(descriptor);
    free(text);
}
