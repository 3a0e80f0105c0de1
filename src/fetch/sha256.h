/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_FETCH_SHA256_H
#define CLM_FETCH_SHA256_H

#include "base/error.h"

enum { CLM_SHA256_TEXT = 65 };

/* The SHA-256 of a file as 64 lower-case hexadecimal digits (FIPS 180-4, by OpenSSL). */
clm_status clm_sha256_file(char text[CLM_SHA256_TEXT], const char *path);

#endif
