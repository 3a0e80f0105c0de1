/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_FETCH_UNZIP_H
#define CLM_FETCH_UNZIP_H

#include "base/error.h"

/* Takes one file out of a zip archive and writes it to `path`, whole or not at all.
 * CLM_ERROR_FORMAT when the archive is broken or has no such file, or the file is over 1 GiB. */
clm_status clm_unzip(const char *archive, const char *member, const char *path);

#endif
