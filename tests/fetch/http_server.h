/* A small HTTP server for tests, on 127.0.0.1 and a free port: one request a connection, ranges,
 * ETags, and faults on demand.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TESTS_FETCH_HTTP_SERVER_H
#define CLM_TESTS_FETCH_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>

typedef struct served_file {
    const char *path; /* "/mirror/item/file" */
    const unsigned char *body;
    size_t size_bytes;
    const char *etag;         /* with its quotes; NULL: none */
    const char *linked_etag;  /* X-Linked-Etag; NULL: none */
    const char *redirect;     /* Location of a 302; NULL: none */
    bool ignores_ranges;      /* always answers 200 */
    bool shifts_ranges;       /* answers another range than the one asked for */
    int failures;             /* so many requests are answered 503 first */
    int breaks;               /* then so many are broken off ... */
    size_t break_after_bytes; /* ... after that much of the body */
    const char *head;         /* sent as it stands in place of status and headers; NULL: none */
    const char *endless;      /* then this again and again, until the client hangs up */
} served_file;

typedef struct served_request {
    char path[128];
    long long range_at; /* -1 without Range */
    char if_range[64];
} served_request;

typedef struct http_server http_server;

/* `files` may be changed by the test while no request is on its way. */
http_server *http_server_start(served_file *files, size_t file_count);
int http_server_port(const http_server *server);
/* The requests since the last http_server_forget(). */
size_t http_server_request_count(const http_server *server);
const served_request *http_server_request(const http_server *server, size_t index);
void http_server_forget(http_server *server);
void http_server_stop(http_server *server);

#endif
