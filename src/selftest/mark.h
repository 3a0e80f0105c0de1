/* The mark that a running self-test leaves beside its record, so that a driver that crashes or
 * hangs in a kernel is known at the next start. One JSON object a line:
 *
 *     {"key": "...", "operation": "gelu", "way": "item", "kernel": "gelu_forward",
 *      "shape": "count=9013"}
 *
 * The last line is what is under test, those before it are what former processes ended in. The key
 * is the record's; a line with another key is none. Who tests holds a lock on the file, which ends
 * with the process, however that comes: so what an unlocked file says is of a process that is gone,
 * and a process that finds it locked leaves no mark. One that is gone may have been killed by
 * somebody; two that ended in the same operation and way were not.
 *
 * Nothing here fails: without a mark the test is as good.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_SELFTEST_MARK_H
#define CLM_SELFTEST_MARK_H

#include <stdbool.h>
#include <stddef.h>

#include "device/device.h"

typedef struct clm_selftest_crash {
    char operation[24];
    char way[24];
    char kernel[64]; /* "" when it is not known */
    char shape[128];
} clm_selftest_crash;

typedef struct clm_selftest_mark {
    int descriptor; /* -1: without a mark */
    char *path;
    char *key;
    clm_selftest_crash crashes[32]; /* of processes that are gone, one each */
    size_t crash_count;
    clm_selftest_crash now;
} clm_selftest_mark;

/* Takes the lock and reads what former processes ended in. */
void clm_selftest_mark_open(clm_selftest_mark *mark, const clm_device *device);

/* What two processes ended in, both in the operation run in this way; NULL for nothing. */
const clm_selftest_crash *clm_selftest_mark_find(const clm_selftest_mark *mark,
                                                 const char *operation, const char *way);

/* Forgets what the operation, in whichever way, ended in. */
void clm_selftest_mark_forget(clm_selftest_mark *mark, const char *operation);

/* Says what is under test from here on: mark->now, in the file before this returns. */
void clm_selftest_mark_write(clm_selftest_mark *mark);

/* What is under test hangs, and this process gives it up: kept like what two others ended in. */
void clm_selftest_mark_keep(clm_selftest_mark *mark);

/* Lets go of the lock. What was under test is forgotten, and with `known` all that was found. */
void clm_selftest_mark_close(clm_selftest_mark *mark, bool known);

/* Whether a process that is gone left a mark. */
bool clm_selftest_mark_is_left(const clm_device *device);

#endif
