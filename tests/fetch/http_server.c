/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch/http_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { most_requests = 64 };

struct http_server {
    served_file *files;
    size_t file_count;
    int listener;
    int port;
    pthread_t thread;
    served_request requests[most_requests];
    size_t request_count;
};

/* False when the client went away, as some tests want it to. */
static bool send_all(int peer, const void *bytes, size_t size_bytes) {
    const char *rest = bytes;
    while (size_bytes > 0) {
        ssize_t put = send(peer, rest, size_bytes, MSG_NOSIGNAL);
        if (put <= 0) {
            return false;
        }
        rest += put;
        size_bytes -= (size_t)put;
    }
    return true;
}

static void read_request(int peer, served_request *request) {
    char text[4096] = "";
    size_t length = 0;
    *request = (served_request){.range_at = -1};
    while (length < sizeof text - 1 && strstr(text, "\r\n\r\n") == NULL) {
        ssize_t got = recv(peer, text + length, sizeof text - 1 - length, 0);
        if (got <= 0) {
            break;
        }
        length += (size_t)got;
        text[length] = '\0';
    }
    (void)sscanf(text, "GET %127s", request->path);
    for (char *line = strstr(text, "\r\n"); line != NULL; line = strstr(line + 2, "\r\n")) {
        if (strncasecmp(line + 2, "Range: bytes=", 13) == 0) {
            request->range_at = atoll(line + 15);
        } else if (strncasecmp(line + 2, "If-Range: ", 10) == 0) {
            (void)sscanf(line + 12, "%63s", request->if_range);
        }
    }
}

static void answer_file(int peer, served_file *file, const served_request *request) {
    char header[512];
    size_t at = 0;
    bool same = request->if_range[0] == '\0' ||
                (file->etag != NULL && strcmp(request->if_range, file->etag) == 0);
    bool part = request->range_at >= 0 && !file->ignores_ranges && same;
    if (part && (size_t)request->range_at >= file->size_bytes) {
        int length = snprintf(header, sizeof header,
                              "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */%zu\r\n"
                              "Content-Length: 0\r\nConnection: close\r\n\r\n",
                              file->size_bytes);
        (void)send_all(peer, header, (size_t)length);
        return;
    }
    if (part) {
        at = (size_t)request->range_at - (file->shifts_ranges ? 1 : 0);
    }
    size_t count = file->size_bytes - at;
    int length = snprintf(header, sizeof header,
                          "HTTP/1.1 %s\r\nContent-Length: %zu\r\nConnection: close\r\n",
                          part ? "206 Partial Content" : "200 OK", count);
    (void)send_all(peer, header, (size_t)length);
    if (part) {
        length = snprintf(header, sizeof header, "Content-Range: bytes %zu-%zu/%zu\r\n", at,
                          file->size_bytes - 1, file->size_bytes);
        (void)send_all(peer, header, (size_t)length);
    }
    if (file->etag != NULL) {
        length = snprintf(header, sizeof header, "ETag: %s\r\n", file->etag);
        (void)send_all(peer, header, (size_t)length);
    }
    if (file->linked_etag != NULL) {
        length = snprintf(header, sizeof header, "X-Linked-Etag: %s\r\n", file->linked_etag);
        (void)send_all(peer, header, (size_t)length);
    }
    (void)send_all(peer, "\r\n", 2);
    if (file->breaks > 0) {
        file->breaks--;
        count = count < file->break_after_bytes ? count : file->break_after_bytes;
    }
    (void)send_all(peer, file->body + at, count);
}

/* What a test wrote down, whatever was asked for. */
static void answer_by_the_book(int peer, const served_file *file) {
    const char *endless = file->endless; /* the test may go on before the client has hung up */
    if (!send_all(peer, file->head, strlen(file->head))) {
        return;
    }
    if (endless == NULL) {
        (void)send_all(peer, file->body, file->size_bytes);
        return;
    }
    while (send_all(peer, endless, strlen(endless))) {
    }
}

static void answer(http_server *server, int peer) {
    static const char missing[] =
        "HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\nConnection: close\r\n\r\nnot found";
    static const char busy[] =
        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbusy";
    char header[512];
    served_request *request = &server->requests[server->request_count];
    read_request(peer, request);
    if (server->request_count < most_requests - 1) {
        server->request_count++;
    }
    for (size_t i = 0; i < server->file_count; i++) {
        served_file *file = &server->files[i];
        if (strcmp(file->path, request->path) != 0) {
            continue;
        }
        if (file->failures > 0) {
            file->failures--;
            (void)send_all(peer, busy, sizeof busy - 1);
        } else if (file->head != NULL) {
            answer_by_the_book(peer, file);
        } else if (file->redirect != NULL) {
            int length = snprintf(header, sizeof header,
                                  "HTTP/1.1 302 Found\r\nLocation: %s\r\nX-Linked-Etag: %s\r\n"
                                  "Content-Length: 0\r\nConnection: close\r\n\r\n",
                                  file->redirect, file->linked_etag);
            (void)send_all(peer, header, (size_t)length);
        } else {
            answer_file(peer, file, request);
        }
        return;
    }
    (void)send_all(peer, missing, sizeof missing - 1);
}

static void *serve(void *context) {
    http_server *server = context;
    for (;;) {
        int peer = accept(server->listener, NULL, NULL);
        if (peer < 0) {
            return NULL; /* the listener was shut down */
        }
        answer(server, peer);
        (void)close(peer);
    }
}

http_server *http_server_start(served_file *files, size_t file_count) {
    http_server *server = calloc(1, sizeof *server);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    if (server == NULL) {
        abort();
    }
    server->files = files;
    server->file_count = file_count;
    server->listener = socket(AF_INET, SOCK_STREAM, 0);
    if (server->listener < 0 ||
        bind(server->listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(server->listener, 8) != 0 ||
        getsockname(server->listener, (struct sockaddr *)&address, &length) != 0 ||
        pthread_create(&server->thread, NULL, serve, server) != 0) {
        perror("http_server_start");
        abort();
    }
    server->port = ntohs(address.sin_port);
    return server;
}

int http_server_port(const http_server *server) {
    return server->port;
}

size_t http_server_request_count(const http_server *server) {
    return server->request_count;
}

const served_request *http_server_request(const http_server *server, size_t index) {
    return &server->requests[index];
}

void http_server_forget(http_server *server) {
    server->request_count = 0;
}

void http_server_stop(http_server *server) {
    (void)shutdown(server->listener, SHUT_RDWR);
    (void)pthread_join(server->thread, NULL);
    (void)close(server->listener);
    free(server);
}
