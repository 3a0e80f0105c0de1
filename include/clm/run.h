/* The folder of a training run. It is opened before anything else, so that an unusable folder is
 * reported at once, no other process trains in it, and the run keeps every warning.
 *
 *     metrics.jsonl           one JSON object a line, as the run goes
 *     checkpoint.safetensors  everything that a stopped run needs to continue
 *     run.json                the settings of the run (see clm_run_set())
 *     config.json, model.safetensors, the tokenizer's files: the model, once it is trained
 *     README.md               the model card
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_RUN_H
#define CLM_RUN_H

#include <stdbool.h>
#include <stddef.h>

#include "clm/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct clm_run clm_run;

typedef enum clm_run_use {
    CLM_RUN_NEW = 0,       /* a folder that holds a run already is CLM_ERROR_EXISTS */
    CLM_RUN_RESUME,        /* one without a checkpoint is CLM_ERROR_NOT_FOUND */
    CLM_RUN_RESUME_OR_NEW, /* without a checkpoint a new run starts */
    CLM_RUN_REPLACE        /* an existing run is removed when the new one starts */
} clm_run_use;

/* Creates the folder if it is missing, and locks it until clm_run_close() or the end of the
 * process, however it ends. Existing files are not changed before training starts.
 *
 * CLM_ERROR_BUSY: another process trains in it (the message names it). CLM_ERROR_EXISTS: it holds a
 * run and `use` is CLM_RUN_NEW, or it holds a model without a run, which is never replaced.
 * Otherwise errors of files. */
CLM_API clm_status clm_run_open(clm_run **run, const char *folder, clm_run_use use);

/* From the thread that opened it. A folder that clm_run_open() created is removed if no training
 * started. NULL is fine. */
CLM_API void clm_run_close(clm_run *run);

/* The path that was opened; lent. */
CLM_API const char *clm_run_folder(const clm_run *run);

/* Whether training will go on from a checkpoint. */
CLM_API bool clm_run_is_resumed(const clm_run *run);

/* A setting that run.json keeps for when the run is resumed: `clm finetune` keeps its options there
 * by name ("model", "lr"). A resumed run starts with its saved settings. A NULL value removes the
 * setting. They are written when training starts. Both strings are copied. */
CLM_API clm_status clm_run_set(clm_run *run, const char *name, const char *value);

/* NULL if there is none of that name. Lent until it is set to another value. */
CLM_API const char *clm_run_get(const clm_run *run, const char *name);

/* Records a warning or a guess in metrics.jsonl and the model card. clm's own warnings and guesses,
 * in the thread that opened the run, are recorded without this. The same text is kept once. */
CLM_API clm_status clm_run_note(clm_run *run, const char *text);

#ifdef __cplusplus
}
#endif
#endif
