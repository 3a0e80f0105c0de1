/* The folder of a training run. It is opened before anything else is done for the run: so that a
 * folder that cannot be used is found out about at once, that no other process trains in it, and
 * that the run keeps every warning on the way.
 *
 *     metrics.jsonl           one JSON object a line, as the run goes
 *     checkpoint.safetensors  all that a stopped run needs to go on
 *     run.json                what the run was started with (see clm_run_set())
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
    CLM_RUN_RESUME_OR_NEW, /* without a checkpoint the run begins anew */
    CLM_RUN_REPLACE        /* a run that is there is removed when the new one begins */
} clm_run_use;

/* Makes the folder where it is missing and locks it until clm_run_close(), or the end of the
 * process, however that comes. Nothing that is there is changed before training begins.
 *
 * CLM_ERROR_EXISTS: another process trains in it (the message names it); it holds a run and `use`
 * is CLM_RUN_NEW; it holds a model that is no run's, which no use replaces. Else errors of files.
 */
CLM_API clm_status clm_run_open(clm_run **run, const char *folder, clm_run_use use);

/* From the thread that opened it. A folder that clm_run_open() made and nobody used goes, too. NULL
 * is fine. */
CLM_API void clm_run_close(clm_run *run);

/* As it was opened; lent. */
CLM_API const char *clm_run_folder(const clm_run *run);

/* Whether training will go on from a checkpoint. */
CLM_API bool clm_run_is_resumed(const clm_run *run);

/* A setting that run.json keeps for whoever resumes the run: `clm finetune` keeps its options
 * there, by their names ("model", "lr"). A run that is resumed starts with those it was saved with.
 * NULL removes one. They are written when training begins. Both are copied. */
CLM_API clm_status clm_run_set(clm_run *run, const char *name, const char *value);

/* NULL when there is none of that name. Lent until it is set to another value. */
CLM_API const char *clm_run_get(const clm_run *run, const char *name);

/* A warning, or something taken for granted, which metrics.jsonl and the model card are to tell of.
 * What clm itself warns of in the thread that opened the run, from then on, is kept without this.
 * The same text is kept once. */
CLM_API clm_status clm_run_note(clm_run *run, const char *text);

#ifdef __cplusplus
}
#endif
#endif
