/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch/fetch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/string.h"
#include "fetch/download.h"
#include "fetch/sha256.h"
#include "fetch/unzip.h"

typedef struct fetched_file {
    char *path;
    char sha256[CLM_SHA256_TEXT];
    clm_fetch_trust trust;
    bool is_new;
} fetched_file;

struct clm_fetched {
    char *folder;
    size_t count;
    fetched_file files[CLM_FETCH_MAX_FILES];
};

/* One file on its way. */
typedef struct fetch_job {
    const clm_fetch_item *item;
    const clm_fetch_file *file;
    const clm_fetch_options *options;
    const char *mirrors; /* "" for the upstream servers */
    const char *folder;
    uint64_t later_bytes; /* of the item's files after this one, as far as they are known */
    fetched_file *result;
    char *target; /* what is downloaded: result->path, or the archive that it is in */
    char *part;
    char *corrupt;
} fetch_job;

/* The name and the SHA-256 of what is wanted in the end. */
static const char *wanted_name(const clm_fetch_file *file) {
    return file->member != NULL ? file->member : file->name;
}

static const char *wanted_sha256(const clm_fetch_file *file) {
    return file->member != NULL ? file->member_sha256 : file->sha256;
}

/* Mirrors have <base>/<name>/<file>. `at` is the rest of the list; NULL after the last. */
static clm_status next_url(clm_string *url, const char **at, const fetch_job *e) {
    clm_string_clear(url);
    if (e->mirrors[0] == '\0') {
        clm_string_add(url, e->file->url);
        *at = NULL;
        return clm_string_status(url);
    }
    const char *from = *at + strspn(*at, " ");
    size_t length = strcspn(from, " ");
    const char *rest = from + length + strspn(from + length, " ");
    while (length > 0 && from[length - 1] == '/') {
        length--;
    }
    clm_string_add_bytes(url, from, length);
    clm_string_add_format(url, "/%s/%s", e->item->name, e->file->name);
    *at = rest[0] != '\0' ? rest : NULL;
    return clm_string_status(url);
}

/* What to do without a network. */
static clm_status advise(const fetch_job *e, clm_status status) {
    char why[400];
    (void)snprintf(why, sizeof why, "%.399s", clm_error_message());
    return clm_fail(
        status,
        "%s. Without a network: get %s elsewhere (upstream it is %s), put %s at %s, and "
        "fetch again; or set CLM_FETCH_MIRROR to a server that has <mirror>/%s/%s",
        why, e->file->name, e->file->url, wanted_name(e->file), e->result->path, e->item->name,
        e->file->name);
}

/* Whether the file is there already and is the right one. */
static clm_status look_for(const fetch_job *e, bool *there) {
    const char *known = wanted_sha256(e->file);
    const char *path = e->result->path;
    *there = clm_file_exists(path);
    if (!*there) {
        return CLM_OK;
    }
    clm_status status = clm_sha256_file(e->result->sha256, path);
    if (status != CLM_OK) {
        return status;
    }
    if (known != NULL && strcmp(known, e->result->sha256) != 0) {
        return clm_fail(
            CLM_ERROR_EXISTS,
            "%s: is there already, and is another file: its SHA-256 is %s, that of %s is "
            "%s; move it away, or fetch to another folder",
            path, e->result->sha256, e->item->name, known);
    }
    e->result->trust = known != NULL ? CLM_FETCH_VERIFIED : CLM_FETCH_UNVERIFIED;
    return CLM_OK;
}

