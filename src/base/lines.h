/* Lines of text, by one set of rules for all text that clm reads (tables, JSON Lines, merges, the
 * files and pipes that classify and tokenize take):
 *
 *   - a byte order mark at the start is skipped;
 *   - a line ends with LF, CR LF or CR alone, as in Python and pandas;
 *   - the last line needs no end, and an end after the last line begins no further one;
 *   - a NUL byte is refused with file and line: the text would end there without a word.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_BASE_LINES_H
#define CLM_BASE_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* --- Text in memory --- */

/* The bytes of the byte order mark that `text` begins with: 3 or 0. */
size_t clm_text_mark(const char *text, size_t size_bytes);

/* The next line of the text between *at and `end`, without its end; *at moves behind it. False when
 * nothing is left. */
bool clm_text_next_line(const char **at, const char *end, const char **line, size_t *length_bytes);

/* Line and column (1-based, columns in bytes) of the byte at `offset`; a byte order mark has no
 * columns. */
void clm_text_place(const char *text, size_t offset, size_t *line, size_t *column);

/* CLM_ERROR_ENCODING, as "<where>:<line>:<column>: ...", when the text has a NUL byte. */
clm_status clm_text_refuse_nul(const char *text, size_t size_bytes, const char *where);

/* --- Lines of a file or a pipe --- */

/* As many lines at a time as are there: a file is taken in large portions, and a program that
 * writes a line into a pipe and waits for the answer gets it. */

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
    bool after_return; /* the last line ended with CR, so that an LF to come belongs to its end */
    char *bytes;       /* what was read; lines of the latest read lie before `taken` */
    size_t taken;
    size_t filled;
    size_t capacity;
    size_t text_capacity;
    size_t length_capacity;
} clm_lines;

void clm_lines_open(clm_lines *lines, int descriptor, const char *name);
void clm_lines_close(clm_lines *lines); /* leaves the descriptor open */

/* Waits for a line, then takes up to `most` of those that come without much waiting. None at the
 * end. A line without an end within CLM_LINE_LIMIT_BYTES is CLM_ERROR_FORMAT, and nothing can be
 * read after it; lines before it were given by earlier calls. */
clm_status clm_lines_read(clm_lines *lines, size_t most);

/* Whether line i of the latest read is text: CLM_ERROR_ENCODING, as "<name>:<line>: ...", for a NUL
 * byte. Other lines can be used all the same. */
clm_status clm_lines_check(const clm_lines *lines, size_t i);

#endif
