/* Tuning: which kernels, tiles, blocks and work-groups a device runs fastest.
 *
 * What is found is kept in one file for each device, driver and version of clm, in the folder
 * "tuning" of the cache ($CLM_CACHE_DIR, else ~/.cache/clm), and used by every device that is
 * opened afterwards. Without a file, the choice between clm's own GEMM and CLBlast is measured at
 * first use (the preset "quick"); everything else has defaults. A file that is broken or another
 * device's is set aside with a warning, and the defaults are used. CLM_TUNE=off in the environment
 * forbids both reading and measuring.
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
    CLM_TUNE_QUICK = 0,  /* seconds: only which GEMM */
    CLM_TUNE_NORMAL = 1, /* minutes: tiles, blocks, CLBlast's parameters, work-groups */
    CLM_TUNE_FULL = 2,   /* longer: more of each, at random where there are too many */
    CLM_TUNE_SMALL = 3   /* a few candidates on small shapes: for tests, measures nothing useful */
} clm_tune_preset;

/* One candidate has been tried. All is lent for the call. */
typedef struct clm_tune_event {
    const char *stage;    /* "tile", "CLBlast's Xgemm", ... */
    int number, count;    /* within the stage, from 1 */
    const char *settings; /* "gemm.rows=4,gemm.vectors=2" */
    const char *outcome;  /* "ok", "slow", "wrong", "failed", "crashed", "hung" */
    const char *why;      /* of what is not "ok"; else "" */
    double speed;         /* over the defaults, 1 being as fast; 0 when it was not measured */
    bool known;           /* from an earlier run, not tried again */
} clm_tune_event;

typedef struct clm_tune_options {
    clm_tune_preset preset;
    bool restart;      /* forget what earlier runs tried */
    int limit_seconds; /* for a candidate: beyond it, it hangs */
    /* The path of a `clm` command of this version, which runs each candidate in a process of its
     * own: one that crashes or hangs the driver costs only itself. NULL: candidates run in this
     * process, a crash is the caller's, nothing limits their time, and CLBlast's parameters, which
     * cannot be taken back within a process, are not looked for. */
    const char *helper;
    void (*on_event)(void *context, const clm_tune_event *event); /* may be NULL */
    /* Asked between candidates and, with a helper, every few milliseconds; true stops. May be NULL.
     */
    bool (*should_stop)(void *context);
    void *context;
} clm_tune_options;

#define CLM_TUNE_OPTIONS_DEFAULT \
    { CLM_TUNE_NORMAL, false, 120, NULL, NULL, NULL, NULL }

typedef struct clm_tune_result {
    int tried;        /* in this run */
    int known;        /* from earlier runs */
    int refused;      /* of both: wrong, failed, crashed or hung */
    double gain;      /* speed of GEMM over what clm would take untuned; 1: the defaults stay */
    bool slow_device; /* a simulator or an emulation: nothing was tried, the defaults are kept */
} clm_tune_result;

/* Tries candidates on `device` and keeps the best. A candidate counts only when its results are
 * right against plain C over awkward shapes and GPT-2's; it is measured in turns beside the
 * defaults, and has to win by more than 2 %, three times. Candidates that were tried are kept
 * beside the file: when stopped, the next call goes on after them, and those that were wrong,
 * crashed or hung are not tried again, unless options->restart.
 *
 * What is found holds for devices that are opened afterwards; this one should be closed then.
 * `options` and `result` may be NULL. CLM_ERROR_INTERRUPTED: should_stop said so; what was found is
 * kept. CLM_ERROR_ARGUMENT: no such preset, or no limit. CLM_ERROR_NOT_FOUND, CLM_ERROR_IO: the
 * helper cannot be run, or the cache not be written. CLM_ERROR_MEMORY. Blocks; callbacks come from
 * this thread. */
CLM_API clm_status clm_tune(clm_device *device, const clm_tune_options *options,
                            clm_tune_result *result);

/* What is kept for the device as JSON, through *text, which the caller frees with
 * clm_tune_text_free(); the defaults when there is nothing. CLM_ERROR_MEMORY. */
CLM_API clm_status clm_tune_describe(char **text, clm_device *device);
CLM_API void clm_tune_text_free(char *text); /* NULL is fine */

/* The same into the file `path`, to be shared. CLM_ERROR_IO and its kin. */
CLM_API clm_status clm_tune_export(clm_device *device, const char *path);

/* Keeps the settings of the file `path` for the device. CLM_ERROR_FORMAT: it is no such file, or
 * was made for another device, driver or version of clm, which `force` lets pass.
 * CLM_ERROR_ARGUMENT: the device cannot run with them. Else errors of files. */
CLM_API clm_status clm_tune_import(clm_device *device, const char *path, bool force);

/* Forgets settings and progress of the device. Fine when there are none. Errors of files. */
CLM_API clm_status clm_tune_reset(clm_device *device);

#ifdef __cplusplus
}
#endif
#endif
