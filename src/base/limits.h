/* How large each kind of file may be, and what may be read at all: one table, so that a mistake or
 * a hostile file ends in an error instead of filling the machine's memory.
 *
 * Weights are not here: they are read in pieces, and need no more memory than the device has.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_BASE_LIMITS_H
#define CLM_BASE_LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum clm_file_kind {
    CLM_FILE_CONFIG,    /* config.json, labels.json, tokenizer_config.json and the like */
    CLM_FILE_TOKENIZER, /* tokenizer.json, vocab.json, merges.txt */
    CLM_FILE_INDEX,     /* of sharded weights */
    CLM_FILE_TABLE,     /* CSV, TSV, JSON Lines */
    CLM_FILE_TEXT,      /* to train a tokenizer on */
    CLM_FILE_METRICS,   /* metrics.jsonl */
    CLM_FILE_REPORT,    /* of clm bench, and settings that a person imports */
    CLM_FILE_SOURCE,    /* of kernels */
    CLM_FILE_SETTINGS,  /* clm's own cache: tuning, the self-test's record */
    CLM_FILE_KERNEL,    /* clm's own cache: a built program */
    CLM_FILE_KIND_COUNT
} clm_file_kind;

typedef struct clm_file_limit {
    const char *what; /* "a table" */
    uint64_t most_bytes;
    uint64_t most_values; /* of JSON, each about 80 bytes of memory */
    bool is_stream;       /* pipes and terminals are read too, not only regular files */
    bool is_trusted;      /* decides what runs: must belong to the caller or root, and not be a link
                           */
} clm_file_limit;

const clm_file_limit *clm_file_limit_of(clm_file_kind kind);

/* Of any JSON text; it may be nested this deep. */
enum { CLM_JSON_MOST_VALUES = 16000000, CLM_JSON_MOST_DEPTH = 128 };

#endif
