/* A training run of a model of a few kilobytes, and its answers, as one thread does them.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TESTS_THREADS_JOB_H
#define CLM_TESTS_THREADS_JOB_H

#include <pthread.h>

#include "clm/clm.h"

enum { JOB_TEXTS = 4, JOB_LABELS = 2 };

/* What all jobs share, and none changes. */
typedef struct job_inputs {
    clm_tokenizer *tokenizer;
    clm_split split;
} job_inputs;

/* Fails the test when they cannot be made. */
void job_make_inputs(job_inputs *inputs);
void job_free_inputs(job_inputs *inputs);

typedef struct job {
    const job_inputs *inputs;
    char device[64]; /* a pattern */
    char run[1100];  /* where the run goes */
    clm_status status;
    char message[1024];
    float answers[JOB_TEXTS][JOB_LABELS];
    char *weights; /* of the trained model, clm_free() */
    size_t weights_bytes;
} job;

/* For pthread_create(): trains on the device, reads the weights again from the run folder and
 * answers the texts. Asserts nothing, because cmocka's assertions are the main thread's. */
void *job_do(void *of_job);

/* Begins and waits for all of them. */
void job_do_at_once(job *jobs, size_t count);

#endif
