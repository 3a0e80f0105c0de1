/* Recognises files that are not what they were taken for.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_BASE_SNIFF_H
#define CLM_BASE_SNIFF_H

#include <stddef.h>

#include "base/error.h"

/* How many of a file's first bytes are needed; fewer if the file is shorter. */
enum { CLM_SNIFF_BYTES = 64 };

/* Fails, saying what the file is and what to do, if its first `count` bytes show a failed download:
 * an empty file, a Git LFS pointer, a web page. Otherwise CLM_OK. */
clm_status clm_sniff_download(const char *path, const void *bytes, size_t count);

/* The same for a file of weights, which may also be text, GGUF, a pickle, HDF5 or an archive. */
clm_status clm_sniff_weights(const char *path, const void *bytes, size_t count);

#endif
