/* Lines of text, with one set of rules for all text that clm reads (tables, JSON Lines, merges,
 * input of classify and tokenize):
 *
 *   - a byte order mark at the start is skipped;
 *   - a line ends with LF, CR LF or CR alone, as in Python and pandas;
 *   - the last line needs no line end, and a final line end does not begin another line;
 *   - a NUL byte is refused with file and line: the text would end there silently.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_BASE_LINES_H
#define CLM_BASE_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* --- Text in memory --- */

/* The length in bytes of the byte order mark at the start of `text`: 3 or 0. */
size_t clm_text_mark(const char *text, size_t size_bytes);

/* The next line of the text between *at and `end`, without its line end; *at moves past it. False
 * when nothing is left. */
bool clm_text_next_line(const char **at, const char *end, const char **line, size_t *length_bytes);

/* Line and column (1-based, columns in bytes) of the byte at `offset`; a byte order mark has no
 * columns. */
void clm_text_place(const char *text, size_t offset, size_t *line, size_t *column);

/* CLM_ERROR_ENCODING, as "<where>:<line>:<column>: ...", when the text has a NUL byte. */
clm_status clm_text_refuse_nul(const char *text, size_t size_bytes, const char *where);

/* --- Lines of a file or a pipe --- */

/* As many lines at a time as are available: a file is read in large portions, while a program that
 * writes one line to a pipe and waits for the answer gets it. */

enum { CLM_LINE_LIMIT_BYTES = 16 * 1024 * 1024 }; /* of one line */

typedef struct clm_lines {
    int descriptor;
    const char *name;   /* for errors, lent */
    const char **texts; /* (count), without their ends; CR, LF or NUL follows each; lent until the
                           next read */
    size_t *lengths;    /* (count) bytes */
    size_t count;
    uint64_t first;    /* number of texts[0], from 1 */
    bool at_end;       /* nothing is left */
    bool after_return; /* the last line ended with CR, so a following LF belongs to it */
    char *bytes;       /* what was read; lines of the latest read are before `taken` */
    size_t taken;
    size_t filled;
    size_t capacity;
    size_t text_capacity;
    size_t length_capacity;
} clm_lines;

void clm_lines_open(clm_lines *lines, int descriptor, const char *name);
void clm_lines_close(clm_lines *lines); /* leaves the descriptor open */

/* Waits for a line, then returns up to `most` lines that are available without much waiting; none
 * at the end. A line longer than CLM_LINE_LIMIT_BYTES is CLM_ERROR_FORMAT, and nothing can be read
 * after it; earlier calls returned the lines before it. */
clm_status clm_lines_read(clm_lines *lines, size_t most);

/* Whether line i of the latest read is text: CLM_ERROR_ENCODING, as "<name>:<line>: ...", for a NUL
 * byte. The other lines remain usable. */
clm_status clm_lines_check(const clm_lines *lines, size_t i);

#endif
