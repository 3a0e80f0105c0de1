/* One file over HTTP, by libcurl: resumed, retried, never trusted.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_FETCH_DOWNLOAD_H
#define CLM_FETCH_DOWNLOAD_H

#include "base/error.h"
#include "clm/fetch.h"
#include "fetch/sha256.h"

typedef struct clm_download {
    const char *url;
    const char *part;     /* where the bytes are collected; an existing part is resumed */
    const char *label;    /* the file's name, for progress */
    uint64_t later_bytes; /* of the files after this one, for the time that is left */
    bool checked;         /* a SHA-256 will verify the result, even of unrelated parts */
    uint64_t size_bytes;  /* 0 when not known */
    uint64_t most_bytes;  /* if so, no more than this is accepted; 0 if unknown, too */
    const clm_fetch_options *options;
    char stated_sha256[CLM_SHA256_TEXT]; /* out: what the server said, or empty */
    bool resumed;                        /* out: `part` held bytes of an earlier call */
} clm_download;

/* Downloads all of url into part. An existing part is resumed if the server confirms by If-Range
 * (RFC 9110, section 13.1.5) that it belongs to the same file, or if `checked`. The connection may
 * break options->attempts times; an attempt that extended the part by at least 1 MiB beyond any
 * previous one does not count. Waits between attempts double up to a minute. While it runs, the
 * part is locked against other processes. HTTPS is never redirected to HTTP. $CURL_CA_BUNDLE names
 * a file of certificates, as it does for the curl command.
 *
 * CLM_ERROR_NETWORK, with the URL and the reason; CLM_ERROR_INTERRUPTED when the watcher
 * (clm/progress.h) wants an end; CLM_ERROR_EXISTS if another process is downloading it, or the part
 * is not a regular file. In each case the part is kept, unless it cannot belong to that file.
 * CLM_ERROR_CHECKSUM as soon as more data than `size_bytes` or `most_bytes` arrives or is
 * announced; the part is then emptied. */
clm_status clm_download_run(clm_download *download);

/* Removes the part and the files beside it. */
void clm_download_forget(const char *part);

#endif
