/* SPDX-License-Identifier: Apache-2.0 */
#include "base/limits.h"

#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

static const clm_file_limit limits[CLM_FILE_KIND_COUNT] = {
    [CLM_FILE_CONFIG] = {"a configuration", 16 * MIB, 1000000, false, false},
    [CLM_FILE_TOKENIZER] = {"a tokenizer's file", 128 * MIB, 8000000, false, false},
    [CLM_FILE_INDEX] = {"an index of weights", 64 * MIB, 1000000, false, false},
    [CLM_FILE_TABLE] = {"a table", 4 * GIB, CLM_JSON_MOST_VALUES, true, false},
    [CLM_FILE_TEXT] = {"a text", 4 * GIB, 0, true, false},
    [CLM_FILE_METRICS] = {"a file of metrics", 1 * GIB, 0, false, false},
    [CLM_FILE_REPORT] = {"a report", 64 * MIB, 1000000, false, false},
    [CLM_FILE_SOURCE] = {"a kernel's source", 16 * MIB, 0, false, false},
    [CLM_FILE_SETTINGS] = {"a file of settings", 16 * MIB, 100000, false, true},
    [CLM_FILE_KERNEL] = {"a built kernel", 256 * MIB, 0, false, true},
};

const clm_file_limit *clm_file_limit_of(clm_file_kind kind) {
    return &limits[kind];
}
