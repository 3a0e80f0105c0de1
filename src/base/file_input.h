/* A file that stays open for a long time and is read at various offsets while others may write to
 * it.
 *
 * It is read by pread(), and every read fails if the file has changed. A mapped file would end the
 * process by a signal when it shrinks, and change under its reader when it is written to. Code that
 * computes from mapped memory anyway calls clm_file_input_check() right before and after.
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

/* CLM_ERROR_IO for anything but a regular file: a folder, a FIFO, a device. */
clm_status clm_file_input_open(clm_file_input *input, const char *path);
void clm_file_input_close(clm_file_input *input); /* fine on a zeroed one */

/* Bytes [at, at + size_bytes). CLM_ERROR_IO also when the file has changed since it was opened. */
clm_status clm_file_input_read(const clm_file_input *input, size_t at, void *out,
                               size_t size_bytes);

/* The whole file in memory, through *bytes, until the file is closed; mapped at the first call.
 * Writes to that memory do not reach the file. The file must not be empty. */
clm_status clm_file_input_map(clm_file_input *input, const unsigned char **bytes);

/* Checks that the file is unchanged since it was opened. CLM_ERROR_IO if its size changed or it was
 * written to. */
clm_status clm_file_input_check(const clm_file_input *input);

#endif
