/* Servers that lie, dawdle or never end. Every case ends in an error that says why, within a
 * counted number of requests, and leaves no file under its name.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/test_support.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/folder.h"
#include "fetch/fetch.h"
#include "fetch/http_server.h"
#include "fetch/sha256.h"

enum { body_bytes = 3 << 20, known_bytes = 1000 };

static unsigned char body[body_bytes];
static char body_sha256[CLM_SHA256_TEXT];
static char wrong_sha256[CLM_SHA256_TEXT];
static served_file served[2];
static http_server *server;
static char mirror[64];
static clm_fetch_item item;
static char folder[1024];
static char target[1100];
static char part[1100];

static void begin(const char *name) {
    served[0] = (served_file){
        .path = "/m/thing/file.bin", .body = body, .size_bytes = body_bytes, .etag = "\"one\""};
    served[1] = (served_file){.path = "/other", .body = body, .size_bytes = body_bytes};
    item = (clm_fetch_item){
        .name = "thing",
        .about = "a test",
        .file_count = 1,
        .files = {{.name = "file.bin", .url = "http://127.0.0.1:1/x", .most_bytes = 8 << 20}}};
    http_server_forget(server);
    (void)snprintf(folder, sizeof folder, "%s", clm_test_path(name));
    (void)snprintf(target, sizeof target, "%s/file.bin", folder);
    (void)snprintf(part, sizeof part, "%s/file.bin.part", folder);
    assert_ok(clm_folder_make(folder));
}

static clm_fetch_trust trust;

static clm_status get(void) {
    clm_fetched *fetched = NULL;
    clm_fetch_options options = CLM_FETCH_OPTIONS_DEFAULT;
    options.folder = folder;
    options.mirrors = mirror;
    options.attempts = 3;
    options.wait_s = 0.01;
    const clm_status status = clm_fetch_item_get(&fetched, &item, &options);
    trust = fetched != NULL ? clm_fetched_trust(fetched, 0) : CLM_FETCH_UNVERIFIED;
    clm_fetched_free(fetched);
    return status;
}

/* The server answers with that head, then the first bytes of the body. */
static void expect(const char *name, const char *head, clm_status status, const char *words,
                   size_t requests) {
    begin(name);
    served[0].head = head;
    served[0].size_bytes = known_bytes;
    assert_status(status, get());
    assert_message_has(words);
    assert_int_equal(http_server_request_count(server), requests);
    assert_false(clm_file_exists(target));
}

static void heads_that_cannot_be_are_refused(void **state) {
    (void)state;
    expect("unasked416", "HTTP/1.1 416 No\r\nContent-Range: bytes */0\r\nContent-Length: 0\r\n\r\n",
           CLM_ERROR_NETWORK, "416", 1);
    expect("unasked206",
           "HTTP/1.1 206 Part\r\nContent-Range: bytes 0-999/2000\r\nContent-Length: 1000\r\n\r\n",
           CLM_ERROR_NETWORK, "another part", 1);
    expect("absurd", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
           CLM_ERROR_NETWORK, "127.0.0.1", 1);
    expect("negative", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", CLM_ERROR_NETWORK,
           "127.0.0.1", 1);
    expect("announced", "HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n",
           CLM_ERROR_CHECKSUM, "more than the 8388608 bytes that the file may have", 1);
    expect("endless-file", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", CLM_ERROR_NETWORK,
           "does not say how long", 1);
    expect("zipped", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1000\r\n\r\n",
           CLM_ERROR_NETWORK, "compressed", 1);
    expect("later", "HTTP/1.1 429 Later\r\nRetry-After: 99999999\r\nContent-Length: 0\r\n\r\n",
           CLM_ERROR_NETWORK, "asks to wait 99999999 s", 1);
    expect("soon", "HTTP/1.1 503 Busy\r\nRetry-After: -5\r\nContent-Length: 0\r\n\r\n",
           CLM_ERROR_NETWORK, "503", 3);
    expect("no-http", "SSH-2.0-OpenSSH\r\n", CLM_ERROR_NETWORK, "127.0.0.1", 1);
}

static void a_size_that_is_known_is_kept_to(void **state) {
    (void)state;
    begin("short"); /* ends well, and is not all */
    item.files[0].size_bytes = body_bytes;
    served[0].head = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";
    served[0].size_bytes = known_bytes;
    assert_status(CLM_ERROR_NETWORK, get());
    assert_message_has("1000 of the file's 3145728 bytes");
    assert_false(clm_file_exists(target));
    begin("long");
    item.files[0].size_bytes = known_bytes;
    served[0].head = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"; /* without a length */
    assert_status(CLM_ERROR_CHECKSUM, get());
    assert_message_has("more than the 1000 bytes of the file");
    begin("exact");
    item.files[0].size_bytes = known_bytes;
    served[0].head = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
    served[0].size_bytes = known_bytes;
    assert_ok(get());
}

