/* What a person sees of work that takes long: a line that is written over at a terminal, and
 * elsewhere a line now and then.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_CLI_PROGRESS_H
#define CLM_CLI_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "clm/progress.h"

typedef struct clm_cli_progress {
    bool terminal;
    bool drawn;        /* the line stands there */
    const char *stage; /* that it tells of */
    double shown;      /* the clock when it was last written */
    char detail[64];   /* the last that was told of */
    char remark[48];   /* what stands behind the count of "training", such as the loss */
} clm_cli_progress;

/* Watches what this thread does from now on, and whether clm_cli_stop_was_requested(). `shown` must
 * stay. */
void clm_cli_progress_begin(clm_cli_progress *shown);

/* The same, but nothing is shown where standard error is no terminal: for what scripts run often.
 */
void clm_cli_progress_begin_at_terminal(clm_cli_progress *shown);

/* Makes room for something else that is printed; the line comes again. Does nothing when there is
 * none. */
void clm_cli_progress_pause(void);

/* Nobody watches any more. */
void clm_cli_progress_end(void);

/* "computing features: 64 of 1388 texts, 1:20 left" into line[0..capacity), cut to fit. */
void clm_cli_progress_format(char *line, size_t capacity, const clm_progress *progress,
                             const char *remark);

#endif
