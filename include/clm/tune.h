/* Tuning: which kernels, tiles, blocks and work-groups a device runs fastest.
 *
 * The settings found are stored in one file for each device, driver and version of clm, in the
 * folder "tuning" of the cache ($CLM_CACHE_DIR, else ~/.cache/clm), and used by every device that
 * is opened afterwards. Without a file, the choice between clm's own GEMM and CLBlast is measured
 * at first use (the preset "quick"); everything else has defaults. A file that is broken or belongs
 * to another device is moved aside with a warning, and the defaults are used. CLM_TUNE=off in the
 * environment disables both reading and measuring.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TUNE_H
#define CLM_TUNE_H

#include <stdbool.h>

#include "clm/device.h"
#include "clm/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum clm_tune_preset {
    CLM_TUNE_QUICK = 0,  /* seconds: only the choice of GEMM */
    CLM_TUNE_NORMAL = 1, /* minutes: tiles, blocks, CLBlast's parameters, work-groups */
    CLM_TUNE_FULL = 2,   /* longer: more of each, a random sample where there are too many */
    CLM_TUNE_SMALL = 3   /* a few candidates on small shapes: for tests, measures nothing useful */
} clm_tune_preset;

/* One candidate has been tried. Everything is lent for the call. */
typedef struct clm_tune_event {
    const char *stage;    /* "tile", "CLBlast's Xgemm", ... */
    int number, count;    /* within the stage, from 1 */
    const char *settings; /* "gemm.rows=4,gemm.vectors=2" */
    const char *outcome;  /* "ok", "slow", "wrong", "failed", "crashed", "hung" */
    const char *why;      /* reason for an outcome other than "ok"; else "" */
    double speed;         /* relative to the defaults, 1: as fast; 0: not measured */
    bool known;           /* from an earlier run, not repeated */
} clm_tune_event;

typedef struct clm_tune_options {
    clm_tune_preset preset;
    bool restart;      /* forget the results of earlier runs */
    int limit_seconds; /* per candidate: beyond it, the candidate hangs */
    /* The path of a `clm` command of this version, which runs each candidate in a process of its
     * own, so that a crash or hang of the driver costs only that candidate. NULL: candidates run in
     * this process without a time limit, a crash takes the caller down, and CLBlast's parameters,
     * which cannot be reset within a process, are not tuned. */
    const char *helper;
    void (*on_event)(void *context, const clm_tune_event *event); /* may be NULL */
    /* Called between candidates and, with a helper, every few milliseconds; true stops the search.
     * May be NULL. */
    bool (*should_stop)(void *context);
    void *context;
} clm_tune_options;

#define CLM_TUNE_OPTIONS_DEFAULT \
    { CLM_TUNE_NORMAL, false, 120, NULL, NULL, NULL, NULL }

typedef struct clm_tune_result {
    int tried;        /* in this run */
    int known;        /* from earlier runs */
    int refused;      /* of both: wrong, failed, crashed or hung */
    double gain;      /* speed of GEMM relative to untuned; 1: the defaults stay */
    bool slow_device; /* a simulator or an emulation: nothing was tried, the defaults are kept */
} clm_tune_result;

/* Tries candidates on `device` and stores the best. A candidate counts only if its results match
 * plain C's for awkward shapes and GPT-2's. It is timed alternately with the defaults and has to
 * win by more than 2 %, three times. The candidates tried are recorded beside the file: after an
 * interruption the next call continues from there, and candidates that were wrong, crashed or hung
 * are not tried again, unless options->restart.
 *
 * The result applies to devices that are opened afterwards; this one should then be closed.
 * `options` and `result` may be NULL. CLM_ERROR_INTERRUPTED: should_stop() returned true; what was
 * found so far is stored. CLM_ERROR_ARGUMENT: no such preset, or an invalid limit.
 * CLM_ERROR_NOT_FOUND, CLM_ERROR_IO: the helper cannot be run, or the cache cannot be written.
 * CLM_ERROR_MEMORY. Blocks; callbacks come from this thread. */
CLM_API clm_status clm_tune(clm_device *device, const clm_tune_options *options,
                            clm_tune_result *result);

/* The settings stored for the device as JSON, through *text, which the caller frees with
 * clm_tune_text_free(); the defaults if there are none. CLM_ERROR_MEMORY. */
CLM_API clm_status clm_tune_describe(char **text, clm_device *device);
CLM_API void clm_tune_text_free(char *text); /* NULL is fine */

/* Writes the same text to the file `path`, for sharing. CLM_ERROR_IO and other file errors. */
CLM_API clm_status clm_tune_export(clm_device *device, const char *path);

/* Stores the settings in the file `path` for the device. CLM_ERROR_FORMAT: it is not a tuning file,
 * or was made for another device, driver or version of clm, which `force` allows.
 * CLM_ERROR_ARGUMENT: the device cannot run with them. Also file errors. */
CLM_API clm_status clm_tune_import(clm_device *device, const char *path, bool force);

/* Deletes the device's settings and progress; fine if there are none. File errors. */
CLM_API clm_status clm_tune_reset(clm_device *device);

#ifdef __cplusplus
}
#endif
#endif
