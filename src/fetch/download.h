/* One file over HTTP, by libcurl: resumed, retried, never believed.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_FETCH_DOWNLOAD_H
#define CLM_FETCH_DOWNLOAD_H

#include "base/error.h"
#include "clm/fetch.h"
#include "fetch/sha256.h"

typedef struct clm_download {
    const char *url;
    const char *part;    /* where the bytes are gathered; what is there already is gone on from */
    const char *label;   /* for progress */
    bool checked;        /* a SHA-256 will tell whether parts fit together */
    uint64_t size_bytes; /* 0 when not known */
    uint64_t most_bytes; /* then no more than this is taken; 0 when nobody knows that either */
    const clm_fetch_options *options;
    char stated_sha256[CLM_SHA256_TEXT]; /* out: what the server said, or empty */
    bool resumed;                        /* out: `part` held bytes of an earlier call */
} clm_download;

/* Gathers the whole of url into part. A part is gone on from when the server says by If-Range (RFC
 * 9110, section 13.1.5) that it is of the same file, or when `checked`. The connection may break
 * options->attempts times; an attempt that took the part at least 1 MiB further than any before it
 * does not count. Waits between attempts double up to a minute. While it runs, the part is locked
 * against other processes. HTTPS is never redirected to HTTP. $CURL_CA_BUNDLE names a file of
 * certificates, as it does for the curl command.
 *
 * CLM_ERROR_NETWORK, with the URL and the reason; CLM_ERROR_INTERRUPTED when the progress callback
 * says so; CLM_ERROR_EXISTS when somebody else is at it, or the part is no regular file. The part
 * stays in each case, unless it cannot be of that file. CLM_ERROR_CHECKSUM as soon as more comes,
 * or is announced, than `size_bytes` or `most_bytes`; then the part is emptied. */
clm_status clm_download_run(clm_download *download);

/* Removes the part and what stands beside it. */
void clm_download_forget(const char *part);

#endif
