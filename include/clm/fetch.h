/* Downloads: GPT-2's published weights and the recipes' data sets.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_FETCH_H
#define CLM_FETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clm/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How much is known about a file that was fetched. */
typedef enum clm_fetch_trust {
    CLM_FETCH_VERIFIED = 0,  /* its SHA-256 matches the one that clm knows */
    CLM_FETCH_STATED = 1,    /* clm knows none; it matches the one that the server stated */
    CLM_FETCH_UNVERIFIED = 2 /* nothing to compare it with */
} clm_fetch_trust;

typedef struct clm_fetch_options {
    const char *folder;  /* made when missing; NULL: <cache folder>/fetch/<name> */
    const char *mirrors; /* base URLs separated by spaces, used instead of the upstream servers,
                            with files at <base>/<name>/<file>; NULL: $CLM_FETCH_MIRROR, if set */
    int attempts;        /* per URL, when the connection breaks */
    double wait_s;       /* before the second attempt; doubled for each later one */
} clm_fetch_options;

#define CLM_FETCH_OPTIONS_DEFAULT \
    { NULL, NULL, 4, 1.0 }

/* What was fetched; owned by the caller. */
typedef struct clm_fetched clm_fetched;

/* Fetches all files of `name` that are missing: "gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl"
 * (config.json, vocab.json, merges.txt, model.safetensors: a folder that clm can open as a model),
 * "sms-spam" (SMSSpamCollection) or "the-verdict" (the-verdict.txt). Blocks. `options` may be NULL.
 * A watcher (clm/progress.h) hears of the bytes of each file, and may stop the download at any
 * time, also while no data arrives; what has been received is kept for the next call.
 *
 * A file appears under its name only when it is complete and its SHA-256, where one is known, is
 * right. A partial download is kept as <file>.part, and the next call resumes it if the server
 * still has the same file.
 *
 * CLM_ERROR_ARGUMENT: no such name. CLM_ERROR_NETWORK: no server gave the file; the message says
 * which URL failed and where to put the file by hand. CLM_ERROR_CHECKSUM: the data received is not
 * the expected file; it is kept as <file>.corrupt. CLM_ERROR_EXISTS: a different file of that name
 * is in the way, or another clm is fetching it. CLM_ERROR_UNSUPPORTED: clm was built without
 * CLM_WITH_CURL. */
CLM_API clm_status clm_fetch(clm_fetched **fetched, const char *name,
                             const clm_fetch_options *options);

/* Lent by `fetched`. */
CLM_API const char *clm_fetched_folder(const clm_fetched *fetched);
CLM_API size_t clm_fetched_count(const clm_fetched *fetched);
CLM_API const char *clm_fetched_path(const clm_fetched *fetched, size_t index);
/* 64 hexadecimal digits. */
CLM_API const char *clm_fetched_sha256(const clm_fetched *fetched, size_t index);
CLM_API clm_fetch_trust clm_fetched_trust(const clm_fetched *fetched, size_t index);
/* False when the file was there already. */
CLM_API bool clm_fetched_is_new(const clm_fetched *fetched, size_t index);

CLM_API void clm_fetched_free(clm_fetched *fetched); /* NULL is fine */

/* The names that clm_fetch() accepts, and a line about each; NULL past the last. Static. */
CLM_API const char *clm_fetch_name(size_t index);
CLM_API const char *clm_fetch_about(size_t index);

#ifdef __cplusplus
}
#endif
#endif
