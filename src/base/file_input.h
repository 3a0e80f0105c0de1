/* A file that is read here and there, over a long time, while others may write to it.
 *
 * It is read by pread(): memory that a file was mapped to ends the process by a signal when the
 * file shrinks, and changes under its reader when the file is written to. Every read says so
 * instead. Who computes from mapped memory all the same asks clm_file_input_check() right before
 * and after it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_BASE_FILE_INPUT_H
#define CLM_BASE_FILE_INPUT_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

typedef struct clm_file_input {
    char *path;
    int descriptor;
    size_t size_bytes;
    int64_t modified[2]; /* seconds and nanoseconds */
    void *mapping;
} clm_file_input;

/* CLM_ERROR_IO for what is no regular file: a folder, a FIFO, a device. */
clm_status clm_file_input_open(clm_file_input *input, const char *path);
void clm_file_input_close(clm_file_input *input); /* fine on a zeroed one */

/* Bytes [at, at + size_bytes). CLM_ERROR_IO also when the file has changed since it was opened. */
clm_status clm_file_input_read(const clm_file_input *input, size_t at, void *out,
                               size_t size_bytes);

/* The whole file in memory, through *bytes, until the file is closed: mapped at the first call.
 * What might be written there does not reach the file. Of a file that is not empty. */
clm_status clm_file_input_map(clm_file_input *input, const unsigned char **bytes);

/* Whether the file is as it was when it was opened. CLM_ERROR_IO when it has another size or was
 * written to. */
clm_status clm_file_input_check(const clm_file_input *input);

#endif
