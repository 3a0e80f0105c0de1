/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch/download.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/progress.h"
#include "base/string.h"
#include "fetch/answer.h"

enum { progress_bytes = 1 << 20 };

/* No wait between attempts is longer, unless the caller asks for it. */
static const double most_wait_s = 60.0;

/* What is wrong with an answer whose body is therefore not taken. */
typedef enum fault {
    FAULT_NONE = 0,
    FAULT_MISPLACED, /* the body is not the range that was asked for */
    FAULT_OVERLONG,  /* the body is longer than the file can be */
    FAULT_ENCODED,   /* compressed, which was not requested */
    FAULT_HEADERS    /* headers without end */
} fault;

/* One request and its answer. */
typedef struct transfer {
    clm_download *download;
    CURL *curl;
    int descriptor;
    uint64_t present;  /* bytes that the part had before the request */
    bool asked;        /* for a range, from byte `start` on */
    uint64_t start;    /* the byte of the file at which the answer's body begins */
    uint64_t received; /* bytes of that body */
    double began;      /* the clock at the request */
    clm_answer answer;
    bool begun; /* the first piece of the body was looked at */
    fault fault;
    int write_errno;
    bool stopped;
} transfer;

static void tag_path(char *path, size_t size_bytes, const char *part) {
    (void)snprintf(path, size_bytes, "%s.etag", part);
}

void clm_download_forget(const char *part) {
    char path[4096];
    tag_path(path, sizeof path, part);
    (void)unlink(path);
    (void)unlink(part);
}

static bool load_tag(char tag[CLM_TAG_BYTES], const char *part) {
    char path[4096];
    tag_path(path, sizeof path, part);
    tag[0] = '\0';
    const int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (descriptor >= 0) {
        const ssize_t got = read(descriptor, tag, CLM_TAG_BYTES - 1);
        tag[got > 0 ? got : 0] = '\0';
        (void)close(descriptor);
    }
    return clm_is_strong_tag(tag);
}

static void save_tag(const char *tag, const char *part) {
    char path[4096];
    tag_path(path, sizeof path, part);
    (void)unlink(path); /* also a link to elsewhere */
    if (tag[0] != '\0' && clm_file_write_own(path, tag, strlen(tag)) != CLM_OK) {
        (void)unlink(path); /* then the next call starts over */
    }
}

/* Starts over, and keeps the lock. */
static void empty_part(int descriptor, const char *part) {
    save_tag("", part);
    if (ftruncate(descriptor, 0) != 0) {
        clm_log(CLM_LOG_WARNING, "%s: cannot be emptied: %s", part, strerror(errno));
    }
}

static size_t on_header(char *line, size_t size, size_t count, void *context) {
    transfer *t = context;
    const char *url = NULL;
    (void)curl_easy_getinfo(t->curl, CURLINFO_EFFECTIVE_URL, &url);
    const bool is_hub = url != NULL && clm_same_origin(t->download->url, url);
    if (!clm_answer_take(&t->answer, line, size * count, is_hub)) {
        t->fault = FAULT_HEADERS;
        return 0;
    }
    return size * count;
}

/* How many bytes are accepted; UINT64_MAX if unknown. */
static uint64_t limit_of(const clm_download *download) {
    return download->size_bytes > 0   ? download->size_bytes
           : download->most_bytes > 0 ? download->most_bytes
                                      : UINT64_MAX;
}

/* Whether an answer of 206 is the part of the file that was asked for. */
static bool range_was_requested(const transfer *t) {
    const int64_t size = t->answer.range_size;
    const uint64_t known = t->download->size_bytes;
    return t->asked && t->answer.range_at >= 0 && (uint64_t)t->answer.range_at == t->start &&
           (known == 0 || size < 0 || (uint64_t)size == known);
}