static void bodies_without_end_are_cut(void **state) {
    (void)state;
    static char some[10001];
    struct stat information;
    memset(some, 'x', sizeof some - 1);
    begin("flood");
    served[0].head = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
    served[0].endless = some;
    assert_status(CLM_ERROR_CHECKSUM, get());
    assert_message_has("more than the 8388608 bytes");
    assert_int_equal(stat(part, &information), 0);
    assert_int_equal(information.st_size, 0);
    begin("headers");
    served[0].head = "HTTP/1.1 200 OK\r\n";
    served[0].endless = "X-Nothing: of interest to anybody who waits for the end of this\r\n";
    assert_status(CLM_ERROR_NETWORK, get());
    assert_message_has("127.0.0.1");
    begin("interim");
    served[0].head = "";
    served[0].endless = "HTTP/1.1 100 Continue\r\n\r\n";
    assert_status(CLM_ERROR_NETWORK, get());
    assert_message_has("bytes of headers");
}

static void redirects_end(void **state) {
    (void)state;
    char here[128];
    begin("loop");
    (void)snprintf(here, sizeof here, "%s/thing/file.bin", mirror);
    served[0].redirect = here;
    served[0].linked_etag = "\"\"";
    assert_status(CLM_ERROR_NETWORK, get());
    assert_message_has("redirects");
    assert_int_equal(http_server_request_count(server), 11);
    begin("file");
    served[0].redirect = "file:///etc/passwd";
    served[0].linked_etag = "\"\"";
    assert_status(CLM_ERROR_NETWORK, get());
    assert_message_has("redirects to another protocol");
    assert_false(clm_file_exists(target));
}

/* What a redirect leads to may be anybody's, and states a hash that fits what it sends. */
static void the_hubs_hash_wins(void **state) {
    (void)state;
    char there[128];
    char hub[80];
    char its_own[80];
    begin("hash");
    (void)snprintf(there, sizeof there, "http://localhost:%d/other", http_server_port(server));
    (void)snprintf(hub, sizeof hub, "\"%s\"", wrong_sha256);
    (void)snprintf(its_own, sizeof its_own, "\"%s\"", body_sha256);
    served[0].redirect = there;
    served[0].linked_etag = hub;
    served[1].linked_etag = its_own;
    assert_status(CLM_ERROR_CHECKSUM, get());
    assert_message_has(wrong_sha256);
    begin("silent"); /* the hub states none: another host's says nothing */
    served[0].redirect = there;
    served[0].linked_etag = "";
    served[1].linked_etag = its_own;
    assert_ok(get());
    assert_int_equal(trust, CLM_FETCH_UNVERIFIED);
}

/* Each attempt brings 2 MiB, from the start: that is no progress after the first. */
static void a_server_that_ignores_ranges_is_given_up(void **state) {
    (void)state;
    begin("again");
    served[0].ignores_ranges = true;
    served[0].breaks = 50;
    served[0].break_after_bytes = 2 << 20;
    const double since = clm_seconds();
    assert_status(CLM_ERROR_NETWORK, get());
    assert_true(http_server_request_count(server) <= 4);
    assert_true(clm_seconds() - since < 60.0);
    assert_false(clm_file_exists(target));
}

/* Whereas one that brings something new each time may break off as often as it likes. */
static void progress_is_not_counted_as_a_failure(void **state) {
    (void)state;
    begin("slow");
    served[0].breaks = 2;
    served[0].break_after_bytes = (1 << 20) + 1;
    item.files[0].sha256 = body_sha256;
    assert_ok(get());
    assert_int_equal(http_server_request_count(server), 3);
    begin("short-range"); /* a server may answer with less than the range that was asked for */
    item.files[0].size_bytes = body_bytes;
    served[0].breaks = 1;
    served[0].break_after_bytes = 2 << 20;
    assert_ok(get());
    assert_int_equal(http_server_request_count(server), 2);
}

static int start(void **state) {
    (void)state;
    for (size_t i = 0; i < body_bytes; i++) {
        body[i] = (unsigned char)(clm_test_random() >> 24);
    }
    const char *path = clm_test_path("body");
    clm_test_write(path, body, body_bytes);
    if (clm_sha256_file(body_sha256, path) != CLM_OK) {
        return -1;
    }
    memcpy(wrong_sha256, body_sha256, sizeof wrong_sha256);
    wrong_sha256[0] = wrong_sha256[0] == '0' ? '1' : '0';
    server = http_server_start(served, sizeof served / sizeof *served);
    (void)snprintf(mirror, sizeof mirror, "http://127.0.0.1:%d/m", http_server_port(server));
    return 0;
}

static int stop(void **state) {
    (void)state;
    http_server_stop(server);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads_that_cannot_be_are_refused),
        cmocka_unit_test(a_size_that_is_known_is_kept_to),
        cmocka_unit_test(bodies_without_end_are_cut),
        cmocka_unit_test(redirects_end),
        cmocka_unit_test(the_hubs_hash_wins),
        cmocka_unit_test(a_server_that_ignores_ranges_is_given_up),
        cmocka_unit_test(progress_is_not_counted_as_a_failure),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
