/* HTTPS, by a server of this process with a certificate of its own: it is checked, and what was
 * asked for over HTTPS never comes over HTTP.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/test_support.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "fetch/fetch.h"
#include "fetch/http_server.h"

static SSL_CTX *context;
static int listener;
static int port;
static pthread_t thread;
static char location[128]; /* where /thing/moved leads */
static char certificate[1100];
static clm_fetch_item item;

/* For 127.0.0.1 and today. */
static void make_certificate(void) {
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *made = X509_new();
    assert_non_null(key);
    assert_int_equal(X509_set_version(made, 2), 1);
    assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(made), 1), 1);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(made), -3600));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(made), 3600));
    assert_int_equal(X509_set_pubkey(made, key), 1);
    X509_NAME *name = X509_get_subject_name(made);
    assert_int_equal(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                                (const unsigned char *)"a test", -1, -1, 0),
                     1);
    assert_int_equal(X509_set_issuer_name(made, name), 1);
    X509_EXTENSION *names = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "IP:127.0.0.1");
    assert_int_equal(X509_add_ext(made, names, -1), 1);
    X509_EXTENSION_free(names);
    assert_true(X509_sign(made, key, EVP_sha256()) > 0);
    FILE *file = fopen(certificate, "w");
    assert_non_null(file);
    assert_int_equal(PEM_write_X509(file, made), 1);
    assert_int_equal(fclose(file), 0);
    context = SSL_CTX_new(TLS_server_method());
    assert_int_equal(SSL_CTX_use_certificate(context, made), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(context, key), 1);
    X509_free(made);
    EVP_PKEY_free(key);
}

static void answer(SSL *ssl) {
    char request[4096] = "";
    char text[512];
    const int got = SSL_read(ssl, request, sizeof request - 1);
    request[got > 0 ? got : 0] = '\0';
    if (strncmp(request, "GET /thing/moved ", 17) == 0) {
        (void)snprintf(text, sizeof text,
                       "HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n"
                       "Connection: close\r\n\r\n",
                       location);
    } else {
        (void)snprintf(text, sizeof text,
                       "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nsecret");
    }
    (void)SSL_write(ssl, text, (int)strlen(text));
    (void)SSL_shutdown(ssl);
}

static void *serve(void *unused) {
    for (int peer = 0; (peer = accept(listener, NULL, NULL)) >= 0;) {
        SSL *ssl = SSL_new(context);
        if (SSL_set_fd(ssl, peer) == 1 && SSL_accept(ssl) == 1) {
            answer(ssl);
        }
        SSL_free(ssl);
        (void)close(peer);
    }
    return unused;
}

static int start(void **state) {
    (void)state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    (void)snprintf(certificate, sizeof certificate, "%s", clm_test_path("certificate.pem"));
    make_certificate();
    listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 8), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
    port = ntohs(address.sin_port);
    return pthread_create(&thread, NULL, serve, NULL);
}

static int stop(void **state) {
    (void)state;
    (void)shutdown(listener, SHUT_RDWR);
    (void)pthread_join(thread, NULL);
    (void)close(listener);
    SSL_CTX_free(context);
    return 0;
}

static clm_status get(const char *file, const char *folder) {
    static char mirror[64];
    clm_fetched *fetched = NULL;
    clm_fetch_options options = CLM_FETCH_OPTIONS_DEFAULT;
    (void)snprintf(mirror, sizeof mirror, "https://127.0.0.1:%d", port);
    item = (clm_fetch_item){
        .name = "thing",
        .about = "a test",
        .file_count = 1,
        .files = {{.name = file, .url = "https://127.0.0.1:1/x", .most_bytes = 1000}}};
    options.folder = clm_test_path(folder);
    options.mirrors = mirror;
    options.attempts = 1;
    const clm_status status = clm_fetch_item_get(&fetched, &item, &options);
    clm_fetched_free(fetched);
    return status;
}

static void certificates_are_checked(void **state) {
    (void)state;
    assert_int_equal(unsetenv("CURL_CA_BUNDLE"), 0);
    assert_status(CLM_ERROR_NETWORK, get("file", "unknown"));
    assert_message_has("certificate");
    assert_false(clm_file_exists(clm_test_path("unknown/file")));
    assert_int_equal(setenv("CURL_CA_BUNDLE", certificate, 1), 0);
    assert_ok(get("file", "known"));
    assert_true(clm_file_exists(clm_test_path("known/file")));
}

static void https_stays_https(void **state) {
    (void)state;
    served_file plain[] = {
        {.path = "/other", .body = (const unsigned char *)"forged", .size_bytes = 6}};
    http_server *server = http_server_start(plain, 1);
    assert_int_equal(setenv("CURL_CA_BUNDLE", certificate, 1), 0);
    (void)snprintf(location, sizeof location, "http://127.0.0.1:%d/other",
                   http_server_port(server));
    assert_status(CLM_ERROR_NETWORK, get("moved", "forged"));
    assert_message_has("redirects to another protocol");
    assert_false(clm_file_exists(clm_test_path("forged/moved")));
    assert_int_equal(http_server_request_count(server), 0);
    http_server_stop(server);
    (void)snprintf(location, sizeof location, "https://127.0.0.1:%d/there", port);
    assert_ok(get("moved", "secret"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(certificates_are_checked),
        cmocka_unit_test(https_stays_https),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
