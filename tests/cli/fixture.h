/* A model small enough to be trained in a second, with all it needs, in the test's folder.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TESTS_CLI_FIXTURE_H
#define CLM_TESTS_CLI_FIXTURE_H

#include "support/test_command.h"

/* 300 tokens as those of "vocab", and a context that holds every message. */
#define TINY_MODEL "random:n_layer=1,n_embd=16,n_head=2,n_ctx=256,n_vocab=300"

/* The options of every training run; "--out" and more follow. */
#define TRAIN                                                                            \
    "finetune", "classify", "--model", TINY_MODEL, "--vocab", "vocab", "--data", "data", \
        "--batch", "4", "--lr", "1e-3"

/* Makes messages.tsv (49 rows), vocab/ and data/ (21, 3 and 6 rows: 5 batches of 4 an epoch).
 * Skips the program (77) when there is no OpenCL device, unless CLM_DEMAND_DEVICES is set. */
int make_inputs(void **state);

/* The same, and run/, trained for two epochs. */
int make_run(void **state);

/* Bytes of a file in the test's folder, with a NUL behind them; the caller frees them with
 * clm_free(). `size_bytes` may be NULL. */
void read_file(char **bytes, size_t *size_bytes, const char *name);

/* Fails unless two files have the same bytes. */
void assert_same_bytes(const char *name, const char *other);

/* Fails unless metrics.jsonl of two runs are equal but for seconds. */
void assert_same_metrics(const char *run, const char *other);

#endif