/* What the headers say about the body, before any of it is written. */
static fault examine(transfer *t, long code) {
    const uint64_t limit = limit_of(t->download);
    curl_off_t length = -1;
    if (t->answer.is_encoded) {
        return FAULT_ENCODED;
    }
    if (code == 206 && !range_was_requested(t)) {
        return FAULT_MISPLACED;
    }
    (void)curl_easy_getinfo(t->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    const uint64_t start = code == 200 ? 0 : t->start;
    if ((length > 0 && (uint64_t)length > limit - start) ||
        (code == 206 && t->answer.range_size >= 0 && (uint64_t)t->answer.range_size > limit)) {
        return FAULT_OVERLONG;
    }
    return FAULT_NONE;
}

/* Called before the first byte of a body is written: the part is cut to where the body begins. */
static bool begin_body(transfer *t, long code) {
    t->begun = true;
    t->fault = examine(t, code);
    if (t->fault != FAULT_NONE) {
        return false;
    }
    if (code == 200) {
        t->start = 0;
        save_tag(t->answer.tag, t->download->part);
    }
    if ((t->start < t->present && ftruncate(t->descriptor, (off_t)t->start) != 0) ||
        lseek(t->descriptor, (off_t)t->start, SEEK_SET) < 0) {
        t->write_errno = errno;
        return false;
    }
    return true;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *context) {
    transfer *t = context;
    const size_t length = size * count;
    long code = 0;
    (void)curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &code);
    if (code != 200 && code != 206) {
        return length; /* the text of an error page */
    }
    if (!t->begun && !begin_body(t, code)) {
        return 0;
    }
    if (length > limit_of(t->download) - (t->start + t->received)) {
        t->fault = FAULT_OVERLONG;
        return 0;
    }
    for (size_t done = 0; done < length;) {
        const ssize_t put = write(t->descriptor, bytes + done, length - done);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put < 0) {
            t->write_errno = errno;
            return 0;
        }
        done += (size_t)put;
    }
    t->received += length;
    return length;
}

/* Reports how much has arrived; false if the watcher wants to stop. `total` is 0 if unknown. */
static bool report_progress(const transfer *t, uint64_t total) {
    static const double least_s = 0.5; /* for a rate that says something */
    const uint64_t done = t->start + t->received;
    const double elapsed = clm_seconds() - t->began;
    clm_progress progress = {.stage = "downloading",
                             .done = (int64_t)done,
                             .total = (int64_t)total,
                             .unit = "bytes",
                             .detail = t->download->label,
                             .seconds_left = -1.0};
    if (total >= done && t->received > 0 && elapsed > least_s) {
        const uint64_t left = total - done + t->download->later_bytes;
        progress.seconds_left = (double)left * elapsed / (double)t->received;
    }
    clm_progress_send(&progress);
    return clm_progress_check() == CLM_OK;
}

static int on_progress(void *context, curl_off_t total, curl_off_t now, curl_off_t up_total,
                       curl_off_t up_now) {
    transfer *t = context;
    (void)now;
    (void)up_total;
    (void)up_now;
    uint64_t whole = t->download->size_bytes;
    if (whole == 0 && total > 0 && t->begun) {
        whole = t->start + (uint64_t)total;
    }
    t->stopped = t->stopped || !report_progress(t, whole);
    return t->stopped ? 1 : 0;
}

static void set_options(transfer *t, struct curl_slist *headers, char *error) {
    CURL *curl = t->curl;
    (void)curl_easy_setopt(curl, CURLOPT_URL, t->download->url);
    (void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    (void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
    (void)curl_easy_setopt(curl, CURLOPT_USERAGENT, "clm");
    (void)curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_MAXREDIRS, 10L);
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 20L);
    (void)curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 100L);
    (void)curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, 60L);
    (void)curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    (void)curl_easy_setopt(curl, CURLOPT_HEADERDATA, t);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, t);
    (void)curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    (void)curl_easy_setopt(curl, CURLOPT_XFERINFODATA, t);
    (void)curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    /* What was asked for over HTTPS comes over HTTPS, wherever it is redirected to. */
    const bool is_secure = clm_starts_ignoring_case(t->download->url, "https:");
#if LIBCURL_VERSION_NUM >= 0x075500
    (void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, is_secure ? "https" : "http,https");
