/* What the torture tests run: the library's main jobs on a model of a few kilobytes, in the test's
 * folder.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TESTS_FAULTS_JOBS_H
#define CLM_TESTS_FAULTS_JOBS_H

#include "clm/clm.h"

typedef struct job {
    const char *name;
    bool profile; /* it is done on a device that was opened for profiling */
    /* Puts the files in place that the job begins with. */
    void (*prepare)(void);
    /* Does it. `again`: after a run that failed. */
    clm_status (*run)(bool again);
    /* After a run without faults: keeps what it gave, for the others. */
    void (*keep)(void);
    /* Whether a run that said CLM_OK gave the same; NULL, or what differs. */
    const char *(*differs)(void);
    /* Whether the files are whole after a run that failed; NULL, or what is wrong. */
    const char *(*damaged)(void);
} job;

/* On what: a device that is open already, so that its kernels need not be built each time; or NULL,
 * and the job opens the one that the pattern names, and closes it. */
void jobs_use(const char *pattern, clm_device *device);

/* Opens what the job runs on. */
clm_status jobs_open_device(clm_device **device, bool profile);

/* Makes vocab/ and data/, and done/, a run that ended after 3 steps. */
void jobs_make_inputs(void);

extern const job job_finetune;     /* the last block, features on the device */
extern const job job_finetune_all; /* all layers */
extern const job job_resume;       /* done/, for 2 steps more, features on disk */
extern const job job_classify;     /* done/, with profiling */
extern const job job_save;         /* done/ over another model's folder */

#endif
