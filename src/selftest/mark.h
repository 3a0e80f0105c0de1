/* The mark that a running self-test leaves beside its record, so that the next start knows if the
 * driver crashed or hung in a kernel. One JSON object per line:
 *
 *     {"key": "...", "operation": "gelu", "way": "item", "kernel": "gelu_forward",
 *      "shape": "count=9013"}
 *
 * The last line is the kernel under test; the lines before it are kernels in which earlier
 * processes ended. The key is the record's; lines with another key are ignored. The testing process
 * holds a lock on the file, which the system releases when the process ends, however it ends. So an
 * unlocked file describes processes that are gone, and a process that finds the file locked leaves
 * no mark. One process may have been killed by a user; if two ended in the same operation and
 * variant, the kernel is assumed to have crashed them.
 *
 * Nothing here fails: the test works without a mark, too.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_SELFTEST_MARK_H
#define CLM_SELFTEST_MARK_H

#include <stdbool.h>
#include <stddef.h>

#include "device/device.h"

typedef struct clm_selftest_crash {
    char operation[24];
    char variant[24];
    char kernel[64]; /* "" if unknown */
    char shape[128];
} clm_selftest_crash;

typedef struct clm_selftest_mark {
    int descriptor; /* -1: without a mark */
    char *path;
    char *key;
    clm_selftest_crash crashes[32]; /* one for each process that is gone */
    size_t crash_count;
    clm_selftest_crash now;
} clm_selftest_mark;

/* Takes the lock and reads where earlier processes ended. */
void clm_selftest_mark_open(clm_selftest_mark *mark, const clm_device *device);

/* The crash of two processes in this variant of the operation; NULL if there is none. */
const clm_selftest_crash *clm_selftest_mark_find(const clm_selftest_mark *mark,
                                                 const char *operation, const char *variant);

/* Forgets the operation's crashes in all variants. */
void clm_selftest_mark_forget(clm_selftest_mark *mark, const char *operation);

/* Records mark->now as under test; it is in the file before this returns. */
void clm_selftest_mark_write(clm_selftest_mark *mark);

/* The kernel under test hangs, and this process gives up: recorded like a crash of two processes.
 */
void clm_selftest_mark_keep(clm_selftest_mark *mark);

/* Releases the lock. Forgets what was under test, and with `known` all crashes. */
void clm_selftest_mark_close(clm_selftest_mark *mark, bool known);

/* Whether a process that is gone left a mark. */
bool clm_selftest_mark_is_left(const clm_device *device);

#endif
