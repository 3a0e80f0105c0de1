/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_FETCH_UNZIP_H
#define CLM_FETCH_UNZIP_H

#include <stdint.h>

#include "base/error.h"

/* Takes one file of that size out of a zip archive and writes it to `path`, whole or not at all.
 * Names in the archive lead nowhere: nothing is written but `path`. CLM_ERROR_FORMAT when the
 * archive is broken or has no such regular file, or the file has another size; what is larger is
 * not unpacked further. */
clm_status clm_unzip(const char *archive, const char *member, uint64_t size_bytes,
                     const char *path);

#endif
