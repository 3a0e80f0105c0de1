/* Shows the progress of long work: at a terminal a line that is overwritten, elsewhere a line now
 * and then.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_CLI_PROGRESS_H
#define CLM_CLI_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "clm/progress.h"

typedef struct clm_cli_progress {
    bool terminal;
    bool drawn;        /* the line is on the screen */
    const char *stage; /* shown last */
    double shown;      /* the time when it was written last */
    char detail[64];   /* reported last */
    char remark[48];   /* follows the count of "training", such as the loss */
} clm_cli_progress;

/* Shows this thread's progress from now on, and stops its work on clm_cli_stop_was_requested().
 * `shown` must outlive it. */
void clm_cli_progress_begin(clm_cli_progress *shown);

/* The same, but nothing is shown where standard error is no terminal: for what scripts run often.
 */
void clm_cli_progress_begin_at_terminal(clm_cli_progress *shown);

/* Clears the line before other output; it is drawn again later. Does nothing if there is none. */
void clm_cli_progress_pause(void);

/* Ends it. */
void clm_cli_progress_end(void);

/* "computing features: 64 of 1388 texts, 1:20 left" into line[0..capacity), cut to fit. */
void clm_cli_progress_format(char *line, size_t capacity, const clm_progress *progress,
                             const char *remark);

#endif
