/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch/download.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/string.h"

enum { tag_bytes = 256, progress_bytes = 1 << 20 };

/* One request and its answer. */
typedef struct transfer {
    clm_download *download;
    CURL *curl;
    int descriptor;
    uint64_t present;     /* bytes that the part had before the request */
    uint64_t start;       /* the byte of the file at which the answer's body begins */
    uint64_t received;    /* bytes of that body */
    char tag[tag_bytes];  /* the answer's ETag, when it is a strong one */
    long long range_at;   /* where Content-Range says the body begins; -1 without */
    long long range_size; /* the size of the file that it states; -1 without */
    bool begun;           /* the first piece of the body was looked at */
    bool misplaced;       /* the body is not the range that was asked for */
    bool overlong;        /* the body is longer than the file can be */
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

static bool load_tag(char tag[tag_bytes], const char *part) {
    char path[4096];
    tag_path(path, sizeof path, part);
    tag[0] = '\0';
    FILE *file = fopen(path, "re");
    if (file != NULL) {
        size_t got = fread(tag, 1, tag_bytes - 1, file);
        tag[got] = '\0';
        (void)fclose(file);
    }
    /* What a header may hold: anything else would end up as another header of the request. */
    return tag[0] == '"' && strpbrk(tag, "\r\n") == NULL;
}

static void save_tag(const char *tag, const char *part) {
    char path[4096];
    tag_path(path, sizeof path, part);
    if (tag[0] == '\0') {
        (void)unlink(path);
    } else if (clm_file_write(path, tag, strlen(tag)) != CLM_OK) {
        (void)unlink(path); /* then the next call begins anew */
    }
}

/* Begins anew, without letting go of the lock. */
static void empty_part(int descriptor, const char *part) {
    save_tag("", part);
    if (ftruncate(descriptor, 0) != 0) {
        clm_log(CLM_LOG_WARNING, "%s: cannot be emptied", part);
    }
}

/* "Name: value\r\n" with that name, the name compared without case: its value, trimmed, to `value`.
 */
static bool header_is(const char *line, size_t length, const char *name, char *value,
                      size_t value_bytes) {
    size_t name_length = strlen(name);
    if (length <= name_length || line[name_length] != ':' ||
        strncasecmp(line, name, name_length) != 0) {
        return false;
    }
    size_t from = name_length + 1;
    while (from < length && (line[from] == ' ' || line[from] == '\t')) {
        from++;
    }
    while (length > from && strchr(" \t\r\n", line[length - 1]) != NULL) {
        length--;
    }
    size_t count = length - from < value_bytes - 1 ? length - from : value_bytes - 1;
    memcpy(value, line + from, count);
    value[count] = '\0';
    return true;
}

/* The hub states the SHA-256 of a large file in X-Linked-Etag, before it redirects to its store. */
static void take_stated_sha256(clm_download *download, const char *value) {
    const char *digits = value[0] == '"' ? value + 1 : value;
    if (strspn(digits, "0123456789abcdef") == 64 && (digits[64] == '\0' || digits[64] == '"')) {
        memcpy(download->stated_sha256, digits, 64);
        download->stated_sha256[64] = '\0';
    }
}

/* "bytes 100-199/1000", "bytes 100-199/" and a star, or "bytes " and a star, "/1000". */
static void take_content_range(transfer *t, const char *value) {
    const char *slash = strchr(value, '/');
    if (strncmp(value, "bytes ", 6) != 0 || slash == NULL) {
        return;
    }
    if (value[6] >= '0' && value[6] <= '9') {
        t->range_at = strtoll(value + 6, NULL, 10);
    }
    if (slash[1] >= '0' && slash[1] <= '9') {
        t->range_size = strtoll(slash + 1, NULL, 10);
    }
}

static size_t on_header(char *line, size_t size, size_t count, void *context) {
    transfer *t = context;
    char value[tag_bytes] = "";
    size_t length = size * count;
    if (length >= 5 && memcmp(line, "HTTP/", 5) == 0) { /* a redirect ends, another answer begins */
        t->tag[0] = '\0';
        t->range_at = -1;
        t->range_size = -1;
    } else if (header_is(line, length, "ETag", value, sizeof value)) {
        if (value[0] == '"') { /* W/"..." is a weak one, and says nothing about bytes */
            memcpy(t->tag, value, sizeof value);
        }
    } else if (header_is(line, length, "X-Linked-Etag", value, sizeof value)) {
        take_stated_sha256(t->download, value);
    } else if (header_is(line, length, "Content-Range", value, sizeof value)) {
        take_content_range(t, value);
    }
    return length;
}

/* Called before the first byte of a body is written: the part is cut to where the body begins. */
static bool begin_body(transfer *t, long code) {
    t->begun = true;
    if (code == 206 && t->range_at != (long long)t->start) {
        t->misplaced = true;
        return false;
    }
    if (code == 200) {
        t->start = 0;
        save_tag(t->tag, t->download->part);
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
    size_t length = size * count;
    long code = 0;
    (void)curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &code);
    if (code != 200 && code != 206) {
        return length; /* the text of an error page */
    }
    if (!t->begun && !begin_body(t, code)) {
        return 0;
    }
    uint64_t size_bytes = t->download->size_bytes;
    if (size_bytes > 0 && t->start + t->received + length > size_bytes) {
        t->overlong = true;
        return 0;
    }
    for (size_t done = 0; done < length;) {
        ssize_t put = write(t->descriptor, bytes + done, length - done);
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

static bool go_on(const clm_download *download, uint64_t done, uint64_t total) {
    const clm_fetch_options *options = download->options;
    return options->progress == NULL ||
           options->progress(options->progress_context, download->label, done, total);
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
    t->stopped = t->stopped || !go_on(t->download, t->start + t->received, whole);
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
    (void)curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, 60L);
    (void)curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    (void)curl_easy_setopt(curl, CURLOPT_HEADERDATA, t);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, t);
    (void)curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    (void)curl_easy_setopt(curl, CURLOPT_XFERINFODATA, t);
    (void)curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
#if LIBCURL_VERSION_NUM >= 0x075500
    (void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
#else
    (void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
}

/* Range and If-Range for what is still missing; nothing when the file is wanted from its start. */
static clm_status add_range(struct curl_slist **headers, transfer *t) {
    char line[tag_bytes + 64];
    char tag[tag_bytes];
    bool tagged = load_tag(tag, t->download->part);
    if (t->start > 0 && !tagged && !t->download->checked) {
        t->start = 0; /* nothing would tell a part of another file */
    }
    if (t->start == 0) {
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
            return code == 408 || code == 416 || code == 429 || (code >= 500 && code <= 504);
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

/* What a request ended in, as a status; *again says whether another attempt makes sense. */
static clm_status judge(transfer *t, CURLcode result, const char *error, bool *again) {
    const char *url = t->download->url;
    long code = 0;
    (void)curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &code);
    *again = false;
    if (t->stopped) {
        unsigned long long reached = t->start + t->received;
        return clm_fail(CLM_ERROR_INTERRUPTED,
                        "%s: interrupted at byte %llu; the next fetch goes on from there", url,
                        reached);
    }
    if (t->write_errno != 0) {
        return clm_fail_errno(t->write_errno, "%s: cannot be written", t->download->part);
    }
    if (t->misplaced) {
        empty_part(t->descriptor, t->download->part);
        *again = true;
        return clm_fail(CLM_ERROR_NETWORK, "%s: the server sent another part of the file", url);
    }
    if (t->overlong) {
        empty_part(t->descriptor, t->download->part);
        return clm_fail(CLM_ERROR_CHECKSUM,
                        "%s: the server sends more than the %llu bytes of the file", url,
                        (unsigned long long)t->download->size_bytes);
    }
    if (result == CURLE_OK && (code == 200 || code == 206)) {
        if (!t->begun && !begin_body(t, code)) { /* an empty file has no body */
            return clm_fail(CLM_ERROR_NETWORK, "%s: an answer without content", url);
        }
        return CLM_OK;
    }
    if (code == 416 && t->range_size == (long long)t->start) {
        return CLM_OK; /* nothing was missing */
    }
    if (code == 416) {
        empty_part(t->descriptor, t->download->part);
    }
    *again = may_pass(result, code);
    if (result != CURLE_OK) {
        return clm_fail(CLM_ERROR_NETWORK, "%s: %s", url,
                        error[0] != '\0' ? error : curl_easy_strerror(result));
    }
    return clm_fail(CLM_ERROR_NETWORK, "%s: the server answers %ld%s", url, code,
                    code == 404 ? ", not found" : "");
}

static clm_status request(clm_download *download, int descriptor, uint64_t *received, bool *again) {
    clm_status status = CLM_OK;
    char error[CURL_ERROR_SIZE] = "";
    struct stat information;
    struct curl_slist *headers = NULL;
    transfer t = {.download = download, .descriptor = descriptor, .range_at = -1, .range_size = -1};
    *again = false;
    *received = 0;
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
    *received = t.received;
    status = judge(&t, result, error, again);
    if (status == CLM_OK) { /* libcurl does not always report the end */
        (void)go_on(download, t.start + t.received, t.start + t.received);
    }
cleanup:
    curl_slist_free_all(headers);
    curl_easy_cleanup(t.curl);
    return status;
}

/* Waits in short pieces, so that somebody who wants to stop need not wait too. */
static bool wait_for(const clm_download *download, double seconds) {
    const struct timespec piece = {.tv_nsec = 50000000};
    for (double end = clm_seconds() + seconds; clm_seconds() < end;) {
        (void)nanosleep(&piece, NULL);
        if (!go_on(download, 0, 0)) {
            return false;
        }
    }
    return true;
}

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void start_curl(void) {
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

static clm_status open_part(int *descriptor, const char *part) {
    *descriptor = open(part, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (*descriptor < 0) {
        return clm_fail_errno(errno, "%s: cannot be written", part);
    }
    if (flock(*descriptor, LOCK_EX | LOCK_NB) != 0) {
        (void)close(*descriptor);
        *descriptor = -1;
        return clm_fail(CLM_ERROR_EXISTS, "%s: another clm is writing it; wait for that one", part);
    }
    return CLM_OK;
}

clm_status clm_download_run(clm_download *download) {
    clm_status status = CLM_OK;
    int descriptor = -1;
    struct stat information;
    double wait_s = download->options->wait_s;
    (void)pthread_once(&curl_once, start_curl);
    CLM_TRY(open_part(&descriptor, download->part));
    if (fstat(descriptor, &information) != 0) {
        status = clm_fail_errno(errno, "%s: cannot be examined", download->part);
        goto cleanup;
    }
    download->resumed = information.st_size > 0;
    if (download->size_bytes > 0 && (uint64_t)information.st_size == download->size_bytes) {
        goto cleanup; /* whole, and not yet checked when somebody stopped it */
    }
    for (int failed = 0;;) {
        bool again = false;
        uint64_t received = 0;
        status = request(download, descriptor, &received, &again);
        failed = received >= progress_bytes ? 1 : failed + 1;
        if (status == CLM_OK || !again || failed >= download->options->attempts) {
            break;
        }
        clm_log(CLM_LOG_INFO, "%s; trying again in %.3g s", clm_error_message(), wait_s);
        if (!wait_for(download, wait_s)) {
            status = clm_fail(CLM_ERROR_INTERRUPTED, "%s: interrupted", download->url);
            break;
        }
        wait_s *= 2.0;
    }
    if (status == CLM_OK && fsync(descriptor) != 0) {
        status = clm_fail_errno(errno, "%s: cannot be written", download->part);
    }
cleanup:
    if (descriptor >= 0) {
        (void)close(descriptor);
    }
    return status;
}