/* The part is whole: is it the file? Puts it in place, or aside. *wrong tells the two apart. */
static clm_status accept(const fetch_job *e, const clm_download *download, bool *wrong) {
    clm_status status = CLM_OK;
    char got[CLM_SHA256_TEXT];
    const char *known = e->file->sha256;
    const char *stated = download->stated_sha256[0] != '\0' ? download->stated_sha256 : NULL;
    const char *expected = known != NULL ? known : stated;
    *wrong = false;
    CLM_TRY(clm_sha256_file(got, e->part));
    if (expected != NULL && strcmp(expected, got) != 0) {
        *wrong = true;
        (void)rename(e->part, e->corrupt);
        clm_download_forget(e->part);
        status = clm_fail(
            CLM_ERROR_CHECKSUM,
            "%s: the data received has SHA-256 %s, but %s has %s; it is kept, unused, as %s",
            download->url, got, e->file->name, expected, e->corrupt);
        goto cleanup;
    }
    if (rename(e->part, e->target) != 0) {
        status = clm_fail_errno(errno, "%s: cannot be put in place", e->target);
        goto cleanup;
    }
    clm_download_forget(e->part);
    (void)unlink(e->corrupt);
    memcpy(e->result->sha256, got, sizeof got);
    e->result->trust = known != NULL    ? CLM_FETCH_VERIFIED
                       : stated != NULL ? CLM_FETCH_STATED
                                        : CLM_FETCH_UNVERIFIED;
cleanup:
    return status;
}

/* From one URL. A wrong checksum after a resumed download may be the fault of the older part: then
 * once more, from the start. */
static clm_status get_from(const fetch_job *e, const char *url) {
    clm_status status = CLM_OK;
    for (int attempt = 0; attempt < 2; attempt++) {
        bool wrong = false;
        clm_download download = {.url = url,
                                 .part = e->part,
                                 .label = e->file->name,
                                 .later_bytes = e->later_bytes,
                                 .checked = e->file->sha256 != NULL,
                                 .size_bytes = e->file->size_bytes,
                                 .most_bytes = e->file->most_bytes,
                                 .options = e->options};
        CLM_TRY(clm_download_run(&download));
        status = accept(e, &download, &wrong);
        if (!wrong || !download.resumed) {
            break;
        }
        clm_log(CLM_LOG_WARNING, "%s; starting over", clm_error_message());
    }
cleanup:
    return status;
}

/* Takes the wanted file out of the archive, which has served then. */
static clm_status unpack(const fetch_job *e) {
    clm_status status = CLM_OK;
    const char *known = e->file->member_sha256;
    (void)unlink(e->part); /* a link there would be followed */
    CLM_TRY(clm_unzip(e->target, e->file->member, e->file->member_bytes, e->part));
    CLM_TRY(clm_sha256_file(e->result->sha256, e->part));
    if (known != NULL && strcmp(known, e->result->sha256) != 0) {
        (void)rename(e->part, e->corrupt);
        status =
            clm_fail(CLM_ERROR_CHECKSUM,
                     "%s: \"%s\" in it has SHA-256 %s, and should have %s; it is not used, and "
                     "kept as %s",
                     e->target, e->file->member, e->result->sha256, known, e->corrupt);
        goto cleanup;
    }
    if (rename(e->part, e->result->path) != 0) {
        status = clm_fail_errno(errno, "%s: cannot be put in place", e->result->path);
        goto cleanup;
    }
    if (known != NULL) {
        e->result->trust = CLM_FETCH_VERIFIED;
    }
cleanup:
    (void)unlink(e->target); /* also a broken one: else it would be found broken for ever */
    return status;
}

static clm_status run_fetch_job(const fetch_job *e) {
    clm_status status = CLM_OK;
    clm_string url = {0};
    bool there = false;
    CLM_TRY(look_for(e, &there));
    if (there) {
        goto cleanup;
    }
    const char *at = e->mirrors;
    do {
        CLM_TRY(next_url(&url, &at, e));
        status = get_from(e, url.text);
    } while (at != NULL && (status == CLM_ERROR_NETWORK || status == CLM_ERROR_CHECKSUM));
    if (status == CLM_ERROR_NETWORK) {
        status = advise(e, status);
    }
    CLM_TRY(status);
    e->result->is_new = true;
    if (e->file->member != NULL) {
        CLM_TRY(unpack(e));
    }
cleanup:
    clm_string_free(&url);
    return status;
}

