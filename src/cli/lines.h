/* Lines of a file or a pipe, as many at a time as are there: a file is taken in large portions, and
 * who writes a line into a pipe and waits for the answer gets it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_CLI_LINES_H
#define CLM_CLI_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clm/status.h"

typedef struct clm_lines {
    int descriptor;
    const char *name;   /* for errors, lent */
    const char **texts; /* (count), without their ends (LF or CR LF), not NUL-terminated; lent until
                           the next read */
    size_t *lengths;    /* (count) bytes */
    size_t count;
    uint64_t first; /* number of texts[0], from 1 */
    bool at_end;    /* nothing is left */
    char *bytes;    /* what was read; lines of the latest read lie before `taken` */
    size_t taken;
    size_t filled;
    size_t capacity;
    size_t text_capacity;
    size_t length_capacity;
} clm_lines;

void clm_lines_open(clm_lines *lines, int descriptor, const char *name);
void clm_lines_close(clm_lines *lines); /* leaves the descriptor open */

/* Waits for a line, then takes up to `most` of those that come without much waiting. None at the
 * end. */
clm_status clm_lines_read(clm_lines *lines, size_t most);

#endif