#else
    (void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
    (void)curl_easy_setopt(
        curl, CURLOPT_REDIR_PROTOCOLS,
        is_secure ? (long)CURLPROTO_HTTPS : (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
    /* As the curl command reads it: certificates of an office's proxy, or of a mirror. */
    const char *authorities = getenv("CURL_CA_BUNDLE");
    if (authorities != NULL && authorities[0] != '\0') {
        (void)curl_easy_setopt(curl, CURLOPT_CAINFO, authorities);
    }
}

/* Range and If-Range for what is still missing; nothing when the file is wanted from its start. */
static clm_status add_range(struct curl_slist **headers, transfer *t) {
    char line[CLM_TAG_BYTES + 64];
    char tag[CLM_TAG_BYTES];
    bool tagged = load_tag(tag, t->download->part);
    if (t->start > 0 && !tagged && !t->download->checked) {
        t->start = 0; /* nothing would tell a part of another file */
    }
    t->asked = t->start > 0;
    if (!t->asked) {
        return CLM_OK;
    }
    (void)snprintf(line, sizeof line, "Range: bytes=%llu-", (unsigned long long)t->start);
    struct curl_slist *longer = curl_slist_append(*headers, line);
    if (longer != NULL && tagged) {
        *headers = longer;
        (void)snprintf(line, sizeof line, "If-Range: %s", tag);
        longer = curl_slist_append(*headers, line);
    }
    if (longer == NULL) {
        return clm_fail(CLM_ERROR_MEMORY, "out of memory: no room for a request");
    }
    *headers = longer;
    return CLM_OK;
}

static bool may_pass(CURLcode result, long code) {
    switch (result) {
        case CURLE_OK:
            return code == 408 || code == 429 || (code >= 500 && code <= 504);
        case CURLE_COULDNT_RESOLVE_HOST:
        case CURLE_COULDNT_CONNECT:
        case CURLE_OPERATION_TIMEDOUT:
        case CURLE_PARTIAL_FILE:
        case CURLE_GOT_NOTHING:
        case CURLE_RECV_ERROR:
        case CURLE_SEND_ERROR:
        case CURLE_SSL_CONNECT_ERROR:
        case CURLE_HTTP2:
        case CURLE_HTTP2_STREAM:
            return true;
        default:
            return false;
    }
}

/* An answer that was refused for what it is. */
static clm_status refuse(const transfer *t, bool *again) {
    const clm_download *download = t->download;
    const char *url = download->url;
    if (t->fault == FAULT_HEADERS) {
        return clm_fail(CLM_ERROR_NETWORK, "%s: the server sends over %d bytes of headers", url,
                        (int)CLM_MOST_HEADER_BYTES);
    }
    empty_part(t->descriptor, download->part);
    if (t->fault == FAULT_OVERLONG) {
        return clm_fail(CLM_ERROR_CHECKSUM,
                        "%s: the server sends more than the %llu bytes %s, so it is another file",
                        url, (unsigned long long)limit_of(download),
                        download->size_bytes > 0 ? "of the file" : "that the file may have");
    }
    if (t->fault == FAULT_ENCODED) {
        return clm_fail(CLM_ERROR_NETWORK,
                        "%s: the server sends the file compressed (Content-Encoding), which was "
                        "not asked for",
                        url);
    }
    *again = t->asked; /* then it is asked for all of it */
    return clm_fail(CLM_ERROR_NETWORK, "%s: the server sent another part of the file", url);
}

/* A body that ended well as far as libcurl can tell: is it all of the file? */
static clm_status check_end(const transfer *t, long code, bool *again) {
    const clm_download *download = t->download;
    const uint64_t reached = t->start + t->received;
    const bool is_part = code == 206;
    uint64_t whole = download->size_bytes;
    if (whole == 0 && is_part && t->answer.range_size >= 0) {
        whole = (uint64_t)t->answer.range_size;
    }
    if (whole > 0 && reached != whole) {
        if (is_part) { /* a server may send less than what was asked for: the rest comes next */
            *again = true;
        } else {
            empty_part(t->descriptor, download->part);
        }
        return clm_fail(CLM_ERROR_NETWORK, "%s: the server sent %llu of the file's %llu bytes",
                        download->url, (unsigned long long)reached, (unsigned long long)whole);
    }
    long version = 0;
    curl_off_t length = -1;
    (void)curl_easy_getinfo(t->curl, CURLINFO_HTTP_VERSION, &version);
    (void)curl_easy_getinfo(t->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    const bool has_end = length >= 0 || t->answer.is_chunked ||
                         (version != CURL_HTTP_VERSION_1_0 && version != CURL_HTTP_VERSION_1_1);
    if (whole == 0 && (is_part || !has_end) && !download->checked &&
        t->answer.stated_sha256[0] == '\0') {
        empty_part(t->descriptor, download->part);
        return clm_fail(CLM_ERROR_NETWORK,
                        "%s: the server does not say how long the file is, and no checksum is "
                        "known, so a cut file would go unnoticed",
                        download->url);
    }
    return CLM_OK;
}

/* An answer whose status means that it contains no file. */
static clm_status judge_code(const transfer *t, long code, bool *again) {
    const clm_download *download = t->download;
    const char *url = download->url;
    if (code == 416 && t->asked) {
        const uint64_t known = download->size_bytes;
        if (t->answer.range_size == (int64_t)t->start && (known == 0 || known == t->start)) {
            return CLM_OK; /* nothing was missing */
        }
        empty_part(t->descriptor, download->part); /* it is of another file */
        *again = true;
    }
    *again = *again || may_pass(CURLE_OK, code);
    curl_off_t seconds = 0;
    (void)curl_easy_getinfo(t->curl, CURLINFO_RETRY_AFTER, &seconds);
    if (*again && (double)seconds > most_wait_s) {
        *again = false;
        return clm_fail(CLM_ERROR_NETWORK,
                        "%s: the server answers %ld and asks to wait %lld s; try again then", url,
                        code, (long long)seconds);
    }
    return clm_fail(CLM_ERROR_NETWORK, "%s: the server answers %ld%s", url, code,
                    code == 404   ? ", not found"
                    : code == 416 ? ", range not satisfiable"
                                  : "");
}

/* What a request ended in, as a status; *again says whether another attempt makes sense. */
static clm_status judge(transfer *t, CURLcode result, const char *error, bool *again) {
    const char *url = t->download->url;
    long code = 0;
    (void)curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &code);
    *again = false;
    if (result == CURLE_OK && (code == 200 || code == 206) && !t->begun) {
        (void)begin_body(t, code); /* an empty file has no body */
    }
    if (t->stopped) {
        const unsigned long long reached = t->start + t->received;
        return clm_fail(CLM_ERROR_INTERRUPTED,
                        "%s: interrupted at byte %llu; the next fetch resumes there", url, reached);
    }
    if (t->write_errno != 0) {
        return clm_fail_errno(t->write_errno, "%s: cannot be written", t->download->part);
    }
    if (t->fault != FAULT_NONE) {
        return refuse(t, again);
    }
    if (result == CURLE_UNSUPPORTED_PROTOCOL && code / 100 == 3) {
        return clm_fail(CLM_ERROR_NETWORK,
                        "%s: the server redirects to another protocol, which is not followed: "
                        "a download over HTTPS must stay on HTTPS",
                        url);
    }
    if (result != CURLE_OK) {
        *again = may_pass(result, code);
        return clm_fail(CLM_ERROR_NETWORK, "%s: %s", url,
                        error[0] != '\0' ? error : curl_easy_strerror(result));
    }
    return code == 200 || code == 206 ? check_end(t, code, again) : judge_code(t, code, again);
}

/* *reached is how far the part is now of use. */
static clm_status request(clm_download *download, int descriptor, uint64_t *reached, bool *again) {
    clm_status status = CLM_OK;
    char error[CURL_ERROR_SIZE] = "";
    struct stat information;
    struct curl_slist *headers = NULL;
    transfer t = {.download = download, .descriptor = descriptor, .began = clm_seconds()};
    clm_answer_begin(&t.answer);
    *again = false;
    *reached = 0;
    t.curl = curl_easy_init();
    if (t.curl == NULL) {
        return clm_fail(CLM_ERROR_MEMORY, "out of memory: libcurl does not start");
    }
    if (fstat(descriptor, &information) != 0) {
        status = clm_fail_errno(errno, "%s: cannot be examined", download->part);
        goto cleanup;
    }
    t.present = (uint64_t)information.st_size;
    t.start = t.present;
    CLM_TRY(add_range(&headers, &t));
    set_options(&t, headers, error);
    CURLcode result = curl_easy_perform(t.curl);
    *reached = t.start + t.received;
    status = judge(&t, result, error, again);
    if (t.answer.stated_sha256[0] != '\0') {
        memcpy(download->stated_sha256, t.answer.stated_sha256, sizeof download->stated_sha256);
    }
    if (status == CLM_OK) { /* libcurl does not always report the end */
        (void)report_progress(&t, t.start + t.received);
    }
cleanup:
    curl_slist_free_all(headers);
    curl_easy_cleanup(t.curl);
    return status;
}

/* Waits in short pieces, so that it can be stopped. */
static bool wait_for(double seconds) {
    const struct timespec piece = {.tv_nsec = 50000000};
    for (double end = clm_seconds() + seconds; clm_seconds() < end;) {
        (void)nanosleep(&piece, NULL);
        if (clm_progress_check() != CLM_OK) {
            return false;
        }
    }
    return true;
}

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void start_curl(void) {
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* A name in a folder that others may write to is not followed elsewhere. */
static clm_status open_part(int *descriptor, const char *part, uint64_t *size_bytes) {
    clm_status status = CLM_OK;
    struct stat information;
    *descriptor = open(part, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
    if (*descriptor < 0) {
        return clm_fail_errno(errno, "%s: cannot be written%s", part,
                              errno == ELOOP ? " through a symbolic link" : "");
    }
    if (fstat(*descriptor, &information) != 0) {
        status = clm_fail_errno(errno, "%s: cannot be examined", part);
    } else if (!S_ISREG(information.st_mode)) {
        status = clm_fail(CLM_ERROR_EXISTS, "%s: is not a regular file; move it away", part);
    } else if (flock(*descriptor, LOCK_EX | LOCK_NB) != 0) {
        status =
            clm_fail(CLM_ERROR_EXISTS, "%s: another clm is writing it; wait for that one", part);
    }
    if (status != CLM_OK) {
        (void)close(*descriptor);
        *descriptor = -1;
        return status;
    }
    *size_bytes = (uint64_t)information.st_size;
    return CLM_OK;
}

/* Requests until the file is complete or the attempts are used up. Attempts are counted from 1
 * again when the part grows beyond its largest size so far: sending the same bytes again is no
 * progress. */
static clm_status request_all(clm_download *download, int descriptor, uint64_t furthest) {
    const clm_fetch_options *options = download->options;
    double wait_s = options->wait_s;
    for (int failed = 0;;) {
        bool again = false;
        uint64_t reached = 0;
        const clm_status status = request(download, descriptor, &reached, &again);
        failed++;
        if (reached >= furthest + progress_bytes) {
            failed = 1;
            wait_s = options->wait_s;
        }
        furthest = reached > furthest ? reached : furthest;
        if (status == CLM_OK || !again || failed >= options->attempts) {
            return status;
        }
        clm_log(CLM_LOG_INFO, "%s; trying again in %.3g s", clm_error_message(), wait_s);
        if (!wait_for(wait_s)) {
            return clm_fail(CLM_ERROR_INTERRUPTED, "%s: interrupted", download->url);
        }
        const double most = options->wait_s > most_wait_s ? options->wait_s : most_wait_s;
        wait_s = wait_s * 2.0 < most ? wait_s * 2.0 : most;
    }
}

clm_status clm_download_run(clm_download *download) {
    clm_status status = CLM_OK;
    int descriptor = -1;
    uint64_t present = 0;
    download->stated_sha256[0] = '\0';
    (void)pthread_once(&curl_once, start_curl);
    CLM_TRY(open_part(&descriptor, download->part, &present));
    if (present > limit_of(download)) { /* of another file */
        empty_part(descriptor, download->part);
        present = 0;
    }
    download->resumed = present > 0;
    if (download->size_bytes == 0 || present != download->size_bytes) {
        CLM_TRY(request_all(download, descriptor, present));
    } /* else it is whole, and not yet checked when somebody stopped it */
    if (fsync(descriptor) != 0) {
        status = clm_fail_errno(errno, "%s: cannot be written", download->part);
    }
cleanup:
    if (descriptor >= 0) {
        (void)close(descriptor);
    }
    return status;
}