static clm_status join_suffix(char **path, const char *target, const char *suffix) {
    clm_string joined = {0};
    clm_string_add_format(&joined, "%s%s", target, suffix);
    *path = joined.text;
    return clm_string_status(&joined);
}

static clm_status get_file(clm_fetched *fetched, const clm_fetch_item *item, size_t index,
                           const clm_fetch_options *options, const char *mirrors) {
    clm_status status = CLM_OK;
    const clm_fetch_file *file = &item->files[index];
    fetch_job e = {.item = item,
                   .file = file,
                   .options = options,
                   .mirrors = mirrors,
                   .folder = fetched->folder,
                   .result = &fetched->files[index]};
    for (size_t i = index + 1; i < item->file_count; i++) {
        e.later_bytes += item->files[i].size_bytes;
    }
    CLM_TRY(clm_path_join(&e.result->path, fetched->folder, wanted_name(file)));
    CLM_TRY(clm_path_join(&e.target, fetched->folder, file->name));
    CLM_TRY(join_suffix(&e.part, e.target, ".part"));
    CLM_TRY(join_suffix(&e.corrupt, e.target, ".corrupt"));
    CLM_TRY(run_fetch_job(&e));
    fetched->count = index + 1;
cleanup:
    clm_free(e.target);
    clm_free(e.part);
    clm_free(e.corrupt);
    return status;
}

static clm_status choose_folder(char **folder, const clm_fetch_item *item,
                                const clm_fetch_options *options) {
    if (options->folder != NULL) {
        clm_status status = clm_duplicate(folder, options->folder);
        return status == CLM_OK ? clm_folder_make(*folder) : status;
    }
    char name[64];
    (void)snprintf(name, sizeof name, "fetch/%s", item->name);
    return clm_cache_folder(folder, name);
}

clm_status clm_fetch_item_get(clm_fetched **fetched, const clm_fetch_item *item,
                              const clm_fetch_options *options) {
    *fetched = NULL;
    clm_status status = CLM_OK;
    clm_fetched *fresh = NULL;
    const char *mirrors = options->mirrors != NULL ? options->mirrors : getenv("CLM_FETCH_MIRROR");
    if (mirrors == NULL || mirrors[strspn(mirrors, " ")] == '\0') {
        mirrors = "";
    }
    if (options->attempts < 1 || !(options->wait_s >= 0.0)) {
        return clm_fail(CLM_ERROR_ARGUMENT, "a fetch of %d attempts, %g s apart", options->attempts,
                        options->wait_s);
    }
    CLM_TRY(clm_allocate(&fresh, 1, sizeof *fresh, "a fetch"));
    CLM_TRY(choose_folder(&fresh->folder, item, options));
    for (size_t i = 0; i < item->file_count; i++) {
        CLM_TRY(get_file(fresh, item, i, options, mirrors));
    }
    *fetched = fresh;
    fresh = NULL;
cleanup:
    clm_fetched_free(fresh);
    return status;
}

const char *clm_fetched_folder(const clm_fetched *fetched) {
    return fetched->folder;
}

size_t clm_fetched_count(const clm_fetched *fetched) {
    return fetched->count;
}

const char *clm_fetched_path(const clm_fetched *fetched, size_t index) {
    return fetched->files[index].path;
}

const char *clm_fetched_sha256(const clm_fetched *fetched, size_t index) {
    return fetched->files[index].sha256;
}

clm_fetch_trust clm_fetched_trust(const clm_fetched *fetched, size_t index) {
    return fetched->files[index].trust;
}

bool clm_fetched_is_new(const clm_fetched *fetched, size_t index) {
    return fetched->files[index].is_new;
}

void clm_fetched_free(clm_fetched *fetched) {
    if (fetched == NULL) {
        return;
    }
    for (size_t i = 0; i < CLM_FETCH_MAX_FILES; i++) {
        clm_free(fetched->files[i].path);
    }
    clm_free(fetched->folder);
    clm_free(fetched);
}
